//! The linker way: the embedder has its own engine, linker and store.

/// A guest whose export `count` reads its input to the end and returns the number of bytes.
pub const COUNTER: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "count") (result i32) (local $n i32)
        (i32.store (i32.const 0) (i32.const 64))
        (i32.store (i32.const 4) (i32.const 100))
        (loop
            (if (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable))
            (local.set $n (i32.add (local.get $n) (i32.load (i32.const 8))))
            (br_if 0 (i32.load (i32.const 8))))
        (local.get $n)))"#;

/// A guest whose export `serve` accepts a connection on descriptor 3, sends back what it receives
/// until the end, and returns the number of bytes.
pub const ECHO: &str = r#"(module
    (import "wasi_snapshot_preview1" "sock_accept" (func $accept (param i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "sock_recv" (func $recv (param i32 i32 i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "sock_send" (func $send (param i32 i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "sock_shutdown" (func $shutdown (param i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func $ok (param $errno i32) (if (local.get $errno) (then unreachable)))
    (func (export "serve") (result i32) (local $fd i32) (local $n i32)
        (i32.store (i32.const 0) (i32.const 64))
        (call $ok (call $accept (i32.const 3) (i32.const 0) (i32.const 8)))
        (local.set $fd (i32.load (i32.const 8)))
        (block (loop
            ;; Byte after byte, so that each is waited for.
            (i32.store (i32.const 4) (i32.const 1))
            (call $ok (call $recv (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 2) (i32.const 8) (i32.const 12)))
            (br_if 1 (i32.eqz (i32.load (i32.const 8))))
            (call $ok (call $send (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 8)))
            (local.set $n (i32.add (local.get $n) (i32.load (i32.const 8))))
            (br 0)))
        (call $ok (call $shutdown (local.get $fd) (i32.const 2)))
        (local.get $n)))"#;

/// A guest whose export `say` prints the first byte of its first argument, and traps where that is
/// not in its memory.
pub const SAY_WHO: &str = r#"(module
    (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "say")
        (i32.store (i32.const 0) (i32.const 64))
        (i32.store (i32.const 4) (i32.const 1))
        (if (call $args (i32.const 32) (i32.const 64)) (then unreachable))
        (if (i32.eqz (i32.load8_u (i32.const 64))) (then unreachable))
        (if (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable))))"#;

/// Makes the tests of a backend's `add_to_linker`, `add_wasi_to_linker`, `attach` and `deliver`, in
/// the crate that has them: these functions have the same names and types for every engine.
///
/// Takes the engine's crate, the backend's, and the method of the engine's linker that
/// instantiates. The caller has `futures`, `rangewatch-bus`, `rangewatch-wasi` and `wat` among its
/// dependencies.
#[macro_export]
macro_rules! linker_tests {
    ($engine:ident, $backend:ident, $instantiate:ident) => {
        mod linker_way {
            use futures::FutureExt;
            use rangewatch_bus::{RangeWatchBus, Selector};
            use std::io::{Read, Write};
            use std::sync::Arc;
            use std::sync::atomic::{AtomicBool, Ordering};

            use rangewatch_wasi::net::loopback;
            use rangewatch_wasi::{
                Exit, SignalPolicy, Random, SharedBuffer, Stdout, Wasi, WasiBuilder, call, pipe,
            };
            use $crate::abi::{AbiError, Generation, GuestAbi};
            use $crate::{Emits, HostTrap, Limits, ModuleInfo, Owner, OwnerError};
            use $crate::conformance::{RAW_GUEST, RAW_GUEST_2};
            use $engine::{Caller, Engine, Instance, Linker, Module, Store};

            struct State {
                watch: GuestAbi,
                wasi: Wasi,
                received: Vec<u8>,
                report: bool,
                /// Whether each recv emits the key `a`.
                emit: bool,
                /// Runs once, at the begin of a recv.
                on_recv: Option<Box<dyn FnOnce() + Send>>,
            }

            impl State {
                fn new(watch: GuestAbi) -> Self {
                    Self {
                        watch,
                        wasi: Wasi::builder().build().expect("valid"),
                        received: Vec::new(),
                        report: false,
                        emit: false,
                        on_recv: None,
                    }
                }
            }

            struct Guest {
                store: Store<State>,
                instance: Instance,
            }

            fn watch(state: &mut State) -> &mut GuestAbi {
                &mut state.watch
            }

            fn guest(bus: &RangeWatchBus) -> Guest {
                guest_with(GuestAbi::new(bus))
            }

            /// The raw guest of the suite; its recv records the id, and reports an error or emits
            /// as the state says.
            fn guest_with(watch_abi: GuestAbi) -> Guest {
                guest_of(RAW_GUEST, watch_abi)
            }

            /// The guest of a module text; a recv of generation 2 records the batch.
            fn guest_of(wat: &str, watch_abi: GuestAbi) -> Guest {
                let engine = Engine::default();
                let mut linker = Linker::<State>::new(&engine);
                $backend::add_to_linker(&mut linker, watch).expect("fresh names");
                $backend::add_wasi_to_linker(&mut linker, |s: &mut State| &mut s.wasi)
                    .expect("fresh names");
                linker
                    .func_wrap("test", "received", |mut caller: Caller<'_, State>| {
                        let memory = caller
                            .get_export("memory")
                            .and_then(|memory| memory.into_memory());
                        let (memory, state) = memory.expect("exported").data_and_store_mut(&mut caller);
                        if state.watch.generation() == Generation::Two {
                            let len = usize::from(memory[52]);
                            state.received.extend(&memory[256..][..len]);
                            if std::mem::take(&mut state.emit) {
                                // Selects the group "g".
                                memory[52] = 1;
                                memory[256] = b'g';
                                return 7;
                            }
                            return 0;
                        }
                        if memory[256] == 0 {
                            // The key that this recv has emitted.
                            return 0;
                        }
                        state.received.push(memory[256]);
                        if let Some(on_recv) = state.on_recv.take() {
                            on_recv();
                        }
                        if state.emit {
                            memory[52] = 3;
                            memory[256..259].copy_from_slice(b"\0\x01a");
                            return 1;
                        }
                        if state.report {
                            memory[60] = 3;
                            memory[20_480..][..3].copy_from_slice(b"bad");
                        }
                        0_i32
                    })
                    .expect("a fresh name");
                let wasm = wat::parse_str(wat).expect("well formed");
                let module = Module::new(&engine, wasm).expect("valid");
                let mut store = Store::new(&engine, State::new(watch_abi));
                let instance = linker
                    .$instantiate(&mut store, &module)
                    .expect("all is provided");
                $backend::attach(&mut store, &instance, watch).expect("the page is there");
                Guest { store, instance }
            }

            /// A guest that is linked with WASI only.
            fn wasi_guest(wat: &str, wasi: WasiBuilder) -> (Store<Wasi>, Instance) {
                let engine = Engine::default();
                let mut linker = Linker::<Wasi>::new(&engine);
                $backend::add_wasi_to_linker(&mut linker, |wasi: &mut Wasi| wasi).expect("fresh names");
                let wasm = wat::parse_str(wat).expect("well formed");
                let module = Module::new(&engine, wasm).expect("valid");
                let mut store = Store::new(&engine, wasi.build().expect("valid"));
                let instance = linker
                    .$instantiate(&mut store, &module)
                    .expect("all is provided");
                (store, instance)
            }

            impl Guest {
                fn verb(&mut self, export: &str, buf: &[u8]) -> Result<String, $engine::Error> {
                    let memory = self
                        .instance
                        .get_memory(&mut self.store, "memory")
                        .expect("exported");
                    let len = u32::try_from(buf.len()).expect("short").to_le_bytes();
                    memory.write(&mut self.store, 256, buf).expect("inside");
                    memory.write(&mut self.store, 52, &len).expect("inside");
                    let func = self
                        .instance
                        .get_typed_func::<(), ()>(&mut self.store, export)?;
                    func.call(&mut self.store, ())?;
                    let memory = memory.data(&self.store);
                    Ok(String::from_utf8_lossy(&memory[20_480..][..usize::from(memory[60])]).into_owned())
                }

                fn deliver(&mut self) -> (usize, Vec<String>) {
                    let mut reports = Vec::new();
                    let delivered = $backend::deliver(&mut self.store, &self.instance, watch, |id, text| {
                        reports.push(format!("{}: {text}", String::from_utf8_lossy(id)));
                    })
                    .expect("no trap");
                    (delivered.n_callbacks, reports)
                }
            }

            /// The outcome of `run_start` on a command whose `_start` has `body`, and its output,
            /// which a buffered writer holds back until it is flushed.
            fn run_start(body: &str) -> (Result<u32, $engine::Error>, String) {
                let out = SharedBuffer::new();
                let writer = std::io::BufWriter::new(out.clone());
                let wasi = Wasi::builder().stdout(Stdout::writer(writer));
                let wat = format!(
                    r#"(module
                        (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
                        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
                        (import "wasi_snapshot_preview1" "proc_raise" (func $raise (param i32) (result i32)))
                        (memory (export "memory") 1)
                        (data (i32.const 0) "\08\00\00\00\02\00\00\00hi")
                        (func (export "_start")
                            (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))
                            {body}))"#
                );
                let (mut store, instance) = wasi_guest(&wat, wasi.signal_policy(SignalPolicy::Default));
                let exit = $backend::run_start(&mut store, &instance, |wasi: &mut Wasi| wasi);
                (exit.map(Exit::code), out.to_string_lossy())
            }

            $crate::tests_within_deadline! {
                #[test]
                fn a_guest_in_a_store_of_the_embedder_emits_watches_and_stops() {
                    let bus = RangeWatchBus::new();
                    let mut all = bus.subscribe(Selector::all()).events(8).expect("valid");
                    let mut guest = guest(&bus);
                    assert_eq!(
                        guest
                            .verb("open", b"\0\x01w\0\x01a\0\x01c")
                            .expect("no trap"),
                        ""
                    );
                    assert_eq!(
                        guest.verb("reserve", b"w").expect("no trap"),
                        "Watch exists"
                    );
                    assert_eq!(guest.verb("start", b"w").expect("no trap"), "");
                    assert_eq!(guest.deliver(), (0, vec![]));
                    let ready = guest.store.data().watch.ready();
                    assert!(ready.now_or_never().is_none(), "no watch is ready");
                    guest.verb("flush", b"\0\x01b").expect("no trap");
                    assert!(all.try_recv().expect("emitted").keys().eq([b"b"]));
                    let ready = guest.store.data().watch.ready();
                    ready.now_or_never().expect("a watch is ready");
                    assert_eq!(guest.deliver(), (1, vec![]));
                    assert_eq!(guest.store.data().received, b"w");
                    assert_eq!(guest.verb("stop", b"w").expect("no trap"), "");
                    guest.verb("flush", b"\0\x01b").expect("no trap");
                    assert_eq!(guest.deliver(), (0, vec![]));
                }

                #[test]
                fn a_guest_of_generation_2_receives_batches() {
                    // A batch holds every value; an owner that has ended by overflow is an error
                    // of one delivery.
                    let bus = RangeWatchBus::new();
                    let limits = Limits::default().notices(2);
                    let owner = Owner::new(&bus, limits, Emits::Immediate);
                    let stream = owner.of_same_guest();
                    let mut guest = guest_of(RAW_GUEST_2, GuestAbi::of_owner(&owner));
                    guest.store.data_mut().watch.set_owner(&stream).expect("it lives");
                    // The group is selected until the next owner is set.
                    assert_eq!(guest.verb("group_start", b"g").expect("no trap"), "");
                    for watched in [&owner, &stream] {
                        assert_eq!(guest.verb("open", b"\0\x01w\0\x01a\0\x01c").expect("no trap"), "");
                        assert_eq!(guest.verb("start", b"w").expect("no trap"), "");
                        guest.store.data_mut().watch.set_owner(watched).expect("it lives");
                    }
                    assert_eq!((owner.n_watches(), stream.n_watches()), (1, 0));
                    guest.verb("group_start", b"g").expect("no trap");
                    guest.verb("stop", b"w").expect("no trap");
                    guest.store.data_mut().watch.set_owner(&owner).expect("it lives");
                    guest.deliver();
                    let ready = guest.store.data().watch.ready();
                    assert!(ready.now_or_never().is_none(), "nothing is due");
                    guest.verb("queue", b"\0\x01b").expect("no trap");
                    guest.verb("flush", b"").expect("no trap");
                    bus.emit(7, ["a"]).expect("open");
                    assert_eq!(guest.deliver(), (1, vec![]));
                    let batch = [&[0, 2][..], &0_u64.to_be_bytes(), b"\0\x01\0\x01w", &7_u64.to_be_bytes(), b"\0\x01\0\x01w"].concat();
                    assert_eq!(guest.store.data().received, batch);
                    for value in 8..=10 {
                        bus.emit(value, ["a"]).expect("open");
                    }
                    let mut n_callbacks = 0;
                    let error = loop {
                        match $backend::deliver(&mut guest.store, &guest.instance, watch, |_, _| {}) {
                            Ok(delivered) => n_callbacks += delivered.n_callbacks,
                            Err(error) => break error,
                        }
                    };
                    assert!(error.to_string().contains("has ended"), "{error:?}");
                    assert_eq!(n_callbacks, 1);
                    let ended = guest.store.data_mut().watch.set_owner(&owner);
                    assert!(matches!(ended, Err(OwnerError::Overflowed { resume: 10, .. })));
                    assert_eq!(guest.deliver(), (0, vec![]), "the instance is as it was");
                    assert_eq!(bus.n_subscriptions(), 1, "of the group, which has no watch");
                    drop((stream, guest));
                    assert_eq!(bus.n_subscriptions(), 0);
                }

                #[test]
                fn the_generation_of_a_guest_is_set_by_the_embedder() {
                    let bus = RangeWatchBus::new();
                    let module = "pantopic/ext-range-watch";
                    let renamed = RAW_GUEST_2.replace(module, "pantopic/wazero-range-watch");
                    let wasm = wat::parse_str(&renamed).expect("well formed");
                    let generation = ModuleInfo::parse(&wasm).expect("valid").generation();
                    assert_eq!(generation, Generation::Two);
                    let mut abi = GuestAbi::new(&bus);
                    abi.set_generation(generation);
                    let mut guest = guest_of(&renamed, abi);
                    guest.verb("open", b"\0\x01w\0\x01a\0\x01c").expect("no trap");
                    guest.verb("start", b"w").expect("no trap");
                    bus.emit(1, ["a"]).expect("open");
                    bus.emit(2, ["a"]).expect("open");
                    assert_eq!(guest.deliver(), (1, vec![]));
                    assert_eq!(guest.store.data().received[..2], [0, 2], "two notices");
                    guest.store.data_mut().emit = true;
                    bus.emit(3, ["a"]).expect("open");
                    assert_eq!(guest.deliver(), (1, vec![]));
                    let reserved = guest.verb("reserve", b"w").expect("no trap");
                    assert_eq!(reserved, "Watch exists", "the group was selected in the callback");
                }

                #[test]
                fn a_command_emits_in_its_start_and_is_attached_after_it() {
                    let bus = RangeWatchBus::new();
                    let mut all = bus.subscribe(Selector::all()).events(8).expect("valid");
                    let engine = Engine::default();
                    let mut linker = Linker::<State>::new(&engine);
                    $backend::add_to_linker(&mut linker, watch).expect("fresh names");
                    $backend::add_wasi_to_linker(&mut linker, |s: &mut State| &mut s.wasi)
                        .expect("fresh names");
                    // Its main emits the value 1 and exits with code 0.
                    linker.func_wrap("test", "main", || 100_i32).expect("a fresh name");
                    linker.func_wrap("test", "received", |_: i64| ()).expect("a fresh name");
                    let wasm = wat::parse_str($crate::conformance::COMMAND).expect("well formed");
                    let module = Module::new(&engine, wasm).expect("valid");
                    let mut store = Store::new(&engine, State::new(GuestAbi::new(&bus)));
                    let instance = linker
                        .$instantiate(&mut store, &module)
                        .expect("all is provided");
                    let start = instance.get_typed_func::<(), ()>(&mut store, "_start");
                    let error = start.expect("exported").call(&mut store, ());
                    let error = error.expect_err("an exit is no return");
                    let exit = error.downcast_ref::<Exit>().expect("an exit");
                    assert_eq!(exit.code(), 0);
                    assert_eq!(all.try_recv().expect("emitted").value(), 1);
                    $backend::attach(&mut store, &instance, watch).expect("the page is there");
                    let apply = instance.get_typed_func::<i64, ()>(&mut store, "apply");
                    apply.expect("exported").call(&mut store, 2).expect("no trap");
                    assert_eq!(all.try_recv().expect("emitted").value(), 2);
                }

                #[test]
                fn a_report_closes_its_watch_and_dropping_the_store_frees_the_rest() {
                    let bus = RangeWatchBus::new();
                    let mut guest = guest(&bus);
                    for id in [b'v', b'w'] {
                        guest
                            .verb("open", &[0, 1, id, 0, 1, b'a', 0, 0])
                            .expect("no trap");
                        guest.verb("start", &[id]).expect("no trap");
                    }
                    assert_eq!(bus.n_subscriptions(), 2);
                    guest.store.data_mut().report = true;
                    bus.emit(1, ["a"]).expect("open");
                    assert_eq!(
                        guest.deliver(),
                        (2, vec!["v: bad".to_owned(), "w: bad".to_owned()])
                    );
                    assert_eq!(bus.n_subscriptions(), 0);
                    guest.verb("open", b"\0\x01u\0\x01a\0\0").expect("no trap");
                    assert_eq!(bus.n_subscriptions(), 1);
                    let ready = guest.store.data().watch.ready();
                    drop(guest);
                    assert_eq!(bus.n_subscriptions(), 0);
                    ready.now_or_never().expect("the wait resolves at the end");
                }

                #[test]
                fn a_delivery_runs_each_watch_that_was_ready_once() {
                    let bus = RangeWatchBus::new();
                    let mut guest = guest(&bus);
                    for id in [b'v', b'w'] {
                        guest
                            .verb("open", &[0, 1, id, 0, 1, b'a', 0, 0])
                            .expect("no trap");
                        guest.verb("start", &[id]).expect("no trap");
                    }
                    // Every callback emits into the ranges of both watches.
                    guest.store.data_mut().emit = true;
                    bus.emit(1, ["a"]).expect("open");
                    for round in 1..=3 {
                        let delivered =
                            $backend::deliver(&mut guest.store, &guest.instance, watch, |_, _| {});
                        let delivered = delivered.expect("no trap");
                        assert_eq!((delivered.n_callbacks, delivered.has_more), (2, true));
                        assert_eq!(guest.store.data().received, b"vw".repeat(round));
                    }
                    guest.store.data_mut().emit = false;
                    let delivered =
                        $backend::deliver(&mut guest.store, &guest.instance, watch, |_, _| {});
                    let delivered = delivered.expect("no trap");
                    assert_eq!((delivered.n_callbacks, delivered.has_more), (2, false));
                }

                #[test]
                fn a_guest_in_a_store_of_the_embedder_has_the_limits_that_it_was_given() {
                    let bus = RangeWatchBus::new();
                    let limits = Limits::default().watches(1).flush_bytes(3);
                    let mut guest = guest_with(GuestAbi::with(&bus, limits, Emits::Immediate));
                    assert_eq!(guest.verb("reserve", b"v").expect("no trap"), "");
                    assert_eq!(
                        guest.verb("reserve", b"w").expect("no trap"),
                        "Watch limit reached"
                    );
                    guest.verb("flush", b"\0\x01a").expect("within the limit");
                    let error = guest.verb("flush", b"\0\x02ab").expect_err("over the limit");
                    match $backend::host_trap(&error) {
                        Some(HostTrap::Abi(AbiError::FlushTooLarge { max_bytes: 3, .. })) => {}
                        other => panic!("{other:?}"),
                    }
                }

                #[test]
                fn g38_instances_of_one_owner_share_its_ids_and_one_may_go() {
                    let bus = RangeWatchBus::new();
                    let owner = Owner::new(&bus, Limits::default(), Emits::Immediate);
                    let mut guests = [(); 2].map(|()| guest_with(GuestAbi::of_owner(&owner)));
                    guests[0].verb("open", b"\0\x01w\0\x01a\0\0").expect("no trap");
                    assert_eq!(guests[1].verb("reserve", b"w").expect("no trap"), "Watch exists");
                    assert_eq!(guests[1].verb("start", b"w").expect("no trap"), "");
                    bus.emit(1, ["a"]).expect("open");
                    assert_eq!(guests[0].deliver(), (1, vec![]));
                    assert_eq!(guests[1].deliver(), (0, vec![]), "each value is delivered once");
                    let [first, mut second] = guests;
                    drop(first);
                    assert_eq!((owner.n_watches(), bus.n_subscriptions()), (1, 1));
                    bus.emit(2, ["a"]).expect("open");
                    assert_eq!(second.deliver(), (1, vec![]));
                    // The end of the owner is the end of the ids, whatever instances there are.
                    owner.end();
                    assert_eq!(bus.n_subscriptions(), 0);
                    for verb in ["reserve", "start", "stop"] {
                        assert_eq!(second.verb(verb, b"w").expect("no trap"), "Watch closed");
                    }
                    let ready = second.store.data().watch.ready();
                    assert!(ready.now_or_never().is_none(), "the guest lives");
                    let ready = second.store.data().watch.ready();
                    drop((second, owner));
                    ready.now_or_never().expect("the last handle is gone");
                }

                #[test]
                fn g38_a_store_runs_calls_under_the_owner_that_is_set() {
                    let bus = RangeWatchBus::new();
                    let mut guest = guest(&bus);
                    let own = guest.store.data().watch.owner();
                    let stream = own.of_same_guest();
                    for owner in [&own, &stream] {
                        let abi = &mut guest.store.data_mut().watch;
                        abi.set_owner(owner).expect("of this guest");
                        guest.verb("open", b"\0\x01w\0\x01a\0\0").expect("no trap");
                        assert_eq!(guest.verb("start", b"w").expect("no trap"), "");
                    }
                    assert_eq!((own.n_watches(), stream.n_watches()), (1, 1));
                    bus.emit(1, ["a"]).expect("open");
                    assert_eq!(guest.deliver(), (2, vec![]));
                    stream.end();
                    bus.emit(2, ["a"]).expect("open");
                    assert_eq!(guest.deliver(), (1, vec![]));
                    assert_eq!(guest.verb("stop", b"w").expect("no trap"), "Watch closed");
                    let abi = &mut guest.store.data_mut().watch;
                    let owner = stream.id();
                    assert_eq!(abi.set_owner(&stream), Err(OwnerError::Ended { owner }));
                    let other = Owner::new(&bus, Limits::default(), Emits::Immediate);
                    let owner = other.id();
                    assert_eq!(abi.set_owner(&other), Err(OwnerError::OtherGuest { owner }));
                    abi.set_owner(&own).expect("it lives");
                    assert_eq!(guest.verb("stop", b"w").expect("no trap"), "");
                }

                #[test]
                fn g38_a_stop_waits_for_a_recv_on_another_instance() {
                    let bus = RangeWatchBus::new();
                    let owner = Owner::new(&bus, Limits::default(), Emits::Immediate);
                    let mut guests = [(); 2].map(|()| guest_with(GuestAbi::of_owner(&owner)));
                    guests[0].verb("open", b"\0\x01w\0\x01a\0\0").expect("no trap");
                    guests[0].verb("start", b"w").expect("no trap");
                    let has_returned = Arc::new(AtomicBool::new(false));
                    let (entered, is_entered) = std::sync::mpsc::channel();
                    let (recv_owner, recv_returned) = (owner.clone(), has_returned.clone());
                    guests[0].store.data_mut().on_recv = Some(Box::new(move || {
                        entered.send(()).expect("it waits");
                        // The stop on the other instance frees the id, and then waits.
                        while recv_owner.n_watches() > 0 {
                            std::thread::yield_now();
                        }
                        for _ in 0..1_000 {
                            std::thread::yield_now();
                        }
                        recv_returned.store(true, Ordering::Release);
                    }));
                    bus.emit(1, ["a"]).expect("open");
                    let [mut first, mut second] = guests;
                    let deliver = std::thread::spawn(move || first.deliver());
                    is_entered.recv().expect("the callback runs");
                    assert_eq!(second.verb("stop", b"w").expect("no trap"), "");
                    assert!(has_returned.load(Ordering::Acquire), "the callback ran on");
                    assert_eq!(deliver.join().expect("no panic"), (1, vec![]));
                }

                #[test]
                fn staged_emits_are_committed_or_discarded_by_the_embedder() {
                    let bus = RangeWatchBus::new();
                    let mut all = bus.subscribe(Selector::all()).events(8).expect("valid");
                    let mut guest = guest_with(GuestAbi::staged(&bus));
                    guest.verb("flush", b"\0\x01b").expect("no trap");
                    guest.verb("flush", b"\0\x01c").expect("no trap");
                    let abi = &mut guest.store.data_mut().watch;
                    assert_eq!(abi.n_staged(), 1, "flushes of one value are one emit");
                    assert!(all.try_recv().is_err(), "nothing is emitted before the commit");
                    abi.commit().expect("the bus is open");
                    assert!(all.try_recv().expect("emitted").keys().eq([b"b", b"c"]));
                    guest.verb("flush", b"\0\x01d").expect("no trap");
                    let abi = &mut guest.store.data_mut().watch;
                    assert_eq!(abi.discard(), 1);
                    abi.commit().expect("no emit is staged");
                    assert!(all.try_recv().is_err(), "discarded");
                    // The end of a callback commits.
                    guest.verb("open", b"\0\x01w\0\x01a\0\0").expect("no trap");
                    guest.verb("start", b"w").expect("no trap");
                    bus.emit(1, ["a"]).expect("open");
                    assert_eq!(all.try_recv().expect("emitted").value(), 1);
                    guest.store.data_mut().emit = true;
                    assert_eq!(guest.deliver(), (1, vec![]));
                    assert!(all.try_recv().expect("emitted").keys().eq([b"a"]));
                }

                #[test]
                fn misuse_comes_back_as_a_host_trap() {
                    let error = guest(&RangeWatchBus::new())
                        .verb("flush", b"\0")
                        .expect_err("cut short");
                    match $backend::host_trap(&error) {
                        Some(HostTrap::Abi(AbiError::KeysCutShort { .. })) => {}
                        other => panic!("{other:?}"),
                    }
                }

                #[test]
                fn g30_a_page_export_that_calls_the_abi_is_no_endless_recursion() {
                    let engine = Engine::default();
                    let mut linker = Linker::<State>::new(&engine);
                    $backend::add_to_linker(&mut linker, watch).expect("fresh names");
                    let text = r#"(module
                        (import "pantopic/wazero-range-watch" "__range_watch_flush" (func $flush))
                        (memory (export "memory") 1)
                        (func (export "flush") (call $flush))
                        (func (export "__range_watch") (result i32) (call $flush) (i32.const 16)))"#;
                    let wasm = wat::parse_str(text).expect("well formed");
                    let module = Module::new(&engine, wasm).expect("valid");
                    let mut store = Store::new(&engine, State::new(GuestAbi::new(&RangeWatchBus::new())));
                    let instance = linker
                        .$instantiate(&mut store, &module)
                        .expect("all is provided");
                    let flush = instance.get_typed_func::<(), ()>(&mut store, "flush");
                    let error = flush.expect("exported").call(&mut store, ());
                    match $backend::host_trap(&error.expect_err("it needs itself")) {
                        Some(HostTrap::Abi(AbiError::NotAttached)) => {}
                        other => panic!("{other:?}"),
                    }
                }

                #[test]
                fn exports_are_needed_where_they_are_used() {
                    let engine = Engine::default();
                    let linker = Linker::<State>::new(&engine);
                    let page = "(func (export \"__range_watch\") (result i32) (i32.const 0))";
                    for export in ["", page] {
                        let text = format!("(module (memory (export \"memory\") 1) {export})");
                        let wasm = wat::parse_str(text).expect("well formed");
                        let module = Module::new(&engine, wasm).expect("valid");
                        let mut store = Store::new(&engine, State::new(GuestAbi::new(&RangeWatchBus::new())));
                        let instance = linker.$instantiate(&mut store, &module).expect("no imports");
                        match $backend::attach(&mut store, &instance, watch) {
                            Ok(()) => assert!(!export.is_empty()),
                            Err(error) => {
                                let text = error.to_string();
                                assert!(export.is_empty() && text.contains("`__range_watch`"), "{text}");
                            }
                        }
                        // A guest that does not watch need not receive.
                        let delivered = $backend::deliver(&mut store, &instance, watch, |_, _| ());
                        assert_eq!(delivered.expect("nothing is due").n_callbacks, 0);
                    }
                }

                #[test]
                fn a_guest_that_waits_holds_its_thread() {
                    // One byte at a time fits: the guest waits for each, and its host for room.
                    let (mut feed, stdin) = pipe(1);
                    let wasi = Wasi::builder().stdin(stdin);
                    let (mut store, instance) = wasi_guest($crate::conformance::COUNTER, wasi);
                    let feeding = std::thread::spawn(move || feed.write_all(&[7; 1_000]));
                    let count = instance
                        .get_typed_func::<(), i32>(&mut store, "count")
                        .expect("exported");
                    assert_eq!(count.call(&mut store, ()).expect("no trap"), 1_000);
                    feeding.join().expect("no panic").expect("the guest reads");
                }

                #[test]
                fn a_guest_that_serves_connections_holds_its_thread() {
                    let (listener, connector) = loopback(1, 1);
                    let wasi = Wasi::builder().listener(listener);
                    let (mut store, instance) = wasi_guest($crate::conformance::ECHO, wasi);
                    let talking = std::thread::spawn(move || {
                        let connection = connector.try_connect().expect("there is room");
                        let (mut echo, mut feed) = connection.split();
                        let feeding = std::thread::spawn(move || feed.write_all(&[7; 1_000]));
                        let mut echoed = Vec::new();
                        echo.read_to_end(&mut echoed).expect("it ends");
                        feeding.join().expect("no panic").expect("the guest receives");
                        echoed
                    });
                    let serve = instance
                        .get_typed_func::<(), i32>(&mut store, "serve")
                        .expect("exported");
                    assert_eq!(serve.call(&mut store, ()).expect("no trap"), 1_000);
                    assert_eq!(talking.join().expect("no panic"), [7; 1_000]);
                }

                #[test]
                fn guests_of_one_store_have_a_memory_and_a_context_each() {
                    let engine = Engine::default();
                    let wasm = wat::parse_str($crate::conformance::SAY_WHO).expect("well formed");
                    let module = Module::new(&engine, wasm).expect("valid");
                    let outs = [SharedBuffer::new(), SharedBuffer::new()];
                    let contexts = [("a", &outs[0]), ("b", &outs[1])].map(|(name, out)| {
                        let wasi = Wasi::builder().arg(name).stdout(out.clone());
                        wasi.build().expect("valid")
                    });
                    let mut store = Store::new(&engine, contexts);
                    let says = [0, 1].map(|index| {
                        let mut linker = Linker::<[Wasi; 2]>::new(&engine);
                        $backend::add_wasi_to_linker(&mut linker, move |wasi: &mut [Wasi; 2]| {
                            &mut wasi[index]
                        })
                        .expect("fresh names");
                        let instance = linker.$instantiate(&mut store, &module);
                        let say = instance
                            .expect("all is provided")
                            .get_typed_func::<(), ()>(&mut store, "say");
                        say.expect("exported")
                    });
                    for index in [1, 0, 0] {
                        says[index].call(&mut store, ()).expect("no trap");
                    }
                    assert_eq!(outs.map(|out| out.to_string_lossy()), ["aa", "b"]);
                }

                #[test]
                fn wasi_alone_links_without_a_bus() {
                    let out = SharedBuffer::new();
                    let wasi = Wasi::builder().stdout(out.clone());
                    let (mut store, instance) = wasi_guest(
                        r#"(module
                            (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
                            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
                            (memory (export "memory") 1)
                            (data (i32.const 0) "\08\00\00\00\02\00\00\00hi")
                            (func (export "_start")
                                (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))
                                (call $exit (i32.const 42))))"#,
                        wasi,
                    );
                    let start = instance
                        .get_typed_func::<(), ()>(&mut store, "_start")
                        .expect("exported");
                    let error = start
                        .call(&mut store, ())
                        .expect_err("an exit is no return");
                    let exit = error.downcast_ref::<Exit>().expect("an exit");
                    assert_eq!(exit.code(), 42);
                    assert_eq!(out.to_string_lossy(), "hi");
                }

                #[test]
                fn run_start_turns_an_exit_into_its_code() {
                    let (code, out) = run_start("(call $exit (i32.const 0))");
                    assert_eq!(code.expect("an exit is not an error"), 0);
                    assert_eq!(out, "hi");
                    let (code, out) = run_start("(call $exit (i32.const -1))");
                    assert_eq!(code.expect("an exit is not an error"), u32::MAX);
                    assert_eq!(out, "hi");
                }

                #[test]
                fn run_start_flushes_when_a_command_returns_or_traps() {
                    let (code, out) = run_start("");
                    assert_eq!(code.expect("it returned"), 0);
                    assert_eq!(out, "hi");
                    let (error, out) = run_start("(unreachable)");
                    error.expect_err("a trap is not an exit");
                    assert_eq!(out, "hi");
                }

                #[test]
                fn a_signal_ends_a_call_with_a_trap_of_wasi() {
                    // 6 is ABRT.
                    let (error, _) = run_start("(drop (call $raise (i32.const 6)))");
                    let error = error.expect_err("a signal is not an exit");
                    match error.downcast_ref::<call::Trap>() {
                        Some(call::Trap::Signal(signal)) => assert_eq!(signal.name(), "ABRT"),
                        other => panic!("{other:?}"),
                    }
                }

                #[test]
                fn a_panic_of_the_embedder_ends_a_call_with_a_trap_of_wasi() {
                    struct Broken;

                    impl Random for Broken {
                        fn fill(&mut self, _buf: &mut [u8]) -> std::io::Result<()> {
                            panic!("no entropy")
                        }
                    }

                    let (mut store, instance) = wasi_guest(
                        r#"(module
                            (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
                            (memory (export "memory") 1)
                            (func (export "_start") (drop (call $random (i32.const 0) (i32.const 8)))))"#,
                        Wasi::builder().random(Broken),
                    );
                    let error = $backend::run_start(&mut store, &instance, |wasi: &mut Wasi| wasi)
                        .expect_err("it panicked");
                    match error.downcast_ref::<call::Trap>() {
                        Some(call::Trap::Panic { function, message }) => {
                            assert_eq!((*function, message.as_str()), ("random_get", "no entropy"));
                        }
                        other => panic!("{other:?}"),
                    }
                }
            }
        }
    };
}
