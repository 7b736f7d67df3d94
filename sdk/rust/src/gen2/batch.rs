use core::iter::FusedIterator;

/// What one delivery brings: notices in the order of the emits.
///
/// It borrows from the memory of the delivery: to keep a notice, copy its value and its ids.
///
/// # Examples
///
/// ```
/// use rangewatch_guest::gen2::Batch;
///
/// fn highest(batch: Batch<'_>) -> Option<u64> {
///     batch.into_iter().map(|notice| notice.value()).max()
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch<'b> {
    n_notices: u16,
    notices: &'b [u8],
}

impl<'b> Batch<'b> {
    /// The batch that the bytes are, if they are one.
    pub(crate) fn parse(bytes: &'b [u8]) -> Option<Self> {
        let mut rest = bytes;
        let n_notices = take_u16(&mut rest)?;
        let notices = rest;
        for _ in 0..n_notices {
            Notice::take(&mut rest)?;
        }
        rest.is_empty().then_some(Self { n_notices, notices })
    }

    /// How many notices there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.n_notices.into()
    }

    /// Whether there are none. No host delivers that.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.n_notices == 0
    }

    /// The notices, in order. Allocates nothing.
    #[must_use]
    pub fn iter(&self) -> Notices<'b> {
        Notices {
            n_left: self.n_notices,
            rest: self.notices,
        }
    }
}

impl<'b> IntoIterator for Batch<'b> {
    type Item = Notice<'b>;
    type IntoIter = Notices<'b>;

    fn into_iter(self) -> Notices<'b> {
        self.iter()
    }
}

impl<'b> IntoIterator for &Batch<'b> {
    type Item = Notice<'b>;
    type IntoIter = Notices<'b>;

    fn into_iter(self) -> Notices<'b> {
        self.iter()
    }
}

/// The notices of a [`Batch`].
#[derive(Debug, Clone)]
pub struct Notices<'b> {
    n_left: u16,
    rest: &'b [u8],
}

impl<'b> Iterator for Notices<'b> {
    type Item = Notice<'b>;

    fn next(&mut self) -> Option<Notice<'b>> {
        self.n_left = self.n_left.checked_sub(1)?;
        Notice::take(&mut self.rest)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.n_left.into(), Some(self.n_left.into()))
    }
}

impl ExactSizeIterator for Notices<'_> {}
impl FusedIterator for Notices<'_> {}

/// One value, and the ids of the watches that it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notice<'b> {
    value: u64,
    n_ids: u16,
    ids: &'b [u8],
}

impl<'b> Notice<'b> {
    fn take(rest: &mut &'b [u8]) -> Option<Self> {
        let (value, tail) = rest.split_first_chunk()?;
        *rest = tail;
        let n_ids = take_u16(rest)?;
        let ids = *rest;
        for _ in 0..n_ids {
            take_id(rest)?;
        }
        Some(Self {
            value: u64::from_be_bytes(*value),
            n_ids,
            ids: &ids[..ids.len() - rest.len()],
        })
    }

    /// The value of the emit.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.value
    }

    /// The ids of the watches, in no particular order. Allocates nothing.
    #[must_use]
    pub fn ids(&self) -> Ids<'b> {
        Ids {
            n_left: self.n_ids,
            rest: self.ids,
        }
    }
}

/// The ids of a [`Notice`].
#[derive(Debug, Clone)]
pub struct Ids<'b> {
    n_left: u16,
    rest: &'b [u8],
}

impl<'b> Iterator for Ids<'b> {
    type Item = &'b [u8];

    fn next(&mut self) -> Option<&'b [u8]> {
        self.n_left = self.n_left.checked_sub(1)?;
        take_id(&mut self.rest)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.n_left.into(), Some(self.n_left.into()))
    }
}

impl ExactSizeIterator for Ids<'_> {}
impl FusedIterator for Ids<'_> {}

fn take_u16(rest: &mut &[u8]) -> Option<u16> {
    let (number, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(u16::from_be_bytes(*number))
}

fn take_id<'b>(rest: &mut &'b [u8]) -> Option<&'b [u8]> {
    let n_bytes = take_u16(rest)?;
    let (id, tail) = rest.split_at_checked(n_bytes.into())?;
    *rest = tail;
    Some(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;
    use std::vec::Vec;

    /// Two notices: 5 of `w1` and of the empty id, 2^64 - 1 of `v`.
    const BATCH: &[u8] = b"\0\x02\
        \0\0\0\0\0\0\0\x05\0\x02\0\x02w1\0\0\
        \xff\xff\xff\xff\xff\xff\xff\xff\0\x01\0\x01v";

    fn decoded(bytes: &[u8]) -> Option<Vec<(u64, Vec<String>)>> {
        let text = |id| String::from_utf8_lossy(id).into_owned();
        let notices = Batch::parse(bytes)?.into_iter();
        Some(
            notices
                .map(|notice| (notice.value(), notice.ids().map(text).collect()))
                .collect(),
        )
    }

    #[test]
    fn notices_have_values_and_ids_in_order() {
        let expected = [
            (5, ["w1", ""].map(String::from).to_vec()),
            (u64::MAX, [String::from("v")].to_vec()),
        ];
        assert_eq!(decoded(BATCH), Some(expected.to_vec()));
        let batch = Batch::parse(BATCH).unwrap();
        assert_eq!((batch.len(), batch.is_empty()), (2, false));
        let mut notices = (&batch).into_iter();
        assert_eq!(notices.len(), 2);
        assert_eq!(notices.next().unwrap().ids().len(), 2);
        assert_eq!((notices.len(), notices.nth(1)), (1, None));
        assert_eq!(notices.next(), None);
    }

    #[test]
    fn a_batch_may_be_empty_and_so_may_a_notice() {
        assert_eq!(decoded(b"\0\0"), Some(Vec::new()));
        let notice = b"\0\x01\0\0\0\0\0\0\0\x01\0\0";
        assert_eq!(decoded(notice), Some([(1, Vec::new())].to_vec()));
    }

    #[test]
    fn what_is_cut_off_or_too_long_is_no_batch() {
        for n_bytes in 0..BATCH.len() {
            assert_eq!(Batch::parse(&BATCH[..n_bytes]), None, "{n_bytes}");
        }
        assert_eq!(Batch::parse(&[BATCH, b"\0"].concat()), None);
    }
}
