//! One subscription of the page, and the task that receives from it.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Poll, Waker};

use futures::future::poll_fn;
use rangewatch::{
    EventSubscription, Overflow, RangeWatchBus, RecvError, Selector, WakeSubscription,
};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;

use crate::report;

/// A watch of the page. Dropping it ends its subscription.
pub(crate) struct Watch {
    state: Rc<RefCell<State>>,
}

struct State {
    /// `None` when the watch has ended.
    subscription: Option<Subscription>,
    /// A consumer that is paused receives nothing, so that its queue fills.
    is_paused: bool,
    /// The task that receives.
    waker: Waker,
}

pub(crate) enum Subscription {
    Events(EventSubscription),
    Wake(WakeSubscription),
}

/// What a watch selects, as the page names it.
pub(crate) fn selector(kind: &str, from: &str, to: &str) -> Result<Selector, JsError> {
    Ok(match kind {
        "key" => Selector::key(from),
        "prefix" => Selector::prefix(from),
        "range" => Selector::range(from, to),
        "from" => Selector::from_key(from),
        "all" => Selector::all(),
        _ => return Err(JsError::new(&format!("`{kind}` is no kind of selector"))),
    })
}

impl Subscription {
    /// Wakes up, or receives events under a policy.
    pub(crate) fn open(
        bus: &RangeWatchBus,
        selector: Selector,
        mode: &str,
        capacity: u32,
    ) -> Result<Self, JsError> {
        let overflow = match mode {
            "wake" => return Ok(Self::Wake(bus.subscribe(selector).wake()?)),
            "coalesce" => Overflow::Coalesce,
            "lagged" => Overflow::Lagged,
            "disconnect" => Overflow::Disconnect,
            _ => return Err(JsError::new(&format!("`{mode}` is no way to receive"))),
        };
        let subscription = bus.subscribe(selector).overflow(overflow);
        Ok(Self::Events(subscription.events(capacity as usize)?))
    }

    /// Receives one item and reports it. `false` at the end.
    fn poll(&mut self, watch: u32, cx: &mut std::task::Context<'_>) -> Poll<bool> {
        let span = |kind, span: rangewatch::bus::Span| {
            let (first_seq, last_seq) = (span.first_seq().get(), span.last_seq().get());
            report::span(
                watch,
                kind,
                first_seq,
                last_seq,
                span.first(),
                span.last(),
                span.count(),
            );
        };
        Poll::Ready(match self {
            Self::Events(events) => match std::task::ready!(events.poll_recv(cx)) {
                Ok(event) => {
                    report::event(
                        watch,
                        event.seq().get(),
                        event.value(),
                        report::keys(&event),
                    );
                    true
                }
                Err(RecvError::Coalesced(gap)) => {
                    span("gap", gap);
                    true
                }
                Err(RecvError::Lagged(count)) => {
                    report::lagged(watch, count);
                    true
                }
                Err(end) => {
                    report::ended(watch, &end.to_string());
                    false
                }
            },
            Self::Wake(wake) => match std::task::ready!(wake.poll_recv(cx)) {
                Ok(wake) => {
                    span("span", wake);
                    true
                }
                Err(closed) => {
                    report::ended(watch, &closed.to_string());
                    false
                }
            },
        })
    }
}

impl Watch {
    /// Receives from `subscription` in a task, and reports what it receives as that of `id`.
    pub(crate) fn start(id: u32, subscription: Subscription) -> Self {
        let state = Rc::new(RefCell::new(State {
            subscription: Some(subscription),
            is_paused: false,
            waker: Waker::noop().clone(),
        }));
        let weak = Rc::downgrade(&state);
        spawn_local(poll_fn(move |cx| {
            let Some(state) = weak.upgrade() else {
                return Poll::Ready(());
            };
            let state = &mut *state.borrow_mut();
            state.waker.clone_from(cx.waker());
            while let Some(subscription) = &mut state.subscription {
                if state.is_paused
                    || subscription
                        .poll(id, cx)
                        .map(|goes_on| {
                            if !goes_on {
                                state.subscription = None;
                            }
                        })
                        .is_pending()
                {
                    return Poll::Pending;
                }
            }
            Poll::Ready(())
        }));
        Self { state }
    }

    /// Stops receiving, or goes on.
    pub(crate) fn set_paused(&self, is_paused: bool) {
        let mut state = self.state.borrow_mut();
        state.is_paused = is_paused;
        state.waker.wake_by_ref();
    }
}

impl Drop for Watch {
    /// Has the task end.
    fn drop(&mut self) {
        self.state.borrow().waker.wake_by_ref();
    }
}
