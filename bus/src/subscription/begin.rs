//! Adding a subscription to a bus, also with emits of the past.

use crate::emit::Record;
use crate::history::{
    CHUNK_EVENTS, Chunk, Epoch, HistoryBuffer, TAIL_EVENTS, TAIL_KEYS, copy_chunk,
};
use crate::keys::KeyRanges;
use crate::order::{Shared, Slot, Subscriber};
use crate::queue::EventQueue;
use crate::subscription::{Mailbox, MailboxArc, Phase, Since, SpanBuffer, WakeBuffer};
use crate::{Seq, SubscribeError};

impl<P> Shared<P> {
    /// Adds a wake subscription, which begins at `since` if there is one.
    pub(crate) fn subscribe_wake(
        &self,
        ranges: &KeyRanges,
        since: Option<Since>,
        phase: Phase,
    ) -> Result<MailboxArc<WakeBuffer>, SubscribeError> {
        let (mailbox, begin, end) = {
            let state = &mut *self.state.lock();
            let mut span = SpanBuffer::new();
            let is_long = {
                let history = state.check_subscribe(since)?;
                let unread = since.and_then(|since| Some((history?, since.first())));
                match unread.map(|(history, since)| history.tail(since, TAIL_EVENTS, TAIL_KEYS)) {
                    Some(Some(tail)) => {
                        summarize(&mut span, ranges, tail);
                        false
                    }
                    Some(None) => true,
                    None => false,
                }
            };
            let end = state.last_seq;
            let mailbox = state.insert_wake(ranges, since, span, phase);
            match since {
                Some(since) if is_long => (mailbox, since.first(), end),
                _ => return Ok(mailbox),
            }
        };
        // It is live, and not yet received from: earlier emits are read in pieces and put in front.
        let mut span = SpanBuffer::new();
        let mut next = begin;
        loop {
            let chunk = {
                let state = &mut *self.state.lock();
                let checked = state.check_since(Some(Since::at(next))).map(|history| {
                    history.map_or_else(Chunk::default, |history| {
                        copy_chunk(history, next, CHUNK_EVENTS)
                    })
                });
                match checked {
                    Ok(chunk) => chunk,
                    Err(error) => {
                        state.remove(mailbox.place());
                        return Err(error);
                    }
                }
            };
            let before = chunk.iter().take_while(|emit| Some(emit.seq()) <= end);
            summarize(&mut span, ranges, before);
            match chunk.last() {
                Some(last) if Some(last.seq()) < end => next = last.value().saturating_add(1),
                _ => break,
            }
        }
        let state = &mut *self.state.lock();
        if let Some(slot) = &mut state.slots[mailbox.place()] {
            slot.n_matched += span.count();
        }
        mailbox.with(|buffer| buffer.span.put_in_front(span.take()));
        Ok(mailbox)
    }

    /// Adds an event subscription, which begins at `since` if there is one. The arguments of
    /// `queue` are the last emit before the subscription, the value to replay from and the
    /// position. Returns the epoch of the history, too.
    pub(crate) fn subscribe_events(
        &self,
        ranges: &KeyRanges,
        since: Option<Since>,
        backpressure: bool,
        phase: Phase,
        queue: impl FnOnce(Option<Seq>, Option<u64>, Option<u64>) -> EventQueue<P>,
    ) -> Result<(MailboxArc<EventQueue<P>>, Option<Epoch>), SubscribeError> {
        let state = &mut *self.state.lock();
        let history = state.check_subscribe(since)?;
        if since.is_some() && history.is_none() {
            return Err(SubscribeError::NoHistory);
        }
        let replay = since
            .map(Since::first)
            .filter(|&next| history.is_some_and(|history| history.n_since(next) > 0));
        let after = since.and_then(Since::excluded);
        let position = match since {
            Some(_) => after,
            None => history.and_then(HistoryBuffer::head),
        };
        let epoch = history.map(HistoryBuffer::epoch);
        let mailbox = MailboxArc::new(Mailbox::new(queue(state.last_seq, replay, position), phase));
        let mut slot = Slot::new(Subscriber::Events(MailboxArc::clone(&mailbox)), after);
        slot.parked = replay.is_some();
        slot.backpressure = backpressure;
        state.insert(slot, ranges);
        Ok((mailbox, epoch))
    }
}

fn summarize<'a, P: 'a>(
    span: &mut SpanBuffer,
    ranges: &KeyRanges,
    emits: impl Iterator<Item = &'a Record<P>>,
) {
    for emit in emits.filter(|emit| ranges.match_any(emit)) {
        span.push(emit.seq(), emit.value());
    }
}
