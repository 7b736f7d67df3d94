//! Yielding to the executor.

use std::future::poll_fn;
use std::task::Poll;

/// Yields once to the executor, so that other tasks run. For backends that slice by hand.
///
/// # Cancel safety
///
/// Cancel safe.
pub async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
