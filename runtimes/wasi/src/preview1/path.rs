//! Paths below a directory.
//!
//! What is said of paths at [`path_open`](super::path_open) holds for all of them.

use super::filestat;
use crate::descriptor::rights;
use crate::fs::FileType;
use crate::fs::resolver::{Last, Links, Slash, Walk};
use crate::{Errno, MAX_PATH_BYTES, Wasi, memory};

/// Creates a directory.
///
/// Source: WASI preview1 witx, `path_create_directory`; POSIX `mkdirat`.
///
/// # Errors
///
/// - Those of a path, as listed at [`path_open`](super::path_open).
/// - [`Errno::Exist`]: there is something, a symbolic link included.
/// - [`Errno::Notcapable`]: the right `PATH_CREATE_DIRECTORY` is missing.
/// - [`Errno::Nospc`], [`Errno::Rofs`] and whatever else the filesystem fails with.
pub fn path_create_directory(
    ctx: &mut Wasi,
    memory: &mut [u8],
    fd: i32,
    path: i32,
    path_len: i32,
) -> Result<(), Errno> {
    let descriptor = ctx.descriptors.get(fd)?;
    let dir = descriptor.directory(rights::PATH_CREATE_DIRECTORY)?;
    let path = self::path(memory, path, path_len)?;
    match Walk::new(dir, path)?.last()? {
        Last::Dir(_) => Err(Errno::Exist),
        Last::Entry { dir, name, .. } => dir.create_dir(name),
    }
}

/// Writes the attributes of a file or directory.
///
/// Source: WASI preview1 witx, `path_filestat_get`; POSIX `fstatat`.
///
/// # Errors
///
/// - Those of a path, as listed at [`path_open`](super::path_open).
/// - [`Errno::Inval`]: an unknown flag.
/// - [`Errno::Notcapable`]: the right `PATH_FILESTAT_GET` is missing.
/// - Whatever else the filesystem fails with.
pub fn path_filestat_get(
    ctx: &mut Wasi,
    memory: &mut [u8],
    fd: i32,
    flags: i32,
    path: i32,
    path_len: i32,
    stat_out: i32,
) -> Result<(), Errno> {
    let descriptor = ctx.descriptors.get(fd)?;
    let dir = descriptor.directory(rights::PATH_FILESTAT_GET)?;
    let path = self::path(memory, path, path_len)?;
    let links = lookup_flags(flags)?;
    memory::slice(memory, stat_out as u32, filestat::BYTES)?;
    let metadata = Walk::new(dir, path)?.metadata(links)?;
    let dev = ctx.devices.number(metadata.dev);
    filestat::write(filestat::place(memory, stat_out)?, dev, &metadata);
    Ok(())
}

/// Sets the times of a file or directory: to those given, to now, or not at all. Without following, those of a symbolic link
/// itself.
///
/// Source: WASI preview1 witx, `path_filestat_set_times`; POSIX `utimensat`.
///
/// # Errors
///
/// - Those of a path, as listed at [`path_open`](super::path_open).
/// - [`Errno::Inval`]: an unknown flag, or one time is to be both given and now.
/// - [`Errno::Notcapable`]: the right `PATH_FILESTAT_SET_TIMES` is missing.
/// - [`Errno::Rofs`] and whatever else the filesystem fails with.
#[expect(
    clippy::too_many_arguments,
    reason = "the signature is that of the specification"
)]
pub fn path_filestat_set_times(
    ctx: &mut Wasi,
    memory: &mut [u8],
    fd: i32,
    flags: i32,
    path: i32,
    path_len: i32,
    atim: i64,
    mtim: i64,
    fst_flags: i32,
) -> Result<(), Errno> {
    let descriptor = ctx.descriptors.get(fd)?;
    let dir = descriptor.directory(rights::PATH_FILESTAT_SET_TIMES)?;
    let path = self::path(memory, path, path_len)?;
    let links = lookup_flags(flags)?;
    let times = filestat::set_times(atim, mtim, fst_flags)?;
    match Walk::new(dir, path)?.resolve(links)? {
        (Last::Dir(dir), _) => dir.set_times(times),
        (Last::Entry { dir, name, .. }, _) => dir.set_times_at(name, times),
    }
}

/// Creates a hard link. A symbolic link gets a second name itself.
///
/// Source: WASI preview1 witx, `path_link`; POSIX `linkat`.
///
/// # Errors
///
/// - Those of a path, as listed at [`path_open`](super::path_open), for both.
/// - [`Errno::Inval`]: the flag `SYMLINK_FOLLOW`, or an unknown one.
/// - [`Errno::Exist`]: there is something under the new path, a symbolic link included.
/// - [`Errno::Noent`]: there is nothing under the old path, or the new one ends in a slash.
/// - [`Errno::Perm`]: the old path is a directory's.
/// - [`Errno::Xdev`]: the paths are in two filesystems.
/// - [`Errno::Notcapable`]: the right `PATH_LINK_SOURCE` or `PATH_LINK_TARGET` is missing.
/// - [`Errno::Rofs`] and whatever else the filesystem fails with.
#[expect(
    clippy::too_many_arguments,
    reason = "the signature is that of the specification"
)]
pub fn path_link(
    ctx: &mut Wasi,
    memory: &mut [u8],
    old_fd: i32,
    old_flags: i32,
    old_path: i32,
    old_path_len: i32,
    new_fd: i32,
    new_path: i32,
    new_path_len: i32,
) -> Result<(), Errno> {
    let (old, new) = (ctx.descriptors.get(old_fd)?, ctx.descriptors.get(new_fd)?);
    let old_dir = old.directory(rights::PATH_LINK_SOURCE)?;
    let new_dir = new.directory(rights::PATH_LINK_TARGET)?;
    let old_path = path(memory, old_path, old_path_len)?;
    let new_path = path(memory, new_path, new_path_len)?;
    if lookup_flags(old_flags)? == Links::Follow {
        return Err(Errno::Inval);
    }

    let mut old = Walk::new(old_dir, old_path)?;
    let (old_last, metadata) = old.resolve(Links::Keep)?;
    let is_dir = metadata.is_none_or(|metadata| metadata.file_type == FileType::Directory);
    let Last::Entry {
        dir: from, name, ..
    } = old_last
    else {
        return Err(Errno::Perm);
    };
    let mut new = Walk::new(new_dir, new_path)?;
    match new.last()? {
        Last::Dir(_) => Err(Errno::Exist),
        Last::Entry {
            dir,
            name,
            slash: Slash::Trailing,
        } => Err(refuse_slash(dir.metadata_at(name).map(drop))),
        _ if is_dir => Err(Errno::Perm),
        Last::Entry {
            dir,
            name: new_name,
            slash: Slash::None,
        } => from.link(name, &**dir, new_name),
    }
}

/// Reads the target of a symbolic link, cut to the length of the buffer, and writes the number of bytes.
///
/// The text may lead anywhere; it is the following that is confined.
///
/// Source: WASI preview1 witx, `path_readlink`; POSIX `readlinkat`.
///
/// # Errors
///
/// - Those of a path, as listed at [`path_open`](super::path_open).
/// - [`Errno::Inval`]: it is not a symbolic link.
/// - [`Errno::Notcapable`]: the right `PATH_READLINK` is missing.
/// - Whatever else the filesystem fails with.
#[expect(
    clippy::too_many_arguments,
    reason = "the signature is that of the specification"
)]
pub fn path_readlink(
    ctx: &mut Wasi,
    memory: &mut [u8],
    fd: i32,
    path: i32,
    path_len: i32,
    buf: i32,
    buf_len: i32,
    bufused_out: i32,
) -> Result<(), Errno> {
    let descriptor = ctx.descriptors.get(fd)?;
    let dir = descriptor.directory(rights::PATH_READLINK)?;
    let path = self::path(memory, path, path_len)?;
    memory::slice(memory, buf as u32, buf_len as u32)?;
    memory::slice(memory, bufused_out as u32, 4)?;
    let mut walk = Walk::new(dir, path)?;
    let target = match walk.last()? {
        Last::Dir(_) => return Err(Errno::Inval),
        Last::Entry {
            slash: Slash::Trailing,
            ..
        } => {
            // The slash leads through the link, to something that cannot be one.
            walk.resolve(Links::Follow)?;
            return Err(Errno::Inval);
        }
        Last::Entry { dir, name, .. } => dir.read_link(name)?,
    };
    let buf = memory::slice_mut(memory, buf as u32, buf_len as u32)?;
    let len = target.len().min(buf.len());
    buf[..len].copy_from_slice(&target.as_bytes()[..len]);
    memory::write_u32(memory, bufused_out as u32, len as u32)
}

/// Removes an empty directory.
///
/// Source: WASI preview1 witx, `path_remove_directory`; POSIX `unlinkat` with `AT_REMOVEDIR`.
///
/// # Errors
///
/// - Those of a path, as listed at [`path_open`](super::path_open).
/// - [`Errno::Notdir`]: it is not a directory, but a symbolic link to one, for example.
/// - [`Errno::Notempty`]: there is something in it, or the path ends in `..`.
/// - [`Errno::Inval`]: the path ends in `.`.
/// - [`Errno::Notcapable`]: the right `PATH_REMOVE_DIRECTORY` is missing.
/// - [`Errno::Rofs`] and whatever else the filesystem fails with.
pub fn path_remove_directory(
    ctx: &mut Wasi,
    memory: &mut [u8],
    fd: i32,
    path: i32,
    path_len: i32,
) -> Result<(), Errno> {
    let descriptor = ctx.descriptors.get(fd)?;
    let dir = descriptor.directory(rights::PATH_REMOVE_DIRECTORY)?;
    let path = self::path(memory, path, path_len)?;
    match Walk::new(dir, path)?.last()? {
        Last::Dir(_) if path.trim_end_matches('/').ends_with("..") => Err(Errno::Notempty),
        Last::Dir(_) => Err(Errno::Inval),
        Last::Entry { dir, name, .. } => dir.remove_dir(name),
    }
}

/// Renames a file or directory, over what is there: a file over a file, a directory over an empty directory. Nothing happens
/// when both are the same file.
///
/// Source: WASI preview1 witx, `path_rename`; POSIX `renameat`.
///
/// # Errors
///
/// - Those of a path, as listed at [`path_open`](super::path_open), for both.
/// - [`Errno::Noent`]: there is nothing under the old path.
/// - [`Errno::Notempty`]: there is a directory with something in it under the new path.
/// - [`Errno::Isdir`]: there is a directory under the new path, and the old one is not a directory's.
/// - [`Errno::Notdir`]: a path that ends in a slash, or is taken by something else, where the other is a directory's.
/// - [`Errno::Inval`]: a directory is to move into itself.
/// - [`Errno::Busy`]: a path ends in `.` or `..`.
/// - [`Errno::Xdev`]: the paths are in two filesystems.
/// - [`Errno::Notcapable`]: the right `PATH_RENAME_SOURCE` or `PATH_RENAME_TARGET` is missing.
/// - [`Errno::Rofs`] and whatever else the filesystem fails with.
#[expect(
    clippy::too_many_arguments,
    reason = "the signature is that of the specification"
)]
pub fn path_rename(
    ctx: &mut Wasi,
    memory: &mut [u8],
    fd: i32,
    old_path: i32,
    old_path_len: i32,
    new_fd: i32,
    new_path: i32,
    new_path_len: i32,
) -> Result<(), Errno> {
    let (old, new) = (ctx.descriptors.get(fd)?, ctx.descriptors.get(new_fd)?);
    let old_dir = old.directory(rights::PATH_RENAME_SOURCE)?;
    let new_dir = new.directory(rights::PATH_RENAME_TARGET)?;
    let old_path = path(memory, old_path, old_path_len)?;
    let new_path = path(memory, new_path, new_path_len)?;

    let (mut old, mut new) = (Walk::new(old_dir, old_path)?, Walk::new(new_dir, new_path)?);
    let Last::Entry {
        dir: from,
        name: old_name,
        slash: old_slash,
    } = old.last()?
    else {
        return Err(Errno::Busy);
    };
    let Last::Entry {
        dir: to,
        name: new_name,
        slash: new_slash,
    } = new.last()?
    else {
        return Err(Errno::Busy);
    };
    if old_slash == Slash::Trailing || new_slash == Slash::Trailing {
        // Nothing but a directory may be named with a slash, a symbolic link to one included.
        match from.metadata_at(old_name)?.file_type {
            FileType::Directory => {}
            _ => return Err(Errno::Notdir),
        }
    }
    from.rename(old_name, &**to, new_name)
}

/// Creates a symbolic link. Its target need not exist, and may lead anywhere but from the root; it is the following that is
/// confined.
///
/// Source: WASI preview1 witx, `path_symlink`; POSIX `symlinkat`.
///
/// # Errors
///
/// - Those of a path, as listed at [`path_open`](super::path_open). Of the target: that it does not lie in memory, is too long,
///   is empty, is absolute, is not UTF-8 or contains NUL.
/// - [`Errno::Exist`]: there is something under the new path, a symbolic link included.
/// - [`Errno::Noent`]: the new path ends in a slash, and there is nothing.
/// - [`Errno::Notcapable`]: the right `PATH_SYMLINK` is missing.
/// - [`Errno::Nospc`], [`Errno::Rofs`] and whatever else the filesystem fails with.
pub fn path_symlink(
    ctx: &mut Wasi,
    memory: &mut [u8],
    old_path: i32,
    old_path_len: i32,
    fd: i32,
    new_path: i32,
    new_path_len: i32,
) -> Result<(), Errno> {
    let descriptor = ctx.descriptors.get(fd)?;
    let dir = descriptor.directory(rights::PATH_SYMLINK)?;
    let target = path(memory, old_path, old_path_len)?;
    let new_path = path(memory, new_path, new_path_len)?;
    match target.as_bytes() {
        [] => return Err(Errno::Noent),
        [b'/', ..] => return Err(Errno::Perm),
        _ => {}
    }
    match Walk::new(dir, new_path)?.last()? {
        Last::Dir(_) => Err(Errno::Exist),
        Last::Entry {
            dir,
            name,
            slash: Slash::Trailing,
        } => Err(refuse_slash(dir.metadata_at(name).map(drop))),
        Last::Entry { dir, name, .. } => dir.symlink(name, target),
    }
}

/// Removes a file, or a symbolic link itself. Who has the file open keeps it.
///
/// Source: WASI preview1 witx, `path_unlink_file`; POSIX `unlinkat`.
///
/// # Errors
///
/// - Those of a path, as listed at [`path_open`](super::path_open).
/// - [`Errno::Isdir`]: it is a directory.
/// - [`Errno::Notdir`]: the path ends in a slash, and it is not a directory.
/// - [`Errno::Notcapable`]: the right `PATH_UNLINK_FILE` is missing.
/// - [`Errno::Rofs`] and whatever else the filesystem fails with.
pub fn path_unlink_file(
    ctx: &mut Wasi,
    memory: &mut [u8],
    fd: i32,
    path: i32,
    path_len: i32,
) -> Result<(), Errno> {
    let descriptor = ctx.descriptors.get(fd)?;
    let dir = descriptor.directory(rights::PATH_UNLINK_FILE)?;
    let path = self::path(memory, path, path_len)?;
    match Walk::new(dir, path)?.last()? {
        Last::Dir(_) => Err(Errno::Isdir),
        Last::Entry {
            dir,
            name,
            slash: Slash::Trailing,
        } => match dir.metadata_at(name)?.file_type {
            FileType::Directory => Err(Errno::Isdir),
            _ => Err(Errno::Notdir),
        },
        Last::Entry { dir, name, .. } => dir.remove_file(name),
    }
}

/// Why nothing but a directory can be made under a name with a slash behind it.
fn refuse_slash(found: Result<(), Errno>) -> Errno {
    match found {
        Ok(()) => Errno::Exist,
        Err(errno) => errno,
    }
}

/// A path in the memory of the guest, which ends where its length says.
pub(super) fn path(memory: &[u8], ptr: i32, len: i32) -> Result<&str, Errno> {
    let bytes = memory::slice(memory, ptr as u32, len as u32)?;
    if len as u32 > MAX_PATH_BYTES {
        return Err(Errno::Nametoolong);
    }
    let path = std::str::from_utf8(bytes).map_err(|_| Errno::Ilseq)?;
    if path.contains('\0') {
        return Err(Errno::Ilseq);
    }
    Ok(path)
}

/// Source: WASI preview1 witx, `lookupflags`.
pub(super) fn lookup_flags(flags: i32) -> Result<Links, Errno> {
    match flags {
        0 => Ok(Links::Keep),
        1 => Ok(Links::Follow),
        _ => Err(Errno::Inval),
    }
}
