//! A store on disk that emits what it commits, and a consumer that continues after a restart.
#![forbid(unsafe_code)]

mod audit;
mod store;

use rangewatch_bus::{BuildError, EmitError, FollowError, SubscribeError};

pub use audit::Audit;
pub use store::{Changes, Store, Value};

/// Whatever goes wrong in this example.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The database.
    #[error(transparent)]
    Store(#[from] redb::Error),
    /// The bus could not be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The transaction was committed, but not emitted.
    #[error("committed, and not emitted before the store is opened again: {0}")]
    Emit(#[from] EmitError),
    /// A consumer could not subscribe.
    #[error(transparent)]
    Subscribe(#[from] SubscribeError),
    /// A consumer could not follow.
    #[error(transparent)]
    Follow(#[from] FollowError<redb::Error>),
    /// The file of a consumer.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}
