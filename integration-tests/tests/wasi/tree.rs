//! Copies of directories, so that each run starts with a fresh one.

use std::path::Path;
use std::{fs, io};

use rangewatch::wasi::fs::MemoryFs;

/// Copies the files and directories below `from`, without the leftovers of an earlier run.
pub(crate) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    walk(from, "", &mut |path, file| match file {
        Some(contents) => fs::write(to.join(path), contents),
        None => fs::create_dir(to.join(path)),
    })
}

/// Copies what is below `from` into `files`, which are empty.
pub(crate) fn in_memory(from: &Path, files: MemoryFs) -> io::Result<MemoryFs> {
    walk(from, "", &mut |path, file| {
        let made = match file {
            Some(contents) => files.write(path, contents),
            None => files.create_dir_all(path),
        };
        made.map_err(io::Error::other)
    })?;
    Ok(files)
}

/// What is done with a path and, if it is a file, its contents.
type Visit<'a> = dyn FnMut(&str, Option<Vec<u8>>) -> io::Result<()> + 'a;

/// Calls `visit` with each path below `folder` and, if it is a file, its contents; a directory
/// before what is in it.
fn walk(folder: &Path, prefix: &str, visit: &mut Visit<'_>) -> io::Result<()> {
    let mut entries: Vec<_> = fs::read_dir(folder)?.collect::<io::Result<_>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        let name = name.to_str().ok_or(io::ErrorKind::InvalidData)?;
        // Source: wasi-testsuite, doc/specification.md, Execution Preparation.
        if name.ends_with(".cleanup") {
            continue;
        }
        let path = format!("{prefix}{name}");
        if entry.file_type()?.is_dir() {
            visit(&path, None)?;
            walk(&entry.path(), &format!("{path}/"), visit)?;
        } else {
            visit(&path, Some(fs::read(entry.path())?))?;
        }
    }
    Ok(())
}
