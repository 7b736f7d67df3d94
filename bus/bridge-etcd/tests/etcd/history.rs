//! What happened, told by etcd itself, and what a bus has delivered.

use std::collections::BTreeMap;

use etcd_client::{Client, EventType, GetOptions, WatchOptions};
use rangewatch_bridge::StatusWatch;
use rangewatch_bridge_etcd::EtcdEvent;
use rangewatch_bus::{Event, EventSubscription};

/// Revisions, each with its keys, and the value of each key that was put.
pub(crate) type History = Vec<(u64, BTreeMap<Vec<u8>, Option<Vec<u8>>>)>;

/// The keys and values of a prefix.
pub(crate) type Keys = BTreeMap<Vec<u8>, Vec<u8>>;

/// What a watch by etcd's own client tells of a prefix, from the first revision up to the current
/// one. Adds a last change to the prefix.
pub(crate) async fn told(client: &mut Client, prefix: &str) -> History {
    let last = client
        .put(format!("{prefix}~last"), "", None)
        .await
        .unwrap();
    let last = last.header().unwrap().revision() as u64;
    let options = WatchOptions::new().with_prefix().with_start_revision(1);
    let watch = client.watch_client().max_decoding_message_size(usize::MAX);
    let mut watch = { watch }.watch(prefix, Some(options)).await.unwrap();
    let mut history = History::new();
    while history.last().is_none_or(|(revision, _)| *revision < last) {
        let response = watch.message().await.unwrap().unwrap();
        assert!(!response.canceled(), "{response:?}");
        for event in response.events() {
            let kv = event.kv().unwrap();
            let revision = kv.mod_revision() as u64;
            if history.last().is_none_or(|(last, _)| *last != revision) {
                history.push((revision, BTreeMap::new()));
            }
            let value = (event.event_type() == EventType::Put).then(|| kv.value().to_vec());
            let (_, keys) = history.last_mut().unwrap();
            assert!(keys.insert(kv.key().to_vec(), value).is_none());
        }
    }
    history
}

/// Receives events up to a revision.
pub(crate) async fn delivered(events: &mut EventSubscription<EtcdEvent>, last: u64) -> History {
    let mut history = History::new();
    while history.last().is_none_or(|(revision, _)| *revision < last) {
        let event = events.recv().await.unwrap();
        history.push((event.value(), changes(&event)));
    }
    history
}

/// The keys of an event, and their values. Checks what else the payloads say.
pub(crate) fn changes(event: &Event<EtcdEvent>) -> BTreeMap<Vec<u8>, Option<Vec<u8>>> {
    let entries = event.entries().map(|(key, change)| {
        assert_eq!(change.mod_revision, event.value());
        if change.is_put() {
            assert!(change.create_revision > 0 && change.create_revision <= event.value());
            assert!(change.version > 0);
            let is_new = change.create_revision == event.value();
            assert_eq!(is_new, change.version == 1, "{change:?}");
        } else {
            assert_eq!((change.create_revision, change.version), (0, 0));
            assert!(change.value.is_empty());
        }
        (key.to_vec(), change.is_put().then(|| change.value.to_vec()))
    });
    let changes: BTreeMap<_, _> = entries.collect();
    assert_eq!(changes.len(), event.keys().count(), "a key comes once");
    changes
}

/// What a Range tells of a prefix, now, and its revision.
pub(crate) async fn range(client: &Client, prefix: &str) -> (u64, Keys) {
    let kv = client.kv_client().max_decoding_message_size(usize::MAX);
    let options = GetOptions::new().with_prefix();
    let answer = { kv }.get(prefix, Some(options)).await.unwrap();
    let keys = answer
        .kvs()
        .iter()
        .map(|kv| (kv.key().to_vec(), kv.value().to_vec()));
    (answer.header().unwrap().revision() as u64, keys.collect())
}

/// Waits until a reader has read a revision.
pub(crate) async fn read_up_to(status: &mut StatusWatch, revision: u64) {
    let reached = status
        .until(|status| status.position >= Some(revision))
        .await;
    assert!(reached.is_some(), "the reader has ended");
}
