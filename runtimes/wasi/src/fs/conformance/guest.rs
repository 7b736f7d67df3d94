//! A guest with one directory, for the scenarios.

use std::sync::Arc;

use crate::fs::{Access, Dir};
use crate::{Errno, Interrupt, RightsMode, Wasi, WasiBuilder, preview1};

pub const ROOT: i32 = 3;

pub const FOLLOW: i32 = 1;
pub const KEEP: i32 = 0;

pub const CREAT: i32 = 1;
pub const DIRECTORY: i32 = 2;
pub const EXCL: i32 = 4;
pub const TRUNC: i32 = 8;

pub const APPEND: i32 = 1;

pub const READ: i64 = 1 << 1;
pub const WRITE: i64 = 1 << 6;

pub const TYPE_DIRECTORY: u8 = 3;
pub const TYPE_FILE: u8 = 4;
pub const TYPE_SYMLINK: u8 = 7;

/// Addresses of arguments and results in the guest's memory.
pub const RESULT: i32 = 0;
pub const IOVS: i32 = 128;
const PATHS: [i32; 2] = [1 << 13, 2 << 13];
pub const BYTES: i32 = 1 << 16;
const MEMORY_BYTES: usize = 1 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stat {
    pub dev: u64,
    pub ino: u64,
    pub file_type: u8,
    pub n_links: u64,
    pub size_bytes: u64,
    pub accessed_ns: u64,
    pub modified_ns: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Listed {
    pub name: String,
    pub file_type: u8,
    pub ino: u64,
    pub next: u64,
}

#[derive(Debug)]
#[non_exhaustive]
pub struct Guest {
    pub ctx: Wasi,
    pub memory: Vec<u8>,
}

impl Guest {
    pub fn new(dir: Arc<dyn Dir>) -> Self {
        Self::with(dir, Access::ReadWrite, RightsMode::Compat)
    }

    pub fn with(dir: Arc<dyn Dir>, access: Access, mode: RightsMode) -> Self {
        Self::of(Wasi::builder().rights(mode).preopen("/", dir, access))
    }

    pub fn of(builder: WasiBuilder) -> Self {
        Self {
            ctx: builder.build().expect("one directory"),
            memory: vec![0; MEMORY_BYTES],
        }
    }

    /// Writes a path, the first or the second of a call. Returns its address and its length.
    pub fn put_path(&mut self, which: usize, path: &str) -> (i32, i32) {
        let at = PATHS[which];
        self.memory[at as usize..][..path.len()].copy_from_slice(path.as_bytes());
        (at, path.len() as i32)
    }

    fn u32(&self, at: i32) -> u32 {
        u32::from_le_bytes(self.memory[at as usize..][..4].try_into().expect("4 bytes"))
    }

    fn u64(&self, at: i32) -> u64 {
        u64::from_le_bytes(self.memory[at as usize..][..8].try_into().expect("8 bytes"))
    }

    pub fn open_at(
        &mut self,
        fd: i32,
        dirflags: i32,
        path: &str,
        oflags: i32,
        rights: i64,
        fdflags: i32,
    ) -> Result<i32, Errno> {
        let (at, len) = self.put_path(0, path);
        preview1::path_open(
            &mut self.ctx,
            &mut self.memory,
            fd,
            dirflags,
            at,
            len,
            oflags,
            rights,
            0,
            fdflags,
            RESULT,
        )?;
        Ok(self.u32(RESULT) as i32)
    }

    /// Opens without following a link, with all rights that the filesystem allows.
    pub fn open(&mut self, path: &str, oflags: i32) -> Result<i32, Errno> {
        self.open_at(ROOT, KEEP, path, oflags, 0, 0)
    }

    pub fn close(&mut self, fd: i32) -> Result<(), Errno> {
        preview1::fd_close(&mut self.ctx, &mut self.memory, fd)
    }

    pub fn write(&mut self, fd: i32, bytes: &[u8]) -> Result<u32, Errno> {
        self.put_iovec(bytes);
        preview1::fd_write(&mut self.ctx, &mut self.memory, fd, IOVS, 1, RESULT)
            .map_err(|interrupt| interrupt.errno().expect("a file never waits"))?;
        Ok(self.u32(RESULT))
    }

    pub fn pwrite(&mut self, fd: i32, bytes: &[u8], offset: i64) -> Result<u32, Errno> {
        self.put_iovec(bytes);
        preview1::fd_pwrite(&mut self.ctx, &mut self.memory, fd, IOVS, 1, offset, RESULT)?;
        Ok(self.u32(RESULT))
    }

    pub fn read(&mut self, fd: i32, len: u32) -> Result<Vec<u8>, Errno> {
        self.put_iovec_of(len);
        preview1::fd_read(&mut self.ctx, &mut self.memory, fd, IOVS, 1, RESULT)
            .map_err(|interrupt| interrupt.errno().expect("a file never waits"))?;
        Ok(self.taken())
    }

    pub fn pread(&mut self, fd: i32, len: u32, offset: i64) -> Result<Vec<u8>, Errno> {
        self.put_iovec_of(len);
        preview1::fd_pread(&mut self.ctx, &mut self.memory, fd, IOVS, 1, offset, RESULT)?;
        Ok(self.taken())
    }

    fn put_iovec(&mut self, bytes: &[u8]) {
        self.memory[BYTES as usize..][..bytes.len()].copy_from_slice(bytes);
        self.put_iovec_of(bytes.len() as u32);
    }

    /// Writes a table of one buffer with `len` bytes.
    pub fn put_iovec_of(&mut self, len: u32) {
        let iovec = &mut self.memory[IOVS as usize..][..8];
        iovec[..4].copy_from_slice(&BYTES.to_le_bytes());
        iovec[4..].copy_from_slice(&len.to_le_bytes());
    }

    fn taken(&self) -> Vec<u8> {
        self.memory[BYTES as usize..][..self.u32(RESULT) as usize].to_vec()
    }

    pub fn seek(&mut self, fd: i32, offset: i64, whence: i32) -> Result<u64, Errno> {
        preview1::fd_seek(&mut self.ctx, &mut self.memory, fd, offset, whence, RESULT)?;
        Ok(self.u64(RESULT))
    }

    pub fn set_size(&mut self, fd: i32, size: i64) -> Result<(), Errno> {
        preview1::fd_filestat_set_size(&mut self.ctx, &mut self.memory, fd, size)
    }

    pub fn allocate(&mut self, fd: i32, offset: i64, len: i64) -> Result<(), Errno> {
        preview1::fd_allocate(&mut self.ctx, &mut self.memory, fd, offset, len)
    }

    pub fn fstat(&mut self, fd: i32) -> Result<Stat, Errno> {
        preview1::fd_filestat_get(&mut self.ctx, &mut self.memory, fd, RESULT)?;
        Ok(self.stat_result())
    }

    pub fn stat_at(&mut self, fd: i32, flags: i32, path: &str) -> Result<Stat, Errno> {
        let (at, len) = self.put_path(0, path);
        preview1::path_filestat_get(&mut self.ctx, &mut self.memory, fd, flags, at, len, RESULT)?;
        Ok(self.stat_result())
    }

    pub fn stat(&mut self, path: &str) -> Result<Stat, Errno> {
        self.stat_at(ROOT, KEEP, path)
    }

    fn stat_result(&self) -> Stat {
        Stat {
            dev: self.u64(RESULT),
            ino: self.u64(RESULT + 8),
            file_type: self.memory[RESULT as usize + 16],
            n_links: self.u64(RESULT + 24),
            size_bytes: self.u64(RESULT + 32),
            accessed_ns: self.u64(RESULT + 40),
            modified_ns: self.u64(RESULT + 48),
        }
    }

    pub fn set_times(
        &mut self,
        flags: i32,
        path: &str,
        accessed_ns: u64,
        modified_ns: u64,
        fst_flags: i32,
    ) -> Result<(), Errno> {
        let (at, len) = self.put_path(0, path);
        let times = (accessed_ns as i64, modified_ns as i64);
        preview1::path_filestat_set_times(
            &mut self.ctx,
            &mut self.memory,
            ROOT,
            flags,
            at,
            len,
            times.0,
            times.1,
            fst_flags,
        )
    }

    pub fn create_dir(&mut self, path: &str) -> Result<(), Errno> {
        let (at, len) = self.put_path(0, path);
        preview1::path_create_directory(&mut self.ctx, &mut self.memory, ROOT, at, len)
    }

    pub fn remove_dir(&mut self, path: &str) -> Result<(), Errno> {
        let (at, len) = self.put_path(0, path);
        preview1::path_remove_directory(&mut self.ctx, &mut self.memory, ROOT, at, len)
    }

    pub fn unlink(&mut self, path: &str) -> Result<(), Errno> {
        let (at, len) = self.put_path(0, path);
        preview1::path_unlink_file(&mut self.ctx, &mut self.memory, ROOT, at, len)
    }

    pub fn rename(&mut self, old: &str, new: &str) -> Result<(), Errno> {
        let (old, new) = (self.put_path(0, old), self.put_path(1, new));
        let memory = &mut self.memory;
        preview1::path_rename(
            &mut self.ctx,
            memory,
            ROOT,
            old.0,
            old.1,
            ROOT,
            new.0,
            new.1,
        )
    }

    pub fn link(&mut self, old: &str, new: &str) -> Result<(), Errno> {
        let (old, new) = (self.put_path(0, old), self.put_path(1, new));
        let memory = &mut self.memory;
        preview1::path_link(
            &mut self.ctx,
            memory,
            ROOT,
            KEEP,
            old.0,
            old.1,
            ROOT,
            new.0,
            new.1,
        )
    }

    pub fn symlink(&mut self, target: &str, path: &str) -> Result<(), Errno> {
        let (target, path) = (self.put_path(0, target), self.put_path(1, path));
        let memory = &mut self.memory;
        preview1::path_symlink(
            &mut self.ctx,
            memory,
            target.0,
            target.1,
            ROOT,
            path.0,
            path.1,
        )
    }

    pub fn read_link(&mut self, path: &str, len: u32) -> Result<String, Errno> {
        let (at, path_len) = self.put_path(0, path);
        preview1::path_readlink(
            &mut self.ctx,
            &mut self.memory,
            ROOT,
            at,
            path_len,
            BYTES,
            len as i32,
            RESULT,
        )?;
        Ok(String::from_utf8(self.taken()).expect("a text"))
    }

    /// One call of `fd_readdir`. Returns the complete entries, and the number of bytes.
    pub fn readdir(
        &mut self,
        fd: i32,
        buf_len: u32,
        cookie: u64,
    ) -> Result<(Vec<Listed>, u32), Errno> {
        loop {
            let (ctx, memory) = (&mut self.ctx, &mut self.memory);
            let (len, cookie) = (buf_len as i32, cookie as i64);
            match preview1::fd_readdir(ctx, memory, fd, BYTES, len, cookie, RESULT) {
                Err(Interrupt::Wait) => self.ctx.block(),
                listed => {
                    break listed.map_err(|interrupt| interrupt.errno().expect("an errno"))?;
                }
            }
        }
        let bytes = self.taken();
        let mut listed = Vec::new();
        let mut at = 0;
        while let Some(header) = bytes.get(at..at + 24) {
            let number = |range: std::ops::Range<usize>| {
                let mut le = [0; 8];
                le[..range.len()].copy_from_slice(&header[range]);
                u64::from_le_bytes(le)
            };
            let name_len = number(16..20) as usize;
            let Some(name) = bytes.get(at + 24..at + 24 + name_len) else {
                break;
            };
            listed.push(Listed {
                name: String::from_utf8(name.to_vec()).expect("names are UTF-8"),
                file_type: header[20],
                ino: number(8..16),
                next: number(0..8),
            });
            at += 24 + name_len;
        }
        Ok((listed, bytes.len() as u32))
    }

    /// Reads all entries of a directory as a libc does: each call continues at the cookie of the
    /// last complete entry.
    pub fn list(&mut self, fd: i32, buf_len: u32) -> Vec<Listed> {
        let mut listed: Vec<Listed> = Vec::new();
        loop {
            let cookie = listed.last().map_or(0, |last| last.next);
            let (more, bufused) = self.readdir(fd, buf_len, cookie).expect("a listing");
            assert!(bufused <= buf_len);
            assert!(
                !more.is_empty() || bufused < buf_len,
                "an entry does not fit into a buffer of {buf_len} bytes"
            );
            listed.extend(more);
            if bufused < buf_len {
                return listed;
            }
        }
    }

    /// The names in a directory, sorted, without `.` and `..`.
    pub fn names(&mut self, path: &str) -> Vec<String> {
        let fd = self.open(path, DIRECTORY).expect("a directory");
        let listed = self.list(fd, 4096);
        self.close(fd).expect("it is open");
        let mut names: Vec<String> = listed
            .into_iter()
            .map(|entry| entry.name)
            .filter(|name| name != "." && name != "..")
            .collect();
        names.sort();
        names
    }

    pub fn put_file(&mut self, path: &str, contents: &[u8]) {
        let fd = self.open(path, CREAT | TRUNC).expect("a file can be made");
        if !contents.is_empty() {
            assert_eq!(self.write(fd, contents), Ok(contents.len() as u32));
        }
        self.close(fd).expect("it is open");
    }

    pub fn get_file(&mut self, path: &str) -> Result<Vec<u8>, Errno> {
        let fd = self.open_at(ROOT, FOLLOW, path, 0, READ, 0)?;
        let mut contents = Vec::new();
        loop {
            let more = self.read(fd, 60_000)?;
            if more.is_empty() {
                break;
            }
            contents.extend(more);
        }
        self.close(fd)?;
        Ok(contents)
    }
}
