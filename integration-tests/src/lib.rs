//! Shared by the scenarios: the guests, and traces that are compared across backends.

mod session;

pub use session::{Session, Trace, kind, run_program};

/// The guests as wasm: the prebuilt ones, or those of the folder that `RANGEWATCH_GUESTS` names.
pub mod guests {
    include!(concat!(env!("OUT_DIR"), "/guests.rs"));
}

pub use rangewatch_runtime::conformance::{run, within_deadline};

/// Makes tests of scenarios, `async fn(&dyn Runtime) -> Trace`: one per backend that is compiled
/// in, and one that compares their traces. Each has the deadline of the conformance suite.
#[macro_export]
macro_rules! on_each_backend {
    ($($name:ident,)*) => {$(
        mod $name {
            #[cfg(feature = "wasmi")]
            #[test]
            fn wasmi() {
                $crate::run(async || super::$name(&rangewatch::Wasmi::new()).await);
            }

            #[cfg(feature = "wasmtime")]
            #[test]
            fn wasmtime() {
                $crate::run(async || super::$name(&rangewatch::Wasmtime::new()).await);
            }

            #[cfg(all(feature = "wasmi", feature = "wasmtime"))]
            #[test]
            fn g29_traces_agree() {
                let (compiled, interpreted) = $crate::run(async || {
                    let compiled = super::$name(&rangewatch::Wasmtime::new()).await;
                    (compiled, super::$name(&rangewatch::Wasmi::new()).await)
                });
                assert!(!compiled.is_empty(), "two empty traces are always equal");
                assert_eq!(compiled, interpreted);
            }
        }
    )*};
}

/// Runs the first example of the repository's README and compiles the second, which a test runs.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
