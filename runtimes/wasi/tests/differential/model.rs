//! The reference implementation: a list of nodes that only grows, directories that map names to
//! indices in it, and paths that are walked as lists of words.

use std::collections::{BTreeMap, VecDeque};

use rangewatch_wasi::Errno;

use crate::call::Call;

enum Node {
    Dir(BTreeMap<String, usize>),
    File(Vec<u8>),
    Link(String),
}

#[derive(Clone, Copy)]
struct Descriptor {
    node: usize,
    position: usize,
    reads: bool,
    writes: bool,
    appends: bool,
}

/// The end of a path: its directory, the last name unless it is a dot entry, and whether a slash
/// follows.
struct End {
    dir: usize,
    name: Option<String>,
    slash: bool,
}

pub(crate) struct Model {
    nodes: Vec<Node>,
    descriptors: Vec<Option<Descriptor>>,
}

const ROOT: usize = 0;

const CREAT: i32 = 1;
const DIRECTORY: i32 = 2;
const EXCL: i32 = 4;
const TRUNC: i32 = 8;

impl Model {
    pub(crate) fn new() -> Self {
        let root = Descriptor {
            node: ROOT,
            position: 0,
            reads: true,
            writes: true,
            appends: false,
        };
        Self {
            nodes: vec![Node::Dir(BTreeMap::new())],
            // The standard streams are never used.
            descriptors: vec![Some(root); 4],
        }
    }

    pub(crate) fn call(&mut self, call: &Call) -> Result<Vec<u8>, Errno> {
        let nothing = |()| Vec::new();
        match call {
            Call::Open(fd, dirflags, path, oflags, rights, fdflags) => {
                let (reads, writes) = match rights {
                    0 => (true, true),
                    _ => (rights & 1 << 1 != 0, rights & 1 << 6 != 0),
                };
                let dir = self.dir(*fd)?;
                if oflags & CREAT != 0 && oflags & DIRECTORY != 0 {
                    return Err(Errno::Inval);
                }
                let mut opened = self.open(dir, path, *dirflags == 1, *oflags, writes);
                // A request for all rights accepts a directory.
                if *rights == 0 && oflags & (CREAT | TRUNC) == 0 && opened == Err(Errno::Isdir) {
                    opened = self.open(dir, path, *dirflags == 1, *oflags, false);
                }
                let descriptor = Descriptor {
                    node: opened?,
                    position: 0,
                    reads,
                    writes,
                    appends: fdflags & 1 != 0,
                };
                let free = self.descriptors.iter().position(Option::is_none);
                let fd = free.unwrap_or(self.descriptors.len());
                if fd == self.descriptors.len() {
                    self.descriptors.push(None);
                }
                self.descriptors[fd] = Some(descriptor);
                Ok((fd as u32).to_le_bytes().to_vec())
            }
            Call::Close(fd) => {
                self.descriptor(*fd)?;
                self.descriptors[*fd as usize] = None;
                Ok(Vec::new())
            }
            Call::Write(fd, n) => self.write(*fd, *n),
            Call::Read(fd, n) => self.read(*fd, *n as usize),
            Call::SetSize(fd, size) => {
                let open = self.descriptor(*fd)?;
                match &mut self.nodes[open.node] {
                    Node::File(bytes) if open.writes => bytes.resize(*size as usize, 0),
                    Node::File(_) | Node::Link(_) => return Err(Errno::Badf),
                    Node::Dir(_) => return Err(Errno::Isdir),
                }
                Ok(Vec::new())
            }
            Call::Seek(fd, offset, whence) => {
                let open = self.descriptor(*fd)?;
                let Node::File(bytes) = &self.nodes[open.node] else {
                    return Err(Errno::Badf);
                };
                let from = [0, open.position, bytes.len()][*whence as usize] as i64;
                let position = usize::try_from(from + offset).map_err(|_| Errno::Inval)?;
                self.descriptors[*fd as usize].as_mut().unwrap().position = position;
                Ok((position as u64).to_le_bytes().to_vec())
            }
            Call::Stat(fd, flags, path) => {
                let dir = self.dir(*fd)?;
                let (_, node) = self.resolve(dir, path, *flags == 1)?;
                Ok(self.stat(node))
            }
            Call::CreateDir(fd, path) => {
                let dir = self.dir(*fd)?;
                let end = self.end(dir, path)?;
                let new = Node::Dir(BTreeMap::new());
                self.make(end.dir, end.name.as_deref(), new).map(nothing)
            }
            Call::RemoveDir(fd, path) => {
                let dir = self.dir(*fd)?;
                let end = self.end(dir, path)?;
                let Some(name) = end.name else {
                    let up = path.trim_end_matches('/').ends_with("..");
                    return Err(if up { Errno::Notempty } else { Errno::Inval });
                };
                match &self.nodes[self.get(end.dir, &name)?] {
                    Node::Dir(names) if names.is_empty() => {}
                    Node::Dir(_) => return Err(Errno::Notempty),
                    Node::File(_) | Node::Link(_) => return Err(Errno::Notdir),
                }
                self.names_mut(end.dir).remove(&name);
                Ok(Vec::new())
            }
            Call::Unlink(fd, path) => {
                let dir = self.dir(*fd)?;
                let end = self.end(dir, path)?;
                let name = end.name.ok_or(Errno::Isdir)?;
                match &self.nodes[self.get(end.dir, &name)?] {
                    Node::Dir(_) => return Err(Errno::Isdir),
                    _ if end.slash => return Err(Errno::Notdir),
                    _ => {}
                }
                self.names_mut(end.dir).remove(&name);
                Ok(Vec::new())
            }
            Call::Rename(fd, old, to, new) => self.rename(*fd, old, *to, new).map(nothing),
            Call::Link(fd, old, to, new) => self.link(*fd, old, *to, new).map(nothing),
            Call::Symlink(target, fd, path) => {
                let dir = self.dir(*fd)?;
                check(target)?;
                let end = self.end(dir, path)?;
                if let (Some(name), true) = (&end.name, end.slash) {
                    self.get(end.dir, name)?;
                    return Err(Errno::Exist);
                }
                let new = Node::Link(target.clone());
                self.make(end.dir, end.name.as_deref(), new).map(nothing)
            }
            Call::ReadLink(fd, path) => {
                let dir = self.dir(*fd)?;
                let end = self.end(dir, path)?;
                let name = end.name.ok_or(Errno::Inval)?;
                if end.slash {
                    self.resolve(dir, path, true)?;
                    return Err(Errno::Inval);
                }
                match &self.nodes[self.get(end.dir, &name)?] {
                    Node::Link(target) => Ok(target.clone().into_bytes()),
                    Node::Dir(_) | Node::File(_) => Err(Errno::Inval),
                }
            }
            Call::SetTimes(fd, flags, path, _) => {
                let dir = self.dir(*fd)?;
                self.resolve(dir, path, *flags == 1)?;
                Ok(Vec::new())
            }
        }
    }

    /// The names in an open directory, each with its type.
    pub(crate) fn names(&self, fd: i32) -> Vec<String> {
        let Ok(dir) = self.dir(fd) else {
            return Vec::new();
        };
        let mut names = vec![". 3".to_owned(), ".. 3".to_owned()];
        for (name, node) in self.names_of(dir) {
            names.push(format!("{name} {}", self.file_type(*node)));
        }
        names.sort();
        names
    }

    /// Every path below the root with its contents.
    pub(crate) fn tree(&self) -> Vec<String> {
        let mut found = Vec::new();
        self.tree_below(ROOT, "", &mut found);
        found.sort();
        found
    }

    fn tree_below(&self, dir: usize, path: &str, found: &mut Vec<String>) {
        for (name, node) in self.names_of(dir) {
            let path = format!("{path}/{name}");
            match &self.nodes[*node] {
                Node::Dir(_) => self.tree_below(*node, &path, found),
                Node::File(bytes) => found.push(format!("{path} {bytes:?}")),
                Node::Link(target) => found.push(format!("{path} -> {target}")),
            }
            found.push(path);
        }
    }

    fn descriptor(&self, fd: i32) -> Result<Descriptor, Errno> {
        let open = self.descriptors.get(fd as usize).copied().flatten();
        open.ok_or(Errno::Badf)
    }

    fn dir(&self, fd: i32) -> Result<usize, Errno> {
        let open = self.descriptor(fd)?;
        match self.nodes[open.node] {
            Node::Dir(_) => Ok(open.node),
            Node::File(_) | Node::Link(_) => Err(Errno::Notdir),
        }
    }

    fn names_of(&self, dir: usize) -> &BTreeMap<String, usize> {
        match &self.nodes[dir] {
            Node::Dir(names) => names,
            Node::File(_) | Node::Link(_) => panic!("{dir} is no directory"),
        }
    }

    fn names_mut(&mut self, dir: usize) -> &mut BTreeMap<String, usize> {
        match &mut self.nodes[dir] {
            Node::Dir(names) => names,
            Node::File(_) | Node::Link(_) => panic!("{dir} is no directory"),
        }
    }

    fn get(&self, dir: usize, name: &str) -> Result<usize, Errno> {
        self.names_of(dir).get(name).copied().ok_or(Errno::Noent)
    }

    /// Whether `node` is `dir` or below it.
    fn contains(&self, dir: usize, node: usize) -> bool {
        let below = |child: &usize| match self.nodes[*child] {
            Node::Dir(_) => self.contains(*child, node),
            Node::File(_) | Node::Link(_) => *child == node,
        };
        dir == node || self.names_of(dir).values().any(below)
    }

    fn file_type(&self, node: usize) -> u8 {
        match self.nodes[node] {
            Node::Dir(_) => 3,
            Node::File(_) => 4,
            Node::Link(_) => 7,
        }
    }

    fn stat(&self, node: usize) -> Vec<u8> {
        let size = match &self.nodes[node] {
            Node::Dir(_) => return vec![3],
            Node::File(bytes) => bytes.len(),
            Node::Link(target) => target.len(),
        };
        let all_names = self.nodes.iter().enumerate().map(|(dir, node)| match node {
            Node::Dir(names) if self.contains(ROOT, dir) => names.values().collect(),
            _ => Vec::new(),
        });
        let n_links = all_names.flatten().filter(|other| **other == node).count();
        [u64::from(self.file_type(node)), n_links as u64, size as u64]
            .map(u64::to_le_bytes)
            .concat()
    }

    /// Inserts a node under a name that does not exist.
    fn make(&mut self, dir: usize, name: Option<&str>, node: Node) -> Result<(), Errno> {
        let name = name.ok_or(Errno::Exist)?;
        self.nodes.push(node);
        let node = self.nodes.len() - 1;
        self.put(dir, name, node)
    }

    fn put(&mut self, dir: usize, name: &str, node: usize) -> Result<(), Errno> {
        if self.get(dir, name).is_ok() {
            return Err(Errno::Exist);
        }
        // A removed directory stays empty.
        if !self.contains(ROOT, dir) {
            return Err(Errno::Noent);
        }
        self.names_mut(dir).insert(name.to_owned(), node);
        Ok(())
    }

    /// Walks to the last component of a path.
    fn end(&self, base: usize, path: &str) -> Result<End, Errno> {
        self.walk(base, path, false).map(|(end, _)| end)
    }

    /// Walks to the node of a path.
    fn resolve(&self, base: usize, path: &str, follow: bool) -> Result<(End, usize), Errno> {
        let (mut end, is_link) = self.walk(base, path, false)?;
        if is_link && (follow || end.slash) {
            (end, _) = self.walk(base, path, true)?;
        }
        let node = match &end.name {
            None => end.dir,
            Some(name) => self.get(end.dir, name)?,
        };
        if end.slash && end.name.is_some() && self.file_type(node) != 3 {
            return Err(Errno::Notdir);
        }
        Ok((end, node))
    }

    /// Walks a path. Returns where it ends and whether that is a link, which is followed only with
    /// `follow`.
    fn walk(&self, base: usize, path: &str, follow: bool) -> Result<(End, bool), Errno> {
        check(path)?;
        let mut words: VecDeque<String> = words(path);
        let mut slash = path.ends_with('/');
        let mut above = Vec::new();
        let mut dir = base;
        let mut n_links = 0;
        while let Some(word) = words.pop_front() {
            let is_last = words.is_empty();
            match word.as_str() {
                "." => continue,
                ".." => {
                    dir = above.pop().ok_or(Errno::Perm)?;
                    continue;
                }
                _ => {}
            }
            let found = self.get(dir, &word);
            let target = match found.map(|node| &self.nodes[node]) {
                Ok(Node::Link(target)) => Some(target),
                _ => None,
            };
            match target {
                Some(target) if !is_last || follow => {
                    n_links += 1;
                    if n_links > 40 {
                        return Err(Errno::Loop);
                    }
                    slash |= is_last && target.ends_with('/');
                    for word in self::words(target).into_iter().rev() {
                        words.push_front(word);
                    }
                }
                _ if is_last => {
                    let name = Some(word);
                    return Ok((End { dir, name, slash }, target.is_some()));
                }
                _ => match self.nodes[found?] {
                    Node::Dir(_) => {
                        above.push(dir);
                        dir = found?;
                    }
                    Node::File(_) | Node::Link(_) => return Err(Errno::Notdir),
                },
            }
        }
        let name = None;
        Ok((End { dir, name, slash }, false))
    }

    fn open(
        &mut self,
        base: usize,
        path: &str,
        follow: bool,
        oflags: i32,
        writes: bool,
    ) -> Result<usize, Errno> {
        let (creates, is_new) = (oflags & CREAT != 0, oflags & EXCL != 0);
        let changes = writes || creates || oflags & TRUNC != 0;
        let (mut end, mut is_link) = self.walk(base, path, false)?;
        self.refuse_slash(&end, creates)?;
        if is_link && creates && is_new {
            return Err(Errno::Exist);
        }
        if is_link && (follow || end.slash) {
            (end, is_link) = self.walk(base, path, true)?;
            assert!(!is_link, "links are followed");
            self.refuse_slash(&end, creates)?;
        }
        if is_link {
            return Err(Errno::Loop);
        }
        let Some(name) = &end.name else {
            return match changes {
                true if creates && is_new => Err(Errno::Exist),
                true => Err(Errno::Isdir),
                false => Ok(end.dir),
            };
        };
        match self.get(end.dir, name) {
            Err(Errno::Noent) if creates => {
                self.make(end.dir, Some(name), Node::File(Vec::new()))?;
                self.get(end.dir, name)
            }
            Err(errno) => Err(errno),
            Ok(_) if creates && is_new => Err(Errno::Exist),
            Ok(node) => match &mut self.nodes[node] {
                Node::Dir(_) if changes => Err(Errno::Isdir),
                Node::File(_) if oflags & DIRECTORY != 0 || end.slash => Err(Errno::Notdir),
                Node::File(bytes) if oflags & TRUNC != 0 => {
                    bytes.clear();
                    Ok(node)
                }
                _ => Ok(node),
            },
        }
    }

    /// The errno for creating a file under a name with a trailing slash.
    fn refuse_slash(&self, end: &End, creates: bool) -> Result<(), Errno> {
        match &end.name {
            Some(name) if end.slash && creates => {
                let node = self.get(end.dir, name);
                let is_file = node.is_ok_and(|node| self.file_type(node) == 4);
                Err(if is_file { Errno::Notdir } else { Errno::Isdir })
            }
            _ => Ok(()),
        }
    }

    fn write(&mut self, fd: i32, n: usize) -> Result<Vec<u8>, Errno> {
        let open = self.descriptor(fd)?;
        let Node::File(bytes) = &mut self.nodes[open.node] else {
            return Err(Errno::Badf);
        };
        if !open.writes {
            return Err(Errno::Badf);
        }
        let position = if open.appends {
            bytes.len()
        } else {
            open.position
        };
        if n > 0 {
            bytes.resize(bytes.len().max(position + n), 0);
            bytes[position..position + n].fill(n as u8);
        }
        self.descriptors[fd as usize].as_mut().unwrap().position = position + n;
        Ok((n as u32).to_le_bytes().to_vec())
    }

    fn read(&mut self, fd: i32, n: usize) -> Result<Vec<u8>, Errno> {
        let open = self.descriptor(fd)?;
        let Node::File(bytes) = &self.nodes[open.node] else {
            return Err(Errno::Isdir);
        };
        if !open.reads {
            return Err(Errno::Badf);
        }
        let read: Vec<u8> = bytes.iter().skip(open.position).take(n).copied().collect();
        self.descriptors[fd as usize].as_mut().unwrap().position += read.len();
        Ok(read)
    }

    fn rename(&mut self, fd: i32, old: &str, to: i32, new: &str) -> Result<(), Errno> {
        self.descriptor(fd)?;
        self.descriptor(to)?;
        let (from, to) = (self.dir(fd)?, self.dir(to)?);
        check(old)?;
        check(new)?;
        let old = self.end(from, old)?;
        let old_name = old.name.ok_or(Errno::Busy)?;
        let new = self.end(to, new)?;
        let new_name = new.name.ok_or(Errno::Busy)?;
        let node = self.get(old.dir, &old_name)?;
        let is_dir = self.file_type(node) == 3;
        if (old.slash || new.slash) && !is_dir {
            return Err(Errno::Notdir);
        }
        if is_dir && self.contains(node, new.dir) {
            return Err(Errno::Inval);
        }
        if let Ok(there) = self.get(new.dir, &new_name) {
            let replaces_dir = self.file_type(there) == 3;
            if replaces_dir && self.contains(there, old.dir) {
                return Err(Errno::Notempty);
            }
            match (is_dir, replaces_dir) {
                _ if there == node => return Ok(()),
                (true, false) => return Err(Errno::Notdir),
                (false, true) => return Err(Errno::Isdir),
                (true, true) if !self.names_of(there).is_empty() => return Err(Errno::Notempty),
                _ => drop(self.names_mut(new.dir).remove(&new_name)),
            }
        }
        self.put(new.dir, &new_name, node)?;
        self.names_mut(old.dir).remove(&old_name);
        Ok(())
    }

    fn link(&mut self, fd: i32, old: &str, to: i32, new: &str) -> Result<(), Errno> {
        self.descriptor(fd)?;
        self.descriptor(to)?;
        let (from, to) = (self.dir(fd)?, self.dir(to)?);
        let (old, node) = self.resolve(from, old, false)?;
        old.name.ok_or(Errno::Perm)?;
        let new = self.end(to, new)?;
        let new_name = new.name.ok_or(Errno::Exist)?;
        if new.slash {
            self.get(new.dir, &new_name)?;
            return Err(Errno::Exist);
        }
        if self.file_type(node) == 3 {
            return Err(Errno::Perm);
        }
        self.put(new.dir, &new_name, node)
    }
}

fn words(path: &str) -> VecDeque<String> {
    path.split('/')
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

fn check(path: &str) -> Result<(), Errno> {
    match path.chars().next() {
        None => Err(Errno::Noent),
        Some('/') => Err(Errno::Perm),
        Some(_) => Ok(()),
    }
}
