//! Calls with bytes: the functions for input and output.

use rangewatch_runtime::abi::io;

use super::super::input::Input;
use super::super::memory::{self, Fault};
use super::Calls;
use super::expected::Expected;
use super::instance::Instance;

impl Calls {
    /// One of the functions of a call with bytes, or its begin or end.
    pub(super) fn bytes(&mut self, i: usize, input: &mut Input<'_>) {
        let operation = input.below(6);
        let Instance { abi, memory, .. } = &mut self.instances[i];
        match operation {
            0 => {
                let bytes = input.bytes(40);
                abi.begin_bytes(bytes.clone());
                self.instances[i].input = bytes;
                self.instances[i].output = Some(Vec::new());
            }
            1 => {
                let output = abi.end_bytes();
                assert_eq!(output, self.instances[i].output.take().unwrap_or_default());
                self.instances[i].input.clear();
            }
            2 => {
                let (before, ended) = (memory.clone(), io::input_len(abi, memory));
                let value = self.instances[i].input.len() as i32;
                let expected = Expected::Returns { work: 100, value };
                self.check_end(i, "input_len", ended, &expected, &before);
            }
            3 | 4 => {
                let ptr = input.address(memory.len());
                let offset = input.choose(&[0, 1, 5, 39, 40, -1, i32::MAX]);
                let len = input.choose(&[0, 1, 7, 40, -1, i32::MIN]);
                let mut after = memory.clone();
                let ended = io::input_read(abi, memory, ptr as i32, offset, len);
                let rest = self.instances[i].input.iter().skip(offset as u32 as usize);
                let copied: Vec<u8> = rest.take(len as u32 as usize).copied().collect();
                let expected = match memory::write(&mut after, ptr, &copied) {
                    Err(fault) => Expected::Traps(vec![fault]),
                    Ok(()) => Expected::Returns {
                        work: 100 + copied.len() / 16,
                        value: copied.len() as i32,
                    },
                };
                self.check_end(i, "input_read", ended, &expected, &after);
            }
            _ => {
                let ptr = input.address(memory.len());
                let len = input.choose(&[0, 1, 7, 20, 21, u32::MAX]);
                let (before, ended) = (
                    memory.clone(),
                    io::output_write(abi, memory, ptr as i32, len as i32),
                );
                let expected = self.expect_output(i, &before, ptr, len);
                let expected = expected.unwrap_or_else(Expected::Traps);
                self.check_end(i, "output_write", ended, &expected, &before);
            }
        }
    }

    fn expect_output(
        &mut self,
        i: usize,
        memory: &[u8],
        ptr: u32,
        len: u32,
    ) -> Result<Expected, Vec<Fault>> {
        let instance = &mut self.instances[i];
        let max_bytes = self.model.guests[instance.guest].limits.max_output_bytes();
        let mut faults = Vec::new();
        let bytes = memory::read(memory, ptr, len);
        faults.extend(bytes.err());
        match &mut instance.output {
            None => faults.push("NoOutput"),
            Some(output) if output.len() as u64 + u64::from(len) > max_bytes as u64 => {
                faults.push("OutputTooLarge");
            }
            Some(output) if faults.is_empty() => output.extend(bytes.unwrap_or_default()),
            Some(_) => {}
        }
        match faults.is_empty() {
            true => Ok(Expected::Returns {
                work: 100 + len as usize / 16,
                value: 0,
            }),
            false => Err(faults),
        }
    }
}
