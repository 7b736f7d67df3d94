//! G34 and parity: random calls have the same outcomes on a memory filesystem, a host directory, an
//! overlay and a reference implementation. They leave the same tree, and change nothing outside of
//! the directory.

mod call;
mod guest;
mod model;
mod rng;
#[cfg(target_os = "linux")]
#[path = "../seccomp/mod.rs"]
mod seccomp;
mod tree;

use std::fs;
use std::sync::Arc;

use rangewatch_wasi::Errno;
use rangewatch_wasi::fs::{Dir, HostDir, IntoDir, MemoryFs, Overlay};

use self::call::Call;
use self::guest::Guest;
use self::model::Model;
use self::rng::Rng;
use self::tree::{snapshot, tree};

/// The number of calls. Raise it for a longer search.
fn n_calls() -> u64 {
    std::env::var("RANGEWATCH_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(20_000)
}

/// How many calls are made on one tree.
const CALLS: usize = 120;

/// The initial contents of each tree.
fn beginning() -> impl Iterator<Item = Call> {
    let dirs = ["a", "b", "a/b", "b/c"].map(|path| Call::CreateDir(3, path.to_owned()));
    let files = ["c", "a/a"].map(|path| Call::Open(3, 0, path.to_owned(), 1, 0, 0));
    dirs.into_iter().chain(files)
}

/// An overlay with the initial contents in its lower directory.
fn overlay(upper: impl IntoDir) -> Arc<dyn Dir> {
    let lower = MemoryFs::new();
    let mut guest = Guest::new(&lower);
    for call in beginning() {
        guest.call(&call).unwrap();
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
}

/// Makes `n_calls` random calls on each filesystem. Returns how many succeeded.
fn in_step(n_calls: u64) -> usize {
    let temporary = tempfile::tempdir().unwrap();
    let outside = temporary.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "secret").unwrap();
    let before = snapshot(&outside);
    let mut agreed = 0;
    for seed in 0..n_calls / CALLS as u64 {
        let inside = temporary.path().join("inside");
        fs::create_dir(&inside).unwrap();
        let mut model = Model::new();
        let mut contenders = vec![
            Subject::new("memory", MemoryFs::new()),
            Subject::new("host", HostDir::open(&inside).unwrap()),
        ];
        for call in beginning() {
            model.call(&call).unwrap();
            for contender in &mut contenders {
                contender.guest.call(&call).unwrap();
            }
        }
        if seed % 2 == 0 {
            let mut overlay = Subject::new("overlay", overlay(MemoryFs::new()));
            for path in ["c", "a/a"] {
                let open = Call::Open(3, 0, path.to_owned(), 0, 0, 0);
                overlay.guest.call(&open).unwrap();
            }
            contenders.insert(0, overlay);
        }
        let mut rng = Rng(seed);
        let mut trace = Vec::new();
        for call in std::iter::repeat_with(|| Call::random(&mut rng)).take(CALLS) {
            let outcomes: Vec<_> = contenders
                .iter_mut()
                .map_while(|contender| match contender.guest.call(&call) {
                    // An overlay cannot rename directories of its lower layer; the others skip such
                    // a rename.
                    Err(Errno::Xdev) if contender.name == "overlay" => None,
                    outcome => Some((contender.name, outcome)),
                })
                .collect();
            if outcomes.is_empty() {
                continue;
            }
            let expected = model.call(&call);
            agreed += usize::from(expected.is_ok());
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
        for contender in &mut contenders {
            let name = contender.name;
            for fd in 3..12 {
                let names = contender.guest.names(fd);
                assert_eq!(
                    names,
                    model.names(fd),
                    "{fd}, {name}, seed {seed}: {trace:#?}"
                );
            }
            let tree = tree(&*contender.dir);
            assert_eq!(tree, model.tree(), "{name}, seed {seed}: {trace:#?}");
        }
        drop(contenders);
        fs::remove_dir_all(&inside).unwrap();
        assert_eq!(snapshot(&outside), before, "seed {seed}: {trace:#?}");
    }
    agreed
}

#[test]
fn g34_all_filesystems_agree_with_a_model_on_random_calls_and_nothing_outside_changes() {
    let agreed = in_step(n_calls()) as u64;
    assert!(agreed * 6 > n_calls(), "only {agreed} calls succeeded");
}

#[test]
#[cfg(target_os = "linux")]
fn g34_filesystems_agree_without_openat2() {
    seccomp::forbid_openat2();
    in_step(n_calls() / 10);
}
