//! Errors of compacting.

use thiserror::Error;

/// Why [`compact`](crate::RangeWatchBus::compact) failed. Nothing was removed then.
///
/// # Examples
///
/// ```
/// use rangewatch_bus::{CompactError, History, RangeWatchBus};
///
/// let bus = RangeWatchBus::builder().history(History::events(100)).build()?;
/// bus.emit(7, ["a"])?;
/// let above_head = CompactError::AboveHead { value: 9, head: Some(7) };
/// assert_eq!(bus.compact(9), Err(above_head));
/// assert_eq!(bus.compact(8)?, 8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CompactError {
    /// The value lies more than one above the head.
    #[error("cannot compact to {value}: {}", AboveHead(*head))]
    AboveHead {
        /// The value that was given.
        value: u64,
        /// The head, `None` if there is none.
        head: Option<u64>,
    },
    /// The bus has no history.
    #[error("this bus has no history: build it with `RangeWatchBus::builder().history(..)`")]
    NoHistory,
}

struct AboveHead(Option<u64>);

impl std::fmt::Display for AboveHead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(head) => write!(f, "the head is {head}, give at most one more"),
            None => f.write_str("nothing was emitted yet"),
        }
    }
}
