//! The errors of a guest's callbacks.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rangewatch::runtime::ErrorChain;
use rangewatch::{CallError, CallbackError, CallbackErrorCause, Exit, FlushError};

use crate::failure::{describe, print_error};

/// The outcome of the callbacks so far.
#[derive(Default)]
pub(crate) struct Callbacks {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    has_failed: bool,
    exit: Option<Exit>,
}

impl Callbacks {
    /// Records an exit; prints any other error.
    pub(crate) fn record(&self, error: &CallbackError) {
        match &error.cause {
            CallbackErrorCause::Call(CallError::Exit { exit, .. }) => {
                self.lock().exit = Some(*exit);
                return;
            }
            CallbackErrorCause::Call(cause) if error.n_notices > 0 => {
                print_error(format_args!("{error}: {}", describe(cause)));
            }
            CallbackErrorCause::Call(cause) => print_error(format_args!(
                "recv of watch {:?} with value {}: {}",
                String::from_utf8_lossy(&error.id),
                error.value,
                describe(cause)
            )),
            _ => print_error(ErrorChain::new(error)),
        }
        self.lock().has_failed = true;
    }

    /// Prints that output of the guest is lost.
    pub(crate) fn fail_to_flush(&self, error: &FlushError) {
        print_error(format_args!("{error}: {}", error.source));
        self.lock().has_failed = true;
    }

    /// Whether a callback has failed, or output is lost. An exit is not a failure.
    pub(crate) fn have_failed(&self) -> bool {
        self.lock().has_failed
    }

    /// The exit of the guest, if it exited in a callback.
    pub(crate) fn exit(&self) -> Option<Exit> {
        self.lock().exit
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
