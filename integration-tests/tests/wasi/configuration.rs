//! The configurations that a program is run in.

use std::fmt;
use std::str::FromStr;

use rangewatch::wasi::RightsMode;

/// One configuration. Displayed as in the names of the tests: `wasmtime/memory/captured/strict`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Configuration {
    pub(crate) engine: Engine,
    pub(crate) files: Files,
    pub(crate) stdio: Stdio,
    pub(crate) rights: Rights,
}

/// Defines an enum of names, with a table of its variants.
macro_rules! names {
    ($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub(crate) enum $type { $($(#[$variant_doc])* $variant,)* }

        impl $type {
            const ALL: &[Self] = &[$(Self::$variant,)*];

            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.name() == name)
            }
        }
    };
}

names!(
    /// The engine.
    Engine {
        Wasmtime = "wasmtime",
        Wasmi = "wasmi",
    }
);
names!(
    /// The root directory of the program.
    Files {
        /// A directory of the host.
        Host = "host",
        /// A copy of it in memory.
        Memory = "memory",
    }
);
names!(
    /// The standard streams of the program.
    Stdio {
        /// Streams of a process.
        Inherited = "inherited",
        /// Buffers in memory.
        Captured = "captured",
    }
);
names!(
    /// The rights mode.
    Rights {
        Strict = "strict",
        Compat = "compat",
        Off = "off",
    }
);

impl Configuration {
    /// Every configuration that this build can run.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        crate::ENGINES.iter().flat_map(|engine| {
            Files::ALL.iter().flat_map(move |files| {
                Stdio::ALL.iter().flat_map(move |stdio| {
                    Rights::ALL.iter().map(move |rights| Self {
                        engine: *engine,
                        files: *files,
                        stdio: *stdio,
                        rights: *rights,
                    })
                })
            })
        })
    }
}

impl Rights {
    pub(crate) const fn mode(self) -> RightsMode {
        match self {
            Self::Strict => RightsMode::Strict,
            Self::Compat => RightsMode::Compat,
            Self::Off => RightsMode::Off,
        }
    }
}

impl fmt::Display for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (engine, files) = (self.engine.name(), self.files.name());
        let (stdio, rights) = (self.stdio.name(), self.rights.name());
        write!(f, "{engine}/{files}/{stdio}/{rights}")
    }
}

impl FromStr for Configuration {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut names = text.split('/');
        let mut next = || names.next().ok_or(());
        Ok(Self {
            engine: Engine::named(next()?).ok_or(())?,
            files: Files::named(next()?).ok_or(())?,
            stdio: Stdio::named(next()?).ok_or(())?,
            rights: Rights::named(next()?).ok_or(())?,
        })
    }
}
