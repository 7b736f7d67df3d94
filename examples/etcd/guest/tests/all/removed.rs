//! What a store that keeps a mark of each record that was removed has to pass over.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use etcd_guest::proto::etcdserverpb::{CompactionRequest, DeleteRangeRequest, PutRequest};
use etcd_guest::proto::rangewatch::etcd::ScrubResponse;
use etcd_guest::{Batch, Call, ScanMode, Store};
use prost::Message;

use crate::etcd::CONFIG;

#[derive(Default)]
struct Marked {
    records: BTreeMap<Vec<u8>, Vec<u8>>,
    removed: BTreeSet<Vec<u8>>,
    n_passed: Cell<usize>,
}

impl Store for Marked {
    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.records.get(key).cloned()
    }

    fn scan(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
        mode: ScanMode,
        batch: &mut [u8],
    ) -> Result<Batch, usize> {
        let read = Store::scan(&self.records, from, to, mode, batch)?;
        let (mut first, mut end) = (from.to_vec(), to.map(<[u8]>::to_vec));
        // A host looks for no entry that has no room.
        let is_full = !read.is_last || read.n_bytes + 8 >= batch.len();
        if let Some(last) = last_key(&batch[..read.n_bytes]).filter(|_| is_full) {
            match mode {
                ScanMode::Reverse => first = last,
                ScanMode::Forward | ScanMode::KeysOnly => end = Some(last),
            }
        }
        let passed = self.removed.range(first..);
        let n_passed = passed
            .take_while(|key| end.as_ref().is_none_or(|end| *key < end))
            .count();
        self.n_passed.set(self.n_passed.get() + n_passed);
        Ok(read)
    }

    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.removed.remove(key);
        self.records.insert(key.to_vec(), value.to_vec());
    }

    fn delete(&mut self, key: &[u8]) {
        self.records.remove(key);
        self.removed.insert(key.to_vec());
    }
}

fn last_key(mut batch: &[u8]) -> Option<Vec<u8>> {
    let mut last = None;
    while let Some((lengths, rest)) = batch.split_first_chunk::<8>() {
        let length = |at: usize| {
            let bytes = lengths[at..at + 4].try_into().expect("four bytes");
            u32::from_le_bytes(bytes) as usize
        };
        let (key, rest) = rest.split_at(length(0));
        last = Some(key.to_vec());
        batch = &rest[length(4)..];
    }
    last
}

impl Marked {
    fn call(&mut self, call: Call, request: &impl Message) -> Vec<u8> {
        let answer = call.apply(CONFIG, self, &request.encode_to_vec());
        assert_eq!(answer.output[0], 0, "{call:?}");
        answer.output[1..].to_vec()
    }
}

#[test]
fn a_scrub_does_not_pass_over_what_it_has_removed_again_and_again() {
    const N: i64 = 1_000;
    let mut store = Marked::default();
    for _ in 0..N {
        for key in ["changed", "created again"] {
            let put = PutRequest {
                key: key.into(),
                ..PutRequest::default()
            };
            store.call(Call::Put, &put);
        }
        let delete = DeleteRangeRequest {
            key: "created again".into(),
            ..DeleteRangeRequest::default()
        };
        store.call(Call::DeleteRange, &delete);
    }
    let compact = CompactionRequest {
        revision: 3 * N,
        ..CompactionRequest::default()
    };
    store.call(Call::Compact, &compact);
    while {
        let scrubbed = store.call(Call::Scrub, &());
        ScrubResponse::decode(&scrubbed[..])
            .expect("a response")
            .more
    } {}
    let n_removed = store.removed.len();
    assert!(n_removed as i64 > 3 * N, "{n_removed} were removed");
    let n_passed = store.n_passed.get();
    assert!(n_passed < 2 * n_removed, "{n_passed} were passed over");
}
