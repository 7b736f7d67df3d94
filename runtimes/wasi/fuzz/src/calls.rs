//! Any sequence of calls, with any arguments, over any memory: no panic, and the promises hold.

use std::time::Duration;

use arbitrary::{Result, Unstructured};
use rangewatch_wasi::fs::{Access, Devices, MemoryFs, Overlay, Quota};
use rangewatch_wasi::{
    Allocate, Dots, Errno, Interrupt, OverBudget, Raise, RightsMode, SeededRandom, SharedBuffer,
    Stdin, Stdout, VirtualClock, Wasi, preview1,
};

use crate::allocator::allocated_bytes;
use crate::function::{Function, TABLE};
use crate::{descriptors, effects};

/// How much memory of the host one call takes at most.
const MOST_BYTES: usize = 1 << 20;

/// How many descriptors a guest has to make do with, and how many it is looked for.
const MAX_DESCRIPTORS: u32 = 12;
const END_OF_DESCRIPTORS: u32 = 24;

const LIMIT_BYTES: u64 = 10_000;
const LIMIT_ENTRIES: u64 = 30;

/// What a guest writes to its error output before that is full.
const BUDGET_BYTES: u64 = 300;

/// Names and paths wherever a small number points to.
const PATHS: &[u8] = b"a d/b d/c ../d/../a/. d/ e/d/b//.. loop/x \xff/a\0";

/// Where the memory has a table of buffers.
const IOVS: usize = 1024;

struct Guest {
    ctx: Wasi,
    memory: Vec<u8>,
    rights: RightsMode,
    out: SharedBuffer,
    err: SharedBuffer,
    files: MemoryFs,
    quota: Quota,
    last_monotonic_ns: u64,
}

/// Makes the calls that the input describes, until it ends.
pub fn run(input: &[u8]) {
    let mut input = Unstructured::new(input);
    // An input that ends early has described fewer calls.
    let _ = calls(&mut input);
}

fn calls(input: &mut Unstructured<'_>) -> Result<()> {
    let mut guest = Guest::new(input)?;
    while !input.is_empty() {
        let function = &TABLE[input.int_in_range(0..=TABLE.len() - 1)?];
        let mut args = Vec::new();
        for param in function.params {
            args.push(argument(input, param, guest.memory.len())?);
        }
        if !guest.call(function, &args) {
            break;
        }
    }
    Ok(())
}

/// Mostly what fits a parameter of this name.
fn argument(input: &mut Unstructured<'_>, param: &str, memory_len: usize) -> Result<i64> {
    let end = memory_len as i64;
    Ok(match input.arbitrary::<u8>()? {
        0..=9 => input.arbitrary()?,
        10..=19 => i64::from(input.arbitrary::<i32>()?),
        20..=29 => input.int_in_range(end - 70..=end + 70)?,
        30..=39 => input.int_in_range(0..=end)?,
        _ => match param {
            "fd" | "to" | "old_fd" | "new_fd" => input.int_in_range(0..=14)?,
            "path_len" | "old_path_len" | "new_path_len" => input.int_in_range(1..=6)?,
            "iovs" | "ri_data" | "si_data" => IOVS as i64 + 8 * input.int_in_range(0..=4)?,
            "rights_base" | "rights_inheriting" => {
                [0, -1, 1 << 1 | 1 << 6][input.choose_index(3)?]
            }
            "offset" | "len" | "size" | "cookie" => input.int_in_range(0..=4_000)?,
            "path" | "old_path" | "new_path" => input.int_in_range(0..=PATHS.len() as i64)?,
            _ if param.ends_with("_out") || param.contains("buf") => {
                input.int_in_range(2_048..=4_000)?
            }
            _ => input.int_in_range(0..=17)?,
        },
    })
}

impl Guest {
    fn new(input: &mut Unstructured<'_>) -> Result<Self> {
        let files = MemoryFs::builder()
            .limit_bytes(LIMIT_BYTES)
            .limit_entries(LIMIT_ENTRIES)
            .build();
        files.write("a", "hello").expect("room");
        files.write("d/b", "world").expect("room");
        files.symlink("../a", "d/c").expect("room");
        files.symlink("loop", "loop").expect("room");
        let lower = MemoryFs::from([("a", "below"), ("d/b", "below")]);
        let upper = MemoryFs::builder().limit_entries(LIMIT_ENTRIES).build();
        let quota = Quota::new(MemoryFs::new(), LIMIT_BYTES, LIMIT_ENTRIES);
        let (out, err) = (SharedBuffer::new(), SharedBuffer::new());
        let rights = [RightsMode::Strict, RightsMode::Compat, RightsMode::Off];
        let rights = rights[input.choose_index(3)?];
        let over = [
            OverBudget::Fail(Errno::Nospc),
            OverBudget::Truncate,
            OverBudget::Exit(3),
        ];
        let mut builder = Wasi::builder()
            .args(["one", "two"])
            .env("KEY", "value")
            .stdin(Stdin::bytes(b"what the guest may read"))
            .stdout(out.clone())
            .stderr(Stdout::from(err.clone()).budget(BUDGET_BYTES, over[input.choose_index(3)?]))
            .clock(VirtualClock::at(1_000, 0))
            .random(SeededRandom::new(0))
            .max_sleep(Duration::from_secs(3_600))
            .max_descriptors(MAX_DESCRIPTORS)
            .rights(rights)
            .preopen("/", &files, Access::ReadWrite)
            .preopen("/ro", &files, Access::ReadOnly)
            .preopen("/over", Overlay::new(&lower, &upper), Access::ReadWrite)
            .preopen("/quota", quota.clone(), Access::ReadWrite)
            .preopen(
                "/dev",
                Devices::new(SeededRandom::new(1)),
                Access::ReadWrite,
            );
        if input.arbitrary()? {
            builder = builder
                .allocate(Allocate::Extend)
                .dots(Dots::Left)
                .raise(Raise::Default);
        }
        let mut memory = PATHS.repeat(8_192 / PATHS.len());
        for entry in memory[IOVS..][..64].chunks_exact_mut(8) {
            let (at, len) = (
                input.int_in_range(0..=8_300_u32)?,
                input.int_in_range(0..=700_u32)?,
            );
            entry[..4].copy_from_slice(&at.to_le_bytes());
            entry[4..].copy_from_slice(&len.to_le_bytes());
        }
        let at = input.int_in_range(0..=memory.len() - 64)?;
        input.fill_buffer(&mut memory[at..][..64])?;
        Ok(Self {
            ctx: builder.build().expect("valid"),
            memory,
            rights,
            out,
            err,
            files,
            quota,
            last_monotonic_ns: 0,
        })
    }

    /// Makes one call and looks at everything; whether the guest goes on.
    fn call(&mut self, function: &Function, args: &[i64]) -> bool {
        let name = function.name;
        let before = self.memory.clone();
        let table = descriptors::table(&mut self.ctx, END_OF_DESCRIPTORS);
        let (outcome, n_bytes) = allocated_bytes(|| {
            let outcome = (function.call)(&mut self.ctx, &mut self.memory, args);
            if outcome != Err(Interrupt::Wait) || name != "sched_yield" {
                return outcome;
            }
            // The one that waits for nothing in particular.
            self.ctx.block();
            (function.call)(&mut self.ctx, &mut self.memory, args)
        });
        assert!(
            n_bytes <= MOST_BYTES,
            "{name} {args:x?} allocates {n_bytes} bytes"
        );
        let after = descriptors::table(&mut self.ctx, END_OF_DESCRIPTORS);
        assert!(after.len() <= MAX_DESCRIPTORS as usize, "{name} {args:x?}");
        match outcome {
            Ok(()) => {
                let places = effects::writable(function, args, &before);
                let stray = effects::stray_write(&before, &self.memory, &places);
                assert_eq!(stray, None, "{name} {args:x?}");
                descriptors::check(function, args, &self.memory, (table, after), self.rights);
            }
            Err(Interrupt::Wait) => panic!("{name} {args:x?} waits, for nothing that there is"),
            Err(failed) => {
                assert!(
                    before == self.memory,
                    "{name} {args:x?}: {failed}, and has written"
                );
                assert_eq!(table, after, "{name} {args:x?}: {failed}");
                if let Interrupt::Exit(exit) = failed {
                    let code = if name == "proc_exit" {
                        args[0] as u32
                    } else {
                        3
                    };
                    assert_eq!(exit.code(), code, "{name}");
                }
                if failed.errno().is_none() {
                    return false;
                }
            }
        }
        self.check_host();
        true
    }

    /// What the host sees.
    fn check_host(&mut self) {
        assert!(self.files.used_bytes() <= LIMIT_BYTES);
        assert!(self.files.n_entries() <= LIMIT_ENTRIES);
        assert!(self.quota.used_bytes() <= LIMIT_BYTES);
        assert!(self.quota.n_names() <= LIMIT_ENTRIES);
        assert!(self.out.len() <= SharedBuffer::DEFAULT_LIMIT_BYTES);
        assert!(self.err.len() as u64 <= BUDGET_BYTES);
        let wild = |name: &String| name.contains(['/', '\0']) || name == ".." || name == ".";
        let names = self.files.list(".").expect("the root is there");
        assert!(!names.iter().any(wild), "{names:?}");
        let mut time = [0; 8];
        preview1::clock_time_get(&mut self.ctx, &mut time, 1, 0, 0).expect("a clock");
        let monotonic_ns = u64::from_le_bytes(time);
        assert!(monotonic_ns >= self.last_monotonic_ns);
        self.last_monotonic_ns = monotonic_ns;
    }
}
