//! The module `buffers`: what the guest has to say to each stream, until the host takes it.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use parking_lot::Mutex;
use rangewatch::{Buffer, CallOutcome, Field, HostModule, Owner, OwnerId};

const PAGE: &str = "__buffers";
const BYTES: Buffer = Buffer::new(0, 1, 2);
const IS_FULL: Field<u32> = Field::new(3);
const N_SLOTS: usize = 4;

/// Bytes of one buffer. A client that takes nothing could otherwise fill the memory of the host.
const MAX_BYTES: usize = 64 << 10;

/// The buffers of all streams. Clones are handles of the same buffers.
#[derive(Clone, Debug, Default)]
pub struct Buffers(Arc<Mutex<HashMap<OwnerId, Vec<u8>>>>);

/// What the call that runs has appended: data of its instance. It is visible when the call has
/// returned, so that a call that fails says nothing.
#[derive(Default)]
struct Appended(Vec<u8>);

impl Buffers {
    /// The buffer of a stream, empty, which is removed when this is dropped.
    #[must_use]
    pub fn open(&self, stream: &Owner) -> StreamBuffer {
        let stream = stream.id();
        self.0.lock().insert(stream, Vec::new());
        StreamBuffer {
            buffers: self.clone(),
            stream,
        }
    }

    /// The functions for guests.
    pub fn module(&self) -> HostModule {
        let (of_append, of_end) = (self.clone(), self.clone());
        HostModule::new("buffers")
            .meta_page(PAGE, N_SLOTS)
            .instance_data(Appended::default)
            .function("append", move |cx, ()| {
                let page = cx.meta_page(PAGE)?;
                let bytes = cx.read_buffer(&page, BYTES)?.to_vec();
                // In a callback this is the owner of its watch.
                let stream = cx.owner().id();
                let n_bytes = of_append.0.lock().get(&stream).map_or(0, Vec::len);
                let (memory, Appended(appended)) = cx.memory_and_data()?;
                let is_full = n_bytes + appended.len() + bytes.len() > MAX_BYTES;
                if !is_full {
                    appended.extend(bytes);
                }
                Ok(page.set(memory, IS_FULL, u32::from(is_full))?)
            })
            .on_call_end(move |end| {
                let stream = end.owner().id();
                let Ok(Appended(appended)) = end.data().map(mem::take) else {
                    return;
                };
                if matches!(end.outcome(), CallOutcome::Returned)
                    && let Some(buffer) = of_end.0.lock().get_mut(&stream)
                {
                    buffer.extend(appended);
                }
            })
    }
}

/// The buffer of one stream.
#[derive(Debug)]
pub struct StreamBuffer {
    buffers: Buffers,
    stream: OwnerId,
}

impl StreamBuffer {
    /// Takes what was appended.
    #[must_use]
    pub fn take(&self) -> Vec<u8> {
        let mut buffers = self.buffers.0.lock();
        buffers
            .get_mut(&self.stream)
            .map(mem::take)
            .unwrap_or_default()
    }
}

impl Drop for StreamBuffer {
    fn drop(&mut self) {
        self.buffers.0.lock().remove(&self.stream);
    }
}
