//! Sockets of a guest.
//!
//! A guest of WASI preview1 cannot create sockets. The host grants them: a [`Listener`], on which
//! the guest accepts connections ([`WasiBuilder::listener`](crate::WasiBuilder::listener)), or a
//! connected [`Socket`] ([`WasiBuilder::socket`](crate::WasiBuilder::socket)). All are stream
//! sockets; addresses and names are left to the host.
//!
//! [`loopback`] and [`socket_pair`] make sockets in memory. The host's end of a connection is a
//! [`MemorySocket`]:
//!
//! - A host that is the guest's peer [splits](MemorySocket::split) it into the two ends of pipes,
//!   which it awaits or polls, or blocks on it ([`Read`](std::io::Read),
//!   [`Write`](std::io::Write)).
//! - A host that forwards to the network calls `MemorySocket::relay` (feature `futures-io`), which
//!   copies to and from any `AsyncRead` and `AsyncWrite`, such as a TCP or TLS stream of tokio with
//!   `tokio_util::compat`. The standard library cannot wait for a socket without blocking a thread,
//!   so there is no adapter for its sockets; [`loopback`] has an example with two threads.
//!
//! # Implementing a socket
//!
//! A host that knows the readiness of its socket avoids the copy by implementing [`Socket`]: five
//! methods, of which two are non-blocking operations and two report readiness, such as `try_read`
//! and `poll_read_ready` of tokio's `TcpStream`.
//!
//! ```
//! use std::io;
//! use std::net::Shutdown;
//! use std::task::{Context, Poll};
//!
//! use rangewatch_wasi::Wasi;
//! use rangewatch_wasi::net::{Readiness, Socket};
//!
//! /// Echoes the bytes that it receives. Buffers up to 4 KiB.
//! #[derive(Default)]
//! struct Echo {
//!     bytes: Vec<u8>,
//!     is_shut: bool,
//! }
//!
//! impl Socket for Echo {
//!     fn receive(&mut self, buf: &mut [u8]) -> Poll<io::Result<usize>> {
//!         if self.bytes.is_empty() && !self.is_shut {
//!             return Poll::Pending;
//!         }
//!         let n_bytes = buf.len().min(self.bytes.len());
//!         buf[..n_bytes].copy_from_slice(&self.bytes[..n_bytes]);
//!         self.bytes.drain(..n_bytes);
//!         Poll::Ready(Ok(n_bytes))
//!     }
//!
//!     fn send(&mut self, bytes: &[u8]) -> Poll<io::Result<usize>> {
//!         let room_bytes = 4096 - self.bytes.len();
//!         if room_bytes == 0 {
//!             return Poll::Pending;
//!         }
//!         let n_bytes = room_bytes.min(bytes.len());
//!         self.bytes.extend_from_slice(&bytes[..n_bytes]);
//!         Poll::Ready(Ok(n_bytes))
//!     }
//!
//!     fn shutdown(&mut self, how: Shutdown) -> io::Result<()> {
//!         self.is_shut |= how != Shutdown::Read;
//!         Ok(())
//!     }
//!
//!     // Only the guest itself changes the state, so there is no waker to register.
//!     fn poll_readable(&mut self, _cx: &mut Context<'_>) -> Poll<Readiness> {
//!         match self.bytes.len() {
//!             0 if self.is_shut => Poll::Ready(Readiness::END),
//!             0 => Poll::Pending,
//!             n_bytes => Poll::Ready(Readiness::bytes(n_bytes as u64)),
//!         }
//!     }
//!
//!     fn poll_writable(&mut self, _cx: &mut Context<'_>) -> Poll<Readiness> {
//!         match 4096 - self.bytes.len() {
//!             0 => Poll::Pending,
//!             n_bytes => Poll::Ready(Readiness::bytes(n_bytes as u64)),
//!         }
//!     }
//! }
//!
//! let ctx = Wasi::builder().socket(Echo::default()).build()?;
//! # Ok::<(), rangewatch_wasi::WasiBuildError>(())
//! ```

mod listener;
#[cfg(feature = "net")]
mod loopback;
#[cfg(feature = "net")]
mod memory_socket;
pub(crate) mod open_socket;
mod readiness;
#[cfg(all(feature = "futures-io", feature = "net"))]
mod relay;
mod socket;

pub use listener::Listener;
#[cfg(feature = "net")]
pub use loopback::{Connector, MemoryListener, loopback};
#[cfg(feature = "net")]
pub use memory_socket::{MemorySocket, socket_pair};
pub use readiness::Readiness;
pub use socket::Socket;
