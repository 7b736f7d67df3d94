//! The stack limit of a runtime.

use super::{call, guest, plain};
use crate::{CallError, Runtime, TrapKind, Val};

/// Calls nest as deep as the stack of the runtime allows, and trap beyond that. The runtimes have a
/// stack of 16 KiB, of the default size, and of 8 MiB.
pub async fn calls_nest_as_deep_as_the_stack_allows(
    small: &dyn Runtime,
    default: &dyn Runtime,
    large: &dyn Runtime,
) {
    for (runtime, fits, exceeds) in [
        (small, 100, 8_000),
        (default, 8_000, 100_000),
        (large, 100_000, 2_000_000),
    ] {
        let guest = guest(runtime, NESTED, plain).await;
        assert_eq!(
            call(&guest, "nest", &[Val::I32(fits)]).await,
            [Val::I32(fits)]
        );
        let error = guest.call("nest", &[Val::I32(exceeds)]).await;
        let error = error.expect_err("deeper than the stack");
        assert!(
            matches!(
                error,
                CallError::Trap {
                    kind: TrapKind::StackOverflow,
                    ..
                }
            ),
            "{exceeds}: {error}"
        );
    }
}

const NESTED: &str = r#"(module
    (func $nest (export "nest") (param i32) (result i32)
        (if (i32.eqz (local.get 0)) (then (return (i32.const 0))))
        (i32.add (call $nest (i32.sub (local.get 0) (i32.const 1))) (i32.const 1))))"#;
