//! Guests of the same name and behaviour in the language of each SDK.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use integration_tests::Session;
use rangewatch::{GuestBuilder, Module, Runtime, Wasi};
use tokio::sync::Mutex;

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
        wasm: &'static [u8],
        configure: impl FnOnce(GuestBuilder<'_>) -> GuestBuilder<'_>,
    ) -> Session {
        match self {
            Self::Rust | Self::C => Session::with(runtime, wasm, configure).await,
            Self::Go => {
                // The runtime of Go needs WASI.
                let wasi = Wasi::builder().build().expect("nothing to refuse");
                let module = compiled_once(runtime, wasm).await;
                Session::of(&module, |builder| configure(builder).wasi(wasi)).await
            }
        }
    }
}

/// A module that all tests share: those of Go take seconds to compile.
async fn compiled_once(runtime: &dyn Runtime, wasm: &'static [u8]) -> Module {
    type Modules = BTreeMap<(&'static str, usize), Module>;
    static MODULES: Mutex<Modules> = Mutex::const_new(BTreeMap::new());
    match MODULES
        .lock()
        .await
        .entry((runtime.name(), wasm.as_ptr().addr()))
    {
        Entry::Occupied(entry) => entry.get().clone(),
        Entry::Vacant(entry) => {
            let module = runtime.load(wasm).await.expect("the guest loads");
            entry.insert(module).clone()
        }
    }
}
