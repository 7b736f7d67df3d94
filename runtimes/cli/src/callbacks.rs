//! What goes wrong in the callbacks of a guest.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rangewatch::{CallError, CallbackError, CallbackErrorCause, Exit};

use crate::failure::{complain, describe};

/// How the callbacks of a guest have gone so far.
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
    /// Says what went wrong, unless the guest exited.
    pub(crate) fn fail(&self, error: &CallbackError) {
        match &error.cause {
            CallbackErrorCause::Call(CallError::Exit { exit, .. }) => {
                self.lock().exit = Some(*exit);
                return;
            }
            CallbackErrorCause::Call(cause) => complain(format_args!(
                "recv of watch {:?} with value {}: {}",
                String::from_utf8_lossy(&error.id),
                error.value,
                describe(cause)
            )),
            _ => complain(error),
        }
        self.lock().has_failed = true;
    }

    /// Whether one has failed, other than by an exit.
    pub(crate) fn have_failed(&self) -> bool {
        self.lock().has_failed
    }

    /// How the guest exited, if it did so in a callback.
    pub(crate) fn exit(&self) -> Option<Exit> {
        self.lock().exit
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
