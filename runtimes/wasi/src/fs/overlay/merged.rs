//! A directory that exists in the lower layer.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use super::copy_up::{copy_permissions, copy_times};
use super::state::State;
use crate::Errno;
use crate::costs::{ENTRY, FILE, NAME};
use crate::fs::{Dir, Node, add_work};

/// The maximum path length of a lower directory in bytes; a deeper one fails with
/// [`Errno::Nametoolong`]. Guests reach it by opening one directory after the other in a deep lower
/// filesystem.
///
/// Without this limit, each step down an infinite filesystem would make the host store a longer
/// path.
pub(super) const MAX_MERGED_PATH_BYTES: usize = 16 << 10;

/// The maximum sum of the path lengths of all lower directories that are open, or have an open
/// directory below them, in bytes; more fail with [`Errno::Nfile`].
///
/// Without this limit, a chain of directories costs the host the square of its length.
const MAX_OPEN_PATH_BYTES: usize = 64 << 20;

/// A lower directory, with the upper directory of the same path once it exists.
pub(super) struct Merged {
    /// The path below the root, without a leading slash; empty for the root.
    path: Box<str>,
    parent: Option<Parent>,
    pub(super) lower: Arc<dyn Dir>,
    upper: OnceLock<Arc<dyn Dir>>,
    removed: AtomicBool,
    /// The sum of the lengths of all paths of the overlay.
    n_open_path_bytes: Arc<AtomicUsize>,
}

struct Parent {
    dir: Arc<Merged>,
    name: Box<str>,
}

impl Merged {
    pub(super) fn root(lower: Arc<dyn Dir>, upper: Arc<dyn Dir>) -> Self {
        Self {
            path: "".into(),
            parent: None,
            lower,
            upper: OnceLock::from(upper),
            removed: AtomicBool::new(false),
            n_open_path_bytes: Arc::default(),
        }
    }

    /// The directory `name` in this one, with its lower directory and its upper one, if it exists.
    pub(super) fn child(
        self: &Arc<Self>,
        state: &mut State,
        name: &str,
        lower: Arc<dyn Dir>,
        upper: Option<Arc<dyn Dir>>,
    ) -> Result<Arc<Self>, Errno> {
        let path = self.path_of(name);
        if path.len() > MAX_MERGED_PATH_BYTES {
            return Err(Errno::Nametoolong);
        }
        let child = match state.dirs.get(&path) {
            Some(child) => child,
            None => {
                // Directories are opened one at a time, under the lock of `state`.
                let n_bytes = self.n_open_path_bytes.load(Ordering::Relaxed);
                if n_bytes + path.len() > MAX_OPEN_PATH_BYTES {
                    return Err(Errno::Nfile);
                }
                let of_all = Arc::clone(&self.n_open_path_bytes);
                of_all.fetch_add(path.len(), Ordering::Relaxed);
                let child = Arc::new(Self {
                    path: path.as_str().into(),
                    parent: Some(Parent {
                        dir: Arc::clone(self),
                        name: name.into(),
                    }),
                    lower,
                    upper: OnceLock::new(),
                    removed: AtomicBool::new(false),
                    n_open_path_bytes: of_all,
                });
                state.dirs.insert(&path, &child);
                child
            }
        };
        if let Some(upper) = upper {
            // If it is already set, it is the same directory.
            let _ = child.upper.set(upper);
        }
        Ok(child)
    }

    pub(super) fn path_of(&self, name: &str) -> String {
        match &*self.path {
            "" => name.to_owned(),
            path => format!("{path}/{name}"),
        }
    }

    pub(super) fn upper(&self) -> Option<&Arc<dyn Dir>> {
        self.upper.get()
    }

    /// The upper directory. Creates it and its parents if necessary.
    pub(super) fn make_upper(&self) -> Result<&Arc<dyn Dir>, Errno> {
        let mut missing = Vec::new();
        let mut dir = self;
        let mut above = loop {
            match (dir.upper.get(), &dir.parent) {
                (Some(upper), _) => break upper,
                (None, Some(above)) => {
                    missing.push((dir, above));
                    dir = &above.dir;
                }
                (None, None) => return Err(Errno::Io),
            }
        };
        for (dir, place) in missing.into_iter().rev() {
            add_work(2 * NAME + 3 * FILE);
            match above.create_dir(&place.name) {
                // The directory may be left over from a failed attempt.
                Ok(()) | Err(Errno::Exist) => {}
                Err(errno) => return Err(errno),
            }
            let Node::Dir(upper) = above.lookup_dir(&place.name)? else {
                return Err(Errno::Notdir);
            };
            let original = dir.lower.metadata()?;
            copy_permissions(&original, |bits| upper.set_permissions(bits))?;
            copy_times(&original, |times| upper.set_times(times))?;
            above = dir.upper.get_or_init(|| upper);
        }
        Ok(above)
    }

    pub(super) fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Relaxed)
    }

    pub(super) fn set_removed(&self) {
        self.removed.store(true, Ordering::Relaxed);
    }

    /// Whether no entry is visible.
    pub(super) fn is_empty(&self, state: &State) -> Result<bool, Errno> {
        if let Some(upper) = self.upper.get() {
            if let Some(entry) = upper.read_dir()?.next() {
                return entry.map(|_| false);
            }
        }
        for entry in self.lower.read_dir()? {
            add_work(ENTRY);
            if !state.is_removed(&self.path_of(&entry?.name)) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Drops parents iteratively. A recursive drop would overflow the stack for a deep path.
impl Drop for Merged {
    fn drop(&mut self) {
        self.n_open_path_bytes
            .fetch_sub(self.path.len(), Ordering::Relaxed);
        let mut above = self.parent.take();
        while let Some(mut dir) = above.and_then(|above| Arc::into_inner(above.dir)) {
            above = dir.parent.take();
        }
    }
}
