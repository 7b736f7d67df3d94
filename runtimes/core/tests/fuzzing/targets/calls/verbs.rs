//! The verbs on watches, and those on groups.

use std::task::{Context, Waker};

use rangewatch_runtime::abi::{Generation, gen1, gen2};

use super::super::memory::{self, Fault};
use super::super::model::{OwnerModel, Stopped};
use super::Calls;
use super::expected::Expected;
use super::instance::InstanceState;

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Verb {
    Reserve,
    Open,
    Start,
    Stop,
}

impl Calls {
    pub(super) fn verb(&mut self, i: usize, verb: Verb) {
        let mut memory = self.instances[i].memory.clone();
        let (expected, waits_for) = match self.expect_verb(i, verb, &mut memory) {
            Ok((work, None)) => (Expected::Returns { work, value: 0 }, None),
            Ok((work, waits_for)) => (Expected::Waits { work }, waits_for),
            Err(faults) => (Expected::Traps(faults), None),
        };
        let instance = &mut self.instances[i];
        let is_first = self.model.guests[instance.guest].generation == Generation::One;
        let function = match verb {
            Verb::Reserve if is_first => gen1::reserve,
            Verb::Open if is_first => gen1::open,
            Verb::Start if is_first => gen1::start,
            Verb::Stop if is_first => gen1::stop,
            Verb::Reserve => gen2::reserve,
            Verb::Open => gen2::open,
            Verb::Start => gen2::start,
            Verb::Stop => gen2::stop,
        };
        if let Some(watch) = waits_for {
            instance.state = InstanceState::Stopping(watch);
        }
        let ended = function(&mut instance.abi, &mut instance.memory);
        self.check_end(i, verb.name(), ended, &expected, &memory);
    }

    /// The work of a verb, and the watch whose callback it waits for. Writes its text to `memory`.
    fn expect_verb(
        &mut self,
        i: usize,
        verb: Verb,
        memory: &mut [u8],
    ) -> Result<(usize, Option<usize>), Vec<Fault>> {
        let instance = &mut self.instances[i];
        let page = instance.page()?;
        let mut faults = Vec::new();
        if verb == Verb::Start && !instance.can_receive {
            faults.push("NoRecv");
        }
        let buf = page.buf(memory);
        let buf = buf.map_err(|more| [&faults[..], &more].concat())?;
        let (keys, is_whole) = memory::keys(&buf);
        if verb == Verb::Open {
            if !is_whole {
                faults.push("KeysCutShort");
            }
            if keys.len() != 3 {
                faults.push("OpenKeys");
            }
            if !is_whole && keys.len() == 3 {
                // What follows the third key is a fourth one that is cut short.
                faults.push("OpenKeys");
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let is_in_recv = matches!(
            instance.state,
            InstanceState::Receiving(..) | InstanceState::ReceivingBatch(..)
        );
        let owner = self.namespace(i);
        let mut waits_for = None;
        let result = match verb {
            Verb::Reserve => self.model.reserve(owner, &buf),
            Verb::Open => self.model.open(owner, [&keys[0], &keys[1], &keys[2]]),
            Verb::Start => self.model.start(owner, &buf),
            Verb::Stop => self.model.stop(owner, &buf, is_in_recv).map(|stopped| {
                if let Stopped::Waits(watch) = stopped {
                    waits_for = Some(watch);
                }
            }),
        };
        let text = result.err().unwrap_or_default();
        let n_bytes = match text {
            "id too long" if verb != Verb::Open => 0,
            _ => buf.len(),
        };
        let written = page.write_err(memory, text).map_err(|fault| vec![fault])?;
        self.instances[i].host_text = written;
        Ok((200 + n_bytes / 16, waits_for))
    }

    /// Makes another attempt of a `stop` that waits.
    pub(super) fn stop_again(&mut self, i: usize) {
        let instance = &mut self.instances[i];
        let InstanceState::Stopping(watch) = instance.state else {
            return;
        };
        let is_running = self.model.watches[watch].is_running;
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(instance.abi.poll_ready(&mut cx).is_pending(), is_running);
        let expected = match is_running {
            true => Expected::Waits { work: 0 },
            false => Expected::Returns { work: 0, value: 0 },
        };
        let memory = instance.memory.clone();
        let ended = gen1::stop(&mut instance.abi, &mut instance.memory);
        if !is_running {
            instance.state = InstanceState::Idle;
        }
        self.check_end(i, "stop, again", ended, &expected, &memory);
    }

    /// Opens or selects a group, or ends one.
    pub(super) fn group(&mut self, i: usize, is_start: bool) {
        let mut memory = self.instances[i].memory.clone();
        let mut opened_in = None;
        let expected = self.expect_group(i, is_start, &mut memory, &mut opened_in);
        let expected = expected.unwrap_or_else(Expected::Traps);
        let instance = &mut self.instances[i];
        let (what, ended) = match is_start {
            true => (
                "group_start",
                gen2::group_start(&mut instance.abi, &mut instance.memory),
            ),
            false => (
                "group_stop",
                gen2::group_stop(&mut instance.abi, &mut instance.memory),
            ),
        };
        if let Some(group_of) = opened_in {
            let guest = instance.guest;
            instance.group = Some(self.owners.len());
            let owner = instance.abi.owner();
            let model = OwnerModel::new(owner.id(), guest, Some(group_of));
            self.model.owners.push(model);
            self.owners.push(owner);
        }
        self.check_end(i, what, ended, &expected, &memory);
    }

    fn expect_group(
        &mut self,
        i: usize,
        is_start: bool,
        memory: &mut [u8],
        opened_in: &mut Option<(usize, Vec<u8>)>,
    ) -> Result<Expected, Vec<Fault>> {
        let page = self.instances[i].page()?;
        let buf = page.buf(memory)?;
        let owner = self.namespace(i);
        let mut n_ended = 0;
        let result = match is_start {
            true => self
                .model
                .start_group(owner, &buf)
                .map(|group| match group {
                    Ok(group) => self.instances[i].group = Some(group),
                    Err(parent) => *opened_in = Some((parent, buf.clone())),
                }),
            false => self.model.stop_group(owner, &buf).map(|(group, n)| {
                n_ended = n;
                if self.instances[i].group == Some(group) {
                    self.instances[i].group = None;
                }
            }),
        };
        let text = result.err().unwrap_or_default();
        let n_bytes = match text {
            "id too long" => 0,
            _ => buf.len(),
        };
        let written = page.write_err(memory, text).map_err(|fault| vec![fault])?;
        self.instances[i].host_text = written;
        Ok(Expected::Returns {
            work: 200 + n_bytes / 16 + 4 * n_ended,
            value: 0,
        })
    }
}

impl Verb {
    fn name(self) -> &'static str {
        match self {
            Self::Reserve => "reserve",
            Self::Open => "open",
            Self::Start => "start",
            Self::Stop => "stop",
        }
    }
}
