//! How the times of a file are to be changed.

/// What one time becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SetTime {
    /// The time of the filesystem's own clock.
    Now,
    /// Nanoseconds since 1970-01-01T00:00:00Z.
    At(u64),
}

/// Which times change, and to what; `None` keeps a time as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct SetTimes {
    /// When the file was last read.
    pub accessed: Option<SetTime>,
    /// When the contents were last changed.
    pub modified: Option<SetTime>,
}
