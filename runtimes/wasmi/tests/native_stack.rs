//! Long loops in slices of the default size. In a build that is optimized and has debug assertions
//! they overflow the native stack unless the slices are bounded. The dev profile of this workspace
//! compiles wasmi at level 1, at which nothing overflows; the test has to pass at level 2 as well:
//!
//! ```sh
//! cargo test --package rangewatch-wasmi --test native_stack --target-dir target/optimized \
//!     --config profile.dev.opt-level=2 --config profile.dev.package.wasmi.opt-level=2
//! ```

use rangewatch_bus::RangeWatchBus;
use rangewatch_runtime::{CallError, Guest, Limits, Runtime, TrapKind};

#[test]
fn a_loop_in_default_slices_does_not_overflow_the_native_stack() {
    let wasm = wat::parse_str(r#"(module (func (export "spin") (loop (br 0))))"#);
    let limits = Limits::default().fuel_per_call(3_000_000);
    rangewatch_runtime::conformance::run(async || {
        let wasm = wasm.expect("well formed");
        let module = rangewatch_wasmi::Wasmi::new()
            .load(&wasm)
            .await
            .expect("valid");
        let guest = Guest::builder(&module, &RangeWatchBus::new())
            .limits(limits)
            .instantiate()
            .await
            .expect("it imports nothing");
        let error = guest
            .call("spin", &[])
            .await
            .expect_err("it ends out of fuel");
        assert!(
            matches!(
                error,
                CallError::Trap {
                    kind: TrapKind::OutOfFuel,
                    ..
                }
            ),
            "{error}"
        );
    });
}
