//! A bus, a subscription, its future and its stream move to other threads.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use rangewatch_bus::{RangeWatchBus, RecvError};

fn spawn<F: Future<Output = T> + Send + 'static, T>(task: F) -> F {
    task
}

pub(crate) fn main() {
    let bus = RangeWatchBus::builder()
        .payloads::<Arc<u64>>()
        .build()
        .unwrap();
    let mut sub = bus.subscribe(..).events(8).unwrap();
    let task = spawn(async move {
        let event = sub.recv().await?;
        let total: u64 = event.entries().map(|(_, payload)| **payload).sum();
        Ok::<_, RecvError>(total)
    });
    bus.emit_with(1, [("a", Arc::new(7_u64))]).unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    let _: &(dyn Send + 'static) = &bus.subscribe(..).events(8).unwrap().into_items();
    assert_eq!(pin!(task).poll(&mut cx), Poll::Ready(Ok(7)));
}
