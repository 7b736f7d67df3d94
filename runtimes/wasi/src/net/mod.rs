//! Sockets that a guest can be given.
//!
//! A guest of WASI preview1 makes no sockets. It finds those that its host has opened: a [`Listener`], from which it accepts
//! connections ([`WasiBuilder::listener`](crate::WasiBuilder::listener)), or a connected [`Socket`]
//! ([`WasiBuilder::socket`](crate::WasiBuilder::socket)). They are stream sockets; addresses and names are the host's business.
//!
//! [`loopback`] and [`socket_pair`] make them in memory. The host's end of a connection is a [`MemorySocket`]:
//!
//! - The host talks to its guest itself: it [splits](MemorySocket::split) the socket into the two ends of pipes that it
//!   awaits or asks, or blocks on it ([`Read`](std::io::Read), [`Write`](std::io::Write)).
//! - The guest talks to the network: with the feature `futures-io`, `MemorySocket::relay` moves the bytes of any `AsyncRead`
//!   and `AsyncWrite`, such as a TCP or TLS stream of tokio with `tokio_util::compat`. Std has no way to wait for one of its
//!   sockets without holding a thread, so there is no provider for them; [`loopback`] shows two threads that copy.
//!
//! # A socket of one's own
//!
//! Who knows the readiness of a socket can spare the copy, and implements [`Socket`]: five methods, of which two never wait, and
//! two are what a reactor has, such as `try_read` and `poll_read_ready` of tokio's `TcpStream`.
//!
//! ```
//! use std::io;
//! use std::net::Shutdown;
//! use std::task::{Context, Poll};
//!
//! use rangewatch_wasi::Wasi;
//! use rangewatch_wasi::net::{Readiness, Socket};
//!
//! /// Sends back what it is sent, up to 4 KiB at a time.
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
//!     // Nobody but the guest itself can change anything, so nobody has to be woken.
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
mod loopback;
mod memory_socket;
pub(crate) mod open_socket;
mod readiness;
#[cfg(feature = "futures-io")]
mod relay;
mod socket;

pub use listener::Listener;
pub use loopback::{Connector, MemoryListener, loopback};
pub use memory_socket::{MemorySocket, socket_pair};
pub use readiness::Readiness;
pub use socket::Socket;
