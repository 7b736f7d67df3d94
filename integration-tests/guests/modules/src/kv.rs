//! The store: the module `kv` of the host.

use crate::page::{Buffer, Page, Shared};

#[link(wasm_import_module = "kv")]
unsafe extern "C" {
    #[link_name = "begin"]
    safe fn import_begin();
    #[link_name = "commit"]
    safe fn import_commit();
    #[link_name = "abort"]
    safe fn import_abort();
    #[link_name = "put"]
    safe fn import_put();
    #[link_name = "delete"]
    safe fn import_delete();
    #[link_name = "next"]
    safe fn import_next();
    #[link_name = "revision"]
    safe fn import_revision();
}

static KEY: Buffer<256> = Buffer::new();
static VALUE: Buffer<4096> = Buffer::new();
static REVISION: Shared<u64> = Shared::new(0);
static FOUND: Shared<u32> = Shared::new(0);

static PAGE: Page<8> = {
    let [key, key_cap, key_len] = KEY.addresses();
    let [value, value_cap, value_len] = VALUE.addresses();
    let (revision, found) = (REVISION.address(), FOUND.address());
    Page([
        key, key_cap, key_len, value, value_cap, value_len, revision, found,
    ])
};

#[unsafe(export_name = "__kv")]
extern "C" fn page() -> *const Page<8> {
    &raw const PAGE
}

/// Runs `f` in a transaction, nested into the one that runs, if there is one. `f` gets the revision
/// that the store will have. Its changes are kept if it returns a value, and undone if it returns
/// none.
pub(crate) fn transaction<T>(f: impl FnOnce(u64) -> Option<T>) -> Option<T> {
    let value = f(begin());
    match value {
        Some(_) => import_commit(),
        None => import_abort(),
    }
    value
}

/// Begins a transaction. Waits while another call has one.
pub(crate) fn begin() -> u64 {
    import_begin();
    REVISION.get()
}

/// The revision of the last commit.
pub(crate) fn revision() -> u64 {
    import_revision();
    REVISION.get()
}

pub(crate) fn put(key: &[u8], value: &[u8]) {
    KEY.set(key);
    VALUE.set(value);
    import_put();
}

/// Deletes a key. Returns whether it was there.
pub(crate) fn delete(key: &[u8]) -> bool {
    KEY.set(key);
    import_delete();
    FOUND.get() != 0
}

pub(crate) fn get(key: &[u8]) -> Option<Vec<u8>> {
    next(key).and_then(|(found, value)| (found == key).then_some(value))
}

/// The keys that begin with `prefix`, with their values, in order.
pub(crate) fn scan(prefix: &[u8]) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    let mut from = prefix.to_vec();
    std::iter::from_fn(move || {
        let entry = next(&from)?;
        from = [&entry.0, &b"\0"[..]].concat();
        Some(entry)
    })
    .take_while(move |(key, _)| key.starts_with(prefix))
}

/// The first key from `from` on, with its value.
fn next(from: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    KEY.set(from);
    import_next();
    (FOUND.get() != 0).then(|| (KEY.get(), VALUE.get()))
}
