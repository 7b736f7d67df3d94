//! Where a guest's standard input comes from.

use std::fmt;
use std::io::{self, IsTerminal, Read};

use crate::iovec::Iovecs;
use crate::{Errno, memory};

/// The most bytes that are read at once for a request that is scattered over several buffers.
const SCATTER_BYTES: usize = 64 << 10;

/// The standard input of a guest.
///
/// Text and bytes convert: `.stdin("alice\nbob\n")`. A guest that has read them all is at the end of the file; so is a
/// guest without input, which is the default.
///
/// # Examples
///
/// ```
/// use std::io::Cursor;
///
/// use rangewatch_wasi::{Stdin, Wasi};
///
/// let text = Wasi::builder().stdin("alice\n").build()?;
/// let owned = Wasi::builder().stdin(vec![0, 159, 146, 150]).build()?;
/// let shared = Wasi::builder().stdin(Stdin::bytes(b"not copied")).build()?;
/// let stream = Wasi::builder().stdin(Stdin::reader(Cursor::new("any Read"))).build()?;
/// # Ok::<(), rangewatch_wasi::WasiBuildError>(())
/// ```
pub struct Stdin {
    source: Source,
}

enum Source {
    Bytes {
        bytes: Box<dyn AsRef<[u8]> + Send>,
        position: usize,
    },
    Reader {
        reader: Box<dyn Read + Send>,
        is_terminal: bool,
    },
}

impl Stdin {
    /// No input: the guest is at the end of the file at once.
    #[must_use]
    pub fn empty() -> Self {
        Self::bytes([])
    }

    /// The bytes that `bytes` holds, without copying them: a `&'static [u8]`, an `Arc<[u8]>`, a `bytes::Bytes`.
    #[must_use]
    pub fn bytes(bytes: impl AsRef<[u8]> + Send + 'static) -> Self {
        Self {
            source: Source::Bytes {
                bytes: Box::new(bytes),
                position: 0,
            },
        }
    }

    /// What `reader` reads.
    ///
    /// Each `fd_read` of the guest is one successful [`Read::read`], for no more bytes than the guest asked for: nothing is
    /// read ahead, and a guest is never kept waiting for more when it could be given a part. A reader that blocks, blocks
    /// the guest and the thread that runs it. One that answers [`WouldBlock`](io::ErrorKind::WouldBlock) gives the guest
    /// [`Errno::Again`]; [`Interrupted`](io::ErrorKind::Interrupted) is retried.
    #[must_use]
    pub fn reader(reader: impl Read + Send + 'static) -> Self {
        Self {
            source: Source::Reader {
                reader: Box::new(reader),
                is_terminal: false,
            },
        }
    }

    /// The standard input of the host's process. A terminal is a character device to the guest.
    #[must_use]
    pub fn inherit() -> Self {
        let stdin = io::stdin();
        let is_terminal = stdin.is_terminal();
        Self {
            source: Source::Reader {
                reader: Box::new(stdin),
                is_terminal,
            },
        }
    }

    pub(crate) fn is_terminal(&self) -> bool {
        matches!(
            self.source,
            Source::Reader {
                is_terminal: true,
                ..
            }
        )
    }

    /// Fills `iovecs` in order until the input ends or would have to be waited for. Answers the number of bytes.
    pub(crate) fn read(&mut self, memory: &mut [u8], iovecs: &Iovecs) -> Result<u32, Errno> {
        match &mut self.source {
            Source::Bytes { bytes, position } => {
                let rest = (**bytes).as_ref().get(*position..).unwrap_or_default();
                let n_bytes = scatter(memory, iovecs, rest)?;
                *position += n_bytes as usize;
                Ok(n_bytes)
            }
            Source::Reader { reader, .. } => match iovecs.as_slice() {
                [] => Ok(0),
                [only] => read_once(reader, memory::slice_mut(memory, only.ptr, only.len)?),
                _ => {
                    // One read for all buffers: a second one, for the buffers that are left, might block.
                    let mut buf = vec![0; SCATTER_BYTES.min(iovecs.total_bytes() as usize)];
                    let n_bytes = read_once(reader, &mut buf)?;
                    scatter(memory, iovecs, &buf[..n_bytes as usize])
                }
            },
        }
    }
}

impl From<&str> for Stdin {
    /// Copies the text.
    fn from(text: &str) -> Self {
        Self::bytes(text.to_owned())
    }
}

impl From<String> for Stdin {
    fn from(text: String) -> Self {
        Self::bytes(text)
    }
}

impl From<&[u8]> for Stdin {
    /// Copies the bytes.
    fn from(bytes: &[u8]) -> Self {
        Self::bytes(bytes.to_owned())
    }
}

impl<const N: usize> From<&[u8; N]> for Stdin {
    /// Copies the bytes.
    fn from(bytes: &[u8; N]) -> Self {
        Self::bytes(*bytes)
    }
}

impl From<Vec<u8>> for Stdin {
    fn from(bytes: Vec<u8>) -> Self {
        Self::bytes(bytes)
    }
}

impl fmt::Debug for Stdin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::Bytes { bytes, position } => f
                .debug_struct("Stdin::Bytes")
                .field("len_bytes", &(**bytes).as_ref().len())
                .field("position", position)
                .finish(),
            Source::Reader { is_terminal, .. } => f
                .debug_struct("Stdin::Reader")
                .field("is_terminal", is_terminal)
                .finish_non_exhaustive(),
        }
    }
}

fn read_once(reader: &mut dyn Read, buf: &mut [u8]) -> Result<u32, Errno> {
    loop {
        match reader.read(buf) {
            // A reader that claims more than it was given room for is wrong and must not be believed.
            Ok(n_bytes) => {
                return u32::try_from(n_bytes.min(buf.len())).map_err(|_| Errno::Overflow);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Copies the start of `bytes` into the buffers, in order. Answers the number of bytes.
fn scatter(memory: &mut [u8], iovecs: &Iovecs, bytes: &[u8]) -> Result<u32, Errno> {
    let mut rest = bytes;
    let mut n_bytes = 0;
    for iovec in iovecs.as_slice() {
        let buf = memory::slice_mut(memory, iovec.ptr, iovec.len)?;
        let len = buf.len().min(rest.len());
        let (now, later) = rest.split_at(len);
        buf[..len].copy_from_slice(now);
        rest = later;
        n_bytes += len as u32;
    }
    Ok(n_bytes)
}
