//! The log in memory, which has no server and no client but the bridge.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rangewatch_bridge::{Log, MemoryLog, async_trait};

use crate::Result;
use crate::client::{BareReader, BareWriter, Client, Usage};

#[derive(Debug, Default)]
pub(crate) struct Memory {
    logs: Mutex<HashMap<String, MemoryLog>>,
}

#[async_trait]
impl Client for Memory {
    fn log(&self, bus: &str, _n_batch: usize) -> Result<Arc<dyn Log>> {
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::new(logs.entry(bus.to_owned()).or_default().clone()))
    }

    async fn bare_writer(&self, _stream: &str) -> Result<Option<Box<dyn BareWriter>>> {
        Ok(None)
    }

    async fn bare_reader(
        &self,
        _stream: &str,
        _n_batch: usize,
    ) -> Result<Option<Box<dyn BareReader>>> {
        Ok(None)
    }

    async fn clear(&self) -> Result<()> {
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        logs.clear();
        Ok(())
    }

    async fn usage(&self) -> Result<Usage> {
        Ok(Usage::default())
    }
}
