//! Builds the playground into a folder of static files, and serves a folder.

mod build;
mod serve;

pub use build::{Sizes, build, default_out};
pub use serve::Server;
