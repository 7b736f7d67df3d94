//! The guest ABI, row by row.

use rangewatch_bus::{RangeWatchBus, Selector};

use super::raw_guest::{RawGuest, Step, Verb, keys};
use crate::abi::AbiError;
use crate::{CallError, Limits, Runtime};

/// A flush is one emit with all its keys in order, empty and repeated ones included; a flush
/// without keys is not an emit.
pub async fn keys_of_one_flush_are_one_emit(runtime: &dyn Runtime) {
    let raw = RawGuest::new(runtime).await;
    let mut all = raw.bus.subscribe(Selector::all()).events(8).expect("valid");
    raw.flush(u64::MAX - 1, &keys(["b", "", "a", "b"]))
        .await
        .expect("emitted");
    raw.flush(3, &[]).await.expect("no trap");
    raw.flush(4, &keys([""])).await.expect("emitted");
    let event = all.try_recv().expect("one emit");
    assert_eq!(event.value(), u64::MAX - 1);
    assert!(event.keys().eq([&b"b"[..], b"", b"a", b"b"]));
    let event = all.try_recv().expect("another");
    assert_eq!(event.value(), 4, "the flush without keys is not an emit");
    assert!(event.keys().eq([b""]));
    assert!(all.try_recv().is_err());
}

/// The results of all verbs in all states.
pub async fn every_verb_has_its_result_in_every_state(runtime: &dyn Runtime) {
    verbs_in_every_state(RawGuest::new(runtime).await, "a=2").await;
}

/// The same for a guest of either generation. `delivered` is the delivery of the value 2 to `a`.
pub(super) async fn verbs_in_every_state(raw: RawGuest, delivered: &str) {
    // No watch.
    assert_eq!(raw.start("a").await, "Watch not found");
    assert_eq!(raw.stop("a").await, "Watch not found");
    // Reserved.
    assert_eq!(raw.reserve("a").await, "");
    assert_eq!(raw.reserve("a").await, "Watch exists");
    assert_eq!(raw.start("a").await, "Watch not found");
    assert_eq!(raw.stop("a").await, "");
    assert_eq!(raw.stop("a").await, "Watch not found");
    assert_eq!(raw.reserve("a").await, "");
    // Open.
    assert_eq!(raw.open("a", "k", "l").await, "");
    assert_eq!(raw.reserve("a").await, "Watch exists");
    assert_eq!(raw.open("a", "x", "y").await, "Watch already open");
    raw.emit(1, "x");
    raw.emit(2, "k1");
    // Started.
    assert_eq!(raw.start("a").await, "");
    assert_eq!(raw.start("a").await, "");
    assert_eq!(
        raw.drive().await,
        [delivered],
        "the first range is watched, the second start has no effect"
    );
    assert_eq!(raw.start("a").await, "");
    assert_eq!(raw.drive().await, [""; 0]);
    assert_eq!(raw.reserve("a").await, "Watch exists");
    assert_eq!(raw.open("a", "x", "y").await, "Watch already open");
    assert_eq!(raw.stop("a").await, "");
    raw.emit(3, "k1");
    assert_eq!(raw.drive().await, [""; 0]);
    // Stopped, and opened again.
    assert_eq!(raw.start("a").await, "Watch not found");
    assert_eq!(
        raw.open("a", "x", "y").await,
        "",
        "an open reserves by itself"
    );
    assert_eq!(raw.stop("a").await, "", "an open watch that never started");
    assert_eq!(raw.guest.n_watches(), 0);
    // An empty id is valid.
    assert_eq!(raw.reserve("").await, "");
    assert_eq!(raw.stop("").await, "");
    // A text longer than err_cap is cut.
    raw.poke(RawGuest::ERR_CAP, 5).await;
    assert_eq!(raw.stop("").await, "Watch");
}

/// Emits before `open` are not matched; those between `open` and `start` are held, and the start
/// delivers one recv with the first value.
pub async fn g25_a_start_delivers_the_first_value_held_since_open(runtime: &dyn Runtime) {
    let raw = RawGuest::new(runtime).await;
    assert_eq!(raw.reserve("w").await, "");
    raw.emit(1400, "k");
    assert_eq!(raw.open("w", "k", "l").await, "");
    for value in [1500, 1600, 1700, 1800] {
        raw.emit(value, "k");
    }
    assert_eq!(raw.drive().await, [""; 0], "not before start");
    assert_eq!(raw.start("w").await, "");
    assert_eq!(raw.drive().await, ["w=1500"]);
    raw.emit(1900, "k");
    assert_eq!(raw.drive().await, ["w=1900"]);
}

/// A watch holds one value: the first since its last recv began.
pub async fn a_burst_delivers_its_first_value_once(runtime: &dyn Runtime) {
    let raw = RawGuest::new(runtime).await;
    raw.follow("w", "k", "l").await;
    for value in 1..=2000 {
        raw.emit(value, "k");
    }
    assert_eq!(raw.drive().await, ["w=1"]);
    raw.bus.emit(2001, ["k", "k1", "k2"]).expect("open");
    assert_eq!(
        raw.drive().await,
        ["w=2001"],
        "several matching keys, one delivery"
    );
}

/// A range is `[from, to)`; the key `from` alone if `to` is empty or equal; no key if `to` is less.
pub async fn ranges_match_as_the_abi_says(runtime: &dyn Runtime) {
    let raw = RawGuest::new(runtime).await;
    raw.follow("range", "b", "d").await;
    raw.follow("key", "b", "").await;
    raw.follow("same", "c", "c").await;
    raw.follow("inverted", "d", "b").await;
    raw.follow("low", "", "a").await;
    raw.follow("empty", "", "").await;
    let cases: [(&str, &[&str]); 8] = [
        ("", &["empty=0", "low=0"]),
        ("\0", &["low=1"]),
        ("a", &[]),
        ("b", &["key=3", "range=3"]),
        ("b\0", &["range=4"]),
        ("c", &["range=5", "same=5"]),
        ("c\u{7f}", &["range=6"]),
        ("d", &[]),
    ];
    for (value, (key, expected)) in cases.into_iter().enumerate() {
        raw.emit(value as u64, key);
        let mut log = raw.drive().await;
        log.sort_unstable();
        assert_eq!(log, expected, "{key:?}");
    }
    for id in ["range", "key", "same", "inverted", "low", "empty"] {
        assert_eq!(raw.stop(id).await, "");
    }
}

/// Every malformed buffer traps with a message, and emits nothing.
pub async fn g30_malformed_buffers_trap_and_deliver_nothing(runtime: &dyn Runtime) {
    let bus = RangeWatchBus::new();
    let mut all = bus.subscribe(Selector::all()).events(8).expect("valid");
    let cut_short: [&[u8]; 4] = [b"\0", b"\0\x01", b"\0\x01a\0\x02b", b"\0\x01a\xff\xffb"];
    for buf in cut_short {
        let raw = RawGuest::on(runtime, &bus, |builder| builder).await;
        let error = raw.flush(1, buf).await.expect_err("cut short");
        assert!(
            matches!(
                &error,
                CallError::Abi {
                    source: AbiError::KeysCutShort { .. },
                    ..
                }
            ),
            "{error}"
        );
        assert!(matches!(
            raw.flush(1, &[]).await,
            Err(CallError::Gone { .. })
        ));
    }
    let wild: [(usize, u32, &str); 5] = [
        (RawGuest::BUF_LEN, 16_385, "buf_cap"),
        (RawGuest::BUF_LEN, u32::MAX, "buf_cap"),
        (RawGuest::BUF_CAP, 1, "buf_cap"),
        (RawGuest::ERR_CAP, u32::MAX, ""),
        (RawGuest::BUF_CAP, u32::MAX, ""),
    ];
    for (address, value, message) in wild {
        let raw = RawGuest::on(runtime, &bus, |builder| builder).await;
        raw.guest
            .with_memory(|memory| memory[RawGuest::BUF_LEN] = 2)
            .await
            .expect("there is an instance");
        raw.poke(address, value).await;
        match raw.guest.call("reserve", &[]).await {
            Ok(_) => assert_eq!(message, "", "a wrong capacity alone is not an error"),
            Err(error) => assert!(
                !message.is_empty() && super::text(&error).contains(message),
                "{error}"
            ),
        }
    }
    let raw = RawGuest::on(runtime, &bus, |builder| builder).await;
    raw.poke(RawGuest::BUF_CAP, u32::MAX).await;
    raw.poke(RawGuest::BUF_LEN, 65_536).await;
    let error = raw
        .guest
        .call("flush", &[])
        .await
        .expect_err("outside of memory");
    assert!(
        super::text(&error).contains("buf is outside of the memory"),
        "{error}"
    );
    for n_keys in [0, 1, 2, 4] {
        let raw = RawGuest::on(runtime, &bus, |builder| builder).await;
        let buf = keys(["w", "a", "b", "c"].into_iter().take(n_keys));
        let error = raw
            .verb(Verb::Open, &buf)
            .await
            .expect_err("three or nothing");
        assert!(super::text(&error).contains("exactly 3 keys"), "{error}");
    }
    assert!(all.try_recv().is_err(), "nothing was delivered");
    bus.emit(9, ["on"]).expect("the bus is open");
    assert_eq!(all.try_recv().expect("delivered").value(), 9);
}

/// A running recv stops its own watch and another one: both stops succeed without waiting, and no
/// recv of either follows.
pub async fn g24_stop_inside_recv_takes_effect_after_it(runtime: &dyn Runtime) {
    let raw = RawGuest::new(runtime).await;
    raw.follow("self", "a", "b").await;
    raw.follow("other", "b", "c").await;
    raw.plan([
        Step::Emit(2, "a"),
        Step::Emit(3, "b"),
        Step::Verb(Verb::Stop, b"self".to_vec()),
        Step::Verb(Verb::Stop, b"other".to_vec()),
        Step::Verb(Verb::Stop, b"other".to_vec()),
    ]);
    raw.emit(1, "a");
    assert_eq!(raw.drive().await, ["self=1", "Watch not found"]);
    raw.emit(4, "a");
    raw.emit(5, "b");
    assert_eq!(raw.drive().await, [""; 0]);
    assert_eq!(raw.guest.n_watches(), 0);
}

/// A recv reserves, opens and starts another watch, and then its own id again.
pub async fn verbs_work_inside_recv(runtime: &dyn Runtime) {
    let raw = RawGuest::new(runtime).await;
    raw.follow("w", "a", "b").await;
    raw.plan([
        Step::Verb(Verb::Reserve, b"w".to_vec()),
        Step::Verb(Verb::Reserve, b"v".to_vec()),
        Step::Verb(Verb::Open, keys(["v", "b", "c"])),
        Step::Verb(Verb::Open, keys(["v", "b", "c"])),
        Step::Verb(Verb::Start, b"v".to_vec()),
        Step::Verb(Verb::Stop, b"w".to_vec()),
        Step::Verb(Verb::Open, keys(["w", "c", "d"])),
        Step::Verb(Verb::Start, b"w".to_vec()),
    ]);
    raw.emit(1, "a");
    assert_eq!(
        raw.drive().await,
        ["w=1", "Watch exists", "Watch already open"]
    );
    raw.emit(2, "a");
    raw.emit(3, "b");
    raw.emit(4, "c");
    assert_eq!(raw.drive().await, ["v=3", "w=4"]);
}

/// An emit of a recv that matches its own watch causes the next recv of that watch.
pub async fn an_emit_inside_recv_is_the_next_recv(runtime: &dyn Runtime) {
    let raw = RawGuest::new(runtime).await;
    raw.follow("w", "a", "b").await;
    raw.plan([Step::Emit(2, "a"), Step::Emit(3, "a")]);
    raw.plan([Step::Emit(4, "a")]);
    raw.emit(1, "a");
    assert_eq!(raw.drive().await, ["w=1", "w=2", "w=4"]);
}

/// A recv that reports an error closes its watch and frees the id, also if the length of the report
/// exceeds its buffer; other watches and the instance stay.
pub async fn a_recv_that_reports_closes_its_watch(runtime: &dyn Runtime) {
    let raw = RawGuest::new(runtime).await;
    raw.follow("w", "a", "b").await;
    raw.follow("v", "a", "b").await;
    raw.plan([Step::Report("disk full", 9)]);
    raw.emit(1, "a");
    assert_eq!(raw.drive().await, ["w=1", "v=1"]);
    assert_eq!(
        raw.errors(),
        [
            "recv of watch \"w\" with value 1 failed: the guest reported `disk full`, and every watch of this recv was closed"
        ]
    );
    assert_eq!(raw.stop("w").await, "Watch not found");
    raw.follow("w", "b", "c").await;
    raw.plan([Step::Report("a\nb\u{1b}[0m", 7)]);
    raw.emit(2, "b");
    assert_eq!(raw.drive().await, ["w=2"]);
    let errors = raw.errors();
    assert!(
        errors[0].contains(r"reported `a\nb\u{1b}[0m`"),
        "{errors:?}"
    );
    raw.plan([Step::Report("x", 1025)]);
    raw.emit(2, "a");
    assert_eq!(raw.drive().await, ["v=2"]);
    let errors = raw.errors();
    assert!(
        errors[0].contains("err_len is 1025 but err_cap is 1024"),
        "{errors:?}"
    );
    raw.emit(3, "a");
    assert_eq!(raw.drive().await, [""; 0]);
    assert_eq!(raw.guest.n_watches(), 0);
    raw.follow("w", "a", "b").await;
    raw.emit(4, "a");
    assert_eq!(raw.drive().await, ["w=4"]);
}

/// The error text that the host wrote for a verb inside of recv is not a report; a text that the
/// guest writes over it is.
pub async fn a_recv_that_ignores_the_error_of_a_verb_keeps_its_watch(runtime: &dyn Runtime) {
    let raw = RawGuest::new(runtime).await;
    raw.follow("w", "a", "b").await;
    let fail = || Step::VerbUnchecked(Verb::Stop, b"none".to_vec());
    raw.plan([fail()]);
    raw.emit(1, "a");
    assert_eq!(raw.drive().await, ["w=1"]);
    assert_eq!(raw.errors(), [""; 0]);
    raw.plan([fail(), Step::Emit(3, "x")]);
    raw.emit(2, "a");
    assert_eq!(raw.drive().await, ["w=2", "Watch not found"]);
    assert_eq!(raw.errors(), [""; 0]);
    raw.plan([fail(), Step::Report("disk full", 9)]);
    raw.emit(4, "a");
    assert_eq!(raw.drive().await, ["w=4"]);
    let errors = raw.errors();
    assert!(errors[0].contains("reported `disk full`"), "{errors:?}");
    assert_eq!(raw.stop("w").await, "Watch not found");
}

/// An instance that traps in recv is dropped and its error is reported; the bus is not affected.
pub async fn g30_a_recv_that_traps_is_reported_and_loses_the_instance(runtime: &dyn Runtime) {
    let raw = RawGuest::new(runtime).await;
    raw.follow("w", "a", "b").await;
    raw.plan([Step::Trap]);
    raw.emit(1, "a");
    let error = raw
        .guest
        .drive_until_idle()
        .await
        .expect_err("no instance is left");
    assert!(matches!(error, CallError::Gone { .. }), "{error}");
    assert_eq!(raw.log(), ["w=1"]);
    let errors = raw.errors();
    assert!(
        errors[0].contains("`__range_watch_recv` trapped: unreachable"),
        "{errors:?}"
    );
    raw.emit(2, "a");
}

/// The error of a trap contains the text that the guest wrote before it, cut and escaped; a text
/// that the host or an earlier callback wrote is not part of it.
pub async fn a_trap_has_the_panic_text_of_the_guest(runtime: &dyn Runtime) {
    let trap_of = async |steps: Vec<Step>| {
        let raw = RawGuest::new(runtime).await;
        raw.follow("w", "a", "b").await;
        raw.plan([Step::Report("of an earlier callback", 22)]);
        raw.emit(1, "a");
        raw.drive().await;
        raw.follow("w", "a", "b").await;
        raw.errors();
        raw.plan(steps);
        raw.emit(2, "a");
        let _ = raw.guest.drive_until_idle().await;
        raw.errors().concat()
    };
    let text = "panicked at \u{1b}[1m:\né";
    let panic = Step::Report(text, text.len() as u32);
    let error = trap_of(vec![panic, Step::Trap]).await;
    assert!(error.contains(r": panicked at \u{1b}[1m:\né"), "{error}");
    let fail = Step::VerbUnchecked(Verb::Stop, b"none".to_vec());
    for steps in [vec![Step::Trap], vec![fail, Step::Trap]] {
        let error = trap_of(steps).await;
        assert!(error.contains("an abort of the guest)"), "{error}");
        let has_text = error.contains("earlier callback") || error.contains("Watch not found");
        assert!(!has_text, "{error}");
    }
    static TABS: [u8; 1024] = [b'\t'; 1024];
    let tabs = std::str::from_utf8(&TABS).expect("ASCII");
    let error = trap_of(vec![Step::Report(tabs, 1024), Step::Trap]).await;
    let tabs = |n| error.contains(&r"\t".repeat(n));
    assert!(tabs(512) && !tabs(513), "cut to 1,024 bytes: {error}");
}

/// Dropping a guest frees its watches in every state.
pub async fn g23_dropping_a_guest_frees_its_watches(runtime: &dyn Runtime) {
    let bus = RangeWatchBus::new();
    for _ in 0..3 {
        let raw = RawGuest::on(runtime, &bus, |builder| builder).await;
        assert_eq!(raw.reserve("reserved").await, "");
        assert_eq!(raw.open("open", "a", "b").await, "");
        raw.follow("live", "a", "b").await;
        raw.follow("due", "a", "b").await;
        raw.emit(1, "a");
        assert_eq!(raw.guest.n_watches(), 4);
        assert_eq!(bus.n_subscriptions(), 4, "reserved ones count");
        let RawGuest { guest, .. } = raw;
        drop(guest);
        assert_eq!(bus.n_subscriptions(), 0);
    }
}

/// Two guests on one bus use the same ids for different watches; what one emits reaches both.
pub async fn each_guest_has_its_own_ids(runtime: &dyn Runtime) {
    let bus = RangeWatchBus::new();
    let one = RawGuest::on(runtime, &bus, |builder| builder).await;
    let two = RawGuest::on(runtime, &bus, |builder| builder).await;
    one.follow("w", "a", "b").await;
    two.follow("w", "a", "b").await;
    one.flush(7, &keys(["a"])).await.expect("emitted");
    assert_eq!(one.drive().await, ["w=7"]);
    assert_eq!(two.drive().await, ["w=7"]);
    assert_eq!(one.stop("w").await, "");
    two.flush(8, &keys(["a"])).await.expect("emitted");
    assert_eq!(one.drive().await, [""; 0]);
    assert_eq!(two.drive().await, ["w=8"]);
}

/// After a close, the values that are held are delivered, then the watches are removed; new watches
/// and emits are refused.
pub async fn a_closed_bus_refuses_emits_and_watches(runtime: &dyn Runtime) {
    let raw = RawGuest::new(runtime).await;
    raw.follow("w", "a", "b").await;
    assert_eq!(raw.reserve("r").await, "");
    raw.emit(1, "a");
    raw.bus.close();
    assert_eq!(raw.drive().await, ["w=1"]);
    assert_eq!(
        raw.stop("w").await,
        "Watch not found",
        "it was drained and closed"
    );
    assert_eq!(raw.reserve("x").await, "Watch closed");
    assert_eq!(raw.open("x", "a", "b").await, "Watch closed");
    assert_eq!(raw.open("r", "a", "b").await, "Watch closed");
    let error = raw.flush(2, &keys(["a"])).await.expect_err("closed");
    assert!(
        matches!(
            &error,
            CallError::Abi {
                source: AbiError::Emit(_),
                ..
            }
        ),
        "{error}"
    );
}

/// The number of watches is limited; a verb beyond the limit returns an error.
pub async fn watches_are_limited(runtime: &dyn Runtime) {
    let raw = RawGuest::on(runtime, &RangeWatchBus::new(), |builder| {
        builder.limits(Limits::default().watches(2))
    })
    .await;
    assert_eq!(raw.reserve("a").await, "");
    assert_eq!(raw.open("b", "x", "y").await, "");
    assert_eq!(raw.reserve("c").await, "Watch limit reached");
    assert_eq!(raw.open("c", "x", "y").await, "Watch limit reached");
    assert_eq!(
        raw.open("a", "x", "y").await,
        "",
        "a reserved watch is counted already"
    );
    assert_eq!(raw.stop("a").await, "");
    assert_eq!(raw.open("c", "x", "y").await, "");

    let raw = RawGuest::on(runtime, &RangeWatchBus::new(), |builder| {
        builder.limits(Limits::default().watch_bytes(3))
    })
    .await;
    assert_eq!(raw.open("a", "x", "y").await, "");
    assert_eq!(raw.reserve("b").await, "Watch limit reached");
    assert_eq!(raw.open("a", "x", "y").await, "Watch already open");
    assert_eq!(raw.start("a").await, "");
    assert_eq!(raw.open("a", "x", "y").await, "Watch already open");
}

/// A guest without a recv export emits, reserves and opens; `start` traps with a message.
pub async fn a_guest_without_recv_cannot_start_a_watch(runtime: &dyn Runtime) {
    let text = super::RAW_GUEST.replace("__range_watch_recv", "no_recv");
    let guest = super::guest(runtime, &text, |builder| {
        builder.host_function("test", "received", |_cx, ()| Ok(0_i32))
    })
    .await;
    super::call(&guest, "flush", &[]).await;
    let error = super::call_err(&guest, "start").await;
    assert!(
        super::text(&error).contains("start needs the export `__range_watch_recv`"),
        "{error}"
    );
}

/// A flush of more bytes than the limit traps and emits nothing; one of as many is an emit.
pub async fn a_flush_is_bounded(runtime: &dyn Runtime) {
    for (n_bytes, is_allowed) in [(6, true), (7, false)] {
        let bus = RangeWatchBus::new();
        let raw = RawGuest::on(runtime, &bus, |builder| {
            builder.limits(Limits::default().flush_bytes(6))
        })
        .await;
        let key = "k".repeat(n_bytes - 2);
        let result = raw.flush(1, &keys([key.as_str()])).await;
        assert_eq!(result.is_ok(), is_allowed);
        assert_eq!(bus.last_seq().is_some(), is_allowed);
        if let Err(error) = result {
            assert!(
                super::text(&error).contains("`Limits::flush_bytes` is 6"),
                "{error}"
            );
        }
    }
}
