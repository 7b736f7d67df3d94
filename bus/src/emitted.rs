//! What an emit answers.

use thiserror::Error;

use crate::Seq;

/// The receipt of an accepted emit, from [`RangeWatchBus::emit`](crate::RangeWatchBus::emit) and its
/// siblings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Emitted {
    pub(crate) seq: Seq,
    pub(crate) value: u64,
    pub(crate) matched: usize,
    pub(crate) parked: usize,
    pub(crate) woken: usize,
}

impl Emitted {
    /// The position of this emit in the order of its bus.
    #[must_use]
    pub const fn seq(&self) -> Seq {
        self.seq
    }

    /// The value of this emit: the one that was given, or the one that
    /// [`emit_next`](crate::RangeWatchBus::emit_next) chose.
    #[must_use]
    pub const fn value(&self) -> u64 {
        self.value
    }

    /// The number of subscriptions that this emit matched, each counted once however many of its
    /// selectors and of the keys match.
    ///
    /// A matched subscription holds the emit when `emit` returns, or finds it in the history if it is
    /// [`parked`](Self::parked); whether its consumer ever receives it is up to the consumer.
    #[must_use]
    pub const fn matched(&self) -> usize {
        self.matched
    }

    /// The number of matched subscriptions that will read this emit from the history: those that were
    /// catching up already, and those whose queue this emit found full.
    #[must_use]
    pub const fn parked(&self) -> usize {
        self.parked
    }

    /// The number of matched subscriptions whose consumer waited and was woken.
    #[must_use]
    pub const fn woken(&self) -> usize {
        self.woken
    }
}

/// The receipt of several emits that took effect at once, from
/// [`RangeWatchBus::emit_many`](crate::RangeWatchBus::emit_many) and
/// [`Batch::commit`](crate::Batch::commit).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EmittedMany {
    pub(crate) first_seq: Option<Seq>,
    pub(crate) last_seq: Option<Seq>,
    pub(crate) emits: usize,
    pub(crate) matched: usize,
    pub(crate) parked: usize,
    pub(crate) woken: usize,
}

impl EmittedMany {
    /// The position of the first of the emits; `None` if there were none.
    #[must_use]
    pub const fn first_seq(&self) -> Option<Seq> {
        self.first_seq
    }

    /// The position of the last of the emits; `None` if there were none. No other emit lies between the
    /// first and the last.
    #[must_use]
    pub const fn last_seq(&self) -> Option<Seq> {
        self.last_seq
    }

    /// The number of emits.
    #[must_use]
    pub const fn n_emits(&self) -> usize {
        self.emits
    }

    /// The sum of [`Emitted::matched`] over the emits.
    #[must_use]
    pub const fn matched(&self) -> usize {
        self.matched
    }

    /// The sum of [`Emitted::parked`] over the emits.
    #[must_use]
    pub const fn parked(&self) -> usize {
        self.parked
    }

    /// The number of subscriptions whose consumer waited and was woken: each once, however many of the
    /// emits it matched.
    #[must_use]
    pub const fn woken(&self) -> usize {
        self.woken
    }

    pub(crate) fn add(&mut self, emitted: &Emitted) {
        self.first_seq.get_or_insert(emitted.seq);
        self.last_seq = Some(emitted.seq);
        self.emits += 1;
        self.matched += emitted.matched;
        self.parked += emitted.parked;
    }
}

/// Why an emit was refused. A refused emit takes no [`Seq`] and reaches nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The bus is closed, for good.
    #[error("the bus is closed: stop emitting, or emit on a new bus")]
    Closed,
    /// On a bus with history values rise strictly, and this one does not.
    #[error(
        "the value {value} does not lie above the head, {head}: \
         emit a greater value, or let `emit_next` choose it"
    )]
    NotIncreasing {
        /// The value that was refused.
        value: u64,
        /// The greatest value so far, or the one before it among emits that take effect together.
        head: u64,
    },
    /// On a bus with history the value [`u64::MAX`] is refused, because none could follow it.
    #[error("the value u64::MAX is refused on a bus with history: no value could follow it")]
    LastValue,
    /// What was asked for needs a bus with history: [`emit_next`](crate::RangeWatchBus::emit_next) and
    /// [`advance`](crate::RangeWatchBus::advance).
    #[error(
        "this bus has no history: build it with `RangeWatchBus::builder().history(..)`, \
         or emit a value of your own"
    )]
    NoHistory,
}

/// Why a [`compact`](crate::RangeWatchBus::compact) was refused; nothing has been forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CompactError {
    /// The value lies more than one above the greatest value so far, so it would forget what was not yet
    /// emitted.
    #[error("cannot compact to {value}: {}", AboveHead(*head))]
    AboveHead {
        /// The value that was given.
        value: u64,
        /// The greatest value so far, `None` if there is none.
        head: Option<u64>,
    },
    /// The bus has no history to compact.
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
