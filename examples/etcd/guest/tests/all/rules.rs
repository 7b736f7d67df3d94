//! Rules that random operations do not reach, and those that a reader looks for.

use etcd_guest::proto::etcdserverpb::range_request::SortTarget;
use etcd_guest::proto::etcdserverpb::request_op::Request;
use etcd_guest::proto::etcdserverpb::*;
use etcd_guest::proto::mvccpb::{KeyValue, event::EventType};
use etcd_guest::proto::rangewatch::etcd::ChangesRequest;
use etcd_guest::{Call, ScanMode, Store};

use crate::etcd::{CONFIG, Etcd, header};
use crate::model::{COMPACTED, FUTURE, LEASE_EXISTS, LEASE_NOT_FOUND, TOO_MANY_OPS, fail};

fn put(key: &str, value: &str) -> PutRequest {
    PutRequest {
        key: key.into(),
        value: value.into(),
        ..PutRequest::default()
    }
}

fn put_with_lease(key: &str, lease: i64) -> PutRequest {
    PutRequest {
        lease,
        ..put(key, "")
    }
}

fn delete(key: &str) -> DeleteRangeRequest {
    DeleteRangeRequest {
        key: key.into(),
        ..DeleteRangeRequest::default()
    }
}

fn everything() -> RangeRequest {
    RangeRequest {
        key: vec![0],
        range_end: vec![0],
        ..RangeRequest::default()
    }
}

fn all_changes(from: i64) -> ChangesRequest {
    ChangesRequest {
        key: vec![0],
        range_end: vec![0],
        from,
        to: i64::MAX,
        prev_kv: true,
        ..ChangesRequest::default()
    }
}

fn ops(requests: impl IntoIterator<Item = Request>) -> Vec<RequestOp> {
    let ops = requests.into_iter().map(|request| RequestOp {
        request: Some(request),
    });
    ops.collect()
}

fn compact(etcd: &mut Etcd, revision: i64) {
    let request = CompactionRequest {
        revision,
        physical: true,
    };
    etcd.compact(&request)
        .expect("it is between the last one and the head");
}

fn keys(response: &RangeResponse) -> Vec<&str> {
    let keys = response.kvs.iter().map(|kv| str::from_utf8(&kv.key));
    keys.map(|key| key.expect("a text")).collect()
}

#[test]
fn an_empty_store_is_at_revision_1_and_the_first_write_makes_2() {
    let mut etcd = Etcd::default();
    assert_eq!(etcd.head(), 1);
    let response = etcd.put(&put("a", "1")).unwrap();
    assert_eq!(response.header, header(2));
    assert_eq!(etcd.emitted, Some((2, vec![b"a".to_vec()])));
}

#[test]
fn a_transaction_that_changes_nothing_makes_no_revision_and_no_emit() {
    let mut etcd = Etcd::default();
    let request = TxnRequest {
        success: ops([
            Request::RequestDeleteRange(delete("a")),
            Request::RequestRange(everything()),
        ]),
        ..TxnRequest::default()
    };
    assert_eq!(etcd.txn(&request).unwrap().header, header(1));
    assert_eq!(etcd.emitted, None);
    assert!(etcd.store.is_empty());
}

#[test]
fn a_transaction_has_one_revision_and_emits_all_keys_once() {
    let mut etcd = Etcd::default();
    let request = TxnRequest {
        success: ops(["b", "a"].map(|key| Request::RequestPut(put(key, "")))),
        ..TxnRequest::default()
    };
    assert_eq!(etcd.txn(&request).unwrap().header, header(2));
    assert_eq!(etcd.emitted, Some((2, vec![b"b".to_vec(), b"a".to_vec()])));
    let changes = etcd.changes(&all_changes(1)).unwrap();
    let in_order = changes
        .events
        .iter()
        .map(|event| event.kv.clone().unwrap().key);
    assert_eq!(in_order.collect::<Vec<_>>(), [b"b", b"a"]);
}

#[test]
fn the_number_of_operations_is_limited_and_nested_ones_have_what_is_left() {
    let range = || Request::RequestRange(everything());
    let txn_of = |n: usize, last: Request| TxnRequest {
        success: ops((1..n).map(|_| range()).chain([last])),
        ..TxnRequest::default()
    };
    let max = CONFIG.max_txn_ops;
    let mut etcd = Etcd::default();
    etcd.txn(&txn_of(max, range())).unwrap();
    assert_eq!(etcd.txn(&txn_of(max + 1, range())), fail(TOO_MANY_OPS));
    let nested = |n: usize| Request::RequestTxn(txn_of(n, range()));
    etcd.txn(&txn_of(max - 2, nested(2))).unwrap();
    assert_eq!(etcd.txn(&txn_of(max - 2, nested(3))), fail(TOO_MANY_OPS));
}

#[test]
fn a_target_without_an_order_sorts_what_the_limit_has_selected_by_key() {
    let mut etcd = Etcd::default();
    for key in ["c", "b", "a"] {
        etcd.put(&put(key, "")).unwrap();
    }
    let request = RangeRequest {
        sort_target: SortTarget::Mod.into(),
        limit: 1,
        ..everything()
    };
    let response = etcd.range(&request).unwrap();
    // `c` is older than both, but the limit of 1 reads `a` and `b` only.
    assert_eq!(
        (keys(&response), response.more, response.count),
        (vec!["b"], true, 3)
    );
}

#[test]
fn a_key_with_more_changes_than_a_scan_reads_is_found_at_each_revision() {
    let mut etcd = Etcd::default();
    etcd.put(&put("a", "")).unwrap();
    for n in 3..1000 {
        etcd.put(&put("b", &n.to_string())).unwrap();
    }
    etcd.put(&put("c", "")).unwrap();
    for revision in [2, 3, 257, 258, 259, 260, 998, 999] {
        let request = RangeRequest {
            revision,
            ..everything()
        };
        let response = etcd.range(&request).unwrap();
        let values: Vec<_> = response.kvs.iter().map(|kv| kv.value.clone()).collect();
        let mut expected = vec![Vec::new()];
        expected.extend((revision > 2).then(|| revision.to_string().into_bytes()));
        assert_eq!(values, expected, "at {revision}");
        assert_eq!(response.count, expected.len() as i64);
    }
}

#[test]
fn values_longer_than_a_batch_are_read_by_key_by_range_and_as_changes() {
    let mut etcd = Etcd::default();
    let values = [1 << 10, 4 << 10, 64 << 10, 1 << 20].map(|n| "v".repeat(n));
    for (key, value) in ["a", "b", "c", "d"].iter().zip(&values) {
        etcd.put(&put(key, value)).unwrap();
        let one = RangeRequest {
            key: (*key).into(),
            ..RangeRequest::default()
        };
        assert_eq!(etcd.range(&one).unwrap().kvs[0].value, value.as_bytes());
    }
    for revision in [0, 5] {
        let request = RangeRequest {
            revision,
            ..everything()
        };
        let found = etcd.range(&request).unwrap().kvs;
        assert!(
            found
                .iter()
                .map(|kv| &kv.value)
                .eq(values.iter().map(String::as_bytes))
        );
    }
    let events = etcd.changes(&all_changes(1)).unwrap().events;
    let changed = events.into_iter().map(|event| event.kv.unwrap().value);
    assert!(changed.eq(values.map(String::into_bytes)));
}

#[test]
fn a_key_that_no_emit_can_have_is_refused() {
    let mut etcd = Etcd::default();
    let longest = "k".repeat(rangewatch_guest::abi::MAX_KEY_BYTES);
    etcd.put(&put(&longest, "")).unwrap();
    let longer = longest + "k";
    let too_large = (3, "etcdserver: request is too large");
    assert_eq!(etcd.put(&put(&longer, "")), fail(too_large));
    let request = TxnRequest {
        success: ops([Request::RequestPut(put(&longer, ""))]),
        ..TxnRequest::default()
    };
    assert_eq!(etcd.txn(&request), fail(too_large));
}

#[test]
fn what_is_not_a_message_is_an_invalid_argument() {
    let mut etcd = Etcd::default();
    for call in [
        Call::Range,
        Call::Put,
        Call::DeleteRange,
        Call::Txn,
        Call::Compact,
        Call::LeaseGrant,
        Call::LeaseRevoke,
        Call::LeaseKeys,
        Call::Leases,
        Call::Changes,
    ] {
        for input in [&b"\x0a\x05ab"[..], b"\xff", b"\x07"] {
            let response = etcd.call::<RangeResponse>(call, input);
            let (code, message) = response.expect_err("it is malformed");
            assert_eq!(code, 13);
            assert!(message.starts_with("malformed request: "), "{message}");
        }
    }
}

// ---- Compaction

#[test]
fn the_first_compaction_may_be_of_revision_0_and_each_further_is_of_a_greater_one() {
    let mut etcd = Etcd::default();
    let request = |revision| CompactionRequest {
        revision,
        physical: false,
    };
    assert_eq!(etcd.compact(&request(-1)), fail(COMPACTED));
    assert_eq!(etcd.compact(&request(0)).unwrap().header, header(1));
    assert_eq!(etcd.compact(&request(0)), fail(COMPACTED));
    assert_eq!(etcd.compact(&request(2)), fail(FUTURE));
    compact(&mut etcd, 1);
}

#[test]
fn the_compact_revision_can_be_read_and_watched_whole_and_those_before_it_cannot() {
    let mut etcd = Etcd::default();
    etcd.put(&put("a", "1")).unwrap();
    etcd.put(&put("b", "1")).unwrap();
    etcd.delete(&delete("a")).unwrap();
    etcd.put(&put("b", "2")).unwrap();
    compact(&mut etcd, 4);
    etcd.scrub();
    let mut request = RangeRequest {
        revision: 4,
        ..everything()
    };
    assert_eq!(keys(&etcd.range(&request).unwrap()), ["b"]);
    request.revision = 3;
    assert_eq!(etcd.range(&request), fail(COMPACTED));

    let changes = etcd.changes(&all_changes(4)).unwrap();
    let [deleted, put] = &changes.events[..] else {
        panic!("{changes:?}")
    };
    assert_eq!(deleted.r#type(), EventType::Delete);
    let kv = KeyValue {
        key: b"a".to_vec(),
        mod_revision: 4,
        ..KeyValue::default()
    };
    assert_eq!(deleted.kv, Some(kv));
    assert_eq!(deleted.prev_kv, None, "revision 3 is compacted");
    assert_eq!(put.prev_kv.as_ref().unwrap().value, b"1");

    let compacted = etcd.changes(&all_changes(3)).unwrap();
    assert_eq!((compacted.compact_revision, compacted.events.len()), (4, 0));
}

#[test]
fn a_call_of_scrub_removes_a_bounded_number_of_records_and_the_next_goes_on() {
    let mut etcd = Etcd::default();
    for n in 0..1000 {
        etcd.put(&put("a", &n.to_string())).unwrap();
    }
    compact(&mut etcd, 1001);
    let mut n_calls = 0;
    loop {
        let before = etcd.n_records(b'r');
        let more = etcd.scrub_some();
        assert!(before - etcd.n_records(b'r') <= 256);
        n_calls += 1;
        if !more {
            break;
        }
    }
    assert_eq!(n_calls, 4);
    assert_eq!((etcd.n_records(b'r'), etcd.n_records(b'h')), (1, 1));
    let before = etcd.store.clone();
    etcd.scrub();
    assert_eq!(etcd.store, before);
}

#[test]
fn a_call_of_scrub_reads_a_bounded_number_of_bytes() {
    let mut etcd = Etcd::default();
    let value = "x".repeat(600 << 10);
    for _ in 0..10 {
        etcd.put(&put("a", &value)).unwrap();
    }
    compact(&mut etcd, 11);
    let mut n_calls = 1;
    while etcd.scrub_some() {
        n_calls += 1;
    }
    assert_eq!(n_calls, 5);
    assert_eq!((etcd.n_records(b'r'), etcd.n_records(b'h')), (1, 1));
}

#[test]
fn a_compaction_in_the_middle_of_a_scrub_leaves_nothing_behind() {
    let mut etcd = Etcd::default();
    let names: Vec<_> = (0..600).map(|n| format!("key {n}")).collect();
    let all = |request: fn(&str) -> Request| TxnRequest {
        success: ops([Request::RequestTxn(TxnRequest {
            success: ops(names[..120].iter().map(|name| request(name))),
            ..TxnRequest::default()
        })]),
        ..TxnRequest::default()
    };
    for name in &names {
        etcd.put(&put(name, "")).unwrap();
    }
    etcd.txn(&all(|name| Request::RequestDeleteRange(delete(name))))
        .unwrap();
    etcd.delete(&DeleteRangeRequest {
        range_end: vec![0],
        ..delete("key")
    })
    .unwrap();
    etcd.put(&put("last", "")).unwrap();
    let last = etcd.head();
    compact(&mut etcd, last - 1);
    for _ in 0..3 {
        // The third call ends among the deletes of the compact revision.
        assert!(etcd.scrub_some());
    }
    compact(&mut etcd, last);
    etcd.scrub();
    assert_eq!((etcd.n_records(b'r'), etcd.n_records(b'h')), (1, 1));
}

// ---- Leases

#[test]
fn a_put_moves_a_key_to_its_lease_and_a_revoke_deletes_the_attached_keys_in_one_revision() {
    let mut etcd = Etcd::default();
    for id in [7, -7] {
        let grant = LeaseGrantRequest { id, ttl: 10 };
        assert_eq!(etcd.grant(&grant).unwrap().header, header(1));
        assert_eq!(etcd.grant(&grant), fail(LEASE_EXISTS));
    }
    assert_eq!(etcd.put(&put_with_lease("a", 8)), fail(LEASE_NOT_FOUND));
    etcd.put(&put_with_lease("b", 7)).unwrap();
    etcd.put(&put_with_lease("a", 7)).unwrap();
    etcd.put(&put_with_lease("c", 7)).unwrap();
    etcd.put(&put_with_lease("c", -7)).unwrap();
    let attached = |etcd: &mut Etcd, id| {
        let request = LeaseTimeToLiveRequest { id, keys: true };
        let response = etcd.lease_keys(&request).unwrap();
        (response.ttl, response.granted_ttl, response.keys)
    };
    let both = vec![b"a".to_vec(), b"b".to_vec()];
    assert_eq!(attached(&mut etcd, 7), (10, 10, both.clone()));
    assert_eq!(attached(&mut etcd, -7), (10, 10, vec![b"c".to_vec()]));
    let ids = etcd.leases(&LeaseLeasesRequest {}).unwrap().leases;
    assert_eq!(ids, [7, -7].map(|id| LeaseStatus { id }));

    let revoke = LeaseRevokeRequest { id: 7 };
    assert_eq!(etcd.revoke(&revoke).unwrap().header, header(6));
    assert_eq!(etcd.emitted, Some((6, both)));
    assert_eq!(keys(&etcd.range(&everything()).unwrap()), ["c"]);
    assert_eq!(attached(&mut etcd, 7), (-1, 0, Vec::new()));
    assert_eq!(etcd.revoke(&revoke), fail(LEASE_NOT_FOUND));
}

#[test]
fn a_revoke_of_a_lease_without_keys_makes_no_revision() {
    let mut etcd = Etcd::default();
    etcd.grant(&LeaseGrantRequest { id: 1, ttl: 10 }).unwrap();
    let revoke = LeaseRevokeRequest { id: 1 };
    assert_eq!(etcd.revoke(&revoke).unwrap().header, header(1));
    assert_eq!(etcd.emitted, None);
}

// ---- Changes

#[test]
fn a_response_of_changes_ends_although_none_match() {
    let mut etcd = Etcd::default();
    let value = "v".repeat(1 << 20);
    for _ in 0..8 {
        etcd.put(&put("other", &value)).unwrap();
    }
    etcd.put(&put("key", "")).unwrap();
    let mut request = ChangesRequest {
        key: b"key".to_vec(),
        range_end: Vec::new(),
        ..all_changes(2)
    };
    let first = etcd.changes(&request).unwrap();
    assert_eq!((first.events.len(), first.next), (0, 6));
    request.from = first.next;
    let second = etcd.changes(&request).unwrap();
    assert_eq!((second.events.len(), second.next), (0, 10));
    request.from = second.next;
    let third = etcd.changes(&request).unwrap();
    assert_eq!((third.events.len(), third.next), (1, 11));
}

// ---- The store of these tests, as the host's has to be

#[test]
fn a_scan_fills_a_batch_with_whole_entries() {
    let mut etcd = Etcd::default();
    for key in ["a", "b"] {
        Store::put(&mut etcd.store, key.as_bytes(), b"value");
    }
    let mut batch = [0; 40];
    let mut scan = |from: &[u8], to, mode, n_bytes: usize| {
        etcd.store
            .scan(from, to, mode, &mut batch[..n_bytes])
            .map(|read| (batch[..read.n_bytes].to_vec(), read.is_last))
    };
    let entry = |key: &str| [&[1, 0, 0, 0, 5, 0, 0, 0], key.as_bytes(), b"value"].concat();
    assert_eq!(
        scan(b"", None, ScanMode::Forward, 40),
        Ok(([entry("a"), entry("b")].concat(), true))
    );
    assert_eq!(
        scan(b"", None, ScanMode::Forward, 27),
        Ok((entry("a"), false))
    );
    assert_eq!(
        scan(b"", None, ScanMode::Reverse, 27),
        Ok((entry("b"), false))
    );
    assert_eq!(
        scan(b"", Some(b"b"), ScanMode::Reverse, 27),
        Ok((entry("a"), true))
    );
    assert_eq!(scan(b"", None, ScanMode::Forward, 13), Err(14));
    assert_eq!(
        scan(b"c", None, ScanMode::Forward, 13),
        Ok((Vec::new(), true))
    );
    assert_eq!(
        scan(b"b", None, ScanMode::KeysOnly, 40),
        Ok((b"\x01\0\0\0\0\0\0\0b".to_vec(), true))
    );
}
