//! A subscription for events: every change of an order, once, in order.

use rangewatch::bus::TryRecvError;
use rangewatch::{Event, EventSubscription, RangeWatchBus, RecvError, Selector, SubscribeError};
use rangewatch_bridge::BoxError;

use crate::output::{By, Output};
use crate::store::Store;

const PREFIX: &str = "order/";

/// What does not fit into the queue waits in the history of the bus.
const QUEUE_EVENTS: usize = 256;

/// Prints the changes of orders.
#[derive(Debug)]
pub(crate) struct Orders {
    bus: RangeWatchBus,
    /// `None` before the first receive and after a gap.
    events: Option<EventSubscription>,
    printer: Printer,
}

#[derive(Debug)]
struct Printer {
    store: Store,
    output: Output,
    /// The last revision that was printed.
    printed: u64,
}

impl Orders {
    /// Continues after the revision `printed`.
    pub(crate) fn new(bus: &RangeWatchBus, store: &Store, output: &Output, printed: u64) -> Self {
        Self {
            bus: bus.clone(),
            events: None,
            printer: Printer {
                store: store.clone(),
                output: output.clone(),
                printed,
            },
        }
    }

    /// Prints what is received, until the bus is closed.
    pub(crate) async fn run(mut self) -> Result<(), BoxError> {
        while let Some(events) = self.events().await? {
            match events.recv().await {
                Ok(event) => self.printer.print_event(&event).await?,
                // The log has begun another epoch, or no longer has what follows.
                Err(RecvError::Compacted { .. }) => self.events = None,
                Err(RecvError::Closed) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Prints what is there.
    pub(crate) async fn drain(&mut self) -> Result<(), BoxError> {
        while let Some(events) = self.events().await? {
            match events.try_recv() {
                Ok(event) => self.printer.print_event(&event).await?,
                Err(TryRecvError::Empty) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Subscribes to what was not printed. What the log no longer has, the store has. `None` if the
    /// bus was closed before.
    ///
    /// The value is given without its epoch: a revision means the same in each, because the nodes
    /// keep their state when the log is lost. After a store was restored from a backup, everything
    /// would have to be printed again.
    async fn events(&mut self) -> Result<Option<&mut EventSubscription>, BoxError> {
        let events = match self.events.take() {
            Some(events) => events,
            None => loop {
                let orders = self.bus.subscribe(Selector::prefix(PREFIX));
                let orders = orders.since_after(self.printer.printed);
                match orders.events(QUEUE_EVENTS) {
                    Err(SubscribeError::Compacted { floor, .. }) => {
                        self.printer.print_before(floor).await?;
                    }
                    Err(SubscribeError::Closed) => {
                        let head = self.bus.head().unwrap_or(0);
                        self.printer.print_before(head + 1).await?;
                        return Ok(None);
                    }
                    events => break events?,
                }
            },
        };
        Ok(Some(self.events.insert(events)))
    }
}

impl Printer {
    /// Prints what the store has below `floor`.
    async fn print_before(&mut self, floor: u64) -> Result<(), BoxError> {
        for revision in self.printed + 1..floor {
            let keys = self.store.keys(revision, PREFIX).await?;
            let keys = keys.unwrap_or_default();
            let keys = keys.iter().map(String::as_str);
            self.print(revision, keys).await?;
        }
        Ok(())
    }

    async fn print_event(&mut self, event: &Event) -> Result<(), BoxError> {
        let keys = event.keys().map(std::str::from_utf8);
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        self.print(event.value(), keys).await
    }

    async fn print(
        &mut self,
        revision: u64,
        keys: impl IntoIterator<Item = &str>,
    ) -> Result<(), BoxError> {
        for key in keys {
            if let Some(value) = self.store.at(revision, key).await? {
                let text = format!("{key}: {value}");
                self.output.change(revision, By::Orders, text);
            }
        }
        self.printed = revision;
        Ok(())
    }
}
