//! Commands as bytes: their answers, their order, and what they emit.

use std::collections::BTreeMap;

use futures::future::join_all;
use integration_tests::{Session, Trace, guests, kind, on_each_backend};
use rangewatch::{Guest, Limits, Runtime, Selector, Val};

on_each_backend! {
    every_command_is_answered_and_every_change_is_emitted,
    concurrent_commands_are_applied_in_the_order_of_their_calls,
    commands_of_a_pool_get_their_own_answers,
    the_commands_of_a_session_see_one_instance,
    commands_and_answers_are_bytes_of_any_kind,
    inputs_and_outputs_may_be_long,
    an_answer_without_a_call_with_bytes_traps,
    a_guest_imports_what_it_uses,
}

/// A guest whose calls are suspended often, so that calls on one instance would be mixed if they
/// could be.
async fn state_machine(runtime: &dyn Runtime, pool: Option<(u32, u32)>) -> Session {
    Session::with(runtime, guests::STATE_MACHINE, |builder| {
        let builder = builder.limits(Limits::default().fuel_slice(500));
        match pool {
            Some((calls, callbacks)) => builder.pool(calls, callbacks),
            None => builder,
        }
    })
    .await
}

/// The command and its answer, as a line.
async fn apply(guest: &Guest, command: &str) -> String {
    let answer = guest.call_bytes("apply", command).await;
    text(answer.expect("every command is answered"))
}

fn text(answer: Vec<u8>) -> String {
    String::from_utf8(answer).expect("of a command in UTF-8")
}

async fn every_command_is_answered_and_every_change_is_emitted(runtime: &dyn Runtime) -> Trace {
    let guest = state_machine(runtime, None).await;
    let mut events = guest
        .bus
        .subscribe(Selector::all())
        .events(100)
        .expect("valid");
    let script = [
        ("get a", "get a: none"),
        ("put a 1", "put a at 1"),
        ("put a of two words", "put a at 2"),
        ("get a", "get a at 2: of two words"),
        ("put  empty key", "put  at 3"),
        ("get ", "get  at 3: empty key"),
        ("put b ", "put b at 4"),
        ("get b", "get b at 4: "),
        ("delete a", "delete a at 5"),
        ("delete a", "delete a: none"),
        ("get a", "get a: none"),
        ("", "not understood: "),
        ("put a", "not understood: put a"),
        ("delete a b", "not understood: delete a b"),
        ("Put a b", "not understood: Put a b"),
        ("put c 1", "put c at 6"),
    ];
    let mut trace = Trace::new();
    for (command, expected) in script {
        let answer = apply(&guest.guest, command).await;
        assert_eq!(answer, expected, "{command}");
        trace.push(answer);
    }
    let long = "k".repeat(16_383);
    let answer = apply(&guest.guest, &format!("put {long} 1")).await;
    assert!(answer == format!("not understood: put {long} 1"));
    for (value, key) in (1..).zip(["a", "a", "", "b", "a", "c"]) {
        let event = events.try_recv().expect("one for each change");
        assert_eq!(event.value(), value);
        assert!(event.keys().eq([key.as_bytes()]), "{value}: {key}");
    }
    assert!(events.try_recv().is_err(), "nothing else changed");
    trace
}

/// What the guest does, without a guest.
#[derive(Default)]
struct Model {
    values: BTreeMap<String, (u64, String)>,
    /// The key of each change.
    changes: Vec<String>,
}

impl Model {
    fn apply(&mut self, command: &str) -> String {
        let words: Vec<_> = command.splitn(3, ' ').collect();
        match words[..] {
            ["put", key, value] => {
                let revision = self.change(key);
                self.values
                    .insert(key.to_owned(), (revision, value.to_owned()));
                format!("put {key} at {revision}")
            }
            ["delete", key] if self.values.remove(key).is_some() => {
                format!("delete {key} at {}", self.change(key))
            }
            ["get", key] if self.values.contains_key(key) => {
                let (revision, value) = &self.values[key];
                format!("get {key} at {revision}: {value}")
            }
            ["delete" | "get", _] => format!("{command}: none"),
            _ => format!("not understood: {command}"),
        }
    }

    fn change(&mut self, key: &str) -> u64 {
        self.changes.push(key.to_owned());
        self.changes.len() as u64
    }
}

async fn concurrent_commands_are_applied_in_the_order_of_their_calls(
    runtime: &dyn Runtime,
) -> Trace {
    let guest = state_machine(runtime, None).await;
    let mut events = guest
        .bus
        .subscribe(Selector::all())
        .events(1_000)
        .expect("valid");
    let commands: Vec<_> = (0..200)
        .map(|n| match n % 5 {
            0 | 1 => format!("put key-{} value {n}", n % 7),
            2 => format!("get key-{}", n % 6),
            3 => format!("delete key-{}", n % 11),
            _ => format!("command {n}"),
        })
        .collect();
    let mut model = Model::default();
    let expected: Vec<_> = commands
        .iter()
        .map(|command| model.apply(command))
        .collect();
    let calls = commands.iter().map(|command| apply(&guest.guest, command));
    let answers = join_all(calls).await;
    assert_eq!(answers, expected);
    assert!(model.changes.len() > 80, "{:?}", model.changes);
    for (value, key) in (1..).zip(&model.changes) {
        let event = events.try_recv().expect("one for each change");
        assert_eq!(event.value(), value);
        assert!(event.keys().eq([key.as_bytes()]), "{value}: {key}");
    }
    assert!(events.try_recv().is_err());
    answers
}

async fn commands_of_a_pool_get_their_own_answers(runtime: &dyn Runtime) -> Trace {
    const COMMANDS: usize = 3_000;
    let guest = state_machine(runtime, Some((2, 2))).await;
    let mut events = guest
        .bus
        .subscribe(Selector::all())
        .events(COMMANDS + 1)
        .expect("valid");
    let calls = (0..COMMANDS).map(async |n| {
        let answer = apply(&guest.guest, &format!("put key-{n:04} {n}")).await;
        let revision = answer
            .strip_prefix(&format!("put key-{n:04} at "))
            .unwrap_or_else(|| panic!("command {n} got the answer `{answer}`"));
        revision.parse::<usize>().expect("a number")
    });
    // Each instance counts its own revisions, from 1 without a gap.
    let mut n_answers = vec![0; COMMANDS + 2];
    for revision in join_all(calls).await {
        n_answers[revision] += 1;
    }
    assert_eq!(n_answers[0], 0);
    assert_eq!(n_answers[1], 2, "both instances were used");
    assert!(n_answers[1..].is_sorted_by(|a, b| a >= b), "{n_answers:?}");
    let mut keys = Trace::new();
    while let Ok(event) = events.try_recv() {
        keys.extend(
            event
                .keys()
                .map(|key| String::from_utf8_lossy(key).into_owned()),
        );
    }
    keys.sort_unstable();
    let expected = (0..COMMANDS).map(|n| format!("key-{n:04}"));
    assert!(
        keys.iter().cloned().eq(expected),
        "each change is emitted once"
    );
    keys
}

async fn the_commands_of_a_session_see_one_instance(runtime: &dyn Runtime) -> Trace {
    let guest = state_machine(runtime, Some((2, 2))).await;
    let mut trace = Trace::new();
    let mut session = guest.guest.session().await.expect("an instance");
    for turn in 1..=10 {
        let put = session.call_bytes("apply", format!("put a {turn}")).await;
        assert_eq!(text(put.expect("no trap")), format!("put a at {turn}"));
        // Two at once, of which one waits for the other: the session has the second instance.
        let others = [
            apply(&guest.guest, "get a"),
            apply(&guest.guest, "delete a"),
        ];
        assert_eq!(join_all(others).await, ["get a: none", "delete a: none"]);
        let [Val::I32(mailbox)] = session.call("mailbox", &[]).await.expect("no trap")[..] else {
            panic!("`mailbox` returns an address");
        };
        let mailbox = mailbox as u32 as usize;
        let memory = session.memory().expect("the instance is there");
        memory[mailbox..][..5].copy_from_slice(b"get a");
        let args = [Val::I32(5)];
        let [Val::I32(n_bytes)] = session.call("apply_mailbox", &args).await.expect("no trap")[..]
        else {
            panic!("`apply_mailbox` returns a length");
        };
        let memory = session.memory().expect("the instance is there");
        let answer = text(memory[mailbox..][..n_bytes as usize].to_vec());
        assert_eq!(answer, format!("get a at {turn}: {turn}"));
        trace.push(answer);
    }
    drop(session);
    trace
}

async fn commands_and_answers_are_bytes_of_any_kind(runtime: &dyn Runtime) -> Trace {
    let guest = state_machine(runtime, None).await;
    let apply = async |command: &[u8]| guest.guest.call_bytes("apply", command).await.ok();
    assert_eq!(
        apply(b"put \0\xFF \xC0\n\0").await.expect("no trap"),
        b"put \0\xFF at 1"
    );
    let answer = apply(b"get \0\xFF").await.expect("no trap");
    assert_eq!(answer, b"get \0\xFF at 1: \xC0\n\0");
    assert_eq!(
        apply(b"\xFF\0").await.expect("no trap"),
        b"not understood: \xFF\0"
    );
    let listed = guest.guest.call_bytes("list", b"ab\n\ncde").await;
    let listed = text(listed.expect("no trap"));
    assert_eq!(listed, "7 ab  cde", "a guest may write its output in parts");
    vec![listed]
}

async fn inputs_and_outputs_may_be_long(runtime: &dyn Runtime) -> Trace {
    // A guest reads at most 1 MiB at a time.
    const READ_BYTES: usize = 1 << 20;
    let limits = Limits::default().output_bytes(READ_BYTES + 1);
    let guest = Session::with(runtime, guests::STATE_MACHINE, |builder| {
        builder.limits(limits)
    })
    .await;
    let mut trace = Trace::new();
    for n_bytes in [READ_BYTES, READ_BYTES + 1, READ_BYTES + 2] {
        let input: Vec<u8> = (0..n_bytes).map(|n| (n % 251) as u8).collect();
        let line = match guest.guest.call_bytes("reverse", &*input).await {
            Ok(output) => {
                assert!(output.iter().eq(input.iter().rev()), "{n_bytes}");
                format!("{n_bytes} bytes")
            }
            Err(error) => kind(&error),
        };
        trace.push(line);
    }
    assert_eq!(
        trace,
        [
            "1048576 bytes",
            "1048577 bytes",
            "abi OutputTooLarge { max_bytes: 1048577 }"
        ]
    );
    trace
}

async fn an_answer_without_a_call_with_bytes_traps(runtime: &dyn Runtime) -> Trace {
    let mut guest = state_machine(runtime, None).await;
    guest.call("apply", &[]).await;
    assert_eq!(guest.since(0), ["apply[]: abi NoOutput"]);
    guest.trace()
}

/// The SDK links the imports of the functions that a guest calls, and no others.
async fn a_guest_imports_what_it_uses(runtime: &dyn Runtime) -> Trace {
    let mut trace = Trace::new();
    for wasm in [guests::EMITTER, guests::STATE_MACHINE] {
        let module = runtime.load(wasm).await.expect("it loads");
        let imports = module.info().imports().iter();
        let mut imports: Vec<_> = imports
            .map(|import| format!("{} {}", import.module, import.name))
            .collect();
        imports.sort_unstable();
        trace.append(&mut imports);
    }
    let expected = [
        "pantopic/wazero-range-watch __range_watch_flush",
        "pantopic/wazero-range-watch __range_watch_flush",
        "pantopic/wazero-range-watch __range_watch_open",
        "pantopic/wazero-range-watch __range_watch_start",
        "rangewatch_io input_len",
        "rangewatch_io input_read",
        "rangewatch_io output_write",
    ];
    assert_eq!(trace, expected);
    trace
}
