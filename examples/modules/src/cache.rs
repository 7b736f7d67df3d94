//! The module `cache`: an ordered cache for each instance.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rangewatch::{Buffer, Field, HostModule};

const PAGE: &str = "__cache";
const KEY: Field<u64> = Field::new(0);
const VALUE: Buffer = Buffer::new(1, 2, 3);
const FOUND: Field<u32> = Field::new(4);
const N_SLOTS: usize = 5;

/// Entries of an instance. The smallest key makes room for a new one.
const MAX_ENTRIES: usize = 1024;

/// Bytes of a value.
const MAX_VALUE_BYTES: usize = 64 << 10;

/// The entries of one instance: its data, which no other instance sees and no lock protects.
#[derive(Default)]
struct Entries(BTreeMap<u64, Vec<u8>>);

/// Counts lookups in the caches of all instances. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Lookups(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    n_hits: AtomicU64,
    n_misses: AtomicU64,
}

impl Lookups {
    /// How often a lookup has found the very key.
    #[must_use]
    pub fn n_hits(&self) -> u64 {
        self.0.n_hits.load(Ordering::Relaxed)
    }

    /// How often it has not.
    #[must_use]
    pub fn n_misses(&self) -> u64 {
        self.0.n_misses.load(Ordering::Relaxed)
    }
}

/// The functions for guests.
pub fn module(lookups: &Lookups) -> HostModule {
    let lookups = lookups.clone();
    HostModule::new("cache")
        .meta_page(PAGE, N_SLOTS)
        .instance_data(Entries::default)
        .function("put", |cx, ()| {
            let page = cx.meta_page(PAGE)?;
            let key = page.get(cx.memory(), KEY)?;
            let value = cx.read_buffer(&page, VALUE)?.to_vec();
            if value.len() > MAX_VALUE_BYTES {
                return Err(format!("a value has more than {MAX_VALUE_BYTES} bytes").into());
            }
            let Entries(entries) = cx.data()?;
            entries.insert(key, value);
            if entries.len() > MAX_ENTRIES {
                entries.pop_first();
            }
            Ok(())
        })
        .function("next", move |cx, ()| {
            let page = cx.meta_page(PAGE)?;
            let (memory, Entries(entries)) = cx.memory_and_data()?;
            let from = page.get(memory, KEY)?;
            let next = entries.range(from..).next();
            let is_hit = next.is_some_and(|(key, _)| *key == from);
            page.set(memory, FOUND, u32::from(next.is_some()))?;
            if let Some((key, value)) = next {
                page.set(memory, KEY, *key)?;
                let value = value.clone();
                cx.write_buffer(&page, VALUE, &value)?;
            }
            let Counts { n_hits, n_misses } = &*lookups.0;
            let count = if is_hit { n_hits } else { n_misses };
            count.fetch_add(1, Ordering::Relaxed);
            Ok(())
        })
}
