//! Generation 2 of the guest ABI through the SDKs: queued emits, batches and groups.

use std::collections::BTreeSet;

use integration_tests::{Session, Trace, guests, on_each_backend};
use rangewatch::{Runtime, Val};
use rangewatch_guest::abi;
use wasmparser::{Parser, Payload};

use super::languages::{Language, in_each_language};

in_each_language! {
    what_is_queued_is_emitted_by_the_flush,
    keys_that_do_not_fit_the_buffer_are_one_emit,
    the_sdk_has_a_variant_for_every_error_of_generation_2,
    every_value_of_every_watch_is_delivered,
    ranges_match_their_keys,
    what_matches_before_the_start_is_held,
    values_that_do_not_fit_one_batch_arrive_in_order,
    groups_have_ids_of_their_own_and_end_with_their_watches,
    a_handler_may_flush_into_its_own_range,
    a_handler_may_stop_a_watch_and_use_a_group,
    a_handler_that_fails_loses_the_watches_of_its_batch,
    a_verb_that_fails_in_a_batch_does_not_fail_the_handler,
}

on_each_backend! {
    a_panic_in_a_batch_is_reported_with_its_text,
}

const EMIT: i32 = 1;
const STOP: i32 = 2;
const FOLLOW_IN_GROUP: i32 = 3;
const FAIL: i32 = 4;
const FAIL_INSIDE: i32 = 5;
/// The mode in which the handler panics.
pub(crate) const PANIC: i32 = 6;

const GROUP_NOT_FOUND: i32 = 11;

/// The guest of this language.
pub(crate) async fn notices(runtime: &dyn Runtime, language: Language) -> Session {
    let wasm = language.choose(guests::NOTICES, guests::NOTICES_C, guests::NOTICES_GO);
    language.session(runtime, wasm, |builder| builder).await
}

async fn call(guest: &mut Session, export: &str, args: &[i32]) -> i32 {
    let args: Vec<_> = args.iter().copied().map(Val::I32).collect();
    match guest.call(export, &args).await.as_deref() {
        Some([Val::I32(result)]) => *result,
        other => panic!("{export} gave {other:?}"),
    }
}

async fn queue(guest: &mut Session, value: i64, key: i32) {
    let queued = guest.call("queue", &[Val::I64(value), Val::I32(key)]).await;
    assert_eq!(queued, Some(vec![Val::I32(0)]));
}

/// Sets what the handler does.
pub(crate) async fn set_mode(guest: &mut Session, mode: i32, arg: i32) {
    guest
        .call("set_mode", &[Val::I32(mode), Val::I32(arg)])
        .await
        .expect("no trap");
}

/// The values and ids of all notices; those of one value are sorted.
async fn received(guest: &mut Session) -> Vec<(i64, i32)> {
    let mut all = Vec::new();
    for index in 0..call(guest, "n_received", &[]).await {
        let value = guest.call("received_value", &[Val::I32(index)]).await;
        let Some([Val::I64(value)]) = value.as_deref() else {
            panic!("received_value gave no i64");
        };
        let value = *value;
        all.push((value, guest.code("received_id", index).await));
    }
    all.chunk_by_mut(|(a, _), (b, _)| a == b)
        .for_each(<[_]>::sort_unstable);
    all
}

/// The emits in the trace from a line on, without their sequence numbers.
fn emits(guest: &Session, from: usize) -> Vec<String> {
    let emits = guest.since(from).iter().filter_map(|line| {
        let (_seq, emit) = line.strip_prefix("emit ")?.split_once(' ')?;
        Some(emit.to_owned())
    });
    emits.collect()
}

async fn what_is_queued_is_emitted_by_the_flush(
    runtime: &dyn Runtime,
    language: Language,
) -> Trace {
    let mut guest = notices(runtime, language).await;
    queue(&mut guest, 1, 0).await;
    queue(&mut guest, 1, 1).await;
    queue(&mut guest, i64::MAX, 2).await;
    assert!(emits(&guest, 0).is_empty());
    assert_eq!(call(&mut guest, "flush", &[]).await, 0);
    let flushed = emits(&guest, 0);
    assert_eq!(
        flushed,
        [r#"1 ["ka", "kb"]"#, r#"9223372036854775807 ["kc"]"#]
    );
    let before = guest.len();
    queue(&mut guest, 3, 0).await;
    for export in ["clear", "flush", "clear"] {
        assert_eq!(call(&mut guest, export, &[]).await, 0);
    }
    assert!(emits(&guest, before).is_empty());
    guest.trace()
}

async fn keys_that_do_not_fit_the_buffer_are_one_emit(
    runtime: &dyn Runtime,
    language: Language,
) -> Trace {
    let mut guest = notices(runtime, language).await;
    let args = [Val::I64(5), Val::I32(40)];
    let queued = guest.call("queue_long", &args).await;
    assert_eq!(queued, Some(vec![Val::I32(0)]));
    assert_eq!(call(&mut guest, "flush", &[]).await, 0);
    let emits = emits(&guest, 0);
    assert_eq!(emits.len(), 1);
    let key = format!("{:?}", "k".repeat(1_000));
    assert!(emits[0].starts_with("5 ["));
    assert_eq!(emits[0].matches(&key).count(), 40);
    guest.trace()
}

async fn the_sdk_has_a_variant_for_every_error_of_generation_2(
    runtime: &dyn Runtime,
    language: Language,
) -> Trace {
    let mut guest = notices(runtime, language).await;
    let script: [(&str, &[i32], i32); 15] = [
        ("start", &[1], 2),
        ("stop", &[1], 2),
        ("reserve", &[1], 0),
        ("reserve", &[1], 1),
        ("open", &[1], 0),
        ("open", &[1], 3),
        ("start", &[1], 0),
        ("start", &[1], 0),
        ("stop", &[1], 0),
        ("open_range", &[1, 2, 1], 6),
        ("group_stop", &[0], GROUP_NOT_FOUND),
        ("group_start", &[0], 0),
        ("group_stop", &[0], 0),
        ("group_start_long", &[16_384], 0),
        ("group_start_long", &[16_385], 5),
    ];
    for (verb, args, code) in script {
        let trace = format!("{:?}", guest.since(0));
        assert_eq!(call(&mut guest, verb, args).await, code, "{verb}: {trace}");
    }
    guest.bus.close();
    assert_eq!(call(&mut guest, "open", &[2]).await, 4);
    assert_eq!(call(&mut guest, "register", &[]).await, 8);
    guest.trace()
}

async fn every_value_of_every_watch_is_delivered(
    runtime: &dyn Runtime,
    language: Language,
) -> Trace {
    let mut guest = notices(runtime, language).await;
    assert_eq!(call(&mut guest, "follow", &[0]).await, 0);
    assert_eq!(call(&mut guest, "follow", &[1]).await, 0);
    for value in 1..=3 {
        guest.emit(value, "ka");
    }
    guest.emit(4, "x");
    assert_eq!(guest.drive().await, Ok(1));
    assert_eq!(call(&mut guest, "n_batches", &[]).await, 1);
    let expected = [(1, 0), (1, 1), (2, 0), (2, 1), (3, 0), (3, 1)];
    assert_eq!(received(&mut guest).await, expected);
    assert_eq!(guest.drive().await, Ok(0));
    guest.trace()
}

async fn ranges_match_their_keys(runtime: &dyn Runtime, language: Language) -> Trace {
    let mut guest = notices(runtime, language).await;
    assert_eq!(call(&mut guest, "open_key", &[0, 1]).await, 0);
    assert_eq!(call(&mut guest, "open_range", &[1, 1, 3]).await, 0);
    assert_eq!(call(&mut guest, "open", &[2]).await, 0);
    for id in 0..3 {
        assert_eq!(call(&mut guest, "start", &[id]).await, 0);
    }
    for (value, key) in ["ka", "kb", "kbz", "kc", "kd", "l"].iter().enumerate() {
        guest.emit(value as u64, key);
    }
    guest.drive().await.expect("an instance");
    let expected = [
        (0, 2),
        (1, 0),
        (1, 1),
        (1, 2),
        (2, 1),
        (2, 2),
        (3, 1),
        (3, 2),
        (4, 2),
    ];
    assert_eq!(received(&mut guest).await, expected);
    guest.trace()
}

async fn what_matches_before_the_start_is_held(runtime: &dyn Runtime, language: Language) -> Trace {
    let mut guest = notices(runtime, language).await;
    assert_eq!(call(&mut guest, "reserve", &[0]).await, 0);
    guest.emit(1, "ka");
    assert_eq!(call(&mut guest, "open", &[0]).await, 0);
    guest.emit(2, "ka");
    guest.emit(3, "ka");
    assert_eq!(guest.drive().await, Ok(0));
    assert_eq!(call(&mut guest, "start", &[0]).await, 0);
    guest.emit(4, "ka");
    assert_eq!(guest.drive().await, Ok(1));
    assert_eq!(received(&mut guest).await, [(2, 0), (3, 0), (4, 0)]);
    guest.trace()
}

async fn values_that_do_not_fit_one_batch_arrive_in_order(
    runtime: &dyn Runtime,
    language: Language,
) -> Trace {
    let mut guest = notices(runtime, language).await;
    assert_eq!(call(&mut guest, "follow", &[0]).await, 0);
    for value in 0..1_500 {
        guest.emit(value, "ka");
    }
    guest.drive().await.expect("an instance");
    assert!(call(&mut guest, "n_batches", &[]).await > 1);
    let expected: Vec<_> = (0..1_500).map(|value| (value, 0)).collect();
    assert_eq!(received(&mut guest).await, expected);
    guest.trace()
}

async fn groups_have_ids_of_their_own_and_end_with_their_watches(
    runtime: &dyn Runtime,
    language: Language,
) -> Trace {
    let mut guest = notices(runtime, language).await;
    assert_eq!(call(&mut guest, "follow", &[0]).await, 0);
    for group in 0..2 {
        assert_eq!(call(&mut guest, "follow_in", &[group, 0]).await, 0);
        assert_eq!(call(&mut guest, "follow_in", &[group, 0]).await, 3);
    }
    assert_eq!(guest.guest.n_watches(), 3);
    guest.emit(1, "ka");
    assert_eq!(guest.drive().await, Ok(3), "a batch for each group");
    assert_eq!(received(&mut guest).await, [(1, 0); 3]);
    assert_eq!(call(&mut guest, "stop_in", &[0, 0]).await, 0);
    assert_eq!(call(&mut guest, "stop_in", &[0, 0]).await, 2);
    guest.emit(2, "ka");
    assert_eq!(call(&mut guest, "group_stop", &[1]).await, 0);
    assert_eq!(call(&mut guest, "group_stop", &[1]).await, GROUP_NOT_FOUND);
    assert_eq!(guest.guest.n_watches(), 1);
    assert_eq!(
        call(&mut guest, "start", &[0]).await,
        0,
        "outside of groups"
    );
    assert_eq!(guest.drive().await, Ok(1));
    guest.trace()
}

async fn a_handler_may_flush_into_its_own_range(
    runtime: &dyn Runtime,
    language: Language,
) -> Trace {
    let mut guest = notices(runtime, language).await;
    assert_eq!(call(&mut guest, "follow", &[0]).await, 0);
    set_mode(&mut guest, EMIT, 3).await;
    guest.emit(10, "kb");
    assert_eq!(guest.drive().await, Ok(4));
    let expected = [(10, 0), (11, 0), (12, 0), (13, 0)];
    assert_eq!(received(&mut guest).await, expected);
    guest.trace()
}

async fn a_handler_may_stop_a_watch_and_use_a_group(
    runtime: &dyn Runtime,
    language: Language,
) -> Trace {
    let mut guest = notices(runtime, language).await;
    assert_eq!(call(&mut guest, "follow", &[0]).await, 0);
    set_mode(&mut guest, FOLLOW_IN_GROUP, 0).await;
    guest.emit(1, "ka");
    assert_eq!(guest.drive().await, Ok(1));
    assert_eq!(call(&mut guest, "last_code", &[]).await, 0);
    assert_eq!(guest.guest.n_watches(), 2);
    // In a batch of the guest's own group and in one of the group, its own watch.
    set_mode(&mut guest, STOP, 0).await;
    guest.emit(2, "ka");
    assert_eq!(guest.drive().await, Ok(2));
    assert_eq!(call(&mut guest, "last_code", &[]).await, 0);
    assert_eq!(guest.guest.n_watches(), 0);
    guest.trace()
}

async fn a_handler_that_fails_loses_the_watches_of_its_batch(
    runtime: &dyn Runtime,
    language: Language,
) -> Trace {
    let mut guest = notices(runtime, language).await;
    assert_eq!(call(&mut guest, "follow", &[0]).await, 0);
    assert_eq!(call(&mut guest, "follow_in", &[0, 0]).await, 0);
    assert_eq!(call(&mut guest, "open_key", &[1, 1]).await, 0);
    assert_eq!(call(&mut guest, "start", &[1]).await, 0);
    // The group has a batch of its own, which fails as well.
    set_mode(&mut guest, FAIL, 0).await;
    guest.emit(1, "ka");
    guest.emit(2, "ka");
    assert_eq!(guest.drive().await, Ok(2));
    assert_eq!(guest.guest.n_watches(), 1, "the one that did not match");
    assert_eq!(call(&mut guest, "stop", &[0]).await, 2);
    assert_eq!(call(&mut guest, "stop", &[1]).await, 0);
    let trace = guest.trace();
    let reported = |line: &&String| line.ends_with("=1: reported the guest fails on purpose");
    assert_eq!(trace.iter().filter(reported).count(), 2, "{trace:?}");
    trace
}

async fn a_verb_that_fails_in_a_batch_does_not_fail_the_handler(
    runtime: &dyn Runtime,
    language: Language,
) -> Trace {
    let mut guest = notices(runtime, language).await;
    assert_eq!(call(&mut guest, "follow", &[0]).await, 0);
    set_mode(&mut guest, FAIL_INSIDE, 0).await;
    guest.emit(1, "ka");
    assert_eq!(guest.drive().await, Ok(1));
    let code = call(&mut guest, "last_code", &[]).await;
    assert_eq!(code, GROUP_NOT_FOUND);
    assert_eq!(guest.guest.n_watches(), 1);
    guest.trace()
}

async fn a_panic_in_a_batch_is_reported_with_its_text(runtime: &dyn Runtime) -> Trace {
    let (line, trace) = panicked(runtime, Language::Rust).await;
    assert!(
        line.starts_with("recv =1: trap Unreachable in __range_watch_recv: panicked at ")
            && line.ends_with("the guest panics on purpose"),
        "{line}"
    );
    trace
}

/// What is reported of a handler that panics, and the trace.
pub(crate) async fn panicked(runtime: &dyn Runtime, language: Language) -> (String, Trace) {
    let mut guest = notices(runtime, language).await;
    assert_eq!(call(&mut guest, "follow", &[0]).await, 0);
    set_mode(&mut guest, PANIC, 0).await;
    guest.emit(1, "ka");
    let before = guest.len();
    // The watch stays, and there is no instance for its next batch.
    assert_eq!(guest.drive().await, Err("gone".to_owned()));
    (guest.since(before)[1].clone(), guest.trace())
}

/// The names that a guest imports from the modules of the ABI, with their modules.
fn watch_imports(wasm: &[u8]) -> BTreeSet<(&str, &str)> {
    let mut imports = BTreeSet::new();
    for payload in Parser::new(0).parse_all(wasm) {
        if let Payload::ImportSection(section) = payload.expect("a valid module") {
            for import in section.into_imports() {
                let import = import.expect("a valid import");
                if import.name.starts_with("__range_watch") {
                    imports.insert((import.module, import.name));
                }
            }
        }
    }
    imports
}

/// A guest that uses all of one generation imports that, and nothing of the other.
#[test]
fn a_guest_of_one_generation_imports_nothing_of_the_other() {
    let first = abi::IMPORTS.map(|name| (abi::IMPORT_MODULE, name));
    let second = abi::gen2::IMPORTS.map(|name| (abi::gen2::IMPORT_MODULE, name));
    for watcher in [guests::WATCHER, guests::WATCHER_C, guests::WATCHER_GO] {
        assert_eq!(watch_imports(watcher), BTreeSet::from(first));
    }
    for notices in [guests::NOTICES, guests::NOTICES_C, guests::NOTICES_GO] {
        assert_eq!(watch_imports(notices), BTreeSet::from(second));
    }
}
