//! Guests on a bus with payloads.

use std::sync::Arc;

use parking_lot::Mutex;
use rangewatch_bus::{History, RangeWatchBus};

use super::raw_guest::{RawGuest, keys};
use crate::{Emits, GuestBus, Runtime};

/// The host makes a payload of each key that a guest emits, at once or staged, and the guest's
/// watches receive what the host emits with payloads.
pub async fn g40_the_host_makes_the_payloads_of_what_a_guest_emits(runtime: &dyn Runtime) {
    for emits in [Emits::Immediate, Emits::Staged] {
        let builder = RangeWatchBus::builder().payloads::<String>();
        let bus = builder.history(History::events(16)).build();
        let bus = bus.expect("the bounds are above 0");
        let guest_bus = GuestBus::new(&bus, |value, key| format!("{value}:{}", key.escape_ascii()));
        let unused = RangeWatchBus::new();
        let raw = RawGuest::with(runtime, &unused, guest_bus, |builder| builder.emits(emits)).await;
        let mut sub = bus.subscribe("a".."m").events(16).expect("the bus is open");

        let flushed = raw.flush(7, &keys(["b", "x", "a"])).await;
        flushed.expect("no trap");
        let event = sub.try_recv().expect("an event");
        let entries: Vec<_> = event
            .entries()
            .map(|(_, payload)| payload.as_str())
            .collect();
        assert_eq!((event.value(), entries), (7, vec!["7:b", "7:a"]));

        raw.follow("w", "n", "z").await;
        let emitted = bus.emit_with(8, [("p", "of the host".to_owned())]);
        emitted.expect("the bus is open");
        assert_eq!(raw.drive().await, ["w=8"]);
    }
}

/// A panic of the function that makes payloads is an error of the call, and nothing is emitted.
pub async fn g30_a_panic_of_the_payloads_is_an_error(runtime: &dyn Runtime) {
    for emits in [Emits::Immediate, Emits::Staged] {
        let builder = RangeWatchBus::builder().payloads::<Arc<[u8]>>();
        let bus = builder.build().expect("there are no bounds");
        let is_faulty = Arc::new(Mutex::new(true));
        let guest_bus = GuestBus::new(&bus, {
            let is_faulty = Arc::clone(&is_faulty);
            move |_, key| {
                if key == b"b" && *is_faulty.lock() {
                    std::panic::resume_unwind(Box::new("a faulty function"));
                }
                Arc::from(key)
            }
        });
        let unused = RangeWatchBus::new();
        let raw = RawGuest::with(runtime, &unused, guest_bus, |builder| {
            builder.emits(emits).pool(1, 1)
        })
        .await;
        let failed = raw.flush(7, &keys(["a", "b"])).await;
        assert!(failed.is_err(), "{failed:?}");
        assert_eq!(bus.last_seq(), None);

        *is_faulty.lock() = false;
        let flushed = raw.flush(8, &keys(["a", "b"])).await;
        flushed.expect("a new instance replaces it");
        assert_eq!(bus.last_seq().map(u64::from), Some(1));
    }
}
