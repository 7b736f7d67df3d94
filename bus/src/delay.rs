//! The sleep of [`ThreadTimer`](crate::timer::ThreadTimer), for each kind of target.

use std::time::Duration;

/// Ready when `duration` has passed from now.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn delay(duration: Duration) -> impl Future<Output = ()> + Send {
    futures_timer::Delay::new(duration)
}

/// Ready when `duration` has passed from now.
#[cfg(all(target_family = "wasm", target_os = "unknown", feature = "web"))]
pub(crate) fn delay(duration: Duration) -> impl Future<Output = ()> + Send {
    /// The longest `setTimeout`, whose milliseconds have 31 bits.
    const MAX_MS: u128 = i32::MAX as u128;

    fn next(rest_ms: &mut u128) -> futures_timer::Delay {
        let ms = (*rest_ms).min(MAX_MS);
        *rest_ms -= ms;
        futures_timer::Delay::new(Duration::from_millis(ms as u64))
    }

    // `Delay` would round down, and end too early.
    let mut rest_ms = duration.as_nanos().div_ceil(1_000_000);
    let first = next(&mut rest_ms);
    async move {
        first.await;
        while rest_ms > 0 {
            next(&mut rest_ms).await;
        }
    }
}

/// Ready when `duration` has passed from now: reads the clock whenever it is polled.
#[cfg(all(
    target_family = "wasm",
    not(all(target_os = "unknown", feature = "web"))
))]
pub(crate) fn delay(duration: Duration) -> impl Future<Output = ()> + Send {
    use std::task::Poll;

    let start = std::time::Instant::now();
    std::future::poll_fn(move |cx| {
        if start.elapsed() >= duration {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
}
