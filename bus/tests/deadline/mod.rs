//! Fails, instead of hanging, when something waits for ever.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Far more than any test here takes, and short enough to wait for.
const DEADLINE: Duration = Duration::from_secs(60);

/// Runs `test` on a thread of its own and fails if it does not end.
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
            panic!("a deadlock or a lost wake-up: it waits for ever")
        }
        _ => thread.join().unwrap(),
    }
}
