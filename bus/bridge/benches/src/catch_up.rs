//! From the floor of a long log into a local bus with history and one subscriber.

use std::sync::Arc;

use rangewatch_bridge::{Log, Reader, async_trait};
use rangewatch_bus::{History, Overflow};

use crate::Result;
use crate::client::Client;
use crate::compare::{Bench, Contender};
use crate::emits::{BARE, BRIDGE, FILL_BATCH, fill_bare, fill_log, read_bare};
use crate::tail::Expected;

const N_EMITS: usize = 200_000;
/// The default of the bridge.
const N_BATCH: usize = 256;
/// The subscriber's queue.
const QUEUE_EVENTS: usize = 1024;

pub(crate) fn run(bench: &mut Bench<'_>) -> Result<()> {
    bench.group(
        "catch-up",
        "Emits per second from the floor of a long log: by the bridge into a bus with history and to one\n\
         subscriber of everything, which receives them; by the bare client into nothing.",
    );
    bench.table();
    let n_emits = bench.n_emits(N_EMITS);
    let client = Arc::clone(&bench.client);
    let has_bare = bench.runtime.block_on(async {
        fill_log(&*client, BRIDGE, n_emits as u64, FILL_BATCH).await?;
        fill_bare(&*client, BARE, n_emits as u64).await
    })?;
    let mut contenders: Vec<Box<dyn Contender>> = vec![Box::new(Bridge {
        log: client.log(BRIDGE, N_BATCH)?,
        n_emits,
    })];
    if has_bare {
        contenders.push(Box::new(Bare { client, n_emits }));
    }
    let rounds = bench.measure(n_emits, &mut contenders)?;
    bench.row("catch-up", &rounds, None);
    bench.runtime.block_on(bench.client.clear())?;
    Ok(())
}

struct Bridge {
    log: Arc<dyn Log>,
    n_emits: usize,
}

#[async_trait]
impl Contender for Bridge {
    async fn prepare(&mut self, _n_emits: usize) -> Result<()> {
        Ok(())
    }

    async fn run(&mut self) -> Result<()> {
        let reader = Reader::builder(Arc::clone(&self.log));
        let reader = reader.history(History::events(self.n_emits)).open().await?;
        let all = reader.bus().subscribe(..).overflow(Overflow::Park);
        let mut all = all.events(QUEUE_EVENTS)?;
        let reading = tokio::spawn(reader.run());
        let mut expected = Expected::default();
        let mut events = Vec::new();
        let mut n_received = 0;
        while n_received < self.n_emits {
            n_received += all.recv_many(&mut events, QUEUE_EVENTS).await?;
            for event in events.drain(..) {
                expected.next(event.value());
            }
        }
        reading.abort();
        expected.check(self.n_emits)
    }
}

struct Bare {
    client: Arc<dyn Client>,
    n_emits: usize,
}

#[async_trait]
impl Contender for Bare {
    async fn prepare(&mut self, _n_emits: usize) -> Result<()> {
        Ok(())
    }

    async fn run(&mut self) -> Result<()> {
        let reader = self.client.bare_reader(BARE, N_BATCH).await?;
        let mut reader = reader.ok_or("there is a bare client")?;
        let mut expected = Expected::default();
        read_bare(&mut *reader, self.n_emits, |value, _| expected.next(value)).await?;
        expected.check(self.n_emits)
    }
}
