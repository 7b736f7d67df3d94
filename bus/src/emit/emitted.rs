//! Receipts of emits.

use crate::Seq;

/// The receipt of an accepted emit, from [`RangeWatchBus::emit`](crate::RangeWatchBus::emit) and
/// its variants.
///
/// # Examples
///
/// ```
/// use rangewatch_bus::RangeWatchBus;
///
/// let bus = RangeWatchBus::new();
/// let _low = bus.subscribe("a".."m").wake()?;
/// let _all = bus.subscribe(..).wake()?;
/// let emitted = bus.emit(7, ["x"])?;
/// assert_eq!((emitted.seq().get(), emitted.matched(), emitted.woken()), (1, 1, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Emitted {
    pub(crate) seq: Seq,
    pub(crate) value: u64,
    pub(crate) matched: usize,
    pub(crate) n_ranges: usize,
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
    /// A matched subscription holds the emit when `emit` returns, or reads it from the history if
    /// it is [`parked`](Self::parked).
    #[must_use]
    pub const fn matched(&self) -> usize {
        self.matched
    }

    /// The number of ranges of subscriptions that this emit matched: at least
    /// [`matched`](Self::matched). An [`EventSet`](crate::EventSet) is one subscription, with a
    /// range for each watch. The time of an emit grows with this number.
    #[must_use]
    pub const fn n_ranges(&self) -> usize {
        self.n_ranges
    }

    /// The number of matched subscriptions that will read this emit from the history: those that
    /// were parked already, and those whose queue this emit has overflowed.
    #[must_use]
    pub const fn parked(&self) -> usize {
        self.parked
    }

    /// The number of matched subscriptions whose waiting consumer was notified. Members of one
    /// [`WatchSet`](crate::WatchSet) count one each, although one receiver is woken for them.
    #[must_use]
    pub const fn woken(&self) -> usize {
        self.woken
    }
}

/// The receipt of several emits that took effect at once, from
/// [`RangeWatchBus::emit_many`](crate::RangeWatchBus::emit_many) and
/// [`Batch::commit`](crate::Batch::commit).
///
/// # Examples
///
/// ```
/// use rangewatch_bus::RangeWatchBus;
///
/// let bus = RangeWatchBus::new();
/// let _all = bus.subscribe(..).events(8)?;
/// let emitted = bus.emit_many([(1, ["a"]), (2, ["b"])])?;
/// assert_eq!((emitted.n_emits(), emitted.matched()), (2, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EmittedMany {
    pub(crate) first_seq: Option<Seq>,
    pub(crate) last_seq: Option<Seq>,
    pub(crate) emits: usize,
    pub(crate) matched: usize,
    pub(crate) n_ranges: usize,
    pub(crate) parked: usize,
    pub(crate) woken: usize,
}

impl EmittedMany {
    /// The position of the first of the emits; `None` if there were none.
    #[must_use]
    pub const fn first_seq(&self) -> Option<Seq> {
        self.first_seq
    }

    /// The position of the last of the emits; `None` if there were none. No other emit lies between
    /// the first and the last.
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

    /// The sum of [`Emitted::n_ranges`] over the emits.
    #[must_use]
    pub const fn n_ranges(&self) -> usize {
        self.n_ranges
    }

    /// The sum of [`Emitted::parked`] over the emits.
    #[must_use]
    pub const fn parked(&self) -> usize {
        self.parked
    }

    /// The number of subscriptions whose waiting consumer was notified: each once, however many of
    /// the emits it matched.
    #[must_use]
    pub const fn woken(&self) -> usize {
        self.woken
    }

    pub(crate) fn add(&mut self, emitted: &Emitted) {
        self.first_seq.get_or_insert(emitted.seq);
        self.last_seq = Some(emitted.seq);
        self.emits += 1;
        self.matched += emitted.matched;
        self.n_ranges += emitted.n_ranges;
        self.parked += emitted.parked;
    }
}
