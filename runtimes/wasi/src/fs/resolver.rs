//! The path resolver: every path of a guest is walked here.
//!
//! The resolver confines a guest to its preopened directories on every filesystem. It looks up one
//! name at a time in directories that it holds open. Symbolic links are followed here and nowhere
//! else. `..` returns to the directory that the walk came from, so neither a symbolic link nor a
//! concurrent rename leads out. A filesystem may open several components at once, none of which is
//! a link; `..` then walks down again, with one component less.

use std::borrow::Cow;
use std::sync::Arc;

use crate::costs::{LINK, NAME, PATH_BYTES_PER_UNIT, Work};
use crate::fs::{Create, Dir, FileType, Metadata, Node, OpenOptions};
use crate::{Errno, MAX_NAME_BYTES, MAX_PATH_BYTES, MAX_PATH_DEPTH, MAX_SYMLINKS};

/// Whether a symbolic link in the last component is followed.
///
/// Source: WASI preview1 witx, `lookupflags`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SymlinkMode {
    Follow,
    NoFollow,
}

/// Whether a path ends in a slash, which requires a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slash {
    None,
    Trailing,
}

/// The last component of a path.
pub(crate) enum LastComponent<'w> {
    /// A name, which may or may not exist.
    Entry {
        dir: &'w Arc<dyn Dir>,
        name: &'w str,
        slash: Slash,
    },
    /// A directory without a name, for a path that ends in `.` or `..`.
    Dir(&'w Arc<dyn Dir>),
}

/// A directory that the walk has entered.
struct Entered {
    dir: Arc<dyn Dir>,
    /// The names through which it was entered, if the filesystem opened several at once.
    descended: Option<String>,
}

/// The state of walking one path.
pub(crate) struct Walk<'p> {
    base: &'p Arc<dyn Dir>,
    /// The directories between the base and the current one.
    entered: Vec<Entered>,
    /// The depth of the current directory below the base, in names.
    depth: usize,
    /// Whether [`Dir::descend`] may be called; not after it has returned `None`.
    may_descend: bool,
    path: Cow<'p, str>,
    /// The offset in `path` of the next component.
    at: usize,
    n_links: u32,
    work: &'p Work,
}

impl<'p> Walk<'p> {
    /// Starts at `base`. Looks nothing up yet. Adds to `work` what the walk costs, and one
    /// operation on the last component.
    pub(crate) fn new(
        base: &'p Arc<dyn Dir>,
        path: &'p str,
        work: &'p Work,
    ) -> Result<Self, Errno> {
        work.add(NAME + path.len() as u64 / PATH_BYTES_PER_UNIT);
        if path.len() > MAX_PATH_BYTES as usize {
            return Err(Errno::Nametoolong);
        }
        check(path)?;
        Ok(Self {
            base,
            entered: Vec::new(),
            depth: 0,
            may_descend: true,
            path: Cow::Borrowed(path),
            at: 0,
            n_links: 0,
            work,
        })
    }

    /// Walks to the last component, and follows symbolic links before it.
    pub(crate) fn last(&mut self) -> Result<LastComponent<'_>, Errno> {
        loop {
            if self.descend()? {
                continue;
            }
            let rest = &self.path[self.at..];
            if rest.is_empty() {
                return Ok(LastComponent::Dir(self.dir()));
            }
            let (len, after) = match rest.find('/') {
                None => (rest.len(), rest.len()),
                Some(len) => {
                    let slashes = rest[len..].bytes().take_while(|byte| *byte == b'/').count();
                    (len, len + slashes)
                }
            };
            let name = self.at..self.at + len;
            let is_last = after == rest.len();
            match &self.path[name.clone()] {
                "." => self.at += after,
                ".." => {
                    self.at += after;
                    self.leave()?;
                }
                long if long.len() > MAX_NAME_BYTES as usize => return Err(Errno::Nametoolong),
                _ if is_last => {
                    let slash = match after == len {
                        true => Slash::None,
                        false => Slash::Trailing,
                    };
                    return Ok(LastComponent::Entry {
                        dir: self
                            .entered
                            .last()
                            .map_or(self.base, |entered| &entered.dir),
                        name: &self.path[name],
                        slash,
                    });
                }
                directory => match self.look_up(directory)? {
                    Node::Dir(dir) if self.depth < MAX_PATH_DEPTH as usize => {
                        self.entered.push(Entered {
                            dir,
                            descended: None,
                        });
                        self.depth += 1;
                        self.at += after;
                    }
                    Node::Dir(_) => return Err(Errno::Nametoolong),
                    Node::File(_) => return Err(Errno::Notdir),
                    Node::Symlink(target) => {
                        self.at += len;
                        self.follow(target)?;
                    }
                },
            }
        }
    }

    /// Looks up a component that should be a directory.
    fn look_up(&self, name: &str) -> Result<Node, Errno> {
        self.work.enter()?;
        self.dir().lookup_dir(name)
    }

    /// Opens all components before the last one at once, if the filesystem can.
    fn descend(&mut self) -> Result<bool, Errno> {
        if !self.may_descend {
            return Ok(false);
        }
        self.may_descend = false;
        let Some(names) = names_before_last(&self.path[self.at..]) else {
            return Ok(false);
        };
        let n_names = names.split('/').count();
        if n_names < 2 || self.depth + n_names > MAX_PATH_DEPTH as usize {
            return Ok(false);
        }
        self.work.add(NAME);
        let Some(dir) = self.dir().descend(names)? else {
            return Ok(false);
        };
        let descended = Some(names.to_owned());
        self.at += names.len() + 1;
        self.entered.push(Entered { dir, descended });
        self.depth += n_names;
        Ok(true)
    }

    /// Returns to the parent directory.
    fn leave(&mut self) -> Result<(), Errno> {
        // The parent of the base is outside of the preopened directory.
        let left = self.entered.pop().ok_or(Errno::Perm)?;
        let Some(names) = left.descended else {
            self.depth -= 1;
            return Ok(());
        };
        self.depth -= names.split('/').count();
        let above = names.rsplit_once('/').map_or("", |(above, _)| above);
        // The dot makes a path that ends here end in a directory without a name.
        let path = format!("{above}/./{}", &self.path[self.at..]);
        self.path = Cow::Owned(path);
        self.at = 0;
        Ok(())
    }

    /// Opens the last component.
    pub(crate) fn open(&mut self, options: OpenOptions, links: SymlinkMode) -> Result<Node, Errno> {
        loop {
            let (node, slash) = match self.last()? {
                LastComponent::Dir(_) if options.create == Create::New => return Err(Errno::Exist),
                LastComponent::Dir(_) if options.is_mutating() => return Err(Errno::Isdir),
                LastComponent::Dir(dir) => return Ok(Node::Dir(Arc::clone(dir))),
                LastComponent::Entry { dir, name, slash } => {
                    let mut options = options;
                    if slash == Slash::Trailing {
                        if options.create != Create::Never {
                            return Err(refuse_creation(&**dir, name));
                        }
                        options.directory = true;
                    }
                    (dir.open(name, options)?, slash)
                }
            };
            match node {
                Node::Symlink(target)
                    if links == SymlinkMode::Follow || slash == Slash::Trailing =>
                {
                    self.replace_last(target)?;
                }
                Node::Symlink(_) => return Err(Errno::Loop),
                Node::File(_) if options.directory || slash == Slash::Trailing => {
                    return Err(Errno::Notdir);
                }
                node => return Ok(node),
            }
        }
    }

    /// The attributes of the last component.
    pub(crate) fn metadata(&mut self, links: SymlinkMode) -> Result<Metadata, Errno> {
        match self.resolve(links)? {
            (LastComponent::Dir(dir), _) => dir.metadata(),
            (_, Some(metadata)) => Ok(metadata),
            (LastComponent::Entry { dir, name, .. }, None) => dir.metadata_at(name),
        }
    }

    /// Walks to the last component and follows symbolic links there if `links` says so. Returns the
    /// attributes if it has read them.
    pub(crate) fn resolve(
        &mut self,
        links: SymlinkMode,
    ) -> Result<(LastComponent<'_>, Option<Metadata>), Errno> {
        let found = loop {
            let target = match self.last()? {
                LastComponent::Dir(_) => break None,
                LastComponent::Entry { dir, name, slash } => {
                    let metadata = dir.metadata_at(name)?;
                    let follow = links == SymlinkMode::Follow || slash == Slash::Trailing;
                    match metadata.file_type {
                        FileType::SymbolicLink if follow => dir.read_link(name)?,
                        FileType::Directory => break Some(metadata),
                        _ if slash == Slash::Trailing => return Err(Errno::Notdir),
                        _ => break Some(metadata),
                    }
                }
            };
            self.replace_last(target)?;
        };
        Ok((self.last()?, found))
    }

    /// The current directory.
    fn dir(&self) -> &Arc<dyn Dir> {
        self.entered
            .last()
            .map_or(self.base, |entered| &entered.dir)
    }

    /// Continues at `target` instead of the last component.
    fn replace_last(&mut self, target: String) -> Result<(), Errno> {
        let rest = &self.path[self.at..];
        self.at += rest.find('/').unwrap_or(rest.len());
        self.follow(target)
    }

    /// Continues at `target`, followed by the rest of the path.
    fn follow(&mut self, mut target: String) -> Result<(), Errno> {
        self.work.add(LINK);
        self.n_links += 1;
        if self.n_links > MAX_SYMLINKS {
            return Err(Errno::Loop);
        }
        check(&target)?;
        let rest = &self.path[self.at..];
        // As in BSD: links that each extend the path could otherwise make it forty times as long.
        if target.len() + rest.len() > MAX_PATH_BYTES as usize {
            return Err(Errno::Nametoolong);
        }
        target.push_str(rest);
        self.path = Cow::Owned(target);
        self.at = 0;
        Ok(())
    }
}

/// The part of a path before its last component, if it consists of names, each followed by one
/// slash.
fn names_before_last(path: &str) -> Option<&str> {
    let (names, _) = path.trim_end_matches('/').rsplit_once('/')?;
    let is_name =
        |name: &str| !matches!(name, "" | "." | "..") && name.len() <= MAX_NAME_BYTES as usize;
    names.split('/').all(is_name).then_some(names)
}

/// Fails for a path that cannot be below a directory.
fn check(path: &str) -> Result<(), Errno> {
    match path.as_bytes() {
        [] => Err(Errno::Noent),
        // An absolute path is not below the directory.
        [b'/', ..] => Err(Errno::Perm),
        bytes if bytes.contains(&0) => Err(Errno::Ilseq),
        _ => Ok(()),
    }
}

/// The errno for creating a file under a name with a trailing slash.
fn refuse_creation(dir: &dyn Dir, name: &str) -> Errno {
    match dir.metadata_at(name).map(|metadata| metadata.file_type) {
        Ok(FileType::RegularFile) => Errno::Notdir,
        _ => Errno::Isdir,
    }
}
