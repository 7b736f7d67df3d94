//! The start of a command, which happens once on each instance.

use rangewatch_wasi::Exit;

use crate::engine::module::START;
use crate::guest::call_error::CallError;
use crate::guest::inner::Inner;
use crate::guest::instantiate_error::InstantiateError;
use crate::guest::pool::Lease;

impl Lease<'_> {
    /// Whether the instance has to be started before it is used: one of a command that uses the
    /// ABI. Commands that do not, and reactors, are used as they are.
    pub(crate) fn must_start(&mut self, guest: &Inner) -> bool {
        guest.info.is_command() && guest.info.uses_abi() && !self.is_started()
    }

    /// Starts an instance that [has to be](Self::must_start) started.
    pub(crate) async fn start_before_use(&mut self, guest: &Inner) -> Result<(), CallError> {
        match self.start(guest).await? {
            exit if exit.code() == 0 => Ok(()),
            exit => Err(CallError::Exit {
                export: START.to_owned(),
                exit,
            }),
        }
    }

    /// Calls `_start` of a command and reads its meta page. A command that returns has exited with
    /// code 0.
    pub(crate) async fn start(&mut self, guest: &Inner) -> Result<Exit, CallError> {
        self.instance().memory_and_state().1.is_started = true;
        let exit = match self.call(START, &[]).await {
            Ok(_) => Exit::new(0),
            Err(error) => error.into_exit()?,
        };
        if exit.code() == 0 {
            guest.read_page(self.instance()).await?;
        }
        Ok(exit)
    }

    pub(crate) fn is_started(&mut self) -> bool {
        self.instance().memory_and_state().1.is_started
    }
}

impl CallError {
    /// The exit that the call ended with, if it did.
    fn into_exit(self) -> Result<Exit, Self> {
        match self {
            Self::Exit { exit, .. } => Ok(exit),
            Self::Discarded { n_emits, source } => {
                let source = match source.into_exit() {
                    Ok(exit) => return Ok(exit),
                    Err(source) => Box::new(source),
                };
                Err(Self::Discarded { n_emits, source })
            }
            error => Err(error),
        }
    }

    /// The start of an instance failed, which was made for a call of `export`.
    pub(crate) fn not_started(export: &str, error: Self) -> Self {
        Self::Instantiate {
            export: export.to_owned(),
            source: Box::new(InstantiateError::from_start(error)),
        }
    }
}
