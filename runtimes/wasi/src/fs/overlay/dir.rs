//! Directories of an overlay.

use std::sync::Arc;

use super::copy_up;
use super::entries::Entries;
use super::lookup::{Found, Layer, merge, optional};
use super::merged::Merged;
use super::state::{Shared, State};
use crate::Errno;
use crate::fs::{Create, Dir, Metadata, Node, OpenOptions, ReadDir, SetTimes};

#[derive(Clone)]
pub(super) struct OverlayDir {
    pub(super) shared: Arc<Shared>,
    pub(super) backing: Backing,
}

#[derive(Clone)]
pub(super) enum Backing {
    /// Exists only in the upper layer, without a lower directory of the same path.
    Upper(Arc<dyn Dir>),
    Merged(Arc<Merged>),
}

impl OverlayDir {
    pub(super) fn root(lower: Arc<dyn Dir>, upper: Arc<dyn Dir>) -> Self {
        Self {
            shared: Shared::new(),
            backing: Backing::Merged(Arc::new(Merged::root(lower, upper))),
        }
    }

    pub(super) fn at(&self, backing: Backing) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            backing,
        }
    }

    pub(super) fn is_removed(&self) -> bool {
        matches!(&self.backing, Backing::Merged(merged) if merged.is_removed())
    }

    pub(super) fn upper(&self) -> Option<&Arc<dyn Dir>> {
        match &self.backing {
            Backing::Upper(upper) => Some(upper),
            Backing::Merged(merged) if merged.is_removed() => None,
            Backing::Merged(merged) => merged.upper(),
        }
    }

    /// The upper directory, created if necessary.
    fn make_upper(&self) -> Result<&Arc<dyn Dir>, Errno> {
        match &self.backing {
            Backing::Upper(upper) => Ok(upper),
            Backing::Merged(merged) if merged.is_removed() => Err(Errno::Noent),
            Backing::Merged(merged) => merged.make_upper(),
        }
    }

    pub(super) fn lower(&self) -> Option<&Arc<dyn Dir>> {
        match &self.backing {
            Backing::Merged(merged) if !merged.is_removed() => Some(&merged.lower),
            Backing::Merged(_) | Backing::Upper(_) => None,
        }
    }

    /// The merged directory, if the lower entry `name` is visible.
    pub(super) fn visible_lower(&self, state: &State, name: &str) -> Option<&Arc<Merged>> {
        match &self.backing {
            Backing::Merged(merged)
                if !merged.is_removed() && !state.is_removed(&merged.path_of(name)) =>
            {
                Some(merged)
            }
            Backing::Merged(_) | Backing::Upper(_) => None,
        }
    }

    /// The lower directory, if its entry `name` was visible after the first `n_removals`.
    pub(super) fn lower_beside(
        &self,
        state: &State,
        name: &str,
        n_removals: u64,
    ) -> Option<&Arc<dyn Dir>> {
        match &self.backing {
            Backing::Merged(merged) if !state.was_removed(&merged.path_of(name), n_removals) => {
                Some(&merged.lower)
            }
            Backing::Merged(_) | Backing::Upper(_) => None,
        }
    }

    /// Copies `name` up if it exists only in the lower layer.
    fn copy_up(&self, state: &mut State, name: &str, found: &Found) -> Result<(), Errno> {
        match self.visible_lower(state, name) {
            Some(merged) if found.layer == Layer::Lower && found.is_dir() => {
                let Node::Dir(lower) = merged.lower.lookup_dir(name)? else {
                    return Err(Errno::Notdir);
                };
                let child = merged.child(state, name, lower, None)?;
                child.make_upper().map(drop)
            }
            Some(merged) if found.layer == Layer::Lower => {
                copy_up::copy_up(state, merged, name).map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Prepares the removal of a name: a lower file that is open for writing is copied up first.
    /// Returns whether the upper layer then has the name.
    fn prepare_removal(&self, state: &mut State, name: &str, found: &Found) -> Result<bool, Errno> {
        if found.layer != Layer::Lower {
            return Ok(true);
        }
        let Some(merged) = self.visible_lower(state, name) else {
            return Ok(false);
        };
        let open = state.files.get(&merged.path_of(name));
        let needs_copy_up = open.is_some_and(|open| open.needs_copy_up());
        if needs_copy_up {
            copy_up::copy_up(state, merged, name)?;
        }
        Ok(needs_copy_up)
    }

    /// Marks the lower file as removed, after the upper layer has removed or replaced the name.
    fn close_lower(&self, state: &mut State, name: &str) {
        if let Backing::Merged(merged) = &self.backing {
            if let Some(open) = state.files.take(&merged.path_of(name)) {
                open.set_removed();
            }
        }
    }

    /// Hides the lower entry `name` permanently.
    fn hide(&self, state: &mut State, name: &str) {
        if let Backing::Merged(merged) = &self.backing {
            let path = merged.path_of(name);
            if let Some(dir) = state.dirs.take(&path) {
                dir.set_removed();
            }
            state.remove(path);
        }
    }

    /// The errno for replacing the merged directory `to_name` by a file: as on Linux, a different
    /// one if `name` is below it.
    fn refuse_dir(&self, name: &str, to: &Self, to_name: &str) -> Errno {
        match (&self.backing, &to.backing) {
            (Backing::Merged(from), Backing::Merged(to)) => {
                let dir = to.path_of(to_name) + "/";
                match from.path_of(name).starts_with(&dir) {
                    true => Errno::Notempty,
                    false => Errno::Isdir,
                }
            }
            // The directory is not empty, so the rename replaces nothing and returns the errno.
            (Backing::Upper(from), _) => {
                match to.upper().map(|to| from.rename(name, &**to, to_name)) {
                    Some(Err(errno)) if errno != Errno::Noent => errno,
                    _ => Errno::Isdir,
                }
            }
            (Backing::Merged(_), Backing::Upper(_)) => Errno::Isdir,
        }
    }

    /// Whether the merged directory `name` is empty.
    fn is_empty_at(&self, state: &mut State, name: &str) -> Result<bool, Errno> {
        let merged = self.visible_lower(state, name).ok_or(Errno::Noent)?;
        let Node::Dir(lower) = merged.lower.lookup_dir(name)? else {
            return Err(Errno::Notdir);
        };
        let upper = match self.upper().map(|upper| upper.lookup_dir(name)) {
            Some(node) => match optional(node)? {
                Some(Node::Dir(upper)) => Some(upper),
                _ => None,
            },
            None => None,
        };
        merged.child(state, name, lower, upper)?.is_empty(state)
    }

    fn same_fs<'a>(&self, dir: &'a dyn Dir) -> Result<&'a Self, Errno> {
        match dir.as_any().downcast_ref::<Self>() {
            Some(dir) if Arc::ptr_eq(&dir.shared, &self.shared) => Ok(dir),
            _ => Err(Errno::Xdev),
        }
    }
}

/// Forgets the origin of an inode number that a new file in the upper layer reuses.
fn forget_reused_origin(state: &mut State, upper: &Arc<dyn Dir>, name: &str) {
    if state.has_origins() {
        if let Ok(made) = upper.metadata_at(name) {
            state.forget_origin(&made);
        }
    }
}

impl Dir for OverlayDir {
    fn metadata(&self) -> Result<Metadata, Errno> {
        let merged = match &self.backing {
            Backing::Upper(upper) => return upper.metadata(),
            Backing::Merged(merged) => merged,
        };
        let lower = merged.lower.metadata()?;
        let mut metadata = match merged.upper() {
            Some(upper) => merge(upper.metadata()?, &lower),
            None => lower,
        };
        if merged.is_removed() {
            metadata.n_links = 0;
        }
        Ok(metadata)
    }

    fn lookup(&self, name: &str) -> Result<Node, Errno> {
        self.lookup_with(name, |dir| dir.lookup(name))
    }

    fn lookup_dir(&self, name: &str) -> Result<Node, Errno> {
        self.lookup_with(name, |dir| dir.lookup_dir(name))
    }

    fn read_dir(&self) -> Result<ReadDir, Errno> {
        Ok(Box::new(Entries::new(self.clone())?))
    }

    fn open(&self, name: &str, options: OpenOptions) -> Result<Node, Errno> {
        let state = &mut *self.shared.lock();
        let Some(found) = self.find(state, name)? else {
            if options.create == Create::Never {
                return Err(Errno::Noent);
            }
            let upper = self.make_upper()?;
            let node = upper.open(name, options)?;
            forget_reused_origin(state, upper, name);
            return self.upper_node(state, name, node);
        };
        match found.layer {
            _ if options.create == Create::New => Err(Errno::Exist),
            Layer::Lower => self.open_lower(state, name, &found, options),
            Layer::Upper | Layer::Both => {
                let node = self.make_upper()?.open(name, options)?;
                self.upper_node(state, name, node)
            }
        }
    }

    fn metadata_at(&self, name: &str) -> Result<Metadata, Errno> {
        let state = self.shared.lock();
        self.find_existing(&state, name).map(|found| found.metadata)
    }

    fn read_link(&self, name: &str) -> Result<String, Errno> {
        let state = self.shared.lock();
        if let Some(upper) = self.upper() {
            if let Some(target) = optional(upper.read_link(name))? {
                return Ok(target);
            }
        }
        let merged = self.visible_lower(&state, name).ok_or(Errno::Noent)?;
        merged.lower.read_link(name)
    }

    fn create_dir(&self, name: &str) -> Result<(), Errno> {
        let state = &mut *self.shared.lock();
        self.require_absent(state, name)?;
        let upper = self.make_upper()?;
        upper.create_dir(name)?;
        forget_reused_origin(state, upper, name);
        Ok(())
    }

    fn symlink(&self, name: &str, target: &str) -> Result<(), Errno> {
        let state = &mut *self.shared.lock();
        self.require_absent(state, name)?;
        let upper = self.make_upper()?;
        upper.symlink(name, target)?;
        forget_reused_origin(state, upper, name);
        Ok(())
    }

    fn link(&self, name: &str, to: &dyn Dir, to_name: &str) -> Result<(), Errno> {
        let to = self.same_fs(to)?;
        let state = &mut *self.shared.lock();
        let found = self.find_existing(state, name)?;
        if found.is_dir() {
            return Err(Errno::Perm);
        }
        to.require_absent(state, to_name)?;
        self.copy_up(state, name, &found)?;
        let to = to.make_upper()?;
        self.make_upper()?.link(name, &**to, to_name)
    }

    fn rename(&self, name: &str, to: &dyn Dir, to_name: &str) -> Result<(), Errno> {
        let to = self.same_fs(to)?;
        let state = &mut *self.shared.lock();
        let found = self.find_existing(state, name)?;
        if to.is_removed() {
            return Err(Errno::Noent);
        }
        let replaced = to.find(state, to_name)?;
        if let Some(replaced) = &replaced {
            let identity = |of: &Found| (of.metadata.dev, of.metadata.ino);
            if identity(&found) == identity(replaced) {
                return Ok(());
            }
        }
        if found.is_merged() {
            return Err(Errno::Xdev);
        }
        if let Some(replaced) = &replaced {
            match (found.is_dir(), replaced.is_dir()) {
                // If both are in the upper layer, its rename returns the errno.
                (true, false) if replaced.layer == Layer::Lower => return Err(Errno::Notdir),
                (false, true) if replaced.is_merged() => {
                    return Err(self.refuse_dir(name, to, to_name));
                }
                _ => {}
            }
        }
        let replaces_merged = replaced.as_ref().is_some_and(Found::is_merged);
        if replaces_merged && !to.is_empty_at(state, to_name)? {
            return Err(Errno::Notempty);
        }
        state.reserve_removals(2)?;
        let to_upper = to.make_upper()?;
        self.copy_up(state, name, &found)?;
        if let Some(replaced) = replaced.as_ref().filter(|replaced| !replaced.is_dir()) {
            to.prepare_removal(state, to_name, replaced)?;
        }
        self.make_upper()?.rename(name, &**to_upper, to_name)?;
        to.close_lower(state, to_name);
        if replaces_merged {
            to.hide(state, to_name);
        }
        if found.in_lower {
            self.hide(state, name);
        }
        Ok(())
    }

    fn remove_file(&self, name: &str) -> Result<(), Errno> {
        let state = &mut *self.shared.lock();
        let found = self.find_existing(state, name)?;
        if found.is_dir() {
            return Err(Errno::Isdir);
        }
        state.reserve_removals(1)?;
        if self.prepare_removal(state, name, &found)? {
            self.make_upper()?.remove_file(name)?;
        }
        self.close_lower(state, name);
        if found.in_lower {
            self.hide(state, name);
        }
        Ok(())
    }

    fn remove_dir(&self, name: &str) -> Result<(), Errno> {
        let state = &mut *self.shared.lock();
        let found = self.find_existing(state, name)?;
        if !found.is_dir() {
            return Err(Errno::Notdir);
        }
        if found.is_merged() && !self.is_empty_at(state, name)? {
            return Err(Errno::Notempty);
        }
        state.reserve_removals(1)?;
        if found.layer != Layer::Lower {
            self.make_upper()?.remove_dir(name)?;
        }
        if found.in_lower {
            self.hide(state, name);
        }
        Ok(())
    }

    fn set_times(&self, times: SetTimes) -> Result<(), Errno> {
        let _state = self.shared.lock();
        self.make_upper()?.set_times(times)
    }

    fn set_permissions(&self, bits: u32) -> Result<(), Errno> {
        let _state = self.shared.lock();
        self.make_upper()?.set_permissions(bits)
    }

    fn set_times_at(&self, name: &str, times: SetTimes) -> Result<(), Errno> {
        let state = &mut *self.shared.lock();
        let found = self.find_existing(state, name)?;
        self.copy_up(state, name, &found)?;
        self.make_upper()?.set_times_at(name, times)
    }

    fn sync(&self) -> Result<(), Errno> {
        self.upper().map_or(Ok(()), |upper| upper.sync())
    }
}
