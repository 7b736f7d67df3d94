//! `random_get`.

use std::io;

use rangewatch_wasi::{
    Errno, MAX_RANDOM_BYTES, Random, SeededRandom, SystemRandom, Wasi, preview1,
};

use crate::guest::{CANARY, Guest};

impl Guest {
    fn random(&mut self, buf: i32, buf_len: i32) -> Result<(), Errno> {
        self.block_on(|ctx, memory| preview1::random_get(ctx, memory, buf, buf_len))
    }
}

#[test]
fn the_buffer_is_filled_and_nothing_around_it() {
    struct Sevens;
    impl Random for Sevens {
        fn fill(&mut self, buf: &mut [u8]) -> io::Result<()> {
            buf.fill(7);
            Ok(())
        }
    }
    let mut guest = Guest::new(Wasi::builder().random(Sevens));
    assert_eq!(guest.random(100, 5000), Ok(()));
    assert_eq!(guest.bytes(99, 1), [CANARY]);
    assert!(guest.bytes(100, 5000).iter().all(|byte| *byte == 7));
    assert_eq!(guest.bytes(5100, 1), [CANARY]);
    assert_eq!(guest.random(0, 0), Ok(()));
}

#[test]
fn seeded_bytes_depend_on_the_seed_alone() {
    let draw = |seed| {
        let mut guest = Guest::new(Wasi::builder().random(SeededRandom::new(seed)));
        guest.random(0, 64).unwrap();
        guest.bytes(0, 64).to_vec()
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
    assert_ne!(draw(0), draw(1 << 63));
}

#[test]
fn seeded_bytes_are_the_chacha12_stream_of_the_published_test_vector() {
    // The key is all zeros, so the seed is 0: draft-strombergson-chacha-test-vectors-01, TC1,
    // 256-bit key, 12 rounds.
    let mut bytes = [0; 16];
    SeededRandom::new(0).fill(&mut bytes).unwrap();
    assert_eq!(
        bytes,
        [
            0x9b, 0xf4, 0x9a, 0x6a, 0x07, 0x55, 0xf9, 0x53, 0x81, 0x1f, 0xce, 0x12, 0x5f, 0x26,
            0x83, 0xd5
        ]
    );
}

#[test]
fn system_bytes_differ_between_guests_and_between_calls() {
    let mut draws = Vec::new();
    for _ in 0..2 {
        let mut guest = Guest::new(Wasi::builder().random(SystemRandom::new()));
        for _ in 0..2 {
            guest.random(0, 32).unwrap();
            draws.push(guest.bytes(0, 32).to_vec());
        }
    }
    draws.sort();
    draws.dedup();
    assert_eq!(draws.len(), 4);
}

#[test]
fn a_buffer_outside_of_the_memory_is_a_fault() {
    let mut guest = Guest::new(Wasi::builder());
    let end = guest.memory.len() as i32;
    for (buf, buf_len) in [
        (end, 1),
        (end - 1, 2),
        (0, -1),
        (-1, 1),
        (-1, -1),
        (i32::MAX, i32::MAX),
        (end + 1, 0),
    ] {
        assert_eq!(guest.random(buf, buf_len), Err(Errno::Fault));
    }
    assert_eq!(guest.random(end, 0), Ok(()));
    guest.assert_untouched();
}

#[test]
fn one_call_fills_no_more_than_the_limit() {
    let mut guest = Guest::new(Wasi::builder());
    guest.memory = vec![CANARY; MAX_RANDOM_BYTES as usize + 1];
    assert_eq!(
        guest.random(0, MAX_RANDOM_BYTES as i32 + 1),
        Err(Errno::Inval)
    );
    guest.assert_untouched();
    assert_eq!(guest.random(0, MAX_RANDOM_BYTES as i32), Ok(()));
}

#[test]
fn a_failing_source_chooses_its_errno() {
    struct FailingRandom(Option<Errno>);
    impl Random for FailingRandom {
        fn fill(&mut self, _buf: &mut [u8]) -> io::Result<()> {
            Err(self
                .0
                .map_or_else(|| io::Error::other("no entropy"), io::Error::from))
        }
    }
    let mut guest = Guest::new(Wasi::builder().random(FailingRandom(None)));
    assert_eq!(guest.random(0, 8), Err(Errno::Io));
    let mut guest = Guest::new(Wasi::builder().random(FailingRandom(Some(Errno::Again))));
    assert_eq!(guest.random(0, 8), Err(Errno::Again));
}
