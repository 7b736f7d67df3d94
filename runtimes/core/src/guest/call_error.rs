//! Why a call into a guest gave no results.

use std::fmt;
use std::time::Duration;

use rangewatch_wasi::Exit;

use crate::abi::AbiError;
use crate::engine::exports::{Export, Exports};
use crate::engine::failure::{EngineError, Failure, HostTrap, TrapKind};
use crate::engine::host_cx::NoData;
use crate::engine::host_function::HostError;
use crate::engine::meta_page::MetaPageError;
use crate::engine::shown::Shown;
use crate::engine::val::{FuncType, TypeList, Val, ValType};
use crate::guest::instantiate_error::InstantiateError;
use crate::watches::owner::OwnerError;

/// Why a call into a guest gave no results. [`ErrorChain`](crate::ErrorChain) displays it with its
/// sources.
///
/// # Examples
///
/// ```
/// use rangewatch_runtime::{CallError, Guest};
///
/// # async fn example(guest: &Guest) {
/// match guest.call("work", &[]).await {
///     Ok(results) => println!("{results:?}"),
///     Err(CallError::Exit { exit, .. }) => println!("the guest exited with code {}", exit.code()),
///     Err(CallError::Gone { reason }) => eprintln!("instantiate the module again: {reason}"),
///     Err(error) => eprintln!("{error}"),
/// }
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The module exports no function of that name.
    #[error(
        "the guest exports no function `{}`; it exports: {}",
        Shown(export),
        Names(exports, *n_more)
    )]
    UnknownExport {
        /// The name in the call.
        export: String,
        /// The first of the functions that there are, in the order of their names, without those
        /// that begin with `__`, which are for hosts. At most 20, of each name at most 1,024 bytes:
        /// a module can have a million exports.
        exports: Vec<String>,
        /// The number of the others.
        n_more: usize,
    },
    /// The arguments do not fit the signature.
    #[error("`{export}` is {ty}, but was called with {}", Given(given))]
    Arguments {
        /// The export.
        export: String,
        /// Its signature.
        ty: FuncType,
        /// The types of the arguments given.
        given: Vec<ValType>,
    },
    /// The export has another signature than a [`Func`](crate::Func) was asked for.
    #[error("`{export}` is {ty}, and not {asked}")]
    FuncType {
        /// The export.
        export: String,
        /// Its signature.
        ty: FuncType,
        /// The signature that was asked for.
        asked: FuncType,
    },
    /// A session of one guest was used with a function of another.
    #[error(
        "`{export}` is a function of another guest than the session is: look it up in that guest"
    )]
    OtherGuest {
        /// The export.
        export: String,
    },
    /// The export's signature has a type that cannot be passed.
    #[error("`{export}` is {ty}: v128 and references cannot be passed between host and guest")]
    Signature {
        /// The export.
        export: String,
        /// Its signature.
        ty: FuncType,
    },
    /// The export's signature is not that of a call with bytes.
    #[error(
        "`{export}` is {ty}, but a call with bytes needs () -> (): the guest reads its input and \
         writes its output by the imports of `rangewatch_io`"
    )]
    NotForBytes {
        /// The export.
        export: String,
        /// Its signature.
        ty: FuncType,
    },
    /// The input of a call with bytes is longer than a guest can address: 2 GiB or more.
    #[error("the input of `{export}` has {n_bytes} bytes, and a guest can read less than 2 GiB")]
    InputTooLarge {
        /// The export.
        export: String,
        /// The length of the input, in bytes.
        n_bytes: usize,
    },
    /// The guest was built without instance data of a type.
    #[error(transparent)]
    NoData(#[from] NoData),
    /// The owner that was named for the call has ended, or belongs to another guest.
    #[error("`{export}` cannot run under the owner")]
    Owner {
        /// The export that was called.
        export: String,
        /// Why.
        source: OwnerError,
    },
    /// The guest trapped. Its instance is gone.
    #[error("`{export}` trapped: {kind}{}", Message(message.as_deref()))]
    Trap {
        /// The export that was called.
        export: String,
        /// The kind of trap, the same on every engine.
        kind: TrapKind,
        /// The text of the guest's panic, if the guest wrote one as the guest SDK does: at most
        /// 1,024 bytes, control characters escaped.
        message: Option<String>,
        /// The engine's error.
        #[source]
        source: EngineError,
    },
    /// The guest ended itself with WASI's `proc_exit`. Its instance is gone.
    #[error("`{export}` exited with code {}", .exit.code())]
    Exit {
        /// The export that was called.
        export: String,
        /// The exit.
        exit: Exit,
    },
    /// The guest misused the range-watch ABI, or the bus refused its emit. Its instance is gone.
    #[error("`{export}` broke the range-watch ABI")]
    Abi {
        /// The export that was called.
        export: String,
        /// What was wrong.
        source: AbiError,
    },
    /// The call ran longer than [`Limits::wall_time`](crate::Limits::wall_time). Its instance is
    /// gone.
    #[error("`{export}` ran for more than `Limits::wall_time`, which is {limit:?}")]
    TimedOut {
        /// The export that was called.
        export: String,
        /// The limit.
        limit: Duration,
    },
    /// The guest has no valid meta page for a module of host functions. Its instance is gone.
    #[error("`{export}` returns no meta page")]
    MetaPage {
        /// The export that returns the address of the page.
        export: String,
        /// What was wrong.
        source: MetaPageError,
    },
    /// A host function of the embedder failed. The guest's instance is gone.
    #[error("`{export}` called the host function `{function}`, which failed")]
    HostFunction {
        /// The export that was called.
        export: String,
        /// The host function, `module.name`.
        function: String,
        /// Its error.
        source: HostError,
    },
    /// The call did not return, and the emits that it had [staged](crate::Emits::Staged) are
    /// dropped.
    #[error("the call failed, and the emits that it had staged, {n_emits}, are dropped")]
    Discarded {
        /// How many emits.
        n_emits: usize,
        /// Why the call did not return.
        source: Box<Self>,
    },
    /// The call returned, but the bus refused the emits that it had [staged](crate::Emits::Staged),
    /// and all of them are dropped. The guest's instance is gone.
    #[error("`{export}` returned, but its staged emits, {n_emits}, are dropped")]
    Refused {
        /// The export that was called.
        export: String,
        /// How many emits.
        n_emits: usize,
        /// Why.
        source: AbiError,
    },
    /// The call returned, but the embedder's [commit hook](crate::GuestBus::on_commit) refused it.
    /// The guest's instance is gone.
    #[error("`{export}` returned, but it was not committed, with {n_emits} staged emits")]
    NotCommitted {
        /// The export that was called.
        export: String,
        /// How many emits it had staged.
        n_emits: usize,
        /// The error of the hook.
        source: HostError,
    },
    /// The guest's only instance has been started, and `_start` runs once on an instance.
    #[error(
        "the guest was started before, and `_start` runs once: make a new guest from the module"
    )]
    AlreadyStarted,
    /// The instance is gone, the only one of the guest or that of a session: an earlier call
    /// trapped, exited or was dropped midway.
    #[error(
        "the instance is gone, because {reason}; make a new guest from the module, or a new \
         session if the guest has a pool"
    )]
    Gone {
        /// What ended it.
        reason: String,
    },
    /// A fresh instance of the pool could not be made.
    #[error("no instance could be made for `{export}`")]
    Instantiate {
        /// The export that was called.
        export: String,
        /// Why.
        source: Box<InstantiateError>,
    },
    /// The engine failed in a way that is no trap.
    #[error("`{export}` failed in the engine")]
    Engine {
        /// The export that was called.
        export: String,
        /// The engine's error.
        source: EngineError,
    },
}

/// The limit on the fuel of a call, beside the engine's error.
#[derive(Debug, thiserror::Error)]
#[error("the limit is {fuel}")]
struct FuelLimit {
    fuel: u64,
    source: EngineError,
}

impl CallError {
    pub(crate) fn new(export: &str, failure: Failure) -> Self {
        let export = export.to_owned();
        match failure {
            Failure::Trap { kind, source } => Self::Trap {
                export,
                kind,
                message: None,
                source,
            },
            Failure::Host(HostTrap::OutOfFuel(source)) => Self::Trap {
                export,
                kind: TrapKind::OutOfFuel,
                message: None,
                source: source.into(),
            },
            Failure::Host(HostTrap::Exit(exit)) => Self::Exit { export, exit },
            Failure::Host(HostTrap::Abi(source)) => Self::Abi { export, source },
            Failure::Host(HostTrap::Function { function, source }) => Self::HostFunction {
                export,
                function,
                source,
            },
            Failure::Engine(source) => Self::Engine { export, source },
        }
    }

    /// Adds the limit on the fuel of a call, where that is what the call has used.
    pub(crate) fn with_fuel_limit(self, fuel: Option<u64>) -> Self {
        match (self, fuel) {
            (
                Self::Trap {
                    export,
                    kind: kind @ TrapKind::OutOfFuel,
                    message,
                    source,
                },
                Some(fuel),
            ) => Self::Trap {
                export,
                kind,
                message,
                source: Box::new(FuelLimit { fuel, source }),
            },
            (error, _) => error,
        }
    }

    /// The guest was closed.
    #[cold]
    pub(crate) fn closed() -> Self {
        Self::Gone {
            reason: "it was closed".to_owned(),
        }
    }

    pub(crate) fn owner(export: &str, source: OwnerError) -> Self {
        Self::Owner {
            export: export.to_owned(),
            source,
        }
    }

    /// Finds an export.
    #[inline]
    pub(crate) fn unless_found<'e, 'n>(
        exports: &'e Exports,
        name: &'n str,
    ) -> Result<(Export<'n>, &'e FuncType), Self> {
        exports
            .find(name)
            .ok_or_else(|| Self::unknown_export(exports, name))
    }

    #[cold]
    fn unknown_export(exports: &Exports, name: &str) -> Self {
        let (first, n_more) = exports.first(N_LISTED);
        let cut = |name: &str| name[..name.floor_char_boundary(MAX_LISTED_BYTES)].to_owned();
        Self::UnknownExport {
            export: name.to_owned(),
            exports: first.into_iter().map(cut).collect(),
            n_more,
        }
    }

    /// Finds an export that can be called with `args`.
    #[inline]
    pub(crate) fn unless_callable<'n>(
        exports: &Exports,
        export: &'n str,
        args: &[Val],
    ) -> Result<Export<'n>, Self> {
        let (found, ty) = Self::unless_found(exports, export)?;
        if !ty.can_be_passed() {
            return Err(Self::Signature {
                export: export.to_owned(),
                ty: ty.clone(),
            });
        }
        if !ty.accepts(args) {
            return Err(Self::Arguments {
                export: export.to_owned(),
                ty: ty.clone(),
                given: args.iter().map(Val::ty).collect(),
            });
        }
        Ok(found)
    }
}

/// Names of an [`CallError::UnknownExport`], and bytes of each: a module may export a million
/// functions, with names of 100 kilobytes.
const N_LISTED: usize = 20;
const MAX_LISTED_BYTES: usize = 1024;

/// A list of names, and how many more there are.
struct Names<'a>(&'a [String], usize);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(names, n_more) = *self;
        for (i, name) in names.iter().enumerate() {
            write!(f, "{}{}", if i > 0 { ", " } else { "" }, Shown(name))?;
        }
        match n_more {
            0 if names.is_empty() => f.write_str("none"),
            0 => Ok(()),
            n_more => write!(f, " and {n_more} more"),
        }
    }
}

/// The message of a panic, if there is one.
struct Message<'a>(Option<&'a str>);

impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(message) => write!(f, ": {message}"),
            None => Ok(()),
        }
    }
}

struct Given<'a>(&'a [ValType]);

impl fmt::Display for Given<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        TypeList(self.0).fmt(f)
    }
}
