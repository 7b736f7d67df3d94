//! A watch of the guest: its callback runs for changes that another node may have emitted.

use std::sync::Arc;

use rangewatch::{CallError, Guest, Owner, RangeWatchBus, Val};
use rangewatch_bridge::{BoxError, StatusWatch};
use tokio::sync::Notify;

use crate::bridge::Bridge;

/// The watch of the guest. What the guest prints is on its standard output.
#[derive(Debug)]
pub(crate) struct Customers {
    guest: Arc<Guest>,
    bus: RangeWatchBus,
    reader: StatusWatch,
    /// The last revision that was printed by the guest of the process before.
    printed: u64,
    /// Notified when the watch has ended because the guest was too slow.
    overflow: Arc<Notify>,
}

impl Customers {
    pub(crate) fn new(
        guest: &Arc<Guest>,
        bridge: &Bridge,
        printed: u64,
        overflow: Arc<Notify>,
    ) -> Self {
        Self {
            guest: Arc::clone(guest),
            bus: bridge.bus.clone(),
            reader: bridge.reader.clone(),
            printed,
            overflow,
        }
    }

    /// Has the guest watch, under an owner that ends with the watch.
    pub(crate) async fn watch(&self) -> Result<Owner, CallError> {
        let owner = self.guest.owner();
        // Open, scan, start: nothing is missed. The host says how far the scan has to go.
        self.guest.caller().owner(&owner).call("open", &[]).await?;
        let head = self.bus.head().unwrap_or(0);
        let range = [Val::I64(self.printed as i64), Val::I64(head as i64)];
        self.guest
            .caller()
            .owner(&owner)
            .call("start", &range)
            .await?;
        Ok(owner)
    }

    /// Watches, again after each gap, until the reader ends.
    pub(crate) async fn run(mut self) -> Result<(), BoxError> {
        // What the log holds already is scanned, which takes less than callbacks.
        self.reader.until_live().await;
        loop {
            let n_gaps = self.reader.get().n_gaps;
            // The watch lives as long as its owner.
            let _owner = self.watch().await?;
            tokio::select! {
                gap = self.reader.until(|now| now.n_gaps > n_gaps) => if gap.is_none() {
                    return Ok(());
                },
                () = self.overflow.notified() => {}
            }
        }
    }
}
