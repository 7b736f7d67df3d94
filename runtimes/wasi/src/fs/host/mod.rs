//! Directories of the host as a filesystem.

#[cfg(target_os = "linux")]
mod descend;
mod dir;
mod errno;
mod file;
mod metadata;

pub use dir::HostDir;
