//! An ordered cache: the module `cache` of the host.

use crate::page::{Buffer, Page, Shared};

#[link(wasm_import_module = "cache")]
unsafe extern "C" {
    #[link_name = "put"]
    safe fn import_put();
    #[link_name = "next"]
    safe fn import_next();
}

static KEY: Shared<u64> = Shared::new(0);
static VALUE: Buffer<4096> = Buffer::new();
static FOUND: Shared<u32> = Shared::new(0);

static PAGE: Page<5> = {
    let [value, value_cap, value_len] = VALUE.addresses();
    Page([KEY.address(), value, value_cap, value_len, FOUND.address()])
};

#[unsafe(export_name = "__cache")]
extern "C" fn page() -> *const Page<5> {
    &raw const PAGE
}

/// Keeps a value. The entry with the smallest key makes room for it if there is none.
pub(crate) fn put(key: u64, value: &[u8]) {
    KEY.set(key);
    VALUE.set(value);
    import_put();
}

/// The first entry from the key `from` on.
pub(crate) fn next(from: u64) -> Option<(u64, Vec<u8>)> {
    KEY.set(from);
    import_next();
    (FOUND.get() != 0).then(|| (KEY.get(), VALUE.get()))
}
