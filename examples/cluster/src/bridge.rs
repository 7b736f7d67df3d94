//! Between a node and the log.

use std::sync::Arc;

use rangewatch::{History, RangeWatchBus};
use rangewatch_bridge::{Appender, BoxError, Log, Reader, StatusWatch};
use tokio::task::JoinSet;

use crate::output::Output;
use crate::status;

/// The emits that a bus keeps: what an appender catches up with when the server was away, and how
/// far back subscribers can begin.
const HISTORY: History = History::events(100_000);

/// An appender and a reader, which run, and their buses.
#[derive(Debug)]
pub(crate) struct Bridge {
    /// What the guest emits: source -> appender -> log.
    pub(crate) source: RangeWatchBus,
    pub(crate) appender: StatusWatch,
    /// What the log holds: log -> reader -> bus.
    pub(crate) bus: RangeWatchBus,
    pub(crate) reader: StatusWatch,
    running: JoinSet<Result<(), BoxError>>,
}

impl Bridge {
    /// Connects, and waits while the server is away. The first appender begins the log. The states
    /// are printed where `reports` goes.
    pub(crate) async fn open(
        log: Arc<dyn Log>,
        reports: Option<&Output>,
    ) -> Result<Self, BoxError> {
        let mut running = JoinSet::new();
        let source = RangeWatchBus::builder().history(HISTORY).build()?;
        let appending = Appender::builder(Arc::clone(&log), &source).build()?;
        let appender = appending.status();
        running.spawn(async { Ok(appending.run().await?) });
        if let Some(output) = reports {
            running.spawn(status::report("appender", appender.clone(), output.clone()));
        }
        let reading = Reader::builder(log).history(HISTORY).open().await?;
        let (bus, reader) = (reading.bus().clone(), reading.status());
        running.spawn(async { Ok(reading.run().await?) });
        if let Some(output) = reports {
            running.spawn(status::report("reader", reader.clone(), output.clone()));
        }
        Ok(Self {
            source,
            appender,
            bus,
            reader,
            running,
        })
    }

    /// Waits until both have ended, which they do when their buses are closed.
    pub(crate) async fn ended(&mut self) -> Result<(), BoxError> {
        while let Some(ended) = self.running.join_next().await {
            ended??;
        }
        Ok(())
    }
}
