//! Engines of the embedder, and the settings of our own.

use rangewatch_runtime::{BuildError, Profile, Runtime, conformance};
use rangewatch_wasmi::Wasmi;
use rangewatch_wasmi::wasmi::{CompilationMode, Config, Engine};

fn with_config(configure: impl FnOnce(&mut Config) -> &mut Config) -> Result<Wasmi, BuildError> {
    let mut config = Config::default();
    config.compilation_mode(CompilationMode::Eager);
    configure(&mut config);
    Wasmi::with_engine(Engine::new(&config))
}

#[test]
fn an_engine_that_cannot_run_guests_is_refused_with_what_to_change() {
    let needs = |configure: fn(&mut Config) -> &mut Config| match with_config(configure) {
        Err(BuildError::Unsuited { needs }) => needs,
        other => panic!("{other:?}"),
    };
    for mode in [CompilationMode::Lazy, CompilationMode::LazyTranslation] {
        let lazy = with_config(|config| config.consume_fuel(true).compilation_mode(mode));
        let error = lazy.expect_err("lazy").to_string();
        assert!(error.contains("CompilationMode::Eager"), "{error}");
    }
    let shallow = needs(|config| config.set_max_recursion_depth(1));
    assert!(shallow.contains("set_max_recursion_depth"), "{shallow}");
    let error = with_config(|config| config.wasm_simd(false));
    assert!(matches!(error, Err(BuildError::Baseline(_))), "{error:?}");
}

#[test]
fn a_given_engine_says_whether_it_counts_fuel() {
    conformance::run(async || {
        let wasm = b"\0asm\x01\0\0\0";
        for is_metered in [true, false] {
            let runtime = with_config(|config| config.consume_fuel(is_metered));
            let module = runtime.expect("suited").load(wasm).await.expect("valid");
            assert_eq!(module.is_metered(), is_metered);
        }
        // Without fuel nothing is charged for a translation, and no call is suspended in one.
        with_config(|config| config.compilation_mode(CompilationMode::Lazy)).expect("suited");
    });
}

#[test]
fn what_the_engine_fixes_cannot_be_set_beside_it() {
    let engine = || {
        let mut config = Config::default();
        config
            .compilation_mode(CompilationMode::Eager)
            .consume_fuel(true);
        Wasmi::builder().engine(Engine::new(&config))
    };
    for builder in [engine().max_stack_bytes(1 << 20), engine().unmetered()] {
        let error = builder.build().expect_err("no effect");
        assert!(matches!(error, BuildError::FixedByEngine { .. }), "{error}");
    }
    let runtime = engine().profile(Profile::Extended).build().expect("suited");
    assert_eq!(runtime.profile(), Profile::Extended);
}

#[test]
fn a_stack_limit_without_sense_is_an_error() {
    for bytes in [0, 1, (16 << 10) - 1, (64 << 20) + 1, usize::MAX] {
        let error = Wasmi::builder().max_stack_bytes(bytes).build();
        let error = error.expect_err("out of range");
        assert!(
            error.to_string().contains("choose from 16384 to 67108864"),
            "{error}"
        );
    }
    for bytes in [16 << 10, 64 << 20] {
        let runtime = Wasmi::builder().max_stack_bytes(bytes).build();
        runtime.expect("in range");
    }
}

#[test]
fn the_stack_is_bounded_by_the_limit() {
    conformance::run(async || {
        let build = |bytes| Wasmi::builder().max_stack_bytes(bytes).build();
        let (small, large) = (build(16 << 10), build(8 << 20));
        conformance::calls_nest_as_deep_as_the_stack_allows(
            &small.expect("in range"),
            &Wasmi::new(),
            &large.expect("in range"),
        )
        .await;
    });
}
