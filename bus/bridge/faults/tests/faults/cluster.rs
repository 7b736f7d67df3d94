//! A server, a relay before it, and the processes that use it.

use std::time::Duration;

use fastrand::Rng;
use rangewatch_bridge::{BytesPayloads, LogItem, Writer};
use rangewatch_bridge_faults::{FIRST, Machine, open_log};

use crate::engine::Engine;
use crate::process::Process;
use crate::proxy::Proxy;
use crate::{Fault, history};

const BUS: &str = "faults";
const N_WRITERS: usize = 3;
const N_READERS: usize = 5;

pub(crate) struct Cluster {
    engine: Engine,
    proxy: Proxy,
    writers: Vec<Process>,
    readers: Vec<Process>,
    /// The last answer of each reader.
    answers: Vec<String>,
    machine: u64,
    runtime: tokio::runtime::Runtime,
    /// How often the log was trimmed under each reader.
    n_gaps_allowed: [u64; N_READERS],
}

impl Cluster {
    pub(crate) fn start(mut engine: Engine, machine: u64) -> Option<Self> {
        if !engine.start() {
            return None;
        }
        let proxy = Proxy::start(engine.port());
        // A relay is on this side of a network of the server.
        let url = match engine.network {
            Some(_) => engine.url(),
            None => engine.url_at(proxy.port()),
        };
        let process = |role: &str, i: usize| {
            let seed = machine.wrapping_add(i as u64).to_string();
            let machine = machine.to_string();
            let arguments = [
                role,
                "--log",
                &url,
                "--bus",
                BUS,
                "--machine",
                &machine,
                "--seed",
                &seed,
            ];
            Process::start(format!("{role} {i}"), arguments.map(str::to_owned).to_vec())
        };
        Some(Self {
            writers: (0..N_WRITERS).map(|i| process("writer", i)).collect(),
            readers: (0..N_READERS).map(|i| process("reader", 10 + i)).collect(),
            answers: vec![String::new(); N_READERS],
            engine,
            proxy,
            machine,
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime"),
            n_gaps_allowed: [0; N_READERS],
        })
    }

    /// Lets all processes go on, without waiting for them.
    pub(crate) fn emit(&mut self, to: u64) {
        for process in self.writers.iter_mut().chain(&mut self.readers) {
            process.go(to);
        }
    }

    pub(crate) fn fail(&mut self, fault: Fault, random: &mut Rng) {
        let pause = Duration::from_millis(random.u64(0..500));
        match fault {
            Fault::KillServer => {
                self.engine.kill();
                std::thread::sleep(pause);
                self.engine.restart();
            }
            Fault::LoseTail => {
                self.engine.kill();
                self.engine.lose_tail(random);
                self.engine.restart();
            }
            Fault::CutConnections => self.proxy.cut(),
            Fault::HoldConnections => {
                self.proxy.hold();
                std::thread::sleep(pause);
                self.proxy.cut();
                self.proxy.release();
            }
            Fault::StopServer => {
                self.engine.signal("STOP");
                std::thread::sleep(pause * 6);
                self.engine.signal("CONT");
            }
            Fault::KillWriter => self.writers[random.usize(..N_WRITERS)].restart(),
            Fault::KillReader => {
                let reader = random.usize(..N_READERS);
                self.readers[reader].restart();
                self.n_gaps_allowed[reader] = 0;
            }
            Fault::Partition => {
                let network = self.engine.network.as_ref().expect("a network");
                network.unplug();
                std::thread::sleep(pause * 8);
                network.plug();
            }
            Fault::TrimUnderSlowReader | Fault::Nothing => {}
        }
    }

    /// Stops a reader, lets the others read on, and trims the log below where they are.
    pub(crate) fn trim_under_slow_reader(&mut self, random: &mut Rng) {
        let slow = random.usize(..N_READERS);
        self.readers[slow].signal("STOP");
        let before = self.n_gaps(slow);
        let mut to = 0;
        for process in &self.writers {
            process.reached();
        }
        for (i, process) in self
            .readers
            .iter_mut()
            .enumerate()
            .filter(|(i, _)| *i != slow)
        {
            self.answers[i] = process.reached();
            to = process.to();
        }
        let url = self.engine.url();
        let floor = self.runtime.block_on(async {
            let log = open_log(&url, BUS).expect("a log");
            let mut writer = Writer::open_with(log, BytesPayloads)
                .await
                .expect("a writer");
            writer.compact(to - 100).await.expect("a floor")
        });
        assert!(floor > to - 1000, "{floor}");
        self.readers[slow].signal("CONT");
        self.n_gaps_allowed[slow] += 1;
        self.answers[slow] = self.readers[slow].reached();
        println!(
            "reader {slow} was stopped: {} gaps before, {} now",
            before,
            self.n_gaps(slow)
        );
        self.emit(to);
    }

    /// Waits until all processes have reached a value.
    pub(crate) fn reached(&mut self, to: u64) {
        for process in &self.writers {
            process.reached();
        }
        for (answer, process) in self.answers.iter_mut().zip(&self.readers) {
            *answer = process.reached();
        }
        println!("all have reached {to}: {:?}", self.answers);
    }

    /// No reader has reported a gap but where the log was trimmed under it.
    pub(crate) fn nothing_is_missing(&self) {
        for (reader, allowed) in self.n_gaps_allowed.iter().enumerate() {
            assert!(
                self.n_gaps(reader) <= *allowed,
                "reader {reader}: {}",
                self.answers[reader]
            );
        }
    }

    pub(crate) fn each_reader_saw_an_epoch(&self, at_least: u64) {
        for answer in &self.answers {
            assert!(number(answer, "epochs") >= at_least, "{answer}");
        }
    }

    /// Reads the log once more, and writes what was read as a history of etcd's tests.
    pub(crate) fn verify(&self, to: u64) {
        let url = self.engine.url();
        let machine = Machine::new(self.machine);
        let values = self.runtime.block_on(async {
            let log = open_log(&url, BUS).expect("a log");
            let mut reader = log.reader().await.expect("a reader");
            let head = reader.head().await.expect("a head");
            assert_eq!(head.value, Some(to));
            let mut last = head.floor.checked_sub(1);
            reader.seek(head.epoch, last).await.expect("a position");
            let mut values = Vec::new();
            while last < Some(to) {
                for item in reader.next().await.expect("items") {
                    match item {
                        LogItem::Emit(frame) => {
                            assert_eq!(
                                frame.prev(),
                                last.filter(|last| *last >= FIRST),
                                "{frame:?}"
                            );
                            assert!(
                                frame
                                    .keys()
                                    .eq(machine.keys(frame.value()).iter().map(String::as_bytes))
                            );
                            last = Some(frame.value());
                            values.push(frame.value());
                        }
                        LogItem::Progress(_) => {}
                        item => panic!("{item:?}"),
                    }
                }
            }
            values
        });
        history::check(&values, machine);
    }

    fn n_gaps(&self, reader: usize) -> u64 {
        number(&self.answers[reader], "gaps")
    }
}

/// The number after a word of an answer.
fn number(answer: &str, word: &str) -> u64 {
    let mut words = answer.split(' ').skip_while(|found| *found != word).skip(1);
    words
        .next()
        .map_or(0, |number| number.parse().expect("a number"))
}
