//! What a reader does with what it reads: emits on its bus, without a gap or a repeat.

use std::sync::Arc;

use rangewatch_bus::{EmitError, RangeWatchBus};
use thiserror::Error;

use crate::status::StatusSender;
use crate::{BoxError, Codec, ForeignEntry, Frame, LogItem};

/// The bus of a reader, and how far it was filled.
pub(crate) struct Apply<P> {
    pub(crate) bus: RangeWatchBus<P>,
    codec: Arc<dyn Codec<P>>,
    /// The epoch of the log that the bus holds.
    pub(crate) epoch: u64,
    /// Everything up to this value is on the bus, or was reported as missing. There need not be an
    /// emit of this value: a reader may begin anywhere.
    pub(crate) position: Option<u64>,
    /// The last emit that is on the bus.
    last_emit: Option<u64>,
    pub(crate) status: Arc<StatusSender>,
}

/// The bus was closed.
#[derive(Debug)]
pub(crate) struct BusClosed;

/// Why a reader has ended subscriptions with `Compacted`, for its status and for `tracing`.
#[derive(Debug, Error)]
enum Gap {
    #[error("the log holds nothing between {after:?} and {next}: it was trimmed, or has lost it")]
    Missing { after: Option<u64>, next: u64 },
    #[error(
        "the log continues with {next} after {prev:?}, and this reader had read up to {position:?}"
    )]
    Diverged {
        prev: Option<u64>,
        next: u64,
        position: Option<u64>,
    },
    #[error("the log was compacted up to {floor}, and this reader had read up to {position:?}")]
    Compacted { floor: u64, position: Option<u64> },
    #[error("the log has begun the epoch {epoch}")]
    Epoch { epoch: u64 },
    #[error("the payload of a key of the emit {value} cannot be decoded")]
    Payload {
        value: u64,
        #[source]
        source: BoxError,
    },
}

/// How many emits are committed at once: bounds the time for which the bus is locked.
const N_EMITS_AT_ONCE: usize = 64;
/// And of how many bytes.
const N_BYTES_AT_ONCE: usize = 256 << 10;

impl<P: Send + Sync + 'static> Apply<P> {
    pub(crate) fn new(
        bus: RangeWatchBus<P>,
        codec: Arc<dyn Codec<P>>,
        epoch: u64,
        position: Option<u64>,
        status: Arc<StatusSender>,
    ) -> Self {
        Self {
            bus,
            codec,
            epoch,
            position,
            last_emit: None,
            status,
        }
    }

    /// Takes what was read, in order.
    pub(crate) fn items(&mut self, items: Vec<LogItem>) -> Result<(), BusClosed> {
        let mut run = Vec::new();
        let mut n_bytes = 0;
        for item in items {
            match item {
                LogItem::Emit(frame) if self.follows(&run, &frame) => {
                    n_bytes += frame.bytes().len();
                    run.push(frame);
                    if run.len() == N_EMITS_AT_ONCE || n_bytes >= N_BYTES_AT_ONCE {
                        self.emit(&mut run)?;
                        n_bytes = 0;
                    }
                }
                LogItem::Emit(frame) => {
                    self.emit(&mut run)?;
                    self.irregular(frame, &mut run)?;
                }
                LogItem::Progress(value) => {
                    self.emit(&mut run)?;
                    self.progress(value)?;
                }
                LogItem::Foreign(entry) => {
                    self.emit(&mut run)?;
                    self.foreign(&entry);
                }
            }
        }
        self.emit(&mut run)
    }

    /// The log no longer holds what this reader would read next.
    pub(crate) fn compacted(&mut self, floor: u64) -> Result<(), BusClosed> {
        let gap = Gap::Compacted {
            floor,
            position: self.position,
        };
        self.restore(self.epoch, floor.checked_sub(1), &gap)
    }

    /// The log has another epoch, which is read after `position`.
    pub(crate) fn begin_epoch(
        &mut self,
        epoch: u64,
        position: Option<u64>,
    ) -> Result<(), BusClosed> {
        self.status.update(|status| {
            status.n_epochs += 1;
            status.epoch = Some(epoch);
        });
        self.restore(epoch, position, &Gap::Epoch { epoch })
    }

    /// Whether `frame` is the next emit after those in `run`.
    fn follows(&self, run: &[Frame], frame: &Frame) -> bool {
        let prev = frame.prev();
        match run.last() {
            Some(last) => prev == Some(last.value()),
            None => {
                self.last_emit <= prev
                    && prev <= self.position
                    && Some(frame.value()) > self.position
            }
        }
    }

    /// A frame that does not name the last emit as the one before it.
    fn irregular(&mut self, frame: Frame, run: &mut Vec<Frame>) -> Result<(), BusClosed> {
        let next = frame.value();
        if Some(next) <= self.position {
            self.status.update(|status| status.n_repeated += 1);
            return Ok(());
        }
        let (prev, position) = (frame.prev(), self.position);
        let gap = if prev > position {
            Gap::Missing {
                after: position,
                next,
            }
        } else {
            Gap::Diverged {
                prev,
                next,
                position,
            }
        };
        self.restore(self.epoch, prev, &gap)?;
        run.push(frame);
        Ok(())
    }

    fn progress(&mut self, value: u64) -> Result<(), BusClosed> {
        if Some(value) > self.position {
            closed(self.bus.advance(value))?;
            self.position = Some(value);
        }
        self.status.update(|status| {
            status.position = self.position;
            status.target = status.target.max(Some(value));
        });
        Ok(())
    }

    fn foreign(&self, entry: &ForeignEntry) {
        self.status.update(|status| status.n_foreign += 1);
        self.status.warn(entry);
    }

    /// Emits frames that follow each other, and empties the list.
    fn emit(&mut self, run: &mut Vec<Frame>) -> Result<(), BusClosed> {
        let mut n_emits = 0;
        let mut lost = None;
        let mut emits = Vec::with_capacity(run.len());
        for frame in run.iter() {
            let entries = frame.entries().map(|(key, payload)| {
                let payload = self.codec.decode(key, payload)?;
                Ok::<_, BoxError>((key, payload))
            });
            match entries.collect::<Result<Vec<_>, _>>() {
                Ok(entries) => emits.push((frame.value(), entries)),
                Err(source) => {
                    let value = frame.value();
                    lost = Some((n_emits, Gap::Payload { value, source }));
                    break;
                }
            }
            n_emits += 1;
        }
        if n_emits > 0 {
            closed(self.bus.emit_many_with(emits).map(drop))?;
            self.last_emit = Some(run[n_emits - 1].value());
            self.position = self.last_emit;
            self.status.update(|status| {
                status.n_emits += n_emits as u64;
                status.position = self.position;
            });
        }
        let Some((n_before, gap)) = lost else {
            run.clear();
            return Ok(());
        };
        self.status.update(|status| status.n_foreign += 1);
        let value = run[n_before].value();
        self.restore(self.epoch, Some(value), &gap)?;
        run.drain(..=n_before);
        self.emit(run)
    }

    /// Ends the subscriptions with `Compacted`. The bus continues after `position`.
    fn restore(&mut self, epoch: u64, position: Option<u64>, gap: &Gap) -> Result<(), BusClosed> {
        self.bus.restore(epoch, position).map_err(|_| BusClosed)?;
        (self.epoch, self.position, self.last_emit) = (epoch, position, None);
        self.status.update(|status| {
            status.n_gaps += 1;
            status.position = position;
        });
        self.status.warn(gap);
        Ok(())
    }
}

/// A log holds no value that a bus refuses, except for its order, which is checked before.
fn closed(emitted: Result<(), EmitError>) -> Result<(), BusClosed> {
    emitted.map_err(|_| BusClosed)
}
