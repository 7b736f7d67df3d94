//! Writes histories in the JSON that etcd's robustness tests read: `client-N/operations.json` and
//! `client-N/watch.json`, as `report.LoadClientReports` of etcd 3.8.0-alpha.0 parses them. Besides,
//! `requests.json` has the writes that happened, in order of revision, which those tests read from
//! the logs of etcd's servers.
//!
//! A request that was refused is left out: etcd's model has none.

#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use etcd_example::proto::etcdserverpb::compare::TargetUnion;
use etcd_example::proto::etcdserverpb::request_op::Request;
use etcd_example::proto::etcdserverpb::response_op::Response;
use etcd_example::proto::etcdserverpb::{
    RangeRequest, RangeResponse, RequestOp, ResponseOp, TxnRequest, WatchResponse,
};
use etcd_example::proto::mvccpb::event::EventType;
use etcd_example::proto::mvccpb::{Event, KeyValue};
use serde_json::{Value, json};

use crate::checker::Checked;
use crate::history::{History, Operation, Outcome, Session, revision};

/// Bytes from which on a value is replaced by its hash.
const MIN_HASHED: usize = 20;

/// Writes a history. A watcher is a client without operations, and the last one has all changes.
pub(crate) fn write(folder: &Path, history: &History, checked: Option<&Checked>) -> io::Result<()> {
    let n_clients = history
        .operations
        .iter()
        .map(|operation| operation.client + 1)
        .max();
    let n_clients = n_clients.unwrap_or(0);
    // A client whose request may still take effect goes on under another number.
    let mut n_streams = n_clients;
    for client in 0..n_clients {
        let mut stream = client;
        let operations = history
            .operations
            .iter()
            .filter(|operation| operation.client == client);
        let operations = operations.filter_map(|operation| {
            let output = output(operation)?;
            let is_unknown = output["Error"].is_string();
            let value = json!({
                "ClientID": stream,
                "Input": input(&operation.request),
                "Call": nanoseconds(operation.call),
                "Output": output,
                "Return": nanoseconds(operation.end),
            });
            if is_unknown {
                stream = n_streams;
                n_streams += 1;
            }
            Some(value)
        });
        write_values(
            &folder.join(format!("client-{client}")),
            "operations.json",
            operations,
        )?;
    }
    let watchers = history.watchers.iter().chain([&history.changes]);
    for (client, watcher) in (n_clients..).zip(watchers) {
        let sessions = watcher.sessions.iter().map(session);
        write_values(
            &folder.join(format!("client-{client}")),
            "watch.json",
            sessions,
        )?;
    }
    if let Some(checked) = checked {
        write_values(folder, "requests.json", checked.writes.values().map(input))?;
    }
    Ok(())
}

fn write_values(
    folder: &Path,
    name: &str,
    values: impl IntoIterator<Item = Value>,
) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut file = io::BufWriter::new(File::create(folder.join(name))?);
    for value in values {
        writeln!(file, "{value:#}")?;
    }
    file.flush()
}

fn input(request: &Request) -> Value {
    let txn = |success: Vec<Value>| {
        let (conditions, failure) = (Value::Null, Value::Null);
        json!({
            "Type": "txn",
            "Txn": {
                "Conditions": conditions,
                "OperationsOnSuccess": success,
                "OperationsOnFailure": failure,
            },
        })
    };
    match request {
        Request::RequestRange(range) => {
            let mut options = range_options(range);
            options["Revision"] = json!(range.revision);
            json!({ "Type": "range", "Range": options })
        }
        Request::RequestTxn(request) => {
            let mut txn = txn(operations(&request.success));
            txn["Txn"]["Conditions"] = conditions(request);
            txn["Txn"]["OperationsOnFailure"] = operations(&request.failure).into();
            txn
        }
        request => txn(vec![operation(request)]),
    }
}

fn conditions(txn: &TxnRequest) -> Value {
    let conditions = txn.compare.iter().map(|compare| {
        let revision = match compare.target_union {
            Some(TargetUnion::ModRevision(revision)) => revision,
            _ => 0,
        };
        json!({ "Key": text(&compare.key), "ExpectedRevision": revision })
    });
    conditions.collect()
}

fn operations(branch: &[RequestOp]) -> Vec<Value> {
    let requests = branch.iter().filter_map(|op| op.request.as_ref());
    requests.map(operation).collect()
}

fn operation(request: &Request) -> Value {
    match request {
        Request::RequestRange(range) => {
            json!({ "Type": "range-operation", "Range": range_options(range) })
        }
        Request::RequestPut(put) => json!({
            "Type": "put-operation",
            "Put": { "Key": text(&put.key), "Value": value_or_hash(&put.value) },
        }),
        Request::RequestDeleteRange(delete) => {
            json!({ "Type": "delete-operation", "Delete": { "Key": text(&delete.key) } })
        }
        Request::RequestTxn(_) => unreachable!("the load nests no transactions"),
    }
}

/// The start and the end of all keys are one zero byte here, and in the model, which compares
/// keys, one byte above all of them.
fn range_options(range: &RangeRequest) -> Value {
    let end = match &range.range_end[..] {
        [0] => "\u{7f}".into(),
        end => text(end),
    };
    json!({ "Start": text(&range.key), "End": end, "Limit": range.limit })
}

/// `None` for what was refused.
fn output(operation: &Operation) -> Option<Value> {
    let mut output = match &operation.outcome {
        Outcome::Acknowledged(Response::ResponseRange(range)) => {
            json!({ "Range": range_result(range) })
        }
        Outcome::Acknowledged(Response::ResponseTxn(txn)) => {
            let responses = txn
                .responses
                .iter()
                .filter_map(|op: &ResponseOp| op.response.as_ref());
            let results = responses.map(result).collect::<Value>();
            json!({ "Txn": { "Failure": !txn.succeeded, "Results": results } })
        }
        Outcome::Acknowledged(response) => {
            json!({ "Txn": { "Failure": false, "Results": [result(response)] } })
        }
        Outcome::Unknown(error) => return Some(json!({ "Error": error })),
        Outcome::Refused => return None,
    };
    output["Revision"] = json!(operation.revision());
    Some(output)
}

fn result(response: &Response) -> Value {
    match response {
        Response::ResponseRange(range) => range_result(range),
        Response::ResponseDeleteRange(delete) => json!({ "Deleted": delete.deleted }),
        Response::ResponsePut(_) => json!({}),
        Response::ResponseTxn(_) => unreachable!("the load nests no transactions"),
    }
}

fn range_result(range: &RangeResponse) -> Value {
    let kvs = range.kvs.iter().map(|kv| {
        let mut value = value_revision(kv);
        value["Key"] = text(&kv.key).into();
        value
    });
    json!({ "KVs": kvs.collect::<Value>(), "Count": range.count })
}

fn session(session: &Session) -> Value {
    let request = &session.request;
    let responses = session.joined();
    json!({
        "Request": {
            "Key": if request.key == [0] { String::new() } else { text(&request.key) },
            "Revision": request.start_revision,
            "WithPrefix": !request.range_end.is_empty(),
            "WithPrevKV": request.prev_kv,
        },
        "Responses": responses.iter().map(|(time, of)| response(*time, of)).collect::<Value>(),
    })
}

fn response(time: Duration, response: &WatchResponse) -> Value {
    json!({
        "Events": response.events.iter().map(event).collect::<Value>(),
        "IsProgressNotify": response.events.is_empty() && !response.canceled,
        "Revision": revision(response),
        "Time": nanoseconds(time),
    })
}

fn event(event: &Event) -> Value {
    let kv = event.kv.clone().unwrap_or_default();
    let is_put = event.r#type() == EventType::Put;
    let mut json = json!({
        "Type": if is_put { "put-operation" } else { "delete-operation" },
        "Key": text(&kv.key),
        "Value": value_or_hash(&kv.value),
        "Revision": kv.mod_revision,
        "IsCreate": is_put && kv.create_revision == kv.mod_revision,
    });
    if let Some(before) = &event.prev_kv {
        json["PrevValue"] = value_revision(before);
    }
    json
}

fn value_revision(kv: &KeyValue) -> Value {
    json!({
        "Value": value_or_hash(&kv.value),
        "ModRevision": kv.mod_revision,
        "Version": kv.version,
    })
}

/// A short value, or the 32-bit FNV-1a hash of a longer one.
fn value_or_hash(value: &[u8]) -> Value {
    if value.len() < MIN_HASHED {
        return json!({ "Value": text(value) });
    }
    let hash = value.iter().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    });
    json!({ "Hash": hash })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
