//! A buffer for captured output.

use std::fmt;
use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Errno;

/// Bytes are stored in pieces of this size. A single `Vec` would reallocate and copy everything in
/// a call that the guest chooses.
const PIECE_BYTES: usize = 64 << 10;

/// A buffer that collects what a guest writes. Clones share one buffer.
///
/// The buffer holds at most [`DEFAULT_LIMIT_BYTES`](Self::DEFAULT_LIMIT_BYTES), or the limit of
/// [`with_limit_bytes`](Self::with_limit_bytes), so that a guest cannot exhaust the memory of its
/// host by printing. A write that reaches the limit is done in part; a write at the limit fails
/// with [`Errno::Nospc`]. [`take`](Self::take) empties the buffer.
///
/// # Examples
///
/// ```
/// use std::io::Write;
///
/// use rangewatch_wasi::SharedBuffer;
///
/// let buffer = SharedBuffer::new();
/// buffer.clone().write_all(b"hello\n")?;
/// assert_eq!(buffer.to_string_lossy(), "hello\n");
/// assert_eq!(buffer.take(), b"hello\n");
/// assert!(buffer.is_empty());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct SharedBuffer {
    shared: Arc<Mutex<Pieces>>,
}

impl SharedBuffer {
    /// The limit of a buffer from [`new`](Self::new): 64 MiB.
    pub const DEFAULT_LIMIT_BYTES: usize = 64 << 20;

    /// Makes an empty buffer with the default limit.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limit_bytes(Self::DEFAULT_LIMIT_BYTES)
    }

    /// Makes an empty buffer that holds at most `limit_bytes`.
    #[must_use]
    pub fn with_limit_bytes(limit_bytes: usize) -> Self {
        let pieces = Pieces {
            full: Vec::new(),
            last: Vec::new(),
            len_bytes: 0,
            limit_bytes,
        };
        Self {
            shared: Arc::new(Mutex::new(pieces)),
        }
    }

    /// A copy of all bytes in the buffer.
    #[must_use]
    pub fn contents(&self) -> Vec<u8> {
        self.lock().concat()
    }

    /// The contents as text; invalid UTF-8 becomes U+FFFD.
    #[must_use]
    pub fn to_string_lossy(&self) -> String {
        String::from_utf8_lossy(&self.contents()).into_owned()
    }

    /// Removes and returns all bytes in the buffer.
    #[must_use = "the buffer no longer has the bytes"]
    pub fn take(&self) -> Vec<u8> {
        self.lock().take()
    }

    /// The number of bytes in the buffer.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().len_bytes
    }

    /// Whether the buffer is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Pieces> {
        // No foreign code runs under the lock and the code under it cannot panic, so a poisoned
        // lock guards consistent data.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for SharedBuffer {
    fn default() -> Self {
        Self::new()
    }
}

impl Write for SharedBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lock().append(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for SharedBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pieces = self.lock();
        f.debug_struct("SharedBuffer")
            .field("len_bytes", &pieces.len_bytes)
            .field("limit_bytes", &pieces.limit_bytes)
            .finish()
    }
}

struct Pieces {
    /// Full pieces, [`PIECE_BYTES`] each.
    full: Vec<Vec<u8>>,
    /// The piece that is being filled, less than [`PIECE_BYTES`].
    last: Vec<u8>,
    len_bytes: usize,
    limit_bytes: usize,
}

impl Pieces {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let accepted = bytes.len().min(self.limit_bytes - self.len_bytes);
        if accepted == 0 && !bytes.is_empty() {
            return Err(Errno::Nospc.into());
        }
        let mut rest = &bytes[..accepted];
        while !rest.is_empty() {
            if self.last.is_empty() && !self.full.is_empty() {
                // A second piece is reserved at once: a stream that filled one is likely to fill
                // it.
                self.last.reserve_exact(PIECE_BYTES);
            }
            let (now, later) = rest.split_at(rest.len().min(PIECE_BYTES - self.last.len()));
            self.last.extend_from_slice(now);
            if self.last.len() == PIECE_BYTES {
                self.full.push(mem::take(&mut self.last));
            }
            rest = later;
        }
        self.len_bytes += accepted;
        Ok(accepted)
    }

    fn concat(&self) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.len_bytes);
        for piece in self.full.iter().chain([&self.last]) {
            all.extend_from_slice(piece);
        }
        all
    }

    fn take(&mut self) -> Vec<u8> {
        let all = if self.full.is_empty() {
            mem::take(&mut self.last)
        } else {
            self.concat()
        };
        self.full.clear();
        self.last.clear();
        self.len_bytes = 0;
        all
    }
}
