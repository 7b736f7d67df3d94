//! Emits through the SDK.

use integration_tests::{Session, Trace, guests, on_each_backend};
use rangewatch::{Runtime, Selector, Val};

on_each_backend! {
    an_emit_is_one_event_with_its_keys,
    keys_that_do_not_fit_are_split_into_flushes,
    an_oversized_key_is_an_error_before_anything_is_emitted,
    the_empty_key_is_a_key,
    a_closed_bus_traps_an_emit_that_is_expected_to_succeed,
}

async fn emitter(runtime: &dyn Runtime) -> Session {
    Session::new(runtime, guests::EMITTER).await
}

async fn an_emit_is_one_event_with_its_keys(runtime: &dyn Runtime) -> Trace {
    let mut guest = emitter(runtime).await;
    guest.call("apply", &[Val::I64(7)]).await;
    guest.call("apply", &[Val::I64(-1)]).await;
    assert_eq!(
        guest.since(0),
        [
            "apply[I64(7)] = []",
            "emit 1 7 [\"test-100\", \"test-200\"]",
            "apply[I64(-1)] = []",
            "emit 2 18446744073709551615 [\"test-100\", \"test-200\"]",
        ]
    );
    guest.trace()
}

async fn keys_that_do_not_fit_are_split_into_flushes(runtime: &dyn Runtime) -> Trace {
    let mut guest = emitter(runtime).await;
    let mut one = guest
        .bus
        .subscribe(Selector::key("key-00004999"))
        .events(8)
        .expect("valid");
    guest
        .call("emit_range", &[Val::I64(1), Val::I32(0), Val::I32(5_000)])
        .await;
    // 12 bytes of key and 2 of length: 1,170 keys fit into 16,384 bytes.
    assert_eq!(guest.len(), 1 + 5_000_usize.div_ceil(1_170));
    let event = one.try_recv().expect("the last key");
    assert_eq!((event.value(), event.seq().get()), (1, 5));
    assert!(event.keys().eq([b"key-00004999"]));
    assert!(one.try_recv().is_err());
    guest.trace()
}

async fn an_oversized_key_is_an_error_before_anything_is_emitted(runtime: &dyn Runtime) -> Trace {
    let mut guest = emitter(runtime).await;
    let big = async |guest: &mut Session, n_bytes| {
        guest
            .call("emit_big", &[Val::I64(1), Val::I32(n_bytes)])
            .await
    };
    assert_eq!(big(&mut guest, 16_383).await, Some(vec![Val::I32(5)]));
    assert_eq!(guest.len(), 1, "nothing was emitted, the small key neither");
    assert_eq!(big(&mut guest, 16_382).await, Some(vec![Val::I32(0)]));
    assert!(guest.since(2).iter().all(|line| line.starts_with("emit ")));
    let n_bytes: usize = guest.since(2).iter().map(String::len).sum();
    assert!(n_bytes > 16_382, "the key arrived whole");
    guest.trace()
}

async fn the_empty_key_is_a_key(runtime: &dyn Runtime) -> Trace {
    let mut guest = emitter(runtime).await;
    guest.call("emit_empty_key", &[Val::I64(1)]).await;
    guest.call("emit_nothing", &[Val::I64(2)]).await;
    assert_eq!(
        guest.since(1),
        ["emit 1 1 [\"\"]", "emit_nothing[I64(2)] = []"]
    );
    guest.trace()
}

async fn a_closed_bus_traps_an_emit_that_is_expected_to_succeed(runtime: &dyn Runtime) -> Trace {
    let mut guest = emitter(runtime).await;
    guest.bus.close();
    guest.call("apply", &[Val::I64(1)]).await;
    guest.call("apply", &[Val::I64(2)]).await;
    assert_eq!(
        guest.since(0),
        ["apply[I64(1)]: abi Emit(Closed)", "apply[I64(2)]: gone"]
    );
    guest.trace()
}
