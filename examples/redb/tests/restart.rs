//! What a restart and a crash leave.

use std::future::ready;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rangewatch_bus::{EmitError, Selector};
use redb_example::{Audit, Changes, Error, Store};

const DEADLINE: Duration = Duration::from_secs(60);

fn put(key: &str, value: &str) -> Changes {
    Changes::from([(key.into(), Some(value.into()))])
}

/// Opens the store and the audit in `folder`, and writes while the audit receives everything.
async fn run(folder: &Path, n_logged: usize, transactions: impl IntoIterator<Item = Changes>) {
    let (store, bus) = Store::open(&folder.join("store.redb"), n_logged).unwrap();
    let mut audit = Audit::open(&folder.join("audit.log")).unwrap();
    let audit = audit.run(&bus, &store);
    let write = async {
        for changes in transactions {
            store.write(changes).unwrap();
        }
        bus.close();
    };
    let both = async { futures::join!(audit, write) };
    let (received, ()) = tokio::time::timeout(DEADLINE, both).await.unwrap();
    received.unwrap();
}

fn audit(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("audit.log")).unwrap()
}

#[tokio::test]
async fn a_restart_loses_nothing_and_repeats_nothing() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), 10, [put("a", "1"), put("b", "2")]).await;
    run(folder.path(), 10, []).await;
    let both = Changes::from([(b"a".to_vec(), None), (b"c\n".to_vec(), Some("\n".into()))]);
    run(folder.path(), 10, [both, put("a", "4")]).await;
    assert_eq!(
        audit(folder.path()),
        "1 put a \"1\"\n\
         2 put b \"2\"\n\
         3 delete a, put c\\n \"\\n\"\n\
         4 put a \"4\"\n"
    );
}

#[tokio::test]
async fn a_line_that_a_crash_has_cut_off_is_received_again() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), 10, [put("a", "1"), put("a", "2")]).await;
    let whole = audit(folder.path());
    let path = folder.path().join("audit.log");
    for n_bytes in 0..whole.len() {
        std::fs::write(&path, &whole[..n_bytes]).unwrap();
        run(folder.path(), 10, []).await;
        assert_eq!(audit(folder.path()), whole, "cut off at {n_bytes}");
    }
}

#[tokio::test]
async fn a_commit_that_was_not_emitted_is_emitted_on_open() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), 10, [put("a", "1")]).await;
    {
        let (store, bus) = Store::open(&folder.path().join("store.redb"), 10).unwrap();
        bus.close();
        let not_emitted = store.write(put("b", "2")).unwrap_err();
        assert!(matches!(not_emitted, Error::Emit(EmitError::Closed)));
    }
    let (_store, bus) = Store::open(&folder.path().join("store.redb"), 10).unwrap();
    assert_eq!((bus.floor(), bus.head()), (Some(1), Some(2)));
    let mut sub = bus
        .subscribe(Selector::key("b"))
        .since_after(1)
        .events(16)
        .unwrap();
    let event = sub.try_recv().unwrap();
    let entries: Vec<_> = event.entries().collect();
    assert_eq!(event.value(), 2);
    assert_eq!(entries, [(&b"b"[..], &Some("2".into()))]);
}

#[tokio::test]
async fn a_consumer_behind_the_log_begins_with_a_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    {
        let (store, _bus) = Store::open(&folder.path().join("store.redb"), 2).unwrap();
        for revision in 1..=5 {
            let key = format!("k{}", revision % 3);
            assert_eq!(store.write(put(&key, "v")).unwrap(), revision);
        }
    }
    let (store, bus) = Store::open(&folder.path().join("store.redb"), 2).unwrap();
    assert_eq!((bus.floor(), bus.head()), (Some(4), Some(5)));
    drop((store, bus));
    run(folder.path(), 2, [put("k1", "w")]).await;
    run(folder.path(), 2, [put("k2", "w")]).await;
    assert_eq!(
        audit(folder.path()),
        "5 snapshot of 3 keys\n\
         6 put k1 \"w\"\n\
         7 put k2 \"w\"\n"
    );
}

#[tokio::test]
async fn concurrent_writers_emit_in_the_order_of_their_commits() {
    let folder = tempfile::tempdir().unwrap();
    let (store, bus) = Store::open(&folder.path().join("store.redb"), 1_000).unwrap();
    let mut sub = bus.subscribe(..).events(1_000).unwrap();
    std::thread::scope(|threads| {
        for _ in 0..16 {
            threads.spawn(|| {
                for _ in 0..20 {
                    store.write(put("k", "v")).unwrap();
                }
            });
        }
    });
    for revision in 1..=320 {
        assert_eq!(sub.try_recv().unwrap().value(), revision);
    }
}

#[tokio::test]
async fn a_mirror_shows_what_was_just_written() {
    let folder = tempfile::tempdir().unwrap();
    let (store, bus) = Store::open(&folder.path().join("store.redb"), 10).unwrap();
    store.write(put("stock/pears", "5")).unwrap();
    let (mirror, mut driver) = bus
        .subscribe(Selector::prefix("stock/"))
        .mirror(
            16,
            |selectors| ready(store.scan(&selectors)),
            |_, value| value.clone(),
        )
        .unwrap();
    let write = async {
        mirror.wait_until(1).await.unwrap();
        let changes = Changes::from([
            (b"order/1".to_vec(), Some("one of each".into())),
            (b"stock/apples".to_vec(), Some("7".into())),
            (b"stock/pears".to_vec(), None),
        ]);
        let revision = store.write(changes).unwrap();
        mirror.wait_until(revision).await.unwrap();
        let stock = mirror.range(..).unwrap();
        assert_eq!(stock, [(b"stock/apples"[..].into(), "7".into())]);
        bus.close();
    };
    let both = async { futures::join!(driver.run(), write) };
    let (run, ()) = tokio::time::timeout(DEADLINE, both).await.unwrap();
    run.unwrap();
}

/// Kills the program while it takes orders.
#[tokio::test]
async fn a_killed_process_loses_nothing_and_repeats_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for n_revisions in [1, 7, 20] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_redb-example"))
            .arg(folder.path())
            .arg("1000000")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            output
                .lines()
                .try_for_each(|line| sender.send(line.unwrap()))
        });
        let mut n_seen = 0;
        while n_seen < n_revisions {
            let line = lines.recv_timeout(DEADLINE).unwrap();
            n_seen += usize::from(line.starts_with("revision "));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    run(folder.path(), 1_000, []).await;

    let lines = audit(folder.path());
    for (index, line) in lines.lines().enumerate() {
        let revision = index + 1;
        let begin = format!("{revision} ");
        assert!(line.starts_with(&begin), "{line} is line {revision}");
        let order = format!("put order/{revision} ");
        assert!(line.contains(&order), "{line}");
    }
    let (_store, bus) = Store::open(&folder.path().join("store.redb"), 1_000).unwrap();
    assert_eq!(lines.lines().count() as u64, bus.head().unwrap());
    assert!(bus.head() >= Some(28), "{:?}", bus.head());
}

#[test]
fn the_program_shows_a_restart() {
    let output = Command::new(env!("CARGO_BIN_EXE_redb-example"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let stdout = String::from_utf8(output.stdout).unwrap();
    let readme = include_str!("../README.md");
    assert!(
        readme.contains(&format!("```text\n{stdout}```")),
        "README.md does not show\n{stdout}"
    );
}
