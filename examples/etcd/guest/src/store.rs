//! The ordered store that the records are in.

/// Bytes of the first batch of a scan. Most scans end within it.
const FIRST_BATCH_BYTES: usize = 4 << 10;
/// Bytes of each further batch. It bounds what a scan copies at once, unless one entry is larger.
const BATCH_BYTES: usize = 64 << 10;
/// Bytes before the key of an entry: two lengths.
const ENTRY_HEADER_BYTES: usize = 8;

/// An ordered map of bytes: the store of the host, or one of a test.
pub trait Store {
    /// Returns the value of a key.
    fn get(&self, key: &[u8]) -> Option<Vec<u8>>;

    /// Fills `batch` with as many entries of `[from, to)` as fit, `to` being absent for no end.
    ///
    /// An entry is the length of the key and the length of the value, each a little-endian `u32`,
    /// the key, and the value. Returns the size of the first entry as an error if `batch` is too
    /// small for it.
    fn scan(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
        mode: ScanMode,
        batch: &mut [u8],
    ) -> Result<Batch, usize>;

    /// Sets the value of a key.
    fn put(&mut self, key: &[u8], value: &[u8]);

    /// Removes a key. An absent key is ignored.
    fn delete(&mut self, key: &[u8]);
}

/// What a scan has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Its bytes.
    pub n_bytes: usize,
    /// Whether the range has no more entries.
    pub is_last: bool,
}

/// How a scan goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanMode {
    /// In order of the keys.
    Forward,
    /// In reverse order of the keys.
    Reverse,
    /// In order of the keys, all values empty.
    KeysOnly,
}

impl ScanMode {
    /// The mode as the import of the host has it: bit 0 for the reverse order, bit 1 for keys only.
    pub fn flags(self) -> i32 {
        match self {
            Self::Forward => 0,
            Self::Reverse => 1,
            Self::KeysOnly => 2,
        }
    }
}

/// A scan that reads the store batch by batch.
#[derive(Debug)]
pub(crate) struct Scan<'s, S> {
    store: &'s S,
    from: Vec<u8>,
    to: Option<Vec<u8>>,
    mode: ScanMode,
    /// The size of the next batch.
    batch_bytes: usize,
    batch: Vec<u8>,
    /// The part of `batch` that is not consumed.
    unread: std::ops::Range<usize>,
    ended: bool,
}

impl<'s, S: Store> Scan<'s, S> {
    pub(crate) fn new(store: &'s S, from: Vec<u8>, to: Option<Vec<u8>>, mode: ScanMode) -> Self {
        let ended = to.as_ref().is_some_and(|to| *to <= from);
        Self {
            store,
            from,
            to,
            mode,
            batch_bytes: FIRST_BATCH_BYTES,
            batch: Vec::new(),
            unread: 0..0,
            ended,
        }
    }

    /// A scan of the last entry, whose key is as long as `to`. The store reads no others.
    pub(crate) fn last(store: &'s S, from: Vec<u8>, to: Vec<u8>, value_bytes: usize) -> Self {
        let n_bytes = ENTRY_HEADER_BYTES + to.len() + value_bytes;
        Self {
            batch_bytes: n_bytes,
            ..Self::new(store, from, Some(to), ScanMode::Reverse)
        }
    }

    /// Returns the next key and its value.
    pub(crate) fn next(&mut self) -> Option<(&[u8], &[u8])> {
        if self.unread.is_empty() && !self.fill() {
            return None;
        }
        let (key, value, n_bytes) = entry(&self.batch[self.unread.clone()]);
        self.unread.start += n_bytes;
        if self.unread.is_empty() {
            // The next batch begins after this key.
            if self.mode == ScanMode::Reverse {
                self.to = Some(key.to_vec());
            } else {
                self.from.clear();
                self.from.extend_from_slice(key);
                self.from.push(0);
            }
        }
        Some((key, value))
    }

    /// Leaves the values out of the batches that are not read yet.
    pub(crate) fn leave_values_out(&mut self) {
        self.mode = ScanMode::KeysOnly;
    }

    /// Reads the next batch, and returns whether it has an entry.
    fn fill(&mut self) -> bool {
        if self.ended {
            return false;
        }
        self.batch.resize(self.batch_bytes, 0);
        let read = loop {
            let (from, to) = (&self.from, self.to.as_deref());
            match self.store.scan(from, to, self.mode, &mut self.batch) {
                Ok(read) => break read,
                Err(n_bytes) => self.batch.resize(n_bytes, 0),
            }
        };
        self.batch_bytes = self.batch.len().max(BATCH_BYTES);
        self.unread = 0..read.n_bytes;
        self.ended = read.is_last;
        read.n_bytes > 0
    }
}

/// Splits the first entry off a batch: its key, its value, and its size.
fn entry(batch: &[u8]) -> (&[u8], &[u8], usize) {
    let length = |at: usize| {
        let bytes = batch[at..at + 4].try_into().expect("four bytes");
        u32::from_le_bytes(bytes) as usize
    };
    let value_start = ENTRY_HEADER_BYTES + length(0);
    let end = value_start + length(4);
    (
        &batch[ENTRY_HEADER_BYTES..value_start],
        &batch[value_start..end],
        end,
    )
}

impl Store for std::collections::BTreeMap<Vec<u8>, Vec<u8>> {
    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        Self::get(self, key).cloned()
    }

    fn scan(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
        mode: ScanMode,
        batch: &mut [u8],
    ) -> Result<Batch, usize> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        if to.is_some_and(|to| to <= from) {
            return Ok(Batch {
                n_bytes: 0,
                is_last: true,
            });
        }
        let mut range = self.range::<[u8], _>((Included(from), to.map_or(Unbounded, Excluded)));
        let mut n_bytes = 0;
        while let Some((key, value)) = match mode {
            ScanMode::Reverse => range.next_back(),
            ScanMode::Forward | ScanMode::KeysOnly => range.next(),
        } {
            let value: &[u8] = match mode {
                ScanMode::KeysOnly => &[],
                ScanMode::Forward | ScanMode::Reverse => value,
            };
            let entry = [
                &(key.len() as u32).to_le_bytes(),
                &(value.len() as u32).to_le_bytes(),
                key.as_slice(),
                value,
            ]
            .concat();
            match batch.get_mut(n_bytes..n_bytes + entry.len()) {
                Some(place) => place.copy_from_slice(&entry),
                None if n_bytes == 0 => return Err(entry.len()),
                None => {
                    let is_last = false;
                    return Ok(Batch { n_bytes, is_last });
                }
            }
            n_bytes += entry.len();
        }
        let is_last = true;
        Ok(Batch { n_bytes, is_last })
    }

    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.insert(key.to_vec(), value.to_vec());
    }

    fn delete(&mut self, key: &[u8]) {
        self.remove(key);
    }
}
