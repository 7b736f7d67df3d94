//! Errors: the kind, the fields and the message of each.

use std::fmt;

use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::key::Key;
use crate::{
    BatchFullError, BuildError, Closed, CompactError, ControlError, EmitError, EmptyRangeError,
    FollowError, MirrorStopped, ParseSelectorError, ProgressError, RecvError, RestoreError,
    SubscribeError, TryRecvError, TryWakeError,
};

/// Serializes an error as a struct of `kind`, its fields and `message`. A match on all variants, so
/// that a new one cannot be left out.
macro_rules! serialize_error {
    ($error:ident $(<$scan:ident: $bound:path>)? { $($pattern:pat => $kind:literal $({ $($field:ident: $value:expr),+ })?,)+ }) => {
        impl $(<$scan: $bound>)? Serialize for $error $(<$scan>)? {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $($pattern => {
                        let n_fields = 2 $($(+ { _ = stringify!($field); 1 })+)?;
                        let mut error = serializer.serialize_struct(stringify!($error), n_fields)?;
                        error.serialize_field("kind", $kind)?;
                        $($(error.serialize_field(stringify!($field), &$value)?;)+)?
                        error.serialize_field("message", &Message(self))?;
                        error.end()
                    })+
                }
            }
        }
    };
}

serialize_error!(RecvError {
    Self::Lagged(missed) => "lagged" { missed: missed },
    Self::Coalesced(gap) => "coalesced" { gap: gap },
    Self::Disconnected { resume } => "disconnected" { resume: resume },
    Self::Compacted { floor, epoch } => "compacted" { floor: floor, epoch: epoch },
    Self::Closed => "closed",
});

serialize_error!(TryRecvError {
    Self::Empty => "empty",
    Self::CatchingUp => "catching_up",
    Self::NotStarted => "not_started",
    Self::Lagged(missed) => "lagged" { missed: missed },
    Self::Coalesced(gap) => "coalesced" { gap: gap },
    Self::Disconnected { resume } => "disconnected" { resume: resume },
    Self::Compacted { floor, epoch } => "compacted" { floor: floor, epoch: epoch },
    Self::Closed => "closed",
});

serialize_error!(Closed {
    Self => "closed",
});

serialize_error!(TryWakeError {
    Self::Empty => "empty",
    Self::NotStarted => "not_started",
    Self::Closed => "closed",
});

serialize_error!(EmitError {
    Self::Closed => "closed",
    Self::NotIncreasing { value, head } => "not_increasing" { value: value, head: head },
    Self::LastValue => "last_value",
    Self::NoHistory => "no_history",
    Self::TooManyMatched { max_matched } => "too_many_matched" { max_matched: max_matched },
});

serialize_error!(SubscribeError {
    Self::EmptyRange { from, to } => "empty_range" { from: Key(from), to: Key(to) },
    Self::ZeroCapacity => "zero_capacity",
    Self::ZeroInterval => "zero_interval",
    Self::NoQueue => "no_queue",
    Self::SinceReserved => "since_reserved",
    Self::FollowReserved => "follow_reserved",
    Self::SinceMirror => "since_mirror",
    Self::Compacted { floor, epoch } => "compacted" { floor: floor, epoch: epoch },
    Self::NoHistory => "no_history",
    Self::TooManySubscriptions { max } => "too_many_subscriptions" { max: max },
    Self::Closed => "closed",
});

serialize_error!(FollowError<E: fmt::Display> {
    Self::Scan(error) => "scan" { error: Message(error) },
    Self::Subscribe(error) => "subscribe" { error: error },
    Self::SnapshotTooSlow { n_snapshots } => "snapshot_too_slow" { n_snapshots: n_snapshots },
});

serialize_error!(MirrorStopped {
    Self { value } => "mirror_stopped" { value: value },
});

serialize_error!(ControlError {
    Self::NotOpen => "not_open",
    Self::AlreadyOpen => "already_open",
    Self::EmptyRange { from, to } => "empty_range" { from: Key(from), to: Key(to) },
    Self::Ended => "ended",
    Self::Closed => "closed",
});

serialize_error!(EmptyRangeError {
    Self { from, to } => "empty_range" { from: Key(from), to: Key(to) },
});

serialize_error!(ParseSelectorError {
    Self::UnknownForm { text } => "unknown_form" { text: text },
    Self::MissingDots { text } => "missing_dots" { text: text },
    Self::BadEscape { text } => "bad_escape" { text: text },
});

serialize_error!(BuildError {
    Self::EmptyHistory => "empty_history",
    Self::HeadWithoutHistory => "head_without_history",
    Self::EpochWithoutHistory => "epoch_without_history",
    Self::LastHead => "last_head",
    Self::ZeroSubscriptions => "zero_subscriptions",
});

serialize_error!(CompactError {
    Self::AboveHead { value, head } => "above_head" { value: value, head: head },
    Self::NoHistory => "no_history",
});

serialize_error!(RestoreError {
    Self::NoHistory => "no_history",
    Self::LastHead => "last_head",
    Self::Closed => "closed",
});

serialize_error!(BatchFullError {
    Self { max_bytes } => "batch_full" { max_bytes: max_bytes },
});

serialize_error!(ProgressError {
    Self::NoHistory => "no_history",
});

struct Message<'a, E>(&'a E);

impl<E: fmt::Display> Serialize for Message<'_, E> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self.0)
    }
}
