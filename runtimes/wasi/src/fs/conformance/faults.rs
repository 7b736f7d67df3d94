//! A filesystem with fault injection.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::Errno;
use crate::fs::{Dir, File, IntoDir, Metadata, Node, OpenOptions, ReadDir, SetTimes};

/// Injects faults into a filesystem, for tests of the layers above it. Clones share one plan.
///
/// Each operation of a directory or file counts as one, as does each entry of a listing. An
/// operation that fails has no effect. A test repeats its call with [`fail_at(0)`](Self::fail_at),
/// `fail_at(1)` and so on, until [`has_failed`](Self::has_failed) is false: the call then uses
/// fewer operations.
///
/// ```
/// use rangewatch_wasi::Errno;
/// use rangewatch_wasi::fs::conformance::Faults;
/// use rangewatch_wasi::fs::{Dir, MemoryFs};
///
/// let faults = Faults::new();
/// let dir = faults.wrap(MemoryFs::new());
/// faults.fail_at(1, Errno::Io);
/// assert_eq!(dir.create_dir("a"), Ok(()));
/// assert_eq!(dir.create_dir("b"), Err(Errno::Io));
/// assert_eq!(dir.create_dir("b"), Ok(()));
/// assert!(faults.has_failed());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Faults {
    plan: Arc<Mutex<Plan>>,
}

#[derive(Debug, Default)]
struct Plan {
    /// How many operations succeed before one fails, and the errno.
    next: Option<(u64, Errno)>,
    has_failed: bool,
}

impl Faults {
    /// Makes a plan without faults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Wraps `dir`, so that its operations fail as planned.
    pub fn wrap(&self, dir: impl IntoDir) -> Arc<dyn Dir> {
        Arc::new(FaultyDir {
            faults: self.clone(),
            inner: dir.into_dir(),
        })
    }

    /// Plans one fault: `n_operations` from now on succeed, and the next one fails with `errno`.
    pub fn fail_at(&self, n_operations: u64, errno: Errno) {
        self.with(|plan| {
            *plan = Plan {
                next: Some((n_operations, errno)),
                has_failed: false,
            };
        });
    }

    /// Removes the planned fault.
    pub fn stop(&self) {
        self.with(|plan| plan.next = None);
    }

    /// Whether the planned fault has happened.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.with(|plan| plan.has_failed)
    }

    fn with<T>(&self, f: impl FnOnce(&mut Plan) -> T) -> T {
        f(&mut self.plan.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts one operation, and fails if it is the planned one.
    fn step(&self) -> Result<(), Errno> {
        self.with(|plan| match &mut plan.next {
            None => Ok(()),
            Some((0, errno)) => {
                let errno = *errno;
                plan.next = None;
                plan.has_failed = true;
                Err(errno)
            }
            Some((n_operations, _)) => {
                *n_operations -= 1;
                Ok(())
            }
        })
    }

    fn node(&self, node: Node) -> Node {
        let faults = self.clone();
        match node {
            Node::Dir(inner) => Node::Dir(Arc::new(FaultyDir { faults, inner })),
            Node::File(inner) => Node::File(Arc::new(FaultyFile { faults, inner })),
            link @ Node::Symlink(_) => link,
        }
    }
}

struct FaultyDir {
    faults: Faults,
    inner: Arc<dyn Dir>,
}

/// Unwraps `dir` if it injects faults itself.
fn inner(dir: &dyn Dir) -> &dyn Dir {
    match dir.as_any().downcast_ref::<FaultyDir>() {
        Some(dir) => &*dir.inner,
        None => dir,
    }
}

impl Dir for FaultyDir {
    fn metadata(&self) -> Result<Metadata, Errno> {
        self.faults.step()?;
        self.inner.metadata()
    }

    fn lookup(&self, name: &str) -> Result<Node, Errno> {
        self.faults.step()?;
        self.inner.lookup(name).map(|node| self.faults.node(node))
    }

    fn read_dir(&self) -> Result<ReadDir, Errno> {
        self.faults.step()?;
        let faults = self.faults.clone();
        let entries = self.inner.read_dir()?;
        Ok(Box::new(entries.map(move |entry| {
            faults.step()?;
            entry
        })))
    }

    fn lookup_dir(&self, name: &str) -> Result<Node, Errno> {
        self.faults.step()?;
        let node = self.inner.lookup_dir(name)?;
        Ok(self.faults.node(node))
    }

    fn open(&self, name: &str, options: OpenOptions) -> Result<Node, Errno> {
        self.faults.step()?;
        let node = self.inner.open(name, options)?;
        Ok(self.faults.node(node))
    }

    fn metadata_at(&self, name: &str) -> Result<Metadata, Errno> {
        self.faults.step()?;
        self.inner.metadata_at(name)
    }

    fn read_link(&self, name: &str) -> Result<String, Errno> {
        self.faults.step()?;
        self.inner.read_link(name)
    }

    fn create_dir(&self, name: &str) -> Result<(), Errno> {
        self.faults.step()?;
        self.inner.create_dir(name)
    }

    fn symlink(&self, name: &str, target: &str) -> Result<(), Errno> {
        self.faults.step()?;
        self.inner.symlink(name, target)
    }

    fn link(&self, name: &str, to: &dyn Dir, to_name: &str) -> Result<(), Errno> {
        self.faults.step()?;
        self.inner.link(name, inner(to), to_name)
    }

    fn rename(&self, name: &str, to: &dyn Dir, to_name: &str) -> Result<(), Errno> {
        self.faults.step()?;
        self.inner.rename(name, inner(to), to_name)
    }

    fn remove_file(&self, name: &str) -> Result<(), Errno> {
        self.faults.step()?;
        self.inner.remove_file(name)
    }

    fn remove_dir(&self, name: &str) -> Result<(), Errno> {
        self.faults.step()?;
        self.inner.remove_dir(name)
    }

    fn set_times(&self, times: SetTimes) -> Result<(), Errno> {
        self.faults.step()?;
        self.inner.set_times(times)
    }

    fn set_permissions(&self, bits: u32) -> Result<(), Errno> {
        self.faults.step()?;
        self.inner.set_permissions(bits)
    }

    fn set_times_at(&self, name: &str, times: SetTimes) -> Result<(), Errno> {
        self.faults.step()?;
        self.inner.set_times_at(name, times)
    }

    fn sync(&self) -> Result<(), Errno> {
        self.faults.step()?;
        self.inner.sync()
    }
}

struct FaultyFile {
    faults: Faults,
    inner: Arc<dyn File>,
}

impl File for FaultyFile {
    fn metadata(&self) -> Result<Metadata, Errno> {
        self.faults.step()?;
        self.inner.metadata()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize, Errno> {
        self.faults.step()?;
        self.inner.read_at(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> Result<usize, Errno> {
        self.faults.step()?;
        self.inner.write_at(buf, offset)
    }

    fn append(&self, buf: &[u8]) -> Result<usize, Errno> {
        self.faults.step()?;
        self.inner.append(buf)
    }

    fn set_size(&self, size_bytes: u64) -> Result<(), Errno> {
        self.faults.step()?;
        self.inner.set_size(size_bytes)
    }

    fn allocate(&self, offset: u64, len: u64) -> Result<(), Errno> {
        self.faults.step()?;
        self.inner.allocate(offset, len)
    }

    fn set_times(&self, times: SetTimes) -> Result<(), Errno> {
        self.faults.step()?;
        self.inner.set_times(times)
    }

    fn set_permissions(&self, bits: u32) -> Result<(), Errno> {
        self.faults.step()?;
        self.inner.set_permissions(bits)
    }

    fn sync(&self) -> Result<(), Errno> {
        self.faults.step()?;
        self.inner.sync()
    }

    fn sync_data(&self) -> Result<(), Errno> {
        self.faults.step()?;
        self.inner.sync_data()
    }
}

impl fmt::Debug for FaultyDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyDir").finish_non_exhaustive()
    }
}
