//! The builder: a guest gets only what the host grants (G34), and invalid settings are errors.

use rangewatch_wasi::{FixedClock, SharedBuffer, Wasi, WasiBuildError, preview1};

use crate::guest::Guest;

#[test]
fn a_default_context_has_no_resources() {
    let mut guest = Guest::new(Wasi::builder());
    preview1::args_sizes_get(&mut guest.ctx, &mut guest.memory, 0, 4).unwrap();
    preview1::environ_sizes_get(&mut guest.ctx, &mut guest.memory, 8, 12).unwrap();
    assert_eq!(guest.bytes(0, 16), [0; 16]);
    assert_eq!(guest.read(0, 10), Ok(vec![]));
    assert_eq!(guest.write(1, b"out"), Ok(3));
    assert_eq!(guest.write(2, b"err"), Ok(3));
}

#[test]
fn two_default_contexts_read_the_same_times_and_bytes() {
    let observe = || {
        let mut guest = Guest::new(Wasi::builder());
        for (id, out) in [(0, 0), (1, 8), (0, 16), (1, 24)] {
            preview1::clock_time_get(&mut guest.ctx, &mut guest.memory, id, 0, out).unwrap();
        }
        preview1::random_get(&mut guest.ctx, &mut guest.memory, 32, 1000).unwrap();
        guest.memory
    };
    assert_eq!(observe(), observe());
}

#[test]
fn the_default_clock_starts_in_1970_and_advances_1_ms_per_reading() {
    let mut guest = Guest::new(Wasi::builder());
    let times: Vec<u64> = [0, 1, 0, 1]
        .into_iter()
        .map(|id| {
            preview1::clock_time_get(&mut guest.ctx, &mut guest.memory, id, 0, 0).unwrap();
            guest.u64(0)
        })
        .collect();
    assert_eq!(times, [1_000_000, 2_000_000, 3_000_000, 4_000_000]);
}

#[test]
fn a_nul_byte_in_an_argument_or_a_variable_is_refused() {
    let error = Wasi::builder()
        .args(["fine", "a\0b", "c\0d"])
        .build()
        .unwrap_err();
    assert_eq!(error, WasiBuildError::ArgContainsNul { index: 1 });
    assert_eq!(
        error.to_string(),
        "argument 1 contains a NUL byte; remove it, guests read arguments up to the first NUL"
    );

    let key = Wasi::builder().env("K\0", "v").build().unwrap_err();
    assert_eq!(key, WasiBuildError::EnvContainsNul { key: "K\0".into() });
    let value = Wasi::builder()
        .env("TOKEN", "secret\0")
        .build()
        .unwrap_err();
    assert_eq!(
        value,
        WasiBuildError::EnvContainsNul {
            key: "TOKEN".into()
        }
    );
    assert!(!value.to_string().contains("secret"));
}

#[test]
fn a_variable_needs_a_name_and_the_name_must_not_contain_an_equals_sign() {
    for key in ["", "=", "A=B"] {
        let error = Wasi::builder().env(key, "v").build().unwrap_err();
        assert_eq!(error, WasiBuildError::InvalidEnvKey { key: key.into() });
    }
    Wasi::builder().env("A", "=B=C").build().unwrap();
}

#[test]
fn build_returns_the_first_error() {
    let error = Wasi::builder()
        .env("A=B", "")
        .arg("\0")
        .build()
        .unwrap_err();
    assert_eq!(error, WasiBuildError::InvalidEnvKey { key: "A=B".into() });
}

#[test]
fn arguments_and_variables_may_be_strings_or_bytes_of_any_kind() {
    let owned = String::from("owned");
    let ctx = Wasi::builder()
        .arg("text")
        .arg(&owned)
        .arg(owned)
        .arg(vec![0xff, 0xfe])
        .args([b"bytes"])
        .envs([("A", "1"), ("B", "2")])
        .envs(vec![(String::from("C"), vec![0xff])])
        .build()
        .unwrap();
    let debug = format!("{ctx:?}");
    assert!(
        debug.contains("n_args: 5") && debug.contains("n_env: 3"),
        "{debug}"
    );
}

#[test]
fn debug_output_shows_no_argument_no_variable_and_no_input() {
    let builder = Wasi::builder()
        .arg("--password=hunter2")
        .env("TOKEN", "hunter2")
        .stdin("hunter2")
        .stdout(SharedBuffer::new())
        .clock(FixedClock::at(0, 0));
    assert!(!format!("{builder:?}").contains("hunter2"));
    assert!(!format!("{:?}", builder.build().unwrap()).contains("hunter2"));
}
