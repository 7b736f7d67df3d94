//! Filesystems that a guest can be given.
//!
//! A filesystem is anything that implements [`Dir`]: a directory in which names are looked up one at a time, and which
//! answers with [`Node`]s, among them more directories and [`File`]s. A guest gets one with
//! [`WasiBuilder::preopen`](crate::WasiBuilder::preopen). Shipped are
//!
//! - [`MemoryFs`], in the memory of the host;
//! - `HostDir`, directories of the host, behind the feature `host-dir`;
//! - [`Devices`], such as `null` and `random`;
//!
//! and what is made of others:
//!
//! - [`ReadOnly`], which nobody can change;
//! - [`Quota`], which holds only so much;
//! - [`Overlay`], which leaves what it changes as it is;
//! - [`Mounts`], directories under one root.
//!
//! # What the context does, and what a filesystem need not
//!
//! One resolver walks the paths of a guest, for every filesystem: it splits them, keeps to the preopened directory whatever
//! `..` and symbolic links say, counts the links that it follows, and knows what a trailing slash means. A filesystem sees
//! **names**: single components of at most [`MAX_NAME_BYTES`](crate::MAX_NAME_BYTES) bytes, never empty, never `.` or `..`,
//! without `/` and NUL. It never follows a symbolic link; it says that there is one. Rights, positions, appending and
//! listings that go on where they stopped belong to the context as well.
//!
//! # A filesystem of one's own
//!
//! Three methods make one that can be read; what it does not override is refused with [`Errno::Notsup`](crate::Errno::Notsup).
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
//!         let number = name.parse::<u64>().ok().filter(|n| (1..10).contains(n) && *name == n.to_string());
//!         let number = number.ok_or(Errno::Noent)?;
//!         let text = format!("{}\n", number * number);
//!         Ok(Node::File(Arc::new(BytesFile::new(number, text))))
//!     }
//!
//!     fn read_dir(&self) -> Result<ReadDir, Errno> {
//!         let files = (1..10).map(|n: u64| Ok(DirEntry::new(n.to_string(), FileType::RegularFile, n)));
//!         Ok(Box::new(files))
//!     }
//! }
//!
//! let ctx = Wasi::builder().preopen("/squares", Squares, Access::ReadOnly).build()?;
//!
//! // Among the tests: makes one of each scenario, which looks at the filesystem as a guest does.
//! rangewatch_wasi::read_only_filesystem_tests!(Squares);
//! # Ok::<(), rangewatch_wasi::WasiBuildError>(())
//! ```
//!
//! Whether it is what guests expect, `fs::conformance` tells, the suite that the filesystems of this crate pass. It is behind
//! the feature `conformance`, for the dev-dependencies of a crate:
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
mod overlay;
mod quota;
mod read_dir;
mod read_only;
pub(crate) mod resolver;
mod set_times;

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
pub use overlay::Overlay;
pub use quota::Quota;
pub use read_dir::{DirEntry, ReadDir};
pub use read_only::{Access, ReadOnly};
pub use set_times::{SetTime, SetTimes};
