//! A mirror between a writer, its driver and its readers.

use futures::stream;
use loom::future::block_on;
use loom::thread;
use rangewatch_bus::{Mirror, RangeWatchBus};

use super::*;

/// A driver takes many steps, each of which may be preempted.
const PREEMPTIONS: usize = 3;

/// A mirror of nothing at the value 0, and the thread of its driver.
fn mirrored(bus: &RangeWatchBus) -> (Mirror<()>, Thread) {
    let scan = |_| async { Ok((0, stream::empty::<Result<(&str, u64, ()), ()>>())) };
    let builder = bus.subscribe(Selector::key("watched"));
    let (mirror, mut driver) = builder.mirror(4, scan, |_, ()| Some(())).unwrap();
    let driving = thread::spawn(move || assert_eq!(block_on(driver.run()), Ok(())));
    (mirror, driving)
}

#[test]
fn g41_a_reader_of_what_was_emitted_is_woken() {
    model(PREEMPTIONS, || {
        let bus = with_history();
        let (mirror, driving) = mirrored(&bus);
        // Not watched, so that the driver must ask for it.
        bus.emit(1, ["k"]).unwrap();
        assert_eq!(block_on(mirror.wait_until(1)), Ok(()));
        assert_eq!(mirror.value(), Some(1));
        bus.close();
        driving.join().unwrap();
    });
}

#[test]
fn g41_a_reader_of_what_is_emitted_meanwhile_is_woken() {
    model(PREEMPTIONS, || {
        let bus = with_history();
        let (mirror, driving) = mirrored(&bus);
        let emitting = emitter(&bus, [1]);
        assert_eq!(block_on(mirror.wait_until(1)), Ok(()));
        emitting.join().unwrap();
        bus.close();
        driving.join().unwrap();
    });
}

#[test]
fn g41_a_driver_ends_with_its_last_reader_and_a_reader_with_its_driver() {
    model(PREEMPTIONS, || {
        let bus = with_history();
        let (mirror, driving) = mirrored(&bus);
        drop(mirror);
        driving.join().unwrap();
        drop(bus);
    });
    model(PREEMPTIONS, || {
        let bus = with_history();
        let (mirror, driving) = mirrored(&bus);
        let closing = spawn(&bus, RangeWatchBus::close);
        let stopped = block_on(mirror.wait_until(9)).unwrap_err();
        assert!(stopped.value <= Some(0));
        closing.join().unwrap();
        driving.join().unwrap();
    });
}
