//! A queue with a cheap push, for the hot path of a delivery.

use std::collections::VecDeque;
use std::mem;

/// First in, first out, in two halves: `push_back` appends to a vector, `pop_front` takes from a
/// ring buffer. When the ring buffer is empty, the vector becomes the ring buffer without copying.
///
/// A push to a vector is inlined and takes a third of the instructions of one to a ring buffer. The
/// cost is a second buffer.
pub(crate) struct Fifo<T> {
    outgoing: VecDeque<T>,
    /// Behind everything in `outgoing`.
    incoming: Vec<T>,
}

impl<T> Fifo<T> {
    pub(crate) const fn new() -> Self {
        Self {
            outgoing: VecDeque::new(),
            incoming: Vec::new(),
        }
    }

    #[inline]
    pub(crate) fn push_back(&mut self, item: T) {
        if self.incoming.len() == self.incoming.capacity() {
            self.grow_and_push(item);
        } else {
            self.incoming.push(item);
        }
    }

    /// Kept out of line, with the push in it: if the item were needed after a call, the hot path
    /// would keep it in memory.
    #[cold]
    #[inline(never)]
    fn grow_and_push(&mut self, item: T) {
        self.incoming.push(item);
    }

    pub(crate) fn pop_front(&mut self) -> Option<T> {
        let item = self.outgoing.pop_front();
        if item.is_some() {
            return item;
        }
        if self.incoming.len() <= 1 {
            return self.incoming.pop();
        }
        // The empty buffer is reused for later pushes.
        let empty = Vec::from(mem::take(&mut self.outgoing));
        self.outgoing = mem::replace(&mut self.incoming, empty).into();
        self.outgoing.pop_front()
    }

    pub(crate) fn front(&self) -> Option<&T> {
        self.outgoing.front().or_else(|| self.incoming.first())
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.outgoing.iter().chain(&self.incoming)
    }

    /// Removes the first item for which `is_sought` is true. Fast if that is near the front.
    pub(crate) fn remove_first(&mut self, is_sought: impl Fn(&T) -> bool) -> Option<T> {
        let mut i = self.outgoing.iter().position(&is_sought);
        if i.is_none() {
            // Each item is moved once, however often this is called.
            self.outgoing.extend(self.incoming.drain(..));
            i = self.outgoing.iter().position(&is_sought);
        }
        self.outgoing.remove(i?)
    }

    /// Removes the last item for which `is_sought` is true.
    pub(crate) fn remove_last(&mut self, is_sought: impl Fn(&T) -> bool) -> Option<T> {
        match self.incoming.iter().rposition(&is_sought) {
            Some(i) => Some(self.incoming.remove(i)),
            None => {
                let i = self.outgoing.iter().rposition(&is_sought)?;
                self.outgoing.remove(i)
            }
        }
    }
}

impl<T> IntoIterator for Fifo<T> {
    type Item = T;
    type IntoIter =
        std::iter::Chain<std::collections::vec_deque::IntoIter<T>, std::vec::IntoIter<T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.outgoing.into_iter().chain(self.incoming)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Push(u8),
        Pop,
        RemoveFirst(u8),
        RemoveLast(u8),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0..4_u8).prop_map(Step::Push),
            3 => Just(Step::Pop),
            1 => (0..4_u8).prop_map(Step::RemoveFirst),
            1 => (0..4_u8).prop_map(Step::RemoveLast),
        ];
        prop::collection::vec(step, 0..40)
    }

    proptest! {
        #[test]
        fn two_halves_are_one_queue(steps in steps()) {
            let mut fifo = Fifo::new();
            let mut list = Vec::new();
            for step in steps {
                let (got, expected) = match step {
                    Step::Push(item) => {
                        fifo.push_back(item);
                        list.push(item);
                        (None, None)
                    }
                    Step::Pop => (
                        fifo.pop_front(),
                        (!list.is_empty()).then(|| list.remove(0)),
                    ),
                    Step::RemoveFirst(item) => (
                        fifo.remove_first(|other| *other == item),
                        list.iter().position(|other| *other == item).map(|i| list.remove(i)),
                    ),
                    Step::RemoveLast(item) => (
                        fifo.remove_last(|other| *other == item),
                        list.iter().rposition(|other| *other == item).map(|i| list.remove(i)),
                    ),
                };
                prop_assert_eq!(got, expected);
            }
            prop_assert!(fifo.into_iter().eq(list));
        }
    }
}
