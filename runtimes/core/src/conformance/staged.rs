//! Emits that are committed when a call returns.

use futures::channel::oneshot;
use futures::future::join;
use rangewatch_bus::{EventSubscription, History, RangeWatchBus};

use super::raw_guest::{RawGuest, Step, keys};
use crate::abi::AbiError;
use crate::{CallError, Emits, Limits, Runtime};

/// A guest whose emits are staged, with a watch whose recv executes plans, and a subscription to
/// the keys that the plans emit.
async fn staged(runtime: &dyn Runtime, bus: &RangeWatchBus) -> (RawGuest, EventSubscription) {
    let raw = RawGuest::on(runtime, bus, |builder| {
        builder.emits(Emits::Staged).pool(1, 1)
    })
    .await;
    raw.follow("w", "trigger", "triggers").await;
    let sub = bus.subscribe("a".."m").events(16).expect("the bus is open");
    (raw, sub)
}

fn values_and_keys(sub: &mut EventSubscription) -> Vec<String> {
    std::iter::from_fn(|| sub.try_recv().ok())
        .map(|event| {
            let keys: Vec<_> = event.keys().map(String::from_utf8_lossy).collect();
            format!("{}={}", event.value(), keys.join(","))
        })
        .collect()
}

/// Nothing is emitted before the call returns; then consecutive flushes of one value are one emit.
pub async fn g04_staged_flushes_of_one_value_are_one_emit(runtime: &dyn Runtime) {
    let bus = RangeWatchBus::new();
    let (raw, mut sub) = staged(runtime, &bus).await;
    let ((there, is_there), (go, may_go)) = (oneshot::channel(), oneshot::channel());
    raw.plan([
        Step::Emit(7, "a"),
        Step::Emit(7, "b"),
        Step::Emit(8, "c"),
        Step::Emit(7, "d"),
        Step::Wait(there, may_go),
    ]);
    raw.emit(1, "trigger");
    let look = async {
        is_there.await.expect("the recv reaches the step");
        assert_eq!(values_and_keys(&mut sub), [""; 0]);
        go.send(()).expect("the recv waits");
    };
    join(raw.drive(), look).await;
    assert_eq!(values_and_keys(&mut sub), ["7=a,b", "8=c", "7=d"]);
    raw.flush(9, &keys(["e"])).await.expect("no trap");
    assert_eq!(values_and_keys(&mut sub), ["9=e"]);
}

/// A trap discards the staged emits, and its error says so.
pub async fn g32_a_call_that_traps_leaves_no_staged_emit(runtime: &dyn Runtime) {
    let bus = RangeWatchBus::new();
    let (raw, mut sub) = staged(runtime, &bus).await;
    raw.plan([Step::Emit(7, "a"), Step::Emit(8, "b"), Step::Trap]);
    raw.emit(1, "trigger");
    raw.drive().await;
    let errors = raw.errors();
    assert!(
        errors.len() == 1 && errors[0].contains("had staged, 2, are dropped"),
        "{errors:?}"
    );
    assert_eq!(values_and_keys(&mut sub), [""; 0]);
    assert_eq!(bus.last_seq().map(u64::from), Some(1), "the trigger alone");
}

/// If the bus refuses one of the staged emits at the commit, all are discarded, and the error says
/// so.
pub async fn g32_a_refused_commit_leaves_no_emit(runtime: &dyn Runtime) {
    let bus = RangeWatchBus::builder()
        .history(History::events(100))
        .build()
        .expect("the bounds are above 0");
    let (raw, mut sub) = staged(runtime, &bus).await;
    raw.plan([Step::Emit(9, "a"), Step::Emit(3, "b")]);
    raw.emit(1, "trigger");
    raw.drive().await;
    let errors = raw.errors();
    assert!(
        errors.len() == 1 && errors[0].contains("2, are dropped"),
        "{errors:?}"
    );
    assert_eq!(values_and_keys(&mut sub), [""; 0]);
    assert_eq!(bus.head(), Some(1));
}

/// The number of bytes that a call stages is bounded.
pub async fn staged_emits_are_bounded(runtime: &dyn Runtime) {
    for (n_bytes, is_allowed) in [(4, true), (5, false)] {
        let bus = RangeWatchBus::new();
        let raw = RawGuest::on(runtime, &bus, |builder| {
            let limits = Limits::default().staged_bytes(20);
            builder.limits(limits).emits(Emits::Staged)
        })
        .await;
        // The key, and 8 bytes for it and for the emit.
        let key = "k".repeat(n_bytes);
        let result = raw.flush(1, &keys([key.as_str()])).await;
        assert_eq!(bus.last_seq().is_some(), is_allowed);
        match result {
            Ok(_) => assert!(is_allowed),
            Err(CallError::Abi { source, .. }) => {
                assert_eq!(source, AbiError::StagedFull { max_bytes: 20 });
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// On a bus with history an emit of several flushes is one emit, unless emits are immediate; the
/// error then says what to do. Without history every flush is an emit.
pub async fn emits_are_staged_by_default_on_a_bus_with_history(runtime: &dyn Runtime) {
    let with_history = || {
        let builder = RangeWatchBus::builder().history(History::events(8));
        builder.build().expect("a valid history")
    };
    let emitted = async |bus: &RangeWatchBus, raw: &RawGuest| {
        raw.follow("w", "trigger", "triggers").await;
        let mut sub = bus.subscribe("a".."m").events(16).expect("the bus is open");
        raw.plan([Step::Emit(7, "a"), Step::Emit(7, "b"), Step::Emit(8, "c")]);
        raw.emit(1, "trigger");
        // A trap is among the errors of the guest.
        let _ = raw.guest.drive_until_idle().await;
        values_and_keys(&mut sub)
    };
    let bus = with_history();
    let raw = RawGuest::on(runtime, &bus, |builder| builder).await;
    assert_eq!(emitted(&bus, &raw).await, ["7=a,b", "8=c"]);
    let bus = RangeWatchBus::new();
    let raw = RawGuest::on(runtime, &bus, |builder| builder).await;
    assert_eq!(emitted(&bus, &raw).await, ["7=a", "7=b", "8=c"]);
    let bus = with_history();
    let raw = RawGuest::on(runtime, &bus, |builder| builder.emits(Emits::Immediate)).await;
    assert_eq!(emitted(&bus, &raw).await, ["7=a"]);
    let errors = raw.errors();
    assert!(errors[0].contains("use `Emits::Staged`"), "{errors:?}");
}
