//! The lookups of a reader beside a writer, by the wall clock. The indexes have no lock, so each of
//! them is behind one of the standard library.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, RwLock};
use std::time::{Duration, Instant};

use rangewatch_bench_harness::Effort;

use crate::population::Population;

/// The operations of the writer per second. Half of them are insertions, half removals.
const WRITER_RATE: f64 = 10_000.0;

/// The kinds of locks.
#[derive(Clone, Copy)]
pub(crate) enum Lock {
    Mutex,
    RwLock,
}

impl Lock {
    pub(crate) const ALL: [Self; 2] = [Self::Mutex, Self::RwLock];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Mutex => "beside a writer, Mutex",
            Self::RwLock => "beside a writer, RwLock",
        }
    }
}

/// What both threads did, per second.
#[derive(Clone, Copy)]
pub(crate) struct Rates {
    pub(crate) reads: f64,
    pub(crate) writes: f64,
}

/// Runs a reader and a writer.
pub(crate) fn measure(
    effort: Effort,
    lock: Lock,
    population: Population<'_>,
) -> (Rates, Population<'_>) {
    match lock {
        Lock::Mutex => {
            let mutex = Mutex::new(population);
            let rates = run(
                effort,
                |query, found| mutex.lock().expect(NO_PANIC).find_nth(query, found),
                |write| write(&mut mutex.lock().expect(NO_PANIC)),
            );
            (rates, mutex.into_inner().expect(NO_PANIC))
        }
        Lock::RwLock => {
            let lock = RwLock::new(population);
            let rates = run(
                effort,
                |query, found| lock.read().expect(NO_PANIC).find_nth(query, found),
                |write| write(&mut lock.write().expect(NO_PANIC)),
            );
            (rates, lock.into_inner().expect(NO_PANIC))
        }
    }
}

const NO_PANIC: &str = "no thread panics while it holds the lock";

fn run<'a>(
    effort: Effort,
    find: impl Fn(usize, &mut Vec<u32>) + Sync,
    write: impl Fn(fn(&mut Population<'a>)) + Sync,
) -> Rates {
    let length = match effort {
        Effort::Smoke => Duration::from_millis(2),
        _ => Duration::from_secs(1),
    };
    let (has_started, is_over) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut found = Vec::new();
            let mut n_reads = 0;
            while !is_over.load(Ordering::Relaxed) {
                found.clear();
                find(n_reads, &mut found);
                black_box(&found);
                n_reads += 1;
                has_started.store(true, Ordering::Relaxed);
            }
            n_reads
        });
        while !has_started.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
        let started = Instant::now();
        let mut n_writes = 0;
        while started.elapsed() < length {
            // The writer sleeps longer than between two operations, and then does all that are due.
            let n_due = (started.elapsed().as_secs_f64() * WRITER_RATE) as usize;
            if n_writes == n_due {
                std::thread::sleep(Duration::from_micros(50));
            } else {
                let is_removal = n_writes % 2 == 1;
                write(if is_removal {
                    Population::remove
                } else {
                    Population::insert
                });
                n_writes += 1;
            }
        }
        let seconds = started.elapsed().as_secs_f64();
        is_over.store(true, Ordering::Relaxed);
        let n_reads = reader.join().expect("the reader does not panic");
        if n_writes % 2 == 1 {
            write(Population::remove);
        }
        Rates {
            reads: n_reads as f64 / seconds,
            writes: n_writes as f64 / seconds,
        }
    })
}
