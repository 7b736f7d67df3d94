//! `fd_readdir`.

use std::task::Poll;

use crate::costs::{FILE, ListingWork};
use crate::descriptor::listing::Listing;
use crate::descriptor::rights;
use crate::descriptor::{Object, OpenDir};
use crate::fs::DirEntry;
use crate::wait::{Done, Wait};
use crate::{DotEntries, Errno, Interrupt, Wasi, memory};

/// Source: WASI preview1 witx, `dirent`: the next cookie, the inode, the length of the name, the
/// type; 24 bytes.
const DIRENT_BYTES: usize = 24;

/// Fills the buffer with the entries of a directory from `cookie` on, and writes the number of
/// bytes. If the buffer is not full, the directory has no more entries. The last entry may be
/// truncated, and is then read again with its cookie.
///
/// The first entries are `.` and `..`, unless the host [omits](crate::WasiBuilder::dot_entries)
/// them. A cookie is valid until the directory is listed from cookie 0 again, which starts a new
/// listing. Entries that are created or removed during the listing may or may not be returned;
/// every other entry is returned once, whether the guest goes forward or back to an earlier cookie.
/// A cookie that was never returned through this descriptor is the end of the directory.
///
/// A long listing is done in parts, and the guest yields between them.
///
/// DIFFERENCE: `..` has the inode number of the directory itself, because the guest may have no
/// access to the parent.
///
/// Source: WASI preview1 witx, `fd_readdir`.
///
/// # Errors
///
/// - [`Errno::Badf`]: the descriptor is not open.
/// - [`Errno::Notdir`]: the descriptor is not a directory.
/// - [`Errno::Notcapable`]: the right `FD_READDIR` is missing.
/// - [`Errno::Fault`]: the buffer or the result is outside of the memory; nothing is written.
/// - [`Interrupt::Wait`]: the buffer is filled in part.
/// - Any error of the filesystem.
pub fn fd_readdir(
    ctx: &mut Wasi,
    memory: &mut [u8],
    fd: i32,
    buf: i32,
    buf_len: i32,
    cookie: i64,
    bufused_out: i32,
) -> Result<(), Interrupt> {
    ctx.work.begin();
    let done = ctx.take_wait().and_then(|wait| wait.done);
    let dot_entries = ctx.dot_entries;
    let descriptor = ctx.descriptors.get_mut(fd)?;
    descriptor.directory(rights::FD_READDIR)?;
    let Object::Dir(open) = &mut descriptor.object else {
        return Err(Errno::Notdir.into());
    };
    memory::slice(memory, bufused_out as u32, 4)?;
    let buf = memory::slice_mut(memory, buf as u32, buf_len as u32)?;

    let mut page = match done {
        Some(Done::Listed { n_bytes, position }) => Page {
            buf,
            n_bytes: n_bytes as usize,
            position,
        },
        _ => Page {
            buf,
            n_bytes: 0,
            position: cookie as u64,
        },
    };
    let mut work = ListingWork::default();
    let filled = match done {
        Some(_) => Ok(()),
        None => seek(open, &mut work, dot_entries, page.position),
    };
    let filled = filled.and_then(|()| page.fill(open.listing.as_deref_mut(), &mut work));
    ctx.work.add(FILE + work.units());
    let n_bytes = page.n_bytes as u32;
    match filled? {
        Poll::Ready(()) => Ok(memory::write_u32(memory, bufused_out as u32, n_bytes)?),
        Poll::Pending => {
            let position = page.position;
            let done = Done::Listed { n_bytes, position };
            Err(ctx.wait_for(Wait::for_next_part(done)))
        }
    }
}

/// Makes the entry at `position` the next one of the listing, which starts at position 0.
fn seek(
    open: &mut OpenDir,
    work: &mut ListingWork,
    dot_entries: DotEntries,
    position: u64,
) -> Result<(), Errno> {
    match &mut open.listing {
        None if position == 0 => {
            open.listing = Some(Box::new(Listing::new(&open.dir, dot_entries)?));
            Ok(())
        }
        Some(listing) if position == 0 => listing.restart(&open.dir, dot_entries),
        Some(listing) => listing.go_back(&open.dir, dot_entries, position, work),
        None => Ok(()),
    }
}

/// The guest's buffer, and how far it is filled.
struct Page<'m> {
    buf: &'m mut [u8],
    n_bytes: usize,
    /// The position of the next entry.
    position: u64,
}

impl Page<'_> {
    /// Fills the buffer. Pending when it is neither full nor complete, after the work of one
    /// attempt.
    fn fill(
        &mut self,
        listing: Option<&mut Listing>,
        work: &mut ListingWork,
    ) -> Result<Poll<()>, Errno> {
        let Some(listing) = listing.filter(|listing| listing.accepts(self.position)) else {
            return Ok(Poll::Ready(()));
        };
        while self.n_bytes < self.buf.len() {
            let Poll::Ready(entry) = listing.entry(self.position, work)? else {
                return Ok(Poll::Pending);
            };
            let Some(entry) = entry else {
                break;
            };
            self.position += 1;
            self.put(&dirent(entry, self.position));
            self.put(entry.name.as_bytes());
        }
        Ok(Poll::Ready(()))
    }

    /// Copies as much as fits.
    fn put(&mut self, bytes: &[u8]) {
        let rest = &mut self.buf[self.n_bytes..];
        let len = bytes.len().min(rest.len());
        rest[..len].copy_from_slice(&bytes[..len]);
        self.n_bytes += len;
    }
}

fn dirent(entry: &DirEntry, next: u64) -> [u8; DIRENT_BYTES] {
    let mut dirent = [0; DIRENT_BYTES];
    dirent[0..8].copy_from_slice(&next.to_le_bytes());
    dirent[8..16].copy_from_slice(&entry.ino.to_le_bytes());
    dirent[16..20].copy_from_slice(&(entry.name.len() as u32).to_le_bytes());
    dirent[20] = entry.file_type as u8;
    dirent
}
