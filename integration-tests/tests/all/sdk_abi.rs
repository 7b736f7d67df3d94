//! The SDKs repeat the names and numbers of the ABI, because they share no code with the host.
//! Compares the Rust SDK with the host, and the others with the Rust SDK.

use rangewatch::runtime::abi::{self, gen1 as host, gen2, io};
use rangewatch_guest::abi as guest;

#[test]
fn the_sdk_and_the_host_use_the_same_names() {
    assert_eq!(guest::IMPORT_MODULE, host::MODULE);
    assert_eq!(guest::IMPORT_FLUSH, host::FLUSH);
    assert_eq!(guest::IMPORT_RESERVE, host::RESERVE);
    assert_eq!(guest::IMPORT_OPEN, host::OPEN);
    assert_eq!(guest::IMPORT_START, host::START);
    assert_eq!(guest::IMPORT_STOP, host::STOP);
    assert_eq!(guest::EXPORT_META, host::PAGE);
    assert_eq!(guest::EXPORT_RECV, host::RECV);
}

#[test]
fn the_sdk_has_every_function_of_generation_2() {
    assert_eq!(guest::gen2::IMPORT_MODULE, gen2::MODULE);
    let of_host = abi::FUNCTIONS
        .iter()
        .filter(|function| function.module() == gen2::MODULE)
        .map(abi::AbiFunction::name);
    assert!(of_host.eq(guest::gen2::IMPORTS));
}

#[test]
fn the_sdk_has_every_function_that_passes_bytes() {
    let of_host = abi::FUNCTIONS
        .iter()
        .map(|function| (function.module(), function.name()))
        .filter(|&(module, _)| module == io::MODULE);
    assert!(of_host.eq(OF_BYTES.map(|name| (guest::IMPORT_MODULE_IO, name))));
    assert_eq!(guest::MAX_INPUT_READ_BYTES, io::MAX_READ_BYTES);
}

const OF_BYTES: [&str; 3] = [
    guest::IMPORT_INPUT_LEN,
    guest::IMPORT_INPUT_READ,
    guest::IMPORT_OUTPUT_WRITE,
];
const EXPORTS: [&str; 2] = [guest::EXPORT_META, guest::EXPORT_RECV];

const GO_NUMBERS: &str = include_str!("../../../sdk/go/internal/guest/abi.go");
const GO_EXPORTS: &str = include_str!("../../../sdk/go/internal/guest/host_wasm.go");
const GO_IMPORTS: &str = include_str!("../../../sdk/go/host_wasm.go");
const GO_IMPORTS_2: &str = include_str!("../../../sdk/go/gen2/host_wasm.go");

/// What a constant of the Go SDK is set to, as its source has it.
fn in_go(name: &str) -> &'static str {
    let line = GO_NUMBERS.lines().find_map(|line| {
        line.trim()
            .strip_prefix(name)?
            .trim_start()
            .strip_prefix("= ")
    });
    line.unwrap_or_else(|| panic!("{name} is not in abi.go"))
}

#[test]
fn the_go_sdk_has_the_numbers_and_texts_of_the_rust_sdk() {
    let number = |name| in_go(name).replace('_', "").parse();
    assert_eq!(number("BufBytes"), Ok(guest::BUF_BYTES));
    assert_eq!(number("ErrBytes"), Ok(guest::ERR_BYTES));
    assert_eq!(number("keyPrefixBytes"), Ok(guest::KEY_PREFIX_BYTES));
    assert_eq!(in_go("MaxKeyBytes"), "BufBytes - keyPrefixBytes");
    assert_eq!(in_go("MaxOpenBytes"), "BufBytes - 3*keyPrefixBytes");
    assert_eq!(in_go("MaxInputReadBytes"), "1 << 20");
    assert_eq!(guest::MAX_INPUT_READ_BYTES, 1 << 20);
    for (name, text) in [
        ("watchExists", guest::WATCH_EXISTS),
        ("watchNotFound", guest::WATCH_NOT_FOUND),
        ("watchAlreadyOpen", guest::WATCH_ALREADY_OPEN),
        ("watchClosed", guest::WATCH_CLOSED),
        ("groupNotFound", guest::gen2::GROUP_NOT_FOUND),
    ] {
        assert_eq!(in_go(name), format!("{text:?}"));
    }
}

#[test]
fn the_go_sdk_has_the_imports_and_exports_of_the_rust_sdk() {
    let after = |source: &'static str, start| {
        let lines = source.lines();
        lines.filter_map(move |line| line.strip_prefix(start))
    };
    let of_watches = guest::IMPORTS.map(|name| format!("{} {name}", guest::IMPORT_MODULE));
    let of_bytes = OF_BYTES.map(|name| format!("{} {name}", guest::IMPORT_MODULE_IO));
    let imports = after(GO_IMPORTS, "//go:wasmimport ");
    assert!(imports.eq(of_watches.iter().chain(&of_bytes)));
    let second = guest::gen2::IMPORTS.map(|name| format!("{} {name}", guest::gen2::IMPORT_MODULE));
    assert!(after(GO_IMPORTS_2, "//go:wasmimport ").eq(second));
    assert!(after(GO_EXPORTS, "//go:wasmexport ").eq(EXPORTS));
}

const C_HEADER: &str = include_str!("../../../sdk/c/rangewatch.h");

/// What a constant of the C SDK is set to, as its source has it.
fn in_c(name: &str) -> &'static str {
    let line = C_HEADER.lines().find_map(|line| {
        let value = line.trim().strip_prefix(name)?.strip_prefix(" = ")?;
        Some(value.trim_end_matches(','))
    });
    line.unwrap_or_else(|| panic!("{name} is not in rangewatch.h"))
}

#[test]
fn the_c_sdk_has_the_numbers_and_texts_of_the_rust_sdk() {
    let number = |name| in_c(name).parse();
    assert_eq!(number("RANGEWATCH_BUF_BYTES"), Ok(guest::BUF_BYTES));
    assert_eq!(number("RANGEWATCH_ERR_BYTES"), Ok(guest::ERR_BYTES));
    assert_eq!(
        number("RANGEWATCH_KEY_PREFIX_BYTES"),
        Ok(guest::KEY_PREFIX_BYTES)
    );
    assert_eq!(
        in_c("RANGEWATCH_MAX_KEY_BYTES"),
        "RANGEWATCH_BUF_BYTES - RANGEWATCH_KEY_PREFIX_BYTES"
    );
    assert_eq!(
        in_c("RANGEWATCH_MAX_OPEN_BYTES"),
        "RANGEWATCH_BUF_BYTES - 3 * RANGEWATCH_KEY_PREFIX_BYTES"
    );
    assert_eq!(in_c("RANGEWATCH_MAX_INPUT_READ_BYTES"), "1 << 20");
    for (name, text) in [
        ("EXISTS", guest::WATCH_EXISTS),
        ("NOT_FOUND", guest::WATCH_NOT_FOUND),
        ("ALREADY_OPEN", guest::WATCH_ALREADY_OPEN),
        ("CLOSED", guest::WATCH_CLOSED),
        ("GROUP_NOT_FOUND", guest::gen2::GROUP_NOT_FOUND),
    ] {
        let line = format!("if (rangewatch_err_is({text:?})) return RANGEWATCH_{name};");
        assert!(C_HEADER.contains(&line), "{line}");
    }
}

#[test]
fn the_c_sdk_has_the_imports_and_exports_of_the_rust_sdk() {
    let after = |source: &'static str, start| {
        let lines = source
            .lines()
            .filter_map(move |line| line.strip_prefix(start));
        lines.filter_map(|line| Some(line.split_once(')')?.0.to_owned()))
    };
    let (first, rest) = C_HEADER
        .split_once("#define RANGEWATCH_MODULE ")
        .expect("the module of generation 1");
    assert_eq!(after(first, "RANGEWATCH_IMPORT(").count(), 0);
    let (second, rest) = rest
        .split_once("#define RANGEWATCH_MODULE ")
        .expect("the module of generation 2");
    assert!(second.starts_with(&format!("{:?}\n#else", guest::IMPORT_MODULE)));
    assert!(rest.starts_with(&format!("{:?}\n", guest::gen2::IMPORT_MODULE)));
    let (only_second, both) = rest.split_once("#endif").expect("the end of generation 2");
    let import = |name| format!("RANGEWATCH_MODULE, {name:?}");
    let both_have = |name: &&str| guest::IMPORTS.contains(name);
    let names = guest::gen2::IMPORTS.into_iter();
    let names = names.filter(|name| !both_have(name)).map(import);
    assert!(after(only_second, "RANGEWATCH_IMPORT(").eq(names));
    let of_watches = guest::IMPORTS.map(import);
    let of_bytes = OF_BYTES.map(|name| format!("{:?}, {name:?}", guest::IMPORT_MODULE_IO));
    assert!(after(both, "RANGEWATCH_IMPORT(").eq(of_watches.into_iter().chain(of_bytes)));
    let exports = EXPORTS.map(|name| format!("{name:?}"));
    assert!(after(C_HEADER, "RANGEWATCH_EXPORT(").eq(exports));
}
