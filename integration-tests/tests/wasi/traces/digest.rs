//! A hash of a guest's memory that is cheap to have after each call.

use std::hash::{DefaultHasher, Hash, Hasher};

/// Pages that have not changed since the last time are compared and not hashed, which even a build
/// that is not optimized does at the speed of the memory.
const PAGE_BYTES: usize = 4096;

/// The hash of a memory as it was when it was last asked for.
#[derive(Default)]
pub(super) struct Digest {
    seen: Vec<u8>,
    /// The hash of each page; 0 for zeros.
    pages: Vec<u64>,
    sum: u64,
}

impl Digest {
    /// The hash of a memory, which depends on its contents and its length alone.
    pub(super) fn of(&mut self, memory: &[u8]) -> u64 {
        // Memories only grow, by zeros.
        self.seen.resize(memory.len(), 0);
        self.pages.resize(memory.len().div_ceil(PAGE_BYTES), 0);
        let pages = memory
            .chunks(PAGE_BYTES)
            .zip(self.seen.chunks_mut(PAGE_BYTES));
        for ((index, hash), (page, seen)) in self.pages.iter_mut().enumerate().zip(pages) {
            if page != seen {
                self.sum = self.sum.wrapping_sub(*hash);
                *hash = hash_page(index, page);
                self.sum = self.sum.wrapping_add(*hash);
                seen.copy_from_slice(page);
            }
        }
        self.sum.wrapping_add(memory.len() as u64)
    }
}

fn hash_page(index: usize, page: &[u8]) -> u64 {
    if *page == [0; PAGE_BYTES][..page.len()] {
        return 0;
    }
    let mut hasher = DefaultHasher::new();
    (index, page).hash(&mut hasher);
    hasher.finish()
}
