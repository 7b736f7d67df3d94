//! What subscribers ask the guest: the value of an event says where to look.

use std::sync::Arc;

use rangewatch::Guest;
use rangewatch_bridge::BoxError;
use tokio::sync::watch;

/// The state of the guest at any revision.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    pub(crate) guest: Arc<Guest>,
    pub(crate) applied: watch::Receiver<u64>,
}

impl Store {
    /// The value of a key at a revision.
    pub(crate) async fn at(&self, revision: u64, key: &str) -> Result<Option<String>, BoxError> {
        self.ask("at", revision, key).await
    }

    /// The keys with a prefix that a revision has changed.
    pub(crate) async fn keys(
        &self,
        revision: u64,
        prefix: &str,
    ) -> Result<Option<Vec<String>>, BoxError> {
        let keys = self.ask("keys", revision, prefix).await?;
        Ok(keys.map(|keys| keys.lines().map(str::to_owned).collect()))
    }

    /// The values of all keys with a prefix at a revision.
    pub(crate) async fn list(
        &self,
        revision: u64,
        prefix: &str,
    ) -> Result<Option<String>, BoxError> {
        self.ask("list", revision, prefix).await
    }

    /// Waits until this node has applied the revision, as an event of another node may be here
    /// before. `None` if the node ends before that.
    async fn ask(
        &self,
        export: &str,
        revision: u64,
        key: &str,
    ) -> Result<Option<String>, BoxError> {
        let mut applied = self.applied.clone();
        if applied.wait_for(|last| *last >= revision).await.is_err() {
            return Ok(None);
        }
        let input = format!("{revision} {key}");
        let answer = self.guest.call_bytes(export, input).await?;
        Ok(Some(String::from_utf8(answer)?))
    }
}
