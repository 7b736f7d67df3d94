//! The contents of a file.

use std::collections::BTreeMap;
use std::ops::Range;

use super::shared::Shared;
use crate::Errno;
use crate::costs::{BYTES_PER_UNIT, PAGE_FREED, PAGE_TAKEN, PAGES_SPLIT_PER_UNIT};
use crate::fs::add_work;

/// Bytes are stored in pages of this size: a hole takes no memory, growth never moves more than one
/// page, and one call of a guest allocates little more than it writes.
const PAGE_BYTES: usize = 64 << 10;

/// The minimum number of bytes that a page after a hole is charged: the host's cost of storing a
/// page.
///
/// Without this minimum, a guest that writes one byte to each page of many files uses seventy times
/// the memory that is charged.
const MIN_COUNTED_BYTES: usize = 128;

/// The bytes of a file by page, and its size. A missing page, and the missing end of a page, read
/// as zeros. No page extends past the size.
#[derive(Default)]
pub(super) struct Contents {
    pages: Pages,
    size_bytes: u64,
}

/// The pages of a file, by number.
pub(super) type Pages = BTreeMap<u64, Page>;

#[derive(Default)]
pub(super) struct Page {
    bytes: Vec<u8>,
    /// The bytes that the page is charged.
    counted: usize,
}

/// Pages that no file has any more. They are charged until they are freed, some at a time, because
/// to free those of a large file at once would hold the host's thread.
#[derive(Default)]
pub(super) struct Freed {
    pages: Vec<Pages>,
}

impl Freed {
    /// Adds the pages of a file. Takes constant time.
    pub(super) fn add(&mut self, pages: Pages) {
        if !pages.is_empty() {
            self.pages.push(pages);
        }
    }

    /// Frees one page. Returns the bytes that it was charged and the work of freeing it; `None` if
    /// there is none.
    pub(super) fn free_one(&mut self) -> Option<(u64, u64)> {
        let pages = self.pages.last_mut()?;
        let page = pages.pop_last();
        if pages.is_empty() {
            self.pages.pop();
        }
        let (_, page) = page?;
        let units = PAGE_TAKEN + PAGE_FREED * page.bytes.len() as u64 / PAGE_BYTES as u64;
        add_work(units);
        Some((page.counted as u64, units))
    }
}

impl Contents {
    pub(super) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    pub(super) fn read_at(&self, buf: &mut [u8], offset: u64) -> usize {
        let rest = self.size_bytes.saturating_sub(offset);
        let len = usize::try_from(rest).unwrap_or(usize::MAX).min(buf.len());
        for piece in pieces(offset, len) {
            let buf = &mut buf[piece.at..][..piece.range.len()];
            let page = self.pages.get(&piece.page);
            let page = page.map_or(&[][..], |page| &page.bytes);
            let start = piece.range.start.min(page.len());
            let stored = &page[start..piece.range.end.min(page.len())];
            buf[..stored.len()].copy_from_slice(stored);
            buf[stored.len()..].fill(0);
        }
        len
    }

    /// Writes as much of `buf` as the limits of `shared` allow, and at least one byte unless `buf`
    /// is empty.
    pub(super) fn write_at(
        &mut self,
        shared: &Shared,
        buf: &[u8],
        offset: u64,
    ) -> Result<usize, Errno> {
        let room = shared.limit_bytes().saturating_sub(offset);
        if room == 0 && !buf.is_empty() {
            return Err(Errno::Fbig);
        }
        let len = usize::try_from(room).unwrap_or(usize::MAX).min(buf.len());
        let mut n_bytes = 0;
        for piece in pieces(offset, len) {
            let buf = &buf[piece.at..][..piece.range.len()];
            match self.write_piece(shared, &piece, buf) {
                Ok(()) => n_bytes += buf.len(),
                Err(errno) if n_bytes == 0 => return Err(errno),
                Err(_) => break,
            }
            self.size_bytes = self.size_bytes.max(offset + n_bytes as u64);
        }
        Ok(n_bytes)
    }

    pub(super) fn set_size(&mut self, shared: &Shared, size_bytes: u64) -> Result<(), Errno> {
        if size_bytes > shared.limit_bytes() {
            return Err(Errno::Fbig);
        }
        if size_bytes < self.size_bytes {
            let (last, len) = position(size_bytes);
            let mut freed = match last {
                0 => std::mem::take(&mut self.pages),
                last => self.pages.split_off(&last),
            };
            // The split counts them.
            add_work(freed.len() as u64 / PAGES_SPLIT_PER_UNIT);
            let shortened = if len > 0 { freed.remove(&last) } else { None };
            if let Some(mut page) = shortened {
                add_work(PAGE_FREED);
                let before = page.counted;
                page.bytes.truncate(len);
                page.bytes.shrink_to_fit();
                // The page may have followed a hole, and the next page that is written will.
                let least = if last == 0 { 0 } else { MIN_COUNTED_BYTES };
                page.counted = page.counted.min(page.bytes.len().max(least));
                shared.release_bytes((before - page.counted) as u64);
                self.pages.insert(last, page);
            }
            shared.free(freed);
        }
        self.size_bytes = size_bytes;
        Ok(())
    }

    /// Releases the pages. The file must not be used afterwards.
    pub(super) fn release(&mut self, shared: &Shared) {
        shared.free(std::mem::take(&mut self.pages));
    }

    fn write_piece(&mut self, shared: &Shared, piece: &Piece, buf: &[u8]) -> Result<(), Errno> {
        let (stored, before) = match self.pages.get(&piece.page) {
            Some(page) => (page.bytes.len(), page.counted),
            None => (0, 0),
        };
        let more = piece.range.end.saturating_sub(stored);
        let mut counted = before.max(piece.range.end);
        if stored == 0 && self.follows_a_hole(piece.page) {
            counted = counted.max(MIN_COUNTED_BYTES);
        }
        if counted > before {
            shared.reserve_bytes((counted - before) as u64)?;
        }
        let page = self.pages.entry(piece.page).or_default();
        page.counted = counted;
        let page = &mut page.bytes;
        if more > 0 {
            if piece.range.end > PAGE_BYTES / 2 {
                // Growth by doubling would allocate more than a page.
                page.reserve_exact(PAGE_BYTES - page.len());
            }
            // The bytes of the call are counted already.
            add_work(more.saturating_sub(buf.len()) as u64 / BYTES_PER_UNIT);
            page.resize(piece.range.end, 0);
        }
        page[piece.range.clone()].copy_from_slice(buf);
        Ok(())
    }

    /// Whether `page` has a predecessor that is not full.
    fn follows_a_hole(&self, page: u64) -> bool {
        let before = page.checked_sub(1);
        before.is_some_and(|before| {
            let before = self.pages.get(&before);
            before.is_none_or(|before| before.bytes.len() < PAGE_BYTES)
        })
    }
}

/// The part of a transfer that lies in one page.
struct Piece {
    page: u64,
    /// The range within the page.
    range: Range<usize>,
    /// The offset within the buffer.
    at: usize,
}

/// Splits `len` bytes at `offset` into pages. The caller guarantees that the end fits into `u64`.
fn pieces(offset: u64, len: usize) -> impl Iterator<Item = Piece> {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at == len {
            return None;
        }
        let (page, start) = position(offset + at as u64);
        let end = PAGE_BYTES.min(start + (len - at));
        let piece = Piece {
            page,
            range: start..end,
            at,
        };
        at += end - start;
        Some(piece)
    })
}

/// The page of `offset`, and the offset within it.
fn position(offset: u64) -> (u64, usize) {
    let page_bytes = PAGE_BYTES as u64;
    (offset / page_bytes, (offset % page_bytes) as usize)
}
