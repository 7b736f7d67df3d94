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
    use rangewatch_bus::RangeWatchBus;

    #[derive(Default)]
    struct Values(Mutex<BTreeMap<String, Arc<AtomicU64>>>);

    impl Values {
        fn slot(&self, key: &Key) -> Arc<AtomicU64> {
            let labels: Vec<_> = key.labels().map(metrics::Label::value).collect();
            let name = format!("{}[{}]", key.name(), labels.join(","));
            Arc::clone(self.0.lock().unwrap().entry(name).or_default())
        }
    }

    impl Recorder for Values {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            Counter::from_arc(self.slot(key))
        }
        fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::from_arc(self.slot(key))
        }
        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }

    #[test]
    fn the_numbers_of_a_bus_reach_the_recorder_under_its_name() {
        let values = Values::default();
        let bus = RangeWatchBus::builder().name("pods").build().unwrap();
        let mut sub = bus.subscribe("a".."b").events(1).unwrap();
        for value in 0..3 {
            bus.emit(value, ["a"]).unwrap();
        }
        let _ = sub.try_recv();
        metrics::with_local_recorder(&values, || bus.record_metrics());
        let values = values.0.into_inner().unwrap();
        let counter = |name: &str| values[&format!("{name}[pods]")].load(Ordering::Relaxed);
        assert_eq!(counter("rangewatch_emits_total"), 3);
        assert_eq!(counter("rangewatch_matched_total"), 3);
        assert_eq!(counter("rangewatch_dropped_total"), 2);
        let gauge = |name: &str| f64::from_bits(counter(name));
        assert!((gauge("rangewatch_pending") - 1.0).abs() < f64::EPSILON);
        assert!((gauge("rangewatch_subscriptions") - 1.0).abs() < f64::EPSILON);
        assert_eq!(values.len(), 11, "the documentation lists eleven names");
    }

    #[test]
    fn a_bus_without_a_name_has_no_label() {
        let values = Values::default();
        metrics::with_local_recorder(&values, || RangeWatchBus::new().record_metrics());
        let values = values.0.into_inner().unwrap();
        assert!(
            values.contains_key("rangewatch_emits_total[]"),
            "{values:?}"
        );
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
