//! Device files.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::dev::next_dev;
use super::{Create, Dir, DirEntry, File, FileType, Metadata, Node, OpenOptions, ReadDir};
use crate::{Errno, Random};

/// The devices by name. Their inode numbers are 2, 3 and so on, in this order.
const NAMES: [(&str, Device); 5] = [
    ("null", Device::Null),
    ("zero", Device::Zero),
    ("full", Device::Full),
    ("random", Device::Random),
    ("urandom", Device::Random),
];

#[derive(Clone, Copy)]
enum Device {
    Null,
    Zero,
    Full,
    Random,
}

/// A directory of device files, for a guest that opens them in `/dev`.
///
/// | name | read | write |
/// |---|---|---|
/// | `null` | end of file | discarded |
/// | `zero` | endless zeros | discarded |
/// | `full` | endless zeros | fails with [`Errno::Nospc`] |
/// | `random`, `urandom` | endless random bytes | discarded |
///
/// Devices have no size and no times: truncation on opening has no effect, and setting a size
/// fails. No entries can be created or removed. A guest that writes to devices needs
/// [`Access::ReadWrite`](super::Access::ReadWrite).
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::fs::{Access, Devices};
/// use rangewatch_wasi::{SystemRandom, Wasi};
///
/// let devices = Devices::new(SystemRandom::new());
/// let ctx = Wasi::builder().preopen("/dev", devices, Access::ReadWrite).build()?;
/// # Ok::<(), rangewatch_wasi::WasiBuildError>(())
/// ```
pub struct Devices {
    dev: u64,
    random: Arc<Mutex<dyn Random>>,
}

impl Devices {
    /// Makes devices whose random bytes come from `random`. This source is independent of the one
    /// that [`random_get`](crate::preview1::random_get) reads.
    #[must_use]
    pub fn new(random: impl Random + 'static) -> Self {
        Self {
            dev: next_dev(),
            random: Arc::new(Mutex::new(random)),
        }
    }

    fn find(name: &str) -> Result<(u64, Device), Errno> {
        let mut devices = (2..).zip(NAMES);
        let found = devices.find(|(_, (other, _))| *other == name);
        found
            .map(|(ino, (_, device))| (ino, device))
            .ok_or(Errno::Noent)
    }
}

impl Dir for Devices {
    fn metadata(&self) -> Result<Metadata, Errno> {
        let mut metadata = Metadata::new(FileType::Directory, 1);
        metadata.dev = self.dev;
        Ok(metadata)
    }

    fn lookup(&self, name: &str) -> Result<Node, Errno> {
        let (ino, device) = Self::find(name)?;
        Ok(Node::File(Arc::new(DeviceFile {
            dev: self.dev,
            ino,
            device,
            random: Arc::clone(&self.random),
        })))
    }

    fn read_dir(&self) -> Result<ReadDir, Errno> {
        let entry = |(ino, (name, _))| Ok(DirEntry::new(name, FileType::CharacterDevice, ino));
        Ok(Box::new((2..).zip(NAMES).map(entry)))
    }

    fn open(&self, name: &str, options: OpenOptions) -> Result<Node, Errno> {
        match self.lookup(name) {
            Err(Errno::Noent) if options.create != Create::Never => Err(Errno::Rofs),
            Ok(_) if options.create == Create::New => Err(Errno::Exist),
            Ok(_) if options.directory => Err(Errno::Notdir),
            node => node,
        }
    }
}

impl fmt::Debug for Devices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Devices").finish_non_exhaustive()
    }
}

struct DeviceFile {
    dev: u64,
    ino: u64,
    device: Device,
    random: Arc<Mutex<dyn Random>>,
}

impl File for DeviceFile {
    fn metadata(&self) -> Result<Metadata, Errno> {
        let mut metadata = Metadata::new(FileType::CharacterDevice, self.ino);
        metadata.dev = self.dev;
        Ok(metadata)
    }

    fn read_at(&self, buf: &mut [u8], _offset: u64) -> Result<usize, Errno> {
        match self.device {
            Device::Null => return Ok(0),
            Device::Zero | Device::Full => buf.fill(0),
            Device::Random => {
                // A generator that panicked under the lock stays usable: the next call fills the
                // buffer or fails.
                let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
                random.fill(buf)?;
            }
        }
        Ok(buf.len())
    }

    fn write_at(&self, buf: &[u8], _offset: u64) -> Result<usize, Errno> {
        match self.device {
            Device::Full => Err(Errno::Nospc),
            Device::Null | Device::Zero | Device::Random => Ok(buf.len()),
        }
    }

    fn set_size(&self, _size_bytes: u64) -> Result<(), Errno> {
        Err(Errno::Inval)
    }
}
