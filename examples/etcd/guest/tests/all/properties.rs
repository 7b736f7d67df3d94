//! Random operations, compared with the oracle.

use etcd_guest::proto::etcdserverpb::compare::TargetUnion;
use etcd_guest::proto::etcdserverpb::request_op::Request;
use etcd_guest::proto::etcdserverpb::*;
use etcd_guest::proto::rangewatch::etcd::ChangesRequest;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::etcd::Etcd;
use crate::model::Model;

/// Revisions in these are distances from the head: 0 and negative ones are what they are, `n` is
/// `head + 2 - n`.
#[derive(Clone, Debug)]
enum Operation {
    Range(RangeRequest),
    Put(PutRequest),
    Delete(DeleteRangeRequest),
    Txn(TxnRequest),
    Compact(i64),
    Grant(LeaseGrantRequest),
    Revoke(LeaseRevokeRequest),
    LeaseKeys(LeaseTimeToLiveRequest),
    Changes(ChangesRequest),
    Scrub,
}

fn any_key() -> impl Strategy<Value = Vec<u8>> {
    // Prefixes of one another, and bytes that need escapes.
    let keys: [&[u8]; 10] = [
        b"a", b"a\0", b"a\0\0", b"a\0\xff", b"aa", b"a\xff", b"b", b"\0", b"\xff", b"",
    ];
    let weights = keys.map(|key| (if key.is_empty() { 1 } else { 10 }, Just(key.to_vec())));
    proptest::strategy::Union::new_weighted(weights.to_vec())
}

fn any_range_end() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        2 => Just(Vec::new()),
        3 => Just(vec![0]),
        3 => any_key(),
    ]
}

/// Mostly a single key, so that there are enough keys to read.
fn any_range_end_of_delete() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => Just(Vec::new()),
        1 => any_range_end(),
    ]
}

fn any_lease() -> impl Strategy<Value = i64> {
    select(vec![0, 0, 0, 1, 2, -1, i64::MIN])
}

fn any_distance() -> impl Strategy<Value = i64> {
    prop_oneof![6 => Just(0), 1 => Just(-1), 12 => 1..20_i64]
}

fn any_bound() -> impl Strategy<Value = i64> {
    prop_oneof![10 => Just(0), 1 => 1..20_i64]
}

prop_compose! {
    fn any_range()(
        key in any_key(),
        range_end in any_range_end(),
        limit in select(vec![0, 0, 1, 2, 3, -1, i64::MAX]),
        revision in any_distance(),
        sort_order in 0..3_i32,
        sort_target in 0..5_i32,
        (keys_only, count_only) in (any::<bool>(), prop::bool::weighted(0.2)),
        bounds in [any_bound(), any_bound(), any_bound(), any_bound()],
    ) -> RangeRequest {
        RangeRequest {
            key,
            range_end,
            limit,
            revision,
            sort_order,
            sort_target,
            serializable: false,
            keys_only,
            count_only,
            min_mod_revision: bounds[0],
            max_mod_revision: bounds[1],
            min_create_revision: bounds[2],
            max_create_revision: bounds[3],
        }
    }
}

prop_compose! {
    fn any_put()(
        key in any_key(),
        value in select(vec!["", "v", "w", "w"]),
        lease in any_lease(),
        prev_kv: bool,
        (ignore_value, ignore_lease) in (prop::bool::weighted(0.2), prop::bool::weighted(0.2)),
        keep in prop::bool::weighted(0.1),
    ) -> PutRequest {
        PutRequest {
            key,
            value: if ignore_value && !keep { vec![] } else { value.into() },
            lease: if ignore_lease && !keep { 0 } else { lease },
            prev_kv,
            ignore_value,
            ignore_lease,
        }
    }
}

prop_compose! {
    fn any_delete()(key in any_key(), range_end in any_range_end_of_delete(), prev_kv: bool)
        -> DeleteRangeRequest {
        DeleteRangeRequest { key, range_end, prev_kv }
    }
}

prop_compose! {
    fn any_compare()(
        result in 0..4_i32,
        target in 0..5_i32,
        other_operand in prop::bool::weighted(0.1),
        key in any_key(),
        range_end in any_range_end(),
        number in any_bound(),
        value in select(vec!["", "v", "w"]),
    ) -> Compare {
        let operand = if other_operand { (target + 1) % 6 } else { target };
        let target_union = match operand {
            0 => Some(TargetUnion::Version(number)),
            1 => Some(TargetUnion::CreateRevision(number)),
            2 => Some(TargetUnion::ModRevision(number)),
            3 => Some(TargetUnion::Value(value.into())),
            4 => Some(TargetUnion::Lease(number)),
            _ => None,
        };
        Compare { result, target, key, range_end, target_union }
    }
}

fn any_txn() -> impl Strategy<Value = TxnRequest> {
    let request = prop_oneof![
        any_range().prop_map(Request::RequestRange),
        any_put().prop_map(Request::RequestPut),
        any_delete().prop_map(Request::RequestDeleteRange),
    ];
    let request = request.prop_recursive(3, 12, 4, |request| {
        any_txn_of(request).prop_map(Request::RequestTxn)
    });
    any_txn_of(request)
}

fn any_txn_of(
    request: impl Strategy<Value = Request> + Clone + 'static,
) -> impl Strategy<Value = TxnRequest> {
    let op = prop::option::weighted(0.99, request).prop_map(|request| RequestOp { request });
    let compare = vec(any_compare(), 0..2);
    (compare, vec(op.clone(), 0..4), vec(op, 0..4)).prop_map(|(compare, success, failure)| {
        TxnRequest {
            compare,
            success,
            failure,
        }
    })
}

prop_compose! {
    fn any_changes()(
        key in any_key().prop_filter("the host checks it", |key| !key.is_empty()),
        range_end in any_range_end(),
        from in 1..20_i64,
        to in 1..20_i64,
        prev_kv: bool,
        (no_put, no_delete) in (prop::bool::weighted(0.2), prop::bool::weighted(0.2)),
        max_bytes in select(vec![0, 1, 30, 100]),
    ) -> ChangesRequest {
        ChangesRequest { key, range_end, from, to, prev_kv, no_put, no_delete, max_bytes }
    }
}

fn any_operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        16 => any_put().prop_map(Operation::Put),
        6 => any_range().prop_map(Operation::Range),
        4 => any_delete().prop_map(Operation::Delete),
        8 => any_txn().prop_map(Operation::Txn),
        1 => any_distance().prop_map(Operation::Compact),
        3 => (any_lease(), 0..5_i64)
            .prop_map(|(id, ttl)| Operation::Grant(LeaseGrantRequest { id, ttl })),
        1 => any_lease().prop_map(|id| Operation::Revoke(LeaseRevokeRequest { id })),
        1 => (any_lease(), any::<bool>())
            .prop_map(|(id, keys)| Operation::LeaseKeys(LeaseTimeToLiveRequest { id, keys })),
        4 => any_changes().prop_map(Operation::Changes),
        1 => Just(Operation::Scrub),
    ]
}

/// The revision at a distance from the head; 2 is the head, 1 the next.
fn at(distance: i64, head: i64) -> i64 {
    match distance {
        ..=0 => distance,
        _ => (head + 2 - distance).max(1),
    }
}

fn place_txn(txn: &mut TxnRequest, head: i64) {
    for op in txn.success.iter_mut().chain(&mut txn.failure) {
        match &mut op.request {
            // A future revision fails the whole transaction: it is in the tests of single reads.
            Some(Request::RequestRange(range)) => {
                range.revision = at(range.revision, head).min(head);
            }
            Some(Request::RequestTxn(txn)) => place_txn(txn, head),
            _ => {}
        }
    }
}

fn run(etcd: &mut Etcd, model: &mut Model, operation: Operation) {
    let before = model.clone();
    let head = model.head();
    match operation {
        Operation::Range(mut request) => {
            request.revision = at(request.revision, head);
            assert_eq!(etcd.range(&request), model.range(&request), "{request:?}");
        }
        Operation::Put(request) => {
            assert_eq!(etcd.put(&request), model.put(&request), "{request:?}");
        }
        Operation::Delete(request) => {
            assert_eq!(etcd.delete(&request), model.delete(&request), "{request:?}");
        }
        Operation::Txn(mut request) => {
            place_txn(&mut request, head);
            assert_eq!(etcd.txn(&request), model.txn(&request), "{request:?}");
        }
        Operation::Compact(distance) => {
            let request = CompactionRequest {
                revision: at(distance, head),
                physical: false,
            };
            assert_eq!(
                etcd.compact(&request),
                model.compact(&request),
                "{request:?}"
            );
        }
        Operation::Grant(request) => assert_eq!(etcd.grant(&request), model.grant(&request)),
        Operation::Revoke(request) => assert_eq!(etcd.revoke(&request), model.revoke(&request)),
        Operation::LeaseKeys(request) => {
            assert_eq!(etcd.lease_keys(&request), Ok(model.lease_keys(&request)));
        }
        Operation::Changes(mut request) => {
            request.from = at(request.from, head);
            request.to = at(request.to, head);
            check_changes(etcd, model, request);
        }
        Operation::Scrub => {
            etcd.scrub();
            assert_eq!(etcd.n_records(b'r'), model.n_reachable());
            assert_eq!(etcd.n_records(b'h'), model.n_reachable());
            return;
        }
    }
    assert_eq!(etcd.emitted, model.changed_since(&before));
    assert_eq!(etcd.head(), model.head());
}

/// Reads all changes of a request, in as many calls as its limit needs.
fn check_changes(etcd: &mut Etcd, model: &Model, mut request: ChangesRequest) {
    let expected = model.changes(&request);
    let limit = request.max_bytes;
    let mut found = etcd.changes(&request).expect("the key is not empty");
    while found.compact_revision == 0 && found.next < expected.next {
        assert!(limit > 0, "only a limit ends a response early");
        assert!(
            found.next > request.from,
            "a response has at least one revision"
        );
        let ends_whole = found.events.iter().all(|event| {
            let kv = event.kv.as_ref().expect("an event has a key");
            kv.mod_revision < found.next
        });
        assert!(ends_whole, "a response has whole revisions");
        request.from = found.next;
        let more = etcd.changes(&request).expect("the key is not empty");
        found.events.extend(more.events);
        found.next = more.next;
    }
    assert_eq!(found, expected, "{request:?}");
}

/// The variable `RANGEWATCH_CASES` sets another number.
fn n_cases() -> u32 {
    let cases = std::env::var("RANGEWATCH_CASES").ok();
    cases.map_or(300, |cases| cases.parse().expect("a number of cases"))
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: n_cases(),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_guest_responds_as_a_naive_etcd_does(operations in vec(any_operation(), 1..60)) {
        let mut etcd = Etcd::default();
        let mut model = Model::new();
        for operation in operations {
            run(&mut etcd, &mut model, operation);
        }
        run(&mut etcd, &mut model, Operation::Scrub);
    }
}
