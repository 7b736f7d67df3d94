//! The record of an emit, as queues, histories and events share it.

use std::iter;
use std::sync::Arc;

use crate::Seq;

/// The size of a number in the layout in bytes.
const NUMBER: usize = size_of::<u64>();

/// The index of each number in the layout. The ends of the keys follow.
const SEQ: usize = 0;
const VALUE: usize = 1;
const N_KEYS: usize = 2;
const ENDS: usize = 3;

/// One emit, encoded once into a buffer shared by the history, the queues of all subscribers that
/// it matched, and their events. A queue entry is therefore two words.
///
/// Layout, in one allocation: the position of the emit, its value, the number of its keys, the end
/// of each key, the bytes of all keys. A key begins where the previous one ends.
#[derive(Clone)]
pub(crate) struct Record(Arc<[u8]>);

impl Record {
    /// Encodes the keys of an emit that is yet to be [numbered](Self::number), in one allocation.
    pub(crate) fn new(keys: &[&[u8]]) -> Self {
        let start = NUMBER * (ENDS + keys.len());
        let len = NUMBER * N_KEYS + Self::n_bytes_of(keys);
        let mut bytes: Arc<[u8]> = iter::repeat_n(0, len).collect();
        let unshared =
            Arc::get_mut(&mut bytes).expect("it was allocated above and is not shared yet");
        let (numbers, mut rest) = unshared.split_at_mut(start);
        let (first, ends) = numbers.split_at_mut(NUMBER * ENDS);
        put(first, [0, 0, keys.len() as u64]);
        let mut end = start;
        put(
            ends,
            keys.iter().map(|key| {
                end += key.len();
                end as u64
            }),
        );
        for key in keys {
            let place;
            (place, rest) = rest.split_at_mut(key.len());
            place.copy_from_slice(key);
        }
        Self(bytes)
    }

    /// Encodes an emit, in one allocation.
    pub(crate) fn numbered(keys: &[&[u8]], seq: Seq, value: u64) -> Self {
        let mut record = Self::new(keys);
        record.number(seq, value);
        record
    }

    /// Sets the position and the value of an emit whose record is not shared yet.
    pub(crate) fn number(&mut self, seq: Seq, value: u64) {
        if let Some(bytes) = Arc::get_mut(&mut self.0) {
            put(bytes, [seq.get(), value]);
        }
    }

    /// The position of the emit.
    pub(crate) fn seq(&self) -> Seq {
        Seq::new(self.number_at(SEQ)).unwrap_or(Seq::FIRST)
    }

    /// The value of the emit.
    pub(crate) fn value(&self) -> u64 {
        self.number_at(VALUE)
    }

    /// The number of keys.
    pub(crate) fn n_keys(&self) -> usize {
        self.number_at(N_KEYS) as usize
    }

    /// The size of the emit in the bounds of queues and histories: its keys, and 8 bytes for each
    /// of them and for the emit.
    pub(crate) fn n_bytes(&self) -> usize {
        self.0.len() - NUMBER * N_KEYS
    }

    /// The size of an emit of `keys`.
    pub(crate) fn n_bytes_of(keys: &[&[u8]]) -> usize {
        NUMBER * (1 + keys.len()) + keys.iter().map(|key| key.len()).sum::<usize>()
    }

    pub(crate) fn key(&self, i: usize) -> Option<&[u8]> {
        let n_keys = self.n_keys();
        if i >= n_keys {
            return None;
        }
        let start = if i == 0 {
            NUMBER * (ENDS + n_keys)
        } else {
            self.number_at(ENDS + i - 1) as usize
        };
        self.0.get(start..self.number_at(ENDS + i) as usize)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.n_keys()).filter_map(|i| self.key(i))
    }

    fn number_at(&self, i: usize) -> u64 {
        let mut bytes = [0; NUMBER];
        bytes.copy_from_slice(&self.0[NUMBER * i..NUMBER * (i + 1)]);
        u64::from_ne_bytes(bytes)
    }
}

fn put(places: &mut [u8], numbers: impl IntoIterator<Item = u64>) {
    for (place, number) in places.chunks_exact_mut(NUMBER).zip(numbers) {
        place.copy_from_slice(&number.to_ne_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emit_comes_out_as_it_went_in() {
        for keys in [&[][..], &[b"" as &[u8]], &[b"a", b"", b"long key", b"a"]] {
            let seq = Seq::FIRST;
            let record = Record::numbered(keys, seq, 7);
            assert_eq!((record.seq(), record.value()), (seq, 7));
            assert_eq!(record.n_keys(), keys.len());
            assert!(record.keys().eq(keys.iter().copied()));
            assert_eq!(record.n_bytes(), Record::n_bytes_of(keys));
            assert_eq!(record.key(keys.len()), None);
        }
    }
}
