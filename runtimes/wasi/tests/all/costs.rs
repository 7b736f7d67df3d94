//! G37: what the functions cost is bounded. [`guest`](crate::guest) checks each attempt of a call
//! against the slice.

use rangewatch_wasi::fs::{Access, MemoryFs, Overlay};
use rangewatch_wasi::net::{MemorySocket, socket_pair};
use rangewatch_wasi::{
    Errno, MAX_IOVECS, MAX_STRINGS_BYTES, MAX_SUBSCRIPTIONS, MAX_TRANSFER_BYTES, SharedBuffer,
    Wasi, WasiBuilder, WorkMeter, preview1,
};

use crate::guest::{Function, Guest, TABLE};

/// Addresses in the guest's memory.
const RESULT: u32 = 0;
const PATHS: [u32; 2] = [0x2000, 0x4000];
const IOVS: u32 = 0x8000;
const SUBSCRIPTIONS: u32 = 0x10000;
const EVENTS: u32 = 0x20000;
const BYTES: u32 = 0x100000;
const MEMORY_BYTES: usize = 32 << 20;

const FILE: i64 = 5;

/// A path of nearly the greatest length, which enters as many directories as it may.
fn worst_path(last: &str) -> String {
    format!("{}{last}", "a/../".repeat(800))
}

/// A directory with long listings, and forty links that each enter directories.
fn files() -> MemoryFs {
    let files = MemoryFs::with_files([("link0", ""), ("file", &"x".repeat(1 << 20))]).unwrap();
    files.create_dir_all("a").unwrap();
    for i in 1..=40 {
        let target = format!("{}link{}", "a/../".repeat(5), i - 1);
        files.symlink(target, format!("link{i}")).unwrap();
    }
    for i in 0..5_000 {
        files.write(format!("{i:0250}"), "").unwrap();
    }
    files
}

/// The host's end of a socket that the guest of [`builder`] sends to.
fn builder(files: &MemoryFs) -> (WasiBuilder, MemorySocket) {
    let text = "x".repeat(MAX_STRINGS_BYTES as usize / 2 - 100);
    let (of_guest, of_host) = socket_pair(2 * MAX_TRANSFER_BYTES as usize);
    let wasi = Wasi::builder()
        .args([&text, &text])
        .env("a", &text)
        .env("b", &text)
        .stdin(vec![b'x'; 2 * MAX_TRANSFER_BYTES as usize])
        .stdout(SharedBuffer::new())
        .preopen("/", files, Access::ReadWrite)
        .socket(of_guest);
    (wasi, of_host)
}

/// What a call of `function` on `fd` costs, all attempts together, with as many buffers,
/// subscriptions and bytes as it may have.
fn worst(function: &Function, files: &MemoryFs, fd: i64) -> u64 {
    // An earlier call may have truncated it.
    files.write("file", "x".repeat(1 << 20)).unwrap();
    let (wasi, mut of_host) = builder(files);
    std::io::Write::write_all(&mut of_host, &vec![b'x'; MAX_TRANSFER_BYTES as usize]).unwrap();
    let mut guest = Guest::new(wasi);
    guest.memory = vec![0; MEMORY_BYTES];
    assert_eq!(guest.open("file", 0).map(i64::from), Ok(FILE));

    let paths = [worst_path("link40"), worst_path("link39")];
    for (at, path) in PATHS.into_iter().zip(&paths) {
        guest.put(at, path.as_bytes());
    }
    let each = MAX_TRANSFER_BYTES / MAX_IOVECS;
    let iovecs: Vec<_> = (0..MAX_IOVECS).map(|i| (BYTES + i * each, each)).collect();
    guest.put_iovecs(IOVS, &iovecs);
    for i in 0..MAX_SUBSCRIPTIONS {
        let at = SUBSCRIPTIONS + i * 48;
        guest.put(at + 8, &[1]); // readable
        guest.put(at + 16, &u32::try_from(FILE).unwrap().to_le_bytes());
    }
    let params = function.param_names.iter().enumerate();
    let args: Vec<i64> = params
        .map(|(index, param)| match *param {
            "fd" | "old_fd" => fd,
            _ if function.takes_fd(index) => fd.max(3),
            "path" | "old_path" => PATHS[0].into(),
            "new_path" => PATHS[1].into(),
            "path_len" | "old_path_len" | "new_path_len" => paths[0].len() as i64,
            "iovs" | "ri_data" | "si_data" => IOVS.into(),
            "iovs_len" | "ri_data_len" | "si_data_len" => MAX_IOVECS.into(),
            "subscriptions" => SUBSCRIPTIONS.into(),
            "events" => EVENTS.into(),
            "nsubscriptions" => MAX_SUBSCRIPTIONS.into(),
            "argv" | "environ" => 64,
            "buf" | "argv_buf" | "environ_buf" => BYTES.into(),
            "buf_len" => 16 << 20,
            "dirflags" => 1,
            "flags" if function.name.starts_with("path") => 1,
            "len" | "size" | "offset" => 1 << 19,
            "how" => 3,
            name if name.ends_with("_out") => RESULT.into(),
            _ => 0,
        })
        .collect();
    guest.ctx.meter().begin(0);
    let _ = (function.call)(&mut guest.ctx, &mut guest.memory, &args);
    guest.ctx.meter().owed()
}

#[test]
fn g37_every_function_costs_something_and_each_attempt_at_most_a_slice() {
    // What the worst call costs at least, all of its attempts together.
    let heavy = [
        ("args_get", 60_000),
        ("environ_get", 60_000),
        ("fd_pread", 30_000),
        ("fd_pwrite", 30_000),
        ("fd_read", 50_000),
        ("fd_write", 50_000),
        ("sock_recv", 28_000),
        ("sock_send", 50_000),
        ("fd_readdir", 400_000),
        ("poll_oneoff", 40_000),
        ("random_get", 1 << 20),
        ("path_create_directory", 50_000),
        ("path_filestat_get", 65_000),
        ("path_filestat_set_times", 65_000),
        ("path_link", 65_000),
        ("path_open", 65_000),
        ("path_readlink", 50_000),
        ("path_rename", 65_000),
        ("path_symlink", 50_000),
        ("path_unlink_file", 50_000),
    ];
    let files = files();
    for function in TABLE {
        let costs = [1, 3, 4, FILE, 0].map(|fd| worst(function, &files, fd));
        let most = costs.into_iter().max().unwrap();
        let heavy = heavy.iter().find(|(name, _)| *name == function.name);
        let least = heavy.map_or(100, |(_, least)| *least);
        assert!(most >= least, "{} costs {most} units", function.name);
    }
}

#[test]
fn g37_a_path_that_fails_late_costs_what_it_entered() {
    let mut guest = Guest::new(builder(&files()).0);
    let path = worst_path("missing");
    guest.ctx.meter().begin(0);
    assert_eq!(guest.open(&path, 0), Err(Errno::Noent));
    assert!(guest.ctx.meter().owed() > 50_000);
}

#[test]
fn g37_going_back_in_a_listing_is_done_in_parts() {
    let mut guest = Guest::new(builder(&files()).0);
    let mut read = |cookie| {
        guest.ctx.meter().begin(0);
        guest.block_on(|ctx, memory| {
            preview1::fd_readdir(ctx, memory, 3, 4096, 600_000, cookie, 0)
        })?;
        Ok::<_, Errno>((guest.u32(0), guest.ctx.meter().owed()))
    };
    // 2,165 entries of 274 bytes and 6 short ones fill the buffer.
    assert_eq!(read(0).unwrap().0, 600_000);
    assert_eq!(read(2_000).unwrap().0, 600_000);
    let (_, units) = read(4_000).unwrap();
    let (_, again) = read(1_000).unwrap();
    assert!(again > units, "{again} units, {units} without going back");
}

#[test]
fn calls_of_the_context_alone_cost_the_flat_price() {
    let mut guest = Guest::new(Wasi::builder());
    let (ctx, memory) = (&mut guest.ctx, &mut guest.memory);
    preview1::clock_time_get(ctx, memory, 0, 0, 0).unwrap();
    assert_eq!(ctx.meter().owed(), 100);
    let _ = preview1::clock_time_get(ctx, memory, 99, 0, 0).unwrap_err();
    assert_eq!(ctx.meter().owed(), 200, "a call that fails costs as much");
}

/// A guest whose memory filesystem has directories below each other, and a descriptor of the last.
fn nested(n_dirs: usize) -> (Guest, i32) {
    let files = MemoryFs::with_files([("other/file", "")]).unwrap();
    let mut guest = Guest::new(Wasi::builder().preopen("/", files, Access::ReadWrite));
    let mut fd = 3;
    for _ in 0..n_dirs {
        guest.create_dir(fd, "d").unwrap();
        let below = guest.open_at(fd, "d", 0, (0, 0)).unwrap();
        if fd != 3 {
            preview1::fd_close(&mut guest.ctx, &mut [], fd).unwrap();
        }
        fd = below;
    }
    (guest, fd)
}

#[test]
fn g37_a_rename_looks_at_a_bounded_number_of_directories() {
    let (mut guest, fd) = nested(1_000);
    guest.ctx.meter().begin(0);
    guest.rename((3, "other"), (fd, "other")).unwrap();
    assert!(guest.ctx.meter().owed() > 8_000);
    let (mut guest, fd) = nested(1_100);
    let renamed = guest.rename((3, "other"), (fd, "other"));
    assert_eq!(renamed, Err(Errno::Nametoolong));
}

/// What a large file takes is freed in parts, and its space can be used at once.
#[test]
fn g37_a_large_file_is_freed_in_parts() {
    const SIZE: u64 = 64 << 20;
    let files = MemoryFs::builder().limit_bytes(SIZE).build();
    let fill = || files.write("file", vec![b'x'; SIZE as usize]).unwrap();
    let mut guest = Guest::new(Wasi::builder().preopen("/", &files, Access::ReadWrite));
    let slice = WorkMeter::DEFAULT_SLICE;
    for how in ["remove", "truncate", "shorten", "replace"] {
        fill();
        files.write("other", "").unwrap();
        let fd = (how == "shorten").then(|| guest.open("file", 0).unwrap());
        guest.ctx.meter().begin(0);
        let fd = match how {
            "remove" => guest.unlink("file").map(|()| None).unwrap(),
            "truncate" => Some(guest.open("file", 8).unwrap()),
            "shorten" => {
                let (ctx, memory) = (&mut guest.ctx, &mut guest.memory);
                preview1::fd_filestat_set_size(ctx, memory, fd.unwrap(), 1).unwrap();
                fd
            }
            _ => {
                let renamed = guest.rename((3, "other"), (3, "file"));
                renamed.map(|()| None).unwrap()
            }
        };
        let units = guest.ctx.meter().owed();
        assert!((25_000..slice).contains(&units), "{how}: {units} units");
        let used = files.used_bytes();
        assert!(used > SIZE / 2, "{how}: {used} bytes are charged");
        if let Some(fd) = fd {
            preview1::fd_close(&mut guest.ctx, &mut [], fd).unwrap();
        }
    }
    fill();
    guest.unlink("file").unwrap();
    for _ in 0..SIZE / (4 << 20) {
        files.write("small", "x").unwrap();
        guest.unlink("small").unwrap();
    }
    assert_eq!(files.used_bytes(), 0, "later removals free the rest");
}

#[test]
fn g37_a_filesystem_adds_what_it_does() {
    let (lower, upper) = (MemoryFs::new(), MemoryFs::new());
    lower.write("file", "x".repeat(1 << 20)).unwrap();
    let files = Overlay::new(&lower, &upper);
    let mut guest = Guest::new(Wasi::builder().preopen("/", files, Access::ReadWrite));
    let fd = guest.open("file", 0).unwrap();
    guest.ctx.meter().begin(0);
    guest.put(0, &[0; 8]);
    guest.put_iovecs(0, &[(64, 1)]);
    let (ctx, memory) = (&mut guest.ctx, &mut guest.memory);
    preview1::fd_pwrite(ctx, memory, fd, 0, 1, 0, 8).unwrap();
    // 1 MiB is copied up.
    let units = ctx.meter().owed();
    assert!(units > 3 * (1 << 16), "{units} units");

    ctx.meter().begin(0);
    preview1::fd_filestat_set_size(ctx, memory, fd, 0).unwrap();
    let units = ctx.meter().owed();
    assert!(
        (16 * 400..20 * 400).contains(&units),
        "{units} units for 16 pages"
    );

    ctx.meter().begin(0);
    preview1::fd_pwrite(ctx, memory, fd, 0, 1, 65_535, 8).unwrap();
    let units = ctx.meter().owed();
    assert!(units > 4_000, "{units} units, where 64 KiB are cleared");
}
