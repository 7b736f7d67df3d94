//! Directories of the host.

use std::io;
use std::path::{Component, Path};
use std::sync::Arc;

use cap_fs_ext::{
    DirExt, FollowSymlinks, OpenOptionsFollowExt, OpenOptionsMaybeDirExt, OpenOptionsSyncExt,
    SystemTimeSpec,
};
use cap_std::ambient_authority;
use cap_std::fs::Dir as CapDir;

#[cfg(target_os = "linux")]
use super::descend::Descent;
use super::errno::errno;
use super::file::HostFile;
use super::metadata::{file_type, metadata, system_time};
use crate::Errno;
use crate::fs::{Create, Dir, DirEntry, Metadata, Node, OpenOptions, ReadDir, SetTime, SetTimes};

/// A directory of the host, and everything below it.
///
/// The directory is held open: it stays the same directory when it is renamed, and a directory that
/// takes its old path is not seen. Paths are resolved one component at a time: each is opened in an
/// open directory, without following symbolic links. The context follows links and never leaves the
/// directory. On Linux, several components are opened by one `openat2` that stays beneath the
/// directory and follows no links. A guest therefore stays inside the directory even while other
/// processes rename it or replace parts of it by links.
///
/// The guest has the permissions of the host's process; [`Access::ReadOnly`](crate::fs::Access)
/// takes writing away.
///
/// DIFFERENCE: names that are not UTF-8 are left out of listings, as WASI cannot represent them.
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::Wasi;
/// use rangewatch_wasi::fs::{Access, HostDir};
///
/// let dir = std::env::temp_dir();
/// let ctx = Wasi::builder().preopen("/", HostDir::open(&dir)?, Access::ReadOnly).build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct HostDir {
    dir: CapDir,
    #[cfg(target_os = "linux")]
    descent: Arc<Descent>,
}

impl HostDir {
    /// Opens the directory at `path` with the permissions of the host's process.
    ///
    /// # Errors
    ///
    /// The error of the operating system: `path` does not exist, is not a directory, or may not be
    /// opened.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let dir = CapDir::open_ambient_dir(path, ambient_authority())?;
        Ok(Self {
            dir,
            #[cfg(target_os = "linux")]
            descent: Arc::default(),
        })
    }

    /// The number of paths of two or more directories that this directory, and those opened through
    /// it, have opened by one `openat2`. For tests of the sandbox, which must not pass without it.
    #[cfg(all(target_os = "linux", feature = "conformance"))]
    #[doc(hidden)]
    #[must_use]
    pub fn n_descents(&self) -> u64 {
        self.descent.n_descents()
    }

    /// A directory that was opened through this one.
    fn below(&self, dir: CapDir) -> Arc<Self> {
        Arc::new(Self {
            dir,
            #[cfg(target_os = "linux")]
            descent: Arc::clone(&self.descent),
        })
    }

    /// The symbolic link at `name`, which could not be opened because of `refused`. Returns
    /// `refused` if it is no link.
    fn symlink_or(&self, name: &str, refused: Errno) -> Result<Node, Errno> {
        match self.read_link(name) {
            Ok(target) => Ok(Node::Symlink(target)),
            Err(Errno::Inval | Errno::Noent) => Err(refused),
            Err(errno) => Err(errno),
        }
    }
}

/// Refuses a name that is more than one component on this host, such as `a\b` and `c:` on Windows.
fn check(name: &str) -> Result<&str, Errno> {
    if cfg!(unix) {
        return Ok(name);
    }
    let mut components = Path::new(name).components();
    match (components.next(), components.next()) {
        (Some(Component::Normal(only)), None) if only == name && !name.contains(':') => Ok(name),
        _ => Err(Errno::Inval),
    }
}

fn same_fs(dir: &dyn Dir) -> Result<&HostDir, Errno> {
    dir.as_any().downcast_ref().ok_or(Errno::Xdev)
}

impl Dir for HostDir {
    fn metadata(&self) -> Result<Metadata, Errno> {
        Ok(metadata(&self.dir.dir_metadata().map_err(errno)?))
    }

    fn lookup(&self, name: &str) -> Result<Node, Errno> {
        let options = OpenOptions {
            read: true,
            ..OpenOptions::default()
        };
        self.open(name, options)
    }

    fn read_dir(&self) -> Result<ReadDir, Errno> {
        let entries = self.dir.entries().map_err(errno)?;
        Ok(Box::new(entries.filter_map(|entry| match entry {
            Err(error) => Some(Err(errno(error))),
            Ok(entry) => entry.file_name().into_string().ok().map(|name| {
                let file_type = file_type(entry.file_type().map_err(errno)?);
                Ok(DirEntry::new(name, file_type, ino(&entry)?))
            }),
        })))
    }

    fn lookup_dir(&self, name: &str) -> Result<Node, Errno> {
        match self.dir.open_dir_nofollow(check(name)?).map_err(errno) {
            Ok(dir) => Ok(Node::Dir(self.below(dir))),
            Err(refused @ (Errno::Notdir | Errno::Loop)) => self.symlink_or(name, refused),
            Err(errno) => Err(errno),
        }
    }

    #[cfg(target_os = "linux")]
    fn descend(&self, names: &str) -> Result<Option<Arc<dyn Dir>>, Errno> {
        let dir = self.descent.open(&self.dir, names)?;
        Ok(dir.map(|dir| self.below(dir) as Arc<dyn Dir>))
    }

    fn open(&self, name: &str, options: OpenOptions) -> Result<Node, Errno> {
        if options.directory {
            return match self.lookup_dir(name)? {
                Node::Dir(_) if options.is_mutating() => Err(Errno::Isdir),
                node => Ok(node),
            };
        }
        let mut host = cap_std::fs::OpenOptions::new();
        let writes = options.write || options.truncate || options.create != Create::Never;
        host.read(options.read || !options.write)
            .write(writes)
            .truncate(options.truncate)
            .create(options.create == Create::IfMissing)
            .create_new(options.create == Create::New)
            .follow(FollowSymlinks::No)
            .maybe_dir(true)
            // Opening a pipe that has no writer must not block.
            .nonblock(true);
        let file = match self.dir.open_with(check(name)?, &host).map_err(errno) {
            Ok(file) => file.into_std(),
            // The errno for a link that must not be followed differs between systems.
            Err(refused @ (Errno::Loop | Errno::Mlink | Errno::Notdir)) => {
                return self.symlink_or(name, refused);
            }
            Err(errno) => return Err(errno),
        };
        if file.metadata().map_err(errno)?.is_dir() {
            let dir = CapDir::from_std_file(file);
            return Ok(Node::Dir(self.below(dir)));
        }
        Ok(Node::File(Arc::new(HostFile::new(file))))
    }

    fn metadata_at(&self, name: &str) -> Result<Metadata, Errno> {
        let host = self.dir.symlink_metadata(check(name)?).map_err(errno)?;
        Ok(metadata(&host))
    }

    fn read_link(&self, name: &str) -> Result<String, Errno> {
        let target = self.dir.read_link_contents(check(name)?).map_err(errno)?;
        target
            .into_os_string()
            .into_string()
            .map_err(|_| Errno::Ilseq)
    }

    fn create_dir(&self, name: &str) -> Result<(), Errno> {
        self.dir.create_dir(check(name)?).map_err(errno)
    }

    fn symlink(&self, name: &str, target: &str) -> Result<(), Errno> {
        DirExt::symlink(&self.dir, target, check(name)?).map_err(errno)
    }

    fn link(&self, name: &str, to: &dyn Dir, to_name: &str) -> Result<(), Errno> {
        let to = same_fs(to)?;
        let linked = self.dir.hard_link(check(name)?, &to.dir, check(to_name)?);
        linked.map_err(errno)
    }

    fn rename(&self, name: &str, to: &dyn Dir, to_name: &str) -> Result<(), Errno> {
        let to = same_fs(to)?;
        let renamed = self.dir.rename(check(name)?, &to.dir, check(to_name)?);
        renamed.map_err(errno)
    }

    fn remove_file(&self, name: &str) -> Result<(), Errno> {
        match self.dir.remove_file_or_symlink(check(name)?).map_err(errno) {
            // Some systems report a permission error instead.
            Err(Errno::Perm | Errno::Acces)
                if self
                    .metadata_at(name)
                    .is_ok_and(|found| found.file_type == crate::fs::FileType::Directory) =>
            {
                Err(Errno::Isdir)
            }
            removed => removed,
        }
    }

    fn remove_dir(&self, name: &str) -> Result<(), Errno> {
        match self.dir.remove_dir(check(name)?).map_err(errno) {
            // POSIX allows either errno.
            Err(Errno::Exist) => Err(Errno::Notempty),
            removed => removed,
        }
    }

    fn set_times(&self, times: SetTimes) -> Result<(), Errno> {
        let set = DirExt::set_times(
            &self.dir,
            ".",
            times.accessed.map(spec),
            times.modified.map(spec),
        );
        set.map_err(errno)
    }

    #[cfg(unix)]
    fn set_permissions(&self, bits: u32) -> Result<(), Errno> {
        use rustix::fs::{AtFlags, Mode, RawMode, chmodat};
        let mode = Mode::from_raw_mode(bits as RawMode);
        let set = chmodat(&self.dir, ".", mode, AtFlags::empty());
        set.map_err(|host| errno(host.into()))
    }

    fn set_times_at(&self, name: &str, times: SetTimes) -> Result<(), Errno> {
        let set = self.dir.set_symlink_times(
            check(name)?,
            times.accessed.map(spec),
            times.modified.map(spec),
        );
        set.map_err(errno)
    }

    fn sync(&self) -> Result<(), Errno> {
        // `self.dir` may be open with `O_PATH`, which Linux does not synchronize.
        let mut host = cap_std::fs::OpenOptions::new();
        host.read(true).maybe_dir(true);
        let dir = self.dir.open_with(".", &host).map_err(errno)?;
        dir.into_std().sync_all().map_err(errno)
    }
}

fn spec(time: SetTime) -> SystemTimeSpec {
    match time {
        SetTime::Now => SystemTimeSpec::SymbolicNow,
        SetTime::At(_) => {
            SystemTimeSpec::Absolute(cap_std::time::SystemTime::from_std(system_time(time)))
        }
    }
}

#[cfg(unix)]
fn ino(entry: &cap_std::fs::DirEntry) -> Result<u64, Errno> {
    Ok(rustix::fs::DirEntryExt::ino(entry))
}

#[cfg(not(unix))]
fn ino(entry: &cap_std::fs::DirEntry) -> Result<u64, Errno> {
    let host = cap_fs_ext::DirEntryExt::full_metadata(entry).map_err(errno)?;
    Ok(cap_fs_ext::MetadataExt::ino(&host))
}
