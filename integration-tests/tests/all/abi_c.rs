//! A guest in C that uses the guest ABI without an SDK.

use integration_tests::{Session, Trace, guests, on_each_backend};
use rangewatch::{Runtime, Val};

on_each_backend! {
    a_guest_without_an_sdk_works_unchanged,
    ranges_are_sent_as_they_are,
    g30_what_breaks_the_abi_traps_that_guest_only,
    a_report_longer_than_its_buffer_is_a_report,
    g30_wild_addresses_of_the_meta_page_are_caught,
}

async fn guest(runtime: &dyn Runtime) -> Session {
    Session::new(runtime, guests::ABI_C).await
}

fn i32s(args: &[i32]) -> Vec<Val> {
    args.iter().map(|arg| Val::I32(*arg)).collect()
}

async fn a_guest_without_an_sdk_works_unchanged(runtime: &dyn Runtime) -> Trace {
    let mut guest = guest(runtime).await;
    for (verb, code) in [("reserve", 0), ("reserve", 1), ("start", 2)] {
        assert_eq!(guest.code(verb, 7).await, code);
    }
    assert_eq!(
        guest.call("open", &i32s(&[7, 100, 300])).await,
        Some(i32s(&[0]))
    );
    assert_eq!(
        guest.call("open", &i32s(&[7, 100, 300])).await,
        Some(i32s(&[3]))
    );
    guest
        .call("emit_pair", &[Val::I64(5), Val::I32(100), Val::I32(200)])
        .await;
    guest.call("emit", &[Val::I64(6), Val::I32(150)]).await;
    assert_eq!(guest.code("start", 7).await, 0);
    assert_eq!(guest.drive().await, Ok(1));
    assert_eq!(guest.code("received_id", 0).await, 7);
    assert_eq!(guest.call("last_value", &[]).await, Some(vec![Val::I64(5)]));
    assert_eq!(guest.code("stop", 7).await, 0);
    assert_eq!(guest.code("stop", 7).await, 2);
    let trace = guest.trace();
    assert!(
        trace
            .iter()
            .any(|line| line == "emit 1 5 [\"test-100\", \"test-200\"]")
    );
    trace
}

async fn ranges_are_sent_as_they_are(runtime: &dyn Runtime) -> Trace {
    let mut guest = guest(runtime).await;
    guest.call("open_key", &i32s(&[1, 100])).await;
    guest.call("open", &i32s(&[2, 200, 200])).await;
    guest.call("open", &i32s(&[3, 300, 100])).await;
    for id in 1..=3 {
        guest.code("start", id).await;
    }
    for (value, key) in ["test-100", "test-200", "test-150"].into_iter().enumerate() {
        guest.emit(value as u64, key);
    }
    assert_eq!(
        guest.drive().await,
        Ok(2),
        "a key, equal bounds, and a range that never matches"
    );
    assert_eq!(guest.code("received_id", 0).await, 1);
    assert_eq!(guest.code("received_id", 1).await, 2);
    assert_eq!(guest.code("stop", 3).await, 0);
    guest.trace()
}

async fn g30_what_breaks_the_abi_traps_that_guest_only(runtime: &dyn Runtime) -> Trace {
    let mut trace = Trace::new();
    let breaks: [(&str, Vec<Val>); 6] = [
        ("open_parts", i32s(&[1, 0])),
        ("open_parts", i32s(&[1, 2])),
        ("open_parts", i32s(&[1, 4])),
        // The buffer is zeroed: with an odd length the last key is truncated.
        ("raw", vec![Val::I32(0), Val::I64(1), Val::I32(3)]),
        ("raw", vec![Val::I32(0), Val::I64(1), Val::I32(16_385)]),
        ("raw", vec![Val::I32(1), Val::I64(1), Val::I32(-1)]),
    ];
    for (export, args) in breaks {
        let mut guest = guest(runtime).await;
        assert_eq!(guest.call(export, &args).await, None);
        assert!(guest.since(0)[0].contains(": abi "), "{:?}", guest.since(0));
        assert_eq!(guest.len(), 1, "nothing was emitted");
        guest.emit(1, "the bus goes on");
        trace.extend(guest.trace());
    }
    trace
}

async fn a_report_longer_than_its_buffer_is_a_report(runtime: &dyn Runtime) -> Trace {
    let mut guest = guest(runtime).await;
    guest.call("open", &i32s(&[1, 100, 300])).await;
    guest.code("start", 1).await;
    guest.call("fail_recv", &i32s(&[70_000])).await;
    guest.emit(1, "test-100");
    assert_eq!(guest.drive().await, Ok(1));
    assert_eq!(guest.code("stop", 1).await, 2, "its watch is closed");
    guest.call("fail_recv", &i32s(&[0])).await;
    guest.call("open", &i32s(&[1, 100, 300])).await;
    guest.code("start", 1).await;
    guest.emit(2, "test-100");
    assert_eq!(guest.drive().await, Ok(1), "and the guest goes on");
    guest.trace()
}

async fn g30_wild_addresses_of_the_meta_page_are_caught(runtime: &dyn Runtime) -> Trace {
    let mut trace = Trace::new();
    // The capacity is beyond the memory, so the bounds check of the buffer has to catch the length.
    for len in [1 << 30, i32::MAX, -1] {
        let mut guest = guest(runtime).await;
        guest.call("set_caps", &i32s(&[-1, -1])).await;
        assert_eq!(
            guest
                .call("raw", &[Val::I32(0), Val::I64(1), Val::I32(len)])
                .await,
            None
        );
        assert!(
            guest.since(1)[0].contains("OutOfBounds { what: \"buf\""),
            "{:?}",
            guest.since(1)
        );
        trace.extend(guest.trace());
    }
    trace
}
