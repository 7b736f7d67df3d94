//! The keys that a selector selects, and its textual form.

mod cases;

use std::ops::RangeBounds;

use proptest::collection::vec;
use proptest::prelude::*;
use rangewatch_bus::{
    EmptyRangeError, KeyRange, ParseSelectorError, RangeWatchBus, Selector, Selectors,
    SubscribeError, TryRecvError,
};

/// The reference implementation: the definition of each selector.
fn selects(selector: &Selector, key: &[u8]) -> bool {
    let key = key.to_vec();
    match selector {
        Selector::Key(only) => key == only.to_vec(),
        Selector::Range { from, to } => from.to_vec() <= key && key < to.to_vec(),
        Selector::From(from) => from.to_vec() <= key,
        Selector::Prefix(prefix) => key.len() >= prefix.len() && key[..prefix.len()] == **prefix,
        Selector::All => true,
        other => panic!("{other} is new: say what it means"),
    }
}

proptest! {
    #![proptest_config(cases::config())]

    #[test]
    fn the_ranges_of_selectors_hold_the_selected_keys_once_in_order(
        selectors in vec(cases::selector(), 0..5),
        keys in vec(cases::key(), 0..20),
    ) {
        let ranges = selectors.iter().collect::<Selectors>().ranges();
        for key in &keys {
            let n_holding = ranges.iter().filter(|range| range.contains(key)).count();
            let is_selected = selectors.iter().any(|selector| selects(selector, key));
            prop_assert_eq!(n_holding, usize::from(is_selected), "{:?}", key);
            for range in &ranges {
                let is_inside = RangeBounds::<[u8]>::contains(&range.bounds(), key.as_slice());
                prop_assert_eq!(is_inside, range.contains(key));
            }
        }
        for two in ranges.windows(2) {
            prop_assert!(two[0].end().is_some_and(|end| end < two[1].start()));
        }
    }

    #[test]
    fn g10_a_subscription_gets_an_emit_iff_a_key_lies_in_a_selector(
        watched in vec(vec(cases::selector(), 0..5), 1..4),
        emits in vec(vec(cases::key(), 0..5), 1..4),
    ) {
        let bus = RangeWatchBus::new();
        let mut subscriptions: Vec<_> = watched
            .iter()
            .map(|selectors| {
                let events = bus.subscribe(selectors).events(1).unwrap();
                (events, bus.subscribe(selectors).wake().unwrap())
            })
            .collect();
        for (value, keys) in (0..).zip(&emits) {
            let mut n_matched = 0;
            let emitted = bus.emit(value, keys).unwrap();
            for (selectors, (events, wake)) in watched.iter().zip(&mut subscriptions) {
                let expected: Vec<&[u8]> = keys
                    .iter()
                    .filter(|key| selectors.iter().any(|selector| selects(selector, key)))
                    .map(Vec::as_slice)
                    .collect();
                if expected.is_empty() {
                    prop_assert_eq!(events.try_recv(), Err(TryRecvError::Empty));
                    prop_assert!(wake.try_recv().is_err());
                } else {
                    let event = events.try_recv().unwrap();
                    prop_assert_eq!((event.seq(), event.value()), (emitted.seq(), value));
                    prop_assert_eq!(event.keys().collect::<Vec<_>>(), expected);
                    prop_assert_eq!(wake.try_recv().unwrap().count(), 1);
                    n_matched += 2;
                }
            }
            prop_assert_eq!(emitted.matched(), n_matched);
        }
    }

    #[test]
    fn g10_every_form_of_a_selector_selects_the_same(
        selectors in vec(cases::selector(), 0..5),
        keys in vec(cases::key(), 1..8),
    ) {
        let bus = RangeWatchBus::new();
        let normal = bus.subscribe(&selectors).wake().unwrap().selectors();
        for key in &keys {
            let expected = selectors.iter().any(|selector| selects(selector, key));
            prop_assert_eq!(Selectors::from(&selectors).matches(key), expected);
            prop_assert_eq!(normal.matches(key), expected);
            for selector in &selectors {
                prop_assert_eq!(selector.matches(key), selects(selector, key));
                let range = KeyRange::try_from(selector).unwrap();
                prop_assert_eq!(range.contains(key), selects(selector, key));
            }
            // Disjoint: no key is selected twice.
            prop_assert!(normal.iter().filter(|selector| selector.matches(key)).count() <= 1);
        }
    }

    #[test]
    fn g10_an_inclusive_end_is_selected_and_nothing_above_it(
        from in cases::key(),
        last in cases::key(),
        keys in vec(cases::key(), 1..8),
    ) {
        let mut above = last.clone();
        above.push(0);
        for key in keys.iter().chain([&from, &last, &above]) {
            let range = Selector::from(from.clone()..=last.clone());
            prop_assert_eq!(range.matches(key), from <= *key && *key <= last);
            prop_assert_eq!(KeyRange::try_from(&range).is_ok(), from <= last);
            let up_to = Selector::from(..=last.clone());
            prop_assert_eq!(up_to.matches(key), *key <= last);
        }
    }

    #[test]
    fn a_selector_reads_back_what_it_writes(
        bytes in vec(any::<u8>(), 0..6),
        other in cases::key(),
    ) {
        let selectors = [
            Selector::key(&bytes),
            Selector::from_key(&bytes),
            Selector::prefix(&bytes),
            Selector::range(&bytes, &other),
            Selector::range(&other, &bytes),
            Selector::all(),
        ];
        for selector in selectors {
            prop_assert_eq!(selector.to_string().parse(), Ok(selector));
        }
    }

    #[test]
    fn parsing_a_selector_never_panics(text in ".{0,12}") {
        for form in ["", "key:", "range:", "from:", "prefix:"] {
            let _ = format!("{form}{text}").parse::<Selector>();
        }
    }
}

#[test]
fn g10_bounds_are_half_open_and_bytes_are_unsigned() {
    let range = Selector::range([0x7f], [0x80, 0x00]);
    for (key, selected) in [
        (&[0x7e, 0xff][..], false),
        (&[0x7f], true),
        (&[0x7f, 0xff, 0xff], true),
        (&[0x80], true),
        (&[0x80, 0x00], false),
        (&[0x80, 0x00, 0x00], false),
        (&[], false),
    ] {
        assert_eq!(received(&range, key), selected, "{key:?}");
    }
}

#[test]
fn g10_a_prefix_of_all_ff_has_no_end() {
    let prefix = Selector::prefix([0xff, 0xff]);
    for (key, selected) in [
        (&[0xff][..], false),
        (&[0xff, 0xfe, 0xff], false),
        (&[0xff, 0xff], true),
        (&[0xff, 0xff, 0xff, 0xff, 0xff], true),
    ] {
        assert_eq!(received(&prefix, key), selected, "{key:?}");
    }
    assert!(!received(&Selector::prefix([b'a', 0xff]), b"b"));
    assert!(received(
        &Selector::prefix([b'a', 0xff]),
        &[b'a', 0xff, 0xff]
    ));
}

#[test]
fn g10_the_empty_key_is_a_key() {
    for selector in [
        Selector::key(""),
        Selector::prefix(""),
        Selector::from_key(""),
        Selector::all(),
        (.."a").into(),
    ] {
        assert!(received(&selector, b""), "{selector}");
    }
    assert!(!received(&Selector::key(""), b"\0"));
    assert!(!received(&Selector::from_key("\0"), b""));
}

#[test]
fn g10_nul_bytes_are_bytes() {
    assert!(!received(&Selector::key("a"), b"a\0"));
    assert!(received(&Selector::key("a\0"), b"a\0"));
    assert!(received(&Selector::range("a", "a\0"), b"a"));
    assert!(!received(&Selector::range("a", "a\0"), b"a\0"));
    assert!(received(&Selector::prefix("\0"), b"\0\0"));
}

#[test]
fn g10_an_inclusive_range_holds_both_its_ends() {
    for (selector, normal) in [
        (Selector::from("a"..="m"), "range:a..m\\x00"),
        (Selector::from("a"..="a"), "key:a"),
        (Selector::from(""..=""), "key:"),
        (Selector::from([0xff]..=[0xff]), "key:\\xff"),
        (Selector::from(..="m"), "range:..m\\x00"),
        (Selector::from(..=""), "key:"),
    ] {
        let bus = RangeWatchBus::new();
        let watched = bus.subscribe(&selector).wake().unwrap().selectors();
        assert_eq!(watched.as_slice(), [normal.parse().unwrap()]);
    }
    let up_to_ff = Selector::from("a".as_bytes()..=&[0xff]);
    assert!(received(&up_to_ff, b"a") && received(&up_to_ff, &[0xff]));
    assert!(!received(&up_to_ff, &[0xff, 0x00]));
}

#[test]
fn g26_an_inverted_inclusive_range_is_an_error() {
    let bus = RangeWatchBus::new();
    for range in ["b"..="a", "a\0"..="a", "a"..=""] {
        let refused = bus.subscribe(range).wake();
        assert!(matches!(refused, Err(SubscribeError::EmptyRange { .. })));
    }
}

#[test]
fn selectors_are_merged_into_the_plainest_normal_form() {
    for (given, normal) in [
        (&["range:a..c", "range:b..d"][..], "range:a..d"),
        (&["range:a..b", "range:b..d"], "range:a..d"),
        (&["key:c", "prefix:a", "key:c", "key:abc"], "prefix:a,key:c"),
        (&["prefix:a", "key:b"], "range:a..b\\x00"),
        (&["from:x", "range:a..y"], "from:a"),
        (&["from:b", "range:..b"], "all"),
        (&["prefix:"], "all"),
        (&["prefix:\\xff"], "from:\\xff"),
        (&["range:a..a\\x00"], "key:a"),
        (&[], ""),
    ] {
        let bus = RangeWatchBus::new();
        let given: Selectors = given
            .iter()
            .map(|text| text.parse::<Selector>().unwrap())
            .collect();
        let wake = bus.subscribe(&given).wake().unwrap().selectors();
        let events = bus.subscribe(&given).events(1).unwrap().selectors();
        let text: Vec<_> = wake.iter().map(ToString::to_string).collect();
        assert_eq!(text.join(","), normal, "{given:?}");
        assert_eq!(wake, events);
    }
}

#[test]
fn everything_that_is_bytes_converts_without_ceremony() {
    let bus = RangeWatchBus::new();
    let a_to_m = Selector::range("a", "m");
    for selectors in [
        Selectors::from("a".."m"),
        (b"a"..b"m").into(),
        (b"a".as_slice()..b"m".as_slice()).into(),
        (vec![b'a']..vec![b'm']).into(),
        ("a".to_owned().."m".to_owned()).into(),
        (bytes::Bytes::from("a")..bytes::Bytes::from("m")).into(),
        (&a_to_m).into(),
        a_to_m.clone().into(),
        ["a".."m"].into(),
        [&a_to_m].into(),
        vec!["a".."m"].into(),
        (&vec![a_to_m.clone()]).into(),
        std::array::from_ref(&a_to_m).into(),
        std::slice::from_ref(&a_to_m).into(),
        std::iter::once("a".."m").collect(),
    ] {
        assert_eq!(selectors.as_slice(), std::slice::from_ref(&a_to_m));
        assert!(bus.subscribe(selectors).wake().is_ok());
    }
    assert_eq!(Selector::all(), (..).into());
    assert_eq!(Selector::from_key("a"), Selector::from("a"..));
    assert_eq!(Selector::range("", "m"), (.."m").into());
    assert_eq!(Selector::range("a", "m\0"), ("a"..="m").into());
    assert_eq!(Selector::range("", "m\0"), (..="m").into());
}

#[test]
fn a_selector_is_written_as_the_command_line_writes_it() {
    for (text, selector) in [
        ("key:/a", Selector::key("/a")),
        ("key:", Selector::key("")),
        ("key:a:b", Selector::key("a:b")),
        ("prefix:/registry/", Selector::prefix("/registry/")),
        ("range:a..m", Selector::range("a", "m")),
        ("range:a..m..z", Selector::range("a", "m..z")),
        ("range:a\\x2e..b", Selector::range("a.", "b")),
        ("from:é", Selector::from_key("é")),
        ("all", Selector::all()),
        ("key:\\x00\\xff\\\\", Selector::key(b"\0\xff\\")),
    ] {
        assert_eq!(text.parse(), Ok(selector.clone()), "{text}");
        assert_eq!(selector.to_string(), text);
    }
}

#[test]
fn g26_a_text_that_is_no_selector_is_an_error_that_lists_the_forms() {
    for text in [
        "",
        "a",
        "ALL",
        "all:",
        "pods:x",
        "range:a-b",
        "key:\\",
        "key:\\x4",
        "key:\\xgg",
        "from:\\n",
    ] {
        let error = text.parse::<Selector>().unwrap_err();
        let message = error.to_string();
        for form in ["key:K", "range:A..B", "from:A", "prefix:P"] {
            assert!(message.contains(form), "{message}");
        }
        assert!(message.contains(text), "{message}");
    }
    assert!(matches!(
        "range:a".parse::<Selector>(),
        Err(ParseSelectorError::MissingDots { .. })
    ));
    assert!(matches!(
        "key:\\q".parse::<Selector>(),
        Err(ParseSelectorError::BadEscape { .. })
    ));
}

#[test]
fn g26_an_empty_or_inverted_range_is_an_error_that_names_its_bounds() {
    for (from, to) in [("a", "a"), ("b", "a"), ("", ""), ("a\0", "a")] {
        let EmptyRangeError {
            from: start,
            to: end,
            ..
        } = KeyRange::new(from, to).unwrap_err();
        assert_eq!((&*start, &*end), (from.as_bytes(), to.as_bytes()));
        let message = KeyRange::new(from, to).unwrap_err().to_string();
        assert!(message.contains("give an end above the start"), "{message}");
    }
}

/// Whether a subscription to `selector` receives an emit of `key`.
fn received(selector: &Selector, key: &[u8]) -> bool {
    let bus = RangeWatchBus::new();
    let mut sub = bus.subscribe(selector).wake().unwrap();
    let emitted = bus.emit(1, [key]).unwrap();
    let received = sub.try_recv().is_ok();
    assert_eq!(emitted.matched(), usize::from(received));
    received
}
