//! The deadline of a test.

use std::any::type_name;
use std::panic::resume_unwind;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// The time that one test may take. The slowest takes some seconds, and a minute on a busy machine
/// on which wasmi interprets a large program.
pub const DEADLINE: Duration = Duration::from_secs(300);

/// Runs a test on a thread of its own, and panics with the name of the test if it has not returned
/// within [`DEADLINE`].
///
/// The name is the path of the function that contains the closure. A test that hangs cannot be
/// stopped: its thread runs until the process ends.
///
/// # Panics
///
/// When the test panics, and when it does not return in time.
pub fn within_deadline<T, F>(test: F) -> T
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    within(DEADLINE, name_of::<F>(), test)
}

/// Runs an asynchronous test as [`within_deadline`] does.
///
/// # Panics
///
/// As [`within_deadline`].
pub fn run<T, F>(scenario: F) -> T
where
    T: Send + 'static,
    F: AsyncFnOnce() -> T + Send + 'static,
{
    within(DEADLINE, name_of::<F>(), || {
        futures::executor::block_on(scenario())
    })
}

fn name_of<F>() -> &'static str {
    let name = type_name::<F>();
    name.find("::{{closure}}").map_or(name, |end| &name[..end])
}

fn within<T: Send + 'static>(
    deadline: Duration,
    name: &str,
    test: impl FnOnce() -> T + Send + 'static,
) -> T {
    let (sender, ended) = channel();
    let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
        let result = test();
        // The receiver is gone after the deadline.
        let _ = sender.send(result);
    });
    let thread = thread.expect("the system can start a thread");
    match ended.recv_timeout(deadline) {
        Ok(result) => result,
        Err(RecvTimeoutError::Disconnected) => match thread.join() {
            Err(panic) => resume_unwind(panic),
            Ok(()) => unreachable!("the thread sends before it returns"),
        },
        Err(RecvTimeoutError::Timeout) => {
            panic!("`{name}` did not end within {} s", deadline.as_secs_f32())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    fn message_of(test: impl FnOnce() + std::panic::UnwindSafe) -> String {
        let panic = catch_unwind(test).expect_err("it panics");
        match panic.downcast::<String>() {
            Ok(message) => *message,
            Err(panic) => panic.downcast::<&str>().expect("a text").to_string(),
        }
    }

    #[test]
    fn a_test_that_hangs_fails_with_its_name() {
        let (release, gate) = channel::<()>();
        let message = message_of(move || {
            within(Duration::from_millis(1), "the_test", move || {
                let _ = gate.recv();
            });
        });
        assert_eq!(message, "`the_test` did not end within 0.001 s");
        drop(release);
    }

    #[test]
    fn a_result_and_a_panic_pass_through() {
        assert_eq!(within_deadline(|| 7), 7);
        assert_eq!(run(async || 8), 8);
        let message = message_of(|| within_deadline(|| panic!("of the test")));
        assert_eq!(message, "of the test");
    }

    #[test]
    fn the_name_is_that_of_the_test() {
        fn name<F: FnOnce()>(_test: F) -> &'static str {
            name_of::<F>()
        }
        let expected = "deadline::tests::the_name_is_that_of_the_test";
        assert!(name(|| ()).ends_with(expected), "{}", name(|| ()));
    }
}
