//! What the embedder learns at the end of each call.

use std::fmt;

use crate::engine::host_cx::{NoContext, NoData};
use crate::engine::runtime::GuestState;
use crate::guest::call_error::CallError;
use crate::guest::ids::InstanceId;
use crate::watches::owner::Owner;

/// The end of a call, for the hook of
/// [`GuestBuilder::on_call_end`](crate::GuestBuilder::on_call_end).
pub struct CallEnd<'a> {
    export: &'a str,
    outcome: CallOutcome<'a>,
    memory: &'a mut [u8],
    state: &'a mut GuestState,
}

/// How a call ended.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum CallOutcome<'a> {
    /// It returned, and what it staged was committed.
    Returned,
    /// It is a callback that reported an error: what it staged was dropped. The instance is kept.
    Reported,
    /// It failed; the instance is dropped after the hook.
    Failed(&'a CallError),
    /// Its future was dropped before it returned; the instance is dropped after the hook.
    Dropped,
}

impl<'a> CallEnd<'a> {
    pub(crate) fn new(
        export: &'a str,
        outcome: CallOutcome<'a>,
        memory: &'a mut [u8],
        state: &'a mut GuestState,
    ) -> Self {
        Self {
            export,
            outcome,
            memory,
            state,
        }
    }

    /// The export that was called.
    #[must_use]
    pub fn export(&self) -> &str {
        self.export
    }

    /// Identifies the instance.
    #[must_use]
    pub fn instance_id(&self) -> InstanceId {
        self.state.instance_id
    }

    /// How the call ended.
    #[must_use]
    pub fn outcome(&self) -> CallOutcome<'a> {
        self.outcome
    }

    /// The owner that the guest ran under: in a callback that of its watch.
    pub fn owner(&mut self) -> Owner {
        self.state.abi().owner()
    }

    /// The id of the watch of a callback; `None` for other calls.
    pub fn watch_id(&mut self) -> Option<&[u8]> {
        self.state.abi().watch_id()
    }

    /// The guest's linear memory. After a call that did not return its contents may be anything.
    pub fn memory(&mut self) -> &mut [u8] {
        self.memory
    }

    /// The embedder's data of the instance.
    ///
    /// # Errors
    ///
    /// [`NoData`]: the guest was built without data of this type.
    pub fn data<T: 'static>(&mut self) -> Result<&mut T, NoData> {
        self.state.data()
    }

    /// The value of the type `T` in the context of the call, which is dropped after the hook.
    ///
    /// # Errors
    ///
    /// [`NoContext`]: the call was made without a value of this type, or the commit hook has taken
    /// it.
    pub fn context<T: 'static>(&mut self) -> Result<&mut T, NoContext> {
        self.state.context()
    }
}

impl fmt::Debug for CallEnd<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallEnd")
            .field("export", &self.export)
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}
