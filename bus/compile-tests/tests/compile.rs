//! What the compiler accepts without annotations, and what it refuses.

use std::process::Command;

/// Each program compiles with this test, by any compiler; its `main` is a test.
macro_rules! accepted {
    ($($program:ident = $path:literal,)+) => {$(
        #[path = $path]
        mod $program;

        #[test]
        fn $program() {
            $program::main();
        }
    )+};
}

accepted! {
    inferred_payloads = "accepted/inferred_payloads.rs",
    moved_to_a_task = "accepted/moved_to_a_task.rs",
    only_subscribed = "accepted/only_subscribed.rs",
    struct_field = "accepted/struct_field.rs",
}

/// Each program of `refused` fails to compile with the messages in the file beside it.
///
/// Messages change with the compiler, so that they are compared only with those of the Rust version
/// that the workspace claims, which CI runs. They are written by
/// `TRYBUILD=overwrite cargo test -p rangewatch-compile-tests`, with that version and without the
/// component `rust-src`.
#[test]
#[expect(clippy::print_stdout, reason = "a test cannot be skipped at run time")]
fn refused() {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    let claimed = env!("CARGO_PKG_RUST_VERSION");
    if version.starts_with(&format!("rustc {claimed}.")) {
        trybuild::TestCases::new().compile_fail("tests/refused/*.rs");
    } else {
        println!("not compared: the messages are those of Rust {claimed}, this is {version}");
    }
}
