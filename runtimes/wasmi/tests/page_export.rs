//! The export that returns the address of the meta page, called inside of an import.

use futures::executor::block_on;
use rangewatch_bus::RangeWatchBus;
use rangewatch_runtime::conformance::within_deadline;
use rangewatch_runtime::{ErrorChain, Guest, Runtime};
use rangewatch_wasi::Wasi;
use rangewatch_wasmi::Wasmi;

/// wasmi cannot suspend a call that is made inside of an import. The function that waits must not
/// be taken for the import.
#[test]
fn a_page_export_that_waits_inside_of_an_import_is_an_error() {
    within_deadline(|| {
        for wait in ["(drop (call $yield))", "(call $wait)"] {
            let text = format!(
                r#"(module
                (import "pantopic/wazero-range-watch" "__range_watch_flush" (func $flush))
                (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
                (import "env" "wait" (func $wait))
                (memory (export "memory") 1)
                (func (export "_start") (call $flush))
                (func (export "__range_watch") (result i32) {wait} (i32.const 16)))"#
            );
            let wasm = wat::parse_str(text).expect("well formed");
            let error = block_on(async {
                let module = Wasmi::new().load(&wasm).await.expect("valid");
                let guest = Guest::builder(&module, &RangeWatchBus::new())
                    .wasi(Wasi::builder().build().expect("valid"))
                    .host_function_async("env", "wait", |_cx, ()| async { Ok(()) })
                    .instantiate()
                    .await
                    .expect("all is provided");
                guest.run().await.expect_err("it cannot be suspended")
            });
            let text = ErrorChain::new(&error).to_string();
            assert!(text.contains("cannot be suspended"), "{text}");
        }
    });
}
