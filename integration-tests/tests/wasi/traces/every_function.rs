//! A program that calls every function many times, sensibly and not.

use std::fmt::Write as _;

use rangewatch::wasi::{FUNCTIONS, MODULE, ValueType};

/// How often each function is called.
const ROUNDS: usize = 60;

/// What is in memory: a table of two buffers, and paths where small numbers point to.
const DATA: &str = r#"
    (data (i32.const 0) "\00\10\00\00\20\00\00\00\00\20\00\00\08\00\00\00")
    (data (i32.const 16) "greeting.txt folder/digits.txt new ../out link//. /abs ")"#;

/// The program, which ends with code 0.
pub(super) fn wasm() -> Result<Vec<u8>, String> {
    let mut text = String::from("(module\n");
    let functions = FUNCTIONS.iter().filter(|function| function.returns_errno());
    for function in functions.clone() {
        let name = function.name();
        write!(text, "(import {MODULE:?} {name:?} (func ${name}").expect("memory");
        for param in function.params() {
            text.push_str(match param {
                ValueType::I64 => " (param i64)",
                _ => " (param i32)",
            });
        }
        text.push_str(" (result i32)))\n");
    }
    write!(
        text,
        "(import {MODULE:?} \"proc_exit\" (func $proc_exit (param i32)))"
    )
    .expect("memory");
    text.push_str("(memory (export \"memory\") 2)");
    text.push_str(DATA);
    text.push_str("(func (export \"_start\")\n");
    let mut draw = Draw(1);
    for _ in 0..ROUNDS {
        for function in functions.clone() {
            write!(text, "(drop (call ${}", function.name()).expect("memory");
            for param in function.params() {
                match param {
                    ValueType::I64 => write!(text, " (i64.const {})", draw.wide()),
                    _ => write!(text, " (i32.const {})", draw.narrow()),
                }
                .expect("memory");
            }
            text.push_str("))\n");
        }
    }
    text.push_str("(call $proc_exit (i32.const 0))))");
    wat::parse_str(text).map_err(|error| error.to_string())
}

/// A sequence of numbers that mean something now and then: SplitMix64.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A descriptor or a flag, a pointer, or anything.
    fn narrow(&mut self) -> i32 {
        let number = self.next();
        match number >> 60 {
            0..=8 => (number % 8) as i32,
            9..=13 => (number % 128) as i32,
            14 => (number % (3 << 16)) as i32,
            _ => number as i32,
        }
    }

    fn wide(&mut self) -> i64 {
        let number = self.next();
        match number >> 61 {
            0..=3 => (number % 4) as i64,
            4..=5 => 0,
            _ => number as i64,
        }
    }
}
