//! G30: arbitrary calls with arbitrary arguments over arbitrary memory do not panic and violate no
//! invariant.

use proptest::prelude::*;
use rangewatch_wasi::fs::{Access, MemoryFs};
use rangewatch_wasi::{Errno, SharedBuffer, Wasi, preview1};

use crate::guest::TABLE;

const STDIN: &str = "what the guest may read";

/// The number of cases. Raise it for a longer search.
pub(crate) fn cases() -> u32 {
    std::env::var("RANGEWATCH_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(256)
}

#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) function: usize,
    pub(crate) args: Vec<i64>,
}

fn arg(memory_len: usize) -> impl Strategy<Value = i64> {
    let end = memory_len as i64;
    prop_oneof![
        6 => 0..4_i64,
        6 => 0..end.max(1),
        2 => (end - 70)..(end + 70),
        1 => (i64::from(u32::MAX) - 70)..=i64::from(u32::MAX),
        1 => any::<i32>().prop_map(i64::from),
        1 => any::<i64>(),
    ]
}

fn call(memory_len: usize) -> impl Strategy<Value = Call> {
    // Prefers functions that have effects.
    let names = [
        "fd_read",
        "fd_write",
        "fd_close",
        "fd_renumber",
        "fd_fdstat_get",
        "random_get",
        "args_get",
        "poll_oneoff",
    ];
    let busy: Vec<usize> = names
        .map(|name| {
            TABLE
                .iter()
                .position(|function| function.name == name)
                .unwrap()
        })
        .to_vec();
    let function = prop_oneof![0..TABLE.len(), proptest::sample::select(busy)];
    function.prop_flat_map(move |function| {
        let args = proptest::collection::vec(arg(memory_len), TABLE[function].param_names.len());
        args.prop_map(move |args| Call { function, args })
    })
}

/// A table of four buffers, most of which lie in memory, and small numbers, which are often valid
/// tables, too.
pub(crate) fn memory() -> impl Strategy<Value = Vec<u8>> {
    let iovec = prop_oneof![8 => (0..400_u32, 0..12_u32), 1 => (any::<u32>(), any::<u32>())];
    let table = proptest::array::uniform4(iovec);
    let byte = prop_oneof![8 => Just(0_u8), 4 => 0..8_u8, 1 => any::<u8>()];
    let rest = prop_oneof![9 => 400..600_usize, 1 => 0..400_usize]
        .prop_flat_map(move |len| proptest::collection::vec(byte.clone(), len));
    (table, rest).prop_map(|(table, mut memory)| {
        let table = table
            .into_iter()
            .flat_map(|(ptr, len)| [ptr, len])
            .flat_map(u32::to_le_bytes);
        memory
            .iter_mut()
            .zip(table)
            .for_each(|(byte, of_table)| *byte = of_table);
        memory
    })
}

fn scenario() -> impl Strategy<Value = (Vec<u8>, Vec<Call>)> {
    memory().prop_flat_map(|memory| {
        let calls = proptest::collection::vec(call(memory.len()), 1..60);
        (Just(memory), calls)
    })
}

/// A descriptor in the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    Input,
    Output(usize),
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_calls_violates_an_invariant((mut memory, calls) in scenario()) {
        let outputs = [SharedBuffer::new(), SharedBuffer::new()];
        let mut ctx = Wasi::builder()
            .args(["one", "two"])
            .env("KEY", "value")
            .stdin(STDIN)
            .stdout(outputs[0].clone())
            .stderr(outputs[1].clone())
            .build()
            .unwrap();
        let mut model = [Some(Open::Input), Some(Open::Output(0)), Some(Open::Output(1))];
        // The rights that the guest has not dropped.
        let mut rights_left = [u64::MAX; 3];
        let mut written_bytes = [0; 2];
        let mut read_bytes = 0;
        let mut last_monotonic_ns = 0;

        for Call { function, args } in calls {
            let function = &TABLE[function];
            let before = memory.clone();
            let result = match (function.call)(&mut ctx, &mut memory, &args) {
                Ok(result) => result,
                Err(exit) => {
                    prop_assert_eq!(exit.code(), args[0] as u32);
                    continue;
                }
            };

            let fd = |index: usize| model.get(args[index] as u32 as usize).copied().flatten();
            let number = |ptr: i64| u32::from_le_bytes(memory[ptr as u32 as usize..][..4].try_into().unwrap()) as usize;
            match result {
                Err(errno) => {
                    prop_assert!(memory == before, "{} failed with {errno} and has written to memory", function.name);
                }
                Ok(()) => match function.name {
                    "fd_read" => {
                        prop_assert_eq!(fd(0), Some(Open::Input));
                        read_bytes += number(args[3]);
                        prop_assert!(read_bytes <= STDIN.len());
                    }
                    "fd_write" => match fd(0) {
                        Some(Open::Output(index)) => written_bytes[index] += number(args[3]),
                        other => prop_assert!(false, "wrote to {other:?}"),
                    },
                    "fd_close" => model[args[0] as u32 as usize] = None,
                    "fd_renumber" => {
                        let (from, to) = (args[0] as u32 as usize, args[1] as u32 as usize);
                        prop_assert!(model[from].is_some() && model[to].is_some());
                        if from != to {
                            model[to] = model[from].take();
                            rights_left[to] = rights_left[from];
                        }
                    }
                    "fd_fdstat_set_rights" => rights_left[args[0] as u32 as usize] &= args[1] as u64,
                    _ => {}
                },
            }

            let mut scratch = [0; 32];
            for fd in 0..6 {
                let stat = preview1::fd_fdstat_get(&mut ctx, &mut scratch, fd, 0);
                let rights = u64::from_le_bytes(scratch[8..16].try_into().unwrap());
                match model.get(fd as usize).copied().flatten() {
                    None => prop_assert_eq!(stat, Err(Errno::Badf)),
                    Some(open) => {
                        prop_assert_eq!(stat, Ok(()));
                        let left = rights_left[fd as usize];
                        prop_assert_eq!(rights >> 1 & 1 == 1, open == Open::Input && left >> 1 & 1 == 1);
                        prop_assert_eq!(rights >> 6 & 1 == 1, open != Open::Input && left >> 6 & 1 == 1);
                    }
                }
            }
            preview1::clock_time_get(&mut ctx, &mut scratch, 1, 0, 0).unwrap();
            let monotonic_ns = u64::from_le_bytes(scratch[..8].try_into().unwrap());
            prop_assert!(monotonic_ns >= last_monotonic_ns);
            last_monotonic_ns = monotonic_ns;
            prop_assert_eq!([outputs[0].len(), outputs[1].len()], written_bytes);
        }
    }

    #[test]
    fn no_sequence_of_calls_on_files_violates_an_invariant(
        calls in proptest::collection::vec(call_on_files(), 1..80),
        buffers in proptest::array::uniform4((64..300_u32, 0..200_u32)),
    ) {
        let fs = MemoryFs::builder().limit_bytes(1000).limit_entries(20).build();
        fs.write("a", "hello").unwrap();
        fs.write("d/b", "world").unwrap();
        fs.symlink("../a", "d/c").unwrap();
        let mut ctx = Wasi::builder()
            .max_descriptors(10)
            .preopen("/", &fs, Access::ReadWrite)
            .preopen("/ro", &fs, Access::ReadOnly)
            .build()
            .unwrap();
        let mut memory = PATHS.repeat(8);
        for (entry, (ptr, len)) in memory[..32].chunks_exact_mut(8).zip(buffers) {
            entry[..4].copy_from_slice(&ptr.to_le_bytes());
            entry[4..].copy_from_slice(&len.to_le_bytes());
        }
        for Call { function, args } in calls {
            let function = &TABLE[function];
            let before = memory.clone();
            if let Ok(Err(errno)) = (function.call)(&mut ctx, &mut memory, &args) {
                prop_assert!(memory == before, "{} failed with {errno} and has written to memory", function.name);
            }
            prop_assert!(fs.used_bytes() <= 1000);
            prop_assert!(fs.n_entries() <= 20);
            let open = (0..20).filter(|fd| preview1::fd_fdstat_get(&mut ctx, &mut memory.clone(), *fd, 0).is_ok());
            prop_assert!(open.count() <= 10);
            let wild = fs.list(".").unwrap().into_iter().find(|name| name.contains(['/', '\0']) || name == "..");
            prop_assert_eq!(wild, None);
        }
    }
}

/// Fills the memory with names and paths, so that any pointer refers to one.
const PATHS: &[u8] = b"a d/b d/c ../d/../a/. d/ e/d/b//.. x\xff /a\0";

/// A call of a descriptor or path function, with small arguments that are mostly valid.
fn call_on_files() -> impl Strategy<Value = Call> {
    let on_files: Vec<usize> = (0..TABLE.len())
        .filter(|at| TABLE[*at].name.starts_with("fd_") || TABLE[*at].name.starts_with("path_"))
        .collect();
    let opening: Vec<usize> = on_files
        .iter()
        .copied()
        .filter(|at| {
            ["path_open", "path_create_directory", "path_rename"].contains(&TABLE[*at].name)
        })
        .collect();
    let function = prop_oneof![
        3 => proptest::sample::select(on_files),
        1 => proptest::sample::select(opening),
    ];
    function.prop_flat_map(|function| {
        let args: Vec<BoxedStrategy<i64>> = TABLE[function]
            .param_names
            .iter()
            .map(|name| match *name {
                "fd" | "to" | "old_fd" | "new_fd" => (3..10_i64).boxed(),
                "path_len" | "old_path_len" | "new_path_len" => (1..5_i64).boxed(),
                "iovs" => Just(0).boxed(),
                "rights_base" | "rights_inheriting" => {
                    prop_oneof![2 => Just(0), 1 => any::<i64>()].boxed()
                }
                "oflags" | "fdflags" | "flags" | "dirflags" | "old_flags" | "fst_flags"
                | "iovs_len" | "whence" | "advice" => {
                    prop_oneof![3 => 0..2_i64, 1 => 0..17_i64].boxed()
                }
                _ => prop_oneof![
                    8 => 0..400_i64,
                    1 => any::<i32>().prop_map(i64::from),
                    1 => any::<i64>(),
                ]
                .boxed(),
            })
            .collect();
        args.prop_map(move |args| Call { function, args })
    })
}
