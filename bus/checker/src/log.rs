//! The log of one subscription.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use rangewatch_bus::{Selectors, Seq, Stats};

use crate::Delivery;

/// Records the deliveries and the operations of one subscription; made by
/// [`Checker::subscribe`](crate::Checker::subscribe) and its variants.
///
/// All entries of a log form one sequence: record each delivery and each operation in the order in
/// which they happened.
pub struct Log {
    entries: Arc<Mutex<Vec<Entry>>>,
}

pub(crate) enum Entry {
    Delivery(Delivery),
    /// An edit, and the first emit that it applies to.
    Edited(Seq, Edit, Selectors),
    StartedAfter(u64),
    Discarded,
    AtRest(Option<Seq>, Stats),
}

/// What an edit does with its selectors.
#[derive(Clone, Copy)]
pub(crate) enum Edit {
    Add,
    Remove,
    Set,
}

impl Log {
    pub(crate) const fn new(entries: Arc<Mutex<Vec<Entry>>>) -> Self {
        Self { entries }
    }

    /// Records what the subscription received: an `&Event`, an `&Item`, a
    /// [`Span`](rangewatch_bus::Span), a [`RecvError`](rangewatch_bus::RecvError) or a
    /// [`Delivery`].
    pub fn record(&self, delivery: impl Into<Delivery>) {
        self.push(Entry::Delivery(delivery.into()));
    }

    /// Records that a receive found nothing, after every emit up to `through` had returned: the
    /// [`last_seq`](rangewatch_bus::RangeWatchBus::last_seq) read before that receive.
    ///
    /// A missing delivery at the end of a trace is a violation only after this, a progress mark or
    /// the end of the subscription. Without them the subscription may have been dropped with
    /// unreceived items.
    pub fn caught_up(&self, through: Option<Seq>) {
        self.record(Delivery::CaughtUp(through));
    }

    /// Records that `selectors` were [added](rangewatch_bus::EventSubscription::add_selectors) at
    /// `seq`, which that call returned.
    pub fn selectors_added(&self, seq: Seq, selectors: impl Into<Selectors>) {
        self.push(Entry::Edited(seq, Edit::Add, selectors.into()));
    }

    /// Records that `selectors` were
    /// [removed](rangewatch_bus::EventSubscription::remove_selectors) at `seq`, which that call
    /// returned.
    pub fn selectors_removed(&self, seq: Seq, selectors: impl Into<Selectors>) {
        self.push(Entry::Edited(seq, Edit::Remove, selectors.into()));
    }

    /// Records that the selectors were
    /// [replaced](rangewatch_bus::EventSubscription::set_selectors) by `selectors`, or that the
    /// subscription was [opened](rangewatch_bus::EventSubscription::open) with them, at `seq`,
    /// which that call returned.
    pub fn selectors_set(&self, seq: Seq, selectors: impl Into<Selectors>) {
        self.push(Entry::Edited(seq, Edit::Set, selectors.into()));
    }

    /// Records a [start after](rangewatch_bus::EventSubscription::start_after) `value`: undelivered
    /// emits of values up to `value` are no longer expected. For buses whose values increase.
    pub fn started_after(&self, value: u64) {
        self.push(Entry::StartedAfter(value));
    }

    /// Records that the bus was [closed without
    /// draining](rangewatch_bus::RangeWatchBus::close_now): only the end is expected after this.
    pub fn discarded(&self) {
        self.push(Entry::Discarded);
    }

    /// Records the statistics of the subscription, read while no emit ran and `through` was the
    /// last one.
    pub fn at_rest(&self, through: Option<Seq>, stats: Stats) {
        self.push(Entry::AtRest(through, stats));
    }

    fn push(&self, entry: Entry) {
        self.entries.lock().push(entry);
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n_entries = self.entries.lock().len();
        f.debug_struct("Log")
            .field("n_entries", &n_entries)
            .finish()
    }
}
