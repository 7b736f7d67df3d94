//! A pause between the slices of a guest.

use std::cell::RefCell;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};

use futures::future::poll_fn;
use wasm_bindgen::prelude::*;

/// Polls `future`, and delays its wakes to a later turn of the event loop.
///
/// A guest that computes yields after each slice of fuel and is ready again at once. The promises
/// of JavaScript would go on with it before any timer or message of the worker.
pub(crate) async fn paced<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| {
        let later = Waker::from(Arc::new(Later(cx.waker().clone())));
        future.as_mut().poll(&mut Context::from_waker(&later))
    })
    .await
}

struct Later(Waker);

impl Wake for Later {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        DUE.with_borrow_mut(|due| due.push(self.0.clone()));
        next_turn();
    }
}

thread_local! {
    /// The wakers of the next turn.
    static DUE: RefCell<Vec<Waker>> = const { RefCell::new(Vec::new()) };
}

#[wasm_bindgen]
extern "C" {
    /// Calls [`turn`] in a later turn of the event loop.
    #[wasm_bindgen(js_namespace = worker, js_name = nextTurn)]
    fn next_turn();
}

/// Wakes what waited for a turn of the event loop.
#[wasm_bindgen]
pub fn turn() {
    for waker in DUE.take() {
        waker.wake();
    }
}
