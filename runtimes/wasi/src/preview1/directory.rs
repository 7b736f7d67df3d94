//! `fd_readdir`.

use crate::descriptor::Object;
use crate::descriptor::listing::Listing;
use crate::descriptor::rights;
use crate::fs::DirEntry;
use crate::{Errno, Wasi, memory};

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
/// - Any error of the filesystem.
pub fn fd_readdir(
    ctx: &mut Wasi,
    memory: &mut [u8],
    fd: i32,
    buf: i32,
    buf_len: i32,
    cookie: i64,
    bufused_out: i32,
) -> Result<(), Errno> {
    let dot_entries = ctx.dot_entries;
    let descriptor = ctx.descriptors.get_mut(fd)?;
    descriptor.directory(rights::FD_READDIR)?;
    let Object::Dir(open) = &mut descriptor.object else {
        return Err(Errno::Notdir);
    };
    memory::slice(memory, bufused_out as u32, 4)?;
    let mut rest = memory::slice_mut(memory, buf as u32, buf_len as u32)?;

    let mut position = cookie as u64;
    match &mut open.listing {
        None if position == 0 => {
            open.listing = Some(Box::new(Listing::new(&open.dir, dot_entries)?));
        }
        Some(listing) if position == 0 => listing.restart(&open.dir, dot_entries)?,
        Some(listing) => listing.go_back(&open.dir, dot_entries, position)?,
        None => {}
    }
    let listing = open.listing.as_deref_mut();
    if let Some(listing) = listing.filter(|listing| listing.accepts(position)) {
        while !rest.is_empty() {
            let Some(entry) = listing.entry(position)? else {
                break;
            };
            position += 1;
            rest = put(rest, &dirent(entry, position));
            rest = put(rest, entry.name.as_bytes());
        }
    }
    let bufused = (buf_len as u32) - rest.len() as u32;
    memory::write_u32(memory, bufused_out as u32, bufused)
}

fn dirent(entry: &DirEntry, next: u64) -> [u8; DIRENT_BYTES] {
    let mut dirent = [0; DIRENT_BYTES];
    dirent[0..8].copy_from_slice(&next.to_le_bytes());
    dirent[8..16].copy_from_slice(&entry.ino.to_le_bytes());
    dirent[16..20].copy_from_slice(&(entry.name.len() as u32).to_le_bytes());
    dirent[20] = entry.file_type as u8;
    dirent
}

/// Copies as much as fits, and returns the rest of the buffer.
fn put<'a>(buf: &'a mut [u8], bytes: &[u8]) -> &'a mut [u8] {
    let len = bytes.len().min(buf.len());
    let (target, rest) = buf.split_at_mut(len);
    target.copy_from_slice(&bytes[..len]);
    rest
}
