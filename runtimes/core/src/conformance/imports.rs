//! Which modules are loaded and linked, and which are refused.

use rangewatch_bus::RangeWatchBus;

use super::{load, try_load};
use crate::{Guest, GuestBuilder, InstantiateError, LoadError, Proposal, Runtime};

/// A module that uses only features of the profile loads, and one that uses others is refused, on
/// every engine.
pub async fn modules_outside_of_the_profile_are_refused(runtime: &dyn Runtime) {
    let inside = [
        "(module (func (result v128) v128.const i32x4 1 2 3 4))",
        "(module (func (result i32 i32) i32.const 1 i32.const 2))",
        "(module (memory 1) (func i32.const 0 i32.const 0 i32.const 0 memory.copy))",
        "(module (func (param i32) (result i32) local.get 0 i32.extend8_s))",
        "(module (func (param f32) (result i32) local.get 0 i32.trunc_sat_f32_u))",
        "(module (global i32 (i32.add (i32.const 1) (i32.const 2))))",
        "(module (table 1 funcref) (func (result funcref) i32.const 0 table.get 0))",
        "(module (global (mut i64) (i64.const 1)))",
    ];
    let outside: [(&[Proposal], &str); 19] = [
        (&[Proposal::Threads], "(module (memory 1 1 shared))"),
        (
            &[Proposal::Threads],
            "(module (import \"env\" \"memory\" (memory 1 1 shared)))",
        ),
        (
            &[Proposal::Threads],
            "(module (memory 1) (func i32.const 0 i32.atomic.load drop))",
        ),
        (
            &[Proposal::SharedEverythingThreads],
            "(module (global (shared i32) (i32.const 1)))",
        ),
        (&[Proposal::TailCalls], "(module (func $f return_call $f))"),
        (
            &[Proposal::GarbageCollection],
            "(module (type (struct (field i32))))",
        ),
        (
            &[Proposal::FunctionReferences],
            "(module (type $f (func)) (func (param (ref $f)) local.get 0 call_ref $f))",
        ),
        (
            &[Proposal::ExternalReferences],
            "(module (func (param externref)))",
        ),
        (&[Proposal::ExceptionHandling], "(module (tag))"),
        (
            &[Proposal::ExceptionHandling],
            "(module (func (param exnref)))",
        ),
        (
            &[Proposal::ExceptionHandling],
            "(module (func (block (try_table (catch_all 0)))))",
        ),
        (
            &[Proposal::LegacyExceptionHandling],
            "(module (func try catch_all end))",
        ),
        (&[Proposal::Memory64], "(module (memory i64 1))"),
        (
            &[Proposal::MultipleMemories],
            "(module (memory 1) (memory 1))",
        ),
        (
            &[Proposal::RelaxedSimd],
            "(module (func (param v128 v128) (result v128) local.get 0 local.get 1 i8x16.relaxed_swizzle))",
        ),
        (
            &[Proposal::WideArithmetic],
            "(module (func (param i64 i64) (result i64 i64) local.get 0 local.get 1 i64.mul_wide_s))",
        ),
        (
            &[Proposal::CustomPageSizes],
            "(module (memory 1 (pagesize 1)))",
        ),
        (
            &[Proposal::StackSwitching],
            "(module (type $f (func)) (type $c (cont $f)))",
        ),
        (
            &[Proposal::TailCalls, Proposal::Memory64],
            "(module (memory i64 1) (func $f return_call $f))",
        ),
    ];
    for text in inside {
        if let Err(error) = try_load(runtime, text).await {
            panic!("{text}: {error}");
        }
    }
    let profile = runtime.profile();
    let is_inside = |proposal: &Proposal| profile.proposals().contains(proposal);
    for (needed, text) in outside {
        let mut expected: Vec<_> = needed.iter().copied().filter(|p| !is_inside(p)).collect();
        let is_outside = !expected.is_empty();
        if !is_outside {
            let lacking = runtime.lacking();
            expected = needed
                .iter()
                .copied()
                .filter(|p| lacking.contains(p))
                .collect();
        }
        let error = match try_load(runtime, text).await {
            Ok(_) if expected.is_empty() => continue,
            Ok(_) => panic!("{text}: loaded"),
            Err(error) => error,
        };
        let refused = match &error {
            LoadError::OutsideOfProfile { proposals, .. } if is_outside => proposals,
            LoadError::NotInEngine { proposals, .. } if !is_outside => proposals,
            _ => panic!("{text}: {error}"),
        };
        assert_eq!(*refused, expected, "{text}");
        assert!(
            error.to_string().contains(&expected[0].to_string()),
            "{error}"
        );
    }
    let damaged = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x0a\x05\x01\x03\0\x6a\x0b";
    let error = runtime.load(damaged).await.expect_err("nothing to add");
    assert!(matches!(error, LoadError::Invalid(_)), "{error}");
}

/// Text, an empty input and a truncated module fail with different errors.
pub async fn input_that_is_not_wasm_is_refused(runtime: &dyn Runtime) {
    for bytes in [&b""[..], b"(module)", b"\x7fELF\x02"] {
        let error = runtime.load(bytes).await.expect_err("no wasm");
        assert!(matches!(error, LoadError::NotWasm { .. }), "{error}");
    }
    let error = runtime
        .load(b"\0asm\x0d\0\x01\0")
        .await
        .expect_err("a component");
    assert!(matches!(error, LoadError::NotCore), "{error}");
    for bytes in [&b"\0asm"[..], b"\0asm\x01\0\0\0\x01\xff"] {
        let error = runtime.load(bytes).await.expect_err("no module");
        assert!(matches!(error, LoadError::Invalid(_)), "{error}");
    }
}

/// An import that is not provided, for any reason, is an error that names it.
pub async fn missing_imports_are_named(runtime: &dyn Runtime) {
    let bus = RangeWatchBus::new();
    let refused = async |text: &str, configure: fn(GuestBuilder<'_>) -> GuestBuilder<'_>| {
        let module = load(runtime, text).await;
        let builder = configure(Guest::builder(&module, &bus));
        builder.instantiate().await.expect_err("refused")
    };
    let unknown = [
        (
            "(module (import \"env\" \"f\" (func (param i32))))",
            "host_function",
        ),
        (
            "(module (import \"env\" \"memory\" (memory 1)))",
            "only functions",
        ),
        (
            "(module (import \"a\\0ab\" \"c\\1bd\" (func)))",
            r"the import `a\nb.c\u{1b}d`",
        ),
        (
            "(module (import \"pantopic/wazero-range-watch\" \"__range_watch_fly\" (func)))",
            "no function of this name",
        ),
        (
            "(module (import \"pantopic/ext-range-watch\" \"__range_watch_fly\" (func)))",
            "no function of this name",
        ),
        (
            "(module (import \"wasi_unstable\" \"fd_write\" (func)))",
            "only WASI preview1",
        ),
    ];
    for (text, hint) in unknown {
        let error = refused(text, |builder| builder).await;
        assert!(
            matches!(error, InstantiateError::UnknownImport { .. }),
            "{text}: {error}"
        );
        assert!(super::text(&error).contains(hint), "{text}: {error}");
    }
    let mixed = r#"(module
        (import "pantopic/wazero-range-watch" "__range_watch_flush" (func))
        (import "pantopic/ext-range-watch" "__range_watch_queue" (func)))"#;
    let error = refused(mixed, |builder| builder).await;
    assert!(
        matches!(error, InstantiateError::MixedGenerations),
        "{error}"
    );
    let error = refused(
        "(module (import \"env\" \"f\" (func (param i32))))",
        |builder| builder.host_function("env", "f", |_cx, (): ()| Ok(())),
    )
    .await;
    assert_eq!(
        error.to_string(),
        "the import `env.f` is a function () -> () here, but the module needs a function (i32) -> ()"
    );
    let error = refused("(module)", |builder| {
        builder
            .host_function("env", "f", |_cx, (): ()| Ok(()))
            .host_function("env", "f", |_cx, (): ()| Ok(()))
    })
    .await;
    assert!(
        matches!(error, InstantiateError::DuplicateHostFunction { .. }),
        "{error}"
    );
}

/// A module that imports the guest ABI has to have the exports that the ABI requires.
pub async fn a_module_that_imports_the_abi_needs_its_exports(runtime: &dyn Runtime) {
    let import = "(import \"pantopic/wazero-range-watch\" \"__range_watch_flush\" (func))";
    let page = "(func (export \"__range_watch\") (result i32) i32.const 16)";
    let memory = "(memory (export \"memory\") 1)";
    let cases = [
        (format!("(module {import} {page})"), "`memory`"),
        (format!("(module {import} {memory})"), "`__range_watch`"),
        (
            format!("(module {import} {memory} (func (export \"__range_watch\")))"),
            "`__range_watch`",
        ),
        (
            format!(
                "(module {import} {memory} {page} (func (export \"__range_watch_recv\") (param i32)))"
            ),
            "`__range_watch_recv`",
        ),
    ];
    let bus = RangeWatchBus::new();
    for (text, missing) in cases {
        let module = load(runtime, &text).await;
        let error = Guest::builder(&module, &bus)
            .instantiate()
            .await
            .expect_err("refused");
        assert!(
            matches!(error, InstantiateError::AbiExport { .. }),
            "{text}: {error}"
        );
        assert!(super::text(&error).contains(missing), "{text}: {error}");
    }
    let outside = format!(
        "(module {import} {memory} (func (export \"__range_watch\") (result i32) i32.const 65520))"
    );
    let module = load(runtime, &outside).await;
    let error = Guest::builder(&module, &bus)
        .instantiate()
        .await
        .expect_err("refused");
    assert!(
        super::text(&error).contains("the meta page is outside of the memory"),
        "{error}"
    );
}
