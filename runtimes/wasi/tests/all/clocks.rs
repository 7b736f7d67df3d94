//! `clock_time_get` and `clock_res_get` on the clocks of this crate and on one of an embedder.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rangewatch_wasi::{Clock, Errno, FixedClock, SteppingClock, SystemClock, Wasi, preview1};

use crate::guest::Guest;

const REALTIME: i32 = 0;
const MONOTONIC: i32 = 1;

impl Guest {
    fn time(&mut self, id: i32) -> Result<u64, Errno> {
        preview1::clock_time_get(&mut self.ctx, &mut self.memory, id, 0, 16)?;
        Ok(self.u64(16))
    }

    fn resolution(&mut self, id: i32) -> Result<u64, Errno> {
        preview1::clock_res_get(&mut self.ctx, &mut self.memory, id, 16)?;
        Ok(self.u64(16))
    }
}

/// A clock that returns scripted readings, and a resolution that the specification forbids.
struct Scripted(VecDeque<u64>);

impl Clock for Scripted {
    fn realtime_ns(&mut self) -> u64 {
        self.0.pop_front().unwrap()
    }
    fn monotonic_ns(&mut self) -> u64 {
        self.0.pop_front().unwrap()
    }
    fn realtime_resolution_ns(&mut self) -> u64 {
        0
    }
    fn monotonic_resolution_ns(&mut self) -> u64 {
        0
    }
}

#[test]
fn a_fixed_clock_always_reads_the_same_time() {
    let mut guest = Guest::new(Wasi::builder().clock(FixedClock::at(1_690_674_910, 239_502_000)));
    for _ in 0..3 {
        assert_eq!(guest.time(REALTIME), Ok(1_690_674_910_239_502_000));
        assert_eq!(guest.time(MONOTONIC), Ok(1));
    }
    assert_eq!(guest.resolution(REALTIME), Ok(1));
}

#[test]
fn each_clock_id_reads_its_clock() {
    let clock = SteppingClock::new(FixedClock::at(100, 0), Duration::from_secs(1));
    let mut guest = Guest::new(Wasi::builder().clock(clock));
    // Each reading, of either clock, advances both by a step. The monotonic clock starts at 1 ns.
    assert_eq!(guest.time(REALTIME), Ok(101_000_000_000));
    assert_eq!(guest.time(MONOTONIC), Ok(2_000_000_000));
    assert_eq!(guest.resolution(MONOTONIC), Ok(1_000_000_000));
}

#[test]
fn monotonic_time_never_goes_backwards_and_real_time_may() {
    let mut guest = Guest::new(Wasi::builder().clock(Scripted(VecDeque::from([5, 9, 3, 9, 12]))));
    let times: Vec<u64> = (0..5).map(|_| guest.time(MONOTONIC).unwrap()).collect();
    assert_eq!(times, [5, 9, 9, 9, 12]);

    let mut guest = Guest::new(Wasi::builder().clock(Scripted(VecDeque::from([5, 3]))));
    assert_eq!((guest.time(REALTIME), guest.time(REALTIME)), (Ok(5), Ok(3)));
}

#[test]
fn a_resolution_is_never_zero() {
    let mut guest = Guest::new(Wasi::builder().clock(Scripted(VecDeque::new())));
    assert_eq!(
        (guest.resolution(REALTIME), guest.resolution(MONOTONIC)),
        (Ok(1), Ok(1))
    );
}

#[test]
fn other_clocks_are_invalid() {
    let mut guest = Guest::new(Wasi::builder());
    for id in [2, 3, 4, -1, i32::MIN, i32::MAX] {
        assert_eq!(guest.time(id), Err(Errno::Inval));
        assert_eq!(guest.resolution(id), Err(Errno::Inval));
    }
    guest.assert_untouched();
}

#[test]
fn a_result_outside_of_the_memory_is_a_fault_and_the_clock_is_not_read() {
    // The script is empty, so a reading would panic.
    let mut guest = Guest::new(Wasi::builder().clock(Scripted(VecDeque::new())));
    let end = guest.memory.len() as i32;
    for out in [end - 7, end, -1, -8, i32::MIN] {
        for id in [REALTIME, MONOTONIC] {
            let time = preview1::clock_time_get(&mut guest.ctx, &mut guest.memory, id, 0, out);
            let resolution = preview1::clock_res_get(&mut guest.ctx, &mut guest.memory, id, out);
            assert_eq!((time, resolution), (Err(Errno::Fault), Err(Errno::Fault)));
        }
    }
    guest.assert_untouched();
}

#[test]
fn the_system_clock_reads_the_host_time_and_starts_its_monotonic_clock_when_it_is_made() {
    let mut guest = Guest::new(Wasi::builder().clock(SystemClock::new()));
    let now = || {
        u64::try_from(
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap()
                .as_nanos(),
        )
        .unwrap()
    };
    let before = now();
    let reading = guest.time(REALTIME).unwrap();
    assert!((before..=now()).contains(&reading));

    // The time since the clock was made, not since the host was started.
    let first = guest.time(MONOTONIC).unwrap();
    assert!((1..60_000_000_000).contains(&first));
    assert!(guest.time(MONOTONIC).unwrap() >= first);
}

#[test]
fn clocks_saturate_at_the_end_of_their_range() {
    assert_eq!(FixedClock::at(u64::MAX, u32::MAX).realtime_ns(), u64::MAX);
    let mut clock = SteppingClock::new(FixedClock::at(u64::MAX, 0), Duration::MAX);
    assert_eq!(
        (
            clock.monotonic_ns(),
            clock.monotonic_ns(),
            clock.realtime_ns()
        ),
        (u64::MAX, u64::MAX, u64::MAX)
    );
    assert_eq!(
        SteppingClock::new(FixedClock::at(0, 0), Duration::ZERO).monotonic_ns(),
        1
    );
}

#[test]
fn the_monotonic_time_of_a_fixed_clock_can_be_set() {
    let fixed = FixedClock::at(1_000, 0).monotonic_at(Duration::from_nanos(7_000));
    let mut guest = Guest::new(Wasi::builder().clock(fixed));
    assert_eq!(guest.time(REALTIME), Ok(1_000_000_000_000));
    assert_eq!(guest.time(MONOTONIC), Ok(7_000));
    assert_eq!(guest.time(MONOTONIC), Ok(7_000));
    let stepping = SteppingClock::new(fixed, Duration::from_nanos(10));
    let mut guest = Guest::new(Wasi::builder().clock(stepping));
    // A stepping clock counts from 1 ns before the start, so that the default start reads whole
    // steps.
    assert_eq!(guest.time(MONOTONIC), Ok(7_009));
    assert_eq!(guest.time(MONOTONIC), Ok(7_019));
}
