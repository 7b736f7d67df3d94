//! The reports to JavaScript, and the record of all emits.
//!
//! The functions of `globalThis.report` are called while something happens: within the emit, within
//! the write of the guest. Values and numbers of emits are `bigint`s.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use js_sys::{Array, Uint8Array};
use rangewatch::{Event, EventSubscription, RangeWatchBus, RecvError, Selector, SubscribeError};
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// An emit took effect. `source` is `host` or `guest`.
    #[wasm_bindgen(js_namespace = report)]
    fn emit(seq: u64, value: u64, keys: Array, source: &str);

    /// A watch received an event.
    #[wasm_bindgen(js_namespace = report)]
    pub(crate) fn event(watch: u32, seq: u64, value: u64, keys: Array);

    /// A watch received a span, or the gap of a queue that was full. `kind` is `span` or `gap`.
    #[wasm_bindgen(js_namespace = report)]
    pub(crate) fn span(
        watch: u32,
        kind: &str,
        first_seq: u64,
        last_seq: u64,
        first: u64,
        last: u64,
        count: u64,
    );

    /// A watch has lost `count` events, which its queue dropped.
    #[wasm_bindgen(js_namespace = report)]
    pub(crate) fn lagged(watch: u32, count: u64);

    /// A watch has ended.
    #[wasm_bindgen(js_namespace = report)]
    pub(crate) fn ended(watch: u32, reason: &str);

    /// The guest has written. `stream` is `stdout` or `stderr`.
    #[wasm_bindgen(js_namespace = report)]
    pub(crate) fn output(stream: &str, bytes: Uint8Array);

    /// A callback of a watch of the guest's own has returned; `error` is empty if it succeeded.
    #[wasm_bindgen(js_namespace = report)]
    pub(crate) fn callback(id: &str, error: &str);

    /// Something that belongs to no call.
    #[wasm_bindgen(js_namespace = report)]
    pub(crate) fn notice(text: &str);
}

/// Keys as the page shows them: text, or an array of bytes if it is not UTF-8.
pub(crate) fn keys(event: &Event) -> Array {
    event
        .keys()
        .map(|key| match std::str::from_utf8(key) {
            Ok(text) => JsValue::from(text),
            Err(_) => Uint8Array::from(key).into(),
        })
        .collect()
}

/// The capacity of the record. It is read within each emit, so one would do, except for emits of
/// one batch.
const CAPACITY: usize = 1 << 16;

thread_local! {
    static RECORD: RefCell<Option<EventSubscription>> = const { RefCell::new(None) };
    static IS_HOST: Cell<bool> = const { Cell::new(false) };
}

/// Reports every emit of `bus` from now on, within the emit.
pub(crate) fn record(bus: &RangeWatchBus) -> Result<(), SubscribeError> {
    RECORD.set(Some(bus.subscribe(Selector::all()).events(CAPACITY)?));
    Recorder::read();
    Ok(())
}

/// Runs `emit`, whose emits are reported as those of the host.
pub(crate) fn as_host<R>(emit: impl FnOnce() -> R) -> R {
    IS_HOST.set(true);
    let result = emit();
    IS_HOST.set(false);
    result
}

/// The waker of the record: it reads at once.
struct Recorder;

impl Recorder {
    fn read() {
        let source = if IS_HOST.get() { "host" } else { "guest" };
        let waker = Waker::from(Arc::new(Self));
        let mut cx = Context::from_waker(&waker);
        RECORD.with_borrow_mut(|record| {
            let Some(record) = record else { return };
            loop {
                match record.poll_recv(&mut cx) {
                    Poll::Ready(Ok(event)) => {
                        emit(event.seq().get(), event.value(), keys(&event), source);
                    }
                    Poll::Ready(Err(RecvError::Lagged(n))) => {
                        notice(&format!("{n} emits are missing in the picture"));
                    }
                    Poll::Ready(Err(_)) | Poll::Pending => break,
                }
            }
        });
    }
}

impl Wake for Recorder {
    fn wake(self: Arc<Self>) {
        Self::read();
    }
}
