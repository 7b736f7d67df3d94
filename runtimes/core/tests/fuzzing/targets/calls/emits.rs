//! Emits of a guest: flushes, queues and what is staged.

use rangewatch_runtime::Emits;
use rangewatch_runtime::abi::{gen1, gen2};

use super::super::memory::{self, Fault};
use super::super::model::Emit;
use super::Calls;
use super::expected::{Expected, fault};

impl Calls {
    pub(super) fn flush(&mut self, i: usize) {
        if self.is_second(i) {
            self.queue(i);
            // An instance that trapped is a new one, which has queued nothing.
            return self.flush_gathered(i);
        }
        let expected = self.expect_flush(i).unwrap_or_else(Expected::Traps);
        let instance = &mut self.instances[i];
        let before = instance.memory.clone();
        let ended = gen1::flush(&mut instance.abi, &mut instance.memory);
        self.check_end(i, "flush", ended, &expected, &before);
    }

    fn expect_flush(&mut self, i: usize) -> Result<Expected, Vec<Fault>> {
        let instance = &mut self.instances[i];
        let page = instance.page()?;
        let buf = page.buf(&instance.memory)?;
        if buf.is_empty() {
            return Ok(Expected::Returns {
                work: 100,
                value: 0,
            });
        }
        let guest = &self.model.guests[instance.guest];
        let limits = &guest.limits;
        let mut faults = Vec::new();
        let (keys, is_whole) = memory::keys(&buf);
        if buf.len() > limits.max_flush_bytes() {
            faults.push("FlushTooLarge");
        }
        if !is_whole {
            faults.push("KeysCutShort");
        }
        if keys.len() > limits.max_flush_keys() {
            faults.push("FlushTooManyKeys");
        }
        if keys.iter().any(|key| key.len() > limits.max_key_bytes()) {
            faults.push("KeyTooLong");
        }
        let value = page.val(&instance.memory);
        faults.extend(value.err());
        let Ok(value) = value else {
            return Err(faults);
        };
        if !faults.is_empty() {
            return Err(faults);
        }
        let n_matched = match guest.emits {
            Emits::Staged => {
                instance.stage(value, &keys, limits)?;
                0
            }
            _ => self.model.emit(value, &keys).map_err(|fault| vec![fault])?,
        };
        Ok(Expected::Returns {
            work: 100 + buf.len() / 16 + 4 * keys.len() + n_matched,
            value: 0,
        })
    }

    pub(super) fn queue(&mut self, i: usize) {
        let expected = self.expect_queue(i).unwrap_or_else(Expected::Traps);
        let instance = &mut self.instances[i];
        let before = instance.memory.clone();
        let ended = gen2::queue(&mut instance.abi, &mut instance.memory);
        self.check_end(i, "queue", ended, &expected, &before);
    }

    fn expect_queue(&mut self, i: usize) -> Result<Expected, Vec<Fault>> {
        let instance = &mut self.instances[i];
        let page = instance.page()?;
        let buf = page.buf(&instance.memory)?;
        let limits = &self.model.guests[instance.guest].limits;
        let (keys, is_whole) = memory::keys(&buf);
        let gathered = instance.gathered.iter();
        let n_keys = keys.len() + gathered.map(|(_, keys)| keys.len()).sum::<usize>();
        let mut faults = Vec::new();
        if buf.len() + instance.gathered_bytes > limits.max_flush_bytes() {
            faults.push("FlushTooLarge");
        }
        if !is_whole {
            faults.push("KeysCutShort");
        }
        if n_keys > limits.max_flush_keys() {
            faults.push("FlushTooManyKeys");
        }
        if keys.iter().any(|key| key.len() > limits.max_key_bytes()) {
            faults.push("KeyTooLong");
        }
        let value = page.val(&instance.memory);
        faults.extend(value.err());
        match value {
            Ok(value) if faults.is_empty() => {
                let expected = Expected::Returns {
                    work: 100 + buf.len() / 16 + 4 * keys.len(),
                    value: 0,
                };
                if !keys.is_empty() {
                    append(&mut instance.gathered, value, &keys);
                    instance.gathered_bytes += buf.len();
                }
                Ok(expected)
            }
            _ => Err(faults),
        }
    }

    pub(super) fn flush_gathered(&mut self, i: usize) {
        let expected = self
            .expect_flush_gathered(i)
            .unwrap_or_else(Expected::Traps);
        let instance = &mut self.instances[i];
        let before = instance.memory.clone();
        let ended = gen2::flush(&mut instance.abi, &mut instance.memory);
        self.check_end(i, "flush", ended, &expected, &before);
    }

    fn expect_flush_gathered(&mut self, i: usize) -> Result<Expected, Vec<Fault>> {
        let instance = &mut self.instances[i];
        let n_bytes = std::mem::take(&mut instance.gathered_bytes);
        let gathered = std::mem::take(&mut instance.gathered);
        let guest = &self.model.guests[instance.guest];
        let n_keys: usize = gathered.iter().map(|(_, keys)| keys.len()).sum();
        let mut n_ranges = 0;
        if gathered.is_empty() {
            return Ok(Expected::Returns {
                work: 100,
                value: 0,
            });
        }
        if guest.emits == Emits::Staged {
            for (value, keys) in gathered {
                instance.stage(value, &keys, &guest.limits)?;
            }
        } else {
            let values = gathered.iter().map(|(value, _)| *value);
            self.model
                .check_values(values)
                .map_err(|fault| vec![fault])?;
            for (value, keys) in gathered {
                n_ranges += self.model.emit(value, &keys).expect("checked");
            }
        }
        Ok(Expected::Returns {
            work: 100 + n_bytes / 16 + 4 * n_keys + n_ranges,
            value: 0,
        })
    }

    pub(super) fn clear(&mut self, i: usize) {
        let instance = &mut self.instances[i];
        instance.gathered.clear();
        instance.gathered_bytes = 0;
        let before = instance.memory.clone();
        let ended = gen2::clear(&mut instance.abi, &mut instance.memory);
        let expected = Expected::Returns {
            work: 100,
            value: 0,
        };
        self.check_end(i, "clear", ended, &expected, &before);
    }

    /// Commits what was staged, as after a call that returned.
    pub(super) fn commit(&mut self, i: usize) {
        let instance = &mut self.instances[i];
        let staged = std::mem::take(&mut instance.staged);
        let expected = self.model.emit_all(instance.guest, staged);
        match (instance.abi.commit(), expected) {
            (Ok(()), Ok(())) => {}
            (Err(error), Err(faults)) => {
                assert!(
                    faults.contains(&&*fault(&error)),
                    "{error:?}, not {faults:?}"
                );
            }
            (ended, expected) => panic!("{ended:?}, not {expected:?}"),
        }
    }
}

/// Adds keys to the last emit if it has the same value.
pub(super) fn append(emits: &mut Vec<Emit>, value: u64, keys: &[Vec<u8>]) {
    match emits.last_mut() {
        Some((last, held)) if *last == value => held.extend_from_slice(keys),
        _ => emits.push((value, keys.to_vec())),
    }
}
