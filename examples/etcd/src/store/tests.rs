//! The store over restarts, and killed while it commits.

use std::env;
use std::hint;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use redb::StorageBackend;

use super::*;

/// The folder of the store of a child process.
const FOLDER: &str = "ETCD_EXAMPLE_TEST_FOLDER";

/// Bytes of a log of the child process: room for two of its commits, so that every second begins a
/// flush.
const CHILD_LOG_BYTES: usize = 256 << 10;

/// Keys that the child process has at a time.
const N_KEPT: u64 = 10;

fn put(key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> (Bytes, Option<Bytes>) {
    (key.into().into(), Some(value.into().into()))
}

fn number(snapshot: &Snapshot, key: &str) -> Option<u64> {
    let value = snapshot.get(key.as_bytes()).unwrap()?;
    Some(str::from_utf8(&value).unwrap().parse().unwrap())
}

fn keys(snapshot: &Snapshot, from: &str, to: Option<&str>, order: Order) -> Vec<String> {
    let records = snapshot.scan(Query {
        order,
        ..Query::new(from.as_bytes(), to.map(str::as_bytes))
    });
    let keys = records.map(|record| String::from_utf8(record.unwrap().0.into()).unwrap());
    keys.collect()
}

/// The `n`th commit of the child process: a counter, a key that is new, one that goes, and the
/// counter again.
fn nth_commit(n: u64) -> Writes {
    Writes::from([
        put("counter", n.to_string()),
        put(format!("key/{n:08}"), vec![n as u8; 100_000]),
        (format!("key/{:08}", n.saturating_sub(N_KEPT)).into(), None),
        put("last", n.to_string()),
    ])
}

#[test]
fn commits_are_there_when_the_store_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..3 {
        let store = Store::open(Some(folder.path())).unwrap();
        let before = store.snapshot();
        let n_before = number(&before, "n");
        assert_eq!(n_before, (round > 0).then_some(round * 10));
        for n in 1..=10 {
            let n = round * 10 + n;
            let writes = [put("n", n.to_string()), ("gone".into(), None)];
            store.commit(&Writes::from(writes)).unwrap();
            assert_eq!(number(&store.snapshot(), "n"), Some(n));
        }
        assert_eq!(number(&before, "n"), n_before, "a snapshot does not change");
    }
}

#[test]
fn a_scan_has_the_range_in_order() {
    let store = Store::open(None).unwrap();
    let records = ["a", "b", "c", "d"].map(|key| put(key, "1"));
    store.commit(&Writes::from(records)).unwrap();
    let snapshot = store.snapshot();
    assert_eq!(
        keys(&snapshot, "b", Some("d"), Order::Ascending),
        ["b", "c"]
    );
    assert_eq!(
        keys(&snapshot, "b", Some("d"), Order::Descending),
        ["c", "b"]
    );
    assert_eq!(keys(&snapshot, "c", None, Order::Ascending), ["c", "d"]);
    assert_eq!(keys(&snapshot, "", None, Order::Descending).len(), 4);
    assert_eq!(keys(&snapshot, "b", Some("b"), Order::Ascending).len(), 0);
    assert_eq!(keys(&snapshot, "d", Some("a"), Order::Descending).len(), 0);
}

#[test]
fn a_group_that_is_larger_than_the_log_is_committed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(Some(folder.path())).unwrap();
    let large = Writes::from([put("large", vec![7; 20 << 20]), put("n", "1")]);
    store.commit(&Writes::from([put("n", "0")])).unwrap();
    store.commit(&large).unwrap();
    store.commit(&Writes::from([put("n", "2")])).unwrap();
    let store_bytes = store.n_bytes().unwrap();
    drop(store);
    let store = Store::open(Some(folder.path())).unwrap();
    let snapshot = store.snapshot();
    assert!(store_bytes > 20 << 20);
    assert_eq!(snapshot.get(b"large").unwrap().unwrap().len(), 20 << 20);
    assert_eq!(number(&snapshot, "n"), Some(2));
}

#[test]
fn the_log_of_another_store_is_refused_and_so_is_none() {
    for name in LOG_FILES {
        let [one, other] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        for folder in [&one, &other] {
            Store::open(Some(folder.path())).unwrap();
        }
        let log = one.path().join(name);
        fs::copy(other.path().join(name), &log).unwrap();
        let refused = Store::open(Some(one.path())).unwrap_err();
        assert!(matches!(refused, OpenError::ForeignLog(_)), "{refused}");
        fs::remove_file(log).unwrap();
        let refused = Store::open(Some(one.path())).unwrap_err();
        assert!(matches!(refused, OpenError::Io { .. }), "{refused}");
    }
}

#[test]
fn a_group_of_the_log_that_is_cut_off_is_not_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.log");
    let mut log = Log::create(&path, 5, 1 << 20).unwrap();
    for n in 1..=3 {
        assert!(log.append(n, &nth_commit(n)).unwrap());
    }
    let groups = |id| Log::open(&path, id, 0).unwrap().map(|(_, groups)| groups);
    let all = groups(5).unwrap();
    let expected = (1..=3).map(|n| (n, nth_commit(n)));
    assert!(all.into_iter().eq(expected));
    assert_eq!(groups(6), None);

    // Every byte of the third group counts.
    let bytes = fs::read(&path).unwrap();
    let last = bytes.iter().rposition(|&byte| byte != 0).unwrap();
    for at in [last, last - 1_000, last - 100_050] {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert_eq!(groups(5).unwrap().len(), 2);
    }

    // After one that is damaged nothing may be there.
    for at in [20, 100_000, 150_000] {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        fs::write(&path, bytes).unwrap();
        let refused = Log::open(&path, 5, 0).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
    }

    // A new round: what is left of the earlier one does not continue it.
    fs::write(&path, bytes).unwrap();
    log.restart();
    assert!(log.append(4, &nth_commit(1)).unwrap());
    assert_eq!(groups(5).unwrap(), [(4, nth_commit(1))]);
    // Its first group is cut off.
    let mut bytes = fs::read(&path).unwrap();
    bytes[100_000] ^= 1;
    fs::write(&path, bytes).unwrap();
    let (_, groups) = Log::open(&path, 5, 3).unwrap().unwrap();
    assert_eq!(groups, []);
}

#[test]
fn a_store_of_which_a_part_is_missing_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(Some(folder.path())).unwrap();
    store.commit(&nth_commit(1)).unwrap();
    drop(store);
    let [first, second] = LOG_FILES.map(|name| folder.path().join(name));
    let log = fs::read(&first).unwrap();
    for cut in [&first, &second] {
        fs::write(cut, &log[..1_000]).unwrap();
        let refused = Store::open(Some(folder.path())).unwrap_err();
        assert!(matches!(refused, OpenError::ShortLog(_)), "{refused}");
        fs::write(cut, &log).unwrap();
    }
    let records = folder.path().join(RECORDS_FILE);
    fs::write(&records, "").unwrap();
    for _ in 0..2 {
        let refused = Store::open(Some(folder.path())).unwrap_err();
        assert!(matches!(refused, OpenError::MissingRecords(_)), "{refused}");
        assert_eq!(fs::read(&first).unwrap(), log, "it is left as it is");
        let _ = fs::remove_file(&records);
    }
}

#[test]
fn a_store_whose_records_are_cut_off_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(Some(folder.path())).unwrap();
    let large = Writes::from([put("k", vec![1; LOG_BYTES])]); // written to the B-tree at once
    store.commit(&large).unwrap();
    let path = folder.path().join(RECORDS_FILE);
    let records = fs::read(&path).unwrap(); // as a kill leaves it
    drop(store);
    for n_pages in [1, 16, 2_000] {
        fs::write(&path, &records[..records.len() - 4_096 * n_pages]).unwrap();
        let refused = Store::open(Some(folder.path())).unwrap_err();
        let is_damaged = matches!(refused, OpenError::Damaged(_) | OpenError::Database(_));
        assert!(is_damaged, "{refused}");
    }
    fs::write(&path, &records).unwrap();
    let store = Store::open(Some(folder.path())).unwrap();
    assert_eq!(store.snapshot().get(b"k").unwrap(), large[&b"k"[..]]);
}

#[test]
fn a_group_that_just_fits_is_logged_and_a_larger_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.log");
    let mut log = Log::create(&path, 5, 1_000).unwrap();
    let value_bytes = 1_000 - 8 - log::HEADER_BYTES - 8 - 1;
    let group = |n| Writes::from([put("k", vec![1; n])]);
    assert!(!log.append(1, &group(value_bytes + 1)).unwrap());
    assert!(log.append(1, &group(value_bytes)).unwrap());
    assert!(!log.append(2, &Writes::new()).unwrap());
    assert_eq!(fs::metadata(&path).unwrap().len(), 1_000);
    let (_, groups) = Log::open(&path, 5, 0).unwrap().unwrap();
    assert_eq!(groups, [(1, group(value_bytes))]);
}

#[test]
fn the_logs_take_turns_and_what_they_have_is_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let room_for_two = 1_000;
    let commit = |n| Writes::from([put("n", vec![n; 400]), put([n], [n])]);
    let read_meta =
        || read_meta(&builder().open(folder.path().join(RECORDS_FILE)).unwrap()).unwrap();
    let mut n = 0;
    for (n_more, n_flushed, logged) in [
        (5, 4, [vec![5], vec![3, 4]]),
        (1, 5, [vec![6], vec![3, 4]]),
        (2, 6, [vec![7, 8], vec![3, 4]]),
        (4, 10, [vec![9, 10], vec![11, 12]]),
    ] {
        let store = Store::open_folder(folder.path(), room_for_two).unwrap();
        for _ in 0..n_more {
            n += 1;
            store.commit(&commit(n)).unwrap();
        }
        let snapshot = store.snapshot();
        assert_eq!(snapshot.get(b"n").unwrap().unwrap(), vec![n; 400]);
        let keys = snapshot.scan(Query::new(&[0], Some(&[100])));
        assert_eq!(keys.count(), usize::from(n));
        drop((snapshot, store));
        let meta = read_meta();
        let groups = LOG_FILES.map(|name| {
            let log = Log::open(&folder.path().join(name), meta.log_id.unwrap(), 0);
            let (_, groups) = log.unwrap().unwrap();
            groups.iter().map(|(number, _)| *number).collect::<Vec<_>>()
        });
        assert_eq!((meta.n_commits, groups), (n_flushed, logged));
    }
}

#[test]
fn a_write_that_is_cut_off_is_none() {
    let lengths = [1_u32, 2, 1, u32::MAX].map(u32::to_le_bytes);
    let [key, value, gone, deleted] = &lengths;
    let writes = Bytes::from([&key[..], value, b"kvv", gone, deleted, b"g"].concat());
    for end in 0..writes.len() {
        let mut rest = writes.slice(..end);
        let mut taken = Vec::new();
        while let Some(write) = take_write(&mut rest) {
            taken.push(write);
        }
        assert_eq!(taken, Vec::from_iter((end >= 11).then(|| put("k", "vv"))));
    }
    let mut rest = writes;
    assert_eq!(take_write(&mut rest), Some(put("k", "vv")));
    assert_eq!(take_write(&mut rest), Some(("g".into(), None)));
    assert!(rest.is_empty());
}

#[test]
fn a_snapshot_is_the_same_before_a_flush_and_after() {
    let store = Store::open_memory(1_000).unwrap();
    let mut before = Vec::new();
    for n in 0..200_u8 {
        store
            .commit(&Writes::from([
                put([n % 7], [n]),
                put("n", vec![n; 100]),
                (vec![(n + 1) % 7].into(), None),
            ]))
            .unwrap();
        before.push((n, store.snapshot()));
    }
    store.writer.lock().end_flush().unwrap();
    for (n, snapshot) in before {
        assert_eq!(snapshot.get(b"n").unwrap().unwrap(), vec![n; 100]);
        assert_eq!(snapshot.get(&[n % 7]).unwrap().unwrap(), vec![n]);
        assert_eq!(snapshot.get(&[(n + 1) % 7]).unwrap(), None);
        let order = Order::Descending;
        let keys = snapshot
            .scan(Query {
                order,
                ..Query::new(&[0], Some(&[7]))
            })
            .count();
        assert_eq!(keys, usize::from(n.min(5)) + 1);
    }
    assert!(store.shared.current.lock().flushing.is_empty());
}

#[test]
fn a_flush_is_on_the_disk_whole_or_not_at_all() {
    let disk = Disk::default();
    let db = builder().create_with_backend(disk.clone()).unwrap();
    // Without room in a log every commit is written to the B-tree.
    let logs = || Logs::Memory { n_bytes: 0, max: 0 };
    commit(&db, 1, iter::empty()).unwrap();
    let store = Store::new(db, None, logs(), 1).unwrap();
    let is_begun = disk.synced.lock().len();
    for n in 2..=9 {
        let writes = ["first", "last"].map(|key| put(key, n.to_string()));
        store.commit(&Writes::from(writes)).unwrap();
    }
    let synced = disk.synced.lock().split_off(is_begun - 1);
    assert!(synced.len() > 8, "each commit syncs");
    for (bytes, nth) in synced.into_iter().zip(0..) {
        let disk = Disk {
            bytes: Arc::new(Mutex::new(bytes)),
            ..Disk::default()
        };
        let db = builder().create_with_backend(disk).unwrap();
        let n_commits = read_meta(&db).unwrap().n_commits;
        let store = Store::new(db, None, logs(), n_commits).unwrap();
        let snapshot = store.snapshot();
        let expected = (n_commits > 1).then_some(n_commits);
        let [first, last] = ["first", "last"].map(|key| number(&snapshot, key));
        assert_eq!([first, last], [expected; 2], "after sync {nth}");
    }
}

/// A disk that keeps what is on it after each sync, as a power loss would leave it.
#[derive(Clone, Debug, Default)]
struct Disk {
    bytes: Arc<Mutex<Vec<u8>>>,
    synced: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.lock().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let at = offset as usize;
        out.copy_from_slice(&self.bytes.lock()[at..at + out.len()]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.bytes.lock().resize(len as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.synced.lock().push(self.bytes.lock().clone());
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let at = offset as usize;
        self.bytes.lock()[at..at + data.len()].copy_from_slice(data);
        Ok(())
    }
}

#[test]
fn after_a_commit_that_failed_no_other_is_taken() {
    let store = Store::open(None).unwrap();
    store.fail();
    let refused = store.commit(&nth_commit(1)).unwrap_err();
    assert!(matches!(refused, StoreError::Failed), "{refused}");
    assert_eq!(number(&store.snapshot(), "counter"), None);
}

#[test]
fn a_second_process_cannot_open_the_folder_and_the_error_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let _store = Store::open(Some(folder.path())).unwrap();
    let lines = BufReader::new(child(folder.path()).stdout.take().unwrap()).lines();
    let refused = lines
        .map_while(Result::ok)
        .find(|line| line.contains("refused"));
    let refused = refused.expect("the child opened the store");
    let expected = "is in use: stop the other server, or choose another folder";
    assert!(refused.ends_with(expected), "{refused}");
}

#[test]
fn a_kill_in_the_middle_of_commits_loses_nothing_acknowledged_and_splits_none() {
    let folder = tempfile::tempdir().unwrap();
    let mut n_committed = 0;
    for nth in 1..=24 {
        let mut child = child(folder.path());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut committed = lines
            .by_ref()
            .map_while(Result::ok)
            .filter_map(|line| line.strip_prefix("committed ")?.parse::<u64>().ok());
        for _ in 0..nth {
            n_committed = committed
                .next()
                .expect("the child commits until it is killed");
        }
        // The child is killed at another point of a commit each time.
        let until = Instant::now() + nth * Duration::from_micros(300);
        while Instant::now() < until {
            hint::spin_loop();
        }
        child.kill().unwrap();
        // Those that it could print before the kill.
        n_committed = committed.last().unwrap_or(n_committed);
        child.wait().unwrap();

        let store = Store::open(Some(folder.path())).unwrap();
        let snapshot = store.snapshot();
        let n = number(&snapshot, "counter").unwrap();
        assert!(
            n >= n_committed,
            "{n_committed} was acknowledged, {n} is there"
        );
        assert!(
            n <= n_committed + 1,
            "{n_committed} was acknowledged, {n} is there"
        );
        assert_eq!(number(&snapshot, "last"), Some(n));
        let kept = (n.saturating_sub(N_KEPT) + 1..=n).map(|n| format!("key/{n:08}"));
        assert!(
            keys(&snapshot, "key/", Some("key0"), Order::Ascending)
                .into_iter()
                .eq(kept)
        );
    }
}

/// A process that commits until it is killed, and prints the number of each commit.
fn child(folder: &Path) -> Child {
    let test = "store::tests::the_child_process_of_other_tests";
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["--exact", test, "--nocapture"])
        .env(FOLDER, folder);
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn the_child_process_of_other_tests() {
    let Some(folder) = env::var_os(FOLDER) else {
        return;
    };
    let mut out = io::stdout();
    let store = match Store::open_folder(Path::new(&folder), CHILD_LOG_BYTES) {
        Ok(store) => store,
        Err(error) => return writeln!(out, "\nrefused: {error}").unwrap(),
    };
    writeln!(out).unwrap(); // after what the test harness has printed
    let first = number(&store.snapshot(), "counter").unwrap_or(0) + 1;
    for n in first.. {
        store.commit(&nth_commit(n)).unwrap();
        // It ends when nobody reads.
        writeln!(out, "committed {n}").unwrap();
    }
}
