//! The commands, and the guest that applies them.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use rangewatch::Guest;
use rangewatch_bridge::{BoxError, StatusWatch};
use tokio::sync::watch;

/// The commands of a seed: all nodes apply the same, in the same order. In a real cluster a
/// consensus protocol brings them.
#[derive(Debug)]
pub(crate) struct Script {
    random: Rng,
    n_commands: usize,
    n_orders: u64,
}

const ITEMS: [&str; 3] = ["apples", "figs", "pears"];
const CUSTOMERS: [&str; 3] = ["ann", "bob", "mia"];

impl Script {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            random: Rng::with_seed(seed),
            n_commands: 0,
            n_orders: 0,
        }
    }

    /// The next command. The guest may refuse it: too little stock, an order that is not open.
    fn next(&mut self) -> String {
        self.n_commands += 1;
        if let Some(item) = ITEMS.get(self.n_commands - 1) {
            return format!("deliver 5 {item}");
        }
        let item = ITEMS[self.random.usize(..ITEMS.len())];
        let customer = CUSTOMERS[self.random.usize(..CUSTOMERS.len())];
        let earlier = self.random.u64(1..=self.n_orders.max(1));
        match self.random.u32(..10) {
            0..2 => format!("deliver {} {item}", self.random.u32(2..=6)),
            2..4 => format!("ship {earlier}"),
            4 => format!("cancel {earlier}"),
            _ => {
                self.n_orders += 1;
                let (order, n) = (self.n_orders, self.random.u32(2..=4));
                format!("order {order} {n} {item} {customer}")
            }
        }
    }
}

/// The state machine of a node.
#[derive(Debug)]
pub(crate) struct Machine {
    script: Script,
    guest: Arc<Guest>,
    applied: watch::Sender<u64>,
}

impl Machine {
    pub(crate) fn new(guest: &Arc<Guest>, script: Script) -> Self {
        Self {
            script,
            guest: Arc::clone(guest),
            applied: watch::Sender::new(0),
        }
    }

    /// Observes the last revision that was applied.
    pub(crate) fn applied(&self) -> watch::Receiver<u64> {
        self.applied.subscribe()
    }

    /// Applies commands until one changes something. Returns the revision of that.
    pub(crate) async fn change(&mut self) -> Result<u64, BoxError> {
        let before = *self.applied.borrow();
        loop {
            let command = self.script.next();
            let answer = self.guest.call_bytes("apply", command).await?;
            let revision: u64 = std::str::from_utf8(&answer)?.parse()?;
            if revision > before {
                self.applied.send_replace(revision);
                return Ok(revision);
            }
        }
    }

    /// Applies commands up to the revision `until`: one change in each `pace`, and at once where
    /// another node, or this one before it was started again, has been there before.
    pub(crate) async fn run(
        mut self,
        pace: Duration,
        until: u64,
        printed: u64,
        mut reader: StatusWatch,
    ) -> Result<(), BoxError> {
        let mut applied = 0;
        while applied < until {
            if applied >= printed {
                let ahead = reader.until(|status| status.position > Some(applied));
                tokio::select! {
                    status = ahead => if status.is_none() {
                        return Ok(());
                    },
                    () = tokio::time::sleep(pace) => {}
                }
            }
            applied = self.change().await?;
        }
        // The log has it, and this node has read it.
        reader.until(|status| status.position >= Some(until)).await;
        Ok(())
    }
}
