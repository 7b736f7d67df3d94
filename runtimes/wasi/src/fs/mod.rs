//! Filesystems of a guest.
//!
//! A filesystem is any implementation of [`Dir`]: a directory that looks up one name at a time and
//! returns [`Node`]s: further directories, [`File`]s and symbolic links.
//! [`WasiBuilder::preopen`](crate::WasiBuilder::preopen) grants one to a guest. This crate has
//!
//! - [`MemoryFs`], in the memory of the host;
//! - `HostDir`, a directory of the host, behind the feature `host-dir`;
//! - [`Devices`], such as `null` and `random`;
//!
//! and wrappers around other filesystems:
//!
//! - [`ReadOnly`], which refuses changes;
//! - `Quota` (feature `quota`), which limits bytes and entries;
//! - `Overlay` (feature `overlay`), which stores changes in an upper layer;
//! - [`Mounts`], which combines directories under one root.
//!
//! # Context and filesystem
//!
//! One resolver walks the paths of a guest on every filesystem: it splits paths, confines `..` and
//! symbolic links to the preopened directory, counts followed links, and handles trailing slashes.
//! A filesystem gets **names**: single components of at most
//! [`MAX_NAME_BYTES`](crate::MAX_NAME_BYTES) bytes, never empty, never `.` or `..`, without `/` and
//! NUL. It returns a symbolic link and does not follow it. The context also implements rights,
//! positions, the flag `APPEND`, and resuming a listing.
//!
//! # Implementing a filesystem
//!
//! A readable filesystem implements three methods; the others fail with
//! [`Errno::Notsup`](crate::Errno::Notsup).
//!
//! ```
//! use std::sync::Arc;
//!
//! use rangewatch_wasi::fs::{Access, BytesFile, Dir, DirEntry, FileType, Metadata, Node, ReadDir};
//! use rangewatch_wasi::{Errno, Wasi};
//!
//! /// The squares of the numbers from 1 to 9, one file each.
//! #[derive(Debug)]
//! struct Squares;
//!
//! impl Dir for Squares {
//!     fn metadata(&self) -> Result<Metadata, Errno> {
//!         Ok(Metadata::new(FileType::Directory, 10))
//!     }
//!
//!     fn lookup(&self, name: &str) -> Result<Node, Errno> {
//!         let number = (1..10).find(|n: &u64| n.to_string() == name).ok_or(Errno::Noent)?;
//!         let text = format!("{}\n", number * number);
//!         Ok(Node::File(Arc::new(BytesFile::new(number, text))))
//!     }
//!
//!     fn read_dir(&self) -> Result<ReadDir, Errno> {
//!         let entry = |n: u64| Ok(DirEntry::new(n.to_string(), FileType::RegularFile, n));
//!         Ok(Box::new((1..10).map(entry)))
//!     }
//! }
//!
//! let ctx = Wasi::builder().preopen("/squares", Squares, Access::ReadOnly).build()?;
//!
//! // In a test module: expands to one test per scenario.
//! rangewatch_wasi::read_only_filesystem_tests!(Squares);
//! # Ok::<(), rangewatch_wasi::WasiBuildError>(())
//! ```
//!
//! `fs::conformance` is the test suite that every filesystem of this crate passes. It is behind the
//! feature `conformance`, for the dev-dependencies of a crate:
//!
//! ```toml
//! [dev-dependencies]
//! rangewatch-wasi = { version = "0.1", features = ["conformance"] }
//! ```

pub(crate) mod allocate;
mod bytes_file;
#[cfg(feature = "conformance")]
pub mod conformance;
mod dev;
pub(crate) mod device_numbers;
mod devices;
mod dir;
mod file;
#[cfg(feature = "host-dir")]
mod host;
mod memory;
mod metadata;
mod mounts;
mod open_options;
#[cfg(feature = "overlay")]
mod overlay;
#[cfg(feature = "quota")]
mod quota;
mod read_dir;
mod read_only;
pub(crate) mod resolver;
mod set_times;
mod work;

pub use bytes_file::BytesFile;
pub use devices::Devices;
pub use dir::{AsAny, Dir, IntoDir, Node};
pub use file::File;
#[cfg(feature = "host-dir")]
pub use host::HostDir;
pub use memory::{MemoryFs, MemoryFsBuilder, MemoryFsError};
pub use metadata::{FileType, Metadata};
pub use mounts::{MountError, Mounts};
pub use open_options::{Create, OpenOptions};
#[cfg(feature = "overlay")]
pub use overlay::Overlay;
#[cfg(feature = "quota")]
pub use quota::Quota;
pub use read_dir::{DirEntry, ReadDir};
pub use read_only::{Access, ReadOnly};
pub use set_times::{SetTime, SetTimes};
pub use work::add_work;
pub(crate) use work::take_work;
