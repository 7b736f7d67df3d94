//! The allowed effects of calls on the descriptor table.

use std::collections::BTreeMap;

use rangewatch_wasi::{RightsMode, Wasi, preview1};

use crate::function::Function;

/// A descriptor as `fd_fdstat_get` reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FdStat {
    file_type: u8,
    flags: u16,
    base: u64,
    inheriting: u64,
}

/// All open descriptors below a number that no descriptor reaches.
pub(crate) type Table = BTreeMap<u32, FdStat>;

/// Reads the whole table.
pub(crate) fn table(ctx: &mut Wasi, end: u32) -> Table {
    let mut stat = [0; 24];
    let number = |bytes: &[u8]| {
        bytes
            .iter()
            .rev()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    };
    let open = |fd: u32| {
        preview1::fd_fdstat_get(ctx, &mut stat, fd as i32, 0).ok()?;
        let found = FdStat {
            file_type: stat[0],
            flags: number(&stat[2..4]) as u16,
            base: number(&stat[8..16]),
            inheriting: number(&stat[16..24]),
        };
        Some((fd, found))
    };
    (0..end).filter_map(open).collect()
}

/// Checks that a successful call had its effect on the table and no other.
pub(crate) fn check(
    function: &Function,
    args: &[i64],
    memory: &[u8],
    (mut before, after): (Table, Table),
    mode: RightsMode,
) {
    let argument = |param| function.argument(args, param);
    match function.name {
        "fd_close" => {
            assert!(before.remove(&argument("fd")).is_some());
        }
        "fd_renumber" => {
            let (from, to) = (argument("fd"), argument("to"));
            assert!(before.contains_key(&to));
            let moved = before.remove(&from).expect("it was open");
            before.insert(to, moved);
        }
        "fd_fdstat_set_rights" => {
            let fd = argument("fd");
            let (old, new) = (before[&fd], after[&fd]);
            assert_eq!(new.base & !old.base, 0, "rights have grown");
            assert_eq!(new.inheriting & !old.inheriting, 0, "rights have grown");
            before.insert(fd, new);
        }
        "fd_fdstat_set_flags" => {
            let fd = argument("fd");
            let flags = after[&fd].flags;
            before.get_mut(&fd).expect("it was open").flags = flags;
        }
        "path_open" => {
            let at = argument("opened_fd_out") as usize;
            let bytes = memory[at..][..4].try_into().expect("four bytes");
            let fd = u32::from_le_bytes(bytes);
            let (parent, opened) = (before[&argument("fd")], after[&fd]);
            if mode != RightsMode::Off {
                assert_eq!(
                    opened.base & !parent.inheriting,
                    0,
                    "more rights than the directory passes on"
                );
                assert_eq!(
                    opened.inheriting & !parent.inheriting,
                    0,
                    "more rights than the directory passes on"
                );
            }
            assert!(
                before.insert(fd, opened).is_none(),
                "the descriptor was already open"
            );
        }
        _ => {}
    }
    assert_eq!(before, after, "{} {args:x?}", function.name);
}
