//! What was read, as a history of etcd's robustness tests.

use std::fs;
use std::path::PathBuf;

use rangewatch_bridge_faults::Machine;
use serde_json::{Value, json};

/// Writes `client-0/watch.json`, as `report.LoadClientReports` of etcd 3.8.0-alpha.0 parses it, and
/// `requests.json` with the writes in the order of their revisions, and reads both again.
pub(crate) fn check(values: &[u64], machine: Machine) {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("history");
    fs::create_dir_all(folder.join("client-0")).expect("a folder");
    let put = |value: u64, key: &str| {
        json!({
            "Type": "put-operation",
            "Key": key,
            "Value": { "Value": value.to_string() },
            "Revision": value,
            "IsCreate": false,
        })
    };
    let responses = values.iter().map(|value| {
        let events = machine.keys(*value);
        let events = events.iter().map(|key| put(*value, key)).collect::<Value>();
        json!({ "Events": events, "IsProgressNotify": false, "Revision": value, "Time": 0 })
    });
    let watch = json!({
        "Request": { "Key": "", "Revision": values.first(), "WithPrefix": true, "WithPrevKV": false },
        "Responses": responses.collect::<Value>(),
    });
    let path = folder.join("client-0/watch.json");
    fs::write(&path, format!("{watch:#}\n")).expect("a file");
    let read: Value = serde_json::from_slice(&fs::read(&path).expect("a file")).expect("JSON");
    assert_eq!(read, watch);
}
