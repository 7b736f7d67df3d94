//! Emits of a bus as frames that follow each other.

use std::sync::Arc;

use crate::{AppendError, Codec, Frame, FrameBuilder, LogError, MAX_VALUE};

/// Encodes emits, each after the one before it.
pub(crate) struct Encoder<P> {
    codec: Arc<dyn Codec<P>>,
    max_frame_bytes: usize,
    /// The value of the last emit.
    pub(crate) last: Option<u64>,
}

impl<P: 'static> Encoder<P> {
    pub(crate) fn new(codec: Arc<dyn Codec<P>>, max_frame_bytes: usize, last: Option<u64>) -> Self {
        Self {
            codec,
            max_frame_bytes,
            last,
        }
    }

    /// Encodes the emit that follows. After an error the next one follows the same emit as this
    /// one.
    pub(crate) fn encode<'a, K: AsRef<[u8]>>(
        &mut self,
        value: u64,
        entries: impl IntoIterator<Item = (K, &'a P)>,
    ) -> Result<Frame, AppendError> {
        if value > MAX_VALUE {
            return Err(AppendError::LastValue { value });
        }
        if let Some(before) = self.last.filter(|last| *last >= value) {
            return Err(AppendError::NotIncreasing { value, before });
        }
        let mut builder = FrameBuilder::new(self.last, value);
        for (key, payload) in entries {
            let key = key.as_ref();
            builder.push_with(key, |into| self.codec.encode(key, payload, into));
            self.check_size(value, builder.n_bytes())?;
        }
        self.last = Some(value);
        Ok(builder.finish())
    }

    fn check_size(&self, value: u64, n_bytes: usize) -> Result<(), LogError> {
        let max_bytes = self.max_frame_bytes;
        if n_bytes > max_bytes {
            return Err(LogError::TooLarge {
                value,
                n_bytes,
                max_bytes,
            });
        }
        Ok(())
    }
}
