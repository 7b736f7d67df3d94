//! Arbitrary operations on arbitrary paths: a memory filesystem and a host directory agree, and
//! nothing outside changes.

use std::fs;
use std::sync::Arc;

use arbitrary::Unstructured;
use rangewatch_wasi::fs::conformance::guest::Guest;
use rangewatch_wasi::fs::{Dir, HostDir, IntoDir, MemoryFs};

use crate::call::{Call, Choices};
use crate::outcome::{names, outcome};
use crate::tree::{snapshot, tree};

/// The maximum number of calls per input: longer inputs are seldom better.
const MAX_CALLS: usize = 100;

/// The descriptors whose listings are compared.
const DESCRIPTORS: std::ops::Range<i32> = 3..12;

/// Choices that the input encodes. An input that has ended always chooses the first alternative.
struct Chosen<'a, 'b>(&'a mut Unstructured<'b>);

impl Choices for Chosen<'_, '_> {
    fn next(&mut self, end: usize) -> usize {
        self.0.choose_index(end).unwrap_or_default()
    }

    fn path(&mut self) -> String {
        const NAMES: [&str; 6] = ["a", "b", "c", ".", "..", "outside"];
        let mut path = String::new();
        loop {
            match self.next(20) {
                0..=7 => path.push_str(self.pick(&NAMES)),
                8..=12 => path.push('/'),
                // An arbitrary path: one byte for its length, then the bytes.
                13 => path.push_str(self.0.arbitrary::<&str>().unwrap_or_default()),
                14 => path.push_str(&"x".repeat(self.next(300))),
                _ => return path,
            }
            if self.0.is_empty() || path.len() > 8_000 / 2 {
                return path;
            }
        }
    }
}

/// Makes the calls that the input encodes.
///
/// # Panics
///
/// When the two filesystems disagree.
pub fn run(input: &[u8]) {
    let mut input = Unstructured::new(input);
    let temporary = tempfile::tempdir().expect("a temporary directory");
    let (inside, outside) = (
        temporary.path().join("inside"),
        temporary.path().join("outside"),
    );
    fs::create_dir(&inside).expect("a directory");
    fs::create_dir(&outside).expect("a directory");
    fs::write(outside.join("secret"), "secret").expect("a file");
    let host: Arc<dyn Dir> = HostDir::open(&inside).expect("it was made").into_dir();
    let memory = MemoryFs::new().into_dir();
    let mut guests = [Arc::clone(&host), Arc::clone(&memory)].map(Guest::new);
    let mut made = Vec::new();
    while !input.is_empty() && made.len() < MAX_CALLS {
        let call = Call::random(&mut Chosen(&mut input));
        let [host, memory] = guests.each_mut().map(|guest| outcome(guest, &call));
        made.push(call);
        assert_eq!(host, memory, "the host on the left, after {made:#?}");
    }
    for fd in DESCRIPTORS {
        let [host, memory] = guests.each_mut().map(|guest| names(guest, fd));
        assert_eq!(host, memory, "{fd}, the host on the left, after {made:#?}");
    }
    assert_eq!(
        tree(&*host),
        tree(&*memory),
        "the host on the left, after {made:#?}"
    );
    let around = fs::read_dir(temporary.path()).expect("it is there");
    assert_eq!(around.count(), 2, "after {made:#?}");
    let secret = (
        outside.join("secret").display().to_string(),
        b"secret".to_vec(),
    );
    assert_eq!(snapshot(&outside), [secret], "after {made:#?}");
}
