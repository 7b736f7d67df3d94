//! A deadline: a test fails instead of hanging.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Far more than any test takes.
const DEADLINE: Duration = Duration::from_secs(60);

/// Runs `test` on another thread and fails if it does not end before the deadline.
#[track_caller]
pub(crate) fn ends(test: impl FnOnce() + Send + 'static) {
    let (done, ended) = mpsc::channel();
    let thread = thread::spawn(move || {
        test();
        done.send(())
            .expect("the other end is there until the deadline");
    });
    match ended.recv_timeout(DEADLINE) {
        Err(mpsc::RecvTimeoutError::Timeout) => {
            panic!("a deadlock or a lost wake-up: the deadline is over")
        }
        _ => thread.join().unwrap(),
    }
}
