//! Followers and mirrors whose user code panics, re-enters or ends at the wrong moment.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Wake, Waker};

use futures::stream::{self, Stream};
use futures::{FutureExt, StreamExt};
use rangewatch_bus::{
    Follow, FollowError, History, Mirror, MirrorStopped, Overflow, RangeWatchBus,
};

use crate::deadline;

type Entry = (&'static str, u64, u64);
type Scanned<S> = Result<(u64, S), &'static str>;

fn bus(max_events: usize) -> RangeWatchBus<Option<u64>> {
    let builder = RangeWatchBus::builder().payloads();
    builder
        .history(History::events(max_events))
        .build()
        .unwrap()
}

fn scanned(
    value: u64,
    entries: &[Entry],
) -> Scanned<impl Stream<Item = Result<Entry, &'static str>> + use<>> {
    Ok((value, stream::iter(entries.to_vec()).map(Ok)))
}

/// A mirror that has failed knows no more than before, however often its driver is run again.
#[test]
fn g41_a_driver_that_is_run_after_its_end_claims_nothing() {
    let bus = bus(2);
    let builder = bus.subscribe(..);
    let scan = async |_| {
        // More than the history keeps, while the store is scanned.
        for _ in 0..4 {
            bus.emit_next_with([("k", Some(1))]).unwrap();
        }
        scanned(bus.head().unwrap() - 4, &[("k", 1, 1)])
    };
    let (mirror, mut driver) = builder.mirror(1, scan, |_, change| *change).unwrap();
    let mut ended = driver.run().now_or_never();
    while ended.is_none() {
        ended = driver.run().now_or_never();
    }
    let too_slow = FollowError::SnapshotTooSlow { n_snapshots: 3 };
    assert_eq!(ended, Some(Err(too_slow)));
    let value = mirror.value();
    assert!(value < bus.head());
    assert_eq!(driver.run().now_or_never(), Some(Ok(())));
    assert_eq!(mirror.value(), value);
    let waited = mirror.wait_until(bus.head().unwrap()).now_or_never();
    assert_eq!(waited, Some(Err(MirrorStopped { value })));
}

/// What `close_now` discards was not applied.
#[test]
fn g41_a_mirror_does_not_claim_what_close_now_has_discarded() {
    // Live, and with events left in the history.
    for capacity in [8, 1] {
        let bus = bus(8);
        let scan = async |_| scanned(0, &[]);
        let builder = bus.subscribe(..);
        let (mirror, mut driver) = builder.mirror(capacity, scan, |_, put| *put).unwrap();
        assert!(driver.run().now_or_never().is_none());
        for _ in 0..3 {
            bus.emit_next_with([("k", Some(1))]).unwrap();
        }
        bus.close_now();
        assert_eq!(driver.run().now_or_never(), Some(Ok(())));
        assert_eq!((mirror.value(), mirror.get("k")), (Some(0), None));
    }
    // Nothing is discarded of a subscription that has received everything.
    let bus = bus(8);
    let scan = async |_| scanned(0, &[]);
    let builder = bus.subscribe("a"..="a");
    let (mirror, mut driver) = builder.mirror(1, scan, |_, put| *put).unwrap();
    assert!(driver.run().now_or_never().is_none());
    bus.emit_with(1, [("b", Some(1))]).unwrap();
    bus.close_now();
    assert_eq!(driver.run().now_or_never(), Some(Ok(())));
    assert_eq!(mirror.value(), Some(1));
}

/// An event whose `change` panics is not applied, so that a new copy is made.
#[test]
fn g41_a_change_that_panics_loses_nothing() {
    let bus = bus(8);
    let store = AtomicBool::new(false);
    let scan = async |_| match store.load(Ordering::Relaxed) {
        false => scanned(0, &[]),
        true => scanned(1, &[("a", 1, 7)]),
    };
    let mut is_faulty = true;
    let change = |_: &[u8], put: &Option<u64>| {
        if std::mem::take(&mut is_faulty) {
            resume_unwind(Box::new("a faulty change"));
        }
        *put
    };
    let (mirror, mut driver) = bus.subscribe(..).mirror(8, scan, change).unwrap();
    assert!(driver.run().now_or_never().is_none());
    store.store(true, Ordering::Relaxed);
    bus.emit_with(1, [("a", Some(7))]).unwrap();
    let run = AssertUnwindSafe(|| driver.run().now_or_never());
    assert!(catch_unwind(run).is_err(), "a panic passes through");
    assert_eq!(mirror.value(), Some(0));
    bus.emit_with(2, [("b", Some(8))]).unwrap();
    assert!(driver.run().now_or_never().is_none());
    assert_eq!(mirror.value(), Some(2));
    assert_eq!((mirror.get("a"), mirror.get("b")), (Some(7), Some(8)));
}

/// Entries that a scan has left out by a panic are not missing from a snapshot that is complete.
#[test]
fn g41_a_scan_that_panics_is_begun_again() {
    let bus = bus(8);
    let panics_at = [0, 1, 2];
    for panicking in panics_at {
        let mut n_scans = 0;
        let scan = |_| {
            n_scans += 1;
            let is_faulty = n_scans == 1;
            let faults = move |at| {
                if is_faulty && at == panicking {
                    resume_unwind(Box::new("a faulty scan"));
                }
            };
            faults(0);
            async move {
                faults(1);
                let entries = stream::iter(0..3).map(move |i| {
                    if i == 1 {
                        faults(2);
                    }
                    Ok::<_, &str>(i)
                });
                Ok((0, entries))
            }
        };
        let mut follower = bus.subscribe(..).follow(8, scan).unwrap();
        let mut entries = Vec::new();
        let mut n_panics = 0;
        loop {
            let next = AssertUnwindSafe(|| follower.next().now_or_never());
            match catch_unwind(next) {
                Err(_) => n_panics += 1,
                Ok(Some(Some(Ok(Follow::SnapshotBegin { .. })))) => entries.clear(),
                Ok(Some(Some(Ok(Follow::Snapshot(entry))))) => entries.push(entry),
                Ok(Some(Some(Ok(Follow::SnapshotEnd { value: 0 })))) => break,
                Ok(other) => panic!("{other:?}"),
            }
        }
        assert_eq!((n_panics, &entries[..]), (1, &[0, 1, 2][..]));
    }
}

/// A value that reads its mirror when it is dropped.
struct ReadsMirror(Weak<OnceLock<Mirror<Self>>>);

impl Drop for ReadsMirror {
    fn drop(&mut self) {
        let read = self.0.upgrade();
        if let Some(mirror) = read.as_ref().and_then(|read| read.get()) {
            assert!(mirror.contains_key("a"));
        }
    }
}

/// Of a mirror whose lock is held while a value is dropped, this would wait for itself.
#[test]
fn g41_no_value_is_dropped_under_the_lock_of_a_mirror() {
    deadline::ends(|| {
        let bus = bus(8);
        let read = Arc::new(OnceLock::new());
        let value = || ReadsMirror(Arc::downgrade(&read));
        let scan = async |_| {
            let entries = ["a", "b"].map(|key| Ok::<_, &str>((key, 2, value())));
            Ok((0, stream::iter(entries)))
        };
        let change = |_: &[u8], put: &Option<u64>| put.map(|_| value());
        let (mirror, mut driver) = bus.subscribe(..).mirror(8, scan, change).unwrap();
        assert!(driver.run().now_or_never().is_none());
        assert!(read.set(mirror).is_ok());
        // One that is older than the entry, one that replaces it, and a removal.
        bus.emit_with(1, [("b", Some(1))]).unwrap();
        bus.emit_with(3, [("b", Some(1))]).unwrap();
        bus.emit_with(4, [("b", None)]).unwrap();
        assert!(driver.run().now_or_never().is_none());
        assert_eq!(read.get().map(Mirror::len), Some(1));
    });
}

/// A key that runs a function when it is read.
struct Runs<F>(F);

impl<F: Fn()> AsRef<[u8]> for Runs<F> {
    fn as_ref(&self) -> &[u8] {
        (self.0)();
        b"k"
    }
}

/// Of a mirror whose lock is held while a key is read, this would wait for itself.
#[test]
fn g41_no_key_is_read_under_the_lock_of_a_mirror() {
    deadline::ends(|| {
        let bus = bus(8);
        let scan = async |_| scanned(0, &[]);
        let (mirror, driver) = bus.subscribe(..).mirror(8, scan, |_, put| *put).unwrap();
        let driver = std::cell::RefCell::new(driver);
        let applies = Runs(|| {
            bus.emit_next_with([("k", Some(1))]).unwrap();
            assert!(driver.borrow_mut().run().now_or_never().is_none());
        });
        assert_eq!(mirror.get(&applies), Some(1));
        assert!(mirror.contains_key(&applies));
    });
}

struct PanickingWaker;

impl Wake for PanickingWaker {
    fn wake(self: Arc<Self>) {
        resume_unwind(Box::new("a faulty waker"));
    }
}

/// If the panic of a waker left a drop during that of `change`, the process would abort.
#[test]
fn g41_a_driver_that_is_dropped_by_a_panic_wakes_faulty_readers() {
    let bus = bus(8);
    let scan = async |_| scanned(0, &[]);
    let change = |_: &[u8], _: &Option<u64>| -> Option<u64> {
        resume_unwind(Box::new("a faulty change"));
    };
    let (mirror, mut driver) = bus.subscribe(..).mirror(8, scan, change).unwrap();
    assert!(driver.run().now_or_never().is_none());
    let waker = Waker::from(Arc::new(PanickingWaker));
    let mut wait = Box::pin(mirror.wait_until(9));
    let polled = wait.poll_unpin(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
    bus.emit_with(1, [("k", None)]).unwrap();
    let run = AssertUnwindSafe(move || {
        let mut driver = driver;
        driver.run().now_or_never()
    });
    assert!(catch_unwind(run).is_err(), "a panic passes through");
    assert_eq!(
        wait.now_or_never(),
        Some(Err(MirrorStopped { value: Some(0) }))
    );
}

/// A reader neither fails nor aborts by the waker of the driver.
#[test]
fn g41_a_driver_whose_waker_panics_does_not_concern_readers() {
    let bus = bus(8);
    let scan = async |_| scanned(0, &[]);
    let (mirror, mut driver) = bus.subscribe(..).mirror(8, scan, |_, put| *put).unwrap();
    let waker = Waker::from(Arc::new(PanickingWaker));
    let mut drive = || {
        let mut run = Box::pin(driver.run());
        run.poll_unpin(&mut Context::from_waker(&waker))
            .is_pending()
    };
    assert!(drive());
    assert_eq!(mirror.wait_until(1).now_or_never(), None);
    assert!(drive());
    let reader = AssertUnwindSafe(move || {
        let _mirror = mirror;
        resume_unwind(Box::new("a faulty reader"));
    });
    assert!(catch_unwind(reader).is_err(), "a panic passes through");
    assert!(!drive());
}

/// A driver that always has something to do is not always kept from its end.
#[test]
fn g41_a_driver_ends_without_readers_also_in_a_scan_without_end() {
    let bus = bus(8);
    let scan = async |_| Ok::<_, ()>((0, stream::repeat(Ok(("k", 0, 1_u64)))));
    let builder = bus.subscribe(..).overflow(Overflow::Park);
    let (mirror, mut driver) = builder.mirror(8, scan, |_, put| *put).unwrap();
    assert!(driver.run().now_or_never().is_none());
    drop(mirror);
    assert_eq!(driver.run().now_or_never(), Some(Ok(())));
}
