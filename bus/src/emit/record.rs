//! The record of an emit, as queues, histories and events share it.

use std::cell::Cell;
use std::mem;

use triomphe::{Arc, HeaderSliceWithLengthProtected, ThinArc};

use crate::Seq;
use crate::emit::Payloads;
use crate::scratch::{self, MAX_SCRATCH_BYTES};

thread_local! {
    static BYTES: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// So many bytes are encoded on the stack, and more in a buffer of the thread, unless it would be
/// greater than what is kept.
const N_ON_STACK: usize = 128;

/// The size of a number in the layout in bytes.
const NUMBER: usize = size_of::<u64>();

/// One emit, encoded once into a buffer shared by the history, the queues of all subscribers that
/// it matched, and their events. A queue entry is therefore one word.
///
/// The bytes behind the header, in the same allocation: the weight of the payloads, unless a
/// payload takes no memory; the end of each key; the bytes of all keys. A key begins where the
/// previous one ends.
pub(crate) struct Record<P>(ThinArc<Header<P>, u8>);

struct Header<P> {
    seq: u64,
    value: u64,
    /// One for each key.
    payloads: Payloads<P>,
}

impl<P> Record<P> {
    /// The index of the first of the ends among the numbers. The weight is before it.
    const ENDS: usize = if size_of::<P>() > 0 { 1 } else { 0 };

    /// Encodes an emit that is yet to be [numbered](Self::number). `payloads` has one for each key,
    /// and together they weigh `weight` bytes.
    pub(crate) fn new(keys: &[&[u8]], payloads: Payloads<P>, weight: usize) -> Self {
        let start = NUMBER * (Self::ENDS + keys.len());
        let len = start + keys.iter().map(|key| key.len()).sum::<usize>();
        let header = Header {
            seq: 0,
            value: 0,
            payloads,
        };
        let fill = |bytes: &mut [u8]| {
            let (numbers, mut rest) = bytes.split_at_mut(start);
            let (before, ends) = numbers.split_at_mut(NUMBER * Self::ENDS);
            put(before, [weight as u64]);
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
        };
        if len <= N_ON_STACK {
            let mut bytes = [0; N_ON_STACK];
            fill(&mut bytes[..len]);
            Self(ThinArc::from_header_and_slice(header, &bytes[..len]))
        } else if len <= MAX_SCRATCH_BYTES {
            let mut bytes = scratch::take(&BYTES);
            bytes.resize(len, 0);
            fill(&mut bytes);
            let record = Self(ThinArc::from_header_and_slice(header, &bytes));
            scratch::put_back(&BYTES, bytes);
            record
        } else {
            let zeros = std::iter::repeat_n(0, len);
            let mut record = Self(ThinArc::from_header_and_iter(header, zeros));
            record.change(|unshared| fill(unshared.slice_mut()));
            record
        }
    }

    /// Sets the position and the value of an emit whose record is not shared yet.
    pub(crate) fn number(&mut self, seq: Seq, value: u64) {
        self.change(|unshared| {
            let header = unshared.header_mut();
            (header.seq, header.value) = (seq.get(), value);
        });
    }

    /// Takes the payloads out of a record that is not shared yet.
    pub(crate) fn take_payloads(&mut self) -> Payloads<P> {
        let mut payloads = Payloads::default();
        self.change(|unshared| mem::swap(&mut unshared.header_mut().payloads, &mut payloads));
        payloads
    }

    #[inline]
    fn change(&mut self, change: impl FnOnce(&mut HeaderSliceWithLengthProtected<Header<P>, u8>)) {
        self.0.with_arc_mut(|shared| {
            let unshared = Arc::get_mut(shared);
            debug_assert!(unshared.is_some(), "a shared record is not changed");
            if let Some(unshared) = unshared {
                change(unshared);
            }
        });
    }

    fn header(&self) -> &Header<P> {
        &self.0.header.header
    }

    /// The position of the emit.
    pub(crate) fn seq(&self) -> Seq {
        Seq::new(self.header().seq).unwrap_or(Seq::FIRST)
    }

    /// The value of the emit.
    pub(crate) fn value(&self) -> u64 {
        self.header().value
    }

    /// The number of keys.
    pub(crate) fn n_keys(&self) -> usize {
        self.payloads().len()
    }

    /// The payloads of the keys, in the order of the keys.
    pub(crate) fn payloads(&self) -> &[P] {
        self.header().payloads.as_slice()
    }

    /// The size of the emit in the bounds of queues and histories: its keys, 8 bytes for each of
    /// them and for the emit, and the weight of the payloads.
    #[inline]
    pub(crate) fn n_bytes(&self) -> usize {
        let weight = (0..Self::ENDS).map(|i| self.number_at(i) as usize);
        let n_bytes = NUMBER + self.0.slice.len() - NUMBER * Self::ENDS;
        weight.fold(n_bytes, usize::saturating_add)
    }

    /// The size of an emit of `keys` whose payloads weigh `weight`.
    pub(crate) fn n_bytes_of(keys: &[&[u8]], weight: usize) -> usize {
        let n_bytes = NUMBER * (1 + keys.len()) + keys.iter().map(|key| key.len()).sum::<usize>();
        n_bytes.saturating_add(weight)
    }

    pub(crate) fn key(&self, i: usize) -> Option<&[u8]> {
        let n_keys = self.n_keys();
        if i >= n_keys {
            return None;
        }
        let start = if i == 0 {
            NUMBER * (Self::ENDS + n_keys)
        } else {
            self.number_at(Self::ENDS + i - 1) as usize
        };
        self.0
            .slice
            .get(start..self.number_at(Self::ENDS + i) as usize)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.n_keys()).filter_map(|i| self.key(i))
    }

    fn number_at(&self, i: usize) -> u64 {
        let mut bytes = [0; NUMBER];
        bytes.copy_from_slice(&self.0.slice[NUMBER * i..NUMBER * (i + 1)]);
        u64::from_ne_bytes(bytes)
    }
}

impl<P> Clone for Record<P> {
    #[inline]
    fn clone(&self) -> Self {
        Self(self.0.clone())
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
            check(keys, Payloads::none(keys.len()), 0);
            let payloads: Vec<_> = (0..keys.len()).map(|i| i.to_string()).collect();
            check(keys, Payloads::from(payloads), 100);
        }
    }

    fn check<P: Clone + PartialEq + std::fmt::Debug>(
        keys: &[&[u8]],
        payloads: Payloads<P>,
        weight: usize,
    ) {
        let expected = payloads.as_slice().to_vec();
        let mut record = Record::new(keys, payloads, weight);
        record.number(Seq::FIRST, 7);
        assert_eq!((record.seq(), record.value()), (Seq::FIRST, 7));
        assert_eq!(record.n_keys(), keys.len());
        assert!(record.keys().eq(keys.iter().copied()));
        assert_eq!(record.payloads(), expected);
        assert_eq!(record.n_bytes(), Record::<P>::n_bytes_of(keys, weight));
        assert_eq!(record.key(keys.len()), None);
        assert_eq!(record.take_payloads().into_vec(), expected);
    }
}
