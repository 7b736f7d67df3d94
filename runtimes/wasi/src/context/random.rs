//! Sources of random bytes for a guest.

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
    /// Fills all of `buf`, which is the memory of the guest.
    ///
    /// # Errors
    ///
    /// The guest gets the error as an [`Errno`](crate::Errno). `buf` may be filled in part.
    fn fill(&mut self, buf: &mut [u8]) -> io::Result<()>;
}

/// Unpredictable bytes: a ChaCha12 generator that is seeded by the operating system.
///
/// The generator is seeded at its first use. The type is deliberately not `Clone`: a clone would
/// give two guests the same bytes.
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::{SystemRandom, Wasi};
///
/// let ctx = Wasi::builder().random(SystemRandom::new()).build()?;
/// # drop(ctx);
/// # Ok::<(), rangewatch_wasi::WasiBuildError>(())
/// ```
#[derive(Default)]
pub struct SystemRandom {
    generator: Option<ChaCha12Rng>,
}

impl SystemRandom {
    /// Makes a generator that is seeded at its first use.
    #[must_use]
    pub const fn new() -> Self {
        Self { generator: None }
    }
}

impl Random for SystemRandom {
    /// # Errors
    ///
    /// The operating system returned no seed.
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

/// Shows nothing of the generator's state, from which all later bytes could be computed.
impl fmt::Debug for SystemRandom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemRandom").finish_non_exhaustive()
    }
}

/// Predictable bytes: the same seed and the same requests give the same bytes, on every machine and
/// in every version of this crate.
///
/// The bytes are those of ChaCha12 whose key is the seed, in little endian, followed by zeros. They
/// are predictable for everyone who knows the seed: do not use them for guests that generate keys,
/// tokens or nonces.
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::{Random, SeededRandom};
///
/// let (mut one, mut other) = ([0; 16], [0; 16]);
/// SeededRandom::new(7).fill(&mut one)?;
/// SeededRandom::new(7).fill(&mut other)?;
/// assert_eq!(one, other);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SeededRandom {
    generator: ChaCha12Rng,
}

impl SeededRandom {
    /// Makes a generator with the seed `seed`.
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
