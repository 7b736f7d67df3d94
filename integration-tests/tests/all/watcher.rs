//! Watches through the SDK, and the calls that a handler may make.

use integration_tests::{Session, Trace, guests, on_each_backend};
use rangewatch::{GuestBuilder, Limits, Runtime, Val};

use super::languages::{Language, in_each_language};

in_each_language! {
    the_sdk_has_a_variant_for_every_error_of_the_host,
    the_sdk_refuses_what_the_abi_cannot_encode,
    ranges_of_the_sdk_match_their_keys,
    g25_a_held_burst_arrives_as_its_first_value,
    a_handler_that_emits_into_its_own_range_receives_that_next,
    a_handler_may_stop_itself_and_others,
    a_handler_may_start_another_watch,
    a_handler_that_fails_loses_its_watch,
    a_verb_that_fails_inside_a_handler_does_not_fail_the_handler,
    g30_a_handler_that_spins_runs_out_of_fuel,
}

on_each_backend! {
    g30_a_handler_that_traps_loses_the_instance,
    a_panic_is_reported_with_its_text,
    g34_without_wasi_a_guest_is_a_plain_module,
}

const SPIN: i32 = 7;
const PANIC: i32 = 10;

async fn watcher(runtime: &dyn Runtime, language: Language) -> Session {
    watcher_with(runtime, language, |builder| builder).await
}

async fn watcher_with(
    runtime: &dyn Runtime,
    language: Language,
    configure: impl FnOnce(GuestBuilder<'_>) -> GuestBuilder<'_>,
) -> Session {
    let wasm = language.choose(guests::WATCHER, guests::WATCHER_C, guests::WATCHER_GO);
    language.session(runtime, wasm, configure).await
}

/// The fuel of an emit of three keys in a loop in one call, without that of the host.
#[cfg(feature = "wasmtime")]
async fn fuel_per_emit(runtime: &dyn Runtime, language: Language) -> f64 {
    use rangewatch::runtime::abi::Outcome;

    // More than the runtime of Go takes to start.
    let fuels = [20_000_000, 24_000_000];
    let mut n_emits = [0.0; 2];
    for (n_emits, fuel) in n_emits.iter_mut().zip(fuels) {
        let limits = Limits::default().fuel_per_call(fuel);
        let guest = watcher_with(runtime, language, |builder| builder.limits(limits)).await;
        let args = [Val::I64(1), Val::I32(-1), Val::I32(100)];
        let call = guest.guest.call("emit_loop", &args).await;
        assert_eq!(
            call.map_err(|error| integration_tests::kind(&error)),
            Err("trap OutOfFuel in emit_loop".to_owned())
        );
        let last = guest.bus.last_seq().expect("it has emitted");
        *n_emits = last.get() as f64;
    }
    // Three keys of eight bytes.
    let n_bytes = 3 * (8 + 2);
    let of_host = Outcome::UNITS_PER_FLUSH + 3 * Outcome::UNITS_PER_KEY;
    let of_host = of_host + n_bytes / Outcome::BYTES_PER_UNIT;
    (fuels[1] - fuels[0]) as f64 / (n_emits[1] - n_emits[0]) - of_host as f64
}

async fn received(guest: &mut Session) -> Vec<(i32, i64)> {
    let Some([Val::I64(n)]) = guest.call("n_received", &[]).await.as_deref().map(first) else {
        panic!("n_received gave no i64");
    };
    let mut all = Vec::new();
    for index in 0..n as i32 {
        let id = guest.code("received_id", index).await;
        let value = guest.call("received_value", &[Val::I32(index)]).await;
        let Some([Val::I64(value)]) = value.as_deref().map(first) else {
            panic!("received_value gave no i64");
        };
        all.push((id, value));
    }
    all
}

fn first(vals: &[Val]) -> [Val; 1] {
    [vals[0]]
}

async fn set_mode(guest: &mut Session, mode: i32, arg: i32) {
    guest
        .call("set_mode", &[Val::I32(mode), Val::I32(arg)])
        .await;
}

async fn the_sdk_has_a_variant_for_every_error_of_the_host(
    runtime: &dyn Runtime,
    language: Language,
) -> Trace {
    let mut guest = watcher(runtime, language).await;
    let script = [
        ("start", 2),
        ("stop", 2),
        ("reserve", 0),
        ("reserve", 1),
        ("start", 2),
        ("open", 0),
        ("open", 3),
        ("reserve", 1),
        ("start", 0),
        ("start", 0),
        ("stop", 0),
        ("stop", 2),
        ("follow", 0),
        ("follow", 1),
    ];
    for (verb, code) in script {
        assert_eq!(guest.code(verb, 1).await, code, "{:?}", guest.since(0));
    }
    guest.bus.close();
    assert_eq!(guest.code("reserve", 2).await, 4);
    assert_eq!(guest.code("open", 2).await, 4);
    assert_eq!(guest.call("register", &[]).await, Some(vec![Val::I32(8)]));
    guest.trace()
}

async fn the_sdk_refuses_what_the_abi_cannot_encode(
    runtime: &dyn Runtime,
    language: Language,
) -> Trace {
    let mut guest = watcher(runtime, language).await;
    assert_eq!(guest.code("open_all", 1).await, 7);
    let range = [Val::I32(1), Val::I32(200), Val::I32(100)];
    assert_eq!(
        guest.call("open_range", &range).await,
        Some(vec![Val::I32(6)])
    );
    assert_eq!(guest.code("open_big", 16_378).await, 5);
    assert_eq!(guest.code("open_big", 16_377).await, 0);
    guest.trace()
}

async fn ranges_of_the_sdk_match_their_keys(runtime: &dyn Runtime, language: Language) -> Trace {
    let mut guest = watcher(runtime, language).await;
    guest
        .call("open_range", &[Val::I32(1), Val::I32(100), Val::I32(300)])
        .await;
    guest.call("open_key", &[Val::I32(2), Val::I32(300)]).await;
    guest.code("open_prefix", 3).await;
    guest.code("open_empty_key", 4).await;
    for id in 1..=4 {
        assert_eq!(guest.code("start", id).await, 0);
    }
    let cases: [(&str, &[i32]); 7] = [
        ("test-099", &[3]),
        ("test-100", &[1, 3]),
        ("test-299zz", &[1, 3]),
        ("test-300", &[2, 3]),
        ("test-3000", &[3]),
        ("", &[4]),
        ("test.", &[]),
    ];
    for (value, (key, expected)) in cases.into_iter().enumerate() {
        guest.emit(value as u64, key);
        guest.drive().await.expect("an instance");
        let mut ids: Vec<_> = received(&mut guest)
            .await
            .into_iter()
            .map(|(id, _)| id)
            .collect();
        ids.sort_unstable();
        assert_eq!(ids, expected, "{key:?}");
        guest.call("clear", &[]).await;
    }
    guest.trace()
}

async fn g25_a_held_burst_arrives_as_its_first_value(
    runtime: &dyn Runtime,
    language: Language,
) -> Trace {
    let mut guest = watcher(runtime, language).await;
    guest.code("reserve", 1).await;
    guest.emit(1400, "test-100");
    guest.code("open", 1).await;
    for value in [1500, 1600, 1700, 1800] {
        guest.emit(value, "test-100");
    }
    assert_eq!(guest.drive().await, Ok(0));
    guest.code("start", 1).await;
    assert_eq!(guest.drive().await, Ok(1));
    assert_eq!(received(&mut guest).await, [(1, 1500)]);
    guest.trace()
}

async fn a_handler_that_emits_into_its_own_range_receives_that_next(
    runtime: &dyn Runtime,
    language: Language,
) -> Trace {
    let mut guest = watcher(runtime, language).await;
    guest.code("follow", 1).await;
    set_mode(&mut guest, 1, 3).await;
    guest.emit(10, "test-200");
    assert_eq!(guest.drive().await, Ok(4));
    assert_eq!(
        received(&mut guest).await,
        [(1, 10), (1, 11), (1, 12), (1, 13)]
    );
    guest.trace()
}

async fn a_handler_may_stop_itself_and_others(runtime: &dyn Runtime, language: Language) -> Trace {
    let mut guest = watcher(runtime, language).await;
    guest.code("follow", 1).await;
    guest.code("follow", 2).await;
    set_mode(&mut guest, 3, 2).await;
    guest.emit(1, "test-100");
    assert_eq!(guest.drive().await, Ok(1), "the first stopped the second");
    set_mode(&mut guest, 2, 0).await;
    guest.emit(2, "test-100");
    assert_eq!(guest.drive().await, Ok(1));
    guest.emit(3, "test-100");
    assert_eq!(guest.drive().await, Ok(0));
    assert_eq!(received(&mut guest).await, [(1, 1), (1, 2)]);
    assert_eq!(guest.guest.n_watches(), 0);
    guest.trace()
}

async fn a_handler_may_start_another_watch(runtime: &dyn Runtime, language: Language) -> Trace {
    let mut guest = watcher(runtime, language).await;
    guest.code("follow", 1).await;
    set_mode(&mut guest, 4, 2).await;
    guest.emit(1, "test-100");
    assert_eq!(guest.drive().await, Ok(1));
    assert_eq!(guest.call("last_code", &[]).await, Some(vec![Val::I32(0)]));
    set_mode(&mut guest, 0, 0).await;
    guest.emit(2, "test-100");
    assert_eq!(guest.drive().await, Ok(2));
    guest.trace()
}

async fn a_handler_that_fails_loses_its_watch(runtime: &dyn Runtime, language: Language) -> Trace {
    let mut guest = watcher(runtime, language).await;
    for (mode, arg) in [(5, 0), (9, 5_000)] {
        guest.code("follow", 1).await;
        set_mode(&mut guest, mode, arg).await;
        guest.emit(1, "test-100");
        assert_eq!(guest.drive().await, Ok(1));
        assert_eq!(guest.code("stop", 1).await, 2, "the id is free");
    }
    let trace = guest.trace();
    assert!(
        trace
            .iter()
            .any(|line| line == "recv w1=1: reported the watcher fails on purpose")
    );
    assert!(
        trace
            .iter()
            .any(|line| line.len() > 1_024 && line.starts_with("recv w1=1: reported ee"))
    );
    trace
}

async fn a_verb_that_fails_inside_a_handler_does_not_fail_the_handler(
    runtime: &dyn Runtime,
    language: Language,
) -> Trace {
    let mut guest = watcher(runtime, language).await;
    guest.code("follow", 1).await;
    set_mode(&mut guest, 8, 0).await;
    guest.emit(1, "test-100");
    assert_eq!(guest.drive().await, Ok(1));
    assert_eq!(guest.call("last_code", &[]).await, Some(vec![Val::I32(2)]));
    guest.emit(2, "test-100");
    assert_eq!(guest.drive().await, Ok(1), "the watch is still there");
    guest.trace()
}

async fn g30_a_handler_that_traps_loses_the_instance(runtime: &dyn Runtime) -> Trace {
    let mut guest = watcher(runtime, Language::Rust).await;
    guest.code("follow", 1).await;
    set_mode(&mut guest, 6, 0).await;
    guest.emit(1, "test-100");
    // The watch stays ready, and there is no instance for its next callback.
    let before = guest.len();
    assert_eq!(guest.drive().await, Err("gone".to_owned()));
    assert_eq!(
        guest.since(before + 1),
        ["recv w1=1: trap Unreachable in __range_watch_recv"]
    );
    assert_eq!(guest.call("n_received", &[]).await, None);
    guest.emit(2, "test-100");
    guest.trace()
}

async fn a_panic_is_reported_with_its_text(runtime: &dyn Runtime) -> Trace {
    let mut guest = watcher(runtime, Language::Rust).await;
    guest.code("follow", 1).await;
    set_mode(&mut guest, PANIC, 0).await;
    guest.emit(1, "test-100");
    let before = guest.len();
    assert_eq!(guest.drive().await, Err("gone".to_owned()));
    let line = &guest.since(before + 1)[0];
    assert!(
        line.starts_with("recv w1=1: trap Unreachable in __range_watch_recv: panicked at ")
            && line.ends_with("the watcher panics on purpose"),
        "{line}"
    );
    guest.trace()
}

async fn g30_a_handler_that_spins_runs_out_of_fuel(
    runtime: &dyn Runtime,
    language: Language,
) -> Trace {
    let fuel = match language {
        Language::Rust | Language::C => 5_000_000,
        // Its runtime takes some to start.
        Language::Go => 50_000_000,
    };
    let limits = Limits::default().fuel_per_call(fuel).fuel_slice(10_000);
    let mut guest = watcher_with(runtime, language, |builder| builder.limits(limits)).await;
    guest.code("follow", 1).await;
    set_mode(&mut guest, SPIN, 0).await;
    guest.emit(1, "test-100");
    let before = guest.len();
    assert_eq!(guest.drive().await, Err("gone".to_owned()));
    assert_eq!(
        guest.since(before + 1),
        ["recv w1=1: trap OutOfFuel in __range_watch_recv"]
    );
    guest.trace()
}

async fn g34_without_wasi_a_guest_is_a_plain_module(runtime: &dyn Runtime) -> Trace {
    let module = runtime.load(guests::WATCHER).await.expect("it loads");
    let imports: Vec<_> = module
        .info()
        .imports()
        .iter()
        .map(|i| i.name.clone())
        .collect();
    assert!(
        imports
            .iter()
            .all(|name| name.starts_with("__range_watch_")),
        "{imports:?}"
    );
    imports
}

/// Fuel counts the instructions of a guest.
#[cfg(feature = "wasmtime")]
#[test]
fn an_emit_in_go_costs_at_most_twice_as_much_as_in_c() {
    integration_tests::run(async || {
        let runtime = rangewatch::Wasmtime::new();
        let c = fuel_per_emit(&runtime, Language::C).await;
        let go = fuel_per_emit(&runtime, Language::Go).await;
        assert!(go <= 2.0 * c, "{go} units of fuel in Go, {c} in C");
    });
}
