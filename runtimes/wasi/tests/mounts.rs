//! Mount directories and device files, as a guest sees them.

use std::sync::Arc;

use rangewatch_wasi::fs::{
    Create, Devices, Dir, File, FileType, IntoDir, MemoryFs, MountError, Mounts, Node, OpenOptions,
};
use rangewatch_wasi::{Errno, Random, SeededRandom};

#[test]
fn a_mount_has_a_valid_and_unused_name() {
    let mounts = Mounts::new().mount("data", MemoryFs::new()).unwrap();
    let taken = mounts.mount("data", MemoryFs::new()).unwrap_err();
    assert_eq!(
        taken,
        MountError::Taken {
            name: "data".to_owned()
        }
    );
    for name in ["", ".", "..", "a/b", "/", "a\0", &"n".repeat(256)] {
        let refused = Mounts::new().mount(name, MemoryFs::new()).unwrap_err();
        assert_eq!(
            refused,
            MountError::InvalidName {
                name: name.to_owned()
            }
        );
    }
}

#[test]
fn mounted_directories_are_usable_and_cannot_be_moved() {
    let (one, other) = (
        MemoryFs::with_files([("file", "1")]).unwrap(),
        MemoryFs::new(),
    );
    let mounts = Mounts::new()
        .mount("one", &one)
        .unwrap()
        .mount("other", &other)
        .unwrap()
        .mount("again", &one)
        .unwrap();
    let below = |name: &str| match mounts.lookup(name).unwrap() {
        Node::Dir(dir) => dir,
        node => panic!("{name} is {node:?}"),
    };
    below("one")
        .rename("file", &*below("one"), "moved")
        .unwrap();
    assert_eq!(one.list(".").unwrap(), ["moved"]);
    let moved = below("one").rename("moved", &*below("other"), "moved");
    assert_eq!(moved, Err(Errno::Xdev));
    assert_eq!(
        below("one").rename("moved", &mounts, "moved"),
        Err(Errno::Xdev)
    );
    // Two mounts of one filesystem are the same filesystem.
    one.create_dir_all("dir").unwrap();
    let below_itself = match below("again").lookup("dir").unwrap() {
        Node::Dir(dir) => below("one").rename("dir", &*dir, "dir"),
        node => panic!("dir is {node:?}"),
    };
    assert_eq!(below_itself, Err(Errno::Inval));
    below("one").rename("dir", &*below("again"), "a").unwrap();
    one.remove("a").unwrap();
    assert_eq!(mounts.rename("one", &mounts, "two"), Err(Errno::Busy));
    assert_eq!(mounts.remove_dir("one"), Err(Errno::Busy));
    assert_eq!(mounts.remove_dir("no"), Err(Errno::Noent));
    assert_eq!(mounts.remove_file("one"), Err(Errno::Isdir));
    assert_eq!(mounts.create_dir("one"), Err(Errno::Exist));
    assert_eq!(mounts.create_dir("new"), Err(Errno::Rofs));
    assert_eq!(one.list(".").unwrap(), ["moved"]);
}

fn device(dir: &Arc<dyn Dir>, name: &str) -> Arc<dyn File> {
    // The flags of a shell's output redirection.
    let mut options = OpenOptions::default();
    (options.read, options.write) = (true, true);
    (options.create, options.truncate) = (Create::IfMissing, true);
    match dir.open(name, options).unwrap() {
        Node::File(file) => file,
        node => panic!("{name} is {node:?}"),
    }
}

#[test]
fn devices_read_and_write_as_documented() {
    let dir = Devices::new(SeededRandom::new(7)).into_dir();
    let mut expected = [0; 100];
    SeededRandom::new(7).fill(&mut expected).unwrap();
    for (name, read, written) in [
        ("null", &[][..], Ok(5)),
        ("zero", &[0; 100][..], Ok(5)),
        ("full", &[0; 100][..], Err(Errno::Nospc)),
        ("random", &expected[..], Ok(5)),
    ] {
        let file = device(&dir, name);
        let mut buf = [9; 100];
        let n_bytes = file.read_at(&mut buf, 1 << 40).unwrap();
        assert_eq!(&buf[..n_bytes], read, "{name}");
        assert_eq!(file.write_at(b"hello", 3), written, "{name}");
        assert_eq!(file.append(b"hello"), written, "{name}");
        let metadata = file.metadata().unwrap();
        assert_eq!(
            (metadata.file_type, metadata.size_bytes),
            (FileType::CharacterDevice, 0)
        );
    }
    assert_eq!(dir.lookup("tty").err(), Some(Errno::Noent));
}
