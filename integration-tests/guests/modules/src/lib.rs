//! Warehouses whose stock and orders are in a store of the host, and clients that watch them, each
//! by a stream of its own.
//!
//! The guest keeps nothing in its memory: its state is in three modules of the host, so that any
//! instance of a pool can serve any call.
//!
//! | command | answer | changes |
//! |---|---|---|
//! | `watch ID PREFIX` | `watching PREFIX` | the stream of the call receives the changes of keys with that prefix |
//! | `stock WAREHOUSE ITEM N` | `revision R` | `stock/WAREHOUSE/ITEM` is `N` |
//! | `order N ITEM ..` | `revision R`, or `refused` | takes each number from the first warehouse that has them all; `order/R` |
//! | `cancel R` | `revision R`, or `refused` | deletes `order/R` |
//! | `list PREFIX` | a line `KEY = VALUE` for each key | |
//! | `crash` | traps | a change that is undone |
//! | `forget` | `forgotten` | a transaction that is left open |
//!
//! A client receives a line `ID R: KEY = VALUE`, or `ID R: KEY deleted`, for each change.

mod buffers;
mod cache;
mod kv;
mod page;

use rangewatch_guest::{self as watch, Selector};

/// Registers the handler, on each instance.
#[unsafe(no_mangle)]
pub extern "C" fn _initialize() {
    watch::try_receive(report).expect("called once");
}

/// Applies the command that is the input of the call. Its output is the answer.
#[unsafe(no_mangle)]
pub extern "C" fn apply() {
    watch::answer(|command| match std::str::from_utf8(command) {
        Ok(command) => apply_command(command),
        Err(_) => "not understood".to_owned(),
    })
    .expect("in a guest");
}

fn apply_command(command: &str) -> String {
    let words: Vec<_> = command.split(' ').collect();
    match words[..] {
        ["watch", id, prefix] => match follow(id, prefix) {
            Ok(()) => format!("watching {prefix}"),
            Err(error) => error.to_string(),
        },
        ["stock", warehouse, item, n] => answer(change(|_| {
            n.parse::<u64>().ok()?;
            Some(vec![put(format!("stock/{warehouse}/{item}"), n)])
        })),
        ["order", ref items @ ..] => answer(order(items)),
        ["cancel", order] => answer(change(|_| {
            let key = format!("order/{order}");
            kv::delete(key.as_bytes()).then(|| vec![Change { key, value: None }])
        })),
        ["list", prefix] => kv::scan(prefix.as_bytes())
            .map(|(key, value)| format!("{} = {}\n", text(&key), text(&value)))
            .collect(),
        ["crash"] => {
            kv::begin();
            put("stock/north/apples".to_owned(), "1000");
            panic!("no power");
        }
        ["forget"] => {
            kv::begin();
            put("stock/north/apples".to_owned(), "1000");
            "forgotten".to_owned()
        }
        _ => "not understood".to_owned(),
    }
}

/// A key that was changed, with its new value, if it has one.
struct Change {
    key: String,
    value: Option<String>,
}

fn put(key: String, value: &str) -> Change {
    kv::put(key.as_bytes(), value.as_bytes());
    let value = Some(value.to_owned());
    Change { key, value }
}

fn answer(revision: Option<u64>) -> String {
    revision.map_or("refused".to_owned(), |revision| {
        format!("revision {revision}")
    })
}

/// Changes the store in one transaction, with a record of the changes, and emits their keys. The
/// host commits both together when the call returns.
fn change(f: impl FnOnce(u64) -> Option<Vec<Change>>) -> Option<u64> {
    let (revision, changes) = kv::transaction(|revision| {
        let changes = f(revision)?;
        let record: String = changes
            .iter()
            .map(|Change { key, value }| match value {
                Some(value) => format!("{key} = {value}\n"),
                None => format!("{key} deleted\n"),
            })
            .collect();
        kv::put(&record_key(revision), record.as_bytes());
        Some((revision, changes))
    })?;
    let keys = changes.iter().map(|change| &change.key);
    watch::emit(revision, keys).expect("the keys fit");
    Some(revision)
}

fn record_key(revision: u64) -> Vec<u8> {
    [b"record/", &revision.to_be_bytes()[..]].concat()
}

/// Orders pairs of a number and an item, all of one warehouse.
fn order(items: &[&str]) -> Option<u64> {
    let (items, []) = items.as_chunks() else {
        return None;
    };
    change(|revision| {
        let stock = kv::scan(b"stock/").map(|(key, _)| text(&key));
        let mut warehouses: Vec<_> = stock
            .filter_map(|key| key.split('/').nth(1).map(str::to_owned))
            .collect();
        warehouses.dedup();
        warehouses.iter().find_map(|warehouse| {
            let mut changes = take(warehouse, items)?;
            let items: Vec<_> = items.iter().map(|pair| pair.join(" ")).collect();
            let order = format!("{} from {warehouse}", items.join(" "));
            changes.push(put(format!("order/{revision}"), &order));
            Some(changes)
        })
    })
}

/// Takes all items of an order from a warehouse, or none of them, in a nested transaction.
fn take(warehouse: &str, items: &[[&str; 2]]) -> Option<Vec<Change>> {
    kv::transaction(|_| {
        items
            .iter()
            .map(|[n, item]| {
                let key = format!("stock/{warehouse}/{item}");
                let in_stock: u64 = text(&kv::get(key.as_bytes())?).parse().ok()?;
                let left = in_stock.checked_sub(n.parse().ok()?)?;
                Some(put(key, &left.to_string()))
            })
            .collect()
    })
}

/// Watches a prefix for the stream that this call runs for. The id contains the prefix: the handler
/// may run on another instance, whose memory knows nothing of this call.
fn follow(id: &str, prefix: &str) -> Result<(), watch::Error> {
    let id = format!("{id} {prefix}");
    watch::open(&id, Selector::prefix(prefix))?;
    watch::start(&id)
}

/// The handler: reads the records from the revision on, and writes the watched changes into the
/// buffer of the stream. A change may be reported twice, with the same revision.
fn report(id: &[u8], first: u64) -> Result<(), &'static str> {
    let id = text(id);
    let (id, prefix) = id.split_once(' ').ok_or("no id of this guest")?;
    for revision in first..=kv::revision() {
        for line in text(&record(revision)).lines() {
            if line.starts_with(prefix) {
                buffers::append(format!("{id} {revision}: {line}\n").as_bytes())?;
            }
        }
    }
    Ok(())
}

/// The record of a revision. It never changes, so that each instance can cache it.
fn record(revision: u64) -> Vec<u8> {
    match cache::next(revision) {
        Some((found, record)) if found == revision => record,
        _ => {
            let record = kv::get(&record_key(revision)).unwrap_or_default();
            cache::put(revision, &record);
            record
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
