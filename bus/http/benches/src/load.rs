//! The server under load.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use rangewatch_bench_harness::{Random, Report, allocated, at_most, nanos, quantile};
use rangewatch_bus::{History, RangeWatchBus};
use rangewatch_http::{EventStreams, WatchRoute};
use rustix::time::{ClockId, clock_gettime};
use tokio::net::TcpSocket;

use crate::clients::Clients;
use crate::{Result, allow_open_files};

/// How much is done.
pub(crate) struct Size {
    n_healthy: usize,
    n_stalled: usize,
    n_runs: usize,
    emits_per_run: usize,
    n_ticks: usize,
    has_goals: bool,
}

impl Size {
    pub(crate) const FULL: Self = Self {
        n_healthy: 9_000,
        n_stalled: 1_000,
        n_runs: 7,
        emits_per_run: 1_000,
        n_ticks: 20,
        has_goals: true,
    };
    pub(crate) const SMOKE: Self = Self {
        n_healthy: 90,
        n_stalled: 10,
        n_runs: 3,
        emits_per_run: 20,
        n_ticks: 2,
        has_goals: false,
    };
}

/// The send buffer of the server's sockets, which the kernel doubles. By default it grows to 4 MiB.
const SEND_BYTES: u32 = 32 << 10;
const PAYLOAD_BYTES: usize = 1_000;
/// What a stalled reader may use beside its queue, by the issue of this crate.
const CONNECTION_GOAL_BYTES: usize = 64 << 10;
const LATENCY_GOAL: f64 = 2.0;
/// Nothing of this takes longer.
const DEADLINE: Duration = Duration::from_secs(300);

type Bus = RangeWatchBus<Arc<str>>;

struct Load<'a> {
    size: &'a Size,
    bus: Bus,
    streams: EventStreams<Arc<str>>,
    clients: Clients,
    payload: String,
    random: Random,
}

pub(crate) fn run(report: &Report, size: &Size) -> Result<()> {
    let n_readers = size.n_healthy + size.n_stalled;
    allow_open_files(n_readers + 100)?;
    report.heading();

    let history = History::events(10 * size.n_stalled);
    let bus = RangeWatchBus::builder()
        .payloads::<Arc<str>>()
        // With the counts of the `Arc`, and the place of the payload in its emit.
        .payload_bytes(|payload| payload.len() + 32)
        .history(history)
        .build()?;
    let hour = Duration::from_secs(3_600);
    let streams = EventStreams::builder()
        .payloads(|_key, payload: &Arc<str>, json| json.write(&**payload))
        .max_streams(n_readers)
        .heartbeat(hour)
        .stall_timeout(hour)
        .build();
    let app = Router::new().merge(WatchRoute::public(&bus, &streams)?.router());

    // One thread, whose processor time is that of the streams.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let address = runtime.block_on(async {
        let socket = TcpSocket::new_v4()?;
        socket.set_send_buffer_size(SEND_BYTES)?;
        socket.bind(([127, 0, 0, 1], 0).into())?;
        let listener = socket.listen(1_024)?;
        let address = listener.local_addr()?;
        tokio::spawn(axum::serve(listener, app).into_future());
        Ok::<_, std::io::Error>(address)
    })?;

    let mut load = Load {
        size,
        bus,
        streams,
        clients: Clients::start(address)?,
        payload: "x".repeat(PAYLOAD_BYTES),
        random: Random::new(7),
    };
    load.measure(report)
}

impl Load<'_> {
    fn measure(&mut self, report: &Report) -> Result<()> {
        let Size {
            n_healthy,
            n_stalled,
            ..
        } = *self.size;
        // So that the history has its greatest size from the start.
        for _ in 0..10 * n_stalled {
            self.emit("nobody watches this")?;
        }

        let (connected, healthy_bytes) = allocated(|| self.connect("healthy", n_healthy));
        connected?;
        let _warm = self.latency()?;
        let mut without = self.latency()?;
        let (stalled, stalled_bytes) = allocated(|| self.stall());
        stalled?;
        let with = median(self.latency()?);
        let cpu_per_event = self.ticks()?;
        self.clients.command("drain")?;
        let drained = self.clients.report("drained")?;
        self.wait_until("the end of the stalled", |load| {
            load.streams.stats().n_open() == n_healthy
        })?;
        // Half of these runs before and half of them after, because the speed of a machine changes.
        for (runs, after) in without.iter_mut().zip(self.latency()?) {
            runs.extend(after);
        }
        let without = median(without);

        report.group("readers");
        report.table(&["", ""]);
        let row = |name: &str, cell: String| report.cells(&[name.to_owned(), cell]);
        row("readers that read", n_healthy.to_string());
        row("readers that never read", n_stalled.to_string());
        let show = |[p50, p99]: [f64; 2]| format!("p50 {}, p99 {}", nanos(p50), nanos(p99));
        row(
            "from an emit to the one reader it matches, without the stalled",
            show(without),
        );
        row("the same with the stalled", show(with));
        let ratio = |i: usize| at_most(with[i] / without[i], LATENCY_GOAL, |x| format!("{x:.2}x"));
        row("ratio of p50", ratio(0));
        row("ratio of p99", format!("{:.2}x", with[1] / without[1]));
        let kib = |bytes: f64| format!("{:.1} KiB", bytes / 1024.0);
        row(
            "memory of a reader that reads",
            kib(healthy_bytes as f64 / n_healthy as f64),
        );
        let bound = WatchRoute::DEFAULT_QUEUE_BYTES + CONNECTION_GOAL_BYTES;
        let per_stalled = stalled_bytes as f64 / n_stalled as f64;
        row(
            "memory of a stalled reader",
            at_most(per_stalled, bound as f64, kib),
        );
        row(
            "stalled readers that ended with `compacted`",
            format!("{} of {}", drained[1], drained[0]),
        );
        row(
            "processor time of an event to one of many",
            nanos(cpu_per_event),
        );
        row(
            "readers per core at one event a second each",
            format!("{:.0}", 1e9 / cpu_per_event),
        );
        let n_compacted = self.streams.stats().n_compacted();
        if drained != [n_stalled as u64; 2] || n_compacted != n_stalled as u64 {
            return Err(format!("not every miss was reported: {drained:?}, {n_compacted}").into());
        }
        let is_missed = with[0] > LATENCY_GOAL * without[0] || per_stalled > bound as f64;
        if self.size.has_goals && is_missed {
            return Err("a goal is missed".into());
        }
        Ok(())
    }

    fn emit(&self, key: &str) -> Result<u64> {
        // An allocation of its own for each emit, as the values of a store have.
        let payload = Arc::from(self.payload.as_str());
        let emitted = self.bus.emit_next_with([(key, payload)])?;
        Ok(emitted.value())
    }

    fn connect(&mut self, kind: &str, n: usize) -> Result<()> {
        let n_open = self.streams.stats().n_open() + n;
        self.clients.command(&format!("{kind} {n}"))?;
        self.wait_until("the connections", |load| {
            load.streams.stats().n_open() == n_open
        })
    }

    /// Connects readers that do not read, and emits to them until their sockets and their queues
    /// are full, and the history no longer has what they need.
    fn stall(&mut self) -> Result<()> {
        let n = self.size.n_stalled;
        self.connect("stalled", n)?;
        let keys: Vec<String> = (0..n).map(|i| format!("stalled/{i}")).collect();
        let mut n_before = u64::MAX;
        loop {
            // More than a socket takes, so that the next round begins with full queues.
            for key in (0..100).flat_map(|_| &keys) {
                self.emit(key)?;
            }
            std::thread::sleep(Duration::from_millis(200));
            let stats = self.bus.stats();
            let n_delivered = stats.deliveries().delivered();
            if stats.n_parked() == n && n_delivered == n_before {
                return Ok(());
            }
            n_before = n_delivered;
        }
    }

    /// p50 and p99 of the nanoseconds from an emit to the reader, of each run.
    fn latency(&mut self) -> Result<[Vec<f64>; 2]> {
        let mut runs = [Vec::new(), Vec::new()];
        for _ in 0..self.size.n_runs {
            let mut times = Vec::new();
            for _ in 0..self.size.emits_per_run {
                let reader = self.random.below(self.size.n_healthy as u64);
                let emitted = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
                let value = self.emit(&format!("healthy/{reader}"))?;
                let event = self.clients.report("event")?;
                if event[0] != value {
                    return Err(format!("{value} was emitted, and {event:?} received").into());
                }
                times.push((u128::from(event[1]).saturating_sub(emitted)) as f64);
            }
            for (run, q) in runs.iter_mut().zip([0.5, 0.99]) {
                run.push(quantile(&mut times, q));
            }
        }
        Ok(runs)
    }

    /// The processor time of this process, in nanoseconds, for an event to one of all healthy
    /// readers, when each emit goes to all of them.
    fn ticks(&mut self) -> Result<f64> {
        let before = cpu_time();
        for _ in 0..self.size.n_ticks {
            self.emit("tick")?;
            self.clients.report("ticks")?;
        }
        let n_events = self.size.n_ticks * self.size.n_healthy;
        Ok((cpu_time() - before) / n_events as f64)
    }

    fn wait_until(&self, what: &str, is_true: impl Fn(&Self) -> bool) -> Result<()> {
        let start = Instant::now();
        while !is_true(self) {
            if start.elapsed() > DEADLINE {
                return Err(format!("{what} did not happen in time").into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

fn median(runs: [Vec<f64>; 2]) -> [f64; 2] {
    runs.map(|mut runs| quantile(&mut runs, 0.5))
}

/// The processor time of this process in nanoseconds.
fn cpu_time() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}
