//! One emit to many subscribers: with the bus, and with channels that reach all of them.

use std::ops::Range;

use rangewatch_bench_harness::{Contender, Effort, Report};
use rangewatch_bus::{EventSubscription, RangeWatchBus};
use tokio::sync::{broadcast, mpsc};

use crate::peers::Message;

const KEY: &str = "/registry/pods/ns-017/pod-0042";
const CAPACITY: usize = 16;
/// The watchers of the row in which one of many matches.
const N_WATCHERS: usize = 65_536;
/// The receivers that they are distributed to.
const N_RECEIVERS: usize = 1000;

pub(crate) fn run(effort: Effort, report: &Report) {
    report.note(
        "An operation is one emit and its receipt, and the filtering, by every subscriber.\n",
    );
    let columns = [
        "",
        "ours",
        "one tokio mpsc each",
        "tokio broadcast",
        "async-broadcast",
    ];
    report.table(&columns);
    for n in [1, 10, 100, 1000] {
        let ranges = vec![vec![range("/registry/pods/", "/registry/pods0")]; n];
        let subscribe = |bus: &RangeWatchBus| {
            let sub = || {
                bus.subscribe("/registry/pods/".."/registry/pods0")
                    .events(CAPACITY)
            };
            (0..n).map(|_| sub().unwrap()).collect()
        };
        row(
            effort,
            report,
            &format!("{n} subscribers, all match"),
            subscribe,
            &ranges,
            None,
        );
    }
    one_match(effort, report);
}

/// One match among many watchers: the bus finds it, channels deliver to all, and each filters.
fn one_match(effort: Effort, report: &Report) {
    let key = |i: usize| format!("/registry/pods/ns-{:03}/pod-{:04}", i / 100, i % 100);
    let watcher = |i| range(&key(i), &format!("{}\0", key(i)));
    let subscribe = |bus: &RangeWatchBus| {
        (0..N_WATCHERS)
            .map(|i| {
                bus.subscribe(key(i)..format!("{}\0", key(i)))
                    .events(CAPACITY)
                    .unwrap()
            })
            .collect()
    };
    let mut ranges = vec![Vec::new(); N_RECEIVERS];
    for i in 0..N_WATCHERS {
        ranges[i % N_RECEIVERS].push(watcher(i));
    }
    ranges
        .iter_mut()
        .for_each(|ranges| ranges.sort_by(|a, b| a.start.cmp(&b.start)));
    let the_one = 17 * 100 + 42;
    assert_eq!(key(the_one), KEY);
    let name = "1 match in 65,536 watchers, the channels to 1,000 receivers";
    row(effort, report, name, subscribe, &ranges, Some(the_one));
}

fn range(from: &str, to: &str) -> Range<Vec<u8>> {
    from.into()..to.into()
}

/// `only` is the matching subscription; the others receive nothing.
fn row(
    effort: Effort,
    report: &Report,
    name: &str,
    subscribe: impl Fn(&RangeWatchBus) -> Vec<EventSubscription>,
    ranges: &[Vec<Range<Vec<u8>>>],
    only: Option<usize>,
) {
    let n = ranges.len();
    let bus = RangeWatchBus::new();
    let mut subs = subscribe(&bus);
    let looked_at = only.map_or(0..subs.len(), |only| only..only + 1);
    let n_wanted = looked_at.len();
    let mut value = 0;
    let ours = || {
        value += 1;
        bus.emit(value, [KEY]).unwrap();
        let received = subs[looked_at.clone()].iter_mut();
        let n_received = received
            .filter_map(|sub| sub.try_recv().ok())
            .filter(|event| event.value() == value);
        assert_eq!(n_received.count(), n_wanted);
    };

    let (senders, mut receivers): (Vec<_>, Vec<_>) =
        (0..n).map(|_| mpsc::channel::<Message>(CAPACITY)).unzip();
    let mut sent = 0;
    let each = || {
        sent += 1;
        let message = Message::new(sent, &[KEY]);
        for sender in &senders {
            sender.try_send(message.clone()).unwrap();
        }
        let received = receivers
            .iter_mut()
            .map(|receiver| receiver.try_recv().unwrap());
        assert_eq!(n_matching(received, ranges, sent), n_wanted);
    };

    let (sender, _) = broadcast::channel::<Message>(CAPACITY);
    let mut all: Vec<_> = (0..n).map(|_| sender.subscribe()).collect();
    let mut sent = 0;
    let to_all = || {
        sent += 1;
        sender.send(Message::new(sent, &[KEY])).unwrap();
        let received = all.iter_mut().map(|receiver| receiver.try_recv().unwrap());
        assert_eq!(n_matching(received, ranges, sent), n_wanted);
    };

    let (sender, receiver) = async_broadcast::broadcast::<Message>(CAPACITY);
    let mut all: Vec<_> = (0..n).map(|_| receiver.clone()).collect();
    drop(receiver);
    let mut sent = 0;
    let to_all_async = || {
        sent += 1;
        sender.try_broadcast(Message::new(sent, &[KEY])).unwrap();
        let received = all.iter_mut().map(|receiver| receiver.try_recv().unwrap());
        assert_eq!(n_matching(received, ranges, sent), n_wanted);
    };

    report.row(
        effort,
        name,
        &mut [
            Contender::new(ours),
            Contender::new(each),
            Contender::new(to_all),
            Contender::new(to_all_async),
        ],
    );
}

/// The number of receivers that match the message they received, which must be the one sent.
fn n_matching(
    received: impl Iterator<Item = Message>,
    ranges: &[Vec<Range<Vec<u8>>>],
    sent: u64,
) -> usize {
    let matching = received.zip(ranges).filter(|(message, ranges)| {
        assert_eq!(message.value, sent);
        message.matches(ranges)
    });
    matching.count()
}
