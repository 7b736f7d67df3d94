//! The allowed writes of a call to the guest's memory.

use crate::function::Function;

/// How many bytes a call may write to the address in each parameter.
///
/// Source: WASI preview1 witx, the sizes of the types.
fn result_bytes(function: &str, param: &str) -> Option<u64> {
    Some(match (function, param) {
        ("fd_filestat_get" | "path_filestat_get", "stat_out") => 64,
        ("fd_fdstat_get", "stat_out") => 24,
        (_, "prestat_out" | "newoffset_out" | "offset_out" | "time_out" | "resolution_out") => 8,
        ("sock_recv", "ro_flags_out") => 2,
        _ if param.ends_with("_out") => 4,
        // The size of the context's arguments and variables, with a margin.
        ("args_get", "argv") | ("environ_get", "environ") => 16,
        ("args_get", "argv_buf") | ("environ_get", "environ_buf") => 64,
        _ => return None,
    })
}

/// The ranges that the call of `function` may write, given the memory before the call. They may lie
/// outside of the memory.
pub(crate) fn writable(function: &Function, args: &[i64], before: &[u8]) -> Vec<(u64, u64)> {
    let mut places = Vec::new();
    let argument = |param| u64::from(function.argument(args, param));
    for param in function.params {
        if let Some(len) = result_bytes(function.name, param) {
            places.push((argument(param), len));
        }
    }
    match function.name {
        "fd_read" | "fd_pread" => {
            places.extend(iovecs(before, argument("iovs"), argument("iovs_len")));
        }
        "sock_recv" => {
            places.extend(iovecs(before, argument("ri_data"), argument("ri_data_len")));
        }
        "fd_readdir" | "path_readlink" | "random_get" => {
            places.push((argument("buf"), argument("buf_len")));
        }
        "fd_prestat_dir_name" => places.push((argument("path"), argument("path_len"))),
        "poll_oneoff" => places.push((argument("events"), argument("nsubscriptions") * 32)),
        _ => {}
    }
    places
}

/// The buffers of a table, as far as it lies in memory.
fn iovecs(memory: &[u8], at: u64, len: u64) -> impl Iterator<Item = (u64, u64)> {
    let table = memory.get(at as usize..).unwrap_or_default();
    let number =
        |bytes: &[u8]| u64::from(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
    let entries = table.chunks_exact(8).take(len as usize);
    entries.map(move |entry| (number(entry), number(&entry[4..])))
}

/// The first address outside of `places` that has changed.
pub(crate) fn stray_write(before: &[u8], after: &[u8], places: &[(u64, u64)]) -> Option<usize> {
    let differs = |at: &usize| before[*at] != after[*at];
    let allowed = |at: u64| (places.iter()).any(|(start, len)| (*start..start + len).contains(&at));
    if before == after {
        return None;
    }
    (0..before.len())
        .filter(differs)
        .find(|at| !allowed(*at as u64))
}
