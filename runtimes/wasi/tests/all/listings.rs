//! How listings use the filesystem.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rangewatch_wasi::fs::{Access, Dir, DirEntry, FileType, Metadata, Node, ReadDir};
use rangewatch_wasi::{Errno, Wasi, preview1};

use crate::guest::Guest;

const FILES: u64 = 5_000;

/// A directory that counts how often it is read, and how many entries are taken.
#[derive(Clone, Default)]
struct Counting {
    n_readings: Arc<AtomicU64>,
    n_entries: Arc<AtomicU64>,
}

impl Dir for Counting {
    fn metadata(&self) -> Result<Metadata, Errno> {
        Ok(Metadata::new(FileType::Directory, 1))
    }

    fn lookup(&self, _name: &str) -> Result<Node, Errno> {
        Err(Errno::Noent)
    }

    fn read_dir(&self) -> Result<ReadDir, Errno> {
        self.n_readings.fetch_add(1, Ordering::Relaxed);
        let n_entries = Arc::clone(&self.n_entries);
        Ok(Box::new((0..FILES).map(move |i| {
            n_entries.fetch_add(1, Ordering::Relaxed);
            let name = format!("file {i}");
            Ok(DirEntry::new(name, FileType::RegularFile, i + 2))
        })))
    }
}

/// Lists descriptor 3 as a libc does, which reads a truncated entry again. Returns the number of
/// entries.
fn list(guest: &mut Guest, buf_len: u32) -> u64 {
    let (mut n_listed, mut cookie) = (0, 0);
    loop {
        guest
            .block_on(|ctx, memory| {
                preview1::fd_readdir(ctx, memory, 3, 8, buf_len as i32, cookie, 0)
            })
            .unwrap();
        let end = 8 + guest.u32(0);
        let mut at = 8;
        while at + 24 <= end && at + 24 + guest.u32(at + 16) <= end {
            cookie = guest.u64(at) as i64;
            at += 24 + guest.u32(at + 16);
            n_listed += 1;
        }
        if end < 8 + buf_len {
            return n_listed;
        }
    }
}

#[test]
fn a_listing_reads_each_entry_once_with_any_buffer_size() {
    for buf_len in [40, 128, 4096, 60_000] {
        let dir = Counting::default();
        let wasi = Wasi::builder().preopen("/", dir.clone(), Access::ReadOnly);
        let mut guest = Guest::new(wasi);
        assert_eq!(list(&mut guest, buf_len), FILES + 2, "{buf_len} bytes");
        assert_eq!(dir.n_readings.load(Ordering::Relaxed), 1, "{buf_len} bytes");
        assert_eq!(
            dir.n_entries.load(Ordering::Relaxed),
            FILES,
            "{buf_len} bytes"
        );
    }
}

#[test]
fn a_cookie_that_was_never_returned_takes_no_entry_from_the_filesystem() {
    let dir = Counting::default();
    let wasi = Wasi::builder().preopen("/", dir.clone(), Access::ReadOnly);
    let mut guest = Guest::new(wasi);
    let mut bufused = |cookie: u64| {
        let (ctx, memory) = (&mut guest.ctx, &mut guest.memory);
        preview1::fd_readdir(ctx, memory, 3, 8, 1024, cookie as i64, 0).unwrap();
        guest.u32(0)
    };
    assert_eq!(bufused(u64::MAX), 0);
    assert_eq!(bufused(0), 1024);
    let n_entries = dir.n_entries.load(Ordering::Relaxed);
    for cookie in [FILES / 2, FILES + 2, FILES + 3, u64::MAX] {
        assert_eq!(bufused(cookie), 0);
    }
    assert_eq!(dir.n_entries.load(Ordering::Relaxed), n_entries);
}

#[test]
fn a_cookie_returned_before_a_restart_is_accepted_after_it() {
    let wasi = Wasi::builder().preopen("/", Counting::default(), Access::ReadOnly);
    let mut guest = Guest::new(wasi);
    let mut bufused = |cookie: i64| {
        let (ctx, memory) = (&mut guest.ctx, &mut guest.memory);
        preview1::fd_readdir(ctx, memory, 3, 8, 1024, cookie, 0).unwrap();
        (guest.u32(0), guest.u64(8) as i64)
    };
    let mut cookie = 0;
    for _ in 0..100 {
        cookie = bufused(cookie).1;
    }
    bufused(0);
    assert_eq!(bufused(cookie), (1024, cookie + 1));
}
