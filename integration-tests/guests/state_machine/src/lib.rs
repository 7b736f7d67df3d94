//! A state machine: a command changes or reads a map, a change is emitted, and every command gets
//! an answer, whose text begins with the command it belongs to.
//!
//! | command | answer | emitted |
//! |---|---|---|
//! | `put KEY VALUE` | `put KEY at REVISION` | the key, with the revision as the value |
//! | `delete KEY` | `delete KEY at REVISION`, or `delete KEY: none` | the key, if there was one |
//! | `get KEY` | `get KEY at REVISION: VALUE`, or `get KEY: none` | |
//! | `count KEY` | `count KEY: N`, the changes of followed keys that begin with `KEY` | |
//! | any other | `not understood: ` and the command | |
//!
//! A key has no space and fits into an emit, a value is the rest of the command, and both are bytes
//! of any kind. The revision is 1 for the first change of this instance and greater by one for each
//! further.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use rangewatch_guest::abi::MAX_KEY_BYTES;
use rangewatch_guest::{self as watch, Selector};

/// Bytes of the mailbox.
pub const MAILBOX_BYTES: usize = 256;

thread_local! {
    static STORE: RefCell<Store> = const { RefCell::new(Store::new()) };
    static MAILBOX: Cell<[u8; MAILBOX_BYTES]> = const { Cell::new([0; MAILBOX_BYTES]) };
}

/// Applies the command that is the input of the call. Its output is the answer.
#[unsafe(no_mangle)]
pub extern "C" fn apply() {
    watch::answer(apply_command).expect("in a guest");
}

/// Returns the address of the mailbox of [`apply_mailbox`].
#[unsafe(no_mangle)]
pub extern "C" fn mailbox() -> *const u8 {
    MAILBOX.with(|mailbox| mailbox.as_ptr().cast_const().cast())
}

/// Applies the command in the first `n_bytes` of the mailbox, leaves the answer there and returns
/// its length. Both are cut to [`MAILBOX_BYTES`].
#[unsafe(no_mangle)]
pub extern "C" fn apply_mailbox(n_bytes: u32) -> u32 {
    let mut mailbox = MAILBOX.get();
    let answer = apply_command(&mailbox[..MAILBOX_BYTES.min(n_bytes as usize)]);
    let n_bytes = MAILBOX_BYTES.min(answer.len());
    mailbox[..n_bytes].copy_from_slice(&answer[..n_bytes]);
    MAILBOX.set(mailbox);
    n_bytes as u32
}

/// Registers the handler of each instance, which reads the changes since the value of each
/// delivery, as a store does; `count` returns how many of them it has found.
#[unsafe(no_mangle)]
pub extern "C" fn _initialize() {
    watch::receive(|_id, value| STORE.with_borrow_mut(|store| store.read_from(value)))
        .expect("called once");
}

/// Watches the keys that begin with `job/`, once for each owner of the host.
#[unsafe(no_mangle)]
pub extern "C" fn follow() {
    watch::open("jobs", Selector::prefix("job/")).expect("called once by an owner");
    watch::start("jobs").expect("it is open");
}

/// Answers with the whole input in reverse, which may be long.
#[unsafe(no_mangle)]
pub extern "C" fn reverse() {
    watch::answer(|input| input.iter().rev().copied().collect::<Vec<_>>()).expect("in a guest");
}

/// Reads the input twice, and writes its length and then each line of it.
#[unsafe(no_mangle)]
pub extern "C" fn list() {
    let input = watch::input().expect("in a guest");
    assert_eq!(watch::input().as_ref(), Ok(&input));
    watch::output(input.len().to_string()).expect("in a guest");
    for line in input.split(|&byte| byte == b'\n') {
        watch::output(" ").expect("in a guest");
        watch::output(line).expect("in a guest");
    }
}

fn apply_command(command: &[u8]) -> Vec<u8> {
    let answer = STORE.with_borrow_mut(|store| store.apply(command));
    if let Some((revision, key)) = &answer.change {
        watch::emit(*revision, [key]).expect("the key fits");
    }
    answer.text
}

struct Store {
    values: BTreeMap<Vec<u8>, (u64, Vec<u8>)>,
    /// The key of each change; the first has revision 1.
    changes: Vec<Vec<u8>>,
    /// The followed keys that the handler has found among the changes.
    found: Vec<Vec<u8>>,
    /// The last revision that the handler has read.
    read: u64,
}

struct Answer {
    text: Vec<u8>,
    /// What has to be emitted: a revision and a key.
    change: Option<(u64, Vec<u8>)>,
}

impl Store {
    const fn new() -> Self {
        Self {
            values: BTreeMap::new(),
            changes: Vec::new(),
            found: Vec::new(),
            read: 0,
        }
    }

    fn apply(&mut self, command: &[u8]) -> Answer {
        let mut words = command.splitn(3, |&byte| byte == b' ');
        match (words.next(), words.next(), words.next()) {
            (Some(b"put"), Some(key), Some(value)) if key.len() <= MAX_KEY_BYTES => {
                let revision = self.change(key);
                self.values.insert(key.to_vec(), (revision, value.to_vec()));
                Answer::changed("put", key, revision)
            }
            (Some(b"delete"), Some(key), None) => match self.values.remove(key) {
                Some(_) => Answer::changed("delete", key, self.change(key)),
                None => Answer::unchanged(&[b"delete ", key, b": none"]),
            },
            (Some(b"get"), Some(key), None) => match self.values.get(key) {
                Some((revision, value)) => {
                    let revision = format!(" at {revision}: ");
                    Answer::unchanged(&[b"get ", key, revision.as_bytes(), value])
                }
                None => Answer::unchanged(&[b"get ", key, b": none"]),
            },
            (Some(b"count"), Some(start), None) => {
                let n_found = self.found.iter().filter(|key| key.starts_with(start));
                let n_found = format!(": {}", n_found.count());
                Answer::unchanged(&[b"count ", start, n_found.as_bytes()])
            }
            _ => Answer::unchanged(&[b"not understood: ", command]),
        }
    }

    fn change(&mut self, key: &[u8]) -> u64 {
        self.changes.push(key.to_vec());
        self.changes.len() as u64
    }

    /// Reads the changes from `revision` on that were not read before.
    fn read_from(&mut self, revision: u64) {
        let first = revision.saturating_sub(1).max(self.read) as usize;
        let news = self.changes.get(first..).unwrap_or_default();
        let followed = news.iter().filter(|key| key.starts_with(b"job/"));
        self.found.extend(followed.cloned());
        self.read = self.changes.len() as u64;
    }
}

impl Answer {
    fn changed(verb: &str, key: &[u8], revision: u64) -> Self {
        let at = format!(" at {revision}");
        Self {
            text: [verb.as_bytes(), b" ", key, at.as_bytes()].concat(),
            change: Some((revision, key.to_vec())),
        }
    }

    fn unchanged(parts: &[&[u8]]) -> Self {
        Self {
            text: parts.concat(),
            change: None,
        }
    }
}
