//! The guests: loops around one function, in the text format.

/// The functions that guests call.
const IMPORTS: &[(&str, &str)] = &[
    ("args_get", "i32 i32"),
    ("args_sizes_get", "i32 i32"),
    ("clock_time_get", "i32 i64 i32"),
    ("random_get", "i32 i32"),
    ("fd_close", "i32"),
    ("fd_fdstat_get", "i32 i32"),
    ("fd_pread", "i32 i32 i32 i64 i32"),
    ("fd_pwrite", "i32 i32 i32 i64 i32"),
    ("fd_read", "i32 i32 i32 i32"),
    ("fd_readdir", "i32 i32 i32 i64 i32"),
    ("fd_seek", "i32 i64 i32 i32"),
    ("fd_write", "i32 i32 i32 i32"),
    ("path_filestat_get", "i32 i32 i32 i32 i32"),
    ("path_open", "i32 i32 i32 i32 i32 i64 i64 i32 i32"),
    ("poll_oneoff", "i32 i32 i32 i32"),
];

/// Addresses in the guest's memory. Results come first, so that they are easy to compare.
pub(crate) const RESULT: usize = 0;
pub(crate) const BUFFER: usize = 8192;

/// The file that the loops read: a path of one component.
pub(crate) const FILE: &str = "file";
/// A file with the same contents, at a path of five components.
pub(crate) const DEEP_FILE: &str = "a/b/c/d/file";
/// The directory that is listed.
pub(crate) const LISTED: &str = "list";
/// The names of the files that `create` makes end in eight digits.
pub(crate) const CREATED: &str = "f00000000";

const FILE_AT: usize = 1024;
const DEEP_FILE_AT: usize = 1100;
const LISTED_AT: usize = 1200;
const CREATED_AT: usize = 1300;
/// A subscription to a timer that has elapsed.
const SUBSCRIPTION_AT: usize = 1400;

/// A guest whose `run` calls `call` in a loop, after `setup`. Both leave an errno on the stack.
pub(crate) fn looping(setup: &str, call: &str) -> String {
    module(&format!(
        r#"
        (func (export "setup") (result i32) {setup})
        (func (export "run") (param $n i32) (result i32) (local $errno i32)
            (loop $again
                (local.set $errno (i32.or (local.get $errno) {call}))
                (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
            (local.get $errno))"#
    ))
}

/// A guest whose `run` lists the directory `n` times with a buffer of `buffer_bytes`. Its results
/// are the number of entries and the total length of their names.
pub(crate) fn listing(buffer_bytes: usize) -> String {
    let setup = open_dir(LISTED_AT, LISTED);
    module(&format!(
        r#"
        (func (export "setup") (result i32) {setup})
        (func $list (result i32)
            (local $errno i32) (local $at i32) (local $end i32) (local $used i32) (local $cookie i64)
            (i64.store (i32.const {RESULT}) (i64.const 0))
            (loop $fill
                (if (local.tee $errno (call $fd_readdir (global.get $fd) (i32.const {BUFFER})
                        (i32.const {buffer_bytes}) (local.get $cookie) (i32.const 16)))
                    (then (return (local.get $errno))))
                (local.set $used (i32.load (i32.const 16)))
                (local.set $at (i32.const {BUFFER}))
                (local.set $end (i32.add (local.get $at) (local.get $used)))
                (block $cut
                    (loop $next
                        (br_if $cut (i32.gt_u (i32.add (local.get $at) (i32.const 24)) (local.get $end)))
                        (br_if $cut (i32.gt_u
                            (i32.add (i32.add (local.get $at) (i32.const 24)) (i32.load offset=16 (local.get $at)))
                            (local.get $end)))
                        (local.set $cookie (i64.load (local.get $at)))
                        (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))
                        (i32.store (i32.const 4)
                            (i32.add (i32.load (i32.const 4)) (i32.load offset=16 (local.get $at))))
                        (local.set $at (i32.add (i32.add (local.get $at) (i32.const 24))
                            (i32.load offset=16 (local.get $at))))
                        (br $next)))
                (br_if $fill (i32.eq (local.get $used) (i32.const {buffer_bytes}))))
            (i32.const 0))
        (func (export "run") (param $n i32) (result i32) (local $errno i32)
            (loop $again
                (local.set $errno (i32.or (local.get $errno) (call $list)))
                (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
            (local.get $errno))"#
    ))
}

/// A guest whose `run` creates `n` files with different names.
pub(crate) fn creating() -> String {
    module(&format!(
        r#"
        (func (export "setup") (result i32) (i32.const 0))
        (func (export "run") (param $n i32) (result i32)
            (local $errno i32) (local $left i32) (local $at i32)
            (loop $again
                (local.set $left (local.get $n))
                (local.set $at (i32.const {last_digit}))
                (loop $digit
                    (i32.store8 (local.get $at)
                        (i32.add (i32.const 48) (i32.rem_u (local.get $left) (i32.const 10))))
                    (local.set $left (i32.div_u (local.get $left) (i32.const 10)))
                    (local.set $at (i32.sub (local.get $at) (i32.const 1)))
                    (br_if $digit (i32.gt_u (local.get $at) (i32.const {CREATED_AT}))))
                (local.set $errno (i32.or (local.get $errno)
                    (call $path_open (i32.const 3) (i32.const 0) (i32.const {CREATED_AT}) (i32.const {len})
                        (i32.const 1) (i64.const 66) (i64.const 0) (i32.const 0) (i32.const 0))))
                (local.set $errno (i32.or (local.get $errno) (call $fd_close (i32.load (i32.const 0)))))
                (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
            (local.get $errno))"#,
        last_digit = CREATED_AT + CREATED.len() - 1,
        len = CREATED.len(),
    ))
}

/// A program that does nothing.
pub(crate) const NOP: &str = r#"(module (memory (export "memory") 1) (func (export "_start")))"#;

/// Opens the file for reading and writing, and stores its descriptor.
pub(crate) fn open_file() -> String {
    // The rights to read, to seek, to tell and to write.
    keep(&path_open(FILE_AT, FILE, 0, 0x66))
}

/// Opens the directory that is listed, and stores its descriptor.
fn open_dir(at: usize, path: &str) -> String {
    const DIRECTORY: u32 = 2;
    const FD_READDIR: u64 = 1 << 14;
    keep(&path_open(at, path, DIRECTORY, FD_READDIR))
}

fn keep(open: &str) -> String {
    format!("{open} (global.set $fd (i32.load (i32.const {RESULT})))")
}

fn path_open(at: usize, path: &str, oflags: u32, rights: u64) -> String {
    let len = path.len();
    format!(
        "(call $path_open (i32.const 3) (i32.const 0) (i32.const {at}) (i32.const {len}) (i32.const {oflags})
            (i64.const {rights}) (i64.const 0) (i32.const 0) (i32.const {RESULT}))"
    )
}

/// Opens the file for reading and closes it again.
pub(crate) fn open_and_close() -> String {
    let open = path_open(FILE_AT, FILE, 0, 2);
    format!("(i32.or {open} (call $fd_close (i32.load (i32.const {RESULT}))))")
}

/// Reads the attributes of a file at a path of one or five components.
pub(crate) fn filestat(path: &str) -> String {
    let at = if path == DEEP_FILE {
        DEEP_FILE_AT
    } else {
        FILE_AT
    };
    let len = path.len();
    format!(
        "(call $path_filestat_get (i32.const 3) (i32.const 1) (i32.const {at}) (i32.const {len}) (i32.const 256))"
    )
}

/// A call with one buffer of `len` bytes, followed by `arguments`.
pub(crate) fn transfer(function: &str, fd: &str, len: usize, arguments: &str) -> String {
    format!(
        "(i32.store (i32.const 64) (i32.const {BUFFER})) (i32.store (i32.const 68) (i32.const {len}))
         (call ${function} {fd} (i32.const 64) (i32.const 1) {arguments} (i32.const {RESULT}))"
    )
}

/// A wait for a timer that has elapsed.
pub(crate) fn poll() -> String {
    format!(
        "(call $poll_oneoff (i32.const {SUBSCRIPTION_AT}) (i32.const 256) (i32.const 1) (i32.const {RESULT}))"
    )
}

fn module(functions: &str) -> String {
    let mut text = String::from("(module\n");
    for (name, params) in IMPORTS {
        text += &format!(
            "(import \"wasi_snapshot_preview1\" \"{name}\" (func ${name} (param {params}) (result i32)))\n"
        );
    }
    // Userdata 7, the tag of clocks, the monotonic clock, a timeout of 0.
    let subscription = format!(
        "(data (i32.const {SUBSCRIPTION_AT}) \"\\07{zeros7}{zeros8}\\01\")",
        zeros7 = "\\00".repeat(7),
        zeros8 = "\\00".repeat(8),
    );
    text += &format!(
        "(memory (export \"memory\") 8)
         (global $fd (mut i32) (i32.const -1))
         (data (i32.const {FILE_AT}) \"{FILE}\")
         (data (i32.const {DEEP_FILE_AT}) \"{DEEP_FILE}\")
         (data (i32.const {LISTED_AT}) \"{LISTED}\")
         (data (i32.const {CREATED_AT}) \"{CREATED}\")
         {subscription}
         {functions})"
    );
    text
}
