//! A guest that only uses the ABI, and the script of its callbacks.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;

use futures::channel::oneshot;
use parking_lot::Mutex;
use rangewatch_bus::RangeWatchBus;

use super::load;
use crate::abi::{Generation, GuestAbi};
use crate::{
    CallError, CallbackError, Guest, GuestBuilder, GuestBus, HostCx, Owner, OwnerId, Runtime, Val,
};

/// A guest written from the specification of the ABI, without the SDK. Its buffers are at the
/// addresses below; its exports call the imports; its recv calls the host function `test.received`
/// for its next step, until that returns 0.
pub const RAW_GUEST: &str = r#"(module
    (import "pantopic/wazero-range-watch" "__range_watch_flush" (func $flush))
    (import "pantopic/wazero-range-watch" "__range_watch_reserve" (func $reserve))
    (import "pantopic/wazero-range-watch" "__range_watch_open" (func $open))
    (import "pantopic/wazero-range-watch" "__range_watch_start" (func $start))
    (import "pantopic/wazero-range-watch" "__range_watch_stop" (func $stop))
    (import "test" "received" (func $received (result i32)))
    (memory (export "memory") 1)
    ;; The meta page: buf, buf_cap, buf_len, err, err_cap, err_len, val.
    (data (i32.const 16) "\00\01\00\00\30\00\00\00\34\00\00\00\00\50\00\00\38\00\00\00\3c\00\00\00\40\00\00\00")
    (data (i32.const 48) "\00\40\00\00\00\00\00\00\00\04\00\00\00\00\00\00")
    (func (export "__range_watch") (result i32) i32.const 16)
    (func (export "flush") call $flush)
    (func (export "reserve") call $reserve)
    (func (export "open") call $open)
    (func (export "start") call $start)
    (func (export "stop") call $stop)
    (func (export "__range_watch_recv") (local $do i32)
        (loop $again
            (local.set $do (call $received))
            (if (i32.eq (local.get $do) (i32.const 1)) (then call $flush))
            (if (i32.eq (local.get $do) (i32.const 2)) (then call $reserve))
            (if (i32.eq (local.get $do) (i32.const 3)) (then call $open))
            (if (i32.eq (local.get $do) (i32.const 4)) (then call $start))
            (if (i32.eq (local.get $do) (i32.const 5)) (then call $stop))
            (if (i32.eq (local.get $do) (i32.const 6)) (then unreachable))
            (br_if $again (local.get $do)))))"#;

/// As [`RAW_GUEST`], of generation 2 of the ABI. Its export `run` takes steps as its recv does.
pub const RAW_GUEST_2: &str = r#"(module
    (import "pantopic/ext-range-watch" "__range_watch_queue" (func $queue))
    (import "pantopic/ext-range-watch" "__range_watch_flush" (func $flush))
    (import "pantopic/ext-range-watch" "__range_watch_clear" (func $clear))
    (import "pantopic/ext-range-watch" "__range_watch_reserve" (func $reserve))
    (import "pantopic/ext-range-watch" "__range_watch_open" (func $open))
    (import "pantopic/ext-range-watch" "__range_watch_start" (func $start))
    (import "pantopic/ext-range-watch" "__range_watch_stop" (func $stop))
    (import "pantopic/ext-range-watch" "__range_watch_group_start" (func $group_start))
    (import "pantopic/ext-range-watch" "__range_watch_group_stop" (func $group_stop))
    (import "test" "received" (func $received (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 16) "\00\01\00\00\30\00\00\00\34\00\00\00\00\50\00\00\38\00\00\00\3c\00\00\00\40\00\00\00")
    (data (i32.const 48) "\00\40\00\00\00\00\00\00\00\04\00\00\00\00\00\00")
    (func (export "__range_watch") (result i32) i32.const 16)
    (func (export "queue") call $queue)
    (func (export "flush") call $flush)
    (func (export "clear") call $clear)
    (func (export "reserve") call $reserve)
    (func (export "open") call $open)
    (func (export "start") call $start)
    (func (export "stop") call $stop)
    (func (export "group_start") call $group_start)
    (func (export "group_stop") call $group_stop)
    (func (export "run")
        (i32.store8 (i32.const 72) (i32.const 1))
        call $steps)
    (func (export "__range_watch_recv") call $steps)
    (func $steps (local $do i32)
        (loop $again
            (local.set $do (call $received))
            (if (i32.eq (local.get $do) (i32.const 1)) (then call $queue call $flush))
            (if (i32.eq (local.get $do) (i32.const 2)) (then call $reserve))
            (if (i32.eq (local.get $do) (i32.const 3)) (then call $open))
            (if (i32.eq (local.get $do) (i32.const 4)) (then call $start))
            (if (i32.eq (local.get $do) (i32.const 5)) (then call $stop))
            (if (i32.eq (local.get $do) (i32.const 6)) (then unreachable))
            (if (i32.eq (local.get $do) (i32.const 7)) (then call $group_start))
            (if (i32.eq (local.get $do) (i32.const 8)) (then call $group_stop))
            (br_if $again (local.get $do)))))"#;

/// Set by the export `run`.
const IS_RUN: usize = 72;

const BUF: usize = 256;
const BUF_LEN: usize = 52;
const ERR: usize = 20480;
const ERR_CAP: usize = 56;
const ERR_LEN: usize = 60;
const VAL: usize = 64;

/// What a recv does, step by step.
pub(super) enum Step {
    /// Calls an import with this buffer and logs its error text.
    Verb(Verb, Vec<u8>),
    /// Calls an import with this buffer and leaves its error text in place.
    VerbUnchecked(Verb, Vec<u8>),
    /// Leaves the error text of the last step in place.
    LeaveError,
    /// Emits one key.
    Emit(u64, &'static str),
    /// Signals its [`gate`] that it was reached, and waits for the release.
    Wait(oneshot::Sender<()>, oneshot::Receiver<()>),
    /// Reports an error of this text and of this length.
    Report(&'static str, u32),
    /// Ends an owner.
    End(Owner),
    /// Traps.
    Trap,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Verb {
    Reserve = 2,
    Open = 3,
    Start = 4,
    Stop = 5,
    GroupStart = 7,
    GroupStop = 8,
}

impl Verb {
    fn export(self) -> &'static str {
        match self {
            Self::Reserve => "reserve",
            Self::Open => "open",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::GroupStart => "group_start",
            Self::GroupStop => "group_stop",
        }
    }
}

/// The deliveries of the guest and the error texts of its verbs, in order: `w1=7`, `Watch not
/// found`. A recv of generation 2 is one delivery of all of its notices: `7:w1,w2 8:w1`.
pub(super) type Log = Arc<Mutex<Vec<String>>>;

/// The owner of each delivery, in order.
type Owners = Arc<Mutex<Vec<OwnerId>>>;

/// The steps of the next recvs, one list each.
type Plans = Arc<Mutex<VecDeque<Vec<Step>>>>;

/// The remaining steps of the running callbacks, by the address of their instance's state.
type Running = Mutex<Vec<(usize, VecDeque<Step>)>>;

/// What the host function of the callbacks uses.
struct Script {
    log: Log,
    owners: Owners,
    plans: Plans,
    running: Running,
}

/// A raw guest on a bus, with its log.
pub(super) struct RawGuest {
    pub(super) bus: RangeWatchBus,
    pub(super) guest: Guest,
    log: Log,
    owners: Owners,
    plans: Plans,
    errors: Log,
}

impl RawGuest {
    pub(super) async fn new(runtime: &dyn Runtime) -> Self {
        Self::on(runtime, &RangeWatchBus::new(), |builder| builder).await
    }

    pub(super) async fn on(
        runtime: &dyn Runtime,
        bus: &RangeWatchBus,
        configure: impl FnOnce(GuestBuilder<'_>) -> GuestBuilder<'_>,
    ) -> Self {
        Self::with(runtime, bus, GuestBus::from(bus), configure).await
    }

    /// A guest on `guest_bus`; [`emit`](Self::emit) emits on `bus`.
    pub(super) async fn with(
        runtime: &dyn Runtime,
        bus: &RangeWatchBus,
        guest_bus: GuestBus,
        configure: impl FnOnce(GuestBuilder<'_>) -> GuestBuilder<'_>,
    ) -> Self {
        Self::of_text(runtime, RAW_GUEST, bus, guest_bus, configure).await
    }

    /// A guest of generation 2.
    pub(super) async fn gen2_on(
        runtime: &dyn Runtime,
        bus: &RangeWatchBus,
        configure: impl FnOnce(GuestBuilder<'_>) -> GuestBuilder<'_>,
    ) -> Self {
        Self::of_text(runtime, RAW_GUEST_2, bus, GuestBus::from(bus), configure).await
    }

    pub(super) async fn of_text(
        runtime: &dyn Runtime,
        wat: &str,
        bus: &RangeWatchBus,
        guest_bus: GuestBus,
        configure: impl FnOnce(GuestBuilder<'_>) -> GuestBuilder<'_>,
    ) -> Self {
        let module = load(runtime, wat).await;
        let (log, plans, errors) = (Log::default(), Plans::default(), Log::default());
        let owners = Owners::default();
        let builder = Guest::builder(&module, guest_bus);
        let script = Script {
            log: log.clone(),
            owners: owners.clone(),
            plans: plans.clone(),
            // With several instances there are several running callbacks.
            running: Running::default(),
        };
        let script = Arc::new(script);
        let builder = builder.host_function_async_cx("test", "received", move |cx, ()| {
            let script = script.clone();
            Box::pin(async move { Ok(received(cx, &script).await) })
        });
        let heard = errors.clone();
        let builder = builder.on_callback_error(move |error: CallbackError| {
            heard.lock().push(super::text(&error));
        });
        let guest = configure(builder)
            .instantiate()
            .await
            .expect("the raw guest starts");
        Self {
            bus: bus.clone(),
            guest,
            log,
            owners,
            plans,
            errors,
        }
    }

    /// Writes `buf` into the guest, calls the verb and returns the guest's error text, which is
    /// empty after a success.
    pub(super) async fn verb(&self, verb: Verb, buf: &[u8]) -> Result<String, CallError> {
        self.guest.with_memory(|memory| put(memory, buf)).await?;
        self.guest.call(verb.export(), &[]).await?;
        self.guest.with_memory(|memory| err(memory)).await
    }

    /// As [`verb`](Self::verb), under an owner and on one instance.
    pub(super) async fn verb_on(
        &self,
        owner: &Owner,
        verb: Verb,
        buf: &[u8],
    ) -> Result<String, CallError> {
        let mut session = self.guest.session().await?;
        session.set_owner(owner)?;
        put(session.memory()?, buf);
        session.call(verb.export(), &[]).await?;
        session.memory().map(|memory| err(memory))
    }

    /// Opens and starts a watch of an owner.
    pub(super) async fn follow_on(&self, owner: &Owner, id: &str, from: &str, to: &str) {
        let opened = self.verb_on(owner, Verb::Open, &keys([id, from, to])).await;
        assert_eq!(opened.expect("no trap"), "");
        let started = self.verb_on(owner, Verb::Start, id.as_bytes()).await;
        assert_eq!(started.expect("no trap"), "");
    }

    pub(super) async fn reserve(&self, id: &str) -> String {
        self.verb(Verb::Reserve, id.as_bytes())
            .await
            .expect("no trap")
    }

    pub(super) async fn open(&self, id: &str, from: &str, to: &str) -> String {
        self.verb(Verb::Open, &keys([id, from, to]))
            .await
            .expect("no trap")
    }

    pub(super) async fn start(&self, id: &str) -> String {
        self.verb(Verb::Start, id.as_bytes())
            .await
            .expect("no trap")
    }

    pub(super) async fn stop(&self, id: &str) -> String {
        self.verb(Verb::Stop, id.as_bytes()).await.expect("no trap")
    }

    /// Opens and starts a watch of the range.
    pub(super) async fn follow(&self, id: &str, from: &str, to: &str) {
        assert_eq!(self.open(id, from, to).await, "");
        assert_eq!(self.start(id).await, "");
    }

    /// Flushes `buf`, which need not be a valid key list.
    pub(super) async fn flush(&self, value: u64, buf: &[u8]) -> Result<Vec<Val>, CallError> {
        self.guest
            .with_memory(|memory| {
                put(memory, buf);
                memory[VAL..][..8].copy_from_slice(&value.to_le_bytes());
            })
            .await?;
        self.guest.call("flush", &[]).await
    }

    /// Queues keys for the next flush.
    pub(super) async fn queue(&self, value: u64, buf: &[u8]) -> Result<Vec<Val>, CallError> {
        self.guest
            .with_memory(|memory| {
                put(memory, buf);
                memory[VAL..][..8].copy_from_slice(&value.to_le_bytes());
            })
            .await?;
        self.guest.call("queue", &[]).await
    }

    /// Takes the steps of one call, and returns the log since the last.
    pub(super) async fn run(&self, steps: impl Into<Vec<Step>>) -> Vec<String> {
        self.plan(steps);
        self.guest.call("run", &[]).await.expect("no trap");
        self.log()
    }

    /// Emits from the host.
    pub(super) fn emit(&self, value: u64, key: &str) {
        self.bus.emit(value, [key]).expect("the bus is open");
    }

    /// Sets the steps of the next recv that has none.
    pub(super) fn plan(&self, steps: impl Into<Vec<Step>>) {
        self.plans.lock().push_back(steps.into());
    }

    /// Runs all callbacks that are ready and returns the log since the previous call.
    pub(super) async fn drive(&self) -> Vec<String> {
        self.guest
            .drive_until_idle()
            .await
            .expect("there is an instance");
        self.log()
    }

    pub(super) fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.log.lock())
    }

    /// The owners of the deliveries since the previous call.
    pub(super) fn owners(&self) -> Vec<OwnerId> {
        std::mem::take(&mut self.owners.lock())
    }

    pub(super) fn log_len(&self) -> usize {
        self.log.lock().len()
    }

    pub(super) fn into_log_and_guest(self) -> (Log, Guest) {
        (self.log, self.guest)
    }

    pub(super) fn errors(&self) -> Vec<String> {
        std::mem::take(&mut self.errors.lock())
    }

    /// Writes a u32 into the guest's memory.
    pub(super) async fn poke(&self, address: usize, value: u32) {
        self.guest
            .with_memory(|memory| memory[address..][..4].copy_from_slice(&value.to_le_bytes()))
            .await
            .expect("there is an instance");
    }

    pub(super) const BUF_CAP: usize = 48;
    pub(super) const BUF_LEN: usize = BUF_LEN;
    pub(super) const ERR_CAP: usize = ERR_CAP;
}

/// One step of the guest's recv: the first call records the delivery and takes a plan, the
/// following ones execute it. Returns the number of the import that the guest calls.
async fn received(cx: &mut dyn HostCx, script: &Script) -> i32 {
    let Script {
        log,
        owners,
        plans,
        running,
    } = script;
    // The address of an instance's state tells the instances apart.
    let (memory, abi) = cx.memory_and_abi();
    let instance = std::ptr::from_ref(abi).addr();
    {
        let mut running = running.lock();
        match running.iter().position(|(other, _)| *other == instance) {
            None => {
                if std::mem::take(&mut memory[IS_RUN]) == 0 {
                    owners.lock().push(abi.owner().id());
                    log.lock().push(delivery(memory, abi));
                }
                let plan = plans.lock().pop_front().unwrap_or_default();
                running.push((instance, plan.into()));
            }
            Some(position) => match running[position].1.front() {
                Some(Step::LeaveError) => {
                    running[position].1.pop_front();
                }
                _ => {
                    let answer = err(memory);
                    if !answer.is_empty() {
                        log.lock().push(answer);
                        memory[ERR_LEN..][..4].fill(0);
                    }
                }
            },
        }
    }
    loop {
        let step = {
            let mut running = running.lock();
            let position = running.iter().position(|(other, _)| *other == instance);
            let position = position.expect("the first call recorded it");
            match running[position].1.pop_front() {
                None => {
                    running.remove(position);
                    return 0;
                }
                Some(Step::VerbUnchecked(verb, buf)) => {
                    let steps = &mut running[position].1;
                    steps.push_front(Step::LeaveError);
                    Step::Verb(verb, buf)
                }
                Some(Step::Trap) => {
                    running.remove(position);
                    return 6;
                }
                Some(step) => step,
            }
        };
        let memory = cx.memory();
        match step {
            Step::Verb(verb, buf) => {
                put(memory, &buf);
                return verb as i32;
            }
            Step::Emit(value, key) => {
                put(memory, &keys([key]));
                memory[VAL..][..8].copy_from_slice(&value.to_le_bytes());
                return 1;
            }
            Step::Report(text, len) => {
                memory[ERR..][..text.len()].copy_from_slice(text.as_bytes());
                memory[ERR_LEN..][..4].copy_from_slice(&len.to_le_bytes());
            }
            Step::Wait(there, go) => {
                // Ignored if the test does not wait any more.
                let _ = there.send(());
                let _ = go.await;
            }
            Step::End(owner) => owner.end(),
            Step::VerbUnchecked(..) | Step::LeaveError | Step::Trap => {
                unreachable!("handled above")
            }
        }
    }
}

/// What a recv was entered with.
fn delivery(memory: &[u8], abi: &GuestAbi) -> String {
    let len = u32_at(memory, BUF_LEN) as usize;
    let buf = &memory[BUF..][..len];
    if abi.generation() == Generation::Two {
        assert_eq!(abi.watch_id(), None);
        return batch(buf);
    }
    let id = String::from_utf8_lossy(buf).into_owned();
    assert_eq!(abi.watch_id(), Some(id.as_bytes()));
    let mut value = [0; 8];
    value.copy_from_slice(&memory[VAL..][..8]);
    format!("{id}={}", u64::from_le_bytes(value))
}

/// The notices of a batch, which is read to its end.
fn batch(mut buf: &[u8]) -> String {
    fn take<'b>(buf: &mut &'b [u8], n: usize) -> &'b [u8] {
        buf.split_off(..n).expect("the batch is not cut short")
    }
    let number = |bytes: &[u8]| {
        let bytes = bytes.iter();
        bytes.fold(0, |number, byte| number << 8 | u64::from(*byte))
    };
    let n_notices = number(take(&mut buf, 2));
    let mut notices = Vec::new();
    for _ in 0..n_notices {
        let value = number(take(&mut buf, 8));
        let n_ids = number(take(&mut buf, 2));
        let mut ids = Vec::new();
        for _ in 0..n_ids {
            let len = number(take(&mut buf, 2)) as usize;
            ids.push(String::from_utf8_lossy(take(&mut buf, len)).into_owned());
        }
        notices.push(format!("{value}:{}", ids.join(",")));
    }
    assert!(buf.is_empty(), "nothing follows the last notice");
    notices.join(" ")
}

/// A step that waits, the receiver of its arrival and the sender of its release.
pub(super) fn gate() -> (Step, oneshot::Receiver<()>, oneshot::Sender<()>) {
    let (there, arrival) = oneshot::channel();
    let (release, go) = oneshot::channel();
    (Step::Wait(there, go), arrival, release)
}

/// A key list.
pub(super) fn keys<'a>(keys: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let mut buf = Vec::new();
    for key in keys {
        buf.extend(u16::try_from(key.len()).expect("a short key").to_be_bytes());
        buf.extend(key.as_bytes());
    }
    buf
}

/// Drives a pump beside a script, and drops it when the script is done.
pub(super) async fn beside<F: Future>(guest: &Guest, script: F) -> F::Output {
    let script = std::pin::pin!(script);
    match futures::future::select(guest.pump(), script).await {
        futures::future::Either::Left((ended, _)) => panic!("the pump ended: {ended:?}"),
        futures::future::Either::Right((output, _)) => output,
    }
}

pub(super) fn put(memory: &mut [u8], buf: &[u8]) {
    memory[BUF..][..buf.len()].copy_from_slice(buf);
    let len = u32::try_from(buf.len()).expect("a short buffer");
    memory[BUF_LEN..][..4].copy_from_slice(&len.to_le_bytes());
}

fn err(memory: &[u8]) -> String {
    let len = u32_at(memory, ERR_LEN) as usize;
    String::from_utf8_lossy(&memory[ERR..][..len]).into_owned()
}

fn u32_at(memory: &[u8], address: usize) -> u32 {
    memory[address..][..4]
        .iter()
        .rev()
        .fold(0, |value, byte| value << 8 | u32::from(*byte))
}
