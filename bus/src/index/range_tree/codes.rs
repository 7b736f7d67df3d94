//! Bounds as numbers, relative to what the ranges of a node begin with.

use smallvec::SmallVec;

use crate::KeyRange;
use crate::index::words::{common_prefix, eight_bytes};

/// What all starts of the ranges of a node begin with, and the code that it gives to keys.
///
/// The code of a key orders keys that do not lie below the prefix: a smaller code means a smaller
/// key, and keys of equal code have to be compared as a whole. Its *head* has one byte for the
/// number of bytes of the prefix that the key does *not* share, and then the seven bytes of the key
/// behind those that it shares. The fewer bytes it shares, the higher it lies above the prefix. Its
/// *tail* has the next eight bytes.
///
/// Starts share the whole prefix, so the code holds what tells them apart. An end may lie far above
/// the starts of its node and still has an exact place among the codes.
#[derive(Clone, Debug, Default)]
pub(super) struct Prefix(SmallVec<[u8; N_INLINE]>);

/// The bytes of a key behind the prefix, as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Code {
    pub(super) head: u64,
    pub(super) tail: u64,
}

/// Prefixes of up to so many bytes are part of their node, so that a lookup does not load another
/// cache line for them.
const N_INLINE: usize = 36;

/// The number of bytes of a prefix that a key does not share must fit into a byte, below that of
/// [`UNBOUNDED`].
const MAX_LEN: usize = 254;

/// The code of an unbounded end, above those of all keys, which do not share at most 254 bytes.
const UNBOUNDED: Code = Code {
    head: u64::MAX,
    tail: 0,
};

/// The bits of a head that are bytes of the key.
const HEAD_BITS: u32 = 56;
/// The bits of a code that are bytes of the key.
const KEY_BITS: u32 = HEAD_BITS + u64::BITS;

/// A key seen from a node: the head of its code, and what is known about what it shares with nodes
/// below.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probe {
    pub(super) head: u64,
    pub(super) shared: Shared,
}

/// How many bytes a key shares with the prefixes of the nodes below a node.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shared {
    AtLeast(usize),
    /// The key lies above all of them.
    Exactly(usize),
}

impl Prefix {
    /// What both keys begin with.
    pub(super) fn of(first: &[u8], last: &[u8]) -> Self {
        let n_shared = common_prefix(first, last, 0).min(MAX_LEN);
        Self(SmallVec::from_slice(&first[..n_shared]))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether two keys that begin with the prefix share more, so that it could be longer.
    pub(super) fn can_be_longer(&self, first: &[u8], last: &[u8]) -> bool {
        self.len() < MAX_LEN && common_prefix(first, last, self.len()) > self.len()
    }

    /// The number of bytes of the prefix with which `key` begins.
    pub(super) fn n_shared(&self, key: &[u8]) -> usize {
        common_prefix(&self.0, key, 0)
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }

    /// Looks at `key` from this node; `None` if it lies below the prefix, and so below all starts.
    ///
    /// `shared` is what the node above knows. Its prefix and this one may differ in length, but
    /// they agree as far as both go: the first start below both begins with both.
    ///
    /// Always inlined: as a call it adds 5 % to the instructions of a lookup.
    #[inline(always)]
    pub(super) fn probe(&self, key: &[u8], shared: Shared) -> Option<Probe> {
        let len = self.0.len();
        let n_shared = match shared {
            Shared::Exactly(n_shared) => n_shared.min(len),
            Shared::AtLeast(known) => {
                let n_shared = common_prefix(&self.0, key, known.min(len));
                if n_shared < len && *key.get(n_shared)? < self.0[n_shared] {
                    return None;
                }
                n_shared
            }
        };
        let shared = if n_shared < len {
            Shared::Exactly(n_shared)
        } else {
            Shared::AtLeast(len)
        };
        let head = head(key, len - n_shared, n_shared);
        Some(Probe { head, shared })
    }

    /// The tail of the code of a key that has the given head.
    #[inline]
    pub(super) fn tail(&self, key: &[u8], head: u64) -> u64 {
        let n_shared = self.0.len() - (head >> HEAD_BITS) as usize;
        eight_bytes(key, n_shared + 7)
    }

    /// The code of a key that does not lie below the prefix.
    pub(super) fn code(&self, key: &[u8]) -> Code {
        let n_shared = self.n_shared(key);
        Code {
            head: head(key, self.0.len() - n_shared, n_shared),
            tail: eight_bytes(key, n_shared + 7),
        }
    }

    /// The code of the end of a range whose start does not lie below the prefix.
    pub(super) fn code_of_end(&self, range: &KeyRange) -> Code {
        range.end().map_or(UNBOUNDED, |end| self.code(end))
    }

    /// Changes a code to that for the first `len` bytes of this prefix, without the key.
    pub(super) fn shorten_code(&self, old: Code, len: usize) -> Code {
        if old == UNBOUNDED {
            return old;
        }
        let n_shared = self.0.len() - (old.head >> HEAD_BITS) as usize;
        if n_shared < len {
            let n_fewer = (self.0.len() - len) as u64;
            return Code {
                head: old.head - (n_fewer << HEAD_BITS),
                tail: old.tail,
            };
        }
        // The bytes of the prefix behind `len` are in front of those in the code.
        let front = self.0[len..n_shared].iter().take(KEY_BITS as usize / 8);
        let (n_bits, front) = front.fold((0, 0), |(n_bits, front), byte| {
            (n_bits + 8, front << 8 | u128::from(*byte))
        });
        let old = u128::from(old.head) << u64::BITS | u128::from(old.tail);
        let rest = (old & ((1 << KEY_BITS) - 1)) >> n_bits;
        let bytes = front << (KEY_BITS - n_bits) | rest;
        Code {
            head: (bytes >> u64::BITS) as u64,
            tail: bytes as u64,
        }
    }
}

#[inline]
fn head(key: &[u8], n_unshared: usize, n_shared: usize) -> u64 {
    (n_unshared as u64) << HEAD_BITS | eight_bytes(key, n_shared) >> 8
}

/// Whether the key of a head shares less than the whole prefix: it lies above all starts.
#[inline]
pub(super) fn is_above_prefix(head: u64) -> bool {
    head >> HEAD_BITS != 0
}
