//! How an instance is started, which happens once on each.

use rangewatch_wasi::Exit;

use crate::engine::error_chain::ErrorChain;
use crate::engine::module::{INITIALIZE, START};
use crate::engine::val::FuncType;
use crate::guest::call_error::CallError;
use crate::guest::instantiate_error::InstantiateError;
use crate::guest::session::Session;

/// What is called to start an instance before its first use.
///
/// # Examples
///
/// ```
/// use rangewatch_runtime::Start;
///
/// # use rangewatch_runtime::GuestBuilder;
/// # fn example(builder: GuestBuilder<'_>) -> GuestBuilder<'_> {
/// builder.start(Start::Command) // TinyGo: `main` sets the exports up, and returns
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// As the module says. A reactor: `_initialize`, if it exports that, when the instance is made.
    /// A command, which exports `_start` and no `_initialize`: `_start`, by
    /// [`Guest::run`](crate::Guest::run), or before the first use if the command uses the
    /// range-watch ABI or another [meta page](crate::MetaPage).
    #[default]
    Automatic,
    /// `_initialize`, when the instance is made.
    Reactor,
    /// `_start`, when the instance is made. It has to return or to exit with code 0.
    Command,
    /// Nothing: the embedder calls what is needed in
    /// [`on_instance`](crate::GuestBuilder::on_instance), or the guest needs nothing.
    Nothing,
}

impl Session {
    /// Calls what the embedder chose for a fresh instance.
    pub(crate) async fn initialize(&mut self) -> Result<(), CallError> {
        let config = self.guest.config.clone();
        match config.start {
            Start::Automatic if config.info.is_command() => return Ok(()),
            Start::Automatic => {
                if config.info.func(INITIALIZE) == Some(&FuncType::default()) {
                    self.call_initializer().await?;
                }
            }
            Start::Reactor => {
                self.call_initializer().await?;
            }
            Start::Command => {
                return self.start_well().await;
            }
            Start::Nothing => return Ok(()),
        }
        self.read_pages().await
    }

    /// Begins a call of an export as of any other. `_start` of a command runs once on an instance.
    pub(crate) fn check_start(&mut self, export: &str) -> Result<(), CallError> {
        if self.guest.config.is_run(export) {
            let is_started = &mut self.memory_and_state()?.1.is_started;
            if std::mem::replace(is_started, true) {
                return Err(CallError::AlreadyStarted);
            }
        }
        Ok(())
    }

    async fn call_initializer(&mut self) -> Result<(), CallError> {
        let config = self.guest.config.clone();
        let initialize = CallError::unless_callable(&config.exports, INITIALIZE, &[])?;
        self.call_and_keep(initialize, &[]).await.map(drop)
    }

    /// Whether the instance has to be started before it is used: one of a command that uses the
    /// ABI. Commands that do not, and reactors, are used as they are.
    pub(crate) fn must_start(&mut self) -> bool {
        self.guest.config.starts_before_use()
            && self
                .memory_and_state()
                .is_ok_and(|(_, state)| !state.is_started)
    }

    /// Starts an instance that [has to be](Self::must_start) started.
    pub(crate) async fn start_before_use(&mut self, export: &str) -> Result<(), CallError> {
        let started = self.start_well().await;
        started.map_err(|error| {
            self.lose(&ErrorChain::new(&error));
            CallError::Instantiate {
                export: export.to_owned(),
                source: Box::new(InstantiateError::from_start(error)),
            }
        })
    }

    /// As [`start`](Self::start); an exit with a code other than 0 is an error.
    async fn start_well(&mut self) -> Result<(), CallError> {
        match self.start().await? {
            exit if exit.code() == 0 => Ok(()),
            exit => Err(CallError::Exit {
                export: START.to_owned(),
                exit,
            }),
        }
    }

    /// Calls `_start` of a command and reads its meta page. A command that returns has exited with
    /// code 0. The instance is kept, whatever the outcome.
    pub(crate) async fn start(&mut self) -> Result<Exit, CallError> {
        let config = self.guest.config.clone();
        let start = CallError::unless_callable(&config.exports, START, &[])?;
        self.memory_and_state()?.1.is_started = true;
        let exit = match self.call_and_keep(start, &[]).await {
            Ok(_) => Exit::new(0),
            Err(error) => error.into_exit()?,
        };
        if exit.code() == 0 {
            self.read_pages().await?;
        }
        Ok(exit)
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
}
