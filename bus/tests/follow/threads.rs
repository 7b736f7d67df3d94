//! A mirror between the threads of writers, a driver and readers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::thread;

use futures::executor::block_on;
use futures::stream;
use rangewatch_bus::{FollowError, History, RangeWatchBus};

use crate::deadline;
use crate::store::ScanError;

const N_WRITERS: u64 = 3;
const N_WRITES: u64 = 1_000;

#[test]
fn g41_a_writer_reads_its_own_writes_from_a_mirror_on_another_thread() {
    deadline::ends(|| {
        // A short history and queue, so that there are new snapshots, too.
        for (n_events, capacity) in [(16, 2), (100_000, 64)] {
            let bus = RangeWatchBus::builder()
                .payloads::<u64>()
                .history(History::events(n_events))
                .build()
                .unwrap();
            // The revision, and for each key its own and its number.
            let store = Arc::new(Mutex::new((0, BTreeMap::<String, (u64, u64)>::new())));
            let scan = |_| {
                let (revision, keys) = store.lock().unwrap().clone();
                let entries = keys
                    .into_iter()
                    .map(|(key, (changed, number))| Ok::<_, ScanError>((key, changed, number)));
                std::future::ready(Ok((revision, stream::iter(entries))))
            };
            let mirrored = bus
                .subscribe("k".."l")
                .mirror(capacity, scan, |_, n: &u64| Some(*n));
            let (mirror, mut driver) = mirrored.unwrap();
            thread::scope(|scope| {
                let driven = scope.spawn(move || {
                    // Three snapshots in a row may be overtaken: the thread may be kept waiting.
                    match block_on(driver.run()) {
                        Ok(()) | Err(FollowError::SnapshotTooSlow { .. }) => {}
                        Err(error) => panic!("{error:?}"),
                    }
                });
                let writers: Vec<_> = (0..N_WRITERS)
                    .map(|writer| {
                        let (bus, store, mirror) = (&bus, &store, mirror.clone());
                        scope.spawn(move || {
                            let key = format!("k{writer}");
                            for number in 1..=N_WRITES {
                                let revision = {
                                    let (revision, keys) = &mut *store.lock().unwrap();
                                    *revision += 1;
                                    keys.insert(key.clone(), (*revision, number));
                                    // In the order of the revisions.
                                    bus.emit_with(*revision, [(&key, number)]).unwrap();
                                    *revision
                                };
                                if block_on(mirror.wait_until(revision)).is_err() {
                                    return number;
                                }
                                assert_eq!(mirror.get(&key), Some(number));
                            }
                            N_WRITES
                        })
                    })
                    .collect();
                for writer in writers {
                    let n_written = writer.join().unwrap();
                    assert!(
                        n_written == N_WRITES || n_events == 16,
                        "it stopped at {n_written}"
                    );
                }
                bus.close();
                driven.join().unwrap();
            });
            let revision = store.lock().unwrap().0;
            if revision == N_WRITERS * N_WRITES {
                assert_eq!((mirror.value(), mirror.len()), (Some(revision), 3));
            }
        }
    });
}
