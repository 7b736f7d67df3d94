//! The position of an emit in the order of its bus.

use std::fmt;
use std::num::NonZeroU64;

/// The position of an emit in the order of its bus: 1 for the first emit, one more for each later
/// one.
///
/// Every accepted emit takes exactly one `Seq`, also an emit without keys or without matches, so
/// the `Seq`s of a bus have no gaps. They are not comparable between buses.
///
/// There is no zero: "nothing emitted yet" is `None` in an `Option<Seq>`, which has the size of a
/// `u64` and orders before every `Seq`.
///
/// # Examples
///
/// ```
/// use rangewatch_bus::{RangeWatchBus, Seq};
///
/// let bus = RangeWatchBus::new();
/// assert_eq!(bus.last_seq(), None);
/// let emitted = bus.emit(7, ["a"])?;
/// assert_eq!(emitted.seq().get(), 1);
/// assert_eq!(bus.last_seq(), Seq::new(1));
/// # Ok::<(), rangewatch_bus::EmitError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(NonZeroU64);

impl Seq {
    /// The position of the first emit.
    pub(crate) const FIRST: Self = Self(NonZeroU64::MIN);

    /// Makes a `Seq` from its number; `None` for zero.
    #[must_use]
    pub const fn new(seq: u64) -> Option<Self> {
        match NonZeroU64::new(seq) {
            Some(seq) => Some(Self(seq)),
            None => None,
        }
    }

    /// The number, at least 1.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0.get()
    }

    /// The `Seq` of the emit that follows `last`.
    ///
    /// Saturates instead of panicking, after five centuries of a billion emits per second.
    pub(crate) const fn after(last: Option<Self>) -> Self {
        match last {
            Some(Self(last)) => Self(last.saturating_add(1)),
            None => Self::FIRST,
        }
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Seq({})", self.0)
    }
}

impl From<Seq> for u64 {
    fn from(seq: Seq) -> Self {
        seq.get()
    }
}
