//! Changes of a file's times.

/// The new value of one time.
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::fs::{Dir, IntoDir, MemoryFs, SetTime, SetTimes};
///
/// let root = MemoryFs::new().into_dir();
/// let mut times = SetTimes::default();
/// times.accessed = Some(SetTime::Now);
/// root.set_times(times)?;
/// # Ok::<(), rangewatch_wasi::Errno>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SetTime {
    /// The current time of the filesystem's clock.
    Now,
    /// Nanoseconds since 1970-01-01T00:00:00Z.
    At(u64),
}

/// New values for the times of a file; `None` leaves a time unchanged.
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::fs::{Dir, IntoDir, MemoryFs, SetTime, SetTimes};
///
/// let root = MemoryFs::with_files([("file", "")])?.into_dir();
/// let mut times = SetTimes::default();
/// times.modified = Some(SetTime::At(1_000));
/// root.set_times_at("file", times)?;
/// assert_eq!(root.metadata_at("file")?.modified_ns, 1_000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct SetTimes {
    /// The time of the last read.
    pub accessed: Option<SetTime>,
    /// The time of the last change of the contents.
    pub modified: Option<SetTime>,
}
