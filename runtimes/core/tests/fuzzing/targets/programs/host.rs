//! What the host functions of all guests share: the next steps, what waits, and the trace.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use futures::channel::oneshot;
use futures::future::BoxFuture;
use rangewatch_bus::RangeWatchBus;
use rangewatch_runtime::abi::Generation;
use rangewatch_runtime::{GuestBus, HostCx, HostError, Owner};
use rangewatch_wasi::Exit;

use super::super::input::Input;
use super::guest::{FLUSH, QUEUE};
use super::outcomes::hash;
use super::step::{Plan, Step};

/// The address of the meta page, and the addresses that are in it unless the input says otherwise.
pub(super) const PAGE: usize = 16;
pub(super) const SLOTS: [u32; 7] = [
    BUF as u32,
    48,
    BUF_LEN as u32,
    ERR as u32,
    56,
    ERR_LEN as u32,
    VAL as u32,
];
pub(super) const BUF: usize = 256;
pub(super) const BUF_LEN: usize = 52;
pub(super) const ERR: usize = 128;
pub(super) const ERR_LEN: usize = 60;
pub(super) const VAL: usize = 64;

/// The bytes of memory whose hash is in the trace after each step.
pub(super) const SHOWN_BYTES: usize = 1_024;

/// What the host functions of all guests share.
pub(super) struct Host {
    pub(super) bus: RangeWatchBus,
    pub(super) page: (u32, [u32; 7]),
    pub(super) trace: Mutex<Vec<String>>,
    /// The steps of the next instances, calls and callbacks that have none.
    pub(super) starts: Mutex<VecDeque<Plan>>,
    pub(super) calls: Mutex<VecDeque<Plan>>,
    pub(super) recvs: Mutex<VecDeque<Plan>>,
    /// What waits, in the order in which it began.
    pub(super) waiting: Mutex<VecDeque<oneshot::Sender<()>>>,
    pub(super) owners: Mutex<Vec<Owner>>,
}

/// The rest of the steps of a running call, in the data of its instance.
#[derive(Default)]
pub(super) struct Running {
    pub(super) plan: Plan,
    pub(super) args: [i32; 3],
}

impl Host {
    pub(super) fn log(&self, line: impl Into<String>) {
        self.trace.lock().unwrap().push(line.into());
    }

    /// Ends the oldest wait. Returns whether there was one.
    pub(super) fn release(&self) -> bool {
        let oldest = self.waiting.lock().unwrap().pop_front();
        // A wait whose call was dropped is over already.
        oldest.map(|waiting| waiting.send(())).is_some()
    }

    /// A value: often the next one, so that a bus with history accepts it.
    pub(super) fn value(&self, input: &mut Input<'_>) -> u64 {
        match input.below(8) {
            0 => u64::from(input.byte()),
            _ => {
                let head = self.bus.head().unwrap_or(0);
                head.saturating_add(1 + input.below(3) as u64)
            }
        }
    }

    /// Writes the meta page and the capacities. Returns its address.
    pub(super) fn write_page(&self, memory: &mut [u8]) -> u32 {
        let (at, slots) = self.page;
        let mut write = |at: u32, value: u32| {
            if let Some(place) = memory
                .get_mut(at as usize..)
                .and_then(|rest| rest.get_mut(..4))
            {
                place.copy_from_slice(&value.to_le_bytes());
            }
        };
        for (slot, address) in (0..).zip(slots) {
            write(at.saturating_add(4 * slot), address);
        }
        write(slots[1], 512);
        write(slots[4], 64);
        at
    }

    /// Begins a call, a callback or a start of an instance.
    pub(super) fn begin(
        &self,
        cx: &mut dyn HostCx,
        what: &str,
        plans: &Mutex<VecDeque<Plan>>,
    ) -> Result<(), HostError> {
        let id = cx.watch_id().map(<[u8]>::to_vec);
        let value = u64::from_le_bytes(cx.memory()[VAL..][..8].try_into()?);
        self.log(format!("{what} {id:?} {value}"));
        let plan = plans.lock().unwrap().pop_front().unwrap_or_default();
        cx.data::<Running>()?.plan = plan;
        Ok(())
    }

    /// Performs steps up to one of the guest, and returns its number; 0 is the end.
    pub(super) async fn next(&self, cx: &mut dyn HostCx) -> Result<i32, HostError> {
        loop {
            let shown = &mut cx.memory()[..SHOWN_BYTES];
            let text = &shown[ERR..][..usize::from(shown[ERR_LEN] & 31)];
            let text = String::from_utf8_lossy(text).into_owned();
            self.log(format!("  {:x} {text:?}", hash(shown)));
            let Some(step) = cx.data::<Running>()?.plan.pop_front() else {
                return Ok(0);
            };
            self.log(format!("  {step:?}"));
            let (memory, abi) = cx.memory_and_abi();
            let generation = abi.generation();
            match step {
                Step::Import(QUEUE.., _) if generation == Generation::One => {}
                Step::Import(import, buf) => {
                    put(memory, &buf);
                    return Ok(import);
                }
                Step::Flush(value, buf) => {
                    put(memory, &buf);
                    memory[VAL..][..8].copy_from_slice(&value.to_le_bytes());
                    if generation == Generation::One {
                        return Ok(FLUSH);
                    }
                    let flush = Step::Guest(FLUSH, [0; 3]);
                    cx.data::<Running>()?.plan.push_front(flush);
                    return Ok(QUEUE);
                }
                Step::Poke(at, bytes) => memory[at..][..bytes.len()].copy_from_slice(&bytes),
                Step::Report(text, len) => {
                    memory[ERR..][..text.len()].copy_from_slice(text);
                    memory[ERR_LEN..][..4].copy_from_slice(&len.to_le_bytes());
                }
                Step::Guest(number, args) => {
                    cx.data::<Running>()?.args = args;
                    return Ok(number);
                }
                Step::Wait => {
                    let (release, released) = oneshot::channel();
                    self.waiting.lock().unwrap().push_back(release);
                    released.await?;
                }
                Step::Emit(value, key) => {
                    let emitted = self.bus.emit(value, [key]);
                    self.log(format!("  {emitted:?}"));
                }
                Step::EndOwner(owner) => {
                    let owner = self.owners.lock().unwrap().get(owner).cloned();
                    owner.iter().for_each(Owner::end);
                }
                Step::Fail => return Err("the host failed".into()),
                Step::Exit(code) => return Err(Exit::new(code).into()),
            }
        }
    }
}

/// A bus with a commit hook that publishes, drops or refuses, by the last value.
pub(super) fn hooked(host: &Arc<Host>) -> GuestBus {
    let log = host.clone();
    GuestBus::on_commit(&host.bus, move |_, staged| {
        let log = log.clone();
        let commit = async move {
            let emits: Vec<_> = staged
                .emits()
                .map(|(value, keys)| (value, keys.count()))
                .collect();
            log.log(format!("commit {emits:?}"));
            match emits.last().map(|(value, _)| value % 5) {
                Some(3) => Err("refused".into()),
                Some(4) => Ok(()),
                _ => staged
                    .publish()
                    .map(drop)
                    .map_err(|(_, error)| error.into()),
            }
        };
        Box::pin(commit) as BoxFuture<'_, _>
    })
}

fn put(memory: &mut [u8], buf: &[u8]) {
    memory[BUF..][..buf.len()].copy_from_slice(buf);
    memory[BUF_LEN..][..4].copy_from_slice(&(buf.len() as u32).to_le_bytes());
}
