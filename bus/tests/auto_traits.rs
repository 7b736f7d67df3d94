//! Which types may cross threads and be moved while they are polled: part of the API.

use rangewatch_bus::index::{Handle, IntervalIndex};
use rangewatch_bus::timer::{ManualTimer, ThreadTimer};
use rangewatch_bus::*;

type ScanFn = fn();

fn all<T: Send + Sync + Unpin + 'static>() {}
fn send_sync<T: Send + Sync>(_: T) {}

#[test]
fn public_types_are_send_sync_and_unpin() {
    all::<RangeWatchBus>();
    all::<RangeWatchBusBuilder>();
    all::<SubscribeBuilder<'static>>();
    all::<Batch>();
    all::<EmittedMany>();
    all::<Follow<u64>>();
    all::<Follower<(), ScanFn, u64, u64>>();
    all::<Mirror<u64>>();
    all::<MirrorDriver<(), u64, ScanFn, u64, u64, ScanFn>>();
    all::<Emitter>();
    all::<WeakRangeWatchBus>();
    all::<History>();
    all::<IntoItems>();
    all::<Item>();
    all::<Overflow>();
    all::<Stats>();
    all::<BusStats>();
    all::<ThreadTimer>();
    all::<ManualTimer>();
    all::<WakeSubscription>();
    all::<WatchSet<u64>>();
    all::<Delivery<u64>>();
    all::<Ready<'static, u64>>();
    all::<EventSubscription>();
    all::<EventSet<u64>>();
    all::<QueueBudget>();
    all::<Event>();
    all::<Keys<'static>>();
    all::<Span>();
    all::<Seq>();
    all::<Emitted>();
    all::<Selector>();
    all::<Selectors>();
    all::<KeyRange>();
    all::<IntervalIndex<u32>>();
    all::<Handle>();
}

#[test]
fn errors_are_errors_send_sync_and_unpin() {
    fn error<T: std::error::Error + Send + Sync + Unpin + 'static>() {}
    error::<EmitError>();
    error::<BatchFullError>();
    error::<BuildError>();
    error::<CompactError>();
    error::<FollowError<CompactError>>();
    error::<MirrorStopped>();
    error::<ControlError>();
    error::<ProgressError>();
    error::<SubscribeError>();
    error::<EmptyRangeError>();
    error::<ParseSelectorError>();
    error::<RecvError>();
    error::<TryRecvError>();
    error::<Closed>();
    error::<TryWakeError>();
}

#[test]
fn the_futures_are_send_and_sync() {
    let bus = RangeWatchBus::new();
    let emitter = bus.emitter();
    send_sync(emitter.emit_async(1, ["k"]));
    send_sync(bus.emit_async(1, ["k"]));
    send_sync(bus.subscribe(..).events(1).unwrap().recv_item());
    let mut events = Vec::new();
    send_sync(
        bus.subscribe(..)
            .events(1)
            .unwrap()
            .recv_many(&mut events, 1),
    );
    send_sync(bus.subscribe(..).wake().unwrap().recv());
    send_sync(WatchSet::<u64>::new().recv());
    send_sync(WatchSet::<u64>::new().ready());
    send_sync(bus.subscribe(..).events(1).unwrap().recv());
}

#[test]
fn buses_and_subscriptions_survive_a_panic_of_their_user() {
    fn unwind_safe<T: std::panic::UnwindSafe + std::panic::RefUnwindSafe>() {}
    unwind_safe::<Seq>();
    unwind_safe::<Selector>();
    unwind_safe::<Event>();
    unwind_safe::<Span>();
}
