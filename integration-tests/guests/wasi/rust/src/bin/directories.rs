//! Directories through the standard library of Rust: creating, listing, renaming and removing them.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, ErrorKind};

fn main() -> io::Result<()> {
    what_the_host_made()?;
    making_and_removing()?;
    listing()?;
    listing_while_it_changes()?;
    moving()?;
    deep_trees()?;
    println!("directories");
    Ok(())
}

fn kind<T>(result: io::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

fn names(path: &str) -> io::Result<Vec<String>> {
    fs::read_dir(path)?.map(|entry| Ok(entry?.file_name().into_string().expect("UTF-8"))).collect()
}

fn what_the_host_made() -> io::Result<()> {
    let mut entries: Vec<_> = fs::read_dir("/")?
        .map(|entry| {
            let entry = entry?;
            let kind = entry.file_type()?;
            assert_eq!(entry.metadata()?.is_dir(), kind.is_dir());
            Ok((entry.file_name().into_string().expect("UTF-8"), kind.is_dir()))
        })
        .collect::<io::Result<_>>()?;
    entries.sort();
    assert_eq!(entries, [("folder".to_owned(), true), ("greeting.txt".to_owned(), false)]);
    assert_eq!(names("/folder")?, ["digits.txt"]);
    assert_eq!(kind(fs::read_dir("/missing")), Some(ErrorKind::NotFound));
    assert!(fs::read_dir("/greeting.txt").is_err());
    Ok(())
}

fn making_and_removing() -> io::Result<()> {
    fs::create_dir("/made")?;
    assert_eq!(kind(fs::create_dir("/made")), Some(ErrorKind::AlreadyExists));
    assert_eq!(kind(fs::create_dir("/greeting.txt")), Some(ErrorKind::AlreadyExists));
    assert_eq!(kind(fs::create_dir("/missing/made")), Some(ErrorKind::NotFound));
    assert!(fs::create_dir("/greeting.txt/made").is_err(), "it is no directory");
    fs::create_dir("/made/slash/")?;
    assert!(names("/made/slash")?.is_empty());
    assert!(fs::remove_dir("/made").is_err(), "it is not empty");
    assert!(fs::remove_file("/made").is_err());
    assert!(fs::remove_dir("/greeting.txt").is_err(), "it is no directory");
    fs::remove_dir("/made/slash")?;
    fs::remove_dir("/made")?;
    assert_eq!(kind(fs::remove_dir("/made")), Some(ErrorKind::NotFound));
    Ok(())
}

/// More entries than fit into any buffer: none is missing, and none is listed twice.
fn listing() -> io::Result<()> {
    fs::create_dir("/many")?;
    let mut made = BTreeSet::new();
    for i in 0..1000 {
        // Names of all lengths, so that entries end anywhere in the buffers.
        let name = format!("{i:04}{}", "x".repeat(i * 7 % 252));
        fs::write(format!("/many/{name}"), "")?;
        made.insert(name);
    }
    for _ in 0..2 {
        let listed = names("/many")?;
        assert_eq!(listed.len(), 1000);
        assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), made);
    }
    Ok(())
}

/// An entry that exists during the whole listing is listed once, while others are created and
/// removed.
fn listing_while_it_changes() -> io::Result<()> {
    let mut seen = BTreeSet::new();
    for (n_seen, entry) in fs::read_dir("/many")?.enumerate() {
        let name = entry?.file_name().into_string().expect("UTF-8");
        assert!(seen.insert(name.clone()), "{name} is there twice");
        fs::remove_file(format!("/many/{name}"))?;
        if n_seen % 10 == 0 {
            fs::write(format!("/many/new-{n_seen}"), "")?;
        }
    }
    let n_old = seen.iter().filter(|name| !name.starts_with("new-")).count();
    assert_eq!(n_old, 1000);
    assert!(names("/many")?.iter().all(|name| name.starts_with("new-")));
    fs::remove_dir_all("/many")?;
    assert_eq!(kind(fs::metadata("/many")), Some(ErrorKind::NotFound));
    Ok(())
}

fn moving() -> io::Result<()> {
    fs::create_dir_all("/a/b/c")?;
    fs::write("/a/b/file", "moved along")?;
    fs::create_dir("/empty")?;
    fs::rename("/a/b", "/empty")?;
    assert_eq!(fs::read("/empty/file")?, b"moved along");
    assert!(names("/a")?.is_empty());
    assert!(fs::rename("/a", "/empty").is_err(), "it is not empty");
    assert!(fs::rename("/empty", "/empty/c/d").is_err(), "into itself");
    assert!(fs::rename("/empty", "/greeting.txt").is_err(), "onto a file");
    assert!(fs::rename("/greeting.txt", "/a").is_err(), "a file onto a directory");
    fs::rename("/empty/", "/moved/")?;
    assert!(fs::metadata("/moved/c")?.is_dir());
    fs::remove_dir_all("/moved")?;
    fs::remove_dir("/a")
}

fn deep_trees() -> io::Result<()> {
    let path = format!("/deep{}", "/d".repeat(50));
    fs::create_dir_all(&path)?;
    fs::write(format!("{path}/bottom"), "here")?;
    let up = "/..".repeat(25);
    let down = "/d".repeat(25);
    assert_eq!(fs::read(format!("{path}{up}{down}/bottom"))?, b"here");
    fs::remove_dir_all("/deep")?;
    assert_eq!(names("/")?.len(), 2);
    Ok(())
}
