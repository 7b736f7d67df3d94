//! A filesystem with limits.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Create, Dir, File, FileType, IntoDir, Metadata, Node, OpenOptions, ReadDir, SetTimes};
use crate::Errno;

/// A directory, with everything below it, whose growth is limited. Clones share one quota.
///
/// The quota charges changes that are made through it, from its creation on: the bytes by which
/// files grow, holes and the targets of symbolic links included, and the directory entries.
/// Truncating and removing release the charge, never below zero; a removed file that is open is
/// released when it is closed. Changes that bypass the quota are not charged. The additions of a
/// guest minus its removals never exceed the limits:
///
/// - a file whose size alone would exceed the limit in bytes fails with [`Errno::Fbig`];
/// - any other excess fails with [`Errno::Dquot`]; a write is done in part if at least one byte
///   fits.
///
/// Changes are serialized, also when several guests share the quota.
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::Wasi;
/// use rangewatch_wasi::fs::{Access, MemoryFs, Quota};
///
/// let scratch = Quota::new(MemoryFs::new(), 1 << 20, 100);
/// let ctx = Wasi::builder().preopen("/tmp", &scratch, Access::ReadWrite).build()?;
/// // After the guest has run:
/// assert_eq!((scratch.used_bytes(), scratch.n_entries()), (0, 0));
/// # Ok::<(), rangewatch_wasi::WasiBuildError>(())
/// ```
#[derive(Clone)]
pub struct Quota {
    root: Arc<QuotaDir>,
}

impl Quota {
    /// Limits `dir`: at most `limit_bytes` bytes and `limit_entries` directory entries can be
    /// added.
    #[must_use]
    pub fn new(dir: impl IntoDir, limit_bytes: u64, limit_entries: u64) -> Self {
        let account = Account {
            limit_bytes,
            limit_entries,
            state: Mutex::default(),
        };
        Self {
            root: Arc::new(QuotaDir {
                account: Arc::new(account),
                inner: dir.into_dir(),
            }),
        }
    }

    /// The bytes that are charged.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.root.account.lock().used_bytes
    }

    /// The directory entries that are charged.
    #[must_use]
    pub fn n_entries(&self) -> u64 {
        self.root.account.lock().n_entries
    }
}

impl IntoDir for Quota {
    fn into_dir(self) -> Arc<dyn Dir> {
        self.root
    }
}

impl IntoDir for &Quota {
    fn into_dir(self) -> Arc<dyn Dir> {
        Arc::clone(&self.root) as Arc<dyn Dir>
    }
}

impl fmt::Debug for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quota")
            .field("used_bytes", &self.used_bytes())
            .field("n_entries", &self.n_entries())
            .finish_non_exhaustive()
    }
}

/// The limits and the charge. The lock is held during each change of the filesystem: otherwise two
/// concurrent changes could both take the last free byte.
struct Account {
    limit_bytes: u64,
    limit_entries: u64,
    state: Mutex<Usage>,
}

#[derive(Default)]
struct Usage {
    used_bytes: u64,
    n_entries: u64,
    /// The open files, by device and inode number.
    open: HashMap<Key, Open>,
    /// The open files that had several hard links when they were opened. An overlay changes the
    /// inode number of such a file on copy-up, so its current attributes are read.
    open_hard_links: BTreeMap<u64, OpenHardLink>,
    n_opened: u64,
}

/// The device and inode number of a file.
type Key = (u64, u64);

fn key(of: &Metadata) -> Key {
    (of.dev, of.ino)
}

#[derive(Default)]
struct Open {
    n_opened: u64,
    /// Whether the last hard link is removed: the bytes are then released with the last descriptor.
    is_removed: bool,
}

struct OpenHardLink {
    file: Arc<dyn File>,
    is_removed: bool,
}

impl OpenHardLink {
    fn is(&self, gone: Key) -> bool {
        let metadata = self.file.metadata();
        metadata.is_ok_and(|metadata| key(&metadata) == gone)
    }
}

impl Account {
    /// A poisoned lock guards consistent data: each number is changed in one step.
    fn lock(&self) -> MutexGuard<'_, Usage> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The size to which a file of `size` bytes may grow.
    fn room(&self, used: &Usage, size: u64) -> u64 {
        let rest = self.limit_bytes.saturating_sub(used.used_bytes);
        size.saturating_add(rest)
    }

    /// The errno for a file that cannot have `size` bytes.
    fn excess(&self, size: u64) -> Errno {
        match size > self.limit_bytes {
            true => Errno::Fbig,
            false => Errno::Dquot,
        }
    }

    /// Records the new size of a file.
    fn resized(&self, used: &mut Usage, before: u64, after: u64) {
        used.used_bytes = used.used_bytes.saturating_add(after.saturating_sub(before));
        used.release(before.saturating_sub(after));
    }

    /// Charges a new name and `n_bytes`, and creates it with `make`.
    fn add<T>(
        &self,
        used: &mut Usage,
        n_bytes: u64,
        make: impl FnOnce() -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        if used.n_entries >= self.limit_entries || n_bytes > self.room(used, 0) {
            return Err(Errno::Dquot);
        }
        let made = make()?;
        used.n_entries += 1;
        used.used_bytes += n_bytes;
        Ok(made)
    }
}

impl Usage {
    fn release(&mut self, n_bytes: u64) {
        self.used_bytes = self.used_bytes.saturating_sub(n_bytes);
    }

    /// Records the removal of a name of the file `gone`.
    fn removed(&mut self, gone: &Metadata) {
        self.n_entries = self.n_entries.saturating_sub(1);
        let has_bytes = matches!(
            gone.file_type,
            FileType::RegularFile | FileType::SymbolicLink
        );
        let is_last = gone.n_links <= 1;
        if has_bytes && is_last && !self.keep_while_open(key(gone)) {
            self.release(gone.size_bytes);
        }
    }

    /// Whether the file `gone`, whose last hard link is removed, is open. If so, its bytes are
    /// released later.
    fn keep_while_open(&mut self, gone: Key) -> bool {
        let hard_links = self.open_hard_links.values_mut();
        let mut is_open = false;
        for open in hard_links.filter(|open| open.is(gone)) {
            open.is_removed = true;
            is_open = true;
        }
        if let Some(open) = self.open.get_mut(&gone) {
            open.is_removed = true;
            is_open = true;
        }
        is_open
    }

    /// Records that a descriptor of a file is closed. The last one releases the bytes of a removed
    /// file.
    fn closed(&mut self, file: &dyn File, handle: Handle) {
        let is_removed = match handle {
            Handle::Single(key) => {
                let Some(open) = self.open.get_mut(&key) else {
                    return;
                };
                open.n_opened -= 1;
                if open.n_opened > 0 {
                    return;
                }
                self.open.remove(&key).is_some_and(|open| open.is_removed)
            }
            Handle::HardLink(number) => {
                let open = self.open_hard_links.remove(&number);
                open.is_some_and(|open| open.is_removed)
            }
        };
        if !is_removed {
            return;
        }
        if let Ok(metadata) = file.metadata() {
            if !self.keep_while_open(key(&metadata)) {
                self.release(metadata.size_bytes);
            }
        }
    }
}

struct QuotaDir {
    account: Arc<Account>,
    inner: Arc<dyn Dir>,
}

impl QuotaDir {
    fn wrap(&self, used: &mut Usage, node: Node) -> Result<Node, Errno> {
        match node {
            Node::Dir(inner) => Ok(Node::Dir(Arc::new(Self {
                account: Arc::clone(&self.account),
                inner,
            }))),
            Node::Symlink(target) => Ok(Node::Symlink(target)),
            Node::File(inner) => {
                let metadata = inner.metadata()?;
                Ok(self.wrap_file(used, inner, &metadata))
            }
        }
    }

    fn wrap_file(&self, used: &mut Usage, inner: Arc<dyn File>, metadata: &Metadata) -> Node {
        if metadata.file_type != FileType::RegularFile {
            return Node::File(inner);
        }
        let handle = if metadata.n_links > 1 {
            used.n_opened += 1;
            let open = OpenHardLink {
                file: Arc::clone(&inner),
                is_removed: false,
            };
            used.open_hard_links.insert(used.n_opened, open);
            Handle::HardLink(used.n_opened)
        } else {
            used.open.entry(key(metadata)).or_default().n_opened += 1;
            Handle::Single(key(metadata))
        };
        Node::File(Arc::new(QuotaFile {
            account: Arc::clone(&self.account),
            inner,
            handle,
        }))
    }

    /// Opens a name that does not exist.
    fn create(&self, used: &mut Usage, name: &str, options: OpenOptions) -> Result<Node, Errno> {
        let (file, metadata) = self.account.add(used, 0, || {
            let Node::File(file) = self.inner.open(name, options)? else {
                return Err(Errno::Io);
            };
            // A file that cannot be charged is removed.
            let metadata = file.metadata();
            let metadata = metadata.inspect_err(|_| {
                let _ = self.inner.remove_file(name);
            })?;
            Ok((file, metadata))
        })?;
        Ok(self.wrap_file(used, file, &metadata))
    }

    fn same_quota<'a>(&self, dir: &'a dyn Dir) -> Result<&'a Self, Errno> {
        match dir.as_any().downcast_ref::<Self>() {
            Some(dir) if Arc::ptr_eq(&dir.account, &self.account) => Ok(dir),
            _ => Err(Errno::Xdev),
        }
    }
}

impl Dir for QuotaDir {
    fn metadata(&self) -> Result<Metadata, Errno> {
        self.inner.metadata()
    }

    fn lookup(&self, name: &str) -> Result<Node, Errno> {
        let mut used = self.account.lock();
        self.wrap(&mut used, self.inner.lookup(name)?)
    }

    fn read_dir(&self) -> Result<ReadDir, Errno> {
        self.inner.read_dir()
    }

    fn lookup_dir(&self, name: &str) -> Result<Node, Errno> {
        match self.inner.lookup_dir(name)? {
            Node::Dir(inner) => Ok(Node::Dir(Arc::new(Self {
                account: Arc::clone(&self.account),
                inner,
            }))),
            Node::File(_) => Err(Errno::Notdir),
            link @ Node::Symlink(_) => Ok(link),
        }
    }

    fn descend(&self, names: &str) -> Result<Option<Arc<dyn Dir>>, Errno> {
        let account = Arc::clone(&self.account);
        let dir = self.inner.descend(names)?;
        Ok(dir.map(|inner| Arc::new(Self { account, inner }) as Arc<dyn Dir>))
    }

    fn open(&self, name: &str, options: OpenOptions) -> Result<Node, Errno> {
        let used = &mut *self.account.lock();
        let found = match options.truncate || options.create != Create::Never {
            false => None,
            true => match self.inner.metadata_at(name) {
                Err(Errno::Noent) if options.create != Create::Never => {
                    return self.create(used, name, options);
                }
                found => Some(found?),
            },
        };
        // The inner filesystem truncates: an overlay would copy the contents before a `set_size`.
        // After it nothing may fail, so the attributes are those from before.
        match (self.inner.open(name, options)?, found) {
            (Node::File(file), Some(found)) if options.truncate => {
                if found.file_type == FileType::RegularFile {
                    used.release(found.size_bytes);
                }
                Ok(self.wrap_file(used, file, &found))
            }
            (node, _) => self.wrap(used, node),
        }
    }

    fn metadata_at(&self, name: &str) -> Result<Metadata, Errno> {
        self.inner.metadata_at(name)
    }

    fn read_link(&self, name: &str) -> Result<String, Errno> {
        self.inner.read_link(name)
    }

    fn create_dir(&self, name: &str) -> Result<(), Errno> {
        let used = &mut *self.account.lock();
        self.require_absent(name)?;
        let make = || self.inner.create_dir(name);
        self.account.add(used, 0, make)
    }

    fn symlink(&self, name: &str, target: &str) -> Result<(), Errno> {
        let used = &mut *self.account.lock();
        self.require_absent(name)?;
        let make = || self.inner.symlink(name, target);
        self.account.add(used, target.len() as u64, make)
    }

    fn link(&self, name: &str, to: &dyn Dir, to_name: &str) -> Result<(), Errno> {
        let to = self.same_quota(to)?;
        let used = &mut *self.account.lock();
        to.require_absent(to_name)?;
        let make = || self.inner.link(name, &*to.inner, to_name);
        self.account.add(used, 0, make)
    }

    fn rename(&self, name: &str, to: &dyn Dir, to_name: &str) -> Result<(), Errno> {
        let to = self.same_quota(to)?;
        let used = &mut *self.account.lock();
        let replaced = match to.inner.metadata_at(to_name) {
            Err(Errno::Noent) => None,
            replaced => Some(replaced?),
        };
        self.inner.rename(name, &*to.inner, to_name)?;
        if let Some(replaced) = replaced {
            // A rename between two hard links of one file succeeds and removes neither.
            if self.inner.metadata_at(name) == Err(Errno::Noent) {
                used.removed(&replaced);
            }
        }
        Ok(())
    }

    fn remove_file(&self, name: &str) -> Result<(), Errno> {
        let used = &mut *self.account.lock();
        let gone = self.inner.metadata_at(name)?;
        self.inner.remove_file(name)?;
        used.removed(&gone);
        Ok(())
    }

    fn remove_dir(&self, name: &str) -> Result<(), Errno> {
        let used = &mut *self.account.lock();
        let gone = self.inner.metadata_at(name)?;
        self.inner.remove_dir(name)?;
        used.removed(&gone);
        Ok(())
    }

    fn set_times(&self, times: SetTimes) -> Result<(), Errno> {
        self.inner.set_times(times)
    }

    fn set_permissions(&self, bits: u32) -> Result<(), Errno> {
        self.inner.set_permissions(bits)
    }

    fn set_times_at(&self, name: &str, times: SetTimes) -> Result<(), Errno> {
        self.inner.set_times_at(name, times)
    }

    fn sync(&self) -> Result<(), Errno> {
        self.inner.sync()
    }
}

impl QuotaDir {
    /// Fails with `EEXIST` instead of `EDQUOT` for an existing name: `mkdir -p` depends on it.
    fn require_absent(&self, name: &str) -> Result<(), Errno> {
        match self.inner.metadata_at(name) {
            Ok(_) => Err(Errno::Exist),
            Err(Errno::Noent) => Ok(()),
            Err(errno) => Err(errno),
        }
    }
}

struct QuotaFile {
    account: Arc<Account>,
    inner: Arc<dyn File>,
    handle: Handle,
}

/// The key of an open file, by the hard link count when it was opened.
#[derive(Clone, Copy)]
enum Handle {
    Single(Key),
    HardLink(u64),
}

impl QuotaFile {
    /// Writes as much as the limit allows at `offset`, or at the end.
    fn write(&self, buf: &[u8], offset: Option<u64>) -> Result<usize, Errno> {
        let used = &mut *self.account.lock();
        let before = self.inner.metadata()?.size_bytes;
        let start = offset.unwrap_or(before);
        let room = self.account.room(used, before).saturating_sub(start);
        let len = usize::try_from(room).unwrap_or(usize::MAX).min(buf.len());
        if len == 0 && !buf.is_empty() {
            return Err(self.account.excess(start.saturating_add(1)));
        }
        let n_bytes = match offset {
            Some(offset) => self.inner.write_at(&buf[..len], offset)?,
            None => self.inner.append(&buf[..len])?,
        };
        let n_bytes = n_bytes.min(len);
        if n_bytes > 0 {
            let end = start.saturating_add(n_bytes as u64);
            self.account.resized(used, before, before.max(end));
        }
        Ok(n_bytes)
    }
}

impl File for QuotaFile {
    fn metadata(&self) -> Result<Metadata, Errno> {
        self.inner.metadata()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize, Errno> {
        self.inner.read_at(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> Result<usize, Errno> {
        self.write(buf, Some(offset))
    }

    fn append(&self, buf: &[u8]) -> Result<usize, Errno> {
        self.write(buf, None)
    }

    fn set_size(&self, size_bytes: u64) -> Result<(), Errno> {
        let used = &mut *self.account.lock();
        let before = self.inner.metadata()?.size_bytes;
        if size_bytes > before && size_bytes > self.account.room(used, before) {
            return Err(self.account.excess(size_bytes));
        }
        self.inner.set_size(size_bytes)?;
        self.account.resized(used, before, size_bytes);
        Ok(())
    }

    fn allocate(&self, offset: u64, len: u64) -> Result<(), Errno> {
        let used = &mut *self.account.lock();
        let before = self.inner.metadata()?.size_bytes;
        let after = before.max(offset.checked_add(len).ok_or(Errno::Fbig)?);
        if after > before && after > self.account.room(used, before) {
            return Err(self.account.excess(after));
        }
        self.inner.allocate(offset, len)?;
        self.account.resized(used, before, after);
        Ok(())
    }

    fn set_times(&self, times: SetTimes) -> Result<(), Errno> {
        self.inner.set_times(times)
    }

    fn set_permissions(&self, bits: u32) -> Result<(), Errno> {
        self.inner.set_permissions(bits)
    }

    fn sync(&self) -> Result<(), Errno> {
        self.inner.sync()
    }

    fn sync_data(&self) -> Result<(), Errno> {
        self.inner.sync_data()
    }
}

/// Closing the last descriptor of a removed file releases its bytes.
impl Drop for QuotaFile {
    fn drop(&mut self) {
        self.account.lock().closed(&*self.inner, self.handle);
    }
}
