//! The table of functions matches the specification, and the functions match the documentation.

use std::io::Write;

use rangewatch_wasi::fs::{Access, MemoryFs};
use rangewatch_wasi::net::{Connector, MemorySocket, loopback, socket_pair};
use rangewatch_wasi::{Errno, Exit, FUNCTIONS, MODULE, ValueType, Wasi};

use crate::guest::{Function, TABLE};

/// Written by hand from the witx, independent of the macro: `i` is an i32, `l` an i64.
const SPECIFICATION: &str = "
    args_get ii, args_sizes_get ii, environ_get ii, environ_sizes_get ii, clock_res_get ii, clock_time_get ili,
    fd_advise illi, fd_allocate ill, fd_close i, fd_datasync i, fd_fdstat_get ii, fd_fdstat_set_flags ii,
    fd_fdstat_set_rights ill, fd_filestat_get ii, fd_filestat_set_size il, fd_filestat_set_times illi, fd_pread iiili,
    fd_prestat_get ii, fd_prestat_dir_name iii, fd_pwrite iiili, fd_read iiii, fd_readdir iiili, fd_renumber ii,
    fd_seek ilii, fd_sync i, fd_tell ii, fd_write iiii, path_create_directory iii, path_filestat_get iiiii,
    path_filestat_set_times iiiilli, path_link iiiiiii, path_open iiiiillii, path_readlink iiiiii,
    path_remove_directory iii, path_rename iiiiii, path_symlink iiiii, path_unlink_file iii, poll_oneoff iiii,
    proc_exit i, proc_raise i, sched_yield , random_get ii, sock_accept iii, sock_recv iiiiii, sock_send iiiii,
    sock_shutdown ii";

const DOCUMENTATION: &str = include_str!("../../src/preview1/functions.md");

#[test]
fn the_signatures_are_those_of_the_specification() {
    assert_eq!(MODULE, "wasi_snapshot_preview1");
    let specified: Vec<&str> = SPECIFICATION
        .split(',')
        .map(|function| function.trim_matches('\n').trim_start())
        .collect();
    let exported: Vec<String> = FUNCTIONS
        .iter()
        .map(|function| {
            let params = function.params().iter().map(|param| match param {
                ValueType::I32 => 'i',
                ValueType::I64 => 'l',
                other => panic!("{other:?} is not in the specification"),
            });
            format!("{} {}", function.name(), params.collect::<String>())
        })
        .collect();
    assert_eq!(exported, specified);
    assert_eq!(exported.len(), 46);
}

#[test]
fn only_proc_exit_has_no_result() {
    let without: Vec<&str> = FUNCTIONS
        .iter()
        .filter(|function| !function.returns_errno())
        .map(|function| function.name())
        .collect();
    assert_eq!(without, ["proc_exit"]);
}

#[test]
fn a_backend_can_call_every_function_of_the_table() {
    assert_eq!(TABLE.len(), FUNCTIONS.len());
    for (function, signature) in TABLE.iter().zip(FUNCTIONS) {
        assert_eq!(function.name, signature.name());
        let mut ctx = Wasi::builder().build().unwrap();
        let args = vec![0; signature.params().len()];
        let outcome = (function.call)(&mut ctx, &mut [0; 1024], &args);
        assert_eq!(
            outcome.is_err(),
            !signature.returns_errno(),
            "{}",
            function.name
        );
    }
    assert_eq!(
        (Function::named("proc_exit").call)(&mut Wasi::builder().build().unwrap(), &mut [], &[9]),
        Err(Exit::new(9))
    );
}

/// The rows of the documented table: function, state, and the errno.
fn documented() -> Vec<(&'static str, &'static str, &'static str)> {
    let rows = DOCUMENTATION.lines().filter(|line| line.starts_with("| ["));
    rows.map(|row| {
        let cells: Vec<&str> = row
            .split('|')
            .map(|cell| cell.trim_matches([' ', '[', ']', '`']))
            .collect();
        (cells[1], cells[2], cells[3])
    })
    .collect()
}

#[test]
fn the_documentation_has_a_row_for_every_function() {
    let documented: Vec<&str> = documented().iter().map(|row| row.0).collect();
    let exported: Vec<&str> = FUNCTIONS.iter().map(|function| function.name()).collect();
    assert_eq!(documented, exported);
}

#[test]
fn every_function_treats_streams_as_documented() {
    for (name, state, refusal) in documented() {
        let function = Function::named(name);
        for fd in 0..3 {
            let mut ctx = Wasi::builder().build().unwrap();
            let args: Vec<i64> = (0..function.param_names.len())
                .map(|i| if function.takes_fd(i) { fd } else { 64 })
                .collect();
            // The arguments that are not descriptors: an empty table of buffers, a valid clock, and
            // no flags.
            let args: Vec<i64> = args
                .iter()
                .zip(function.param_names)
                .map(|(arg, param)| match *param {
                    "nsubscriptions" => 1,
                    "id" | "iovs_len" | "signal" | "flags" | "advice" | "whence"
                    | "rights_base" | "rights_inheriting" => 0,
                    _ => *arg,
                })
                .collect();
            let outcome = (function.call)(&mut ctx, &mut [0; 1024], &args);
            match (state, refusal) {
                ("works", "") => assert!(
                    matches!(outcome, Ok(Ok(())) | Err(_)),
                    "{name}: {outcome:?}"
                ),
                ("works on streams", _) => {
                    let wrong_way = matches!((name, fd), ("fd_read", 1 | 2) | ("fd_write", 0));
                    let expected = if wrong_way { Err(Errno::Badf) } else { Ok(()) };
                    assert_eq!(outcome, Ok(expected), "{name} on {fd}");
                }
                ("refuses" | "refuses streams" | "works on sockets", _) => {
                    assert_eq!(
                        outcome.unwrap().unwrap_err().name(),
                        refusal,
                        "{name} on {fd}"
                    );
                }
                _ => panic!("the row of {name} has an unknown state: {state}, {refusal}"),
            }
        }
    }
}

/// Valid arguments for a call of `function` on `fd`, with [`NAMES`] in memory; 0 for the rest.
fn sensible(function: &Function, fd: i64) -> Vec<i64> {
    let path = match function.name {
        "path_create_directory" => "made",
        "path_readlink" => "link",
        "path_remove_directory" => "dir",
        _ => "file",
    };
    let place = |name: &str| NAMES.iter().position(|known| *known == name).unwrap() as i64 * 8;
    let params = function.param_names.iter().enumerate();
    let args = params.map(|(index, param)| match *param {
        _ if function.takes_fd(index) => fd,
        "path" | "old_path" => place(path),
        "path_len" | "old_path_len" => path.len() as i64,
        "new_path" => place("new"),
        "new_path_len" => 3,
        "nsubscriptions" => 1,
        "buf_len" => 64,
        "subscriptions" | "iovs" => 512,
        name if name.ends_with("_out") || matches!(name, "buf" | "events") => 256,
        _ => 0,
    });
    args.collect()
}

const NAMES: [&str; 5] = ["file", "dir", "link", "made", "new"];

#[test]
fn every_function_treats_files_and_directories_as_documented() {
    for (name, state, refusal) in documented() {
        let function = Function::named(name);
        let outcomes = [3, 4].map(|fd| {
            let fs = MemoryFs::with_files([("file", "text")]).unwrap();
            fs.create_dir_all("dir").unwrap();
            fs.symlink("file", "link").unwrap();
            let wasi = Wasi::builder().preopen(".", fs, Access::ReadWrite);
            let mut ctx = wasi.build().unwrap();
            let mut memory = [0; 1024];
            for (i, name) in NAMES.iter().enumerate() {
                memory[i * 8..][..name.len()].copy_from_slice(name.as_bytes());
            }
            let open = sensible(Function::named("path_open"), 3);
            let opened = (Function::named("path_open").call)(&mut ctx, &mut memory, &open);
            assert_eq!((opened, memory[256]), (Ok(Ok(())), 4));
            (function.call)(&mut ctx, &mut memory, &sensible(function, fd))
        });
        let works = outcomes.contains(&Ok(Ok(())));
        match state {
            "refuses" | "works on sockets" => {
                let refused = Err(refusal);
                let on_file = outcomes[1].map(|called| called.map_err(Errno::name));
                assert_eq!(on_file, Ok(refused), "{name}");
                assert!(!works, "{name} on a directory");
            }
            _ => assert!(works || name == "proc_exit", "{name}: {outcomes:?}"),
        }
    }
}

/// A guest with a socket as descriptor 3, which has a byte to receive, and a listener as descriptor
/// 4, which has a pending connection.
fn with_sockets() -> (Wasi, (Connector, MemorySocket)) {
    let (of_guest, mut of_host) = socket_pair(64);
    let (listener, connector) = loopback(1, 64);
    let wasi = Wasi::builder().socket(of_guest).listener(listener);
    drop(connector.try_connect().unwrap());
    of_host.write_all(b"x").unwrap();
    (wasi.build().unwrap(), (connector, of_host))
}

#[test]
fn every_function_treats_sockets_as_documented() {
    for (name, state, refusal) in documented() {
        let function = Function::named(name);
        if !(0..function.param_names.len()).any(|index| function.takes_fd(index)) {
            continue;
        }
        let [on_socket, on_listener] = [3, 4].map(|fd| {
            let (mut ctx, _hosts) = with_sockets();
            let args = sensible(function, fd);
            let args: Vec<i64> = args
                .iter()
                .zip(function.param_names)
                .map(|(arg, param)| if *param == "how" { 3 } else { *arg })
                .collect();
            let outcome = (function.call)(&mut ctx, &mut [0; 1024], &args).unwrap();
            outcome.map_err(Errno::name)
        });
        let of_connected = [
            "fd_read",
            "fd_write",
            "sock_recv",
            "sock_send",
            "sock_shutdown",
        ];
        let expected = match (state, refusal.strip_prefix("sockets: `")) {
            ("works on streams", Some(refusal)) => [Err(refusal); 2],
            ("works on streams" | "works on sockets", None) => match name {
                "sock_accept" => [Err("INVAL"), Ok(())],
                _ if of_connected.contains(&name) => [Ok(()), Err("NOTCONN")],
                _ => [Ok(()); 2],
            },
            _ => [Err(refusal); 2],
        };
        assert_eq!([on_socket, on_listener], expected, "{name}");
    }
}

#[test]
fn every_function_returns_badf_for_a_closed_descriptor() {
    for function in TABLE {
        for position in (0..function.param_names.len()).filter(|index| function.takes_fd(*index)) {
            for fd in [3, 99, i64::from(i32::MAX), -1, i64::from(i32::MIN)] {
                for others in [0, -1] {
                    let mut ctx = Wasi::builder().build().unwrap();
                    let args: Vec<i64> = (0..function.param_names.len())
                        .map(|index| match index {
                            _ if index == position => fd,
                            _ if function.takes_fd(index) => 1,
                            _ => others,
                        })
                        .collect();
                    let outcome = (function.call)(&mut ctx, &mut [], &args);
                    assert_eq!(outcome, Ok(Err(Errno::Badf)), "{}{args:?}", function.name);
                }
            }
        }
    }
}
