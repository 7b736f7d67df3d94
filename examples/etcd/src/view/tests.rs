//! The view against one map.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::store::{Order, Store};

type Model = BTreeMap<Bytes, Bytes>;

/// Few keys, so that the layers hide one another.
fn keys() -> impl Strategy<Value = Bytes> {
    vec(b'a'..=b'c', 0..4).prop_map(Bytes::from)
}

fn writes() -> impl Strategy<Value = Writes> {
    btree_map(
        keys(),
        option::of(vec(any::<u8>(), 0..4).prop_map(Bytes::from)),
        0..12,
    )
}

fn apply(model: &mut Model, writes: &Writes) {
    for (key, value) in writes {
        match value {
            Some(value) => model.insert(key.clone(), value.clone()),
            None => model.remove(key),
        };
    }
}

proptest! {
    #[test]
    fn a_view_reads_as_one_map_to_which_each_layer_was_applied(
        stored in vec(writes(), 0..8),
        earlier in vec(writes(), 0..4),
        own in writes(),
        key in keys(),
        from in keys(),
        to in option::of(keys()),
        n_taken in 0..10_usize,
    ) {
        let mut model = Model::new();
        let store = Store::open_memory(200).unwrap(); // so that some are flushed
        for writes in &stored {
            store.commit(writes).unwrap();
        }
        for writes in stored.iter().chain(&earlier).chain([&own]) {
            apply(&mut model, writes);
        }
        let earlier = earlier.into_iter().map(Arc::new).collect();
        let mut view = View::new(store.snapshot(), earlier);
        for (key, value) in own.clone() {
            match value {
                Some(value) => view.put(key, value),
                None => view.delete(key),
            }
        }

        prop_assert_eq!(view.get(&key).unwrap(), model.get(&key).cloned());
        let query = Query::new(&from, to.as_deref());
        let scan = |order, n| {
            let records = view.scan(Query { order, ..query }).take(n).map(Result::unwrap);
            records.collect::<Vec<_>>()
        };
        let range = model.range::<[u8], _>(query.bounds());
        let mut expected: Vec<_> = range.map(|(k, v)| (k.clone(), v.clone())).collect();
        prop_assert_eq!(scan(Order::Ascending, usize::MAX), expected.clone());
        prop_assert_eq!(
            scan(Order::Ascending, n_taken),
            expected.iter().take(n_taken).cloned().collect::<Vec<_>>()
        );
        let query = Query { keys_only: true, ..query };
        let keys = view.scan(query).map(Result::unwrap).map(|(key, value)| (key, value.len()));
        prop_assert_eq!(
            keys.collect::<Vec<_>>(),
            expected.iter().map(|(key, _)| (key.clone(), 0)).collect::<Vec<_>>()
        );
        expected.reverse();
        prop_assert_eq!(scan(Order::Descending, usize::MAX), expected);
        prop_assert_eq!(view.into_writes(), own);
    }
}

#[test]
fn a_view_can_be_the_context_of_a_call() {
    const fn context<T: Send + 'static>() {}
    context::<View>();
}
