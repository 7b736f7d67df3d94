use std::time::Duration;

use crate::proto::etcdserverpb::request_op::Request as Op;
use crate::proto::etcdserverpb::{
    CompactionRequest, PutRequest, RangeRequest, RangeResponse, RequestOp, TxnRequest,
};
use crate::store::Query;

use super::*;

const N_KEYS: usize = 50;
const N_CHANGES_OF_EACH: usize = 20;

fn runtimes() -> Vec<Box<dyn Runtime>> {
    vec![
        #[cfg(feature = "wasmtime")]
        Box::new(rangewatch::Wasmtime::new()),
        #[cfg(feature = "wasmi")]
        Box::new(rangewatch::Wasmi::new()),
    ]
}

fn put(key: String, value: String) -> PutRequest {
    PutRequest {
        key: key.into(),
        value: value.into(),
        ..PutRequest::default()
    }
}

fn compaction(revision: i64) -> Vec<u8> {
    let request = CompactionRequest {
        revision,
        ..CompactionRequest::default()
    };
    request.encode_to_vec()
}

/// The records of changes, in the order of revisions.
fn n_changes(snapshot: &Snapshot) -> usize {
    (snapshot.scan(Query::new(b"r", Some(b"s")))).count()
}

async fn read_at(machine: &Machine, revision: i64) -> Answer {
    let request = RangeRequest {
        key: vec![0],
        range_end: vec![0],
        revision,
        ..RangeRequest::default()
    };
    machine.read("range", request.encode_to_vec()).await
}

/// Changes each key some times.
async fn change_keys(machine: &Machine) {
    for n in 0..N_CHANGES_OF_EACH {
        let puts = (0..N_KEYS).map(|key| RequestOp {
            request: Some(Op::RequestPut(put(key.to_string(), n.to_string()))),
        });
        let txn = TxnRequest {
            success: puts.collect(),
            ..TxnRequest::default()
        };
        let done = machine.write("txn", txn.encode_to_vec()).await;
        done.expect("it is done");
    }
}

/// Waits until no more than this many changes are stored.
async fn scrubbed(machine: &Machine, n: usize) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while n_changes(&machine.published.read().clone()) > n {
        assert!(Instant::now() < deadline, "nothing is removed");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_compaction_removes_step_by_step_what_no_read_needs() {
    for runtime in runtimes() {
        let store = Store::open(None).expect("in memory");
        let (_stop, stopping) = watch::channel(false);
        let started = Machine::start(&*runtime, store, stopping).await;
        let (machine, _ended) = started.expect("it starts");
        change_keys(&machine).await;
        let compact = machine.revision() - 2;
        let values = async |revision| {
            let response = read_at(&machine, revision).await.expect("it is read");
            RangeResponse::decode(response).expect("a response").kvs
        };
        let (at, after) = (values(compact).await, values(compact + 1).await);
        let answer = machine.write("compact", compaction(compact)).await;
        answer.expect("it is compacted");
        let n_stored = N_KEYS * N_CHANGES_OF_EACH;
        // Clients write meanwhile: each change of a key that is new.
        let mut n_new = 0;
        loop {
            let new = put(format!("new {n_new}"), String::new());
            let done = machine.write("put", new.encode_to_vec()).await;
            done.expect("it is put");
            n_new += 1;
            assert!(n_new < n_stored, "some steps, of many changes each");
            let snapshot = machine.published.read().clone();
            assert_eq!(values(compact).await, at);
            assert_eq!(values(compact + 1).await, after);
            if n_changes(&snapshot) == 3 * N_KEYS + n_new {
                break;
            }
        }
        assert_eq!(machine.revision(), compact + 2 + n_new as i64);
        let before = read_at(&machine, compact - 1).await;
        assert_eq!(before.expect_err("compacted").code(), Code::OutOfRange);
    }
}

#[tokio::test]
async fn a_machine_whose_store_has_failed_is_not_healthy() {
    for runtime in runtimes() {
        let store = Store::open(None).expect("in memory");
        let (_stop, stopping) = watch::channel(false);
        let started = Machine::start(&*runtime, store, stopping).await;
        let (machine, _ended) = started.expect("it starts");
        let write = async || {
            let request = put("a".to_owned(), "1".to_owned()).encode_to_vec();
            machine.write("put", request).await
        };
        write().await.expect("it is put");
        assert!(machine.is_healthy().await);
        machine.store.upgrade().expect("it runs").fail();
        let failed = write().await.expect_err("the store has failed");
        assert!(failed.message().contains("restart the server"), "{failed}");
        assert!(!machine.is_healthy().await);
        assert_eq!(machine.revision(), 2);
    }
}

#[tokio::test]
async fn a_restart_goes_on_with_a_scrub() {
    for runtime in runtimes() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = || Store::open(Some(folder.path())).expect("it opens");
        let (stop, stopping) = watch::channel(false);
        let started = Machine::start(&*runtime, open(), stopping).await;
        let (machine, ended) = started.expect("it starts");
        change_keys(&machine).await;
        let compaction = compaction(machine.revision());
        // The request waits when the server stops.
        let compacted = machine.write("compact", compaction);
        let (answer, _) = tokio::join!(compacted, async { stop.send_replace(true) });
        answer.expect("it is compacted");
        ended.await.expect("it ends");
        drop(machine);

        let store = open();
        let n_left = n_changes(&store.snapshot());
        assert_eq!(n_left, N_KEYS * N_CHANGES_OF_EACH);
        let (_stop, stopping) = watch::channel(false);
        let started = Machine::start(&*runtime, store, stopping).await;
        let (machine, _ended) = started.expect("it starts");
        scrubbed(&machine, N_KEYS).await;
    }
}
