//! Records the reports of an instrumented guest.

use super::digest::Digest;
use super::steady::Steady;
use super::trace::Call;

/// The maximum number of calls of a guest. The longest program makes some ten thousand.
const MAX_CALLS: usize = 1 << 20;

/// The calls so far. The host functions of the trace only call it.
#[derive(Default)]
pub(super) struct Recorder {
    calls: Vec<Call>,
    /// Arguments of the following call.
    arguments: Vec<u64>,
    digest: Digest,
    steady: Option<Steady>,
}

impl Recorder {
    /// A recorder that replaces the inode numbers and times of the host's files, if there are any.
    pub(super) fn new(steady: Option<Steady>) -> Self {
        Self {
            steady,
            ..Self::default()
        }
    }

    /// Records one argument of the following call.
    pub(super) fn argument(&mut self, argument: i64) {
        self.arguments.push(argument as u64);
    }

    /// Records the begin of a call. Fails after too many calls.
    pub(super) fn call(&mut self, function: i32) -> Result<(), &'static str> {
        if self.calls.len() == MAX_CALLS {
            return Err("the guest makes calls without end");
        }
        self.calls.push(Call {
            function: function as usize,
            arguments: std::mem::take(&mut self.arguments),
            answer: None,
            memory: 0,
        });
        Ok(())
    }

    /// Records the return of the call.
    pub(super) fn answer(&mut self, memory: &mut [u8], answer: i32) -> i32 {
        let call = self.calls.last_mut().expect("answers follow calls");
        if let Some(steady) = &mut self.steady {
            steady.hide(call, answer, memory);
        }
        call.answer = Some(answer);
        call.memory = self.digest.of(memory);
        answer
    }

    /// Records the end of the guest.
    pub(super) fn finish(mut self, memory: &[u8]) -> Vec<Call> {
        if let Some(call) = self.calls.last_mut().filter(|call| call.answer.is_none()) {
            call.memory = self.digest.of(memory);
        }
        self.calls
    }
}
