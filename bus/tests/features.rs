//! Optional features. Run with `--all-features`.

#[cfg(feature = "tracing")]
mod count;

#[cfg(feature = "tracing")]
mod tracing_events {
    use std::fmt::Debug;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::{Arc, Mutex};
    use std::task::Context;

    use rangewatch_bus::{History, Overflow, RangeWatchBus};
    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Level, Metadata, Subscriber};

    use crate::count::counting;

    /// Records events as `LEVEL name=value ..`, in the order of the fields.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<String>>>);

    impl Log {
        fn take(&self) -> Vec<String> {
            std::mem::take(&mut self.0.lock().unwrap())
        }
    }

    struct Fields(String);

    impl Visit for Fields {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            self.0 += &format!(" {field}={value:?}");
        }
    }

    impl Subscriber for Log {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target() == "rangewatch_bus"
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, event: &Event<'_>) {
            let level: Level = *event.metadata().level();
            let mut fields = Fields(level.to_string());
            event.record(&mut fields);
            self.0.lock().unwrap().push(fields.0);
        }
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    /// Emits far more than the queue holds, twice, and receives all of it each time.
    fn log_of(overflow: Overflow) -> Vec<Vec<String>> {
        let log = Log::default();
        tracing::subscriber::with_default(log.clone(), || {
            let bus = RangeWatchBus::builder()
                .name("orders")
                .history(History::events(1000))
                .build()
                .unwrap();
            let mut sub = bus.subscribe(..).overflow(overflow).events(2).unwrap();
            let mut logs = Vec::new();
            for round in 0..2 {
                for value in 1..=50 {
                    bus.emit(100 * round + value, ["k"]).unwrap();
                }
                logs.push(log.take());
                while sub.try_recv().is_ok_and(|_| true) || sub.lag() > 0 {}
                let _ = sub.try_recv();
                logs.push(log.take());
            }
            logs
        })
    }

    #[test]
    fn one_event_reports_the_first_overflow_and_one_that_the_consumer_has_caught_up() {
        for (overflow, outcome) in [
            (Overflow::Lagged, "events are dropped or coalesced"),
            (Overflow::Coalesce, "events are dropped or coalesced"),
            (Overflow::Park, "events are left in the history"),
        ] {
            let logs = log_of(overflow);
            for (round, pair) in logs.chunks(2).enumerate() {
                let [slow, recovered] = pair else {
                    panic!("{logs:?}")
                };
                assert_eq!(slow.len(), 1, "{overflow:?} {logs:?}");
                let begins = |line: &str, level| {
                    line.starts_with(&format!("{level} message="))
                        && line.contains(" bus=\"orders\"")
                };
                assert!(begins(&slow[0], "WARN") && slow[0].contains(outcome));
                assert!(slow[0].contains(&format!("seq={}", 50 * round + 3)));
                assert_eq!(recovered.len(), 1, "{overflow:?} {logs:?}");
                assert!(begins(&recovered[0], "INFO"), "{recovered:?}");
            }
        }
    }

    #[test]
    fn a_subscription_that_ends_is_reported_once() {
        let logs = log_of(Overflow::Disconnect);
        assert_eq!(logs.concat().len(), 1, "{logs:?}");
        assert!(logs[0][0].contains("the subscription ends"), "{logs:?}");
    }

    #[test]
    fn g12_a_panic_of_a_tracing_subscriber_loses_no_wake_up() {
        let bus = RangeWatchBus::new();
        let slow = bus.subscribe(..).events(1).unwrap();
        bus.emit(1, ["k"]).unwrap();
        let mut healthy = bus.subscribe(..).events(1).unwrap();
        let (waker, count) = counting();
        let mut cx = Context::from_waker(&waker);
        assert!(healthy.poll_recv(&mut cx).is_pending());
        let log = Log::default();
        let poisoned = Arc::clone(&log.0);
        let _ = catch_unwind(AssertUnwindSafe(|| {
            let _guard = poisoned.lock();
            panic!("the log is poisoned");
        }));
        let emitted = catch_unwind(AssertUnwindSafe(|| {
            tracing::subscriber::with_default(log, || bus.emit(2, ["k"]))
        }));
        assert!(emitted.is_err(), "the panic passes through");
        assert_eq!(count.n_wakes(), 1);
        assert_eq!(healthy.try_recv().unwrap().value(), 2);
        assert_eq!(slow.len(), 1);
    }

    #[test]
    fn one_that_keeps_up_is_not_reported() {
        let log = Log::default();
        tracing::subscriber::with_default(log.clone(), || {
            let bus = RangeWatchBus::new();
            let mut sub = bus.subscribe(..).events(1).unwrap();
            for value in 0..10 {
                bus.emit(value, ["k"]).unwrap();
                assert_eq!(sub.try_recv().unwrap().value(), value);
            }
        });
        assert_eq!(log.take(), [""; 0]);
    }
}

#[cfg(feature = "metrics")]
mod metrics_recorded {
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Arc, Mutex};

    use metrics::{
        Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    };
    use rangewatch_bus::{History, Overflow, RangeWatchBus};

    /// The kind of a metric, its unit and its help text.
    type Described = (&'static str, Option<Unit>, String);

    #[derive(Default)]
    struct Recorded {
        values: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
        described: Mutex<BTreeMap<String, Described>>,
    }

    impl Recorded {
        fn slot(&self, kind: &str, key: &Key) -> Arc<AtomicU64> {
            let described = self.described.lock().unwrap();
            let described = described.get(key.name()).map(|(kind, ..)| *kind);
            assert_eq!(described, Some(kind), "{key} is described first");
            let labels = key.labels().map(|label| (label.key(), label.value()));
            let name = format!("{}{:?}", key.name(), labels.collect::<Vec<_>>());
            Arc::clone(self.values.lock().unwrap().entry(name).or_default())
        }

        fn describe(&self, kind: &'static str, name: &KeyName, unit: Option<Unit>, help: &str) {
            let name = name.as_str().to_owned();
            let described = (kind, unit, help.to_owned());
            self.described.lock().unwrap().insert(name, described);
        }

        /// The value of a counter.
        fn counter(&self, name: &str) -> u64 {
            self.values.lock().unwrap()[name].load(Ordering::Relaxed)
        }

        /// The value of a gauge.
        fn gauge(&self, name: &str) -> f64 {
            f64::from_bits(self.counter(name))
        }
    }

    impl Recorder for Recorded {
        fn describe_counter(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
            self.describe("counter", &name, unit, &help);
        }
        fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
            self.describe("gauge", &name, unit, &help);
        }
        fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
            self.describe("histogram", &name, unit, &help);
        }
        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            Counter::from_arc(self.slot("counter", key))
        }
        fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::from_arc(self.slot("gauge", key))
        }
        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }

    fn record(bus: &RangeWatchBus) -> Recorded {
        let recorded = Recorded::default();
        metrics::with_local_recorder(&recorded, || bus.record_metrics());
        recorded
    }

    /// The rows of the table in the documentation of `record_metrics`: name, kind and unit.
    fn documented() -> Vec<[&'static str; 3]> {
        let source = include_str!("../src/metrics.rs");
        let rows = source.lines().filter_map(|line| {
            let row = line.trim().strip_prefix("/// | `")?.strip_suffix(" |")?;
            let (name, row) = row.split_once("` | ")?;
            let (kind, unit) = row.split_once(" | ")?;
            Some([name, kind, unit])
        });
        rows.collect()
    }

    #[test]
    fn each_documented_metric_is_recorded_and_described() {
        let bus = RangeWatchBus::builder().name("pods").build().unwrap();
        // Each call has a recorder of its own, and describes all metrics to it.
        for _ in 0..2 {
            let recorded = record(&bus);
            let (values, described) = (
                recorded.values.into_inner().unwrap(),
                recorded.described.into_inner().unwrap(),
            );
            let documented = documented();
            assert_eq!((values.len(), described.len()), (12, 12));
            assert_eq!(documented.len(), 12, "{documented:?}");
            for [name, kind, unit] in documented {
                assert!(
                    values.contains_key(&format!("{name}[(\"bus\", \"pods\")]")),
                    "{values:?}"
                );
                let (described_kind, described_unit, help) = &described[name];
                assert_eq!(*described_kind, kind, "{name}");
                let expected = match unit {
                    "bytes" => Unit::Bytes,
                    _ => Unit::Count,
                };
                assert_eq!(*described_unit, Some(expected), "{name}");
                assert!(!help.is_empty() && !help.ends_with('.'), "{help}");
            }
        }
    }

    #[test]
    fn the_numbers_are_those_of_the_statistics() {
        let bus = RangeWatchBus::builder()
            .history(History::events(100))
            .build()
            .unwrap();
        let lagged = bus.subscribe("a".."b").overflow(Overflow::Lagged);
        let mut lagged = lagged.events(2).unwrap();
        let parked = bus
            .subscribe(..)
            .overflow(Overflow::Park)
            .events(1)
            .unwrap();
        let mut coalesced = bus.subscribe("c"..).wake().unwrap();
        let discarded = bus.subscribe(..).wake().unwrap();
        for value in 1..=9 {
            bus.emit(value, [if value < 6 { "a" } else { "c" }])
                .unwrap();
        }
        drop(discarded);
        lagged.try_recv().unwrap_err();
        lagged.try_recv().unwrap();
        coalesced.try_recv().unwrap();

        let recorded = record(&bus);
        for (name, expected) in [
            ("emits", 9),
            ("matched", 5 + 9 + 4 + 9),
            ("delivered", 2),
            ("coalesced", 3),
            ("dropped", 3),
            ("discarded", 9),
        ] {
            let name = format!("rangewatch_{name}_total[]");
            assert_eq!(recorded.counter(&name), expected, "{name}");
        }
        for (name, expected) in [
            ("pending", 10),
            ("greatest_lag", parked.lag()),
            ("subscriptions", 3),
            ("parked_subscriptions", 1),
            ("history_events", 9),
            ("history_bytes", 9 * 17),
        ] {
            let name = format!("rangewatch_{name}[]");
            assert_eq!(recorded.gauge(&name), expected as f64, "{name}");
        }
    }
}

#[cfg(feature = "tokio")]
mod tokio_timer {
    use std::time::Duration;

    use rangewatch_bus::timer::TokioTimer;
    use rangewatch_bus::{History, Item, RangeWatchBus};

    #[test]
    fn g26_outside_of_a_runtime_there_is_no_current_timer() {
        let error = TokioTimer::try_current().unwrap_err();
        assert!(error.is_missing_context());
    }

    #[tokio::test(start_paused = true)]
    async fn g09_marks_come_by_the_time_of_tokio() {
        let bus = RangeWatchBus::builder()
            .history(History::events(10))
            .timer(TokioTimer::current())
            .build()
            .unwrap();
        let minute = Duration::from_secs(60);
        let mut sub = bus.subscribe(..).progress_every(minute).events(1).unwrap();
        bus.advance(7).unwrap();
        let before = tokio::time::Instant::now();
        assert_eq!(sub.recv_item().await.unwrap(), Item::Progress(7));
        let waited = before.elapsed();
        assert!(
            waited >= minute * 9 / 10 && waited <= minute * 12 / 10,
            "{waited:?}"
        );
    }
}
