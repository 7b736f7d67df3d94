//! Misuse of the ABI.

use rangewatch_bus::EmitError;

use crate::abi::gen1::{PAGE, RECV};
use crate::engine::bounds::OutOfBounds;

/// Misuse of the ABI by a guest, or an emit that the bus refused. The guest traps.
///
/// # Examples
///
/// ```
/// use rangewatch_runtime::abi::AbiError;
/// use rangewatch_runtime::{CallError, Guest};
///
/// # async fn example(guest: &Guest) {
/// match guest.call("work", &[]).await {
///     Err(CallError::Abi { source: AbiError::NotAttached, .. }) => {
///         eprintln!("the guest emits before it is initialized");
///     }
///     Err(error) => eprintln!("{error}"),
///     Ok(results) => println!("{results:?}"),
/// }
/// # }
/// ```
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AbiError {
    /// An import was called before the host knew the meta page: from the start section, from
    /// `_initialize`, or from the export that returns the page.
    #[error(
        "a range-watch function was called before the guest was initialized: \
         the host asks `{PAGE}` for the meta page only after the start section and `_initialize`, \
         and `{PAGE}` itself must call no such function"
    )]
    NotAttached,
    /// The guest has not set all addresses of its meta page.
    #[error(
        "the guest has not set up its meta page at {address}: initialize the guest first, a command \
         by `_start`, a reactor by `_initialize`"
    )]
    PageNotSet {
        /// The address of the page, in bytes.
        address: u32,
    },
    /// A part of the meta page, or something it points to, is outside of the memory.
    #[error("{what} is outside of the memory")]
    OutOfBounds {
        /// The name of the slot.
        what: &'static str,
        /// The address and the length.
        source: OutOfBounds,
    },
    /// The guest says that its buffer holds more than fits.
    #[error("buf_len is {len} but buf_cap is {cap}")]
    BufferOverfull {
        /// The value of `buf_len`, in bytes.
        len: u32,
        /// The value of `buf_cap`, in bytes.
        cap: u32,
    },
    /// The guest flushes more than its limit.
    #[error(
        "the flush has {bytes} bytes but `Limits::flush_bytes` is {max_bytes}: flush in several turns"
    )]
    FlushTooLarge {
        /// What the guest flushes, in bytes.
        bytes: usize,
        /// The limit, in bytes.
        max_bytes: usize,
    },
    /// The guest flushes more keys than its limit.
    #[error(
        "the flush has more than {max_keys} keys, which is `Limits::flush_keys`: flush in several turns"
    )]
    FlushTooManyKeys {
        /// The limit.
        max_keys: usize,
    },
    /// The guest flushes a key that is longer than its limit.
    #[error("a key has {bytes} bytes but `Limits::key_bytes` is {max_bytes}")]
    KeyTooLong {
        /// The length of the key, in bytes.
        bytes: usize,
        /// The limit, in bytes.
        max_bytes: usize,
    },
    /// A key is announced with more bytes than are left.
    #[error(
        "the key list is cut short: key {index} at byte {offset} needs more bytes than buf_len has left"
    )]
    KeysCutShort {
        /// Which key, from 0.
        index: usize,
        /// The offset of its length in the buffer, in bytes.
        offset: usize,
    },
    /// The buffer of `open` does not hold an id and the two ends of a range.
    #[error(
        "open takes exactly 3 keys (id, from, to), but the buffer holds {}",
        if *n_keys < 4 { &n_keys as &dyn std::fmt::Display } else { &"more" }
    )]
    OpenKeys {
        /// How many there were; 4 stands for more than 3.
        n_keys: usize,
    },
    /// `start` by a guest that cannot receive.
    #[error("start needs the export `{RECV}`, which this guest does not have")]
    NoRecv,
    /// The id of a watch does not fit the buffer of the instance that is to receive.
    #[error(
        "the id of the watch takes {id_bytes} bytes of buf, but this instance's buf_cap is {cap}"
    )]
    IdTooLong {
        /// What the recv needs, in bytes: the length of the id, and in generation 2 the 14 bytes of
        /// a batch around it.
        id_bytes: usize,
        /// The value of `buf_cap`, in bytes.
        cap: u32,
    },
    /// The bus refused the emit.
    #[error("the bus refused the emit")]
    Emit(#[source] EmitError),
    /// The bus has history and refused a flush of the same value as the last: one of several that
    /// make up an emit of many keys.
    #[error(
        "the bus refused a flush of the same value as the last emit; a guest that needs several \
         flushes for one emit stages its emits: use `Emits::Staged`, or `GuestAbi::staged` with a linker of your own"
    )]
    EmitNotStaged(#[source] EmitError),
    /// The guest stages more bytes in one call than its limit.
    #[error(
        "the staged emits exceed `Limits::staged_bytes`, which is {max_bytes}: emit less in one call"
    )]
    StagedFull {
        /// The limit, in bytes.
        max_bytes: usize,
    },
    /// The guest stages more keys in one call than its limit.
    #[error(
        "the staged emits exceed `Limits::staged_keys`, which is {max_keys}: emit less in one call"
    )]
    StagedTooManyKeys {
        /// The limit.
        max_keys: usize,
    },
    /// The staged emits of one call match more subscriptions than its limit.
    #[error(
        "the staged emits match more subscriptions than `Limits::staged_matches`, which is \
         {max_matches}: emit less in one call"
    )]
    StagedTooManyMatches {
        /// The limit.
        max_matches: usize,
    },
    /// The emits of one flush of generation 2 match more subscriptions than they may.
    #[error(
        "the emits of the flush match more than {max_matches} subscriptions: flush in several turns"
    )]
    FlushTooManyMatches {
        /// The limit, [`Limits::MAX_FLUSH_MATCHES`](crate::Limits::MAX_FLUSH_MATCHES).
        max_matches: usize,
    },
    /// `output_write` outside of a call that takes an output.
    #[error(
        "there is no output: the host called this export without bytes, use `Guest::call_bytes`"
    )]
    NoOutput,
    /// The guest writes more output in one call than its limit.
    #[error(
        "the output exceeds `Limits::output_bytes`, which is {max_bytes}: return less, or in several calls"
    )]
    OutputTooLarge {
        /// The limit, in bytes.
        max_bytes: usize,
    },
    /// What was staged belongs to a commit hook, which only the managed way runs.
    #[error(
        "the bus has a commit hook, which only guests made by `Guest::builder` run: give a guest in \
         a linker of your own a bus without one"
    )]
    CommitHook,
}
