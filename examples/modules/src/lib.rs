//! Three modules of host functions that an embedder writes with the public API, and a guest that
//! uses them. The README explains the parts, in the order in which to read them: [`cache`],
//! [`buffers`], [`kv`], and [`Host`], which joins them.
#![forbid(unsafe_code)]

pub mod buffers;
pub mod cache;
mod host;
pub mod kv;
mod tour;

pub use host::{Change, GUEST, Host, Stream};
pub use tour::tour;

/// Compiles the code of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
