//! A program that calls every function many times, sensibly and not.

use std::fmt::Write as _;

use rangewatch::wasi::MODULE;

/// How often each function is called.
const ROUNDS: usize = 300;

/// What each round begins with, as the calls may have undone it: the memory as below, and a file
/// that is open.
const PREPARE: &str = r#"
    (memory.init $start (i32.const 0) (i32.const 0) (i32.const 96))
    (drop (call $path_open (i32.const 3) (i32.const 0) (i32.const 16) (i32.const 3) (i32.const 1)
        (i64.const 0) (i64.const -1) (i32.const 0) (i32.const 80)))
    (drop (call $fd_write (i32.load (i32.const 80)) (i32.const 0) (i32.const 2) (i32.const 88)))
"#;

/// A table of two buffers, paths, and room for results.
const DATA: &str = r#"
    (data $start "\00\10\00\00\20\00\00\00\00\20\00\00\08\00\00\00"
        "new ../out link//. /abs greeting.txt folder/digits.txt          "
        "\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00")"#;

/// Where the paths are, and how long.
const PATHS: [(i32, i32); 8] = [
    (16, 3),
    (16, 3),
    (20, 6),
    (27, 4),
    (27, 7),
    (35, 4),
    (40, 12),
    (53, 6),
];

/// The functions that return: their names, and the names and the types of their parameters.
const FUNCTIONS: &[(&str, &[(&str, &str)])] = {
    macro_rules! table {
        ($(fn $name:ident($($param:ident: $ty:ident),*) -> $result:ident;)*) => {
            &[$((stringify!($name), &[$((stringify!($param), stringify!($ty))),*]),)*]
        };
    }
    rangewatch::wasi::for_each_function!(table)
};

/// The program, which ends with code 0.
pub(super) fn wasm() -> Result<Vec<u8>, String> {
    let mut text = String::from("(module\n");
    let mut body = String::new();
    let mut draw = Draw {
        state: 1,
        path: PATHS[0],
    };
    write(&mut text, &mut body, &mut draw).expect("memory");
    wat::parse_str(text).map_err(|error| error.to_string())
}

fn write(text: &mut String, body: &mut String, draw: &mut Draw) -> std::fmt::Result {
    for (name, params) in FUNCTIONS {
        write!(text, "(import {MODULE:?} {name:?} (func ${name}")?;
        for (_, ty) in *params {
            write!(text, " (param {ty})")?;
        }
        let result = if *name == "proc_exit" {
            ""
        } else {
            "(result i32)"
        };
        writeln!(text, " {result}))")?;
    }
    for _ in 0..ROUNDS {
        body.push_str(PREPARE);
        for (name, params) in FUNCTIONS.iter().filter(|(name, _)| *name != "proc_exit") {
            write!(body, "(drop (call ${name}")?;
            for (param, ty) in *params {
                write!(body, " ({ty}.const {})", draw.argument(name, param))?;
            }
            body.push_str("))\n");
        }
    }
    write!(
        text,
        "(memory (export \"memory\") 2) {DATA}
        (func (export \"_start\") {body} (call $proc_exit (i32.const 0))))"
    )
}

/// A sequence of arguments: SplitMix64.
struct Draw {
    state: u64,
    path: (i32, i32),
}

impl Draw {
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: i32) -> i32 {
        (self.next() % end as u64) as i32
    }

    /// One that fits the parameter mostly, and anything now and then.
    fn argument(&mut self, function: &str, param: &str) -> i32 {
        if self.below(16) == 0 {
            return self.next() as i32;
        }
        match param {
            // The standard streams and the root would be gone soon.
            "fd" | "to" if matches!(function, "fd_close" | "fd_renumber") => 4 + self.below(5),
            "fd" if function.starts_with("fd_") => self.below(8),
            "fd" | "old_fd" | "new_fd" => [3, 3, 3, 4][self.below(4) as usize],
            "path" | "old_path" | "new_path" => {
                self.path = PATHS[self.below(PATHS.len() as i32) as usize];
                self.path.0
            }
            "path_len" | "old_path_len" | "new_path_len" => self.path.1,
            "iovs" | "ri_data" | "si_data" => 0,
            "rights_base" | "rights_inheriting" => -self.below(2),
            "buf_len" => 64,
            "buf" => 0x1000,
            _ if param.ends_with("_out") => 80 + self.below(8),
            _ => self.below(4),
        }
    }
}
