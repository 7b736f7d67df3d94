//! Redis Streams.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rangewatch_bridge::{Log, async_trait};
use rangewatch_bridge_redis::RedisLog;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Value};

use crate::Result;
use crate::client::{BareReader, BareWriter, Client, Usage};

#[derive(Debug)]
pub(crate) struct Redis {
    client: redis::Client,
}

impl Redis {
    pub(crate) fn new(url: &str) -> Result<Self> {
        Ok(Self {
            client: redis::Client::open(url)?,
        })
    }

    /// A connection of the kind that the bridge has.
    async fn connect(&self) -> Result<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(Duration::from_secs(5)))
            .set_response_timeout(Some(Duration::from_secs(6)));
        let connection = self
            .client
            .get_multiplexed_async_connection_with_config(&config);
        Ok(connection.await?)
    }
}

#[async_trait]
impl Client for Redis {
    fn log(&self, bus: &str, n_batch: usize) -> Result<Arc<dyn Log>> {
        let log = RedisLog::builder(self.client.get_connection_info().clone(), bus)?;
        Ok(Arc::new(log.read_entries(n_batch).build()?))
    }

    async fn bare_writer(&self, stream: &str) -> Result<Option<Box<dyn BareWriter>>> {
        Ok(Some(Box::new(Writer {
            connection: self.connect().await?,
            stream: stream.to_owned(),
        })))
    }

    async fn bare_reader(
        &self,
        stream: &str,
        n_batch: usize,
    ) -> Result<Option<Box<dyn BareReader>>> {
        Ok(Some(Box::new(Reader {
            connection: self.connect().await?,
            stream: stream.to_owned(),
            n_batch,
            after: 0,
        })))
    }

    async fn clear(&self) -> Result<()> {
        let mut connection = self.connect().await?;
        let answer: () = redis::cmd("FLUSHALL").query_async(&mut connection).await?;
        Ok(answer)
    }

    async fn usage(&self) -> Result<Usage> {
        let mut connection = self.connect().await?;
        let info: String = redis::cmd("INFO").query_async(&mut connection).await?;
        let number = |name: &str| {
            let line = info.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.strip_prefix(':')?.trim().parse().ok())
                .unwrap_or(0)
        };
        Ok(Usage {
            memory: number("used_memory"),
            disk: number("aof_current_size"),
            received: number("total_net_input_bytes"),
            sent: number("total_net_output_bytes"),
        })
    }
}

struct Writer {
    connection: MultiplexedConnection,
    stream: String,
}

#[async_trait]
impl BareWriter for Writer {
    async fn append(&mut self, entries: &[(u64, Bytes)]) -> Result<()> {
        let mut pipe = redis::pipe();
        for (value, bytes) in entries {
            pipe.cmd("XADD")
                .arg(&self.stream)
                .arg(format!("{value}-1"))
                .arg("k")
                .arg(&bytes[..])
                .ignore();
        }
        Ok(pipe.exec_async(&mut self.connection).await?)
    }
}

struct Reader {
    connection: MultiplexedConnection,
    stream: String,
    n_batch: usize,
    after: u64,
}

#[async_trait]
impl BareReader for Reader {
    async fn next(&mut self) -> Result<Vec<(u64, Bytes)>> {
        let mut command = redis::cmd("XREAD");
        command
            .arg("COUNT")
            .arg(self.n_batch)
            .arg("BLOCK")
            .arg(1000)
            .arg("STREAMS")
            .arg(&self.stream)
            .arg(format!("{}-1", self.after));
        let answer = self.connection.send_packed_command(&command).await?;
        let entries = entries(answer.extract_error()?).ok_or("XREAD has another form")?;
        if let Some((last, _)) = entries.last() {
            self.after = *last;
        }
        Ok(entries)
    }
}

/// The entries of an answer to XREAD of one stream: the first number of each id, and the bytes of
/// the one field.
fn entries(answer: Value) -> Option<Vec<(u64, Bytes)>> {
    if answer == Value::Nil {
        return Some(Vec::new());
    }
    let stream = array(answer)?.pop()?;
    let entries = array(array(stream)?.pop()?)?.into_iter();
    let entry = |entry| {
        let [id, fields] = <[Value; 2]>::try_from(array(entry)?).ok()?;
        let [_, Value::BulkString(bytes)] = <[Value; 2]>::try_from(array(fields)?).ok()? else {
            return None;
        };
        let Value::BulkString(id) = id else {
            return None;
        };
        let value = str::from_utf8(&id).ok()?.split_once('-')?.0.parse().ok()?;
        Some((value, Bytes::from(bytes)))
    };
    entries.map(entry).collect()
}

fn array(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(values) => Some(values),
        _ => None,
    }
}
