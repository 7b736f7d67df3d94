//! Guests of the same name and behaviour in the language of each SDK.

use integration_tests::Session;
use rangewatch::{GuestBuilder, Runtime, Wasi};

/// Tests of scenarios, `async fn(&dyn Runtime, Language) -> Trace`, with the guest of each SDK.
macro_rules! in_each_language {
    ($($name:ident,)*) => {$(
        mod $name {
            use integration_tests::{Trace, on_each_backend};
            use rangewatch::Runtime;

            use crate::languages::Language;

            on_each_backend! { rust, c, go, }

            async fn rust(runtime: &dyn Runtime) -> Trace {
                super::$name(runtime, Language::Rust).await
            }

            async fn c(runtime: &dyn Runtime) -> Trace {
                super::$name(runtime, Language::C).await
            }

            async fn go(runtime: &dyn Runtime) -> Trace {
                super::$name(runtime, Language::Go).await
            }
        }
    )*};
}
pub(crate) use in_each_language;

/// The language of the guest, whose exports are the same in each.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Language {
    Rust,
    C,
    Go,
}

impl Language {
    /// What stands for this language.
    pub(crate) fn choose<T>(self, rust: T, c: T, go: T) -> T {
        match self {
            Self::Rust => rust,
            Self::C => c,
            Self::Go => go,
        }
    }

    /// A guest of this language.
    pub(crate) async fn session(
        self,
        runtime: &dyn Runtime,
        wasm: &[u8],
        configure: impl FnOnce(GuestBuilder<'_>) -> GuestBuilder<'_>,
    ) -> Session {
        Session::with(runtime, wasm, |builder| match self {
            Self::Rust | Self::C => configure(builder),
            // The runtime of Go needs WASI.
            Self::Go => {
                let wasi = Wasi::builder().build().expect("nothing to refuse");
                configure(builder).wasi(wasi)
            }
        })
        .await
    }
}
