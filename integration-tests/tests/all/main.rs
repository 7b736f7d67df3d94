//! Scenarios of every guest on every backend.
#![deny(dead_code, reason = "a scenario that no test names fails the build")]

mod abi_c;
mod cluster;
mod command_c;
mod crowd;
#[cfg(all(feature = "wasmi", feature = "wasmtime"))]
mod determinism;
mod echo_c;
mod emitter;
mod greet;
mod greet_c;
mod greet_go;
mod languages;
mod modules;
mod notices;
mod notices_c;
mod notices_go;
mod page;
mod prebuilt;
mod pumps;
mod quickstart;
#[cfg(feature = "wasmi")]
mod readme;
mod recycling;
mod sdk_abi;
mod state_machine;
mod waiting;
mod watcher;
mod watcher_c;
mod watcher_go;

macro_rules! has_tests {
    ($guest:ident) => {
        // A guest without a module of tests does not compile.
        #[expect(
            unused_imports,
            reason = "the import only checks that the module exists"
        )]
        use self::$guest as _;
    };
}
integration_tests::for_each_guest!(has_tests);
