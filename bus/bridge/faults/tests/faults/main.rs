//! Three writers and five readers of one log, each a process of its own, while the server is killed
//! with -9 and started again, connections are cut in the middle of a frame, processes are killed,
//! and the log is trimmed under a slow reader.
//!
//! Each process checks what it receives: `bridge-process`. `BRIDGE_ROUNDS` sets the number of
//! rounds for each engine (default 9, each fault once), `BRIDGE_SEED` repeats a run as far as
//! processes can be repeated.

#![expect(
    clippy::print_stdout,
    reason = "what it prints says how to repeat a failure"
)]

mod cluster;
mod engine;
mod history;
mod network;
mod process;
mod proxy;

use std::time::Duration;

use fastrand::Rng;

use cluster::Cluster;
use engine::Engine;
use network::Network;

/// How many values are emitted in a round.
const N_VALUES: u64 = 1500;

fn n_rounds() -> u64 {
    std::env::var("BRIDGE_ROUNDS").map_or(9, |rounds| rounds.parse().expect("a number of rounds"))
}

fn seed() -> u64 {
    let seed = std::env::var("BRIDGE_SEED")
        .map_or_else(|_| fastrand::u64(..), |seed| seed.parse().expect("a seed"));
    println!("BRIDGE_SEED={seed}");
    seed
}

/// What goes wrong while a round is emitted.
#[derive(Clone, Copy, Debug)]
enum Fault {
    KillServer,
    /// And the end of what it has stored is lost.
    LoseTail,
    CutConnections,
    HoldConnections,
    StopServer,
    /// Packets are lost, and nobody learns of it.
    Partition,
    KillWriter,
    KillReader,
    TrimUnderSlowReader,
    Nothing,
}

/// What Redis acknowledges, it has written to a file. With `everysec`, a killed server may have
/// kept up to two seconds in its memory, while it waited for the disk.
const DURABLE: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

const FAULTS: [Fault; 9] = [
    Fault::KillServer,
    Fault::LoseTail,
    Fault::CutConnections,
    Fault::TrimUnderSlowReader,
    Fault::KillWriter,
    Fault::HoldConnections,
    Fault::KillReader,
    Fault::StopServer,
    Fault::Nothing,
];

/// What the server of NATS has stored is in files of several kinds, whose ends are not cut here.
const NATS_FAULTS: [Fault; 8] = [
    Fault::KillServer,
    Fault::CutConnections,
    Fault::TrimUnderSlowReader,
    Fault::KillWriter,
    Fault::HoldConnections,
    Fault::KillReader,
    Fault::StopServer,
    Fault::Nothing,
];

fn rounds(engine: Engine, faults: &[Fault]) {
    let mut random = Rng::with_seed(seed());
    let Some(mut cluster) = Cluster::start(engine, random.u64(..)) else {
        return;
    };
    let mut to = 1;
    let n_rounds = n_rounds().min(faults.len() as u64 * 25);
    for round in 0..n_rounds {
        // Each fault once, then at random.
        let fault = faults.get(round as usize).copied();
        let fault = fault.unwrap_or_else(|| faults[random.usize(..faults.len())]);
        to += N_VALUES;
        println!("round {round}: to {to}, {fault:?}");
        cluster.emit(to);
        if let Fault::TrimUnderSlowReader = fault {
            cluster.trim_under_slow_reader(&mut random);
        } else {
            for _ in 0..random.u32(1..=3) {
                std::thread::sleep(Duration::from_millis(random.u64(0..400)));
                cluster.fail(fault, &mut random);
            }
        }
        cluster.reached(to);
        cluster.nothing_is_missing();
    }
    cluster.verify(to);
}

#[test]
fn g03_redis_with_a_log_file_loses_nothing() {
    rounds(Engine::redis(&DURABLE), &FAULTS);
}

#[test]
fn g03_an_old_nats_loses_nothing() {
    rounds(Engine::old_nats("nats"), &NATS_FAULTS);
}

#[test]
fn g03_a_new_nats_loses_nothing() {
    rounds(Engine::new_nats("nats"), &NATS_FAULTS);
}

#[test]
fn g07_redis_without_a_log_file_begins_an_epoch_when_it_restarts() {
    begins_an_epoch_when_it_restarts(Engine::redis(&[]));
}

#[test]
fn g07_an_old_nats_without_files_begins_an_epoch_when_it_restarts() {
    begins_an_epoch_when_it_restarts(Engine::old_nats("nats-memory"));
}

#[test]
fn g07_a_new_nats_without_files_begins_an_epoch_when_it_restarts() {
    begins_an_epoch_when_it_restarts(Engine::new_nats("nats-memory"));
}

fn begins_an_epoch_when_it_restarts(engine: Engine) {
    let mut random = Rng::with_seed(seed());
    let Some(mut cluster) = Cluster::start(engine, random.u64(..)) else {
        return;
    };
    // There is an epoch, which is lost.
    let mut to = 1 + N_VALUES / 2;
    cluster.emit(to);
    cluster.reached(to);
    for round in 1..=2 {
        to += N_VALUES;
        cluster.emit(to);
        std::thread::sleep(Duration::from_millis(random.u64(0..300)));
        cluster.fail(Fault::KillServer, &mut random);
        cluster.reached(to);
        // All of them may have been read before the server was killed. These are read after it.
        to += N_VALUES / 2;
        cluster.emit(to);
        cluster.reached(to);
        cluster.each_reader_saw_an_epoch(round);
    }
    cluster.verify(to);
}

#[test]
fn g03_a_network_that_loses_packets_loses_no_emit() {
    let Some(network) = Network::create() else {
        return;
    };
    let engine = Engine::redis(&DURABLE).in_network(network);
    rounds(engine, &[Fault::Partition, Fault::KillServer]);
}
