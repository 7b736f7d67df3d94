//! `poll_oneoff`, and waiting of a guest.

use std::mem::swap;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use rangewatch_wasi::{
    Clock, Errno, FixedClock, Interrupt, MAX_SUBSCRIPTIONS, SystemClock, VirtualClock, Wasi, pipe,
    preview1,
};

use crate::guest::Guest;

const REALTIME: u32 = 0;
const MONOTONIC: u32 = 1;
const ABSTIME: u16 = 1;

const SUBSCRIPTIONS: u32 = 0;
const EVENTS: u32 = 0x20000;
const N_EVENTS: u32 = 0x40000;

/// A subscription in the format of the specification.
#[derive(Clone, Copy)]
pub(crate) struct Subscription([u8; 48]);

fn clock(userdata: u64, id: u32, timeout_ns: u64, flags: u16) -> Subscription {
    let mut record = [0; 48];
    record[..8].copy_from_slice(&userdata.to_le_bytes());
    record[16..20].copy_from_slice(&id.to_le_bytes());
    record[24..32].copy_from_slice(&timeout_ns.to_le_bytes());
    record[40..42].copy_from_slice(&flags.to_le_bytes());
    Subscription(record)
}

pub(crate) fn sleep(userdata: u64, duration: Duration) -> Subscription {
    clock(userdata, MONOTONIC, duration.as_nanos() as u64, 0)
}

pub(crate) fn fd(userdata: u64, kind: u8, fd: u32) -> Subscription {
    let mut record = [0; 48];
    record[..8].copy_from_slice(&userdata.to_le_bytes());
    record[8] = kind;
    record[16..20].copy_from_slice(&fd.to_le_bytes());
    Subscription(record)
}

pub(crate) fn readable(userdata: u64) -> Subscription {
    fd(userdata, 1, 0)
}

pub(crate) fn writable(userdata: u64) -> Subscription {
    fd(userdata, 2, 1)
}

/// The fields of an event: userdata, errno, type, bytes, flags.
pub(crate) type Event = (u64, u16, u8, u64, u16);

impl Guest {
    pub(crate) fn attempt(
        &mut self,
        subscriptions: &[Subscription],
    ) -> Result<Vec<Event>, Interrupt> {
        for (index, subscription) in subscriptions.iter().enumerate() {
            self.put(SUBSCRIPTIONS + 48 * index as u32, &subscription.0);
        }
        preview1::poll_oneoff(
            &mut self.ctx,
            &mut self.memory,
            SUBSCRIPTIONS as i32,
            EVENTS as i32,
            subscriptions.len() as i32,
            N_EVENTS as i32,
        )?;
        Ok((0..self.u32(N_EVENTS))
            .map(|index| {
                let at = EVENTS + 32 * index;
                let record = self.bytes(at, 32);
                let errno = u16::from_le_bytes(record[8..10].try_into().unwrap());
                let flags = u16::from_le_bytes(record[24..26].try_into().unwrap());
                (self.u64(at), errno, record[10], self.u64(at + 16), flags)
            })
            .collect())
    }

    pub(crate) fn poll(&mut self, subscriptions: &[Subscription]) -> Result<Vec<Event>, Interrupt> {
        loop {
            match self.attempt(subscriptions) {
                Err(Interrupt::Wait) => self.ctx.block(),
                result => return result,
            }
        }
    }

    pub(crate) fn is_ready(&mut self, waker: &Waker) -> bool {
        self.ctx
            .poll_ready(&mut Context::from_waker(waker))
            .is_ready()
    }
}

/// Counts its wakes.
#[derive(Default)]
pub(crate) struct Counter(Mutex<usize>);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        *self.0.lock().unwrap() += 1;
    }
}

impl Counter {
    pub(crate) fn count(&self) -> usize {
        *self.0.lock().unwrap()
    }
}

pub(crate) fn counter() -> (Arc<Counter>, Waker) {
    let counter = Arc::new(Counter::default());
    (counter.clone(), counter.into())
}

pub(crate) const HOUR: Duration = Duration::from_secs(3_600);

#[test]
fn a_call_without_subscriptions_or_with_too_many_is_invalid() {
    let mut guest = Guest::new(Wasi::builder());
    for n in [0, MAX_SUBSCRIPTIONS as i32 + 1, -1, i32::MIN] {
        let result = preview1::poll_oneoff(&mut guest.ctx, &mut guest.memory, 0, 0, n, 0);
        assert_eq!(result, Err(Errno::Inval.into()), "{n}");
    }
    guest.assert_untouched();
    let most = vec![sleep(7, Duration::ZERO); MAX_SUBSCRIPTIONS as usize];
    assert_eq!(guest.poll(&most).unwrap().len(), most.len());
}

#[test]
fn an_address_outside_of_the_memory_is_a_fault_before_waiting() {
    let mut guest = Guest::new(Wasi::builder());
    let end = guest.memory.len() as i32;
    for (subscriptions, events, n_events) in [
        (end - 47, 0, 0),
        (-1, 0, 0),
        (0, end - 31, 0),
        (0, -8, 0),
        (0, 0, end - 3),
    ] {
        let result = preview1::poll_oneoff(
            &mut guest.ctx,
            &mut guest.memory,
            subscriptions,
            events,
            1,
            n_events,
        );
        assert_eq!(result, Err(Errno::Fault.into()));
    }
    guest.assert_untouched();
}

#[test]
fn an_unknown_type_is_invalid() {
    let mut guest = Guest::new(Wasi::builder());
    assert_eq!(
        guest.poll(&[sleep(1, Duration::ZERO), fd(2, 3, 0)]),
        Err(Errno::Inval.into())
    );
}

#[test]
fn polling_a_closed_descriptor_is_an_event_with_an_error() {
    let mut guest = Guest::new(Wasi::builder());
    let badf = Errno::Badf.code() as u16;
    let events = guest
        .poll(&[
            fd(1, 1, 99),
            fd(2, 2, u32::MAX),
            fd(3, 1, 1),
            fd(4, 2, 0),
            sleep(5, HOUR),
        ])
        .unwrap();
    assert_eq!(
        events,
        [
            (1, badf, 1, 0, 0),
            (2, badf, 2, 0, 0),
            (3, badf, 1, 0, 0),
            (4, badf, 2, 0, 0)
        ]
    );
}

#[test]
fn clocks_that_cannot_be_slept_on_are_an_event_with_an_error() {
    let mut guest = Guest::new(Wasi::builder());
    let inval = Errno::Inval.code() as u16;
    let events = guest
        .poll(&[
            clock(1, 2, 0, 0),
            clock(2, 4, 0, 0),
            clock(3, MONOTONIC, 0, 2),
        ])
        .unwrap();
    assert_eq!(
        events,
        [
            (1, inval, 0, 0, 0),
            (2, inval, 0, 0, 0),
            (3, inval, 0, 0, 0)
        ]
    );
}

#[test]
fn a_sleep_on_a_virtual_clock_elapses_immediately_and_advances_it() {
    let time = VirtualClock::at(100, 0);
    let mut guest = Guest::new(Wasi::builder().clock(time.clone()));
    assert_eq!(
        guest.attempt(&[sleep(42, HOUR)]).unwrap(),
        [(42, 0, 0, 0, 0)]
    );
    assert_eq!(time.elapsed(), HOUR);
    let deadline_ns = (100 + 3_600 + 5) * 1_000_000_000;
    guest
        .attempt(&[clock(1, REALTIME, deadline_ns, ABSTIME)])
        .unwrap();
    assert_eq!(time.elapsed(), HOUR + Duration::from_secs(5));
    guest
        .attempt(&[clock(1, REALTIME, deadline_ns, ABSTIME)])
        .unwrap();
    assert_eq!(
        time.elapsed(),
        HOUR + Duration::from_secs(5),
        "the absolute timer has already elapsed"
    );
    guest
        .attempt(&[clock(1, MONOTONIC, u64::MAX, ABSTIME)])
        .unwrap();
    guest.attempt(&[clock(1, MONOTONIC, u64::MAX, 0)]).unwrap();
    guest.attempt(&[clock(1, REALTIME, u64::MAX, 0)]).unwrap();
    assert_eq!(
        time.elapsed(),
        Duration::from_nanos(u64::MAX),
        "times saturate"
    );
}

#[test]
fn the_default_clock_and_a_fixed_clock_never_wait() {
    let mut guest = Guest::new(Wasi::builder());
    guest.attempt(&[sleep(1, HOUR)]).unwrap();
    preview1::clock_time_get(&mut guest.ctx, &mut guest.memory, 1, 0, 0).unwrap();
    assert_eq!(guest.u64(0), 3_600_001_000_000, "an hour and a step");
    let mut guest = Guest::new(Wasi::builder().clock(FixedClock::at(0, 0)));
    guest.attempt(&[sleep(1, HOUR)]).unwrap();
    preview1::clock_time_get(&mut guest.ctx, &mut guest.memory, 1, 0, 0).unwrap();
    assert_eq!(guest.u64(0), 1);
}

#[test]
fn the_earliest_timers_are_reported_in_the_order_of_the_subscriptions() {
    let time = VirtualClock::at(0, 0);
    let mut guest = Guest::new(Wasi::builder().clock(time.clone()));
    let second = Duration::from_secs(1);
    let events = guest
        .attempt(&[
            sleep(1, HOUR),
            sleep(2, second),
            clock(3, REALTIME, 1_000_000_000, 0),
            clock(4, MONOTONIC, 1_000_000_001, ABSTIME),
            clock(5, MONOTONIC, 1_000_000_002, ABSTIME),
        ])
        .unwrap();
    let userdata: Vec<u64> = events.iter().map(|event| event.0).collect();
    assert_eq!(userdata, [2, 3, 4]);
    assert_eq!(time.elapsed(), second);
}

#[test]
fn a_ready_descriptor_is_reported_before_timers_and_does_not_advance_the_clock() {
    let time = VirtualClock::at(0, 0);
    let mut guest = Guest::new(Wasi::builder().clock(time.clone()).stdin("abc"));
    let room = u64::from(rangewatch_wasi::MAX_TRANSFER_BYTES);
    assert_eq!(
        guest
            .attempt(&[sleep(1, HOUR), readable(2), writable(3)])
            .unwrap(),
        [(2, 0, 1, 3, 0), (3, 0, 2, room, 0)]
    );
    assert_eq!(time.elapsed(), Duration::ZERO);
    // A timer of 0 elapses immediately, too.
    let userdata: Vec<u64> = guest
        .attempt(&[sleep(1, Duration::ZERO), readable(2)])
        .unwrap()
        .iter()
        .map(|event| event.0)
        .collect();
    assert_eq!(userdata, [1, 2]);
}

#[test]
fn an_input_at_its_end_is_ready_with_no_bytes_and_hung_up() {
    let mut guest = Guest::new(Wasi::builder());
    assert_eq!(guest.attempt(&[readable(9)]).unwrap(), [(9, 0, 1, 0, 1)]);
}

#[test]
fn the_events_may_overwrite_the_subscriptions() {
    let mut guest = Guest::new(Wasi::builder());
    for (index, subscription) in [sleep(1, Duration::ZERO), fd(2, 1, 77)].iter().enumerate() {
        guest.put(48 * index as u32, &subscription.0);
    }
    preview1::poll_oneoff(&mut guest.ctx, &mut guest.memory, 0, 20, 2, 0x100).unwrap();
    assert_eq!((guest.u64(20), guest.u64(52)), (1, 2));
}

#[test]
fn a_parked_sleep_on_the_system_clock_lasts_its_duration() {
    let mut guest = Guest::new(Wasi::builder().clock(SystemClock::new()));
    let began = Instant::now();
    let duration = Duration::from_millis(20);
    assert_eq!(
        guest.poll(&[sleep(1, duration)]).unwrap(),
        [(1, 0, 0, 0, 0)]
    );
    assert!(began.elapsed() >= duration);
}

#[test]
fn a_retried_call_keeps_its_start_time() {
    /// Advances once and then stands still: all attempts of one call must use the first reading.
    struct Once(bool);
    impl Clock for Once {
        fn realtime_ns(&mut self) -> u64 {
            unreachable!("nobody asks")
        }
        fn monotonic_ns(&mut self) -> u64 {
            assert!(!std::mem::replace(&mut self.0, true), "a second reading");
            100
        }
    }
    let timer = |duration| {
        assert_eq!(duration, Duration::from_nanos(50));
        let mut n_polls = 0;
        std::future::poll_fn(move |_| {
            n_polls += 1;
            if n_polls < 3 {
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        })
    };
    let (_feed, stdin) = pipe(10);
    let builder = Wasi::builder().clock(Once(false)).stdin(stdin).timer(timer);
    let mut guest = Guest::new(builder);
    let subscriptions = [
        clock(1, MONOTONIC, 150, ABSTIME),
        clock(2, MONOTONIC, 151, ABSTIME),
        readable(3),
    ];
    assert_eq!(guest.attempt(&subscriptions), Err(Interrupt::Wait));
    assert!(!guest.is_ready(Waker::noop()));
    assert!(!guest.is_ready(Waker::noop()));
    assert!(guest.is_ready(Waker::noop()));
    assert_eq!(guest.attempt(&subscriptions).unwrap(), [(1, 0, 0, 0, 0)]);
}

#[test]
fn a_sleep_beyond_the_limit_fails_unless_a_stream_is_polled_too() {
    let second = Duration::from_secs(1);
    let (_feed, stdin) = pipe(10);
    let mut guest = Guest::new(
        Wasi::builder()
            .clock(SystemClock::new())
            .stdin(stdin)
            .max_sleep(second),
    );
    assert_eq!(guest.attempt(&[sleep(1, second)]), Err(Interrupt::Wait));
    assert_eq!(
        guest.attempt(&[sleep(1, second + Duration::from_nanos(1))]),
        Err(Errno::Inval.into())
    );
    assert_eq!(
        guest.attempt(&[sleep(1, HOUR), readable(2)]),
        Err(Interrupt::Wait)
    );
    let mut guest = Guest::new(Wasi::builder().max_sleep(second));
    assert_eq!(
        guest.attempt(&[sleep(1, HOUR)]).unwrap().len(),
        1,
        "no time passes"
    );
}

/// An executor with one task.
pub(crate) fn block_on_ready(ctx: &mut Wasi) {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(thread::current())).into();
    while ctx
        .poll_ready(&mut Context::from_waker(&waker))
        .is_pending()
    {
        thread::park();
    }
}

#[test]
fn a_thousand_sleepers_use_one_timer_thread() {
    // The guests take turns with one memory, which is accessed only during an attempt.
    let mut guest = Guest::new(Wasi::builder());
    let mut contexts: Vec<Wasi> = (0..1_000)
        .map(|_| Wasi::builder().clock(SystemClock::new()).build().unwrap())
        .collect();
    let subscriptions = [sleep(1, Duration::from_millis(200))];
    let began = Instant::now();
    for ctx in &mut contexts {
        swap(&mut guest.ctx, ctx);
        assert_eq!(guest.attempt(&subscriptions), Err(Interrupt::Wait));
        assert!(!guest.is_ready(Waker::noop()));
        swap(&mut guest.ctx, ctx);
    }
    for ctx in &mut contexts {
        swap(&mut guest.ctx, ctx);
        block_on_ready(&mut guest.ctx);
        assert_eq!(guest.attempt(&subscriptions).unwrap().len(), 1);
    }
    let elapsed = began.elapsed();
    assert!(
        elapsed >= Duration::from_millis(200) && elapsed < Duration::from_secs(60),
        "{elapsed:?}"
    );
}
