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

use super::errno::errno;
use super::file::HostFile;
use super::metadata::{file_type, metadata, system_time};
use crate::Errno;
use crate::fs::{Create, Dir, DirEntry, Metadata, Node, OpenOptions, ReadDir, SetTime, SetTimes};

/// A directory of the host, and everything below it.
///
/// The directory is held open: it may be renamed, and what takes its old path is not seen. Each step of a path is a call of
/// the host for one name in an open directory, without following symbolic links; the context follows them and keeps to the
/// directory. Linux is asked for several steps at once, below the directory and without symbolic links. So a guest stays inside whatever others do to the directory meanwhile.
///
/// What the operating system lets the host's process do, it lets the guest do; [`Access::ReadOnly`](crate::fs::Access) takes
/// writing away.
///
/// DIFFERENCE: names that are not UTF-8 are left out of listings, as WASI has no way to say them.
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
}

impl HostDir {
    /// The directory at `path`, which is opened now and with the authority of the host's process.
    ///
    /// # Errors
    ///
    /// What the operating system says: `path` does not exist, is not a directory, may not be opened.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let dir = CapDir::open_ambient_dir(path, ambient_authority())?;
        Ok(Self { dir })
    }

    /// What is under a name that could not be opened because of `refused`, if that is because it is a symbolic link.
    fn symlink_or(&self, name: &str, refused: Errno) -> Result<Node, Errno> {
        match self.read_link(name) {
            Ok(target) => Ok(Node::Symlink(target)),
            Err(Errno::Inval | Errno::Noent) => Err(refused),
            Err(errno) => Err(errno),
        }
    }
}

/// Refuses what this host would take for more than one name, such as `a\b` and `c:` on Windows.
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
            Ok(dir) => Ok(Node::Dir(Arc::new(Self { dir }))),
            Err(refused @ (Errno::Notdir | Errno::Loop)) => self.symlink_or(name, refused),
            Err(errno) => Err(errno),
        }
    }

    #[cfg(target_os = "linux")]
    fn descend(&self, names: &str) -> Result<Option<Arc<dyn Dir>>, Errno> {
        let dir = super::descend::descend(&self.dir, names)?;
        Ok(dir.map(|dir| Arc::new(Self { dir }) as Arc<dyn Dir>))
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
            // A pipe without a writer must not hold up the host.
            .nonblock(true);
        let file = match self.dir.open_with(check(name)?, &host).map_err(errno) {
            Ok(file) => file.into_std(),
            // Systems differ in what they say of a link that is not to be followed.
            Err(refused @ (Errno::Loop | Errno::Mlink | Errno::Notdir)) => {
                return self.symlink_or(name, refused);
            }
            Err(errno) => return Err(errno),
        };
        if file.metadata().map_err(errno)?.is_dir() {
            let dir = CapDir::from_std_file(file);
            return Ok(Node::Dir(Arc::new(Self { dir })));
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
            // Not all systems say so themselves.
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
            // POSIX leaves the choice to the system.
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

    fn set_times_at(&self, name: &str, times: SetTimes) -> Result<(), Errno> {
        let set = self.dir.set_symlink_times(
            check(name)?,
            times.accessed.map(spec),
            times.modified.map(spec),
        );
        set.map_err(errno)
    }

    fn sync(&self) -> Result<(), Errno> {
        // The root, and what a step led to, are open to look names up in, and Linux synchronizes no such descriptor.
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
