//! An index with the ranges of a workload in it, some of which are replaced by and by.

use std::time::{Duration, Instant};

use rangewatch_bench_harness::{Clock, allocated};

use crate::peers::{Dedup, Index, KINDS, Kind, N_KEYS};
use crate::workload::Data;

/// A peer that takes longer than this to fill is left out,
const LONGEST_BUILD: Duration = Duration::from_secs(10);
/// unless it takes less than this per range.
const LONGEST_INSERT: Duration = Duration::from_micros(30);
/// A peer whose build makes the process larger than this is left out.
const MAX_PROCESS_BYTES: usize = 8 << 30;
/// How many ranges are inserted or removed between two readings of the clock, at most: reading it
/// takes about a microsecond.
const CHUNK: usize = 256;

/// An index that holds the ranges of a window of the ids: insertions move its upper end, removals
/// its lower end. The ranges are in random order, so the oldest one is a random one, and the
/// processor's cache does not hold what the range that is inserted needs.
pub(crate) struct Population<'a> {
    data: &'a Data,
    index: Box<dyn Index + 'a>,
    oldest: usize,
    len: usize,
    query: usize,
    dedup: Dedup,
    found: Vec<u32>,
}

impl<'a> Population<'a> {
    /// An index with the first ranges, and the bytes that they take in it; `None` if filling it
    /// takes too long. Ours is never left out.
    pub(crate) fn new(data: &'a Data, kind: Kind) -> Option<(Self, isize)> {
        const CHECKED_AFTER: usize = 64;
        let started = Instant::now();
        let longest = LONGEST_BUILD.max(LONGEST_INSERT * data.n as u32);
        let is_ours = kind.0 == KINDS[0].0;
        let mut population = Self::empty(data, kind);
        let (is_full, bytes) = allocated(|| {
            while population.len < data.n {
                population.insert();
                let is_checked = !is_ours && population.len % CHECKED_AFTER == 0;
                if is_checked
                    && (started.elapsed() > longest || process_bytes() > MAX_PROCESS_BYTES)
                {
                    return false;
                }
            }
            true
        });
        is_full.then_some((population, bytes))
    }

    /// An index with the first ranges, however long that takes.
    pub(crate) fn filled(data: &'a Data, kind: Kind) -> Self {
        let mut population = Self::empty(data, kind);
        while population.len < data.n {
            population.insert();
        }
        population
    }

    fn empty(data: &'a Data, (_, make): Kind) -> Self {
        Self {
            data,
            index: make(&data.ranges),
            oldest: 0,
            len: 0,
            query: 0,
            dedup: Dedup::default(),
            found: Vec::new(),
        }
    }

    pub(crate) fn insert(&mut self) {
        let newest = (self.oldest + self.len) % self.data.ranges.len();
        self.index.insert(newest as u32);
        self.len += 1;
    }

    pub(crate) fn remove(&mut self) {
        self.index.remove(self.oldest as u32);
        self.oldest = (self.oldest + 1) % self.data.ranges.len();
        self.len -= 1;
    }

    /// Replaces `n` ranges and returns the times of the insertions and of the removals.
    pub(crate) fn replace(&mut self, n: u64) -> (Duration, Duration) {
        let mut times = (Duration::ZERO, Duration::ZERO);
        let largest = CHUNK.min(self.data.ranges.len() - self.data.n) as u64;
        let mut left = n;
        while left > 0 {
            let chunk = left.min(largest);
            times.0 += Clock::Thread.time(|| (0..chunk).for_each(|_| self.insert()));
            times.1 += Clock::Thread.time(|| (0..chunk).for_each(|_| self.remove()));
            left -= chunk;
        }
        times
    }

    /// Looks up the next query and returns the ids.
    pub(crate) fn find(&mut self) -> &mut Vec<u32> {
        let mut found = std::mem::take(&mut self.found);
        found.clear();
        self.find_nth(self.query, &mut found);
        self.query += 1;
        self.found = found;
        &mut self.found
    }

    /// Appends the ids that the query with this number finds. The numbers of the queries repeat.
    pub(crate) fn find_nth(&self, query: usize, found: &mut Vec<u32>) {
        let key = &self.data.queries[query % self.data.queries.len()];
        self.index.find(key, found);
    }

    /// Looks up the next queries at once and returns the ids.
    pub(crate) fn find_any(&mut self) -> &mut Vec<u32> {
        let chunks = self.data.queries.len() / N_KEYS;
        let first = self.query % chunks * N_KEYS;
        self.query += 1;
        self.found.clear();
        self.index.find_any(
            &self.data.queries[first..first + N_KEYS],
            &mut self.dedup,
            &mut self.found,
        );
        &mut self.found
    }

    /// Starts with the first query again.
    pub(crate) fn rewind(&mut self) {
        self.query = 0;
    }
}

/// The memory of this process; 0 where the system does not say.
fn process_bytes() -> usize {
    const PAGE: usize = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let resident = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    resident.unwrap_or(0) * PAGE
}
