//! Which types may cross threads: part of the API.

use rangewatch_checker::{Checker, Delivery, Guarantee, Log, Verified, Violation};

#[test]
fn public_types_are_send_sync_and_unpin() {
    fn all<T: Send + Sync + Unpin + 'static>() {}
    all::<Checker>();
    all::<Log>();
    all::<Delivery>();
    all::<Guarantee>();
    all::<Verified>();
}

#[test]
fn errors_are_errors_send_sync_and_unpin() {
    fn error<T: std::error::Error + Send + Sync + Unpin + 'static>() {}
    error::<Violation>();
}
