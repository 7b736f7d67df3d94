//! Maps attributes of the host's files to WASI.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cap_fs_ext::{FileTypeExt, MetadataExt};

use crate::fs::{FileType, Metadata, SetTime};

pub(super) fn metadata(host: &cap_std::fs::Metadata) -> Metadata {
    let mut metadata = Metadata::new(file_type(host.file_type()), MetadataExt::ino(host));
    metadata.dev = MetadataExt::dev(host);
    metadata.n_links = MetadataExt::nlink(host);
    metadata.size_bytes = host.len();
    metadata.accessed_ns = host
        .accessed()
        .map_or(0, |time| saturating_ns(time.into_std()));
    metadata.modified_ns = host
        .modified()
        .map_or(0, |time| saturating_ns(time.into_std()));
    metadata.permissions = permissions(host);
    metadata.changed_ns = changed_ns(host).unwrap_or(metadata.modified_ns);
    metadata
}

pub(super) fn file_type(host: cap_std::fs::FileType) -> FileType {
    if host.is_dir() {
        FileType::Directory
    } else if host.is_file() {
        FileType::RegularFile
    } else if host.is_symlink() {
        FileType::SymbolicLink
    } else if host.is_block_device() {
        FileType::BlockDevice
    } else if host.is_char_device() {
        FileType::CharacterDevice
    } else if host.is_socket() {
        FileType::SocketStream
    } else {
        FileType::Unknown
    }
}

/// A time that a guest sets, as the host represents it.
pub(super) fn system_time(time: SetTime) -> SystemTime {
    match time {
        SetTime::Now => SystemTime::now(),
        // A time that the host cannot represent becomes 1970.
        SetTime::At(ns) => UNIX_EPOCH
            .checked_add(Duration::from_nanos(ns))
            .unwrap_or(UNIX_EPOCH),
    }
}

/// WASI represents the years 1970 to 2554; other times saturate.
fn saturating_ns(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}

#[cfg(unix)]
fn changed_ns(host: &cap_std::fs::Metadata) -> Option<u64> {
    use cap_std::fs::MetadataExt;
    let ns = i128::from(host.ctime()) * 1_000_000_000 + i128::from(host.ctime_nsec());
    Some(u64::try_from(ns.max(0)).unwrap_or(u64::MAX))
}

#[cfg(not(unix))]
fn changed_ns(_host: &cap_std::fs::Metadata) -> Option<u64> {
    None
}

#[cfg(unix)]
fn permissions(host: &cap_std::fs::Metadata) -> Option<u32> {
    use cap_std::fs::MetadataExt;
    Some(host.mode() & 0o777)
}

#[cfg(not(unix))]
fn permissions(_host: &cap_std::fs::Metadata) -> Option<u32> {
    None
}
