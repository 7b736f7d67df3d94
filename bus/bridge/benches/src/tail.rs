//! Reading a log that is filled: `LogReader::next` beside reads of as many entries.

use std::sync::Arc;

use rangewatch_bridge::{Log, LogReader, async_trait};

use crate::Result;
use crate::client::{BareReader, Client};
use crate::compare::{Bench, Contender, GOAL};
use crate::emits::{BARE, BRIDGE, check_same, fill_bare, fill_log, read_bare, read_log};

/// The entries of a read, the emits of a round, the goal.
const LOADS: [(usize, usize, Option<f64>); 2] = [(1, 3_000, None), (100, 50_000, Some(GOAL))];

pub(crate) fn run(bench: &mut Bench<'_>) -> Result<()> {
    bench.group(
        "tail",
        "Emits per second that are read from a log that was filled in batches of as many, and checked.",
    );
    bench.table();
    for (n_batch, n_emits, goal) in LOADS {
        let n_emits = bench.n_emits(n_emits);
        let client = Arc::clone(&bench.client);
        let has_bare = bench.runtime.block_on(async {
            fill_log(&*client, BRIDGE, n_emits as u64, n_batch).await?;
            let has_bare = fill_bare(&*client, BARE, n_emits as u64).await?;
            check_same(&*client, n_emits).await?;
            Ok::<_, rangewatch_bridge::BoxError>(has_bare)
        })?;
        let mut contenders: Vec<Box<dyn Contender>> = vec![Box::new(Bridge {
            log: client.log(BRIDGE, n_batch)?,
            reader: None,
            n_emits,
        })];
        if has_bare {
            contenders.push(Box::new(Bare {
                client,
                n_batch,
                reader: None,
                n_emits,
            }));
        }
        let rounds = bench.measure(n_emits, &mut contenders)?;
        bench.row(&format!("tail {n_batch}"), &rounds, goal);
        bench.runtime.block_on(bench.client.clear())?;
    }
    Ok(())
}

struct Bridge {
    log: Arc<dyn Log>,
    reader: Option<Box<dyn LogReader>>,
    n_emits: usize,
}

#[async_trait]
impl Contender for Bridge {
    async fn prepare(&mut self, _n_emits: usize) -> Result<()> {
        let mut reader = self.log.reader().await?;
        let head = reader.head().await?;
        reader.seek(head.epoch, None).await?;
        self.reader = Some(reader);
        Ok(())
    }

    async fn run(&mut self) -> Result<()> {
        let reader = self.reader.as_mut().ok_or("a round is prepared")?;
        let mut expected = Expected::default();
        read_log(&mut **reader, self.n_emits, |value, _| expected.next(value)).await?;
        expected.check(self.n_emits)
    }
}

struct Bare {
    client: Arc<dyn Client>,
    n_batch: usize,
    reader: Option<Box<dyn BareReader>>,
    n_emits: usize,
}

#[async_trait]
impl Contender for Bare {
    async fn prepare(&mut self, _n_emits: usize) -> Result<()> {
        self.reader = self.client.bare_reader(BARE, self.n_batch).await?;
        Ok(())
    }

    async fn run(&mut self) -> Result<()> {
        let reader = self.reader.as_mut().ok_or("a round is prepared")?;
        let mut expected = Expected::default();
        read_bare(&mut **reader, self.n_emits, |value, _| expected.next(value)).await?;
        expected.check(self.n_emits)
    }
}

/// Checks that the values are 1, 2, 3 and so on.
#[derive(Default)]
pub(crate) struct Expected {
    n: u64,
    is_wrong: bool,
}

impl Expected {
    pub(crate) fn next(&mut self, value: u64) {
        self.n += 1;
        self.is_wrong |= value != self.n;
    }

    pub(crate) fn check(&self, n: usize) -> Result<()> {
        if self.is_wrong || self.n != n as u64 {
            return Err("an emit is missing, repeated or out of order".into());
        }
        Ok(())
    }
}
