use core::cell::Cell;

use alloc::string::String;

use crate::error::Error;
use crate::receive::Handler;

/// The handler of an instance.
pub(crate) struct Receiver {
    slot: Cell<Slot>,
}

enum Slot {
    Empty,
    Idle(Handler),
    /// The handler is on the stack, and not borrowed from the slot: it may call back into the SDK.
    Running,
}

impl Receiver {
    pub(crate) const fn new() -> Self {
        Self {
            slot: Cell::new(Slot::Empty),
        }
    }

    pub(crate) fn register(&self, handler: Handler) -> Result<(), Error> {
        match self.slot.replace(Slot::Running) {
            Slot::Empty => {
                self.slot.set(Slot::Idle(handler));
                Ok(())
            }
            taken => {
                self.slot.set(taken);
                Err(Error::HandlerExists)
            }
        }
    }

    /// Runs the handler; the error is never empty, as an empty text would be no error to the host.
    pub(crate) fn deliver(&self, id: &[u8], value: u64) -> Result<(), String> {
        let mut handler = match self.slot.replace(Slot::Running) {
            Slot::Idle(handler) => handler,
            Slot::Empty => {
                self.slot.set(Slot::Empty);
                return Err("no handler is registered on this instance".into());
            }
            Slot::Running => return Err("the handler is already running".into()),
        };
        let outcome = handler(id, value);
        self.slot.set(Slot::Idle(handler));
        outcome.map_err(|text| {
            if text.is_empty() {
                "the handler failed without a text".into()
            } else {
                text
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::boxed::Box;
    use std::rc::Rc;
    use std::vec::Vec;

    fn ok(handler: impl Fn(&[u8], u64) + 'static) -> Handler {
        Box::new(move |id, value| {
            handler(id, value);
            Ok(())
        })
    }

    #[test]
    fn the_handler_gets_every_delivery() {
        let received = Rc::new(Cell::new(Vec::new()));
        let receiver = Receiver::new();
        let sink = Rc::clone(&received);
        let push = move |id: &[u8], value| {
            let mut all = sink.take();
            all.push((id.to_vec(), value));
            sink.set(all);
        };
        receiver.register(ok(push)).unwrap();
        receiver.deliver(b"w1", 1).unwrap();
        receiver.deliver(b"", u64::MAX).unwrap();
        assert_eq!(
            received.take(),
            [(b"w1".to_vec(), 1), (Vec::new(), u64::MAX)]
        );
    }

    #[test]
    fn a_second_handler_is_an_error_and_the_first_stays() {
        let receiver = Receiver::new();
        receiver
            .register(Box::new(|_, _| Err("first".into())))
            .unwrap();
        assert_eq!(receiver.register(ok(|_, _| ())), Err(Error::HandlerExists));
        assert_eq!(receiver.deliver(b"w", 1), Err("first".into()));
    }

    #[test]
    fn a_delivery_without_a_handler_is_an_error_and_one_may_still_be_registered() {
        let receiver = Receiver::new();
        assert!(receiver.deliver(b"w", 1).is_err());
        receiver.register(ok(|_, _| ())).unwrap();
        receiver.deliver(b"w", 1).unwrap();
    }

    #[test]
    fn inside_the_handler_registering_and_delivering_are_errors_and_leave_it_in_place() {
        let receiver = Rc::new(Receiver::new());
        let inner = Rc::clone(&receiver);
        let handler = move |_: &[u8], _| {
            assert_eq!(inner.register(ok(|_, _| ())), Err(Error::HandlerExists));
            assert!(inner.deliver(b"w", 2).is_err());
        };
        receiver.register(ok(handler)).unwrap();
        receiver.deliver(b"w", 1).unwrap();
        receiver.deliver(b"w", 3).unwrap();
    }

    #[test]
    fn an_error_without_a_text_gets_one() {
        let receiver = Receiver::new();
        receiver
            .register(Box::new(|_, _| Err(String::new())))
            .unwrap();
        assert!(!receiver.deliver(b"w", 1).unwrap_err().is_empty());
    }
}
