//! The file of a compiled module: its name, its header, and how its code becomes a module.
//!
//! ```text
//! offset  bytes
//!      0     32  the key: SHA-256 of what the code depends on, and of the wasm bytes
//!     32     32  SHA-256 of the code
//!     64         the code, as wasmtime serializes it
//! ```

use std::hash::{Hash, Hasher};

use rangewatch_runtime::{Profile, Proposal};
use sha2::{Digest, Sha256};
use wasmtime::{Engine, Module, ModuleVersionStrategy};

/// Changes with this format. The version of this crate is part of a key too.
const FORMAT: &[u8] = b"rangewatch compiled module, format 1\0";

const HASH_BYTES: usize = 32;
const HEADER_BYTES: usize = 2 * HASH_BYTES;

/// What compiled code depends on beside the wasm bytes.
pub(crate) struct Environment(Sha256);

impl Environment {
    /// The proposals that the engine lacks are part of it, because core does not validate a module
    /// again that is read from a file.
    pub(crate) fn new(engine: &Engine, profile: Profile, lacking: &[Proposal]) -> Self {
        let mut hasher = HashInto(Sha256::new_with_prefix(FORMAT));
        env!("CARGO_PKG_VERSION").hash(&mut hasher);
        // All of wasmtime's version, which an engine's configuration can leave out of its own hash.
        ModuleVersionStrategy::WasmtimeVersion.hash(&mut hasher);
        engine.precompile_compatibility_hash().hash(&mut hasher);
        (profile, lacking).hash(&mut hasher);
        Self(hasher.0)
    }

    pub(crate) fn key(&self, wasm: &[u8]) -> Key {
        Key(self.0.clone().chain_update(wasm).finalize().into())
    }
}

/// Identifies compiled code.
pub(crate) struct Key([u8; HASH_BYTES]);

impl Key {
    pub(crate) fn file_name(&self) -> String {
        let mut name = String::with_capacity(2 * HASH_BYTES + ".compiled".len());
        for byte in self.0 {
            for digit in [byte >> 4, byte & 15] {
                name.push(char::from_digit(digit.into(), 16).unwrap_or_default());
            }
        }
        name + ".compiled"
    }

    pub(crate) fn header(&self, artifact: &[u8]) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        let (key, hash) = header.split_at_mut(HASH_BYTES);
        key.copy_from_slice(&self.0);
        hash.copy_from_slice(&Sha256::digest(artifact));
        header
    }
}

/// Code that wasmtime has serialized, unchanged.
#[derive(Debug)]
pub(crate) struct Artifact<'a>(&'a [u8]);

impl<'a> Artifact<'a> {
    /// The code in a file. `None` if the file is of another key, or was not written to its end, or
    /// has changed since.
    pub(crate) fn of_file(file: &'a [u8], key: &Key) -> Option<Self> {
        let (header, artifact) = file.split_at_checked(HEADER_BYTES)?;
        (header == key.header(artifact)).then_some(Self(artifact))
    }

    #[expect(
        unsafe_code,
        reason = "the one call of wasmtime that makes a module of compiled code"
    )]
    pub(crate) fn deserialize(self, engine: &Engine) -> wasmtime::Result<Module> {
        // SAFETY: the bytes must be those of `Module::serialize`. Only `of_file` makes an
        // `Artifact`, of bytes in memory that no longer change, and only if their hash is the one
        // that `Key::header` wrote beside them for the same key; a damaged or truncated file does
        // not get here. A forged one could, so the file has to come from a writer that is trusted:
        // `PrivateDir` reads none that another user than that of this process could have written or
        // could have moved there, and a program of the same user can run code as that user anyway.
        // The key covers the version of wasmtime and `Engine::precompile_compatibility_hash`, so
        // the writer's engine had the same version and configuration; wasmtime compares both again.
        unsafe { Module::deserialize(engine, self.0) }
    }
}

/// The file has another content than its header says.
#[derive(Debug, thiserror::Error)]
#[error("the file is damaged: it will be replaced")]
pub(crate) struct Damaged;

/// Feeds what implements [`Hash`] to SHA-256.
struct HashInto(Sha256);

impl Hasher for HashInto {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Nothing that is hashed here asks for it.
    fn finish(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_changed_in_any_bit_or_length_is_damaged() {
        let key = Key([7; HASH_BYTES]);
        let file = [&key.header(b"code")[..], b"code"].concat();
        let code = |file: &[u8], key: &Key| Artifact::of_file(file, key).map(|it| it.0.to_vec());
        assert_eq!(code(&file, &key), Some(b"code".to_vec()));
        assert_eq!(code(&file, &Key([8; HASH_BYTES])), None);
        for bit in 0..file.len() * 8 {
            let mut flipped = file.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(code(&flipped, &key), None, "bit {bit}");
        }
        for len in 0..file.len() {
            assert_eq!(code(&file[..len], &key), None, "{len} bytes");
        }
        assert_eq!(code(&[&file[..], b"!"].concat(), &key), None);
    }

    #[test]
    fn a_key_depends_on_the_bytes_the_profile_and_the_configuration() {
        let engine = |config: &wasmtime::Config| Engine::new(config).expect("valid");
        let mut plain = wasmtime::Config::new();
        let mut unversioned = plain.clone();
        let unversioned = unversioned
            .module_version(ModuleVersionStrategy::None)
            .expect("no text");
        let engines = [
            engine(&plain),
            engine(unversioned),
            engine(plain.consume_fuel(true)),
        ];
        let mut names = Vec::new();
        for engine in &engines {
            for profile in [Profile::Baseline, Profile::Extended] {
                for lacking in [&[][..], &[Proposal::TailCalls]] {
                    for wasm in [b"a", b"b"] {
                        let environment = Environment::new(engine, profile, lacking);
                        names.push(environment.key(wasm).file_name());
                    }
                }
            }
        }
        let again = Environment::new(&engines[0], Profile::Baseline, &[]);
        assert_eq!(again.key(b"a").file_name(), names[0]);
        let n_names = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), n_names);
        assert!(names.iter().all(|name| name.len() == 73), "{names:?}");
    }
}
