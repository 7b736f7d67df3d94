//! Simulates a kernel without `openat2`: Linux before 5.6, or a seccomp filter that does not know
//! it.

use std::collections::BTreeMap;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

/// The number of the system call, the same on all architectures.
const OPENAT2: i64 = 437;

/// Makes `openat2` fail with `ENOSYS` for this thread and its child processes.
pub(crate) fn forbid_openat2() {
    let arch = std::env::consts::ARCH
        .try_into()
        .expect("an architecture that filters know");
    let refuse = SeccompAction::Errno(Errno::NOSYS.raw_os_error().unsigned_abs());
    let rules = BTreeMap::from([(OPENAT2, Vec::new())]);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch).expect("a filter");
    let program: BpfProgram = filter.try_into().expect("a short filter");
    seccompiler::apply_filter(&program).expect("filters can be applied");
    let opened = rustix::fs::openat2(
        CWD,
        ".",
        OFlags::RDONLY,
        Mode::empty(),
        ResolveFlags::BENEATH,
    );
    assert_eq!(opened.err(), Some(Errno::NOSYS));
}
