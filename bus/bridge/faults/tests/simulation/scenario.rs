//! One run: replicas that append, readers, consumers, and faults.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use rangewatch_bridge::{
    AppendError, Appender, Backoff, BytesPayloads, LogError, Phase, Reader, Start, StatusWatch,
    Writer,
};
use rangewatch_bridge_faults::{FIRST, Machine, Received};
use rangewatch_bus::timer::Timer;
use rangewatch_bus::{History, Overflow, RangeWatchBus};

use crate::consumer::{Consumer, Report};
use crate::executor::{Clock, Executor, Task};
use crate::server::Server;

/// More steps than any scenario takes: a loop that does not wait.
const MAX_STEPS: u64 = 1_000_000;

/// What a run was.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) n_steps: u64,
    pub(crate) trace: u64,
}

/// Which faults there are.
#[derive(Clone, Copy, Debug)]
struct Plan {
    /// Faults that lose nothing for good: connections, crashes, lost ends that are appended again.
    /// Nothing may be reported as missing then.
    is_lossless: bool,
    /// The last value.
    to: u64,
    n_replicas: u64,
    n_readers: u64,
    /// The replicas append by themselves, and not through a bus.
    has_writers: bool,
    n_history: usize,
}

/// What all tasks share.
struct World {
    clock: Clock,
    server: Server,
    machine: Machine,
    plan: Plan,
    is_over: Cell<bool>,
    /// How far each replica has come.
    appended: RefCell<Vec<Rc<Cell<u64>>>>,
    readers: RefCell<Vec<(StatusWatch, Vec<Rc<Report>>)>>,
    failure: RefCell<Option<String>>,
}

/// Runs the scenario of a seed.
pub(crate) fn run(seed: u64) -> Outcome {
    let mut random = Rng::with_seed(seed);
    let is_lossless = random.bool();
    let plan = Plan {
        is_lossless,
        // Many short runs, because much goes wrong at their beginning.
        to: if random.u8(..3) == 0 {
            random.u64(200..600)
        } else {
            random.u64(10..80)
        },
        n_replicas: random.u64(1..=3),
        n_readers: random.u64(1..=3),
        has_writers: random.u8(..4) == 0,
        n_history: if is_lossless || random.bool() {
            10_000
        } else {
            random.usize(5..200)
        },
    };
    let mut executor = Executor::new(random.u64(..));
    let clock = executor.clock();
    let world = Rc::new(World {
        server: Server::new(clock.clone(), random.u64(..)),
        clock,
        machine: Machine::new(random.u64(..)),
        plan,
        is_over: Cell::new(false),
        appended: RefCell::default(),
        readers: RefCell::default(),
        failure: RefCell::default(),
    });
    for _ in 0..plan.n_replicas {
        let at = Rc::new(Cell::new(0));
        world.appended.borrow_mut().push(Rc::clone(&at));
        let (world, random) = (Rc::clone(&world), random.fork());
        if plan.has_writers {
            executor.spawn(async move { write(&world, &at, random).await });
        } else {
            executor.spawn(async move { replicate(&world, &at, random).await });
        }
    }
    let spawned = Rc::new(RefCell::new(Vec::new()));
    for reader in 0..plan.n_readers {
        let (world, random, spawned) = (Rc::clone(&world), random.fork(), Rc::clone(&spawned));
        executor.spawn(async move { read(&world, reader, random, &spawned).await });
    }
    let faults = (Rc::clone(&world), random.fork());
    executor.spawn(async move { break_things(&faults.0, faults.1).await });

    let minute = Duration::from_secs(60);
    let mut is_done = false;
    // Consumers begin when their reader is open.
    for _ in 0..2000 {
        for consumer in spawned.borrow_mut().drain(..) {
            executor.spawn(consumer);
        }
        is_done = executor.run_until(minute / 1000, || {
            world.is_done() || !spawned.borrow().is_empty()
        });
        world.check();
        assert!(executor.n_steps() < MAX_STEPS, "too many steps: {world:?}");
        is_done &= world.is_done();
        if is_done {
            break;
        }
    }
    assert!(
        is_done,
        "not all have reached the end after two minutes: {world:?}"
    );
    world.check_end();
    Outcome {
        n_steps: executor.n_steps(),
        trace: executor.trace(),
    }
}

impl World {
    fn fail(&self, error: impl Into<String>) {
        self.failure
            .borrow_mut()
            .get_or_insert_with(|| error.into());
    }

    /// Fails if a task has found something wrong.
    fn check(&self) {
        if let Some(failure) = &*self.failure.borrow() {
            panic!("{failure}\n{self:?}");
        }
        for (_, reports) in &*self.readers.borrow() {
            for report in reports {
                if let Some(failure) = &*report.failure.borrow() {
                    panic!("{failure}\n{self:?}");
                }
            }
        }
    }

    /// Whether all replicas and consumers have come to the end.
    fn is_done(&self) -> bool {
        let to = self.plan.to;
        let (head, epoch) = self.log();
        self.is_over.get()
            && head == Some(to)
            && self.appended.borrow().iter().all(|at| at.get() >= to)
            && self.readers.borrow().len() as u64 == self.plan.n_readers
            && self.readers.borrow().iter().all(|(status, reports)| {
                let reached = |report: &Rc<Report>| report.received.borrow().has_reached(to);
                let status = status.get();
                let is_live = status.phase == Phase::Live && status.position >= Some(to);
                is_live && status.epoch == epoch && reports.iter().all(reached)
            })
    }

    /// The head and the epoch of the log.
    fn log(&self) -> (Option<u64>, Option<u64>) {
        let log = self.server.lock();
        (log.head(), log.epoch())
    }

    fn check_end(&self) {
        let (head, epoch) = self.log();
        assert_eq!(head, Some(self.plan.to), "{self:?}");
        for (status, reports) in &*self.readers.borrow() {
            let status = status.get();
            assert_eq!(status.phase, Phase::Live, "{self:?}");
            assert_eq!((status.lag(), status.epoch), (0, epoch), "{self:?}");
            for report in reports {
                let verified = report.received.borrow_mut().verify();
                assert_eq!(verified, Ok(()), "{}: {self:?}", report.name);
            }
            let n_compacted: u64 = reports.iter().map(|report| report.n_compacted.get()).sum();
            if self.plan.is_lossless {
                assert_eq!((status.n_gaps, n_compacted), (0, 0), "{self:?}");
            }
        }
    }
}

/// A replica with a bus and an appender, which is started again now and then.
async fn replicate(world: &World, at: &Cell<u64>, mut random: Rng) {
    let plan = world.plan;
    let mut next = FIRST;
    let bus = RangeWatchBus::builder()
        .payloads()
        .history(History::events(plan.n_history))
        .timer(world.clock.clone());
    let bus = bus.build().expect("a bus");
    let mut begins_epochs = false;
    loop {
        let builder = Appender::builder_with(world.server.clone(), &bus, BytesPayloads)
            .timer(world.clock.clone())
            .backoff(backoff())
            .check_every(Duration::from_millis(20))
            .seed(random.u64(..));
        let builder = if begins_epochs {
            builder.begin_epochs()
        } else {
            builder
        };
        let appender = builder.build().expect("an appender");
        let mut status = appender.status();
        let emits = async {
            while next <= plan.to {
                for _ in 0..random.u64(1..30) {
                    if next <= plan.to {
                        let emitted = bus.emit_with(next, world.machine.emit(next));
                        emitted.expect("an emit");
                        next += 1;
                    }
                }
                let pause = Duration::from_micros(random.u64(0..20_000));
                world.clock.sleep(pause).await;
            }
            status
                .until(|status| {
                    at.set(status.position.unwrap_or_else(|| at.get()));
                    world.is_over.get() && status.position >= Some(plan.to)
                })
                .await;
        };
        futures::pin_mut!(emits);
        let run = std::pin::pin!(appender.run());
        match futures::future::select(run, emits).await {
            futures::future::Either::Left((Err(AppendError::Overtaken { .. }), _)) => {
                if plan.is_lossless {
                    return world.fail("an appender was overtaken");
                }
                // An operator decides.
                begins_epochs = true;
                world.clock.sleep(Duration::from_millis(50)).await;
            }
            futures::future::Either::Left((ended, _)) => {
                return world.fail(format!("an appender has ended: {ended:?}"));
            }
            // It is dropped, and another one continues.
            futures::future::Either::Right(_) => {}
        }
    }
}

/// A replica that appends by itself, and waits for each append.
async fn write(world: &World, at: &Cell<u64>, mut random: Rng) {
    let mut writer: Option<Writer<Bytes>> = None;
    let mut next = FIRST;
    loop {
        let pause = Duration::from_micros(random.u64(0..10_000));
        world.clock.sleep(pause).await;
        let Some(open) = &mut writer else {
            writer = Writer::open_with(world.server.clone(), BytesPayloads)
                .await
                .ok();
            continue;
        };
        let last = (next + random.u64(0..20)).min(world.plan.to);
        let emits = (next..=last).map(|value| (value, world.machine.emit(value)));
        match open.append_many_with(emits).await {
            Ok(_) => {
                at.set(last);
                // At the end it repeats the last append: the log may have lost it.
                next = (last + 1).min(world.plan.to);
            }
            Err(AppendError::Rewound { head }) => {
                next = head.map_or(FIRST, |head| head + 1);
                at.set(next - 1);
            }
            Err(AppendError::Log(LogError::EpochChanged { .. })) => {
                next = open.head().map_or(FIRST, |head| head + 1);
                at.set(next - 1);
            }
            Err(AppendError::Log(LogError::Unavailable(_) | LogError::Foreign(_))) => {}
            Err(error) => return world.fail(format!("a writer has failed: {error:?}")),
        }
    }
}

/// A reader with consumers.
async fn read(world: &World, n: u64, mut random: Rng, spawned: &RefCell<Vec<Task>>) {
    let plan = world.plan;
    let pause = Duration::from_micros(random.u64(0..300_000));
    world.clock.sleep(pause).await;
    let start = match random.u8(..3) {
        0 if !plan.is_lossless => Start::Head,
        1 => Start::BeforeHead(random.u64(0..100)),
        _ => Start::Floor,
    };
    let reader = Reader::builder(world.server.clone())
        .payloads(BytesPayloads)
        .history(History::events(if random.bool() { 10_000 } else { 1000 }))
        .start(start)
        .timer(world.clock.clone())
        .backoff(backoff())
        .seed(random.u64(..));
    let reader = match reader.open().await {
        Ok(reader) => reader,
        Err(error) => return world.fail(format!("a reader was not opened: {error}")),
    };
    let bus = reader.bus().clone();
    let mut reports = Vec::new();
    let position = bus.floor().unwrap_or(0).saturating_sub(1);
    let mut consumer = |prefix: &'static str| {
        let report = Rc::new(Report {
            name: format!("reader {n} {prefix}"),
            received: RefCell::new(Received::new(world.machine, prefix, position)),
            epoch: Cell::new(bus.epoch().unwrap_or(0)),
            n_compacted: Cell::new(0),
            failure: RefCell::default(),
        });
        reports.push(Rc::clone(&report));
        Consumer {
            bus: bus.clone(),
            prefix,
            clock: world.clock.clone(),
            random: random.fork(),
            report,
        }
    };
    let park = consumer("k/").events(8, Overflow::Park);
    let narrow = consumer("k/1").events(2, Overflow::Park);
    let lagged = consumer("k/2").events(3, Overflow::Lagged);
    let disconnected = consumer("k/0").events(3, Overflow::Disconnect);
    let wakes = consumer("k/3").wakes();
    spawned.borrow_mut().extend([
        Box::pin(park) as Task,
        Box::pin(narrow),
        Box::pin(lagged),
        Box::pin(disconnected),
        Box::pin(wakes),
    ]);
    world.readers.borrow_mut().push((reader.status(), reports));
    let ended = reader.run().await;
    world.fail(format!("a reader has ended: {ended:?}"));
}

/// Breaks things, then lets everything recover.
async fn break_things(world: &World, mut random: Rng) {
    let server = &world.server;
    server.lock().break_connections(random.u32(10..200));
    for _ in 0..random.u32(1..12) {
        let pause = Duration::from_micros(random.u64(0..200_000));
        world.clock.sleep(pause).await;
        // What was stored before a sync survives.
        if random.bool() {
            server.lock().sync();
        }
        let down = Duration::from_micros(random.u64(0..300_000));
        match random.u8(..if world.plan.is_lossless { 5 } else { 11 }) {
            0 => server.lock().cut(),
            1 => {
                server.lock().crash(false);
                world.clock.sleep(down).await;
                server.lock().start();
            }
            2 | 3 if world.plan.is_lossless || random.bool() => {
                server.lock().crash(true);
                world.clock.sleep(down).await;
                server.lock().start();
            }
            4 => server.lock().lose_end(),
            5 | 6 => server.lock().trim(),
            7 => {
                server.lock().wipe();
                world.clock.sleep(down).await;
                server.lock().start();
            }
            8 => server.lock().back_up(),
            9 => {
                server.lock().restore();
                world.clock.sleep(down).await;
                server.lock().start();
            }
            _ => {
                server.lock().add_foreign();
                world.clock.sleep(down).await;
                server.lock().remove_foreign();
            }
        }
    }
    server.lock().break_connections(0);
    world.is_over.set(true);
}

fn backoff() -> Backoff {
    Backoff::new(Duration::from_millis(2), Duration::from_millis(100))
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let readers = self.readers.borrow();
        let status: Vec<_> = readers.iter().map(|(status, _)| status.get()).collect();
        let reports: Vec<_> = readers.iter().flat_map(|(_, reports)| reports).collect();
        f.debug_struct("World")
            .field("plan", &self.plan)
            .field("clock", &self.clock)
            .field("head", &self.server.lock().head())
            .field("appended", &self.appended.borrow())
            .field("status", &status)
            .field("reports", &reports)
            .finish_non_exhaustive()
    }
}
