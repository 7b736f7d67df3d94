//! What a reader or an appender is doing, in numbers.

use std::sync::Arc;

use tokio::sync::watch;

use crate::LogError;

/// What a [`Reader`](crate::Reader) or an [`Appender`](crate::Appender) is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// It is connecting, for the first time or again.
    Connecting,
    /// The attempt to connect failed, or the connection was lost; it will try again.
    Disconnected,
    /// It is connected, and the log does not exist: no writer has begun it, or its server has lost
    /// its data.
    Missing,
    /// It is connected and behind: a reader behind the head of the log, an appender behind its bus.
    CatchingUp,
    /// It is connected and has caught up.
    Live,
    /// It has ended.
    Ended,
}

impl Phase {
    /// The name, in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Disconnected => "disconnected",
            Self::Missing => "missing",
            Self::CatchingUp => "catching_up",
            Self::Live => "live",
            Self::Ended => "ended",
        }
    }
}

/// The state of a [`Reader`](crate::Reader) or an [`Appender`](crate::Appender), and what it has
/// done since it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// What it is doing.
    pub phase: Phase,
    /// The epoch of the log, once it is known.
    pub epoch: Option<u64>,
    /// The greatest value that was read or appended.
    pub position: Option<u64>,
    /// The greatest value that is to be read or appended, as far as is known: a reader knows the
    /// head of the log from its last contact, an appender the head of its bus.
    pub target: Option<u64>,
    /// Emits that were read, or appended by this appender.
    pub n_emits: u64,
    /// Emits that a reader has read again, or that an appender found in the log.
    pub n_repeated: u64,
    /// How often emits were missing, so that subscriptions ended with `Compacted`.
    pub n_gaps: u64,
    /// How often the epoch has changed.
    pub n_epochs: u64,
    /// Entries that are not those of a bridge, or whose payloads could not be decoded.
    pub n_foreign: u64,
    /// How often it has connected.
    pub n_connects: u64,
    /// How many attempts have failed since it was last connected.
    pub n_failed: u32,
    /// The last error, with its sources. It stays when the error is over.
    pub last_error: Option<Arc<str>>,
}

impl Status {
    pub(crate) const fn new() -> Self {
        Self {
            phase: Phase::Connecting,
            epoch: None,
            position: None,
            target: None,
            n_emits: 0,
            n_repeated: 0,
            n_gaps: 0,
            n_epochs: 0,
            n_foreign: 0,
            n_connects: 0,
            n_failed: 0,
            last_error: None,
        }
    }

    /// How far the position is behind the target, in values. 0 does not mean that it has caught up:
    /// see [`phase`](Self::phase).
    #[must_use]
    pub fn lag(&self) -> u64 {
        match (self.position, self.target) {
            (Some(position), Some(target)) => target.saturating_sub(position),
            (None, Some(target)) => target.saturating_add(1),
            (_, None) => 0,
        }
    }
}

/// Observes the [`Status`] of a [`Reader`](crate::Reader) or an [`Appender`](crate::Appender), also
/// after it has ended.
#[derive(Clone, Debug)]
pub struct StatusWatch {
    status: watch::Receiver<Status>,
}

impl StatusWatch {
    /// The status now.
    #[must_use]
    pub fn get(&self) -> Status {
        self.status.borrow().clone()
    }

    /// Waits until the status is as `wanted`, and returns it; at once if it already is. `None` if
    /// the reader or appender was dropped before that.
    ///
    /// # Cancel safety
    ///
    /// Yes. Nothing is lost.
    pub async fn until(&mut self, wanted: impl FnMut(&Status) -> bool) -> Option<Status> {
        let status = self.status.wait_for(wanted).await;
        status.ok().map(|status| status.clone())
    }

    /// Waits until it is [live](Phase::Live). `None` if it was dropped before that.
    ///
    /// # Cancel safety
    ///
    /// Yes. Nothing is lost.
    pub async fn until_live(&mut self) -> Option<Status> {
        self.until(|status| status.phase == Phase::Live).await
    }
}

/// Writes a status.
#[derive(Debug)]
pub(crate) struct StatusSender {
    status: watch::Sender<Status>,
    /// For metrics and `tracing`: `reader` or `appender`.
    kind: &'static str,
    /// The name of the bus.
    name: Option<Arc<str>>,
}

impl StatusSender {
    pub(crate) fn new(kind: &'static str, name: Option<Arc<str>>) -> Self {
        Self {
            status: watch::Sender::new(Status::new()),
            kind,
            name,
        }
    }

    pub(crate) fn watch(&self) -> StatusWatch {
        StatusWatch {
            status: self.status.subscribe(),
        }
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut Status)) {
        let mut before = None;
        self.status.send_modify(|status| {
            before = Some(status.phase);
            change(status);
        });
        let status = self.status.borrow();
        if before != Some(status.phase) {
            self.report(&status);
        }
        #[cfg(feature = "metrics")]
        crate::metrics::publish(self.kind, self.name.as_ref(), &status);
    }

    pub(crate) fn phase(&self, phase: Phase) {
        self.update(|status| status.phase = phase);
    }

    /// The connection was lost, or could not be made. Returns how many attempts have failed.
    pub(crate) fn disconnected(&self, error: &LogError) -> u32 {
        let mut n_failed = 0;
        self.update(|status| {
            status.phase = match error {
                LogError::Missing => Phase::Missing,
                _ => Phase::Disconnected,
            };
            status.n_failed = status.n_failed.saturating_add(1);
            status.last_error = Some(chain(error).into());
            n_failed = status.n_failed;
        });
        n_failed
    }

    /// Something was wrong, and is over or has ended everything.
    pub(crate) fn warn(&self, error: &dyn std::error::Error) {
        let text = chain(error);
        #[cfg(feature = "tracing")]
        tracing::warn!(
            bus = self.name.as_deref(),
            kind = self.kind,
            error = text,
            "bridge"
        );
        self.update(|status| status.last_error = Some(text.into()));
    }

    fn report(&self, status: &Status) {
        #[cfg(feature = "tracing")]
        tracing::info!(
            bus = self.name.as_deref(),
            kind = self.kind,
            phase = status.phase.name(),
            epoch = status.epoch,
            position = status.position,
            target = status.target,
            error = status.last_error.as_deref(),
            "bridge"
        );
        #[cfg(not(feature = "tracing"))]
        let _ = (status, self.kind, &self.name);
    }
}

/// An error with its sources, except those that say what the text ends with: some errors contain
/// the text of their source.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        source = error.source();
    }
    text
}
