//! A quota is never exceeded, and removing files releases their charge.

use std::sync::Arc;

use rangewatch_wasi::Errno;
use rangewatch_wasi::fs::{
    Create, Dir, File, IntoDir, MemoryFs, Metadata, Node, OpenOptions, Overlay, Quota,
};

fn options(create: Create, truncate: bool) -> OpenOptions {
    let mut options = OpenOptions::default();
    (options.read, options.write) = (true, true);
    (options.create, options.truncate) = (create, truncate);
    options
}

fn open(dir: &Arc<dyn Dir>, name: &str, options: OpenOptions) -> Result<Arc<dyn File>, Errno> {
    match dir.open(name, options)? {
        Node::File(file) => Ok(file),
        other => panic!("{name} is {other:?}"),
    }
}

fn new(dir: &Arc<dyn Dir>, name: &str) -> Result<Arc<dyn File>, Errno> {
    open(dir, name, options(Create::New, false))
}

#[test]
fn bytes_are_written_up_to_the_limit_and_no_further() {
    let quota = Quota::new(MemoryFs::new(), 100, 10);
    let dir = quota.clone().into_dir();
    let (one, other) = (new(&dir, "one").unwrap(), new(&dir, "other").unwrap());
    assert_eq!(one.write_at(&[1; 60], 0), Ok(60));
    assert_eq!(one.write_at(&[1; 60], 0), Ok(60));
    assert_eq!(other.append(&[1; 60]), Ok(40));
    assert_eq!(other.append(b"x"), Err(Errno::Dquot));
    assert_eq!(other.write_at(b"xy", 39), Ok(1));
    assert_eq!(other.set_size(41), Err(Errno::Dquot));
    assert_eq!(other.set_size(101), Err(Errno::Fbig));
    assert_eq!(other.write_at(b"x", 100), Err(Errno::Fbig));
    assert_eq!(other.write_at(b"x", u64::MAX), Err(Errno::Fbig));
    assert_eq!(dir.symlink("link", "x"), Err(Errno::Dquot));
    assert_eq!((quota.used_bytes(), quota.n_entries()), (100, 2));
    one.set_size(10).unwrap();
    assert_eq!(quota.used_bytes(), 50);
    open(&dir, "other", options(Create::IfMissing, true)).unwrap();
    assert_eq!(quota.used_bytes(), 10);
    other.write_at(b"x", 89).unwrap();
    assert_eq!(quota.used_bytes(), 100);
}

#[test]
fn a_removed_file_is_charged_until_it_is_closed() {
    let quota = Quota::new(MemoryFs::new(), 100, 10);
    let dir = quota.clone().into_dir();
    let file = new(&dir, "file").unwrap();
    file.append(&[1; 40]).unwrap();
    dir.link("file", &*dir, "again").unwrap();
    dir.remove_file("file").unwrap();
    assert_eq!((quota.used_bytes(), quota.n_entries()), (40, 1));
    let again = open(&dir, "again", options(Create::Never, false)).unwrap();
    dir.remove_file("again").unwrap();
    assert_eq!((quota.used_bytes(), quota.n_entries()), (40, 0));
    file.append(&[1; 60]).unwrap();
    drop(file);
    assert_eq!(quota.used_bytes(), 100);
    drop(again);
    assert_eq!(quota.used_bytes(), 0);
}

#[test]
fn directory_entries_are_limited() {
    let quota = Quota::new(MemoryFs::new(), 100, 3);
    let dir = quota.clone().into_dir();
    dir.create_dir("dir").unwrap();
    new(&dir, "file").unwrap();
    dir.symlink("link", "target").unwrap();
    assert_eq!(new(&dir, "more").err(), Some(Errno::Dquot));
    assert_eq!(dir.create_dir("more"), Err(Errno::Dquot));
    assert_eq!(dir.create_dir("dir"), Err(Errno::Exist));
    assert_eq!(dir.link("file", &*dir, "more"), Err(Errno::Dquot));
    assert_eq!(dir.symlink("more", ""), Err(Errno::Dquot));
    open(&dir, "file", options(Create::IfMissing, true)).unwrap();
    dir.rename("file", &*dir, "link").unwrap();
    assert_eq!((quota.used_bytes(), quota.n_entries()), (0, 2));
    dir.remove_dir("dir").unwrap();
    dir.remove_file("link").unwrap();
    assert_eq!(quota.n_entries(), 0);
}

#[test]
fn existing_files_are_not_charged_and_release_nothing() {
    let files = MemoryFs::with_files([("old", "0123456789")]).unwrap();
    let quota = Quota::new(&files, 15, 2);
    let dir = quota.clone().into_dir();
    let file = new(&dir, "new").unwrap();
    file.append(&[1; 5]).unwrap();
    dir.remove_file("old").unwrap();
    assert_eq!((quota.used_bytes(), quota.n_entries()), (0, 0));
    assert_eq!(file.append(&[1; 100]), Ok(15));
    assert_eq!(files.used_bytes(), 20);
}

#[test]
fn allocated_space_is_charged() {
    let quota = Quota::new(MemoryFs::new(), 100, 10);
    let dir = quota.clone().into_dir();
    let file = new(&dir, "file").unwrap();
    file.allocate(10, 20).unwrap();
    file.allocate(0, 5).unwrap();
    assert_eq!(
        (quota.used_bytes(), file.metadata().unwrap().size_bytes),
        (30, 30)
    );
    assert_eq!(file.allocate(90, 11), Err(Errno::Fbig));
    assert_eq!(file.allocate(u64::MAX, 1), Err(Errno::Fbig));
    new(&dir, "other").unwrap().set_size(70).unwrap();
    assert_eq!(file.allocate(0, 31), Err(Errno::Dquot));
    assert_eq!(quota.used_bytes(), 100);
}

/// Copy-up in an overlay changes the inode number of a file with several hard links.
#[test]
fn an_open_file_whose_inode_number_changes_is_released_once() {
    let lower = MemoryFs::with_files([("file", "")]).unwrap();
    let below = lower.clone().into_dir();
    below.link("file", &*below, "again").unwrap();
    let upper = MemoryFs::new();
    let quota = Quota::new(Overlay::new(&lower, &upper), 1000, 10);
    let dir = quota.clone().into_dir();
    new(&dir, "other").unwrap().append(&[1; 500]).unwrap();
    let existing = || open(&dir, "file", options(Create::Never, false)).unwrap();
    let (writer, second, third) = (existing(), existing(), existing());
    writer.append(&[1; 400]).unwrap();
    drop(writer);
    assert_eq!(quota.used_bytes(), 900);
    dir.remove_file("file").unwrap();
    assert_eq!(quota.used_bytes(), upper.used_bytes());
    second.set_size(300).unwrap();
    assert_eq!(quota.used_bytes(), 800);
    drop(second);
    third.set_size(200).unwrap();
    assert_eq!(quota.used_bytes(), 700);
    drop(third);
    assert_eq!((quota.used_bytes(), upper.used_bytes()), (500, 500));
}

#[test]
fn a_file_with_several_hard_links_is_released_with_the_last() {
    let quota = Quota::new(MemoryFs::new(), 1000, 10);
    let dir = quota.clone().into_dir();
    let first = new(&dir, "one").unwrap();
    first.append(&[1; 100]).unwrap();
    dir.link("one", &*dir, "two").unwrap();
    let second = open(&dir, "two", options(Create::Never, false)).unwrap();
    dir.remove_file("one").unwrap();
    drop(open(&dir, "two", options(Create::Never, false)).unwrap());
    assert_eq!((quota.used_bytes(), quota.n_entries()), (100, 1));
    dir.remove_file("two").unwrap();
    drop(first);
    assert_eq!(quota.used_bytes(), 100);
    drop(second);
    assert_eq!((quota.used_bytes(), quota.n_entries()), (0, 0));
}

#[test]
fn truncating_a_file_below_an_overlay_copies_none_of_its_contents() {
    let contents = "x".repeat(1_000);
    let lower = MemoryFs::with_files([("file", contents)]).unwrap();
    let upper = MemoryFs::builder().limit_bytes(100).build();
    let quota = Quota::new(Overlay::new(&lower, &upper), 100, 10);
    let dir = quota.clone().into_dir();
    for create in [Create::Never, Create::IfMissing] {
        let file = open(&dir, "file", options(create, true)).unwrap();
        assert_eq!(file.metadata().unwrap().size_bytes, 0);
        assert_eq!(file.append(&[1; 60]), Ok(60));
        assert_eq!((quota.used_bytes(), upper.used_bytes()), (60, 60));
    }
}

/// A filesystem whose hard links have different inode numbers, as on some network filesystems.
struct NumberPerName(Arc<dyn Dir>);

impl NumberPerName {
    fn inner(dir: &dyn Dir) -> &dyn Dir {
        &*dir.as_any().downcast_ref::<Self>().unwrap().0
    }
}

impl Dir for NumberPerName {
    fn metadata(&self) -> Result<Metadata, Errno> {
        self.0.metadata()
    }

    fn lookup(&self, name: &str) -> Result<Node, Errno> {
        self.0.lookup(name)
    }

    fn read_dir(&self) -> Result<rangewatch_wasi::fs::ReadDir, Errno> {
        self.0.read_dir()
    }

    fn open(&self, name: &str, options: OpenOptions) -> Result<Node, Errno> {
        self.0.open(name, options)
    }

    fn metadata_at(&self, name: &str) -> Result<Metadata, Errno> {
        let mut metadata = self.0.metadata_at(name)?;
        metadata.ino = u64::from(name.as_bytes()[0]);
        Ok(metadata)
    }

    fn link(&self, name: &str, to: &dyn Dir, to_name: &str) -> Result<(), Errno> {
        self.0.link(name, Self::inner(to), to_name)
    }

    fn rename(&self, name: &str, to: &dyn Dir, to_name: &str) -> Result<(), Errno> {
        self.0.rename(name, Self::inner(to), to_name)
    }

    fn remove_file(&self, name: &str) -> Result<(), Errno> {
        self.0.remove_file(name)
    }
}

#[test]
fn a_rename_between_hard_links_releases_no_name() {
    let root = NumberPerName(MemoryFs::new().into_dir());
    let inner: Arc<dyn Dir> = Arc::new(root);
    let quota = Quota::new(inner, 100, 10);
    let dir = quota.clone().into_dir();
    new(&dir, "a").unwrap().append(&[1; 10]).unwrap();
    dir.link("a", &*dir, "b").unwrap();
    dir.rename("a", &*dir, "b").unwrap();
    assert_eq!((quota.used_bytes(), quota.n_entries()), (10, 2));
    new(&dir, "c").unwrap();
    dir.rename("c", &*dir, "b").unwrap();
    assert_eq!((quota.used_bytes(), quota.n_entries()), (10, 2));
}
