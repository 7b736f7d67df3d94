//! What the scenarios share: the guests, and the trace that must be the same on every backend.

mod session;

pub use session::{Session, Trace, kind, run_program};

/// The guests as wasm: the prebuilt ones, or those of the folder that `RANGEWATCH_GUESTS` names.
pub mod guests {
    include!(concat!(env!("OUT_DIR"), "/guests.rs"));
}

/// Makes tests of scenarios, `async fn(&dyn Runtime) -> Trace`: one per backend that is compiled
/// in, and one that their traces agree.
#[macro_export]
macro_rules! on_each_backend {
    ($($name:ident,)*) => {$(
        mod $name {
            #[cfg(feature = "wasmi")]
            #[test]
            fn wasmi() {
                futures::executor::block_on(super::$name(&rangewatch::Wasmi::new()));
            }

            #[cfg(feature = "wasmtime")]
            #[test]
            fn wasmtime() {
                futures::executor::block_on(super::$name(&rangewatch::Wasmtime::new()));
            }

            #[cfg(all(feature = "wasmi", feature = "wasmtime"))]
            #[test]
            fn g29_traces_agree() {
                let compiled =
                    futures::executor::block_on(super::$name(&rangewatch::Wasmtime::new()));
                let interpreted =
                    futures::executor::block_on(super::$name(&rangewatch::Wasmi::new()));
                assert!(!compiled.is_empty(), "a trace of nothing agrees with everything");
                assert_eq!(compiled, interpreted);
            }
        }
    )*};
}

/// Compiles the example of the repository's README; a test runs it.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
