//! The outcomes of a call other than success.

use std::fmt;

use crate::{Errno, Exit};

/// How a call of a function that the table marks `wait` ended, if not with success.
///
/// A backend handles every variant. For [`Interrupt::Wait`] it awaits
/// [`Wasi::poll_ready`](crate::Wasi::poll_ready) or calls [`Wasi::block`](crate::Wasi::block), then
/// retries the function with the same arguments, over the memory as it is then.
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::{Interrupt, Wasi, pipe, preview1};
///
/// let (_feed, stdin) = pipe(64 << 10);
/// let mut ctx = Wasi::builder().stdin(stdin).build()?;
/// let mut memory = vec![0; 64];
/// memory[0..4].copy_from_slice(&16_u32.to_le_bytes()); // one buffer at 16
/// memory[4..8].copy_from_slice(&8_u32.to_le_bytes()); // of 8 bytes
/// // The pipe is empty and its writer is open: the guest has to wait.
/// assert_eq!(preview1::fd_read(&mut ctx, &mut memory, 0, 0, 1, 8), Err(Interrupt::Wait));
/// # Ok::<(), rangewatch_wasi::WasiBuildError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(clippy::exhaustive_enums, reason = "a backend must serve every kind")]
pub enum Interrupt {
    /// The call failed. The guest gets the errno.
    #[error(transparent)]
    Errno(#[from] Errno),
    /// The call would block, or yields between two parts of its work. It holds no reference to the
    /// memory, and had no effect so far, except that a buffer may be filled in part.
    #[error("the call would block: retry it when the context is ready")]
    Wait,
    /// The guest exited with a code and must not run again. Its output streams are flushed.
    #[error(transparent)]
    Exit(#[from] Exit),
    /// The guest raised a signal against itself and must not run again.
    #[error(transparent)]
    Signal(Signal),
}

impl Interrupt {
    /// The errno of a call that failed and had no other outcome. For a regular file it is never
    /// `None`: a file never blocks and never ends a guest.
    #[must_use]
    pub const fn errno(self) -> Option<Errno> {
        match self {
            Self::Errno(errno) => Some(errno),
            Self::Wait | Self::Exit(_) | Self::Signal(_) => None,
        }
    }
}

/// A signal of WASI preview1, with which a guest ended itself.
///
/// Source: WASI preview1 witx, `signal`.
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::{Interrupt, SignalPolicy, Wasi, preview1};
///
/// let mut ctx = Wasi::builder().signal_policy(SignalPolicy::Default).build()?;
/// let raised = preview1::proc_raise(&mut ctx, &mut [], 6);
/// let Err(Interrupt::Signal(signal)) = raised else { panic!("{raised:?}") };
/// assert_eq!((signal.name(), signal.number()), ("ABRT", 6));
/// # Ok::<(), rangewatch_wasi::WasiBuildError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Signal {
    number: u8,
}

impl Signal {
    /// Source: WASI preview1 witx, `signal`; the names in the order of their numbers, from 0.
    const NAMES: [&'static str; 31] = [
        "NONE", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV",
        "USR2", "PIPE", "ALRM", "TERM", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
        "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "POLL", "PWR", "SYS",
    ];

    pub(crate) fn from_number(number: i32) -> Option<Self> {
        let number = u8::try_from(number).ok()?;
        (usize::from(number) < Self::NAMES.len()).then_some(Self { number })
    }

    /// The number in WASI, in 0..=30.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.number
    }

    /// The name in WASI, for example `"ABRT"`.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES
            .get(usize::from(self.number))
            .copied()
            .unwrap_or("NONE")
    }

    /// Whether the default action of the signal ends the process. The other signals are ignored, or
    /// stop or continue the process.
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
