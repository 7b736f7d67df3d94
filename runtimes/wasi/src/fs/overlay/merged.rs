//! A directory that the lower filesystem has.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use super::copy_up::keep_times;
use super::state::State;
use crate::Errno;
use crate::fs::{Dir, Node};

/// The longest path of a lower directory, in bytes; what is deeper is [`Errno::Nametoolong`]. Guests that open one directory
/// after the other get there, when the lower filesystem is that deep.
///
/// Without it, each step down a filesystem without end would make the host keep a longer path.
pub(super) const MAX_MERGED_PATH_BYTES: usize = 16 << 10;

/// How many bytes the paths of all lower directories may have together that are open, or have an open one below them; one
/// more is [`Errno::Nfile`].
///
/// Without it, a chain of directories costs the host the square of its length.
const MAX_OPEN_PATH_BYTES: usize = 64 << 20;

/// A lower directory, and the upper one of the same path once there is one.
pub(super) struct Merged {
    /// Below the root, without a slash in front; empty for the root.
    path: Box<str>,
    above: Option<Above>,
    pub(super) lower: Arc<dyn Dir>,
    upper: OnceLock<Arc<dyn Dir>>,
    removed: AtomicBool,
    /// Of all paths of the filesystem.
    n_open_path_bytes: Arc<AtomicUsize>,
}

struct Above {
    dir: Arc<Merged>,
    name: Box<str>,
}

impl Merged {
    pub(super) fn root(lower: Arc<dyn Dir>, upper: Arc<dyn Dir>) -> Self {
        Self {
            path: "".into(),
            above: None,
            lower,
            upper: OnceLock::from(upper),
            removed: AtomicBool::new(false),
            n_open_path_bytes: Arc::default(),
        }
    }

    /// The directory `name` in this one, which `lower` is, and `upper` if there is one.
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
                // Directories are only opened one at a time, under the lock that `state` stands for.
                let n_bytes = self.n_open_path_bytes.load(Ordering::Relaxed);
                if n_bytes + path.len() > MAX_OPEN_PATH_BYTES {
                    return Err(Errno::Nfile);
                }
                let of_all = Arc::clone(&self.n_open_path_bytes);
                of_all.fetch_add(path.len(), Ordering::Relaxed);
                let child = Arc::new(Self {
                    path: path.as_str().into(),
                    above: Some(Above {
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
            // Where there is one already, it is the same.
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

    /// The upper directory, which is made if there is none, and so are those above it.
    pub(super) fn make_upper(&self) -> Result<&Arc<dyn Dir>, Errno> {
        let mut missing = Vec::new();
        let mut dir = self;
        let mut above = loop {
            match (dir.upper.get(), &dir.above) {
                (Some(upper), _) => break upper,
                (None, Some(above)) => {
                    missing.push((dir, above));
                    dir = &above.dir;
                }
                (None, None) => return Err(Errno::Io),
            }
        };
        for (dir, place) in missing.into_iter().rev() {
            match above.create_dir(&place.name) {
                // It may be what is left of an attempt that failed.
                Ok(()) | Err(Errno::Exist) => {}
                Err(errno) => return Err(errno),
            }
            let Node::Dir(upper) = above.lookup_dir(&place.name)? else {
                return Err(Errno::Notdir);
            };
            keep_times(&dir.lower.metadata()?, |times| upper.set_times(times))?;
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

    /// Whether neither directory has anything that is to be seen.
    pub(super) fn is_empty(&self, state: &State) -> Result<bool, Errno> {
        if let Some(upper) = self.upper.get() {
            if let Some(entry) = upper.read_dir()?.next() {
                return entry.map(|_| false);
            }
        }
        for entry in self.lower.read_dir()? {
            if !state.is_removed(&self.path_of(&entry?.name)) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Directories above go one by one: each from within the drop of the next would overflow the stack, if they are deep enough.
impl Drop for Merged {
    fn drop(&mut self) {
        self.n_open_path_bytes
            .fetch_sub(self.path.len(), Ordering::Relaxed);
        let mut above = self.above.take();
        while let Some(mut dir) = above.and_then(|above| Arc::into_inner(above.dir)) {
            above = dir.above.take();
        }
    }
}
