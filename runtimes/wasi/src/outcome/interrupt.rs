//! Why a function does not return success to its guest.

use std::fmt;

use crate::{Errno, Exit};

/// How a call of a function that the table marks `wait` ended, if not with success.
///
/// A backend serves all of them. [`Interrupt::Wait`] is the one that asks for work: await
/// [`Wasi::poll_ready`](crate::Wasi::poll_ready) or call [`Wasi::block`](crate::Wasi::block), then call the same function
/// again with the same arguments, over the memory as it is then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(clippy::exhaustive_enums, reason = "a backend must serve every kind")]
pub enum Interrupt {
    /// It failed: the guest sees the number.
    #[error(transparent)]
    Errno(#[from] Errno),
    /// It has to wait. Nothing has happened so far, and nothing of the memory is held.
    #[error("the guest has to wait: call the function again when the context is ready")]
    Wait,
    /// The guest must not run on, and has ended with a code. The output streams are flushed.
    #[error(transparent)]
    Exit(#[from] Exit),
    /// The guest must not run on: it has raised a signal against itself.
    #[error(transparent)]
    Raise(Signal),
}

impl Interrupt {
    /// What the function failed with, if it has failed and nothing else happened. Never `None` for a regular file, which has
    /// no reason to wait or to end a guest.
    #[must_use]
    pub const fn errno(self) -> Option<Errno> {
        match self {
            Self::Errno(errno) => Some(errno),
            Self::Wait | Self::Exit(_) | Self::Raise(_) => None,
        }
    }
}

/// The signal that a guest ended itself with.
///
/// Source: WASI preview1 witx, `signal`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Signal {
    number: u8,
}

impl Signal {
    /// Source: WASI preview1 witx, `signal`; the members in order, from 0.
    const NAMES: [&'static str; 31] = [
        "NONE", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV",
        "USR2", "PIPE", "ALRM", "TERM", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
        "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "POLL", "PWR", "SYS",
    ];

    pub(crate) fn from_number(number: i32) -> Option<Self> {
        let number = u8::try_from(number).ok()?;
        (usize::from(number) < Self::NAMES.len()).then_some(Self { number })
    }

    /// The number of WASI, in 0..=30.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.number
    }

    /// The name of WASI, for example `"ABRT"`.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES
            .get(usize::from(self.number))
            .copied()
            .unwrap_or("NONE")
    }

    /// Whether a process that gets the signal and has made no arrangements ends. Those that do not are ignored, or stop
    /// and continue a process.
    ///
    /// Source: POSIX `signal.h`, default actions.
    pub(crate) fn ends_the_process(self) -> bool {
        !matches!(
            self.name(),
            "NONE" | "CHLD" | "CONT" | "STOP" | "TSTP" | "TTIN" | "TTOU" | "URG" | "WINCH"
        )
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the guest raised {} against itself", self.name())
    }
}

impl std::error::Error for Signal {}
