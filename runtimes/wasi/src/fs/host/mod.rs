//! A directory of the host.

mod dir;
mod errno;
mod file;
mod metadata;

pub use dir::HostDir;
