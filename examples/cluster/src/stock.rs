//! A wake subscription: "the stock has changed", in constant memory.

use rangewatch::bus::{Span, TryWakeError};
use rangewatch::{RangeWatchBus, Selector, SubscribeError, WakeSubscription};
use rangewatch_bridge::BoxError;

use crate::output::{By, Output};
use crate::store::Store;

const PREFIX: &str = "stock/";

/// Prints the stock when it has changed.
#[derive(Debug)]
pub(crate) struct Stock {
    store: Store,
    output: Output,
    /// The last revision that was printed.
    printed: u64,
    /// Whether the log lacks changes after that.
    has_gap: bool,
    wake: WakeSubscription,
}

impl Stock {
    /// Continues after the revision `printed`.
    pub(crate) fn new(
        bus: &RangeWatchBus,
        store: &Store,
        output: &Output,
        printed: u64,
    ) -> Result<Self, BoxError> {
        let subscribe = || bus.subscribe(Selector::prefix(PREFIX));
        let (wake, has_gap) = match subscribe().since_after(printed).wake() {
            // The stock of now contains what the log no longer has.
            Err(SubscribeError::Compacted { floor, .. }) => (subscribe().since(floor).wake(), true),
            wake => (wake, false),
        };
        Ok(Self {
            store: store.clone(),
            output: output.clone(),
            printed,
            has_gap,
            wake: wake?,
        })
    }

    /// Prints the stock after each change, or after several, until the bus is closed.
    pub(crate) async fn run(mut self) -> Result<(), BoxError> {
        while let Ok(span) = self.wake.recv().await {
            self.print(span).await?;
        }
        Ok(())
    }

    /// Prints the stock if it has changed.
    pub(crate) async fn drain(&mut self) -> Result<(), BoxError> {
        match self.wake.try_recv() {
            Ok(span) => self.print(span).await,
            Err(TryWakeError::Empty) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn print(&mut self, span: Span) -> Result<(), BoxError> {
        // A restored bus begins with a span of everything, and may emit again what is printed.
        if span.last() <= self.printed {
            return Ok(());
        }
        let Some(stock) = self.store.list(span.last(), PREFIX).await? else {
            return Ok(());
        };
        let (first, last, n) = (span.first(), span.last(), span.count());
        let is_exact = !span.is_conservative() && !self.has_gap && first > self.printed;
        let text = if !is_exact {
            format!("{stock} (changed since {})", self.printed)
        } else if first == last {
            stock
        } else {
            format!("{stock} ({n} changes, {first} to {last})")
        };
        self.output.change(last, By::Stock, text);
        self.printed = last;
        self.has_gap = false;
        Ok(())
    }
}
