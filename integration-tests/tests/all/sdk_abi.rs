//! The Rust SDK repeats the names of the ABI, because it shares no crate with the host. Compares
//! the two lists.

use rangewatch::runtime::abi::{self, gen1 as host, io};
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
fn the_sdk_has_every_function_that_passes_bytes() {
    let of_host = abi::FUNCTIONS
        .iter()
        .map(|function| (function.module(), function.name()))
        .filter(|&(module, _)| module == io::MODULE);
    let of_sdk = [
        guest::IMPORT_INPUT_LEN,
        guest::IMPORT_INPUT_READ,
        guest::IMPORT_OUTPUT_WRITE,
    ];
    assert!(of_host.eq(of_sdk.map(|name| (guest::IMPORT_MODULE_IO, name))));
    assert_eq!(guest::MAX_INPUT_READ_BYTES, io::MAX_READ_BYTES);
}
