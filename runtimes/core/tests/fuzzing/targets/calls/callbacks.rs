//! Callbacks of both generations: the delivery of what is due, and the end of one.

use rangewatch_runtime::abi::Callback;
use rangewatch_runtime::{CallbackError, CallbackErrorCause};

use super::super::memory;
use super::Calls;
use super::expected::fault;
use super::instance::InstanceState;

impl Calls {
    /// Enters the next callback on an idle instance, or ends the one that it is in.
    pub(super) fn deliver_or_finish(&mut self, i: usize) {
        match std::mem::replace(&mut self.instances[i].state, InstanceState::Idle) {
            InstanceState::Receiving(callback, watch) => {
                let owner = self.model.watches[watch].owner;
                self.finish(i, callback, owner, &[watch]);
            }
            InstanceState::ReceivingBatch(callback, owner, watches) => {
                self.finish(i, callback, owner, &watches);
                self.model.owners[owner].is_running = false;
            }
            InstanceState::Idle => _ = self.deliver(i),
            state => self.instances[i].state = state,
        }
    }

    /// Enters the next callback. Returns whether there was one.
    pub(super) fn deliver(&mut self, i: usize) -> bool {
        if self.is_second(i) {
            return self.deliver_batch(i);
        }
        let instance = &mut self.instances[i];
        let ready = self.model.ready(instance.guest);
        // The page is read when a callback is due.
        let page = match ready.is_empty() {
            true => Err(Vec::new()),
            false => instance.page(),
        };
        let mut memory = instance.memory.clone();
        let delivered = instance.abi.next_callback(&mut instance.memory);
        let (id, value) = match &delivered {
            Ok(None) => {
                assert!(ready.is_empty(), "a callback is due");
                return false;
            }
            Ok(Some(callback)) => (callback.id().to_vec(), callback.value()),
            Err(error) => (error.id.clone(), error.value),
        };
        let oldest = ready
            .iter()
            .map(|&watch| self.model.watches[watch].ready_since);
        let oldest = oldest.min().expect("no callback is due");
        // Without a callback that was entered the owner is not known.
        let owner = delivered.is_ok().then(|| instance.abi.owner());
        let is_it = |&&watch: &&usize| {
            let watch = &self.model.watches[watch];
            watch.id == id
                && watch.pending == Some(value)
                && owner
                    .as_ref()
                    .is_none_or(|owner| *owner == self.owners[watch.owner])
        };
        let candidates: Vec<_> = ready.iter().filter(is_it).copied().collect();
        let Some(&watch) = candidates.first() else {
            panic!("{id:?} = {value} is not due");
        };
        if candidates.len() == 1 {
            assert_eq!(
                self.model.watches[watch].ready_since, oldest,
                "not the oldest"
            );
        }
        self.model.enter(watch);
        let expected = page.and_then(|page| {
            let delivered = page.deliver(&mut memory, &id, value);
            delivered.map_err(|fault| vec![fault])
        });
        assert!(instance.memory == memory, "{delivered:?}");
        match (delivered, expected) {
            (Ok(Some(callback)), Ok(())) => {
                assert_eq!(instance.abi.watch_id(), Some(&*id));
                instance.state = InstanceState::Receiving(callback, watch);
                instance.host_text.clear();
            }
            (Err(CallbackError { cause, .. }), Err(faults)) => {
                let CallbackErrorCause::Abi(error) = cause else {
                    panic!("{cause:?}");
                };
                assert!(
                    faults.contains(&&*fault(&error)),
                    "{error:?}, not {faults:?}"
                );
                assert_eq!(instance.abi.watch_id(), None);
                self.model.leave(watch);
                // Which of several it was is not known.
                if candidates.len() > 1 {
                    self.end_owners();
                }
            }
            (delivered, expected) => panic!("{delivered:?}, not {expected:?}"),
        }
        true
    }

    /// Enters the callback of a batch. Returns whether there was one.
    fn deliver_batch(&mut self, i: usize) -> bool {
        let due = self.model.owners_due(self.instances[i].guest);
        let instance = &mut self.instances[i];
        let page = match due.is_empty() {
            // It is read when there is something to look for.
            true => instance.page.ok_or_else(Vec::new),
            false => instance.page(),
        };
        let before = instance.memory.clone();
        let callback = match instance.abi.next_callback(&mut instance.memory) {
            Ok(Some(callback)) => callback,
            Ok(None) => {
                assert!(due.is_empty(), "a batch is due");
                return false;
            }
            // A notice is lost: which one is not known.
            Err(CallbackError { cause, .. }) => {
                assert!(matches!(cause, CallbackErrorCause::Abi(_)), "{cause:?}");
                assert!(!due.is_empty(), "nothing is due");
                self.instances[i].group = None;
                self.end_owners();
                return true;
            }
        };
        let page = page.expect("it was written to");
        if page.overlaps(&before) {
            // The batch cannot be read.
            drop(callback);
            self.end_owners();
            self.replace(i);
            return true;
        }
        let memory = &instance.memory;
        let bytes = page.buf(memory).expect("a batch");
        // What may change: the buffer and two numbers.
        let mut unchanged = memory.clone();
        for (at, n) in [
            (page.buf, page.capacity(&before).expect("inside")),
            (page.buf_len, 4),
            (page.err_len, 4),
        ] {
            let old = memory::read(&before, at, n).expect("inside").to_vec();
            memory::write(&mut unchanged, at, &old).expect("inside");
        }
        assert!(unchanged == before, "a batch changes other memory");
        let notices = memory::batch(&bytes).expect("a batch");
        assert_eq!(callback.n_notices(), notices.len());
        assert_eq!(instance.abi.watch_id(), None);
        let id = instance.abi.owner().id();
        let owner = self.model.owners.iter().position(|owner| owner.id == id);
        let owner = owner.expect("a known owner");
        assert!(!self.model.owners[owner].is_running, "two batches at once");
        assert!(due.contains(&owner), "nothing is due");
        assert!(!notices.is_empty(), "an empty batch");
        let mut watches = Vec::new();
        for (value, ids) in notices {
            assert!(!ids.is_empty());
            for id in ids {
                let watch = self.model.find(owner, &id).expect("a live watch");
                let next = self.model.watches[watch].notices.pop_front();
                assert_eq!(next, Some(value), "{id:?}");
                self.model.watches[watch].is_running = true;
                watches.push(watch);
            }
        }
        self.model.owners[owner].is_running = true;
        let instance = &mut self.instances[i];
        instance.state = InstanceState::ReceivingBatch(callback, owner, watches);
        instance.host_text.clear();
        instance.group = None;
        true
    }

    /// Ends a callback that returned.
    fn finish(&mut self, i: usize, callback: Callback, owner: usize, watches: &[usize]) {
        let instance = &mut self.instances[i];
        let mut memory = instance.memory.clone();
        let report = instance.page().and_then(|page| {
            let report = page.take_report(&mut memory, &instance.host_text);
            report.map_err(|fault| vec![fault])
        });
        let is_ended = self.model.owners[owner].is_ended;
        instance.group = None;
        let staged = std::mem::take(&mut instance.staged);
        let expected = match report {
            Ok(None) => match self.model.emit_all(instance.guest, staged) {
                Ok(()) => Ok(None),
                Err(faults) => Err(faults),
            },
            // The report of an owner that has ended is dropped.
            Ok(Some(_)) if is_ended => Ok(None),
            report => report,
        };
        if !matches!(expected, Ok(None)) {
            watches.iter().for_each(|watch| self.model.forget(*watch));
        }
        let instance = &mut self.instances[i];
        let ended = instance.abi.finish(&mut instance.memory, &callback);
        drop(callback);
        watches.iter().for_each(|watch| self.model.leave(*watch));
        assert!(instance.memory == memory, "{ended:?}");
        match (ended, expected) {
            (Ok(text), Ok(expected)) => {
                let expected = expected.as_deref().map(String::from_utf8_lossy);
                match (text, expected) {
                    (None, None) => {}
                    (Some(text), Some(expected)) => assert!(text.ends_with(&*expected)),
                    other => panic!("{other:?}"),
                }
            }
            (Err(error), Err(faults)) => {
                assert!(
                    faults.contains(&&*fault(&error)),
                    "{error:?}, not {faults:?}"
                );
            }
            (ended, expected) => panic!("{ended:?}, not {expected:?}"),
        }
    }

    pub(super) fn leave_batch(&mut self, owner: usize, watches: &[usize]) {
        self.model.owners[owner].is_running = false;
        for watch in watches {
            self.model.leave(*watch);
        }
    }
}
