//! How an instance is made: initialized, handed to the hook of the embedder, its meta pages read.

use std::sync::Arc;

use crate::abi::gen1;
use crate::engine::meta_page::MetaPage;
use crate::engine::val::Val;
use crate::guest::call_error::CallError;
use crate::guest::inner::Inner;
use crate::guest::instantiate_error::InstantiateError;
use crate::guest::session::{Role, Session, dropped};
use crate::guest::start::Start;

impl Session {
    /// Makes the first instance of a guest.
    pub(crate) async fn make_first(guest: &Arc<Inner>) -> Result<(), InstantiateError> {
        let session = Self::wait(guest, Role::Calls).await;
        let mut session = session.map_err(InstantiateError::from_start)?;
        session.make_instance().await
    }

    /// Makes an instance if the session has none.
    pub(crate) async fn make(&mut self, export: &str) -> Result<(), CallError> {
        if self.instance.is_some() {
            return Ok(());
        }
        let made = self.make_instance().await;
        made.map_err(|source| CallError::Instantiate {
            export: export.to_owned(),
            source: Box::new(source),
        })
    }

    /// Makes an instance, initializes it and runs the embedder's hook. An instance that fails is
    /// dropped, and the guest may make another.
    async fn make_instance(&mut self) -> Result<(), InstantiateError> {
        let guest = self.guest.clone();
        self.instance = Some(guest.bare_instance().await?);
        let mut is_made = AbortedMaking(Some(self));
        let session = is_made.session();
        session
            .initialize()
            .await
            .map_err(InstantiateError::from_start)?;
        if let Some(hook) = &guest.config.on_instance {
            hook(session).await.map_err(InstantiateError::Hook)?;
            if let Some(reason) = session.lost.take() {
                return Err(InstantiateError::Hook(reason.into()));
            }
            // What the hook has set is for its own calls.
            drop(session.restore_owner());
            if session.has_context {
                session.drop_context();
            }
        }
        if guest.config.start == Start::Nothing {
            let pages = session.read_pages().await;
            pages.map_err(InstantiateError::from_start)?;
        }
        is_made.0 = None;
        Ok(())
    }

    /// Reads the meta pages of an initialized instance: that of the ABI, if the module uses it, and
    /// those of modules of host functions.
    pub(crate) async fn read_pages(&mut self) -> Result<(), CallError> {
        let config = self.guest.config.clone();
        if config.info.uses_abi() {
            let page = self.page_address(gen1::PAGE).await?;
            let (memory, state) = self.memory_and_state()?;
            (state.abi())
                .attach(memory, page, config.can_receive)
                .map_err(|source| CallError::Abi {
                    export: gen1::PAGE.to_owned(),
                    source,
                })?;
        }
        for source in &config.pages {
            let at = self.page_address(&source.export).await?;
            let (memory, state) = self.memory_and_state()?;
            let page = MetaPage::read(memory, at, source.n_addresses);
            let page = page.map_err(|error| CallError::MetaPage {
                export: source.export.clone(),
                source: error,
            })?;
            state.pages.push((source.export.as_str().into(), page));
        }
        Ok(())
    }

    async fn page_address(&mut self, export: &str) -> Result<u32, CallError> {
        let found = self.export(export)?;
        let mut call = UnreturnedCall {
            session: self,
            export,
            has_returned: false,
        };
        let page = call.session.run(found, &[]).await;
        call.has_returned = true;
        Ok(match page?[..] {
            [Val::I32(page)] => page as u32,
            // The signature was checked when the imports were.
            _ => 0,
        })
    }
}

/// A call of an export that returns the address of a page, for which no hook runs. Dropped before
/// it has returned, it loses the instance.
struct UnreturnedCall<'s, 'e> {
    session: &'s mut Session,
    export: &'e str,
    has_returned: bool,
}

impl Drop for UnreturnedCall<'_, '_> {
    fn drop(&mut self) {
        if !self.has_returned {
            self.session.lose(&dropped(self.export));
        }
    }
}

/// An instance that is being made. Dropped before it is made, it is dropped without a trace: the
/// guest may make another.
struct AbortedMaking<'s>(Option<&'s mut Session>);

impl AbortedMaking<'_> {
    fn session(&mut self) -> &mut Session {
        self.0.as_mut().expect("it is taken when this ends")
    }
}

impl Drop for AbortedMaking<'_> {
    fn drop(&mut self) {
        if let Some(session) = &mut self.0 {
            session.instance = None;
            session.lost = None;
        }
    }
}
