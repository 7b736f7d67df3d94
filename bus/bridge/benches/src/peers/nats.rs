//! NATS JetStream.

use std::sync::Arc;

use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use rangewatch_bridge::{Log, async_trait};
use rangewatch_bridge_nats::NatsLog;
use rangewatch_bridge_nats::async_nats;
use rangewatch_bridge_nats::async_nats::jetstream::consumer::{AckPolicy, pull};
use rangewatch_bridge_nats::async_nats::jetstream::stream::{Config, Stream};
use rangewatch_bridge_nats::async_nats::jetstream::{self, Context};

use crate::Result;
use crate::client::{BareReader, BareWriter, Client, Usage};

#[derive(Debug)]
pub(crate) struct Nats {
    url: String,
}

impl Nats {
    pub(crate) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
        }
    }

    async fn connect(&self) -> Result<Context> {
        Ok(jetstream::new(async_nats::connect(&self.url).await?))
    }

    /// The stream of this name, whose subject has the same name.
    async fn stream(&self, name: &str) -> Result<(Context, Stream)> {
        let context = self.connect().await?;
        let config = Config {
            name: name.to_owned(),
            subjects: vec![name.to_owned()],
            ..Config::default()
        };
        let stream = context.get_or_create_stream(config).await?;
        Ok((context, stream))
    }
}

#[async_trait]
impl Client for Nats {
    fn log(&self, bus: &str, n_batch: usize) -> Result<Arc<dyn Log>> {
        let log = NatsLog::builder(&self.url, bus)?;
        Ok(Arc::new(log.read_messages(n_batch).build()?))
    }

    async fn bare_writer(&self, stream: &str) -> Result<Option<Box<dyn BareWriter>>> {
        let (context, _) = self.stream(stream).await?;
        let subject = stream.to_owned();
        Ok(Some(Box::new(Writer { context, subject })))
    }

    async fn bare_reader(
        &self,
        stream: &str,
        n_batch: usize,
    ) -> Result<Option<Box<dyn BareReader>>> {
        let (_, stream) = self.stream(stream).await?;
        let config = pull::Config {
            ack_policy: AckPolicy::None,
            ..pull::Config::default()
        };
        let consumer = stream.create_consumer(config).await?;
        let messages = consumer.stream().max_messages_per_batch(n_batch);
        Ok(Some(Box::new(Reader {
            messages: messages.messages().await?,
            n_batch,
        })))
    }

    async fn clear(&self) -> Result<()> {
        let context = self.connect().await?;
        let names: Vec<_> = context.stream_names().try_collect().await?;
        for name in names {
            context.delete_stream(name).await?;
        }
        Ok(())
    }

    /// What the streams have in their files. (An old server does not sum it up in a form that the
    /// client reads.)
    async fn usage(&self) -> Result<Usage> {
        let context = self.connect().await?;
        let streams: Vec<_> = context.streams().try_collect().await?;
        Ok(Usage {
            disk: streams.iter().map(|stream| stream.state.bytes).sum(),
            ..Usage::default()
        })
    }
}

struct Writer {
    context: Context,
    subject: String,
}

#[async_trait]
impl BareWriter for Writer {
    /// All are sent before the first answer is waited for.
    async fn append(&mut self, entries: &[(u64, Bytes)]) -> Result<()> {
        let mut answers = Vec::with_capacity(entries.len());
        for (_, bytes) in entries {
            let sent = self.context.publish(self.subject.clone(), bytes.clone());
            answers.push(sent.await?);
        }
        for answer in answers {
            answer.await?;
        }
        Ok(())
    }
}

struct Reader {
    messages: pull::Stream,
    n_batch: usize,
}

#[async_trait]
impl BareReader for Reader {
    /// The value of a message is its sequence: the emits of all rows count from 1.
    async fn next(&mut self) -> Result<Vec<(u64, Bytes)>> {
        let mut entries = Vec::new();
        let mut next = self.messages.next().await;
        while let Some(message) = next {
            let message = message?;
            let sequence = message.info()?.stream_sequence;
            entries.push((sequence, message.message.payload));
            if entries.len() == self.n_batch {
                break;
            }
            next = self.messages.next().now_or_never().flatten();
        }
        Ok(entries)
    }
}
