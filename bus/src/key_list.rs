//! The keys of one emit.

use std::sync::Arc;

/// The bytes of a number in the layout.
const NUMBER: usize = size_of::<u64>();

/// The keys of one emit, copied once and shared by everything that holds the emit.
///
/// One allocation: the number of keys, where each of them ends, and the bytes of all. A key begins
/// where the one before it ends.
#[derive(Clone)]
pub(crate) struct KeyList(Arc<[u8]>);

impl KeyList {
    /// Copies `keys`. The layout is put together in `scratch`, which whoever emits often keeps.
    pub(crate) fn new<'a>(
        keys: impl ExactSizeIterator<Item = &'a [u8]> + Clone,
        scratch: &mut Vec<u8>,
    ) -> Self {
        scratch.clear();
        push_number(scratch, keys.len());
        let mut end = NUMBER * (1 + keys.len());
        for key in keys.clone() {
            end += key.len();
            push_number(scratch, end);
        }
        keys.for_each(|key| scratch.extend_from_slice(key));
        Self(scratch.as_slice().into())
    }

    /// The number of keys.
    pub(crate) fn len(&self) -> usize {
        self.number(0)
    }

    /// What the list counts for where queues and histories are bounded in bytes: its keys, and 8
    /// bytes for each of them and for the list.
    pub(crate) fn n_bytes(&self) -> usize {
        self.0.len()
    }

    /// What a list of `keys` will count for.
    pub(crate) fn n_bytes_of(keys: &[&[u8]]) -> usize {
        NUMBER * (1 + keys.len()) + keys.iter().map(|key| key.len()).sum::<usize>()
    }

    pub(crate) fn get(&self, i: usize) -> Option<&[u8]> {
        let n_keys = self.len();
        if i >= n_keys {
            return None;
        }
        let start = if i == 0 {
            NUMBER * (1 + n_keys)
        } else {
            self.number(i)
        };
        self.0.get(start..self.number(i + 1))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).filter_map(|i| self.get(i))
    }

    fn number(&self, i: usize) -> usize {
        let mut bytes = [0; NUMBER];
        bytes.copy_from_slice(&self.0[NUMBER * i..NUMBER * (i + 1)]);
        u64::from_ne_bytes(bytes) as usize
    }
}

fn push_number(bytes: &mut Vec<u8>, number: usize) {
    bytes.extend_from_slice(&(number as u64).to_ne_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_out_as_they_went_in() {
        for keys in [&[][..], &[b"" as &[u8]], &[b"a", b"", b"long key", b"a"]] {
            let list = KeyList::new(keys.iter().copied(), &mut Vec::new());
            assert!(list.iter().eq(keys.iter().copied()));
            assert_eq!(list.n_bytes(), KeyList::n_bytes_of(keys));
            assert_eq!(list.get(keys.len()), None);
        }
    }
}
