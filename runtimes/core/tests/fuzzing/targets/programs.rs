//! Programs of guests and of their host, on any runtime: calls in all forms, sessions, owners,
//! callbacks that wait, pools, commands, staged emits, commit hooks, and traps of the engine. A run
//! returns a trace, and two runtimes that behave the same return the same one.
//!
//! A guest is an interpreter of steps, which its host functions decode from the input.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex};

use futures::channel::oneshot;
use futures::executor::{LocalPool, LocalSpawner};
use futures::future::{AbortHandle, BoxFuture, abortable};
use futures::task::LocalSpawnExt;
use rangewatch_bus::{EventSubscription, History, RangeWatchBus, Selector};
use rangewatch_runtime::abi::Generation;
use rangewatch_runtime::{
    CallEnd, CallError, CallbackErrorCause, Emits, Guest, GuestBus, HostCx, HostError, Limits,
    Module, Owner, Runtime,
};
use rangewatch_wasi::Exit;

use super::input::Input;

/// The guest. `test.next` returns the number of its next step, and `test.arg` the arguments.
const GUEST: &str = r#"(module
    (import "pantopic/wazero-range-watch" "__range_watch_flush" (func $flush))
    (import "pantopic/wazero-range-watch" "__range_watch_reserve" (func $reserve))
    (import "pantopic/wazero-range-watch" "__range_watch_open" (func $open))
    (import "pantopic/wazero-range-watch" "__range_watch_start" (func $start))
    (import "pantopic/wazero-range-watch" "__range_watch_stop" (func $stop))
    (import "rangewatch_io" "input_len" (func $input_len (result i32)))
    (import "rangewatch_io" "input_read" (func $input_read (param i32 i32 i32) (result i32)))
    (import "rangewatch_io" "output_write" (func $output_write (param i32 i32)))
    (import "test" "page" (func $page (result i32)))
    (import "test" "begin_start" (func $begin_start))
    (import "test" "begin_call" (func $begin_call))
    (import "test" "begin_recv" (func $begin_recv))
    (import "test" "next" (func $next (result i32)))
    (import "test" "arg" (func $arg (param i32) (result i32)))
    (import "test" "result" (func $result (param i32)))
    ;; imports of generation 2
    (memory (export "memory") 1)
    (func $run (local $do i32)
        (loop $again
            (local.set $do (call $next))
            (if (i32.eq (local.get $do) (i32.const 1)) (then call $flush))
            (if (i32.eq (local.get $do) (i32.const 2)) (then call $reserve))
            (if (i32.eq (local.get $do) (i32.const 3)) (then call $open))
            (if (i32.eq (local.get $do) (i32.const 4)) (then call $start))
            (if (i32.eq (local.get $do) (i32.const 5)) (then call $stop))
            (if (i32.eq (local.get $do) (i32.const 6)) (then
                (call $result (call $input_len))))
            (if (i32.eq (local.get $do) (i32.const 7)) (then
                (call $result (call $input_read
                    (call $arg (i32.const 0)) (call $arg (i32.const 1)) (call $arg (i32.const 2))))))
            (if (i32.eq (local.get $do) (i32.const 8)) (then
                (call $output_write (call $arg (i32.const 0)) (call $arg (i32.const 1)))))
            (if (i32.eq (local.get $do) (i32.const 9)) (then
                (call $result (memory.grow (call $arg (i32.const 0))))))
            (if (i32.eq (local.get $do) (i32.const 10)) (then
                (call $result (i32.load (call $arg (i32.const 0))))))
            (if (i32.eq (local.get $do) (i32.const 11)) (then
                (i32.store (call $arg (i32.const 0)) (call $arg (i32.const 1)))))
            (if (i32.eq (local.get $do) (i32.const 12)) (then unreachable))
            (if (i32.eq (local.get $do) (i32.const 13)) (then
                (call $result (i32.div_s (call $arg (i32.const 0)) (call $arg (i32.const 1))))))
            (if (i32.eq (local.get $do) (i32.const 14)) (then
                (memory.fill
                    (call $arg (i32.const 0)) (call $arg (i32.const 1)) (call $arg (i32.const 2)))))
            ;; steps of generation 2
            (br_if $again (local.get $do))))
    (func (export "run") call $begin_call call $run)
    (func (export "__range_watch_recv") call $begin_recv call $run)
    (func (export "__range_watch") (result i32) call $page)
    (func (export "_initialize") call $begin_start call $run))"#;

const IMPORTS_OF_GENERATION_2: &str = r#"
    (import "pantopic/ext-range-watch" "__range_watch_queue" (func $queue))
    (import "pantopic/ext-range-watch" "__range_watch_clear" (func $clear))
    (import "pantopic/ext-range-watch" "__range_watch_group_start" (func $group_start))
    (import "pantopic/ext-range-watch" "__range_watch_group_stop" (func $group_stop))"#;

const STEPS_OF_GENERATION_2: &str = "
            (if (i32.eq (local.get $do) (i32.const 15)) (then call $queue))
            (if (i32.eq (local.get $do) (i32.const 16)) (then call $clear))
            (if (i32.eq (local.get $do) (i32.const 17)) (then call $group_start))
            (if (i32.eq (local.get $do) (i32.const 18)) (then call $group_stop))";

/// The numbers of the steps of the guest.
pub(crate) const FLUSH: i32 = 1;
pub(crate) const RESERVE: i32 = 2;
pub(crate) const OPEN: i32 = 3;
pub(crate) const START: i32 = 4;
pub(crate) const STOP: i32 = 5;
pub(crate) const INPUT_LEN: i32 = 6;
pub(crate) const INPUT_READ: i32 = 7;
pub(crate) const OUTPUT_WRITE: i32 = 8;
pub(crate) const GROW: i32 = 9;
pub(crate) const LOAD: i32 = 10;
pub(crate) const STORE: i32 = 11;
pub(crate) const UNREACHABLE: i32 = 12;
pub(crate) const DIVIDE: i32 = 13;
pub(crate) const FILL: i32 = 14;
pub(crate) const QUEUE: i32 = 15;
pub(crate) const CLEAR: i32 = 16;
pub(crate) const GROUP_START: i32 = 17;
pub(crate) const GROUP_STOP: i32 = 18;

/// The pages of memory that a guest may have.
pub(crate) const MAX_PAGES: usize = 3;
pub(crate) const PAGE_BYTES: usize = 65_536;

/// The most operations of the host: each is a call at most.
const MAX_OPERATIONS: usize = 60;

/// The most guests of an input.
const MAX_BUILDS: usize = 6;

/// The address of the meta page, and the addresses that are in it unless the input says otherwise.
const PAGE: usize = 16;
const SLOTS: [u32; 7] = [
    BUF as u32,
    48,
    BUF_LEN as u32,
    ERR as u32,
    56,
    ERR_LEN as u32,
    VAL as u32,
];
const BUF: usize = 256;
const BUF_LEN: usize = 52;
const ERR: usize = 128;
const ERR_LEN: usize = 60;
const VAL: usize = 64;

/// The bytes of memory whose hash is in the trace after each step.
const SHOWN_BYTES: usize = 1_024;

const IDS: [&[u8]; 6] = [b"v", b"v", b"w", b"w", b"", b"nine99999"];

const KEYS: [&[u8]; 5] = [b"a", b"b", b"", b"ab", b"c"];

/// The guest, loaded by one runtime.
pub(crate) struct Programs {
    /// As a reactor and as a command, of each generation.
    modules: [[Module; 2]; 2],
}

impl Programs {
    pub(crate) async fn load(runtime: &dyn Runtime) -> Self {
        let load = async |text: &str| {
            let wasm = wat::parse_str(text).expect("it is well formed");
            runtime.load(&wasm).await.expect("it is in the profile")
        };
        let second = GUEST
            .replace("pantopic/wazero-range-watch", "pantopic/ext-range-watch")
            .replace(";; imports of generation 2", IMPORTS_OF_GENERATION_2)
            .replace(";; steps of generation 2", STEPS_OF_GENERATION_2);
        let command = |text: &str| text.replace("_initialize", "_start");
        Self {
            modules: [
                [load(GUEST).await, load(&command(GUEST)).await],
                [load(&second).await, load(&command(&second)).await],
            ],
        }
    }

    /// Runs the program that `input` encodes, to the end of all of its tasks.
    pub(crate) fn run(&self, input: &[u8]) -> Vec<String> {
        let mut input = Input::new(input);
        let mut executor = LocalPool::new();
        let spawner = executor.spawner();
        let mut program = Program::new(&mut input, spawner);
        let mut n_builds = 0;
        for _ in 0..MAX_OPERATIONS {
            for number in 0..program.guests.len() {
                if program.guests[number].is_none() && n_builds < MAX_BUILDS {
                    n_builds += 1;
                    let guest = executor.run_until(program.guest(self, number));
                    match guest {
                        Ok(guest) => program.guests[number] = Some(Arc::new(guest)),
                        Err(error) => program.host.log(error),
                    }
                }
            }
            if input.is_empty() {
                break;
            }
            program.operation(&mut input);
            executor.run_until_stalled();
            program.observe();
        }
        program.end(&mut executor)
    }
}

/// What the host functions of all guests share.
struct Host {
    bus: RangeWatchBus,
    page: (u32, [u32; 7]),
    trace: Mutex<Vec<String>>,
    /// The steps of the next instances, calls and callbacks that have none.
    starts: Mutex<VecDeque<Plan>>,
    calls: Mutex<VecDeque<Plan>>,
    recvs: Mutex<VecDeque<Plan>>,
    /// What waits, in the order in which it began.
    waiting: Mutex<VecDeque<oneshot::Sender<()>>>,
    owners: Mutex<Vec<Owner>>,
}

type Plan = VecDeque<Step>;

/// The rest of the steps of a running call, in the data of its instance.
#[derive(Default)]
struct Running {
    plan: Plan,
    args: [i32; 3],
}

#[derive(Clone, Debug)]
enum Step {
    /// Sets the buffer and calls an import of the ABI.
    Import(i32, Vec<u8>),
    /// Sets the value, too.
    Flush(u64, Vec<u8>),
    Poke(usize, Vec<u8>),
    Report(&'static [u8], u32),
    /// A step of the guest, with its arguments.
    Guest(i32, [i32; 3]),
    Wait,
    Emit(u64, &'static [u8]),
    EndOwner(usize),
    Fail,
    Exit(u32),
}

struct Program {
    host: Arc<Host>,
    events: EventSubscription,
    spawner: LocalSpawner,
    options: u8,
    pool: Option<(u32, u32)>,
    guests: Vec<Option<Arc<Guest>>>,
    tasks: VecDeque<AbortHandle>,
    /// The calls that run.
    n_running: Arc<Mutex<usize>>,
    /// Whether the first guest is still the first one. Other guests have no pumps: those of several
    /// guests would run in the order of the addresses of their state.
    may_pump: bool,
    /// The pumps that run.
    n_pumps: Arc<Mutex<usize>>,
}

impl Program {
    fn new(input: &mut Input<'_>, spawner: LocalSpawner) -> Self {
        let (options, more) = (input.byte(), input.byte());
        let bus = match options & 1 {
            0 => Ok(RangeWatchBus::new()),
            _ => RangeWatchBus::builder()
                .history(History::events(100))
                .build(),
        };
        let bus = bus.expect("valid bounds");
        let events = bus.subscribe(Selector::all()).events(1_000);
        let page = match more & 7 {
            0 => {
                let slots = std::array::from_fn(|_| input.address(PAGE_BYTES));
                (input.address(PAGE_BYTES), slots)
            }
            _ => (PAGE as u32, SLOTS),
        };
        let host = Host {
            bus,
            page,
            trace: Mutex::default(),
            starts: Mutex::default(),
            calls: Mutex::default(),
            recvs: Mutex::default(),
            waiting: Mutex::default(),
            owners: Mutex::default(),
        };
        if more & 8 != 0 {
            for _ in 0..2 {
                let plan = plan(input, &host);
                let waits = |step: &Step| matches!(step, Step::Wait);
                let plan = plan.into_iter().filter(|step| !waits(step)).collect();
                host.starts.lock().unwrap().push_back(plan);
            }
        }
        Self {
            host: Arc::new(host),
            events: events.expect("a valid capacity"),
            spawner,
            options,
            pool: [None, Some((1, 1)), Some((2, 1)), Some((2, 2))][usize::from(more >> 5 & 3)],
            guests: vec![None; 1 + usize::from(more >> 4 & 1)],
            tasks: VecDeque::new(),
            n_running: Arc::default(),
            may_pump: true,
            n_pumps: Arc::default(),
        }
    }

    /// A guest of this number.
    async fn guest(&self, programs: &Programs, number: usize) -> Result<Guest, String> {
        let generation = usize::from((self.options >> (6 + number)) & 1);
        let module = &programs.modules[generation][usize::from((self.options >> 1) & 1)];
        let host = self.host.clone();
        let bus = match self.options >> 2 & 3 {
            3 => hooked(&host),
            _ => GuestBus::from(&host.bus),
        };
        let mut limits = Limits::default().memory_bytes(MAX_PAGES * PAGE_BYTES);
        // Slices end at different points on each engine, which changes the order of tasks.
        limits = limits.fuel_slice(u64::MAX);
        if self.options & 16 != 0 {
            limits = limits
                .watches(3)
                .id_bytes(8)
                .flush_keys(4)
                .staged_keys(5)
                .staged_matches(4)
                .notices(6)
                .groups(2)
                .output_bytes(50);
        }
        if self.options & 32 != 0 {
            limits = limits.recycle_bytes(PAGE_BYTES);
        }
        let mut builder = Guest::builder(module, bus).limits(limits);
        match self.options >> 2 & 3 {
            1 => builder = builder.emits(Emits::Immediate),
            2 => builder = builder.emits(Emits::Staged),
            _ => {}
        }
        if let Some((calls, callbacks)) = self.pool {
            builder = builder.pool(calls, callbacks);
        }
        let (ended, failed) = (host.clone(), host.clone());
        let builder = builder
            .on_call_end(move |end| {
                let line = call_end(number, end);
                ended.log(line);
            })
            .on_callback_error(move |error| {
                let cause = match &error.cause {
                    CallbackErrorCause::Call(error) => kind(error),
                    cause => format!("{cause:?}"),
                };
                failed.log(format!("{number}: {:?}={} {cause}", error.id, error.value));
            })
            .instance_data(Running::default);
        let [page, starts, calls, recvs, next] = std::array::from_fn(|_| host.clone());
        let builder = builder
            .host_function("test", "page", move |cx, ()| {
                Ok(page.write_page(cx.memory()) as i32)
            })
            .host_function("test", "begin_start", move |cx, ()| {
                starts.begin(cx, "start", &starts.starts)
            })
            .host_function("test", "begin_call", move |cx, ()| {
                calls.begin(cx, "call", &calls.calls)
            })
            .host_function("test", "begin_recv", move |cx, ()| {
                recvs.begin(cx, "recv", &recvs.recvs)
            })
            .host_function_async_cx("test", "next", move |cx, ()| {
                let host = next.clone();
                Box::pin(async move { host.next(cx).await })
            })
            .host_function("test", "arg", |cx, index: i32| {
                let args = cx.data::<Running>()?.args;
                Ok(args[index as usize])
            })
            .host_function("test", "result", move |_, result: i32| {
                host.log(format!("  = {result}"));
                Ok(())
            });
        builder.instantiate().await.map_err(|error| {
            let text = format!("{error:?}");
            text[..text.find([' ', '(']).unwrap_or(text.len())].to_owned()
        })
    }

    fn operation(&mut self, input: &mut Input<'_>) {
        let g = input.below(self.guests.len());
        let operation = input.below(24);
        let guest = self.guests[g].clone();
        match (operation, guest) {
            (0..=3, Some(guest)) => {
                self.add_call(input);
                self.spawn("call", async move { guest.call("run", &[]).await });
            }
            (4 | 5, Some(guest)) => {
                let owner = input.below(4);
                let owner = self.host.owners.lock().unwrap().get(owner).cloned();
                let Some(owner) = owner else { return };
                self.add_call(input);
                self.spawn("call of an owner", async move {
                    guest.caller().owner(&owner).call("run", &[]).await
                });
            }
            (6 | 7, Some(guest)) => {
                self.add_call(input);
                let bytes = input.bytes(60);
                self.spawn(
                    "call_bytes",
                    async move { guest.call_bytes("run", bytes).await },
                );
            }
            (8, Some(guest)) => {
                self.add_call(input);
                self.add_call(input);
                let (bytes, owner) = (input.bytes(20), input.below(4));
                let owner = self.host.owners.lock().unwrap().get(owner).cloned();
                self.spawn("session", async move {
                    let mut session = guest.session().await?;
                    if let Some(owner) = owner {
                        session.set_owner(&owner)?;
                    }
                    session.memory()?[BUF..][..bytes.len()].copy_from_slice(&bytes);
                    session.call("run", &[]).await?;
                    session.call_bytes("run", bytes).await
                });
            }
            (9, Some(guest)) => {
                self.spawn(
                    "run",
                    async move { guest.run().await.map(|exit| exit.code()) },
                );
            }
            (10..=12, Some(guest)) => {
                for _ in 0..input.below(3) {
                    let plan = plan(input, &self.host);
                    self.host.recvs.lock().unwrap().push_back(plan);
                }
                self.spawn("drive", async move { guest.drive_until_idle().await });
            }
            (13, Some(guest)) if g == 0 && self.may_pump => {
                let (pump, n_pumps) = (guest.pump(), self.n_pumps.clone());
                *n_pumps.lock().unwrap() += 1;
                let host = self.host.clone();
                let pump = async move {
                    let ended = pump.await;
                    host.log(format!("pump: {:?}", ended.map_err(|error| kind(&error))));
                    *n_pumps.lock().unwrap() -= 1;
                };
                self.spawner.spawn_local(pump).expect("it lives");
            }
            (14, Some(guest)) => {
                let mut owners = self.host.owners.lock().unwrap();
                if owners.len() < 4 {
                    owners.push(guest.owner());
                }
            }
            (15, Some(guest)) if input.below(8) == 0 => {
                self.spawn("close", async move {
                    guest.close().await;
                    Ok(())
                });
            }
            (16, _) if input.below(8) == 0 => {
                self.guests[g] = None;
                self.may_pump &= g != 0;
            }
            (17, _) => {
                if let Some(task) = self.tasks.pop_back() {
                    task.abort();
                }
            }
            (18, _) => {
                let owner = input.below(4);
                let owner = self.host.owners.lock().unwrap().get(owner).cloned();
                owner.iter().for_each(Owner::end);
            }
            (19 | 20, _) => _ = self.host.release(),
            (21, _) if input.below(8) == 0 => self.host.bus.close(),
            _ => {
                let (value, key) = (self.host.value(input), input.choose(&KEYS));
                let emitted = self.host.bus.emit(value, [key]);
                self.host.log(format!("emit {value}: {emitted:?}"));
            }
        }
    }

    fn add_call(&self, input: &mut Input<'_>) {
        let plan = plan(input, &self.host);
        self.host.calls.lock().unwrap().push_back(plan);
    }

    /// Spawns a call and logs how it ends.
    fn spawn<T: std::fmt::Debug>(
        &mut self,
        what: &'static str,
        call: impl Future<Output = Result<T, CallError>> + 'static,
    ) {
        let (call, handle) = abortable(call);
        self.tasks.push_back(handle);
        let (host, n_running) = (self.host.clone(), self.n_running.clone());
        *n_running.lock().unwrap() += 1;
        let task = async move {
            let line = match call.await {
                Ok(Ok(results)) => format!("{what}: {results:?}"),
                Ok(Err(error)) => format!("{what}: {}", kind(&error)),
                Err(_) => format!("{what}: dropped"),
            };
            host.log(line);
            *n_running.lock().unwrap() -= 1;
        };
        self.spawner.spawn_local(task).expect("it lives");
    }

    /// Logs what can be seen from outside.
    fn observe(&mut self) {
        while let Ok(event) = self.events.try_recv() {
            let keys: Vec<_> = event.keys().map(<[u8]>::to_vec).collect();
            self.host.log(format!("event {} {keys:?}", event.value()));
        }
        let guests = self.guests.iter().flatten();
        let n_watches: Vec<_> = guests.map(|guest| guest.n_watches()).collect();
        let owners = self.host.owners.lock().unwrap();
        let n_owned: Vec<_> = owners.iter().map(Owner::n_watches).collect();
        let n_subscriptions = self.host.bus.n_subscriptions();
        self.host.log(format!(
            "watches {n_watches:?} {n_owned:?} {n_subscriptions}"
        ));
    }

    /// Ends everything, and checks that nothing is left.
    fn end(mut self, executor: &mut LocalPool) -> Vec<String> {
        loop {
            executor.run_until_stalled();
            if !self.host.release() {
                break;
            }
        }
        for guest in self.guests.clone().into_iter().flatten() {
            self.spawn("close", async move {
                guest.close().await;
                Ok(())
            });
        }
        executor.run_until_stalled();
        self.observe();
        assert_eq!(*self.n_running.lock().unwrap(), 0, "calls that do not end");
        self.guests.clear();
        executor.run_until_stalled();
        assert_eq!(*self.n_pumps.lock().unwrap(), 0, "pumps that do not end");
        self.host.owners.lock().unwrap().clear();
        assert_eq!(self.host.bus.n_subscriptions(), 1);
        std::mem::take(&mut self.host.trace.lock().unwrap())
    }
}

impl Host {
    fn log(&self, line: impl Into<String>) {
        self.trace.lock().unwrap().push(line.into());
    }

    /// Ends the oldest wait. Returns whether there was one.
    fn release(&self) -> bool {
        let oldest = self.waiting.lock().unwrap().pop_front();
        // A wait whose call was dropped is over already.
        oldest.map(|waiting| waiting.send(())).is_some()
    }

    /// A value: often the next one, so that a bus with history accepts it.
    fn value(&self, input: &mut Input<'_>) -> u64 {
        match input.below(8) {
            0 => u64::from(input.byte()),
            _ => {
                let head = self.bus.head().unwrap_or(0);
                head.saturating_add(1 + input.below(3) as u64)
            }
        }
    }

    /// Writes the meta page and the capacities. Returns its address.
    fn write_page(&self, memory: &mut [u8]) -> u32 {
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
    fn begin(
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
    async fn next(&self, cx: &mut dyn HostCx) -> Result<i32, HostError> {
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
fn hooked(host: &Arc<Host>) -> GuestBus {
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

/// The steps of one call.
fn plan(input: &mut Input<'_>, host: &Host) -> Plan {
    (0..input.below(7)).map(|_| step(input, host)).collect()
}

fn step(input: &mut Input<'_>, host: &Host) -> Step {
    let list = |keys: &[&[u8]]| {
        let mut list = Vec::new();
        for key in keys {
            list.extend((key.len() as u16).to_be_bytes());
            list.extend_from_slice(key);
        }
        list
    };
    match input.below(36) {
        0..=5 => {
            let keys: Vec<_> = (0..=input.below(5)).map(|_| input.choose(&KEYS)).collect();
            Step::Flush(host.value(input), list(&keys))
        }
        6..=9 => {
            let keys = [input.choose(&IDS), input.choose(&KEYS), input.choose(&KEYS)];
            Step::Import(OPEN, list(&keys))
        }
        10..=13 => Step::Import(START, input.choose(&IDS).to_vec()),
        14..=16 => Step::Import(STOP, input.choose(&IDS).to_vec()),
        17 => Step::Import(RESERVE, input.choose(&IDS).to_vec()),
        18 if input.below(4) == 0 => Step::Import(1 + input.below(5) as i32, input.bytes(30)),
        19 => {
            let at = usize::from(input.u16()) % (SHOWN_BYTES - 20);
            Step::Poke(at, input.bytes(20))
        }
        20 => {
            let text: &[u8] = input.choose(&[b"broken", b"Watch exists", b"\xff\n", b""]);
            let len = match input.below(4) {
                0 => input.u32(),
                _ => text.len() as u32,
            };
            Step::Report(text, len)
        }
        18 | 21 | 22 => Step::Wait,
        23 => Step::Emit(host.value(input), input.choose(&KEYS)),
        24 => Step::EndOwner(input.below(4)),
        25 => match input.below(8) {
            0 => Step::Fail,
            1 => Step::Guest(UNREACHABLE, [0; 3]),
            code @ 2..4 => Step::Exit(code as u32 - 2),
            _ => Step::Wait,
        },
        32 => Step::Import(input.choose(&[FLUSH, CLEAR]), Vec::new()),
        33 => Step::Import(GROUP_STOP, input.choose(&IDS[1..3]).to_vec()),
        34 => Step::Import(GROUP_START, input.choose(&IDS[1..3]).to_vec()),
        35 => Step::Import(QUEUE, list(&[input.choose(&KEYS)])),
        number => {
            let number = match number {
                26 => input.choose(&[INPUT_LEN, DIVIDE]),
                27 => INPUT_READ,
                28 => OUTPUT_WRITE,
                29 => input.choose(&[GROW, FILL]),
                30 => LOAD,
                _ => STORE,
            };
            let args = match number {
                GROW => [input.below(4) as i32, 0, 0],
                DIVIDE => [
                    input.choose(&[7, i32::MIN]),
                    input.choose(&[2, 3, -1, 0]),
                    0,
                ],
                INPUT_READ => [
                    i32::from(input.byte()),
                    input.choose(&[0, 0, 1, 30, -1]),
                    i32::from(input.byte()),
                ],
                _ => std::array::from_fn(|_| match input.below(16) {
                    0 => input.address(PAGE_BYTES) as i32,
                    _ => i32::from(input.byte()),
                }),
            };
            Step::Guest(number, args)
        }
    }
}

fn call_end(number: usize, end: &mut CallEnd<'_>) -> String {
    use rangewatch_runtime::CallOutcome;
    let outcome = match end.outcome() {
        CallOutcome::Failed(error) => kind(error),
        outcome => format!("{outcome:?}"),
    };
    let (export, memory) = (end.export().to_owned(), end.memory());
    let n_bytes = memory.len();
    format!("{number}: {export} {outcome} {n_bytes} {:x}", hash(memory))
}

/// The kind of an error: all that does not come from the engine.
fn kind(error: &CallError) -> String {
    match error {
        CallError::Trap { kind, message, .. } => format!("{kind:?} {message:?}"),
        CallError::Exit { exit, .. } => format!("exit {}", exit.code()),
        CallError::Abi { source, .. } => format!("{source:?}"),
        CallError::Refused {
            n_emits, source, ..
        } => format!("refused {n_emits} {source:?}"),
        CallError::NotCommitted {
            n_emits, source, ..
        } => format!("hook {n_emits} {source}"),
        CallError::Discarded { n_emits, source } => format!("discarded {n_emits} {}", kind(source)),
        CallError::HostFunction {
            function, source, ..
        } => format!("{function} {source}"),
        error => {
            let text = format!("{error:?}");
            text[..text.find(' ').unwrap_or(text.len())].to_owned()
        }
    }
}

/// Source: Fowler, Noll and Vo, FNV-1a, here over words of 64 bits.
fn hash(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks();
    assert!(rest.is_empty());
    words.iter().fold(0xcbf2_9ce4_8422_2325, |hash, word| {
        (hash ^ u64::from_le_bytes(*word)).wrapping_mul(0x100_0000_01b3)
    })
}
