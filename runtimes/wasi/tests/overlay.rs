//! Overlays: the lower directory never changes.

use std::sync::Arc;

use rangewatch_wasi::Errno;
use rangewatch_wasi::fs::{
    Create, Dir, File, IntoDir, MemoryFs, Node, OpenOptions, Overlay, SetTime, SetTimes,
};

fn lower() -> MemoryFs {
    let files = MemoryFs::with_files([
        ("file", "lower"),
        ("dir/file", "lower"),
        ("dir/sub/file", "lower"),
    ])
    .unwrap();
    files.symlink("file", "link").unwrap();
    files
}

struct Layers {
    lower: MemoryFs,
    upper: MemoryFs,
    dir: Arc<dyn Dir>,
}

fn layers() -> Layers {
    let (lower, upper) = (lower(), MemoryFs::new());
    let dir = Overlay::new(&lower, &upper).into_dir();
    Layers { lower, upper, dir }
}

impl Layers {
    fn assert_lower_unchanged(&self) {
        assert_eq!(tree(&self.lower), tree(&lower()));
    }
}

fn tree(files: &MemoryFs) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut dirs = vec![String::from(".")];
    while let Some(dir) = dirs.pop() {
        for name in files.list(&dir).unwrap() {
            let path = format!("{dir}/{name}");
            match files.list(&path) {
                Ok(_) => dirs.push(path),
                Err(_) => found.push((path.clone(), files.read(&path).unwrap())),
            }
        }
    }
    found
}

fn options(write: bool, create: Create, truncate: bool) -> OpenOptions {
    let mut options = OpenOptions::default();
    (options.read, options.write) = (true, write);
    (options.create, options.truncate) = (create, truncate);
    options
}

fn open(dir: &Arc<dyn Dir>, name: &str, options: OpenOptions) -> Arc<dyn File> {
    match dir.open(name, options).unwrap() {
        Node::File(file) => file,
        other => panic!("{name} is {other:?}"),
    }
}

fn to_read(dir: &Arc<dyn Dir>, name: &str) -> Arc<dyn File> {
    open(dir, name, options(false, Create::Never, false))
}

fn to_write(dir: &Arc<dyn Dir>, name: &str) -> Arc<dyn File> {
    open(dir, name, options(true, Create::Never, false))
}

fn text(file: &Arc<dyn File>) -> String {
    let mut buf = [0; 100];
    let n_bytes = file.read_at(&mut buf, 0).unwrap();
    String::from_utf8(buf[..n_bytes].to_vec()).unwrap()
}

fn sub(dir: &Arc<dyn Dir>, name: &str) -> Arc<dyn Dir> {
    match dir.lookup(name).unwrap() {
        Node::Dir(dir) => dir,
        other => panic!("{name} is {other:?}"),
    }
}

fn names(dir: &Arc<dyn Dir>) -> Vec<String> {
    let entries = dir.read_dir().unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().name).collect();
    names.sort();
    names
}

#[test]
fn a_file_is_copied_up_when_it_is_written() {
    let layers = layers();
    let sub = sub(&sub(&layers.dir, "dir"), "sub");
    let file = to_write(&sub, "file");
    assert_eq!(text(&file), "lower");
    assert_eq!(tree(&layers.upper), []);
    file.append(b" and more").unwrap();
    assert_eq!(
        layers.upper.read("dir/sub/file").unwrap(),
        b"lower and more"
    );
    assert_eq!(tree(&layers.upper).len(), 1);
    layers.assert_lower_unchanged();
}

#[test]
fn open_descriptors_use_the_copied_up_file() {
    let layers = layers();
    let reader = to_read(&layers.dir, "file");
    let writer = to_write(&layers.dir, "file");
    writer.write_at(b"U", 0).unwrap();
    assert_eq!(text(&reader), "Uower");
    open(&layers.dir, "file", options(false, Create::Never, true));
    assert_eq!(
        (text(&reader), text(&writer)),
        (String::new(), String::new())
    );
    layers.assert_lower_unchanged();
}

#[test]
fn truncation_copies_nothing_and_is_visible_through_open_descriptors() {
    let layers = layers();
    let reader = to_read(&layers.dir, "file");
    open(&layers.dir, "file", options(false, Create::IfMissing, true));
    assert_eq!(text(&reader), "");
    assert_eq!(layers.upper.read("file").unwrap(), b"");
    layers.assert_lower_unchanged();
}

#[test]
fn copy_up_keeps_inode_number_times_and_holes() {
    let layers = layers();
    let large = open(
        &layers.lower.clone().into_dir(),
        "file",
        options(true, Create::Never, false),
    );
    large.write_at(b"end", 10 << 20).unwrap();
    let before = layers.dir.metadata_at("file").unwrap();
    let file = to_write(&layers.dir, "file");
    let mut times = SetTimes::default();
    times.accessed = Some(SetTime::At(7));
    layers.dir.set_times_at("file", times).unwrap();
    for after in [
        layers.dir.metadata_at("file").unwrap(),
        file.metadata().unwrap(),
    ] {
        assert_eq!((after.dev, after.ino), (before.dev, before.ino));
        assert_eq!(
            (after.accessed_ns, after.modified_ns),
            (7, before.modified_ns)
        );
        assert_eq!(after.size_bytes, before.size_bytes);
    }
    let listed = layers
        .dir
        .read_dir()
        .unwrap()
        .map(Result::unwrap)
        .find(|entry| entry.name == "file");
    assert_eq!(listed.unwrap().ino, before.ino);
    assert!(layers.upper.used_bytes() < 1 << 20);
}

#[test]
fn copy_up_separates_hard_links_of_a_lower_file() {
    let lower = lower();
    let dir = lower.clone().into_dir();
    dir.link("file", &*dir, "again").unwrap();
    let dir = Overlay::new(&lower, MemoryFs::new()).into_dir();
    assert_eq!(
        dir.metadata_at("file").unwrap().ino,
        dir.metadata_at("again").unwrap().ino
    );
    to_write(&dir, "file").write_at(b"U", 0).unwrap();
    assert_eq!(text(&to_read(&dir, "again")), "lower");
    let (one, other) = (
        dir.metadata_at("file").unwrap(),
        dir.metadata_at("again").unwrap(),
    );
    assert_ne!((one.dev, one.ino), (other.dev, other.ino));
}

#[test]
fn a_removed_name_hides_the_lower_layer() {
    let layers = layers();
    let dir = sub(&layers.dir, "dir");
    dir.remove_file("file").unwrap();
    assert_eq!(dir.lookup("file").err(), Some(Errno::Noent));
    assert_eq!(layers.dir.remove_dir("dir"), Err(Errno::Notempty));
    sub(&dir, "sub").remove_file("file").unwrap();
    dir.remove_dir("sub").unwrap();
    assert_eq!(names(&dir), Vec::<String>::new());
    layers.dir.remove_dir("dir").unwrap();
    assert_eq!(
        dir.open("new", options(true, Create::New, false)).err(),
        Some(Errno::Noent)
    );
    layers.dir.create_dir("dir").unwrap();
    assert_eq!(names(&sub(&layers.dir, "dir")), Vec::<String>::new());
    layers.assert_lower_unchanged();
}

#[test]
fn removing_or_renaming_a_changed_file_hides_both_layers() {
    let layers = layers();
    to_write(&layers.dir, "file").write_at(b"U", 0).unwrap();
    layers
        .dir
        .rename("file", &*sub(&layers.dir, "dir"), "file")
        .unwrap();
    assert_eq!(names(&layers.dir), ["dir", "link"]);
    let dir = sub(&layers.dir, "dir");
    assert_eq!(text(&to_read(&dir, "file")), "Uower");
    dir.remove_file("file").unwrap();
    assert_eq!(names(&dir), ["sub"]);
    layers.assert_lower_unchanged();
}

#[test]
fn a_removed_file_stays_writable_through_open_descriptors() {
    let layers = layers();
    let (writer, reader) = (to_write(&layers.dir, "file"), to_read(&layers.dir, "file"));
    layers.dir.remove_file("file").unwrap();
    writer.append(b" and more").unwrap();
    assert_eq!(text(&reader), "lower and more");
    assert_eq!(reader.metadata().unwrap().n_links, 0);
    let dir = sub(&layers.dir, "dir");
    let reader = to_read(&dir, "file");
    dir.remove_file("file").unwrap();
    assert_eq!(
        (text(&reader).as_str(), reader.metadata().unwrap().n_links),
        ("lower", 0)
    );
    assert_eq!(tree(&layers.upper), []);
    layers.assert_lower_unchanged();
}

#[test]
fn lower_files_and_links_can_be_renamed_and_lower_directories_cannot() {
    let layers = layers();
    let root = &layers.dir;
    let number = root.metadata_at("file").unwrap().ino;
    root.rename("file", &**root, "moved").unwrap();
    root.rename("link", &**root, "moved-link").unwrap();
    assert_eq!(root.metadata_at("moved").unwrap().ino, number);
    assert_eq!(root.read_link("moved-link").unwrap(), "file");
    assert_eq!(root.rename("dir", &**root, "moved-dir"), Err(Errno::Xdev));
    root.rename("dir", &**root, "dir").unwrap();
    root.create_dir("new").unwrap();
    assert_eq!(root.rename("new", &**root, "dir"), Err(Errno::Notempty));
    assert_eq!(names(root), ["dir", "moved", "moved-link", "new"]);
    layers.assert_lower_unchanged();
}

#[test]
fn a_directory_that_replaces_a_removed_one_is_empty() {
    let layers = layers();
    let (root, dir) = (&layers.dir, sub(&layers.dir, "dir"));
    let below = sub(&dir, "sub");
    below.remove_file("file").unwrap();
    root.create_dir("new").unwrap();
    open(&sub(root, "new"), "own", options(true, Create::New, false));
    root.rename("new", &*dir, "sub").unwrap();
    assert_eq!(names(&sub(&dir, "sub")), ["own"]);
    assert_eq!(names(&below), Vec::<String>::new());
    assert_eq!(names(root), ["dir", "file", "link"]);
    layers.assert_lower_unchanged();
}

#[test]
fn a_listing_has_an_entry_once_that_is_copied_up_meanwhile() {
    let lower = MemoryFs::new();
    for i in 0..50 {
        lower.write(format!("file-{i}"), "lower").unwrap();
    }
    let dir = Overlay::new(&lower, MemoryFs::new()).into_dir();
    to_write(&dir, "file-0").append(b"x").unwrap();
    let mut seen = Vec::new();
    for (i, entry) in dir.read_dir().unwrap().enumerate() {
        seen.push(entry.unwrap().name);
        to_write(&dir, &format!("file-{}", 49 - i))
            .append(b"x")
            .unwrap();
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 50);
}

#[test]
fn a_failed_copy_up_changes_nothing() {
    let lower = lower();
    lower.write("large", vec![1; 1 << 20]).unwrap();
    let upper = MemoryFs::builder().limit_bytes(1000).build();
    let dir = Overlay::new(&lower, &upper).into_dir();
    let file = to_write(&dir, "large");
    assert_eq!(file.write_at(b"x", 0), Err(Errno::Fbig));
    assert_eq!(dir.rename("large", &*dir, "moved"), Err(Errno::Fbig));
    assert_eq!(names(&dir), ["dir", "file", "large", "link"]);
    assert_eq!(dir.metadata_at("large").unwrap().size_bytes, 1 << 20);
    assert_eq!((upper.used_bytes(), upper.n_entries()), (0, 0));
}

#[test]
fn a_listing_has_the_inode_numbers_of_the_attributes() {
    let layers = layers();
    // Directories and files of an overlay have different device numbers.
    let middle = Overlay::new(MemoryFs::new(), MemoryFs::new()).into_dir();
    for upper in [layers.upper.clone().into_dir(), middle] {
        let dir = Overlay::new(&layers.lower, Arc::clone(&upper)).into_dir();
        dir.create_dir("new").unwrap();
        dir.rename("file", &*dir, "moved").unwrap();
        for entry in dir.read_dir().unwrap() {
            let entry = entry.unwrap();
            let found = dir.metadata_at(&entry.name).unwrap();
            assert_eq!(entry.ino, found.ino, "{}", entry.name);
        }
    }
    layers.assert_lower_unchanged();
}
