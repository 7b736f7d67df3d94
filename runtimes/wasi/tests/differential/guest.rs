//! A guest that makes calls on a filesystem.

use rangewatch_wasi::fs::{Access, IntoDir};
use rangewatch_wasi::{Errno, Wasi, preview1};

use crate::call::Call;

const RESULT: i32 = 0;
const IOVS: i32 = 128;
const PATHS: [i32; 2] = [1024, 8192];
const BYTES: i32 = 16_384;

pub(crate) struct Guest {
    ctx: Wasi,
    memory: Vec<u8>,
}

impl Guest {
    pub(crate) fn new(dir: impl IntoDir) -> Self {
        let builder = Wasi::builder().preopen("/", dir, Access::ReadWrite);
        Self {
            ctx: builder.build().unwrap(),
            memory: vec![0; 65_536],
        }
    }

    fn put(&mut self, which: usize, path: &str) -> (i32, i32) {
        let at = PATHS[which];
        self.memory[at as usize..][..path.len()].copy_from_slice(path.as_bytes());
        (at, path.len() as i32)
    }

    fn iovec(&mut self, len: i32) {
        self.memory[IOVS as usize..][..4].copy_from_slice(&BYTES.to_le_bytes());
        self.memory[IOVS as usize + 4..][..4].copy_from_slice(&len.to_le_bytes());
    }

    fn number(&self) -> u32 {
        u32::from_le_bytes(self.memory[..4].try_into().unwrap())
    }

    /// Makes the call. Returns the part of the outcome in which filesystems agree.
    pub(crate) fn call(&mut self, call: &Call) -> Result<Vec<u8>, Errno> {
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
        let ((at, len), (at2, len2)) = (self.put(0, paths[0]), self.put(1, paths[1]));
        let ctx = &mut self.ctx;
        let memory = &mut self.memory[..];
        match *call {
            Call::Open(fd, dirflags, _, oflags, rights, fdflags) => {
                preview1::path_open(
                    ctx, memory, fd, dirflags, at, len, oflags, rights, 0, fdflags, RESULT,
                )?;
                Ok(self.memory[..4].to_vec())
            }
            Call::Close(fd) => preview1::fd_close(ctx, memory, fd).map(|()| Vec::new()),
            Call::Write(fd, n) => {
                self.memory[BYTES as usize..][..n].fill(n as u8);
                self.iovec(n as i32);
                preview1::fd_write(&mut self.ctx, &mut self.memory, fd, IOVS, 1, RESULT)
                    .map_err(|interrupt| interrupt.errno().expect("a file never waits"))?;
                Ok(self.memory[..4].to_vec())
            }
            Call::Read(fd, n) => {
                self.iovec(n);
                preview1::fd_read(&mut self.ctx, &mut self.memory, fd, IOVS, 1, RESULT)
                    .map_err(|interrupt| interrupt.errno().expect("a file never waits"))?;
                Ok(self.memory[BYTES as usize..][..self.number() as usize].to_vec())
            }
            Call::SetSize(fd, size) => {
                preview1::fd_filestat_set_size(ctx, memory, fd, size).map(|()| Vec::new())
            }
            Call::Seek(fd, offset, whence) => {
                preview1::fd_seek(ctx, memory, fd, offset, whence, RESULT)?;
                Ok(self.memory[..8].to_vec())
            }
            Call::Stat(fd, flags, _) => {
                preview1::path_filestat_get(ctx, memory, fd, flags, at, len, RESULT)?;
                // The type; and, for a file that is no directory, the hard link count and the size.
                let stat = &self.memory[16..40];
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
                Ok(self.memory[BYTES as usize..][..self.number() as usize].to_vec())
            }
            Call::SetTimes(fd, flags, _, ns) => {
                preview1::path_filestat_set_times(ctx, memory, fd, flags, at, len, ns, ns, 5)
                    .map(|()| Vec::new())
            }
        }
    }

    /// All names below the root with their contents, read through the guest's functions.
    pub(crate) fn names(&mut self, fd: i32) -> Vec<String> {
        let end = BYTES as usize + 32_768;
        let read = preview1::fd_readdir(
            &mut self.ctx,
            &mut self.memory[..end],
            fd,
            BYTES,
            32_768,
            0,
            RESULT,
        );
        if read.is_err() {
            return Vec::new();
        }
        let mut bytes = &self.memory[BYTES as usize..][..self.number() as usize];
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
}
