//! Appending: `Writer::append_many` beside a pipeline of the same entries.

use bytes::Bytes;
use rangewatch_bridge::{BytesPayloads, Codec, NoPayloads, Outcome, Writer, async_trait};

use crate::Result;
use crate::client::{BareWriter, Client};
use crate::compare::{Bench, Contender, GOAL};
use crate::emits::{BARE, BRIDGE, check_same, frames, key};

struct Load {
    name: &'static str,
    n_batch: usize,
    n_emits: usize,
    payload_bytes: usize,
    goal: Option<f64>,
}

const LOADS: &[Load] = &[
    Load {
        name: "append 1",
        n_batch: 1,
        n_emits: 3_000,
        payload_bytes: 0,
        goal: None,
    },
    Load {
        name: "append 100",
        n_batch: 100,
        n_emits: 30_000,
        payload_bytes: 0,
        goal: Some(GOAL),
    },
    Load {
        name: "append 100, payloads of 1 KiB",
        n_batch: 100,
        n_emits: 15_000,
        payload_bytes: 1024,
        goal: Some(GOAL),
    },
];

pub(crate) fn run(bench: &mut Bench<'_>) -> Result<()> {
    bench.group(
        "append",
        "Emits per second, one batch after the other, and the processor time of an emit.",
    );
    bench.table();
    for load in LOADS {
        let mut contenders: Vec<Box<dyn Contender>> = Vec::new();
        let payload = vec![b'p'; load.payload_bytes];
        let client = &*bench.client;
        let (ours, theirs) = bench.runtime.block_on(async {
            let ours: Box<dyn Contender> = match load.payload_bytes {
                0 => Box::new(Bridge::open(client, load.n_batch, NoPayloads, ()).await?),
                _ => {
                    let payload = Bytes::from(payload.clone());
                    Box::new(Bridge::open(client, load.n_batch, BytesPayloads, payload).await?)
                }
            };
            Ok::<_, rangewatch_bridge::BoxError>((ours, client.bare_writer(BARE).await?))
        })?;
        contenders.push(ours);
        if let Some(writer) = theirs {
            contenders.push(Box::new(Bare {
                writer,
                n_batch: load.n_batch,
                payload,
                last: 0,
                entries: Vec::new(),
            }));
        }
        let n_emits = bench.n_emits(load.n_emits);
        let rounds = bench.measure(n_emits, &mut contenders)?;
        bench.row(load.name, &rounds, load.goal);
        let n_all = n_emits * (bench.n_rounds + 1);
        bench.runtime.block_on(check_same(&*bench.client, n_all))?;
        bench.runtime.block_on(bench.client.clear())?;
    }
    Ok(())
}

struct Bridge<P> {
    writer: Writer<P>,
    n_batch: usize,
    payload: P,
    last: u64,
    emits: Vec<(u64, String)>,
}

impl<P: Clone + Send + Sync + 'static> Bridge<P> {
    async fn open(
        client: &dyn Client,
        n_batch: usize,
        codec: impl Codec<P>,
        payload: P,
    ) -> Result<Self> {
        Ok(Self {
            writer: Writer::open_with(client.log(BRIDGE, 256)?, codec).await?,
            n_batch,
            payload,
            last: 0,
            emits: Vec::new(),
        })
    }
}

#[async_trait]
impl<P: Clone + Send + Sync + 'static> Contender for Bridge<P> {
    async fn prepare(&mut self, n_emits: usize) -> Result<()> {
        let values = self.last + 1..=self.last + n_emits as u64;
        self.emits = values.map(|value| (value, key(value))).collect();
        self.last += n_emits as u64;
        Ok(())
    }

    async fn run(&mut self) -> Result<()> {
        for emits in self.emits.chunks(self.n_batch) {
            let emits = emits
                .iter()
                .map(|(value, key)| (*value, [(key, self.payload.clone())]));
            let outcomes = self.writer.append_many_with(emits).await?;
            let is_appended = |outcome: &Outcome| *outcome == Outcome::Appended;
            if !outcomes.iter().all(is_appended) {
                return Err("an emit was not appended".into());
            }
        }
        Ok(())
    }
}

struct Bare {
    writer: Box<dyn BareWriter>,
    n_batch: usize,
    payload: Vec<u8>,
    last: u64,
    entries: Vec<(u64, Bytes)>,
}

#[async_trait]
impl Contender for Bare {
    async fn prepare(&mut self, n_emits: usize) -> Result<()> {
        let end = self.last + n_emits as u64;
        self.entries = frames(self.last + 1..end + 1, &self.payload);
        self.last = end;
        Ok(())
    }

    async fn run(&mut self) -> Result<()> {
        for entries in self.entries.chunks(self.n_batch) {
            self.writer.append(entries).await?;
        }
        Ok(())
    }
}
