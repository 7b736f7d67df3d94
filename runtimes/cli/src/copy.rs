//! Copies of directories in memory.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use rangewatch::wasi::Errno;
use rangewatch::wasi::fs::{
    Create, Devices, Dir, File, FileType, IntoDir, MemoryFs, Metadata, Node, OpenOptions, SetTime,
    SetTimes,
};

/// Why a directory could not be copied, and at which path.
#[derive(Debug)]
pub(crate) struct CopyError {
    path: String,
    errno: Errno,
}

impl CopyError {
    /// Whether the copy would exceed its limits.
    pub(crate) fn is_too_large(&self) -> bool {
        matches!(self.errno, Errno::Fbig | Errno::Nospc)
    }
}

impl fmt::Display for CopyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.path, self.errno)
    }
}

/// The size of the buffer for copying a file.
const BUFFER_BYTES: usize = 256 << 10;

/// Copies everything below `from`: directories, files, symbolic links, hard links and times. The
/// devices that `devices` has are added by their names. Other devices, sockets and pipes are left
/// out. Symbolic links are not followed, so nothing outside of `from` is read.
pub(crate) fn tree(from: &dyn Dir, to: &MemoryFs, devices: &Devices) -> Result<(), CopyError> {
    let mut copy = Copy {
        files: to,
        devices,
        linked: HashMap::new(),
    };
    copy.dir(from, &to.into_dir(), ".")
}

struct Copy<'a> {
    files: &'a MemoryFs,
    devices: &'a Devices,
    /// The copies of files with several hard links: the directory and name of the first one, by
    /// device and inode number.
    linked: HashMap<(u64, u64), (Arc<dyn Dir>, String)>,
}

/// A directory and its copy.
type Pair = (Arc<dyn Dir>, Arc<dyn Dir>);

impl Copy<'_> {
    fn dir(&mut self, from: &dyn Dir, to: &Arc<dyn Dir>, path: &str) -> Result<(), CopyError> {
        let at = |path: &str, errno| CopyError {
            path: path.to_owned(),
            errno,
        };
        for entry in from.read_dir().map_err(|errno| at(path, errno))? {
            let name = entry.map_err(|errno| at(path, errno))?.name;
            let path = format!("{path}/{name}");
            let copied = self.entry(from, to, &name, &path);
            if let Some((from, to)) = copied.map_err(|errno| at(&path, errno))? {
                self.dir(&*from, &to, &path)?;
            }
        }
        // Last: creating the entries has changed the times.
        let dated = from
            .metadata()
            .and_then(|known| to.set_times(times(&known)));
        dated.map_err(|errno| at(path, errno))
    }

    /// Copies one entry. A directory is copied without its entries and returned together with its
    /// copy.
    fn entry(
        &mut self,
        from: &dyn Dir,
        to: &Arc<dyn Dir>,
        name: &str,
        path: &str,
    ) -> Result<Option<Pair>, Errno> {
        let known = from.metadata_at(name)?;
        match known.file_type {
            FileType::RegularFile | FileType::Directory | FileType::SymbolicLink => {}
            FileType::CharacterDevice => return self.device(name, path).map(|()| None),
            // Opening a pipe would block until it has a writer.
            _ => return Ok(None),
        }
        let identity = (known.dev, known.ino);
        if let Some((dir, first)) = self.linked.get(&identity) {
            dir.link(first, &**to, name)?;
            return Ok(None);
        }
        match from.lookup(name)? {
            Node::Dir(inner) => {
                to.create_dir(name)?;
                let Node::Dir(copy) = to.lookup_dir(name)? else {
                    return Err(Errno::Notdir);
                };
                return Ok(Some((inner, copy)));
            }
            Node::Symlink(target) => to.symlink(name, &target)?,
            Node::File(file) => copy_file(&*file, &**to, name)?,
            // `Node` is non-exhaustive; no other kind exists.
            _ => return Ok(None),
        }
        to.set_times_at(name, times(&known))?;
        if known.n_links > 1 {
            let first = (Arc::clone(to), name.to_owned());
            self.linked.insert(identity, first);
        }
        Ok(None)
    }

    /// Adds the device of this name, if it is one that can be emulated.
    fn device(&self, name: &str, path: &str) -> Result<(), Errno> {
        match self.devices.lookup(name) {
            Ok(Node::File(device)) => self
                .files
                .add_device(path, device)
                .map_err(|error| error.errno),
            _ => Ok(()),
        }
    }
}

fn copy_file(from: &dyn File, to: &dyn Dir, name: &str) -> Result<(), Errno> {
    let mut options = OpenOptions::default();
    options.write = true;
    options.create = Create::New;
    let Node::File(copy) = to.open(name, options)? else {
        return Err(Errno::Io);
    };
    let mut buf = vec![0; BUFFER_BYTES];
    let mut at = 0;
    loop {
        let n_bytes = from.read_at(&mut buf, at)?;
        let mut rest = buf.get(..n_bytes).unwrap_or_default();
        if rest.is_empty() {
            return Ok(());
        }
        at += n_bytes as u64;
        while !rest.is_empty() {
            let n_written = copy.append(rest)?;
            rest = rest.get(n_written..).unwrap_or_default();
        }
    }
}

fn times(known: &Metadata) -> SetTimes {
    let mut times = SetTimes::default();
    times.accessed = Some(SetTime::At(known.accessed_ns));
    times.modified = Some(SetTime::At(known.modified_ns));
    times
}

#[cfg(test)]
mod tests {
    use rangewatch::SeededRandom;
    use rangewatch::wasi::fs::Mounts;

    use super::*;

    #[test]
    fn devices_are_copied_and_work() {
        let devices = || Devices::new(SeededRandom::new(7));
        let from = Mounts::new().mount("dev", devices()).unwrap();
        let to = MemoryFs::new();
        tree(&from, &to, &devices()).unwrap();

        let names = ["null", "zero", "full", "random", "urandom"];
        assert_eq!(to.list("dev").unwrap(), names);
        let Ok(Node::Dir(dev)) = (&to).into_dir().lookup("dev") else {
            panic!("`dev` is a directory");
        };
        let open = |name: &str| {
            let mut options = OpenOptions::default();
            options.read = true;
            options.write = true;
            options.create = Create::IfMissing;
            options.truncate = true;
            match dev.open(name, options) {
                Ok(Node::File(file)) => file,
                other => panic!("{name}: {other:?}"),
            }
        };
        let mut buf = [1; 16];
        assert_eq!(open("null").append(b"discarded"), Ok(9));
        assert_eq!(open("null").read_at(&mut buf, 0), Ok(0));
        assert_eq!(open("zero").read_at(&mut buf, 0), Ok(16));
        assert_eq!(buf, [0; 16]);
        assert_eq!(open("full").write_at(b"x", 0), Err(Errno::Nospc));
        assert_eq!(open("random").read_at(&mut buf, 0), Ok(16));
        assert_ne!(buf, [0; 16]);
        assert_eq!(to.used_bytes(), 0);
    }
}
