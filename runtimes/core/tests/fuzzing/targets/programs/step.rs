//! The steps of a guest, decoded from the input.

use std::collections::VecDeque;

use super::super::input::Input;
use super::guest::{
    CLEAR, DIVIDE, FILL, FLUSH, GROUP_START, GROUP_STOP, GROW, INPUT_LEN, INPUT_READ, LOAD, OPEN,
    OUTPUT_WRITE, PAGE_BYTES, QUEUE, RESERVE, START, STOP, STORE, UNREACHABLE,
};
use super::host::{Host, SHOWN_BYTES};

const IDS: [&[u8]; 6] = [b"v", b"v", b"w", b"w", b"", b"nine99999"];

pub(super) const KEYS: [&[u8]; 5] = [b"a", b"b", b"", b"ab", b"c"];

pub(super) type Plan = VecDeque<Step>;

#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Sets the buffer and calls an import of the ABI.
    Import(i32, Vec<u8>),
    /// Sets the value, too.
    Flush(u64, Vec<u8>),
    Poke(usize, Vec<u8>),
    Report(&'static [u8], u32),
    /// A step of the guest, with its arguments.
    Guest(i32, [i32; 3]),
    Wait,
    Emit(u64, &'static [u8]),
    EndOwner(usize),
    Fail,
    Exit(u32),
}

/// The steps of one call.
pub(super) fn plan(input: &mut Input<'_>, host: &Host) -> Plan {
    (0..input.below(7)).map(|_| step(input, host)).collect()
}

fn step(input: &mut Input<'_>, host: &Host) -> Step {
    let list = |keys: &[&[u8]]| {
        let mut list = Vec::new();
        for key in keys {
            list.extend((key.len() as u16).to_be_bytes());
            list.extend_from_slice(key);
        }
        list
    };
    match input.below(36) {
        0..=5 => {
            let keys: Vec<_> = (0..=input.below(5)).map(|_| input.choose(&KEYS)).collect();
            Step::Flush(host.value(input), list(&keys))
        }
        6..=9 => {
            let keys = [input.choose(&IDS), input.choose(&KEYS), input.choose(&KEYS)];
            Step::Import(OPEN, list(&keys))
        }
        10..=13 => Step::Import(START, input.choose(&IDS).to_vec()),
        14..=16 => Step::Import(STOP, input.choose(&IDS).to_vec()),
        17 => Step::Import(RESERVE, input.choose(&IDS).to_vec()),
        18 if input.below(4) == 0 => Step::Import(1 + input.below(5) as i32, input.bytes(30)),
        19 => {
            let at = usize::from(input.u16()) % (SHOWN_BYTES - 20);
            Step::Poke(at, input.bytes(20))
        }
        20 => {
            let text: &[u8] = input.choose(&[b"broken", b"Watch exists", b"\xff\n", b""]);
            let len = match input.below(4) {
                0 => input.u32(),
                _ => text.len() as u32,
            };
            Step::Report(text, len)
        }
        18 | 21 | 22 => Step::Wait,
        23 => Step::Emit(host.value(input), input.choose(&KEYS)),
        24 => Step::EndOwner(input.below(4)),
        25 => match input.below(8) {
            0 => Step::Fail,
            1 => Step::Guest(UNREACHABLE, [0; 3]),
            code @ 2..4 => Step::Exit(code as u32 - 2),
            _ => Step::Wait,
        },
        32 => Step::Import(input.choose(&[FLUSH, CLEAR]), Vec::new()),
        33 => Step::Import(GROUP_STOP, input.choose(&IDS[1..3]).to_vec()),
        34 => Step::Import(GROUP_START, input.choose(&IDS[1..3]).to_vec()),
        35 => Step::Import(QUEUE, list(&[input.choose(&KEYS)])),
        number => {
            let number = match number {
                26 => input.choose(&[INPUT_LEN, DIVIDE]),
                27 => INPUT_READ,
                28 => OUTPUT_WRITE,
                29 => input.choose(&[GROW, FILL]),
                30 => LOAD,
                _ => STORE,
            };
            let args = match number {
                GROW => [input.below(4) as i32, 0, 0],
                DIVIDE => [
                    input.choose(&[7, i32::MIN]),
                    input.choose(&[2, 3, -1, 0]),
                    0,
                ],
                INPUT_READ => [
                    i32::from(input.byte()),
                    input.choose(&[0, 0, 1, 30, -1]),
                    i32::from(input.byte()),
                ],
                _ => std::array::from_fn(|_| match input.below(16) {
                    0 => input.address(PAGE_BYTES) as i32,
                    _ => i32::from(input.byte()),
                }),
            };
            Step::Guest(number, args)
        }
    }
}
