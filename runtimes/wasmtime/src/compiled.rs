//! The compiled modules that a runtime keeps in a directory.

use std::fmt;
use std::path::Path;

use rangewatch_runtime::{ErrorChain, Profile, Proposal};
use wasmtime::{Engine, Module};

use crate::compiled_file::{Artifact, Damaged, Environment, Key};
use crate::private_dir::{PrivateDir, PrivateDirError};

/// Compiled modules in a directory that only the user of this process can write. Whatever fails
/// here, the module is compiled instead.
pub(crate) struct CompiledModules {
    dir: PrivateDir,
    environment: Environment,
}

impl CompiledModules {
    pub(crate) fn open(
        dir: &Path,
        engine: &Engine,
        profile: Profile,
        lacking: &[Proposal],
    ) -> Result<Self, PrivateDirError> {
        Ok(Self {
            dir: PrivateDir::open(dir)?,
            environment: Environment::new(engine, profile, lacking),
        })
    }

    /// The module that [`write`](Self::write) has written for the same bytes in the same
    /// environment.
    pub(crate) fn read(&self, engine: &Engine, wasm: &[u8]) -> Option<Module> {
        let key = self.environment.key(wasm);
        match self.try_read(engine, &key) {
            Ok(module) => module,
            Err(error) => {
                self.warn(&key, "a compiled module is not used", &*error);
                None
            }
        }
    }

    fn try_read(&self, engine: &Engine, key: &Key) -> Result<Option<Module>, Error> {
        let Some(file) = self.dir.read(&key.file_name())? else {
            return Ok(None);
        };
        let artifact = Artifact::of_file(&file, key).ok_or(Damaged)?;
        Ok(Some(artifact.deserialize(engine)?))
    }

    pub(crate) fn write(&self, wasm: &[u8], module: &Module) {
        let key = self.environment.key(wasm);
        if let Err(error) = self.try_write(&key, module) {
            self.warn(&key, "a compiled module was not written", &*error);
        }
    }

    fn try_write(&self, key: &Key, module: &Module) -> Result<(), Error> {
        let artifact = module.serialize()?;
        let header = key.header(&artifact);
        Ok(self.dir.write(&key.file_name(), &[&header, &artifact])?)
    }

    fn warn(&self, key: &Key, what: &str, error: &(dyn std::error::Error + 'static)) {
        tracing::warn!(
            dir = %self.dir.path().display(),
            file = key.file_name(),
            error = %ErrorChain::new(error),
            "{what}",
        );
    }
}

impl fmt::Debug for CompiledModules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CompiledModules")
            .field(&self.dir.path())
            .finish()
    }
}

type Error = Box<dyn std::error::Error + Send + Sync>;
