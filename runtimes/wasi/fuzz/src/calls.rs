//! Sequences of arbitrary calls over arbitrary memory, with checks of the invariants after each
//! call.

use std::mem;
use std::time::Duration;

use arbitrary::{Result, Unstructured};
use rangewatch_wasi::fs::{Access, Devices, MemoryFs, Overlay, Quota};
use rangewatch_wasi::{
    Allocate, DotEntries, Errno, Interrupt, OverBudget, RightsMode, SeededRandom, SharedBuffer,
    SignalPolicy, Stdin, Stdout, VirtualClock, Wasi, preview1,
};

use crate::allocator::allocated_bytes;
use crate::function::{Function, TABLE};
use crate::{descriptors, effects};

/// The maximum number of bytes that one call allocates.
const MOST_BYTES: usize = 1 << 20;

/// The guest's limit of descriptors, and how many numbers are checked.
const MAX_DESCRIPTORS: u32 = 12;
const END_OF_DESCRIPTORS: u32 = 24;

const LIMIT_BYTES: u64 = 10_000;
const LIMIT_ENTRIES: u64 = 30;

/// The capacity of the guest's error output.
const BUDGET_BYTES: u64 = 300;

/// Names and paths at small addresses.
const PATHS: &[u8] = b"a d/b d/c ../d/../a/. d/ e/d/b//.. loop/x \xff/a\0";

/// The descriptor of `/ro`.
const READ_ONLY_FD: i32 = 4;

/// No rights, all rights, useful rights for a file, useful rights for a directory.
const RIGHTS: [i64; 4] = [0, -1, 1 << 1 | 1 << 6, 1 << 13 | 1 << 14];

/// Addresses and lengths of the paths; some lengths cut a path.
const PATHS_AT: [(i64, i64); 16] = [
    (0, 1),
    (2, 3),
    (2, 1),
    (4, 1),
    (6, 3),
    (10, 4),
    (10, 9),
    (13, 8),
    (22, 2),
    (25, 8),
    (25, 1),
    (34, 6),
    (34, 4),
    (40, 2),
    (42, 3),
    (0, 0),
];

/// The address of subscriptions to an elapsed timer, to a file, and to the input.
const SUBSCRIPTIONS: usize = 4_096;

/// The address of a table of buffers.
const IOVS: usize = 1024;

struct Guest {
    ctx: Wasi,
    memory: Vec<u8>,
    rights: RightsMode,
    out: SharedBuffer,
    err: SharedBuffer,
    files: MemoryFs,
    quota: Quota,
    /// The descriptors after the last call.
    table: descriptors::Table,
    last_monotonic_ns: u64,
}

/// Makes the calls that the input encodes.
///
/// # Panics
///
/// When an invariant is violated.
pub fn run(input: &[u8]) {
    let mut input = Unstructured::new(input);
    // An input that ends early encodes fewer calls.
    let _ = calls(&mut input);
}

fn calls(input: &mut Unstructured<'_>) -> Result<()> {
    let mut guest = Guest::new(input)?;
    while !input.is_empty() {
        let function = function(input)?;
        let args = arguments(input, function, guest.memory.len())?;
        if !guest.call(function, &args) {
            break;
        }
    }
    Ok(())
}

/// Functions that are called more often, because later calls depend on them.
const BUSY: [&str; 8] = [
    "path_open",
    "path_open",
    "path_open",
    "fd_write",
    "fd_read",
    "fd_readdir",
    "path_rename",
    "path_create_directory",
];

fn function(input: &mut Unstructured<'_>) -> Result<&'static Function> {
    let index = input.int_in_range(0..=TABLE.len() + BUSY.len() - 1)?;
    Ok(match TABLE.get(index) {
        Some(function) => function,
        None => TABLE
            .iter()
            .find(|function| function.name == BUSY[index - TABLE.len()])
            .expect("it is there"),
    })
}

/// Arguments that match the parameters, with an occasional arbitrary one.
fn arguments(
    input: &mut Unstructured<'_>,
    function: &Function,
    memory_len: usize,
) -> Result<Vec<i64>> {
    let unfit = input.int_in_range(0..=4 * function.params.len())?;
    let mut path_len = 0;
    let mut args = Vec::new();
    for (index, param) in function.params.iter().enumerate() {
        args.push(if index == unfit {
            anything(input, memory_len)?
        } else if param.ends_with("path") && function.name != "fd_prestat_dir_name" {
            let (at, len) = PATHS_AT[input.choose_index(PATHS_AT.len())?];
            path_len = len;
            at
        } else if param.ends_with("path_len") {
            path_len
        } else {
            fitting(input, function.name, param)?
        });
    }
    Ok(args)
}

fn anything(input: &mut Unstructured<'_>, memory_len: usize) -> Result<i64> {
    let end = memory_len as i64;
    Ok(match input.choose_index(4)? {
        0 => input.arbitrary()?,
        1 => i64::from(input.arbitrary::<i32>()?),
        2 => input.int_in_range(end - 70..=end + 70)?,
        _ => input.int_in_range(0..=end)?,
    })
}

fn fitting(input: &mut Unstructured<'_>, function: &str, param: &str) -> Result<i64> {
    Ok(match param {
        "fd" if function.starts_with("path_") => input.int_in_range(3..=9)?,
        "fd" | "to" | "old_fd" | "new_fd" => input.int_in_range(0..=13)?,
        "iovs" | "ri_data" | "si_data" => IOVS as i64 + 8 * input.int_in_range(0..=4)?,
        "iovs_len" | "ri_data_len" | "si_data_len" => input.int_in_range(0..=4)?,
        "rights_base" | "rights_inheriting" => RIGHTS[input.choose_index(RIGHTS.len())?],
        "offset" | "len" | "size" | "cookie" => input.int_in_range(0..=4_000)?,
        "oflags" | "fst_flags" => input.int_in_range(0..=15)?,
        "dirflags" | "old_flags" | "flags" => input.int_in_range(0..=1)?,
        "nsubscriptions" => input.int_in_range(1..=3)?,
        "subscriptions" => SUBSCRIPTIONS as i64,
        "buf_len" => input.int_in_range(0..=600)?,
        _ if param.ends_with("_out") || param.contains("buf") => {
            input.int_in_range(2_048..=4_000)?
        }
        _ => input.int_in_range(0..=7)?,
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
        let lower = MemoryFs::with_files([("a", "below"), ("d/b", "below")]).unwrap();
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
                .dot_entries(DotEntries::Omitted)
                .signal_policy(SignalPolicy::Default);
        }
        let mut memory = PATHS.repeat(8_192 / PATHS.len());
        for (i, entry) in (0..).zip(memory[IOVS..][..64].chunks_exact_mut(8)) {
            let (at, len) = (4_500 + 300 * i, 100 * i);
            entry[..4].copy_from_slice(&u32::to_le_bytes(at));
            entry[4..].copy_from_slice(&u32::to_le_bytes(len));
        }
        // Source: WASI preview1 witx, `subscription`: the type is the ninth of 48 bytes, the
        // descriptor follows at 16.
        let subscriptions = &mut memory[SUBSCRIPTIONS..][..3 * 48];
        subscriptions.fill(0);
        for (i, subscription) in (0..).zip(subscriptions.chunks_exact_mut(48)) {
            subscription[8] = i;
            subscription[16] = 7 * u8::from(i == 1);
        }
        if input.arbitrary()? {
            let at = input.int_in_range(0..=memory.len() - 64)?;
            input.fill_buffer(&mut memory[at..][..64])?;
        }
        let mut ctx = builder.build().expect("valid");
        // One of the directories passes on only the rights to read.
        let fewer =
            preview1::fd_fdstat_set_rights(&mut ctx, &mut memory, READ_ONLY_FD, RIGHTS[3], 1 << 1);
        assert_eq!(fewer.is_ok(), rights != RightsMode::Off);
        Ok(Self {
            table: descriptors::table(&mut ctx, END_OF_DESCRIPTORS),
            ctx,
            memory,
            rights,
            out,
            err,
            files,
            quota,
            last_monotonic_ns: 0,
        })
    }

    /// Makes one call and checks the invariants. Returns whether the guest continues.
    fn call(&mut self, function: &Function, args: &[i64]) -> bool {
        let name = function.name;
        let before = self.memory.clone();
        let (outcome, n_bytes) = allocated_bytes(|| {
            let outcome = (function.call)(&mut self.ctx, &mut self.memory, args);
            if outcome != Err(Interrupt::Wait) || name != "sched_yield" {
                return outcome;
            }
            // `sched_yield`, the only call here that may wait.
            self.ctx.block();
            (function.call)(&mut self.ctx, &mut self.memory, args)
        });
        assert!(
            n_bytes <= MOST_BYTES,
            "{name} {args:x?} allocates {n_bytes} bytes"
        );
        let after = descriptors::table(&mut self.ctx, END_OF_DESCRIPTORS);
        let table = mem::replace(&mut self.table, after.clone());
        assert!(after.len() <= MAX_DESCRIPTORS as usize, "{name} {args:x?}");
        match outcome {
            Ok(()) => {
                let places = effects::writable(function, args, &before);
                let stray = effects::stray_write(&before, &self.memory, &places);
                assert_eq!(stray, None, "{name} {args:x?}");
                descriptors::check(function, args, &self.memory, (table, after), self.rights);
            }
            Err(Interrupt::Wait) => panic!("{name} {args:x?} waits although nothing blocks"),
            Err(failed) => {
                assert!(
                    before == self.memory,
                    "{name} {args:x?}: {failed}, and has written to memory"
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

    /// Checks the state that the host sees.
    fn check_host(&mut self) {
        assert!(self.files.used_bytes() <= LIMIT_BYTES);
        assert!(self.files.n_entries() <= LIMIT_ENTRIES);
        assert!(self.quota.used_bytes() <= LIMIT_BYTES);
        assert!(self.quota.n_entries() <= LIMIT_ENTRIES);
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
