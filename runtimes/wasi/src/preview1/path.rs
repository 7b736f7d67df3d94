//! Functions that take a path below a directory.
//!
//! [`path_open`](super::path_open) documents paths and their errors.

use super::filestat;
use crate::descriptor::rights;
use crate::fs::FileType;
use crate::fs::resolver::{LastComponent, Slash, SymlinkMode, Walk};
use crate::{Errno, MAX_PATH_BYTES, Wasi, memory};

/// Creates a directory.
///
/// Source: WASI preview1 witx, `path_create_directory`; POSIX `mkdirat`.
///
/// # Errors
///
/// - The errors of a path: see [`path_open`](super::path_open).
/// - [`Errno::Exist`]: the name exists, also as a symbolic link.
/// - [`Errno::Notcapable`]: the right `PATH_CREATE_DIRECTORY` is missing.
/// - [`Errno::Nospc`], [`Errno::Rofs`] and other errors of the filesystem.
pub fn path_create_directory(
    ctx: &mut Wasi,
    memory: &mut [u8],
    fd: i32,
    path: i32,
    path_len: i32,
) -> Result<(), Errno> {
    ctx.work.begin();
    let descriptor = ctx.descriptors.get(fd)?;
    let dir = descriptor.directory(rights::PATH_CREATE_DIRECTORY)?;
    let path = self::path(memory, path, path_len)?;
    match Walk::new(dir, path, &ctx.work)?.last()? {
        LastComponent::Dir(_) => Err(Errno::Exist),
        LastComponent::Entry { dir, name, .. } => dir.create_dir(name),
    }
}

/// Writes the attributes of a file or directory.
///
/// Source: WASI preview1 witx, `path_filestat_get`; POSIX `fstatat`.
///
/// # Errors
///
/// - The errors of a path: see [`path_open`](super::path_open).
/// - [`Errno::Inval`]: an unknown flag.
/// - [`Errno::Notcapable`]: the right `PATH_FILESTAT_GET` is missing.
/// - Any other error of the filesystem.
pub fn path_filestat_get(
    ctx: &mut Wasi,
    memory: &mut [u8],
    fd: i32,
    flags: i32,
    path: i32,
    path_len: i32,
    stat_out: i32,
) -> Result<(), Errno> {
    ctx.work.begin();
    let descriptor = ctx.descriptors.get(fd)?;
    let dir = descriptor.directory(rights::PATH_FILESTAT_GET)?;
    let path = self::path(memory, path, path_len)?;
    let links = lookup_flags(flags)?;
    memory::slice(memory, stat_out as u32, filestat::BYTES)?;
    let metadata = Walk::new(dir, path, &ctx.work)?.metadata(links)?;
    let dev = ctx.device_numbers.number(metadata.dev);
    filestat::write(filestat::slice(memory, stat_out)?, dev, &metadata);
    Ok(())
}

/// Sets the times of a file or directory. Each time is set to the given value or to the current
/// time, or stays unchanged. Without `SYMLINK_FOLLOW`, sets the times of a symbolic link itself.
///
/// Source: WASI preview1 witx, `path_filestat_set_times`; POSIX `utimensat`.
///
/// # Errors
///
/// - The errors of a path: see [`path_open`](super::path_open).
/// - [`Errno::Inval`]: an unknown flag, or both flags of one time.
/// - [`Errno::Notcapable`]: the right `PATH_FILESTAT_SET_TIMES` is missing.
/// - [`Errno::Rofs`] and other errors of the filesystem.
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
    ctx.work.begin();
    let descriptor = ctx.descriptors.get(fd)?;
    let dir = descriptor.directory(rights::PATH_FILESTAT_SET_TIMES)?;
    let path = self::path(memory, path, path_len)?;
    let links = lookup_flags(flags)?;
    let times = filestat::set_times(atim, mtim, fst_flags)?;
    match Walk::new(dir, path, &ctx.work)?.resolve(links)? {
        (LastComponent::Dir(dir), _) => dir.set_times(times),
        (LastComponent::Entry { dir, name, .. }, _) => dir.set_times_at(name, times),
    }
}

/// Creates a hard link. A symbolic link is linked itself and not followed.
///
/// Source: WASI preview1 witx, `path_link`; POSIX `linkat`.
///
/// # Errors
///
/// - The errors of a path, for both paths: see [`path_open`](super::path_open).
/// - [`Errno::Inval`]: the flag `SYMLINK_FOLLOW`, or an unknown one.
/// - [`Errno::Exist`]: the new path exists, also as a symbolic link.
/// - [`Errno::Noent`]: the old path does not exist, or the new one ends in a slash.
/// - [`Errno::Perm`]: the old path is a directory.
/// - [`Errno::Xdev`]: the paths are in different filesystems.
/// - [`Errno::Notcapable`]: the right `PATH_LINK_SOURCE` or `PATH_LINK_TARGET` is missing.
/// - [`Errno::Rofs`] and other errors of the filesystem.
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
    ctx.work.begin();
    let (old, new) = (ctx.descriptors.get(old_fd)?, ctx.descriptors.get(new_fd)?);
    let old_dir = old.directory(rights::PATH_LINK_SOURCE)?;
    let new_dir = new.directory(rights::PATH_LINK_TARGET)?;
    let old_path = path(memory, old_path, old_path_len)?;
    let new_path = path(memory, new_path, new_path_len)?;
    if lookup_flags(old_flags)? == SymlinkMode::Follow {
        return Err(Errno::Inval);
    }

    let mut old = Walk::new(old_dir, old_path, &ctx.work)?;
    let (old_last, metadata) = old.resolve(SymlinkMode::NoFollow)?;
    let is_dir = metadata.is_none_or(|metadata| metadata.file_type == FileType::Directory);
    let LastComponent::Entry {
        dir: from, name, ..
    } = old_last
    else {
        return Err(Errno::Perm);
    };
    let mut new = Walk::new(new_dir, new_path, &ctx.work)?;
    match new.last()? {
        LastComponent::Dir(_) => Err(Errno::Exist),
        LastComponent::Entry {
            dir,
            name,
            slash: Slash::Trailing,
        } => Err(refuse_slash(dir.metadata_at(name).map(drop))),
        _ if is_dir => Err(Errno::Perm),
        LastComponent::Entry {
            dir,
            name: new_name,
            slash: Slash::None,
        } => from.link(name, &**dir, new_name),
    }
}

/// Reads the target of a symbolic link, truncated to the length of the buffer, and writes the
/// number of bytes.
///
/// The target may name any path: only following a link is confined to the preopened directory.
///
/// Source: WASI preview1 witx, `path_readlink`; POSIX `readlinkat`.
///
/// # Errors
///
/// - The errors of a path: see [`path_open`](super::path_open).
/// - [`Errno::Inval`]: the path is not a symbolic link.
/// - [`Errno::Notcapable`]: the right `PATH_READLINK` is missing.
/// - Any other error of the filesystem.
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
    ctx.work.begin();
    let descriptor = ctx.descriptors.get(fd)?;
    let dir = descriptor.directory(rights::PATH_READLINK)?;
    let path = self::path(memory, path, path_len)?;
    memory::slice(memory, buf as u32, buf_len as u32)?;
    memory::slice(memory, bufused_out as u32, 4)?;
    let mut walk = Walk::new(dir, path, &ctx.work)?;
    let target = match walk.last()? {
        LastComponent::Dir(_) => return Err(Errno::Inval),
        LastComponent::Entry {
            slash: Slash::Trailing,
            ..
        } => {
            // The trailing slash follows the link, and its target cannot be a link.
            walk.resolve(SymlinkMode::Follow)?;
            return Err(Errno::Inval);
        }
        LastComponent::Entry { dir, name, .. } => dir.read_link(name)?,
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
/// - The errors of a path: see [`path_open`](super::path_open).
/// - [`Errno::Notdir`]: the path is not a directory, also if it is a symbolic link to one.
/// - [`Errno::Notempty`]: the directory is not empty, or the path ends in `..`.
/// - [`Errno::Inval`]: the path ends in `.`.
/// - [`Errno::Notcapable`]: the right `PATH_REMOVE_DIRECTORY` is missing.
/// - [`Errno::Rofs`] and other errors of the filesystem.
pub fn path_remove_directory(
    ctx: &mut Wasi,
    memory: &mut [u8],
    fd: i32,
    path: i32,
    path_len: i32,
) -> Result<(), Errno> {
    ctx.work.begin();
    let descriptor = ctx.descriptors.get(fd)?;
    let dir = descriptor.directory(rights::PATH_REMOVE_DIRECTORY)?;
    let path = self::path(memory, path, path_len)?;
    match Walk::new(dir, path, &ctx.work)?.last()? {
        LastComponent::Dir(_) if path.trim_end_matches('/').ends_with("..") => Err(Errno::Notempty),
        LastComponent::Dir(_) => Err(Errno::Inval),
        LastComponent::Entry { dir, name, .. } => dir.remove_dir(name),
    }
}

/// Renames a file or directory, and replaces the new path if it exists: a file replaces a file, a
/// directory replaces an empty directory. Has no effect when both are the same file.
///
/// Source: WASI preview1 witx, `path_rename`; POSIX `renameat`.
///
/// # Errors
///
/// - The errors of a path, for both paths: see [`path_open`](super::path_open).
/// - [`Errno::Noent`]: the old path does not exist.
/// - [`Errno::Notempty`]: the new path is a directory that is not empty.
/// - [`Errno::Isdir`]: the new path is a directory, and the old one is not.
/// - [`Errno::Notdir`]: the old path is a directory and the new one is a file; or a path that ends
///   in a slash is not a directory.
/// - [`Errno::Inval`]: a directory would be moved into itself.
/// - [`Errno::Busy`]: a path ends in `.` or `..`.
/// - [`Errno::Xdev`]: the paths are in different filesystems.
/// - [`Errno::Notcapable`]: the right `PATH_RENAME_SOURCE` or `PATH_RENAME_TARGET` is missing.
/// - [`Errno::Rofs`] and other errors of the filesystem.
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
    ctx.work.begin();
    let (old, new) = (ctx.descriptors.get(fd)?, ctx.descriptors.get(new_fd)?);
    let old_dir = old.directory(rights::PATH_RENAME_SOURCE)?;
    let new_dir = new.directory(rights::PATH_RENAME_TARGET)?;
    let old_path = path(memory, old_path, old_path_len)?;
    let new_path = path(memory, new_path, new_path_len)?;

    let (mut old, mut new) = (
        Walk::new(old_dir, old_path, &ctx.work)?,
        Walk::new(new_dir, new_path, &ctx.work)?,
    );
    let LastComponent::Entry {
        dir: from,
        name: old_name,
        slash: old_slash,
    } = old.last()?
    else {
        return Err(Errno::Busy);
    };
    let LastComponent::Entry {
        dir: to,
        name: new_name,
        slash: new_slash,
    } = new.last()?
    else {
        return Err(Errno::Busy);
    };
    if old_slash == Slash::Trailing || new_slash == Slash::Trailing {
        // A trailing slash requires a directory; a symbolic link to one does not count.
        match from.metadata_at(old_name)?.file_type {
            FileType::Directory => {}
            _ => return Err(Errno::Notdir),
        }
    }
    from.rename(old_name, &**to, new_name)
}

/// Creates a symbolic link. Its target need not exist, and may be any relative path: only following
/// a link is confined to the preopened directory.
///
/// Source: WASI preview1 witx, `path_symlink`; POSIX `symlinkat`.
///
/// # Errors
///
/// - The errors of a path: see [`path_open`](super::path_open). A target fails with the same errors
///   if it is outside of the memory, too long, empty, absolute, not UTF-8, or contains NUL.
/// - [`Errno::Exist`]: the new path exists, also as a symbolic link.
/// - [`Errno::Noent`]: the new path ends in a slash and does not exist.
/// - [`Errno::Notcapable`]: the right `PATH_SYMLINK` is missing.
/// - [`Errno::Nospc`], [`Errno::Rofs`] and other errors of the filesystem.
pub fn path_symlink(
    ctx: &mut Wasi,
    memory: &mut [u8],
    old_path: i32,
    old_path_len: i32,
    fd: i32,
    new_path: i32,
    new_path_len: i32,
) -> Result<(), Errno> {
    ctx.work.begin();
    let descriptor = ctx.descriptors.get(fd)?;
    let dir = descriptor.directory(rights::PATH_SYMLINK)?;
    let target = path(memory, old_path, old_path_len)?;
    let new_path = path(memory, new_path, new_path_len)?;
    match target.as_bytes() {
        [] => return Err(Errno::Noent),
        [b'/', ..] => return Err(Errno::Perm),
        _ => {}
    }
    match Walk::new(dir, new_path, &ctx.work)?.last()? {
        LastComponent::Dir(_) => Err(Errno::Exist),
        LastComponent::Entry {
            dir,
            name,
            slash: Slash::Trailing,
        } => Err(refuse_slash(dir.metadata_at(name).map(drop))),
        LastComponent::Entry { dir, name, .. } => dir.symlink(name, target),
    }
}

/// Removes a file, or a symbolic link itself. Descriptors of the file stay usable.
///
/// Source: WASI preview1 witx, `path_unlink_file`; POSIX `unlinkat`.
///
/// # Errors
///
/// - The errors of a path: see [`path_open`](super::path_open).
/// - [`Errno::Isdir`]: the path is a directory.
/// - [`Errno::Notdir`]: the path ends in a slash and is not a directory.
/// - [`Errno::Notcapable`]: the right `PATH_UNLINK_FILE` is missing.
/// - [`Errno::Rofs`] and other errors of the filesystem.
pub fn path_unlink_file(
    ctx: &mut Wasi,
    memory: &mut [u8],
    fd: i32,
    path: i32,
    path_len: i32,
) -> Result<(), Errno> {
    ctx.work.begin();
    let descriptor = ctx.descriptors.get(fd)?;
    let dir = descriptor.directory(rights::PATH_UNLINK_FILE)?;
    let path = self::path(memory, path, path_len)?;
    match Walk::new(dir, path, &ctx.work)?.last()? {
        LastComponent::Dir(_) => Err(Errno::Isdir),
        LastComponent::Entry {
            dir,
            name,
            slash: Slash::Trailing,
        } => match dir.metadata_at(name)?.file_type {
            FileType::Directory => Err(Errno::Isdir),
            _ => Err(Errno::Notdir),
        },
        LastComponent::Entry { dir, name, .. } => dir.remove_file(name),
    }
}

/// The errno for creating a link under a name with a trailing slash.
fn refuse_slash(found: Result<(), Errno>) -> Errno {
    match found {
        Ok(()) => Errno::Exist,
        Err(errno) => errno,
    }
}

/// Reads a path of `len` bytes from the memory of the guest.
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

/// Decodes whether a symbolic link in the last component is followed.
///
/// Source: WASI preview1 witx, `lookupflags`.
pub(super) fn lookup_flags(flags: i32) -> Result<SymlinkMode, Errno> {
    match flags {
        0 => Ok(SymlinkMode::NoFollow),
        1 => Ok(SymlinkMode::Follow),
        _ => Err(Errno::Inval),
    }
}
