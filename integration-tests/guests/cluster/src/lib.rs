//! A replica of an inventory: stock, orders, and customers with open orders. Replicas that apply
//! the same commands emit the same: the revision of each change, and the keys that it has changed.
//!
//! | command | changes |
//! |---|---|
//! | `deliver N ITEM` | `stock/ITEM` |
//! | `order ORDER N ITEM CUSTOMER` | `order/ORDER`, `stock/ITEM`, `customer/CUSTOMER`; nothing if the stock is too small |
//! | `ship ORDER` | `order/ORDER`, `customer/CUSTOMER`; nothing if the order is not open |
//! | `cancel ORDER` | `order/ORDER`, `stock/ITEM`, `customer/CUSTOMER`; nothing if the order is not open |
//!
//! The revision is 1 for the first change and greater by one for each further. The value of a key
//! at each revision is kept.
//!
//! | export | input | output |
//! |---|---|---|
//! | `apply` | a command | the last revision |
//! | `at` | `REVISION KEY` | the value of the key then |
//! | `keys` | `REVISION PREFIX` | the keys that the revision changed, one per line |
//! | `list` | `REVISION PREFIX` | the names and values of all keys then, with commas in between |
//!
//! It also watches the customers: it prints a line `REVISION KEY: VALUE` for each change that is on
//! its bus *and* that it has applied. The change may come from another replica, which was faster.

mod inventory;
mod news;
mod store;

use std::cell::RefCell;
use std::io::{self, Write as _};
use std::sync::Once;

use inventory::Inventory;
use news::News;
use rangewatch_guest::gen2::{self as watch, Batch};
use rangewatch_guest::{self as guest, Selector};

const WATCH: &str = "customers";
const WATCHED: &str = "customer/";

thread_local! {
    static REPLICA: RefCell<Replica> = RefCell::default();
}

#[derive(Default)]
struct Replica {
    inventory: Inventory,
    news: News,
}

/// Applies the command, and emits what it changes.
#[unsafe(no_mangle)]
pub extern "C" fn apply() {
    answer(|replica, command| {
        let before = replica.inventory.store.revision();
        replica.inventory.apply(command);
        let revision = replica.inventory.store.revision();
        if revision > before {
            let keys = replica.inventory.store.keys(revision);
            watch::queue(revision, keys).expect("the keys fit");
            watch::flush().expect("in a guest");
        }
        replica.print();
        revision.to_string()
    });
}

/// The value of a key at a revision.
#[unsafe(no_mangle)]
pub extern "C" fn at() {
    answer(|replica, input| {
        let (revision, key) = revision_and(input);
        let value = replica.inventory.store.at(revision, key);
        value.unwrap_or_default().to_owned()
    });
}

/// The keys that a revision changed.
#[unsafe(no_mangle)]
pub extern "C" fn keys() {
    answer(|replica, input| {
        let (revision, prefix) = revision_and(input);
        let keys = replica.inventory.store.keys(revision).iter();
        let keys = keys.filter(|key| key.starts_with(prefix));
        keys.map(|key| format!("{key}\n")).collect()
    });
}

/// The names and values of keys at a revision.
#[unsafe(no_mangle)]
pub extern "C" fn list() {
    answer(|replica, input| {
        let (revision, prefix) = revision_and(input);
        let entries = replica.inventory.store.list(revision, prefix);
        let entries = entries.map(|(name, value)| format!("{name} {value}"));
        entries.collect::<Vec<_>>().join(", ")
    });
}

/// Opens the watch: what the bus emits from now on is held until [`start`].
#[unsafe(no_mangle)]
pub extern "C" fn open() {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| watch::receive(on_batch).expect("called once"));
    // Refused if the bus is closed: the scan of `start` is all that is left to do.
    let _ = watch::open(WATCH, Selector::prefix(WATCHED));
}

/// Starts the watch. Changes up to `printed` are left out; those up to `head` were emitted before
/// [`open`], so the watch does not bring them.
#[unsafe(no_mangle)]
pub extern "C" fn start(printed: u64, head: u64) {
    REPLICA.with_borrow_mut(|replica| {
        replica.news.skip(printed);
        replica.news.add_all(head);
        replica.print();
    });
    // Refused if the bus was closed, or had a gap, which ends its watches: the host opens another.
    let _ = watch::start(WATCH);
}

fn on_batch(batch: Batch<'_>) {
    REPLICA.with_borrow_mut(|replica| {
        for notice in batch {
            replica.news.add(notice.value());
        }
        replica.print();
    });
}

impl Replica {
    /// Prints the news that this replica has applied.
    fn print(&mut self) {
        let store = &self.inventory.store;
        let mut out = io::stdout().lock();
        while let Some(revision) = self.news.next(store.revision()) {
            let keys = store.keys(revision).iter();
            for key in keys.filter(|key| key.starts_with(WATCHED)) {
                let value = store.at(revision, key).unwrap_or_default();
                // Ignored if nobody reads it.
                let _ = writeln!(out, "{revision} {key}: {value}");
            }
        }
    }
}

fn answer(of: impl FnOnce(&mut Replica, &str) -> String) {
    guest::answer(|input| {
        let input = std::str::from_utf8(input).expect("the host sends text");
        REPLICA.with_borrow_mut(|replica| of(replica, input))
    })
    .expect("in a guest");
}

fn revision_and(input: &str) -> (u64, &str) {
    let (revision, rest) = input.split_once(' ').expect("two words");
    (revision.parse().expect("a revision"), rest)
}
