//! Hard and symbolic links, and renaming over existing entries.

use std::ffi::{CString, c_char, c_int};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};

unsafe extern "C" {
    /// From wasi-libc: the function of the standard library is not stable.
    fn symlink(target: *const c_char, path: *const c_char) -> c_int;
}

fn make_symlink(target: &str, path: &str) -> io::Result<()> {
    let (target, path) = (CString::new(target)?, CString::new(path)?);
    // SAFETY: both are C strings that live until the call returns.
    match unsafe { symlink(target.as_ptr(), path.as_ptr()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn main() -> io::Result<()> {
    hard_links()?;
    symbolic_links()?;
    links_to_directories()?;
    dangling_links()?;
    renaming()?;
    println!("links");
    Ok(())
}

fn kind<T>(result: io::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

fn hard_links() -> io::Result<()> {
    fs::write("/one", "shared")?;
    fs::hard_link("/one", "/folder/two")?;
    fs::write("/folder/two", "written through the other")?;
    assert_eq!(fs::read("/one")?, b"written through the other");
    assert_eq!(kind(fs::hard_link("/one", "/folder/two")), Some(ErrorKind::AlreadyExists));
    assert_eq!(kind(fs::hard_link("/missing", "/three")), Some(ErrorKind::NotFound));
    assert!(fs::hard_link("/folder", "/three").is_err(), "directories have one name");
    assert!(fs::hard_link("/one", "/three/").is_err(), "a file is no directory");
    fs::remove_file("/one")?;
    assert_eq!(fs::read("/folder/two")?, b"written through the other");
    // Two links of one file: renaming one to the other leaves both. Source: POSIX rename.
    fs::hard_link("/folder/two", "/one")?;
    fs::rename("/one", "/folder/two")?;
    assert!(fs::metadata("/one")?.is_file() && fs::metadata("/folder/two")?.is_file());
    fs::remove_file("/one")?;
    fs::remove_file("/folder/two")
}

fn symbolic_links() -> io::Result<()> {
    make_symlink("greeting.txt", "/link")?;
    make_symlink("../link", "/folder/link")?;
    assert_eq!(fs::read("/folder/link")?, fs::read("/greeting.txt")?);
    assert_eq!(fs::read_link("/folder/link")?.to_str(), Some("../link"));
    assert!(fs::symlink_metadata("/link")?.file_type().is_symlink());
    assert!(fs::metadata("/folder/link")?.is_file());
    assert_eq!(kind(fs::read_link("/greeting.txt")), Some(ErrorKind::InvalidInput));
    assert_eq!(kind(make_symlink("x", "/link")), Some(ErrorKind::AlreadyExists));
    for entry in fs::read_dir("/")? {
        let entry = entry?;
        assert_eq!(entry.file_type()?.is_symlink(), entry.file_name() == "link");
    }
    // Writing through a link does not replace it, and removing or renaming it does not change its
    // target.
    fs::write("/link", "through the link")?;
    assert_eq!(fs::read("/greeting.txt")?, b"through the link");
    fs::hard_link("/link", "/second")?;
    assert!(fs::symlink_metadata("/second")?.file_type().is_symlink());
    fs::rename("/link", "/third")?;
    assert_eq!(kind(File::open("/folder/link")), Some(ErrorKind::NotFound));
    assert_eq!(fs::read("/third")?, b"through the link");
    for link in ["/second", "/third", "/folder/link"] {
        fs::remove_file(link)?;
    }
    assert_eq!(fs::read("/greeting.txt")?, b"through the link");
    Ok(())
}

fn links_to_directories() -> io::Result<()> {
    fs::create_dir_all("/a/b")?;
    make_symlink("a/b", "/to-b")?;
    fs::write("/to-b/file", "in b")?;
    assert_eq!(fs::read("/a/b/file")?, b"in b");
    // `..` after a link is the parent of its target.
    fs::write("/a/marker", "in a")?;
    assert_eq!(fs::read("/to-b/../marker")?, b"in a");
    assert_eq!(fs::read_dir("/to-b/")?.count(), 1);
    assert!(fs::remove_dir("/to-b").is_err(), "a link is no directory");
    make_symlink("../to-b/../b", "/a/round")?;
    assert_eq!(fs::read("/a/round/file")?, b"in b");
    // Removing a tree does not follow its links.
    fs::create_dir("/tree")?;
    make_symlink("../a", "/tree/a")?;
    fs::remove_dir_all("/tree")?;
    assert_eq!(fs::read("/a/marker")?, b"in a");
    fs::remove_file("/to-b")?;
    fs::remove_dir_all("/a")
}

fn dangling_links() -> io::Result<()> {
    make_symlink("nothing", "/dangling")?;
    assert_eq!(kind(File::open("/dangling")), Some(ErrorKind::NotFound));
    assert_eq!(kind(fs::metadata("/dangling")), Some(ErrorKind::NotFound));
    assert!(fs::symlink_metadata("/dangling")?.file_type().is_symlink());
    assert_eq!(kind(File::create_new("/dangling")), Some(ErrorKind::AlreadyExists));
    assert_eq!(kind(fs::create_dir("/dangling")), Some(ErrorKind::AlreadyExists));
    fs::write("/dangling", "made where it leads")?;
    assert_eq!(fs::read("/nothing")?, b"made where it leads");
    fs::remove_file("/nothing")?;
    fs::remove_file("/dangling")?;
    make_symlink("loop", "/loop")?;
    assert!(File::open("/loop").is_err());
    assert_eq!(fs::read_link("/loop")?.to_str(), Some("loop"));
    fs::remove_file("/loop")
}

fn renaming() -> io::Result<()> {
    fs::write("/from", "new")?;
    fs::write("/to", "old")?;
    let mut open = File::open("/to")?;
    fs::rename("/from", "/to")?;
    assert_eq!(fs::read("/to")?, b"new");
    assert_eq!(kind(fs::metadata("/from")), Some(ErrorKind::NotFound));
    let mut text = String::new();
    open.read_to_string(&mut text)?;
    assert_eq!(text, "old", "who has it open keeps it");
    fs::rename("/to", "/to")?;
    fs::rename("/to", "/folder/../folder/to")?;
    assert_eq!(fs::read("/folder/to")?, b"new");
    assert_eq!(kind(fs::rename("/to", "/other")), Some(ErrorKind::NotFound));
    assert_eq!(kind(fs::rename("/folder/to", "/missing/to")), Some(ErrorKind::NotFound));
    assert!(fs::rename("/folder/to", "/to/").is_err(), "a file is no directory");
    assert_eq!(fs::read("/folder/to")?, b"new");
    fs::remove_file("/folder/to")
}
