//! A file of the host.

use std::fs::{File as StdFile, FileTimes};
use std::io;

use super::errno::errno;
use super::metadata::{metadata, system_time};
use crate::Errno;
use crate::fs::{File, Metadata, SetTimes};

#[derive(Debug)]
pub(super) struct HostFile {
    file: StdFile,
}

impl HostFile {
    pub(super) fn new(file: StdFile) -> Self {
        Self { file }
    }
}

impl File for HostFile {
    fn metadata(&self) -> Result<Metadata, Errno> {
        let host = cap_std::fs::Metadata::from_file(&self.file).map_err(errno)?;
        Ok(metadata(&host))
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize, Errno> {
        retry(|| positioned::read_at(&self.file, buf, offset))
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> Result<usize, Errno> {
        retry(|| positioned::write_at(&self.file, buf, offset))
    }

    #[cfg(target_os = "linux")]
    fn append(&self, buf: &[u8]) -> Result<usize, Errno> {
        use rustix::io::{Errno as Host, ReadWriteFlags, pwritev2};
        let bufs = [io::IoSlice::new(buf)];
        loop {
            // The kernel finds the end and writes there atomically, also if others append.
            match pwritev2(&self.file, &bufs, 0, ReadWriteFlags::APPEND) {
                Err(Host::INTR) => {}
                Err(Host::OPNOTSUPP | Host::NOSYS) => {
                    return self.write_at(buf, self.metadata()?.size_bytes);
                }
                result => return result.map_err(|host| errno(host.into())),
            }
        }
    }

    fn set_size(&self, size_bytes: u64) -> Result<(), Errno> {
        self.file.set_len(size_bytes).map_err(errno)
    }

    #[cfg(target_os = "linux")]
    fn allocate(&self, offset: u64, len: u64) -> Result<(), Errno> {
        use rustix::fs::{FallocateFlags, fallocate};
        let allocated = fallocate(&self.file, FallocateFlags::empty(), offset, len);
        allocated.map_err(|host| errno(host.into()))
    }

    fn set_times(&self, times: SetTimes) -> Result<(), Errno> {
        let mut host = FileTimes::new();
        if let Some(accessed) = times.accessed {
            host = host.set_accessed(system_time(accessed));
        }
        if let Some(modified) = times.modified {
            host = host.set_modified(system_time(modified));
        }
        self.file.set_times(host).map_err(errno)
    }

    #[cfg(unix)]
    fn set_permissions(&self, bits: u32) -> Result<(), Errno> {
        use std::os::unix::fs::PermissionsExt;
        let permissions = std::fs::Permissions::from_mode(bits);
        self.file.set_permissions(permissions).map_err(errno)
    }

    fn sync(&self) -> Result<(), Errno> {
        self.file.sync_all().map_err(errno)
    }

    fn sync_data(&self) -> Result<(), Errno> {
        self.file.sync_data().map_err(errno)
    }
}

fn retry(mut transfer: impl FnMut() -> io::Result<usize>) -> Result<usize, Errno> {
    loop {
        match transfer() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result.map_err(errno),
        }
    }
}

#[cfg(unix)]
mod positioned {
    use std::os::unix::fs::FileExt;

    use super::{StdFile, io};

    pub(super) fn read_at(file: &StdFile, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        file.read_at(buf, offset)
    }

    pub(super) fn write_at(file: &StdFile, buf: &[u8], offset: u64) -> io::Result<usize> {
        file.write_at(buf, offset)
    }
}

/// These move the position of the host's file, which is not used.
#[cfg(windows)]
mod positioned {
    use std::os::windows::fs::FileExt;

    use super::{StdFile, io};

    pub(super) fn read_at(file: &StdFile, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        file.seek_read(buf, offset)
    }

    pub(super) fn write_at(file: &StdFile, buf: &[u8], offset: u64) -> io::Result<usize> {
        file.seek_write(buf, offset)
    }
}
