//! The one walk that all paths of a guest go through.
//!
//! It is what keeps a guest in the directories it was given, on every filesystem: names are looked up one at a time in
//! directories that are held open, symbolic links are followed here and nowhere else, and `..` goes back to the directory
//! through which the walk came, so that neither a link nor a directory that is moved meanwhile leads out. A filesystem may
//! offer to go down several names at once, none of which is a link; `..` then goes down again, to one less.

use std::borrow::Cow;
use std::sync::Arc;

use crate::fs::{Create, Dir, FileType, Metadata, Node, OpenOptions};
use crate::limits::MAX_ENTERED;
use crate::{Errno, MAX_NAME_BYTES, MAX_PATH_BYTES, MAX_PATH_DEPTH, MAX_SYMLINKS};

/// Whether a symbolic link at the end of a path is followed.
///
/// Source: WASI preview1 witx, `lookupflags`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Links {
    Follow,
    Keep,
}

/// Whether a path ends in a slash, and so can only mean a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slash {
    None,
    Trailing,
}

/// Where a path ends.
pub(crate) enum Last<'w> {
    /// At a name, which may or may not exist.
    Entry {
        dir: &'w Arc<dyn Dir>,
        name: &'w str,
        slash: Slash,
    },
    /// At a directory that has no name of its own: the path ends in `.` or `..`.
    Dir(&'w Arc<dyn Dir>),
}

/// A directory on the way.
struct Entered {
    dir: Arc<dyn Dir>,
    /// The names through which it was entered, if it was more than one at once.
    jumped: Option<String>,
}

/// One path on its way through a filesystem.
pub(crate) struct Walk<'p> {
    base: &'p Arc<dyn Dir>,
    /// The directories that were entered and not left, from the base on.
    entered: Vec<Entered>,
    /// How many names they are below the base.
    depth: usize,
    /// Whether the filesystem may still be asked for several steps at once; after a refusal it is not.
    may_jump: bool,
    path: Cow<'p, str>,
    /// How far `path` has been walked.
    at: usize,
    n_links: u32,
    /// How many directories were entered one by one.
    n_entered: u32,
}

impl<'p> Walk<'p> {
    /// Begins at `base`. Nothing is looked up yet.
    pub(crate) fn new(base: &'p Arc<dyn Dir>, path: &'p str) -> Result<Self, Errno> {
        if path.len() > MAX_PATH_BYTES as usize {
            return Err(Errno::Nametoolong);
        }
        check(path)?;
        Ok(Self {
            base,
            entered: Vec::new(),
            depth: 0,
            may_jump: true,
            path: Cow::Borrowed(path),
            at: 0,
            n_links: 0,
            n_entered: 0,
        })
    }

    /// Walks up to the last component, following links on the way.
    pub(crate) fn last(&mut self) -> Result<Last<'_>, Errno> {
        loop {
            if self.jump()? {
                continue;
            }
            let rest = &self.path[self.at..];
            if rest.is_empty() {
                return Ok(Last::Dir(self.dir()));
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
                    return Ok(Last::Entry {
                        dir: self
                            .entered
                            .last()
                            .map_or(self.base, |entered| &entered.dir),
                        name: &self.path[name],
                        slash,
                    });
                }
                directory => match self.dir().lookup_dir(directory)? {
                    Node::Dir(dir) if self.depth < MAX_PATH_DEPTH as usize => {
                        self.entered.push(Entered { dir, jumped: None });
                        self.depth += 1;
                        self.at += after;
                        self.n_entered += 1;
                        if self.n_entered > MAX_ENTERED {
                            return Err(Errno::Loop);
                        }
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

    /// Goes down to the last component in one step, if the filesystem can.
    fn jump(&mut self) -> Result<bool, Errno> {
        if !self.may_jump {
            return Ok(false);
        }
        self.may_jump = false;
        let Some(names) = names_before_last(&self.path[self.at..]) else {
            return Ok(false);
        };
        let n_names = names.split('/').count();
        if n_names < 2 || self.depth + n_names > MAX_PATH_DEPTH as usize {
            return Ok(false);
        }
        let Some(dir) = self.dir().descend(names)? else {
            return Ok(false);
        };
        let jumped = Some(names.to_owned());
        self.at += names.len() + 1;
        self.entered.push(Entered { dir, jumped });
        self.depth += n_names;
        Ok(true)
    }

    /// Goes back to the directory above.
    fn leave(&mut self) -> Result<(), Errno> {
        // The directory above the base is not the guest's.
        let left = self.entered.pop().ok_or(Errno::Perm)?;
        let Some(names) = left.jumped else {
            self.depth -= 1;
            return Ok(());
        };
        self.depth -= names.split('/').count();
        let above = names.rsplit_once('/').map_or("", |(above, _)| above);
        // The dot keeps a path that ends here one that ends in no name.
        let path = format!("{above}/./{}", &self.path[self.at..]);
        self.path = Cow::Owned(path);
        self.at = 0;
        Ok(())
    }

    /// Opens what the path ends at.
    pub(crate) fn open(&mut self, options: OpenOptions, links: Links) -> Result<Node, Errno> {
        loop {
            let (node, slash) = match self.last()? {
                Last::Dir(_) if options.create == Create::New => return Err(Errno::Exist),
                Last::Dir(_) if options.is_mutating() => return Err(Errno::Isdir),
                Last::Dir(dir) => return Ok(Node::Dir(Arc::clone(dir))),
                Last::Entry { dir, name, slash } => {
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
                Node::Symlink(target) if links == Links::Follow || slash == Slash::Trailing => {
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

    /// The attributes of what the path ends at.
    pub(crate) fn metadata(&mut self, links: Links) -> Result<Metadata, Errno> {
        match self.resolve(links)? {
            (Last::Dir(dir), _) => dir.metadata(),
            (_, Some(metadata)) => Ok(metadata),
            (Last::Entry { dir, name, .. }, None) => dir.metadata_at(name),
        }
    }

    /// Walks to the end, through the symbolic links there if they are to be followed. What was found out about a name on
    /// the way is answered with it.
    pub(crate) fn resolve(&mut self, links: Links) -> Result<(Last<'_>, Option<Metadata>), Errno> {
        let found = loop {
            let target = match self.last()? {
                Last::Dir(_) => break None,
                Last::Entry { dir, name, slash } => {
                    let metadata = dir.metadata_at(name)?;
                    let follow = links == Links::Follow || slash == Slash::Trailing;
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

    /// The directory that the walk is in.
    fn dir(&self) -> &Arc<dyn Dir> {
        self.entered
            .last()
            .map_or(self.base, |entered| &entered.dir)
    }

    /// Goes on at `target`, in place of the last component.
    fn replace_last(&mut self, target: String) -> Result<(), Errno> {
        let rest = &self.path[self.at..];
        self.at += rest.find('/').unwrap_or(rest.len());
        self.follow(target)
    }

    /// Goes on at `target`, and then with what is left of the path.
    fn follow(&mut self, mut target: String) -> Result<(), Errno> {
        self.n_links += 1;
        if self.n_links > MAX_SYMLINKS {
            return Err(Errno::Loop);
        }
        check(&target)?;
        let rest = &self.path[self.at..];
        // As in BSD: links that each add to the path would otherwise make it forty times as long.
        if target.len() + rest.len() > MAX_PATH_BYTES as usize {
            return Err(Errno::Nametoolong);
        }
        target.push_str(rest);
        self.path = Cow::Owned(target);
        self.at = 0;
        Ok(())
    }
}

/// The names in front of the last component, if they are names and nothing else, with one slash behind each.
fn names_before_last(path: &str) -> Option<&str> {
    let (names, _) = path.trim_end_matches('/').rsplit_once('/')?;
    let is_name =
        |name: &str| !matches!(name, "" | "." | "..") && name.len() <= MAX_NAME_BYTES as usize;
    names.split('/').all(is_name).then_some(names)
}

/// Refuses what cannot be a path below a directory.
fn check(path: &str) -> Result<(), Errno> {
    match path.as_bytes() {
        [] => Err(Errno::Noent),
        // Not below the directory, but at the root of a tree that the guest has no part in.
        [b'/', ..] => Err(Errno::Perm),
        bytes if bytes.contains(&0) => Err(Errno::Ilseq),
        _ => Ok(()),
    }
}

/// Why no file can be made under a name with a slash behind it.
fn refuse_creation(dir: &dyn Dir, name: &str) -> Errno {
    match dir.metadata_at(name).map(|metadata| metadata.file_type) {
        Ok(FileType::RegularFile) => Errno::Notdir,
        _ => Errno::Isdir,
    }
}
