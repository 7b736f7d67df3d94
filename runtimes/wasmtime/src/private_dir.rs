//! A directory that only the user of this process can write.

#[cfg(unix)]
pub(crate) use unix::{PrivateDir, PrivateDirError};
#[cfg(not(unix))]
pub(crate) use unsupported::{PrivateDir, PrivateDirError};

#[cfg(unix)]
mod unix {
    use std::fs::{self, DirBuilder, File, Metadata};
    use std::hash::{BuildHasher, Hasher, RandomState};
    use std::io::{self, Read, Write};
    use std::os::unix::fs::{DirBuilderExt, MetadataExt};
    use std::path::{Path, PathBuf};

    use rustix::fs::{AtFlags, CWD, Mode, OFlags, openat, renameat, unlinkat};
    use rustix::io::Errno;
    use rustix::process::geteuid;

    /// The bits of a mode that let others than the owner write. The bits of the group also show an
    /// access control list.
    const OTHERS_WRITE: u32 = 0o022;
    const STICKY: u32 = 0o1000;

    /// Why a directory is not private.
    #[derive(Debug, thiserror::Error)]
    pub(crate) enum PrivateDirError {
        #[error("`{}` belongs to user {owner}, and this process runs as user {user}: choose a directory of user {user}", path.display())]
        Owner {
            path: PathBuf,
            owner: u32,
            user: u32,
        },
        #[error("others can write `{}`, whose mode is {mode:o}: run `chmod go-w` on it, or choose another directory", path.display())]
        Writable { path: PathBuf, mode: u32 },
        #[error("`{}` is above the directory and belongs to user {owner}, who could replace it: choose a directory elsewhere", path.display())]
        ParentOwner { path: PathBuf, owner: u32 },
        #[error("`{}` is above the directory and others can write it (mode {mode:o}), so they could replace the directory: run `chmod go-w` on it, or choose a directory elsewhere", path.display())]
        ParentWritable { path: PathBuf, mode: u32 },
        #[error("`{}` cannot be {action}", path.display())]
        Io {
            path: PathBuf,
            action: &'static str,
            source: io::Error,
        },
    }

    pub(crate) struct PrivateDir {
        path: PathBuf,
        /// Files are opened relative to it, so that it stays the directory that was checked.
        dir: File,
    }

    impl PrivateDir {
        /// Creates the directory if it does not exist, and checks it with all that is above it.
        pub(crate) fn open(path: &Path) -> Result<Self, PrivateDirError> {
            let failed = |action| {
                move |source| PrivateDirError::Io {
                    path: path.to_owned(),
                    action,
                    source,
                }
            };
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path)
                .map_err(failed("created"))?;
            let canonical = fs::canonicalize(path).map_err(failed("resolved"))?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let dir = openat(CWD, &canonical, flags, Mode::empty())
                .map_err(|errno| failed("opened")(errno.into()))?;
            let dir = Self {
                path: canonical,
                dir: dir.into(),
            };
            for parent in dir.path.ancestors().skip(1) {
                let metadata = fs::symlink_metadata(parent).map_err(failed("checked"))?;
                check_parent(parent, &metadata)?;
            }
            dir.check()?;
            Ok(dir)
        }

        pub(crate) fn path(&self) -> &Path {
            &self.path
        }

        /// The content of a file, if there is one.
        pub(crate) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, PrivateDirError> {
            self.check()?;
            // Non-blocking for a FIFO in place of the file.
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
            let mut file: File = match openat(&self.dir, name, flags, Mode::empty()) {
                Ok(file) => file.into(),
                Err(Errno::NOENT) => return Ok(None),
                Err(errno) => return Err(self.failed(name, "opened", errno.into())),
            };
            let metadata = file
                .metadata()
                .map_err(|source| self.failed(name, "checked", source))?;
            if !metadata.is_file() {
                let source = io::Error::other("it is no regular file");
                return Err(self.failed(name, "read", source));
            }
            check_owner_and_mode(&self.path.join(name), &metadata)?;
            let mut content = Vec::new();
            // One byte more than expected, so that the end is found without growing.
            let len = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
            content
                .try_reserve_exact(len.saturating_add(1))
                .map_err(|error| self.failed(name, "read", error.into()))?;
            match file.read_to_end(&mut content) {
                Ok(_) => Ok(Some(content)),
                Err(source) => Err(self.failed(name, "read", source)),
            }
        }

        /// Writes a file, so that a reader sees nothing, what was there before, or all of it.
        pub(crate) fn write(&self, name: &str, parts: &[&[u8]]) -> Result<(), PrivateDirError> {
            self.check()?;
            // Keys of a hash map are random in each process and differ in each call.
            let temporary = format!(
                ".{name}.{:016x}",
                RandomState::new().build_hasher().finish()
            );
            let flags =
                OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let mut file: File = openat(&self.dir, &temporary, flags, Mode::RUSR | Mode::WUSR)
                .map_err(|errno| self.failed(name, "created", errno.into()))?
                .into();
            let written = parts
                .iter()
                .try_for_each(|part| file.write_all(part))
                .and_then(|()| Ok(renameat(&self.dir, &temporary, &self.dir, name)?));
            written.map_err(|source| {
                let _ = unlinkat(&self.dir, &temporary, AtFlags::empty());
                self.failed(name, "written", source)
            })
        }

        fn check(&self) -> Result<(), PrivateDirError> {
            match self.dir.metadata() {
                Ok(metadata) => check_owner_and_mode(&self.path, &metadata),
                Err(source) => Err(PrivateDirError::Io {
                    path: self.path.clone(),
                    action: "checked",
                    source,
                }),
            }
        }

        fn failed(&self, name: &str, action: &'static str, source: io::Error) -> PrivateDirError {
            PrivateDirError::Io {
                path: self.path.join(name),
                action,
                source,
            }
        }
    }

    fn check_owner_and_mode(path: &Path, metadata: &Metadata) -> Result<(), PrivateDirError> {
        let (owner, user) = (metadata.uid(), geteuid().as_raw());
        if owner != user {
            return Err(PrivateDirError::Owner {
                path: path.to_owned(),
                owner,
                user,
            });
        }
        if metadata.mode() & OTHERS_WRITE != 0 {
            return Err(PrivateDirError::Writable {
                path: path.to_owned(),
                mode: metadata.mode() & 0o7777,
            });
        }
        Ok(())
    }

    /// Nobody but the user and root may be able to replace what is in it. In a sticky directory
    /// only the owner of an entry can, who is checked too.
    fn check_parent(path: &Path, metadata: &Metadata) -> Result<(), PrivateDirError> {
        let (owner, mode) = (metadata.uid(), metadata.mode());
        if owner != 0 && owner != geteuid().as_raw() {
            return Err(PrivateDirError::ParentOwner {
                path: path.to_owned(),
                owner,
            });
        }
        if mode & OTHERS_WRITE != 0 && mode & STICKY == 0 {
            return Err(PrivateDirError::ParentWritable {
                path: path.to_owned(),
                mode: mode & 0o7777,
            });
        }
        Ok(())
    }
}

#[cfg(not(unix))]
mod unsupported {
    use std::path::{Path, PathBuf};

    #[derive(Debug, thiserror::Error)]
    #[error("whether others can write `{}` cannot be checked on this system: leave `compiled_dir` out", path.display())]
    pub(crate) struct PrivateDirError {
        path: PathBuf,
    }

    /// Cannot be made.
    pub(crate) enum PrivateDir {}

    impl PrivateDir {
        pub(crate) fn open(path: &Path) -> Result<Self, PrivateDirError> {
            Err(PrivateDirError {
                path: path.to_owned(),
            })
        }

        pub(crate) fn path(&self) -> &Path {
            match *self {}
        }

        pub(crate) fn read(&self, _name: &str) -> Result<Option<Vec<u8>>, PrivateDirError> {
            match *self {}
        }

        pub(crate) fn write(&self, _name: &str, _parts: &[&[u8]]) -> Result<(), PrivateDirError> {
            match *self {}
        }
    }
}
