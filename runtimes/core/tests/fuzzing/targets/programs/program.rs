//! One program: its guests, and the operations of their host.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex};

use futures::executor::{LocalPool, LocalSpawner};
use futures::future::{AbortHandle, abortable};
use futures::task::LocalSpawnExt;
use rangewatch_bus::{EventSubscription, History, RangeWatchBus, Selector};
use rangewatch_runtime::{CallError, CallbackErrorCause, Emits, Guest, GuestBus, Limits, Owner};

use super::super::input::Input;
use super::Programs;
use super::guest::{MAX_PAGES, PAGE_BYTES};
use super::host::{BUF, Host, PAGE, Running, SLOTS, hooked};
use super::outcomes::{call_end, kind};
use super::step::{KEYS, Step, plan};

pub(super) struct Program {
    pub(super) host: Arc<Host>,
    events: EventSubscription,
    spawner: LocalSpawner,
    options: u8,
    pool: Option<(u32, u32)>,
    pub(super) guests: Vec<Option<Arc<Guest>>>,
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
    pub(super) fn new(input: &mut Input<'_>, spawner: LocalSpawner) -> Self {
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
    pub(super) async fn guest(&self, programs: &Programs, number: usize) -> Result<Guest, String> {
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

    pub(super) fn operation(&mut self, input: &mut Input<'_>) {
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
    pub(super) fn observe(&mut self) {
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
    pub(super) fn end(mut self, executor: &mut LocalPool) -> Vec<String> {
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
