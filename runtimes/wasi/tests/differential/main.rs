//! G34 and parity: random calls have the same outcomes on a memory filesystem, a host directory, an
//! overlay and a reference implementation. They leave the same tree, and change nothing outside of
//! the directory.

mod call;
mod model;
mod outcome;
mod rng;
#[cfg(target_os = "linux")]
#[path = "../seccomp/mod.rs"]
mod seccomp;
mod tree;

use std::fs;
use std::sync::Arc;

use rangewatch_wasi::Errno;
use rangewatch_wasi::fs::conformance::guest::Guest;
use rangewatch_wasi::fs::{Dir, HostDir, IntoDir, MemoryFs, Overlay};

use self::call::{Call, Choices};
use self::model::Model;
use self::outcome::{names, outcome};
use self::rng::Rng;
use self::tree::{snapshot, tree};

impl Choices for Rng {
    fn next(&mut self, end: usize) -> usize {
        self.below(end as u64) as usize
    }

    /// Half of the paths begin with two directories, which are opened by one `openat2` on the host.
    fn path(&mut self) -> String {
        let below = self.pick(&["", "", "a/b/", "b/c/"]);
        format!("{below}{}", self.short_path())
    }
}

const CASES: &str = "RANGEWATCH_CASES";

/// The number of calls to make; `RANGEWATCH_CASES` sets another.
fn n_calls() -> u64 {
    std::env::var(CASES)
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(20_000)
}

/// The number of calls on one tree.
const CALLS: usize = 120;

/// The calls that make the initial tree.
fn initial_calls() -> impl Iterator<Item = Call> {
    let dirs = ["a", "b", "a/b", "b/c"].map(|path| Call::CreateDir(3, path.to_owned()));
    let files = ["c", "a/a"].map(|path| Call::Open(3, 0, path.to_owned(), 1, 0, 0));
    dirs.into_iter().chain(files)
}

/// An overlay with the initial contents in its lower directory.
fn overlay(upper: impl IntoDir) -> Arc<dyn Dir> {
    let lower = MemoryFs::new();
    let mut guest = Guest::new(lower.clone().into_dir());
    for call in initial_calls() {
        outcome(&mut guest, &call).unwrap();
    }
    Overlay::new(&lower, upper).into_dir()
}

/// One of the compared filesystems.
struct Subject {
    name: &'static str,
    dir: Arc<dyn Dir>,
    guest: Guest,
}

impl Subject {
    fn new(name: &'static str, dir: impl IntoDir) -> Self {
        let dir = dir.into_dir();
        let guest = Guest::new(Arc::clone(&dir));
        Self { name, dir, guest }
    }

    /// The number of paths that were opened by one `openat2`.
    fn n_descents(&self) -> u64 {
        #[cfg(target_os = "linux")]
        if let Some(host) = (*self.dir).as_any().downcast_ref::<HostDir>() {
            return host.n_descents();
        }
        0
    }
}

/// What happened in all calls.
#[derive(Default)]
struct Totals {
    /// Calls that succeeded.
    n_succeeded: u64,
    /// Calls in which the directory of the host opened several components by one `openat2`.
    n_descents: u64,
}

/// Makes `n_calls` random calls on each filesystem.
fn compare(n_calls: u64) -> Totals {
    let temporary = tempfile::tempdir().unwrap();
    let outside = temporary.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "secret").unwrap();
    let before = snapshot(&outside);
    let mut totals = Totals::default();
    for seed in 0..n_calls / CALLS as u64 {
        let inside = temporary.path().join("inside");
        fs::create_dir(&inside).unwrap();
        let mut model = Model::new();
        let mut subjects = vec![
            Subject::new("memory", MemoryFs::new()),
            Subject::new("host", HostDir::open(&inside).unwrap()),
        ];
        for call in initial_calls() {
            model.call(&call).unwrap();
            for subject in &mut subjects {
                outcome(&mut subject.guest, &call).unwrap();
            }
        }
        if seed % 2 == 0 {
            let mut overlay = Subject::new("overlay", overlay(MemoryFs::new()));
            for path in ["c", "a/a"] {
                let open = Call::Open(3, 0, path.to_owned(), 0, 0, 0);
                outcome(&mut overlay.guest, &open).unwrap();
            }
            subjects.insert(0, overlay);
        }
        let mut rng = Rng(seed);
        let mut trace = Vec::new();
        for call in std::iter::repeat_with(|| Call::random(&mut rng)).take(CALLS) {
            let outcomes: Vec<_> = subjects
                .iter_mut()
                .map_while(|subject| match outcome(&mut subject.guest, &call) {
                    // An overlay cannot rename directories of its lower layer; the others skip such
                    // a rename.
                    Err(Errno::Xdev) if subject.name == "overlay" => None,
                    outcome => Some((subject.name, outcome)),
                })
                .collect();
            if outcomes.is_empty() {
                continue;
            }
            let expected = model.call(&call);
            totals.n_succeeded += u64::from(expected.is_ok());
            trace.push(format!("{call:?} -> {expected:?}"));
            for (name, outcome) in outcomes {
                assert_eq!(
                    outcome,
                    expected,
                    "{name} on the left, seed {seed}: {:#?}",
                    &trace[trace.len().saturating_sub(60)..]
                );
            }
        }
        for subject in &mut subjects {
            let name = subject.name;
            for fd in 3..12 {
                let names = names(&mut subject.guest, fd);
                assert_eq!(
                    names,
                    model.names(fd),
                    "{fd}, {name}, seed {seed}: {trace:#?}"
                );
            }
            let tree = tree(&*subject.dir);
            assert_eq!(tree, model.tree(), "{name}, seed {seed}: {trace:#?}");
        }
        totals.n_descents += subjects.iter().map(Subject::n_descents).sum::<u64>();
        drop(subjects);
        fs::remove_dir_all(&inside).unwrap();
        assert_eq!(snapshot(&outside), before, "seed {seed}: {trace:#?}");
    }
    totals
}

#[test]
fn g34_filesystems_agree_with_the_reference_implementation_and_change_nothing_outside() {
    let totals = compare(n_calls());
    let n_succeeded = totals.n_succeeded;
    assert!(
        n_succeeded * 6 > n_calls(),
        "only {n_succeeded} calls succeeded"
    );
    #[cfg(target_os = "linux")]
    match seccomp::is_without_openat2() {
        true => assert_eq!(totals.n_descents, 0),
        false => assert!(
            totals.n_descents * 100 > n_calls(),
            "only {} paths were opened by `openat2`, which Linux has since 5.6",
            totals.n_descents
        ),
    }
}

#[test]
#[cfg(target_os = "linux")]
fn g34_filesystems_agree_without_openat2() {
    let n_calls = (n_calls() / 10).to_string();
    let test = "g34_filesystems_agree_with_the_reference_implementation_and_change_nothing_outside";
    seccomp::test_without_openat2(&["--exact", test], test, &[(CASES, &n_calls)]);
}
