//! Frames and parts: what was encoded is decoded, and nothing else.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use rangewatch_bridge::{Frame, FrameBuilder, FrameError, LogItem, MAX_VALUE, Part, Parts};

fn encode(prev: Option<u64>, value: u64, entries: &[(Vec<u8>, Vec<u8>)]) -> Frame {
    let mut builder = FrameBuilder::new(prev, value);
    for (key, payload) in entries {
        builder.push(key, payload);
    }
    builder.finish()
}

fn entries() -> impl Strategy<Value = Vec<(Vec<u8>, Vec<u8>)>> {
    vec((vec(any::<u8>(), 0..200), vec(any::<u8>(), 0..300)), 0..8)
}

/// A value, and one below it or none.
fn values() -> impl Strategy<Value = (Option<u64>, u64)> {
    let value = prop_oneof![0..100_u64, 0..=MAX_VALUE, Just(MAX_VALUE)];
    (value, any::<u64>()).prop_map(|(value, below)| (below.checked_rem(value), value))
}

proptest! {
    #[test]
    fn a_frame_is_decoded_as_it_was_encoded((prev, value) in values(), entries in entries()) {
        let frame = encode(prev, value, &entries);
        let decoded = Frame::decode(frame.bytes().clone()).unwrap();
        prop_assert_eq!(&decoded, &frame);
        prop_assert_eq!((decoded.prev(), decoded.value()), (prev, value));
        prop_assert_eq!(decoded.n_keys(), entries.len());
        let expected = entries.iter().map(|(key, payload)| (&key[..], &payload[..]));
        prop_assert!(decoded.entries().eq(expected));
        prop_assert_eq!(Frame::peek(&frame.bytes()[..frame.bytes().len().min(25)]), Ok((prev, value)));
    }

    #[test]
    fn a_frame_that_was_changed_or_cut_is_refused(
        (prev, value) in values(),
        entries in entries(),
        at in any::<prop::sample::Index>(),
        bits in 1..=u8::MAX,
    ) {
        let bytes = encode(prev, value, &entries).bytes().to_vec();
        let at = at.index(bytes.len());
        let mut changed = bytes.clone();
        changed[at] ^= bits;
        prop_assert!(Frame::decode(changed.into()).is_err());
        prop_assert!(Frame::decode(bytes[..at].to_vec().into()).is_err());
        let longer = [&bytes[..], &[bits]].concat();
        prop_assert!(Frame::decode(longer.into()).is_err());
    }

    #[test]
    fn no_bytes_are_a_panic(bytes in vec(any::<u8>(), 0..100), checksum in any::<bool>()) {
        let mut bytes = bytes;
        if checksum && bytes.len() > 5 {
            // What lies behind a good checksum is reached, too.
            bytes[0] = 0xB1;
            let sum = crc32fast::hash(&bytes[5..]).to_le_bytes();
            bytes[1..5].copy_from_slice(&sum);
        }
        let _ = Frame::peek(&bytes);
        if let Ok(frame) = Frame::decode(bytes.into()) {
            prop_assert_eq!(frame.entries().count(), frame.n_keys());
            prop_assert!(frame.prev() < Some(frame.value()));
        }
    }

    #[test]
    fn parts_in_order_are_the_frame(
        (prev, value) in values(),
        entries in entries(),
        size in 1..500_usize,
    ) {
        let frame = encode(prev, value, &entries);
        let mut parts = Parts::new(1 << 20);
        let mut items = Vec::new();
        for (n, bytes, is_last) in Parts::split(&frame, size) {
            prop_assert!(items.is_empty());
            parts.push(Part { value, n, is_last, bytes }, String::new, &mut items);
        }
        prop_assert_eq!(items, [LogItem::Emit(frame)]);
        prop_assert!(!parts.is_unfinished());
    }
}

#[test]
fn frames_have_a_fixed_form() {
    let frame = encode(Some(298), 300, &[(b"ab".to_vec(), b"c".to_vec())]);
    let body = [0xac, 0x02, 2, 1, 2, b'a', b'b', 1, b'c'];
    let sum = crc32fast::hash(&body).to_le_bytes();
    assert_eq!(frame.bytes()[..], [&[0xB1][..], &sum, &body].concat());
}

#[test]
fn values_out_of_range_are_refused() {
    // 2^64 - 1, which a builder would not take.
    let body = [
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0, 0,
    ];
    let mut bytes = vec![0xB1];
    bytes.extend(crc32fast::hash(&body).to_le_bytes());
    bytes.extend(body);
    assert_eq!(Frame::decode(bytes.into()).unwrap_err(), FrameError::Value);
}

/// The bytes of two frames in three parts each.
fn two_in_parts() -> [Vec<Part>; 2] {
    [1, 2].map(|value| {
        let frame = encode(Some(value - 1), value, &[(vec![0; 20], vec![])]);
        let size = frame.bytes().len().div_ceil(3);
        let parts = Parts::split(&frame, size);
        parts
            .map(|(n, bytes, is_last)| Part {
                value,
                n,
                is_last,
                bytes,
            })
            .collect()
    })
}

#[test]
fn parts_that_do_not_follow_are_reported_and_those_after_them_are_read() {
    let [first, second] = two_in_parts();
    let cases: [(&str, Vec<Part>); 4] = [
        ("the end is missing", [&first[..2], &second[..]].concat()),
        (
            "the middle is missing",
            [&first[..1], &first[2..], &second[..]].concat(),
        ),
        (
            "the beginning is missing",
            [&first[1..], &second[..]].concat(),
        ),
        (
            "a part of another emit",
            [&first[..1], &second[1..2], &second[..]].concat(),
        ),
    ];
    for (what, parts) in cases {
        let mut reader = Parts::new(1 << 20);
        let mut items = Vec::new();
        for part in parts {
            reader.push(part, || "here".to_owned(), &mut items);
        }
        let last = items.pop();
        assert!(
            matches!(last, Some(LogItem::Emit(frame)) if frame.value() == 2),
            "{what}"
        );
        assert!(!items.is_empty(), "{what}");
        let is_foreign = |item: &LogItem| matches!(item, LogItem::Foreign(_));
        assert!(items.iter().all(is_foreign), "{what}: {items:?}");
    }
}

#[test]
fn a_frame_that_begins_again_is_read_without_a_report() {
    let [first, second] = two_in_parts();
    let mut parts = Parts::new(1 << 20);
    let mut items = Vec::new();
    for part in [&first[..2], &first[..1], &first[..], &second[..]].concat() {
        parts.push(part, || "here".to_owned(), &mut items);
    }
    let values = items.iter().map(|item| match item {
        LogItem::Emit(frame) => frame.value(),
        item => panic!("{item:?}"),
    });
    assert_eq!(values.collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn an_unfinished_frame_takes_bounded_memory() {
    let mut parts = Parts::new(100);
    let mut items = Vec::new();
    for n in 1..=10 {
        let bytes = Bytes::from(vec![0; 30]);
        parts.push(
            Part {
                value: 1,
                n,
                is_last: false,
                bytes,
            },
            String::new,
            &mut items,
        );
    }
    assert!(!parts.is_unfinished());
    assert!(
        matches!(items.first(), Some(LogItem::Foreign(entry)) if entry.reason.contains("100 bytes"))
    );
}
