//! Clients under load while the server is killed and connections are cut.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use etcd_example::proto::etcdserverpb::WatchCreateRequest;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::checker::check;
use crate::client::{Client, Follower, changes, everything, prefix};
use crate::history::{History, Operation};
use crate::load::{Load, PREFIXES};
use crate::process::{Process, RUNTIMES};
use crate::relay::Relay;
use crate::{DEADLINE, report, say, setting};

/// How often the server is killed, without `ETCD_KILLS`.
const N_KILLS: u64 = 5;

/// Clients that read and write.
const N_CLIENTS: usize = 6;

/// Operations between two faults are fewer than this.
const MAX_OPERATIONS: u64 = 120;

/// Of so many faults one is a kill; at the others connections are cut.
const FAULTS_PER_KILL: u64 = 3;

#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_no_acknowledged_write_and_watchers_resume_exactly() {
    for runtime in RUNTIMES {
        let seed = setting("ETCD_SEED").unwrap_or_else(|| getrandom::u64().expect("entropy"));
        let n_kills = setting("ETCD_KILLS").unwrap_or(N_KILLS);
        say(&format!("{runtime}: {n_kills} kills with ETCD_SEED={seed}"));
        let began = Instant::now();
        let history = run(runtime, seed, n_kills).await;
        let seconds = began.elapsed().as_secs();
        let checked = check(&history);
        let folder = setting::<PathBuf>("ETCD_HISTORIES");
        if folder.is_some() || checked.is_err() {
            let folder = folder.unwrap_or_else(|| tempfile::tempdir().expect("a folder").keep());
            let folder = folder.join(runtime);
            report::write(&folder, &history, checked.as_ref().ok()).expect("a folder");
            say(&format!("histories: {}", folder.display()));
        }
        match checked {
            Ok(checked) => say(&format!("{runtime}: {seconds} s, {checked}")),
            Err(violation) => panic!("{runtime}, ETCD_SEED={seed}: {violation}"),
        }
    }
}

async fn run(runtime: &str, seed: u64, n_kills: u64) -> History {
    let data = tempfile::tempdir().expect("a folder");
    let began = Instant::now();
    let relay = Relay::start().await;
    let address = relay.address;
    let mut server = Process::start(runtime, data.path()).await;
    relay.set_server(Some(server.address));

    // etcd's validators want to see that the server begins empty.
    let mut first = Client::new(N_CLIENTS, address, began);
    assert_eq!(everything(&mut first).await.count, 0);

    let (last, last_known) = watch::channel(None);
    let mut following = JoinSet::new();
    for creates in streams() {
        following.spawn(Follower::new(address, began, creates).follow(last_known.clone()));
    }
    let is_ended = Arc::new(AtomicBool::new(false));
    let (done, mut n_done) = watch::channel(0);
    let mut loading = JoinSet::new();
    for id in 0..N_CLIENTS {
        let client = Client::new(id, address, began);
        loading.spawn(load(client, seed, done.clone(), Arc::clone(&is_ended)));
    }

    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(N_CLIENTS as u64);
    let mut kills = 0;
    while kills < n_kills {
        let due = *n_done.borrow() + random.next_u64() % MAX_OPERATIONS;
        let is_due = timeout(DEADLINE, n_done.wait_for(|n| *n >= due)).await;
        is_due.expect("clients go on").expect("clients run");
        if random.next_u64() % FAULTS_PER_KILL > 0 {
            relay.cut(|| random.next_u64() % 2 == 0);
            continue;
        }
        kills += 1;
        if kills == n_kills {
            is_ended.store(true, Ordering::Relaxed);
        }
        relay.set_server(None);
        server.kill().await;
        server = Process::start(runtime, data.path()).await;
        relay.set_server(Some(server.address));
    }

    let ending = async {
        let mut operations = loading.join_all().await.concat();
        let end = everything(&mut first).await;
        let head = end.header.as_ref().map(|header| header.revision);
        last.send_replace(head);
        let watchers = following.join_all().await.concat();
        operations.extend(first.operations);
        History {
            operations,
            watchers,
            changes: changes(server.address, began, head).await,
            end,
        }
    };
    timeout(DEADLINE, ending)
        .await
        .expect("every watch reaches the last revision")
}

/// The watches of each stream.
fn streams() -> Vec<Vec<WatchCreateRequest>> {
    let with_prev_kv = |create| WatchCreateRequest {
        prev_kv: true,
        ..create
    };
    let key = |key: &str| WatchCreateRequest {
        key: key.into(),
        ..WatchCreateRequest::default()
    };
    let fragments = WatchCreateRequest {
        fragment: true,
        ..with_prev_kv(prefix("", 1))
    };
    vec![
        vec![
            prefix("", 0),
            with_prev_kv(prefix(PREFIXES[0], 0)),
            key("a/1"),
        ],
        vec![fragments],
        PREFIXES.map(|of| prefix(of, 1)).to_vec(),
        vec![
            with_prev_kv(prefix("", 0)),
            with_prev_kv(key("b/2")),
            prefix("c/", 0),
        ],
    ]
}

async fn load(
    mut client: Client,
    seed: u64,
    done: watch::Sender<u64>,
    is_ended: Arc<AtomicBool>,
) -> Vec<Operation> {
    let mut load = Load::new(client.id, seed);
    while !is_ended.load(Ordering::Relaxed) {
        let operation = client.call(load.next()).await;
        load.learn(operation);
        done.send_modify(|n| *n += 1);
    }
    client.operations
}
