//! Engines of the embedder, and the settings of our own.

use rangewatch_runtime::{BuildError, Profile, Proposal, Runtime, conformance};
use rangewatch_wasmtime::Wasmtime;
use rangewatch_wasmtime::wasmtime::{Config, Engine};

type Configure = fn(&mut Config) -> &mut Config;

fn engine(configure: impl FnOnce(&mut Config) -> &mut Config) -> Engine {
    let mut config = Config::new();
    config.cranelift_nan_canonicalization(true);
    configure(&mut config);
    Engine::new(&config).expect("wasmtime supports this machine")
}

#[test]
fn an_engine_that_cannot_run_guests_is_refused_with_what_to_change() {
    let cases: [(Configure, &str); 4] = [
        (
            |config| config.epoch_interruption(true),
            "epoch_interruption(false)",
        ),
        (
            |config| config.cranelift_nan_canonicalization(false),
            "cranelift_nan_canonicalization(true)",
        ),
        (
            |config| config.max_wasm_stack(512 << 10).async_stack_size(513 << 10),
            "async_stack_size",
        ),
        (|config| config.enable_compiler(false), "enable_compiler"),
    ];
    for (configure, what) in cases {
        match Wasmtime::with_engine(engine(configure)) {
            Err(BuildError::Unsuited { needs }) => assert!(needs.contains(what), "{needs}"),
            other => panic!("{what}: {other:?}"),
        }
    }
    let error = Wasmtime::with_engine(engine(|config| config.wasm_bulk_memory(false)));
    assert!(matches!(error, Err(BuildError::Baseline(_))), "{error:?}");
}

#[test]
fn a_given_engine_says_whether_it_counts_fuel() {
    conformance::run(async || {
        for is_metered in [true, false] {
            let engine = engine(|config| config.consume_fuel(is_metered));
            let runtime = Wasmtime::with_engine(engine).expect("suited");
            let module = runtime.load(b"\0asm\x01\0\0\0").await.expect("valid");
            assert_eq!(module.is_metered(), is_metered);
        }
    });
}

#[test]
fn what_the_engine_fixes_cannot_be_set_beside_it() {
    let builder = || Wasmtime::builder().engine(engine(|config| config.consume_fuel(true)));
    for builder in [builder().max_stack_bytes(1 << 20), builder().unmetered()] {
        let error = builder.build().expect_err("no effect");
        assert!(matches!(error, BuildError::FixedByEngine { .. }), "{error}");
    }
}

#[test]
fn an_engine_without_a_proposal_lacks_it() {
    let lacking = |engine| {
        let builder = Wasmtime::builder().profile(Profile::Extended);
        let runtime = builder.engine(engine).build().expect("suited");
        runtime.lacking().to_vec()
    };
    assert_eq!(lacking(engine(|config| config)), []);
    let without = engine(|config| config.wasm_exceptions(false));
    assert_eq!(lacking(without), [Proposal::ExceptionHandling]);
    let without = engine(|config| config.wasm_tail_call(false));
    assert_eq!(lacking(without), [Proposal::TailCalls]);
}

#[test]
fn a_stack_limit_without_sense_is_an_error() {
    for bytes in [0, 1, (16 << 10) - 1, (64 << 20) + 1, usize::MAX] {
        let error = Wasmtime::builder().max_stack_bytes(bytes).build();
        let error = error.expect_err("out of range");
        assert!(
            error.to_string().contains("choose from 16384 to 67108864"),
            "{error}"
        );
    }
    for bytes in [16 << 10, 64 << 20] {
        let runtime = Wasmtime::builder().max_stack_bytes(bytes).build();
        runtime.expect("in range");
    }
}

#[test]
fn the_stack_is_bounded_by_the_limit() {
    conformance::run(async || {
        let build = |bytes| Wasmtime::builder().max_stack_bytes(bytes).build();
        let (small, large) = (build(16 << 10), build(8 << 20));
        conformance::calls_nest_as_deep_as_the_stack_allows(
            &small.expect("in range"),
            &Wasmtime::new(),
            &large.expect("in range"),
        )
        .await;
    });
}
