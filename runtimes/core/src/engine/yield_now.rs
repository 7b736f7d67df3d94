//! Giving the thread back.

use std::future::poll_fn;
use std::task::Poll;

/// Lets other tasks of the executor run, and comes back at once. For backends that slice by hand.
///
/// # Cancel safety
///
/// Cancel safe: there is nothing to lose.
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
