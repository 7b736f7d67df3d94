//! The shape of the files, beside a sample that was derived by hand from the types of etcd.

use etcd_example::proto::etcdserverpb::compare::CompareTarget;
use etcd_example::proto::etcdserverpb::{
    Compare, PutRequest, PutResponse, ResponseHeader, TxnResponse, WatchCreateRequest,
};

use super::*;

fn header(revision: i64) -> Option<ResponseHeader> {
    Some(ResponseHeader {
        revision,
        ..ResponseHeader::default()
    })
}

fn operation(n: u64, request: Request, outcome: Outcome) -> Operation {
    Operation {
        client: 0,
        call: Duration::from_nanos(n * 10),
        end: Duration::from_nanos(n * 10 + 5),
        request,
        outcome,
    }
}

fn kv(value: &str, mod_revision: i64, version: i64) -> KeyValue {
    KeyValue {
        key: "k".into(),
        value: value.into(),
        create_revision: 2,
        mod_revision,
        version,
        ..KeyValue::default()
    }
}

#[test]
fn files_have_the_shape_that_etcd_reads() {
    let put = Request::RequestPut(PutRequest {
        key: "k".into(),
        value: "foobar".repeat(4).into(),
        ..PutRequest::default()
    });
    let range = RangeRequest {
        key: "k".into(),
        range_end: "l".into(),
        limit: 3,
        revision: 2,
        ..RangeRequest::default()
    };
    let compare = Compare {
        target: CompareTarget::Mod.into(),
        target_union: Some(TargetUnion::ModRevision(2)),
        key: "k".into(),
        ..Compare::default()
    };
    let [op, read] = [put.clone(), Request::RequestRange(range.clone())].map(|request| RequestOp {
        request: Some(request),
    });
    let txn = TxnRequest {
        compare: vec![compare],
        success: vec![op],
        failure: vec![read],
    };
    let ranged = Response::ResponseRange(RangeResponse {
        header: header(3),
        kvs: vec![kv("short", 2, 1)],
        count: 1,
        ..RangeResponse::default()
    });
    let answered = Response::ResponseTxn(TxnResponse {
        header: header(3),
        succeeded: false,
        responses: vec![ResponseOp {
            response: Some(ranged.clone()),
        }],
    });
    let acknowledged = Response::ResponsePut(PutResponse {
        header: header(2),
        prev_kv: None,
    });
    let operations = [
        (put.clone(), Outcome::Unknown("gone".into())),
        (put.clone(), Outcome::Acknowledged(acknowledged)),
        (put, Outcome::Refused),
        (Request::RequestRange(range), Outcome::Acknowledged(ranged)),
        (Request::RequestTxn(txn), Outcome::Acknowledged(answered)),
    ];
    let operations = (0..).zip(operations);
    let session = Session {
        request: WatchCreateRequest {
            key: "k".into(),
            range_end: "l".into(),
            start_revision: 2,
            prev_kv: true,
            ..WatchCreateRequest::default()
        },
        responses: vec![(
            Duration::from_nanos(7),
            WatchResponse {
                header: header(4),
                events: vec![Event {
                    r#type: EventType::Delete.into(),
                    kv: Some(KeyValue {
                        key: "k".into(),
                        mod_revision: 4,
                        ..KeyValue::default()
                    }),
                    prev_kv: Some(kv("short", 3, 2)),
                }],
                ..WatchResponse::default()
            },
        )],
        ..Session::default()
    };
    let history = History {
        operations: operations
            .map(|(n, (request, outcome))| operation(n, request, outcome))
            .collect(),
        watchers: vec![],
        changes: crate::history::Watcher {
            sessions: vec![session],
        },
        end: RangeResponse::default(),
    };
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), &history, None).expect("a folder");
    let values = |name: &str| {
        let text = fs::read_to_string(folder.path().join(name)).expect(name);
        let values = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
        values.collect::<Result<Vec<_>, _>>().expect("JSON")
    };

    // FNV-1a of four times "foobar".
    let large = json!({ "Hash": 3_064_363_269_u32 });
    let put = json!({ "Type": "put-operation", "Put": { "Key": "k", "Value": large } });
    let put_alone = json!({ "Type": "txn", "Txn": {
        "Conditions": null, "OperationsOnSuccess": [put], "OperationsOnFailure": null,
    } });
    let options = json!({ "Start": "k", "End": "l", "Limit": 3 });
    let ranged = json!({ "Count": 1, "KVs": [
        { "Key": "k", "Value": { "Value": "short" }, "ModRevision": 2, "Version": 1 },
    ] });
    let expected = [
        json!({ "ClientID": 0, "Call": 0, "Return": 5, "Input": put_alone,
            "Output": { "Error": "gone" } }),
        json!({ "ClientID": 1, "Call": 10, "Return": 15, "Input": put_alone,
            "Output": { "Revision": 2, "Txn": { "Failure": false, "Results": [{}] } } }),
        json!({ "ClientID": 1, "Call": 30, "Return": 35,
            "Input": { "Type": "range",
                "Range": { "Start": "k", "End": "l", "Limit": 3, "Revision": 2 } },
            "Output": { "Revision": 3, "Range": ranged } }),
        json!({ "ClientID": 1, "Call": 40, "Return": 45,
            "Input": { "Type": "txn", "Txn": {
                "Conditions": [{ "Key": "k", "ExpectedRevision": 2 }],
                "OperationsOnSuccess": [put],
                "OperationsOnFailure": [{ "Type": "range-operation", "Range": options }],
            } },
            "Output": { "Revision": 3, "Txn": { "Failure": true, "Results": [ranged] } } }),
    ];
    assert_eq!(values("client-0/operations.json"), expected);
    let watch = json!({
        "Request": { "Key": "k", "Revision": 2, "WithPrefix": true, "WithPrevKV": true },
        "Responses": [{
            "Events": [{
                "Type": "delete-operation", "Key": "k", "Value": { "Value": "" },
                "Revision": 4, "IsCreate": false,
                "PrevValue": { "Value": { "Value": "short" }, "ModRevision": 3, "Version": 2 },
            }],
            "IsProgressNotify": false, "Revision": 4, "Time": 7,
        }],
    });
    assert_eq!(values("client-1/watch.json"), [watch]);
}
