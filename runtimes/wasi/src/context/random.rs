//! The random bytes that a guest can ask for.

use std::fmt;
use std::io;

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// A source of random bytes for one guest.
///
/// # Examples
///
/// ```
/// use std::io;
///
/// use rangewatch_wasi::{Random, Wasi};
///
/// struct Sevens;
///
/// impl Random for Sevens {
///     fn fill(&mut self, buf: &mut [u8]) -> io::Result<()> {
///         buf.fill(7);
///         Ok(())
///     }
/// }
///
/// let ctx = Wasi::builder().random(Sevens).build()?;
/// # drop(ctx);
/// # Ok::<(), rangewatch_wasi::WasiBuildError>(())
/// ```
pub trait Random: Send {
    /// Fills all of `buf`, which is memory of the guest.
    ///
    /// # Errors
    ///
    /// The guest sees the error as an [`Errno`](crate::Errno) and may have been given a part of the bytes.
    fn fill(&mut self, buf: &mut [u8]) -> io::Result<()>;
}

/// Unpredictable bytes: a ChaCha12 generator with a seed from the operating system.
///
/// The seed is taken at the first use. Every value has a seed of its own; there is deliberately no `Clone`, which would
/// give two guests the same bytes.
#[derive(Default)]
pub struct SystemRandom {
    generator: Option<ChaCha12Rng>,
}

impl SystemRandom {
    /// A generator that is seeded at its first use.
    #[must_use]
    pub const fn new() -> Self {
        Self { generator: None }
    }
}

impl Random for SystemRandom {
    /// # Errors
    ///
    /// The operating system had no seed to give.
    fn fill(&mut self, buf: &mut [u8]) -> io::Result<()> {
        let generator = match &mut self.generator {
            Some(generator) => generator,
            unseeded => {
                let mut seed = [0; 32];
                getrandom::fill(&mut seed).map_err(io::Error::other)?;
                unseeded.insert(ChaCha12Rng::from_seed(seed))
            }
        };
        generator.fill_bytes(buf);
        Ok(())
    }
}

/// Shows nothing of the generator's state: who knows it knows all later bytes.
impl fmt::Debug for SystemRandom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemRandom").finish_non_exhaustive()
    }
}

/// Predictable bytes: the same seed and the same requests give the same bytes, on every machine and in every version of
/// this crate.
///
/// The bytes are those of ChaCha12 with the seed, in little endian, as the start of an otherwise zero key. They look
/// random to a program and are known to everyone who knows the seed: not for guests that make keys, tokens or nonces.
#[derive(Clone, Debug)]
pub struct SeededRandom {
    generator: ChaCha12Rng,
}

impl SeededRandom {
    /// A generator that `seed` determines.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        Self {
            generator: ChaCha12Rng::from_seed(key),
        }
    }
}

impl Random for SeededRandom {
    fn fill(&mut self, buf: &mut [u8]) -> io::Result<()> {
        self.generator.fill_bytes(buf);
        Ok(())
    }
}
