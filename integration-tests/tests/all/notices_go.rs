//! What differs where the guest `notices` is in Go; the scenarios of `notices` run with it, too.

use integration_tests::{Trace, on_each_backend};
use rangewatch::Runtime;

use super::languages::Language;
use super::notices::panicked;

on_each_backend! {
    a_panic_in_a_batch_is_reported_with_its_text,
}

async fn a_panic_in_a_batch_is_reported_with_its_text(runtime: &dyn Runtime) -> Trace {
    let (line, trace) = panicked(runtime, Language::Go).await;
    assert_eq!(
        line,
        "recv =1: trap Unreachable in __range_watch_recv: panic: the guest panics on purpose"
    );
    trace
}
