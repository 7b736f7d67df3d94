//! The Rust SDK repeats the names of the ABI, because it shares no crate with the host. Compares
//! the two lists.

use rangewatch::runtime::abi::gen1 as host;
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
