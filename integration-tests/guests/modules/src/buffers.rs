//! Buffers of the clients: the module `buffers` of the host.

use crate::page::{Buffer, Page, Shared};

#[link(wasm_import_module = "buffers")]
unsafe extern "C" {
    #[link_name = "append"]
    safe fn import_append();
}

static BYTES: Buffer<4096> = Buffer::new();
static IS_FULL: Shared<u32> = Shared::new(0);

static PAGE: Page<4> = {
    let [bytes, capacity, length] = BYTES.addresses();
    Page([bytes, capacity, length, IS_FULL.address()])
};

#[unsafe(export_name = "__buffers")]
extern "C" fn page() -> *const Page<4> {
    &raw const PAGE
}

/// Appends to the buffer of the stream that this runs for.
pub(crate) fn append(bytes: &[u8]) -> Result<(), &'static str> {
    BYTES.set(bytes);
    import_append();
    match IS_FULL.get() {
        0 => Ok(()),
        _ => Err("the client is too slow: its buffer is full"),
    }
}
