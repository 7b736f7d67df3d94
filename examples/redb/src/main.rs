//! `redb-example [FOLDER [ORDERS]]`
//!
//! Takes some orders, each in one transaction, in a store in the folder; the next run continues.
//! Without a folder it does both in a temporary one.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "the program shows what it does")]

use std::future::ready;
use std::path::Path;
use std::sync::Arc;

use rangewatch_bus::Selector;
use redb_example::{Audit, Changes, Error, Store};
use tokio::task::block_in_place;

/// A consumer that is further behind than so many revisions begins with a snapshot.
const N_LOGGED: usize = 1_000;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => {
            let folder = tempfile::tempdir()?;
            take_orders(folder.path(), 3).await?;
            println!("\na restart\n");
            take_orders(folder.path(), 2).await?;
            let audit = std::fs::read_to_string(folder.path().join("audit.log"))?;
            print!("\naudit.log has each revision once:\n{audit}");
            Ok(())
        }
        [folder] => take_orders(Path::new(folder), 3).await,
        [folder, n_orders] => take_orders(Path::new(folder), n_orders.parse()?).await,
        _ => Err("usage: redb-example [FOLDER [ORDERS]]".into()),
    }
}

async fn take_orders(folder: &Path, n_orders: usize) -> Result<()> {
    let (store, bus) = Store::open(&folder.join("store.redb"), N_LOGGED)?;
    let store = Arc::new(store);
    let mut audit = Audit::open(&folder.join("audit.log"))?;
    println!("the store is at revision {}", bus.head().unwrap_or(0));
    println!("the audit continues after {}", audit.checkpoint());

    // A consumer that must see each change once: see `Audit`.
    let auditing = tokio::spawn({
        let (bus, store) = (bus.clone(), Arc::clone(&store));
        async move { audit.run(&bus, &store).await.map(|()| audit) }
    });
    // A consumer that needs the present state: a copy of the stock in memory.
    let (stock, mut driver) = bus.subscribe(Selector::prefix("stock/")).mirror(
        256,
        {
            let store = Arc::clone(&store);
            move |selectors| ready(store.scan(&selectors))
        },
        |_key, value| value.clone(),
    )?;
    let mirroring = tokio::spawn(async move { driver.run().await });
    stock.wait_until(0).await?; // the first snapshot

    for _ in 0..n_orders {
        let order = order(bus.head().unwrap_or(0) + 1);
        // The thread waits for the disk, and its other tasks move to another one.
        let revision = block_in_place(|| store.write(order))?;
        stock.wait_until(revision).await?; // what was just written can be read now
        let apples = stock.get("stock/apples");
        println!("revision {revision}: {} apples", apples.unwrap_or_default());
    }

    // The consumers receive what is left, and end.
    bus.close();
    mirroring.await??;
    let audit = auditing.await??;
    println!("the audit is at {}", audit.checkpoint());
    // As in a crash between a commit and its emit: the next run emits this order.
    match block_in_place(|| store.write(order(audit.checkpoint() + 1))) {
        Err(Error::Emit(_)) => println!("one more order is committed, and not emitted"),
        other => println!("revision {} should not have been emitted", other?),
    }
    Ok(())
}

/// The order of a revision takes two apples, and the one before was shipped.
fn order(revision: u64) -> Changes {
    let n_apples = 100_u64.saturating_sub(2 * revision);
    Changes::from([
        (format!("order/{}", revision - 1).into(), None),
        (format!("order/{revision}").into(), Some("2 apples".into())),
        ("stock/apples".into(), Some(n_apples.to_string().into())),
    ])
}
