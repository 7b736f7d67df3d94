//! An emit that is about to be committed.

use std::mem;

use crate::Seq;
use crate::emit::{Payloads, Record};

/// The keys and the payloads of an emit, and its record once a history or an event subscription
/// needs it. Drop this without locks, because payloads are user values.
pub(crate) struct Draft<'a, P> {
    pub(crate) keys: &'a [&'a [u8]],
    /// Empty once they are in a record.
    payloads: Payloads<P>,
    /// The bytes that the payloads weigh.
    weight: usize,
    /// The record, as long as it has no number.
    encoded: Option<Record<P>>,
    numbered: Option<Record<P>>,
}

impl<'a, P> Draft<'a, P> {
    /// `payloads` has one for each key, and together they weigh `weight` bytes.
    #[inline]
    pub(crate) fn new(keys: &'a [&'a [u8]], payloads: Payloads<P>, weight: usize) -> Self {
        Self {
            keys,
            payloads,
            weight,
            encoded: None,
            numbered: None,
        }
    }

    /// The size of the emit in the bounds of queues and histories.
    pub(crate) fn n_bytes(&self) -> usize {
        Record::<P>::n_bytes_of(self.keys, self.weight)
    }

    /// Encodes the record before the lock is taken under which the emit is numbered.
    pub(crate) fn encode(&mut self) {
        let payloads = mem::take(&mut self.payloads);
        self.encoded = Some(Record::new(self.keys, payloads, self.weight));
    }

    /// The record of the emit, which has this position and value.
    #[inline]
    pub(crate) fn record(&mut self, seq: Seq, value: u64) -> &Record<P> {
        if self.numbered.is_none() {
            self.numbered = Some(self.number(seq, value));
        }
        self.numbered.as_ref().expect("it was set above")
    }

    /// Kept out of line: of all subscribers that an emit matches only the first needs it.
    #[cold]
    #[inline(never)]
    fn number(&mut self, seq: Seq, value: u64) -> Record<P> {
        let mut record = self.encoded.take().unwrap_or_else(|| {
            let payloads = mem::take(&mut self.payloads);
            Record::new(self.keys, payloads, self.weight)
        });
        record.number(seq, value);
        record
    }

    /// Gives the payloads of an emit that was refused back.
    pub(crate) fn into_payloads(self) -> Payloads<P> {
        match self.encoded {
            Some(mut record) => record.take_payloads(),
            None => self.payloads,
        }
    }
}
