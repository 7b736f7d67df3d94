//! Calls of this crate compared with the system calls that they make.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use rangewatch::Wasmtime;
use rangewatch_bench_harness::{Clock, Contender, Effort, Report, at_most, measure, nanos};
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, StatxFlags, openat2, statx};

use crate::files::{listing_row, open_row, transfer_row};
use crate::guests::{FILE, LISTED};
use crate::managed::Compiled;
use crate::row::Row;
use crate::tree::Tree;

pub(crate) fn run(effort: Effort, report: &Report) {
    let tree = Tree::with_entries(1_000);
    let world = || tree.world();
    let open = || {
        File::options()
            .read(true)
            .write(true)
            .open(tree.path().join(FILE))
            .unwrap()
    };
    let file = open();
    let dir: OwnedFd = File::open(tree.path()).unwrap().into();
    report.table(&["", "ours on wasmtime", "native", "ours takes"]);
    let row = |row: Row, goal: f64, native: &mut dyn FnMut()| {
        let ours = Compiled::new(&Wasmtime::unmetered(), &row.wat);
        let times = measure(
            effort,
            &mut [row.contender(&ours), Contender::on(Clock::Process, native)],
        );
        report.cells(&[
            row.name.to_owned(),
            nanos(times[0]),
            nanos(times[1]),
            at_most(times[0] / times[1], goal, |ratio| format!("{ratio:.2}x")),
        ]);
    };
    let mut buf = vec![0; 4 << 10];
    let transfer = |name, function, len| transfer_row(name, function, len, world(), [None; 2]);
    row(transfer("fd_pread, 1 B", "fd_pread", 1), 1.6, &mut || {
        file.read_at(&mut buf[..1], 0).unwrap();
    });
    row(
        transfer("fd_pread, 4 KiB", "fd_pread", 4 << 10),
        1.6,
        &mut || {
            file.read_at(&mut buf, 0).unwrap();
        },
    );
    row(transfer("fd_pwrite, 1 B", "fd_pwrite", 1), 1.6, &mut || {
        file.write_at(b"f", 0).unwrap();
    });
    let written = [b'f'; 4 << 10];
    row(
        transfer("fd_pwrite, 4 KiB", "fd_pwrite", 4 << 10),
        1.6,
        &mut || {
            file.write_at(&written, 0).unwrap();
        },
    );
    row(open_row(world(), [None; 2]), 1.5, &mut || {
        drop(beneath(&dir, FILE, OFlags::RDONLY));
    });
    let stat = Row {
        name: "path_filestat_get, 1 component",
        wat: crate::guests::looping("(i32.const 0)", &crate::guests::filestat(FILE)),
        ..open_row(world(), [None; 2])
    };
    row(stat, 1.6, &mut || {
        statx(
            &dir,
            FILE,
            AtFlags::SYMLINK_NOFOLLOW,
            StatxFlags::BASIC_STATS,
        )
        .unwrap();
    });
    let listing = listing_row("1,000 entries, 64 KiB buffer", 64 << 10, world(), [None; 2]);
    row(listing, 1.6, &mut || {
        let dir = beneath(&dir, LISTED, OFlags::RDONLY | OFlags::DIRECTORY);
        let entries = rustix::fs::Dir::new(dir).unwrap();
        assert_eq!(entries.map(Result::unwrap).count(), 1_002);
    });
}

/// Opens with the same confinement as this crate.
fn beneath(dir: &OwnedFd, path: &str, flags: OFlags) -> OwnedFd {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    openat2(dir, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve).unwrap()
}
