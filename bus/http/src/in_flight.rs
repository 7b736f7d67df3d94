//! The bytes that were handed to the HTTP server and are not written to the socket yet.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use bytes::Bytes;
use tokio::time::Instant;

/// The greatest size of a frame in bytes. Also the unit of progress: a connection that takes no
/// whole frame within the stall timeout is stalled.
pub(crate) const FRAME_BYTES: usize = 4 << 10;
/// The greatest number of bytes in flight. Without this bound hyper buffers 400 KiB for each
/// connection whose socket is full.
const MAX_BYTES: usize = 8 << 10;
/// No frame is handed out while so many are in flight: hyper takes no more than 16, and does not
/// poll a body whose frames it cannot take, which would keep the stall timeout from being noticed.
const MAX_FRAMES: usize = 8;

/// Counts the frames in flight of one stream. A frame is in flight until the server drops its
/// bytes, which hyper does when they were written.
#[derive(Debug, Default)]
pub(crate) struct InFlight(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    n_bytes: usize,
    n_frames: usize,
    /// When the last frame was written, or the first of those in flight was handed out.
    progress: Option<Instant>,
    /// Of the stream, while it waits for a frame to be written.
    waker: Option<Waker>,
}

/// The bytes of a frame. Their drop ends its flight.
struct Frame {
    data: Bytes,
    in_flight: Arc<Mutex<State>>,
}

impl InFlight {
    /// The frame to hand out.
    pub(crate) fn frame(&self, data: Bytes) -> Bytes {
        {
            let mut state = lock(&self.0);
            if state.n_frames == 0 {
                state.progress = Some(Instant::now());
            }
            state.n_bytes += data.len();
            state.n_frames += 1;
        }
        Bytes::from_owner(Frame {
            data,
            in_flight: Arc::clone(&self.0),
        })
    }

    /// Whether another frame may be handed out. If not, the waker is woken when one was written.
    pub(crate) fn has_room(&self, waker: &Waker) -> bool {
        let mut state = lock(&self.0);
        let has_room = state.n_bytes + FRAME_BYTES <= MAX_BYTES && state.n_frames < MAX_FRAMES;
        state.wait_unless(has_room, waker);
        has_room
    }

    /// Whether all frames were written. If not, the waker is woken when one was.
    pub(crate) fn is_empty(&self, waker: &Waker) -> bool {
        let mut state = lock(&self.0);
        let is_empty = state.n_frames == 0;
        state.wait_unless(is_empty, waker);
        is_empty
    }

    /// Since when no frame was written; `None` if none is in flight.
    pub(crate) fn stalled_since(&self) -> Option<Instant> {
        let state = lock(&self.0);
        state.progress.filter(|_| state.n_frames > 0)
    }
}

impl State {
    fn wait_unless(&mut self, is_ready: bool, waker: &Waker) {
        if !is_ready && !self.waker.as_ref().is_some_and(|old| old.will_wake(waker)) {
            self.waker = Some(waker.clone());
        }
    }
}

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        let waker = {
            let mut state = lock(&self.in_flight);
            state.n_bytes -= self.data.len();
            state.n_frames -= 1;
            state.progress = Some(Instant::now());
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
