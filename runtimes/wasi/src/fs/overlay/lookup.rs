//! Lookups of names in both layers of an overlay.

use std::sync::Arc;

use super::copy_up;
use super::dir::{Backing, OverlayDir};
use super::file::{LowerDevice, LowerFile, UpperFile};
use super::merged::Merged;
use super::state::State;
use crate::Errno;
use crate::fs::{Create, Dir, File, FileType, Metadata, Node, OpenOptions};

/// The result of looking up a name in both layers.
pub(super) struct Found {
    pub(super) metadata: Metadata,
    pub(super) layer: Layer,
    /// Whether the lower layer has the name, which a removal from the upper layer would make
    /// visible.
    pub(super) in_lower: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Layer {
    Upper,
    Lower,
    /// A directory in each layer.
    Both,
}

impl Found {
    pub(super) fn is_dir(&self) -> bool {
        self.metadata.file_type == FileType::Directory
    }

    /// Whether it is a directory that exists in the lower layer.
    pub(super) fn is_merged(&self) -> bool {
        self.is_dir() && self.layer != Layer::Upper
    }
}

/// Maps `ENOENT` to `None`.
pub(super) fn optional<T>(result: Result<T, Errno>) -> Result<Option<T>, Errno> {
    match result {
        Err(Errno::Noent) => Ok(None),
        result => result.map(Some),
    }
}

impl OverlayDir {
    pub(super) fn find(&self, state: &State, name: &str) -> Result<Option<Found>, Errno> {
        let upper = match self.upper() {
            Some(upper) => optional(upper.metadata_at(name))?,
            None => None,
        };
        let lower = match self.visible_lower(state, name) {
            Some(merged) => optional(merged.lower.metadata_at(name))?,
            None => None,
        };
        let in_lower = lower.is_some();
        let is_dir = |found: Metadata| found.file_type == FileType::Directory;
        let (metadata, layer) = match (upper, lower) {
            (None, None) => return Ok(None),
            (None, Some(lower)) => (lower, Layer::Lower),
            (Some(upper), Some(lower)) if is_dir(upper) && is_dir(lower) => {
                (merge(upper, &lower), Layer::Both)
            }
            (Some(upper), _) => (state.identify(upper), Layer::Upper),
        };
        Ok(Some(Found {
            metadata,
            layer,
            in_lower,
        }))
    }

    pub(super) fn find_existing(&self, state: &State, name: &str) -> Result<Found, Errno> {
        self.find(state, name)?.ok_or(Errno::Noent)
    }

    /// Fails if the name exists, or if this directory is removed.
    pub(super) fn require_absent(&self, state: &State, name: &str) -> Result<(), Errno> {
        if self.is_removed() {
            return Err(Errno::Noent);
        }
        match self.find(state, name)? {
            Some(_) => Err(Errno::Exist),
            None => Ok(()),
        }
    }

    pub(super) fn upper_node(
        &self,
        state: &mut State,
        name: &str,
        node: Node,
    ) -> Result<Node, Errno> {
        let upper = match node {
            Node::File(file) => return Ok(Node::File(UpperFile::open(&self.shared, file))),
            Node::Symlink(target) => return Ok(Node::Symlink(target)),
            Node::Dir(upper) => upper,
        };
        let below = match self.visible_lower(state, name) {
            Some(merged) => match optional(merged.lower.lookup_dir(name)) {
                Ok(Some(Node::Dir(lower))) => Some((merged, lower)),
                Ok(_) | Err(Errno::Notdir) => None,
                Err(errno) => return Err(errno),
            },
            None => None,
        };
        let backing = match below {
            Some((merged, lower)) => {
                Backing::Merged(merged.child(state, name, lower, Some(upper))?)
            }
            None => Backing::Upper(upper),
        };
        Ok(Node::Dir(Arc::new(self.at(backing))))
    }

    fn lower_node(
        &self,
        state: &mut State,
        merged: &Arc<Merged>,
        name: &str,
        node: Node,
    ) -> Result<Node, Errno> {
        match node {
            Node::Symlink(target) => Ok(Node::Symlink(target)),
            Node::Dir(lower) => {
                let child = merged.child(state, name, lower, None)?;
                Ok(Node::Dir(Arc::new(self.at(Backing::Merged(child)))))
            }
            Node::File(file) => {
                let file = self.lower_file(state, merged, name, file);
                Ok(Node::File(file))
            }
        }
    }

    /// The open file, shared by all descriptors.
    fn lower_file(
        &self,
        state: &mut State,
        merged: &Arc<Merged>,
        name: &str,
        file: Arc<dyn File>,
    ) -> Arc<LowerFile> {
        let path = merged.path_of(name);
        state.files.get(&path).unwrap_or_else(|| {
            let file = Arc::new(LowerFile::new(&self.shared, merged, name, file));
            state.files.insert(&path, &file);
            file
        })
    }

    pub(super) fn lookup_with(
        &self,
        name: &str,
        look: impl Fn(&dyn Dir) -> Result<Node, Errno>,
    ) -> Result<Node, Errno> {
        let state = &mut *self.shared.lock();
        if let Some(upper) = self.upper() {
            if let Some(node) = optional(look(&**upper))? {
                return self.upper_node(state, name, node);
            }
        }
        let merged = self.visible_lower(state, name).ok_or(Errno::Noent)?;
        let node = look(&*merged.lower)?;
        self.lower_node(state, merged, name, node)
    }

    pub(super) fn open_lower(
        &self,
        state: &mut State,
        name: &str,
        found: &Found,
        options: OpenOptions,
    ) -> Result<Node, Errno> {
        let merged = self.visible_lower(state, name).ok_or(Errno::Noent)?;
        match found.metadata.file_type {
            FileType::Directory if options.is_mutating() => Err(Errno::Isdir),
            FileType::Directory | FileType::SymbolicLink => {
                let node = merged.lower.lookup(name)?;
                self.lower_node(state, merged, name, node)
            }
            _ if options.directory => Err(Errno::Notdir),
            FileType::RegularFile if options.truncate => {
                let file = copy_up::replace_by_empty(state, merged, name, &found.metadata)?;
                Ok(Node::File(UpperFile::open(&self.shared, file)))
            }
            FileType::RegularFile => {
                let Node::File(file) = merged.lower.lookup(name)? else {
                    return Err(Errno::Io);
                };
                let file = self.lower_file(state, merged, name, file);
                if options.write {
                    file.set_writable();
                }
                Ok(Node::File(file))
            }
            // Writing to a device changes no filesystem.
            _ => {
                let options = OpenOptions {
                    create: Create::Never,
                    write: options.write || options.truncate,
                    truncate: false,
                    ..options
                };
                match merged.lower.open(name, options)? {
                    Node::File(file) => Ok(Node::File(LowerDevice::open(file))),
                    node => Ok(node),
                }
            }
        }
    }
}

/// A merged directory keeps the inode number of its lower part, which it had before copy-up.
pub(super) fn merge(upper: Metadata, lower: &Metadata) -> Metadata {
    Metadata {
        dev: lower.dev,
        ino: lower.ino,
        ..upper
    }
}
