//! A filesystem that holds only so much.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Create, Dir, File, FileType, IntoDir, Metadata, Node, OpenOptions, ReadDir, SetTimes};
use crate::Errno;

/// A directory that grows only so far, and everything below it. Clones share one quota.
///
/// What counts is what is added through here, from the moment at which the quota is made: the bytes by which files grow,
/// holes and the targets of symbolic links included, and the names. What is cut or removed through here is given back, never
/// below nothing; a file that is removed while it is open is given back when it is closed. What others do to the directory
/// does not count. So what a guest has added, less what it has removed, never exceeds the limits:
///
/// - a file that alone would be longer than the bytes allowed is [`Errno::Fbig`];
/// - any other excess is [`Errno::Dquot`]; a write is done in part as long as one byte fits.
///
/// Changes are made one after the other, however many guests share the quota.
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::Wasi;
/// use rangewatch_wasi::fs::{Access, MemoryFs, Quota};
///
/// let scratch = Quota::new(MemoryFs::new(), 1 << 20, 100);
/// let ctx = Wasi::builder().preopen("/tmp", &scratch, Access::ReadWrite).build()?;
/// // The guest runs, and then:
/// assert_eq!((scratch.used_bytes(), scratch.n_names()), (0, 0));
/// # Ok::<(), rangewatch_wasi::WasiBuildError>(())
/// ```
#[derive(Clone)]
pub struct Quota {
    root: Arc<QuotaDir>,
}

impl Quota {
    /// `dir`, to which at most `limit_bytes` bytes and `limit_names` names can be added.
    #[must_use]
    pub fn new(dir: impl IntoDir, limit_bytes: u64, limit_names: u64) -> Self {
        let account = Account {
            limit_bytes,
            limit_names,
            state: Mutex::default(),
        };
        Self {
            root: Arc::new(QuotaDir {
                account: Arc::new(account),
                inner: dir.into_dir(),
            }),
        }
    }

    /// How many bytes have been added, less those that were given back.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.root.account.lock().used_bytes
    }

    /// How many names have been added, less those that were given back.
    #[must_use]
    pub fn n_names(&self) -> u64 {
        self.root.account.lock().n_names
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
            .field("n_names", &self.n_names())
            .finish_non_exhaustive()
    }
}

/// What is used, and of how much. The lock is held during each change of the filesystem, or two of them could both find the
/// last byte free.
struct Account {
    limit_bytes: u64,
    limit_names: u64,
    state: Mutex<Used>,
}

#[derive(Default)]
struct Used {
    used_bytes: u64,
    n_names: u64,
    /// The files that are open, by device and number.
    open: HashMap<Key, Open>,
    /// Those that had several names when they were opened. An overlay gives such a file another number when it is copied, so
    /// that each of them has to be asked.
    open_by_several: BTreeMap<u64, OpenBySeveral>,
    n_opened: u64,
}

/// The device and number of a file.
type Key = (u64, u64);

fn key(of: &Metadata) -> Key {
    (of.dev, of.ino)
}

#[derive(Default)]
struct Open {
    n_opened: u64,
    /// Whether the last name is gone, so that the bytes are given back with the last descriptor.
    nameless: bool,
}

struct OpenBySeveral {
    file: Arc<dyn File>,
    nameless: bool,
}

impl OpenBySeveral {
    fn is(&self, gone: Key) -> bool {
        let metadata = self.file.metadata();
        metadata.is_ok_and(|metadata| key(&metadata) == gone)
    }
}

impl Account {
    /// Poison tells nothing: numbers are changed in one step each.
    fn lock(&self) -> MutexGuard<'_, Used> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far a file of `size` bytes may grow.
    fn room(&self, used: &Used, size: u64) -> u64 {
        let rest = self.limit_bytes.saturating_sub(used.used_bytes);
        size.saturating_add(rest)
    }

    /// Why a file cannot have `size` bytes.
    fn excess(&self, size: u64) -> Errno {
        match size > self.limit_bytes {
            true => Errno::Fbig,
            false => Errno::Dquot,
        }
    }

    /// Takes note that a file has another size.
    fn resized(&self, used: &mut Used, before: u64, after: u64) {
        used.used_bytes = used.used_bytes.saturating_add(after.saturating_sub(before));
        used.give_back(before.saturating_sub(after));
    }

    /// Makes something under a new name, which takes `n_bytes`.
    fn add<T>(
        &self,
        used: &mut Used,
        n_bytes: u64,
        make: impl FnOnce() -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        if used.n_names >= self.limit_names || n_bytes > self.room(used, 0) {
            return Err(Errno::Dquot);
        }
        let made = make()?;
        used.n_names += 1;
        used.used_bytes += n_bytes;
        Ok(made)
    }
}

impl Used {
    fn give_back(&mut self, n_bytes: u64) {
        self.used_bytes = self.used_bytes.saturating_sub(n_bytes);
    }

    /// Takes note that a name of what `gone` describes is gone.
    fn removed(&mut self, gone: &Metadata) {
        self.n_names = self.n_names.saturating_sub(1);
        let has_bytes = matches!(
            gone.file_type,
            FileType::RegularFile | FileType::SymbolicLink
        );
        let is_last = gone.n_links <= 1;
        if has_bytes && is_last && !self.keep_while_open(key(gone)) {
            self.give_back(gone.size_bytes);
        }
    }

    /// Whether a file whose last name is gone is open. Its bytes are then given back later.
    fn keep_while_open(&mut self, gone: Key) -> bool {
        let by_several = self.open_by_several.values_mut();
        let mut is_open = false;
        for open in by_several.filter(|open| open.is(gone)) {
            open.nameless = true;
            is_open = true;
        }
        if let Some(open) = self.open.get_mut(&gone) {
            open.nameless = true;
            is_open = true;
        }
        is_open
    }

    /// Takes note that one who had a file open has closed it. With the last one the bytes go of a file that has no name.
    fn closed(&mut self, file: &dyn File, handle: Handle) {
        let nameless = match handle {
            Handle::OfOne(key) => {
                let Some(open) = self.open.get_mut(&key) else {
                    return;
                };
                open.n_opened -= 1;
                if open.n_opened > 0 {
                    return;
                }
                self.open.remove(&key).is_some_and(|open| open.nameless)
            }
            Handle::OfSeveral(number) => {
                let open = self.open_by_several.remove(&number);
                open.is_some_and(|open| open.nameless)
            }
        };
        if !nameless {
            return;
        }
        if let Ok(metadata) = file.metadata() {
            if !self.keep_while_open(key(&metadata)) {
                self.give_back(metadata.size_bytes);
            }
        }
    }
}

struct QuotaDir {
    account: Arc<Account>,
    inner: Arc<dyn Dir>,
}

impl QuotaDir {
    fn wrap(&self, used: &mut Used, node: Node) -> Result<Node, Errno> {
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

    fn wrap_file(&self, used: &mut Used, inner: Arc<dyn File>, metadata: &Metadata) -> Node {
        if metadata.file_type != FileType::RegularFile {
            return Node::File(inner);
        }
        let handle = if metadata.n_links > 1 {
            used.n_opened += 1;
            let open = OpenBySeveral {
                file: Arc::clone(&inner),
                nameless: false,
            };
            used.open_by_several.insert(used.n_opened, open);
            Handle::OfSeveral(used.n_opened)
        } else {
            used.open.entry(key(metadata)).or_default().n_opened += 1;
            Handle::OfOne(key(metadata))
        };
        Node::File(Arc::new(QuotaFile {
            account: Arc::clone(&self.account),
            inner,
            handle,
        }))
    }

    /// Opens a name that is free.
    fn create(&self, used: &mut Used, name: &str, options: OpenOptions) -> Result<Node, Errno> {
        let (file, metadata) = self.account.add(used, 0, || {
            let Node::File(file) = self.inner.open(name, options)? else {
                return Err(Errno::Io);
            };
            // A file that cannot be counted is not there.
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
        // The contents go last, when nothing can fail any more and their size is known.
        let untruncated = OpenOptions {
            write: options.write || options.truncate,
            truncate: false,
            ..options
        };
        if options.create != Create::Never {
            match self.inner.metadata_at(name) {
                Err(Errno::Noent) => return self.create(used, name, untruncated),
                found => drop(found?),
            }
        }
        let file = match self.inner.open(name, untruncated)? {
            Node::File(file) => file,
            node => return self.wrap(used, node),
        };
        let metadata = file.metadata()?;
        if options.truncate && metadata.file_type == FileType::RegularFile {
            file.set_size(0)?;
            used.give_back(metadata.size_bytes);
        }
        Ok(self.wrap_file(used, file, &metadata))
    }

    fn metadata_at(&self, name: &str) -> Result<Metadata, Errno> {
        self.inner.metadata_at(name)
    }

    fn read_link(&self, name: &str) -> Result<String, Errno> {
        self.inner.read_link(name)
    }

    fn create_dir(&self, name: &str) -> Result<(), Errno> {
        let used = &mut *self.account.lock();
        self.refuse_taken(name)?;
        let make = || self.inner.create_dir(name);
        self.account.add(used, 0, make)
    }

    fn symlink(&self, name: &str, target: &str) -> Result<(), Errno> {
        let used = &mut *self.account.lock();
        self.refuse_taken(name)?;
        let make = || self.inner.symlink(name, target);
        self.account.add(used, target.len() as u64, make)
    }

    fn link(&self, name: &str, to: &dyn Dir, to_name: &str) -> Result<(), Errno> {
        let to = self.same_quota(to)?;
        let used = &mut *self.account.lock();
        to.refuse_taken(to_name)?;
        let make = || self.inner.link(name, &*to.inner, to_name);
        self.account.add(used, 0, make)
    }

    fn rename(&self, name: &str, to: &dyn Dir, to_name: &str) -> Result<(), Errno> {
        let to = self.same_quota(to)?;
        let used = &mut *self.account.lock();
        let moved = self.inner.metadata_at(name)?;
        let replaced = match to.inner.metadata_at(to_name) {
            Err(Errno::Noent) => None,
            replaced => Some(replaced?),
        };
        self.inner.rename(name, &*to.inner, to_name)?;
        if let Some(replaced) = replaced {
            // Two names of one file both stay.
            if key(&moved) != key(&replaced) {
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

    fn set_times_at(&self, name: &str, times: SetTimes) -> Result<(), Errno> {
        self.inner.set_times_at(name, times)
    }

    fn sync(&self) -> Result<(), Errno> {
        self.inner.sync()
    }
}

impl QuotaDir {
    /// Names the better reason where there is one: `mkdir -p` depends on it.
    fn refuse_taken(&self, name: &str) -> Result<(), Errno> {
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

/// Under which an open file is known, by the number of its names when it was opened.
#[derive(Clone, Copy)]
enum Handle {
    OfOne(Key),
    OfSeveral(u64),
}

impl QuotaFile {
    /// Writes what there is room for at `offset`, or at the end.
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

    fn sync(&self) -> Result<(), Errno> {
        self.inner.sync()
    }

    fn sync_data(&self) -> Result<(), Errno> {
        self.inner.sync_data()
    }
}

/// The last descriptor of a file without a name takes its bytes along.
impl Drop for QuotaFile {
    fn drop(&mut self) {
        self.account.lock().closed(&*self.inner, self.handle);
    }
}
