//! The outcomes of the calls that a guest makes on a filesystem.

use rangewatch_wasi::fs::conformance::guest::{BYTES, Guest, IOVS, RESULT};
use rangewatch_wasi::{Errno, preview1};

use crate::call::Call;

/// Makes the call. Returns the part of the outcome in which filesystems agree.
pub(crate) fn outcome(guest: &mut Guest, call: &Call) -> Result<Vec<u8>, Errno> {
    let paths = match call {
        Call::Rename(_, old, _, new) | Call::Link(_, old, _, new) => [old.as_str(), new],
        Call::Symlink(target, _, path) => [target.as_str(), path],
        Call::Open(_, _, path, ..)
        | Call::Stat(_, _, path)
        | Call::CreateDir(_, path)
        | Call::RemoveDir(_, path)
        | Call::Unlink(_, path)
        | Call::ReadLink(_, path)
        | Call::SetTimes(_, _, path, _) => [path.as_str(), ""],
        _ => ["", ""],
    };
    let ((at, len), (at2, len2)) = (guest.put_path(0, paths[0]), guest.put_path(1, paths[1]));
    let ctx = &mut guest.ctx;
    let memory = &mut guest.memory[..];
    match *call {
        Call::Open(fd, dirflags, _, oflags, rights, fdflags) => {
            preview1::path_open(
                ctx, memory, fd, dirflags, at, len, oflags, rights, 0, fdflags, RESULT,
            )?;
            Ok(guest.memory[..4].to_vec())
        }
        Call::Close(fd) => preview1::fd_close(ctx, memory, fd).map(|()| Vec::new()),
        Call::Write(fd, n) => {
            guest.memory[BYTES as usize..][..n].fill(n as u8);
            guest.put_iovec_of(n as u32);
            preview1::fd_write(&mut guest.ctx, &mut guest.memory, fd, IOVS, 1, RESULT)
                .map_err(|interrupt| interrupt.errno().expect("a file never waits"))?;
            Ok(guest.memory[..4].to_vec())
        }
        Call::Read(fd, n) => {
            guest.put_iovec_of(n as u32);
            preview1::fd_read(&mut guest.ctx, &mut guest.memory, fd, IOVS, 1, RESULT)
                .map_err(|interrupt| interrupt.errno().expect("a file never waits"))?;
            Ok(guest.memory[BYTES as usize..][..n_bytes(guest) as usize].to_vec())
        }
        Call::SetSize(fd, size) => {
            preview1::fd_filestat_set_size(ctx, memory, fd, size).map(|()| Vec::new())
        }
        Call::Seek(fd, offset, whence) => {
            preview1::fd_seek(ctx, memory, fd, offset, whence, RESULT)?;
            Ok(guest.memory[..8].to_vec())
        }
        Call::Stat(fd, flags, _) => {
            preview1::path_filestat_get(ctx, memory, fd, flags, at, len, RESULT)?;
            // The type; and, for a file that is no directory, the hard link count and the size.
            let stat = &guest.memory[16..40];
            let len = if stat[0] == 3 { 1 } else { 24 };
            Ok(stat[..len].to_vec())
        }
        Call::CreateDir(fd, _) => {
            preview1::path_create_directory(ctx, memory, fd, at, len).map(|()| Vec::new())
        }
        Call::RemoveDir(fd, _) => {
            preview1::path_remove_directory(ctx, memory, fd, at, len).map(|()| Vec::new())
        }
        Call::Unlink(fd, _) => {
            preview1::path_unlink_file(ctx, memory, fd, at, len).map(|()| Vec::new())
        }
        Call::Rename(fd, _, to, _) => {
            preview1::path_rename(ctx, memory, fd, at, len, to, at2, len2).map(|()| Vec::new())
        }
        Call::Link(fd, _, to, _) => {
            preview1::path_link(ctx, memory, fd, 0, at, len, to, at2, len2).map(|()| Vec::new())
        }
        Call::Symlink(_, fd, _) => {
            preview1::path_symlink(ctx, memory, at, len, fd, at2, len2).map(|()| Vec::new())
        }
        Call::ReadLink(fd, _) => {
            preview1::path_readlink(ctx, memory, fd, at, len, BYTES, 4096, RESULT)?;
            Ok(guest.memory[BYTES as usize..][..n_bytes(guest) as usize].to_vec())
        }
        Call::SetTimes(fd, flags, _, ns) => {
            preview1::path_filestat_set_times(ctx, memory, fd, flags, at, len, ns, ns, 5)
                .map(|()| Vec::new())
        }
    }
}

/// All names below the root with their contents, read through the guest's functions.
pub(crate) fn names(guest: &mut Guest, fd: i32) -> Vec<String> {
    let end = BYTES as usize + 32_768;
    let read = preview1::fd_readdir(
        &mut guest.ctx,
        &mut guest.memory[..end],
        fd,
        BYTES,
        32_768,
        0,
        RESULT,
    );
    if read.is_err() {
        return Vec::new();
    }
    let mut bytes = &guest.memory[BYTES as usize..][..n_bytes(guest) as usize];
    let mut names = Vec::new();
    while bytes.len() > 24 {
        let len = u32::from_le_bytes(bytes[16..20].try_into().unwrap()) as usize;
        let name = String::from_utf8(bytes[24..24 + len].to_vec()).unwrap();
        names.push(format!("{name} {}", bytes[20]));
        bytes = &bytes[24 + len..];
    }
    names.sort();
    names
}
/// The result of the last call, a number.
fn n_bytes(guest: &Guest) -> u32 {
    u32::from_le_bytes(guest.memory[..4].try_into().unwrap())
}
