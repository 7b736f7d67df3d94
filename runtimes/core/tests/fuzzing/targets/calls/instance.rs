//! One instance, its ABI beside what the model knows of it.

use rangewatch_runtime::Limits;
use rangewatch_runtime::abi::{Callback, GuestAbi};

use super::super::input::Input;
use super::super::memory::{self, Fault, Page};
use super::super::model::Emit;
use super::emits::append;
use super::expected::fault;

/// One instance, and what is known of it.
pub(super) struct Instance {
    pub(super) guest: usize,
    pub(super) abi: GuestAbi,
    pub(super) memory: Vec<u8>,
    /// The address of its page, unless it is not attached.
    pub(super) page_at: Option<u32>,
    /// The page, once it was read.
    pub(super) page: Option<Page>,
    pub(super) can_receive: bool,
    pub(super) owner: usize,
    pub(super) state: InstanceState,
    /// The text of the host that a report is compared with.
    pub(super) host_text: Vec<u8>,
    pub(super) staged: Vec<Emit>,
    /// What was queued and not yet flushed, and the bytes of its lists.
    pub(super) gathered: Vec<Emit>,
    pub(super) gathered_bytes: usize,
    /// The group that is selected.
    pub(super) group: Option<usize>,
    pub(super) input: Vec<u8>,
    pub(super) output: Option<Vec<u8>>,
}

pub(super) enum InstanceState {
    Idle,
    /// In the callback of a watch.
    Receiving(Callback, usize),
    /// In a batch of an owner, of these watches.
    ReceivingBatch(Callback, usize, Vec<usize>),
    /// In a `stop` that waits for the callback of a watch.
    Stopping(usize),
}

impl Instance {
    pub(super) fn attach(&mut self, page_at: u32, can_receive: bool) {
        let attached = self.abi.attach(&self.memory, page_at, can_receive);
        self.page_at = Some(page_at);
        self.can_receive = can_receive;
        let expected = self.page();
        match attached {
            Ok(()) => assert!(!matches!(expected, Err(faults) if faults != ["PageNotSet"])),
            Err(error) => assert_eq!(expected.err(), Some(vec![&*fault(&error)])),
        }
    }

    /// The page, which is read until all of its addresses are set.
    pub(super) fn page(&mut self) -> Result<Page, Vec<Fault>> {
        let page = match (self.page, self.page_at) {
            (Some(page), _) => Ok(page),
            (None, Some(at)) => Page::read(&self.memory, at),
            (None, None) => Err("NotAttached"),
        };
        self.page = page.ok();
        page.map_err(|fault| vec![fault])
    }

    /// Fills the buffer as a guest does, if there is room.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        if let Some(page) = self.page {
            let _ = memory::write(&mut self.memory, page.buf, bytes);
            let len = bytes.len() as u32;
            let _ = memory::write(&mut self.memory, page.buf_len, &len.to_le_bytes());
        }
    }

    pub(super) fn put_value(&mut self, value: u64) {
        if let Some(page) = self.page {
            let _ = memory::write(&mut self.memory, page.val, &value.to_le_bytes());
        }
    }

    /// Writes an error text of the guest.
    pub(super) fn report(&mut self, input: &mut Input<'_>) {
        if let Some(page) = self.page {
            let text: &[u8] = input.choose(&[b"broken", b"Watch exists", b"\xff\0", b""]);
            let len = match input.below(4) {
                0 => u32::from(input.byte()),
                _ => text.len() as u32,
            };
            let _ = memory::write(&mut self.memory, page.err, text);
            let _ = memory::write(&mut self.memory, page.err_len, &len.to_le_bytes());
        }
    }

    pub(super) fn stage(
        &mut self,
        value: u64,
        keys: &[Vec<u8>],
        limits: &Limits,
    ) -> Result<(), Vec<Fault>> {
        let mut staged = self.staged.clone();
        append(&mut staged, value, keys);
        let mut faults = Vec::new();
        let n_keys: usize = staged.iter().map(|(_, keys)| keys.len()).sum();
        if n_keys > limits.max_staged_keys() {
            faults.push("StagedTooManyKeys");
        }
        let key_bytes: usize = staged.iter().flat_map(|(_, keys)| keys).map(Vec::len).sum();
        if key_bytes + 8 * (n_keys + staged.len()) > limits.max_staged_bytes() {
            faults.push("StagedFull");
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        self.staged = staged;
        Ok(())
    }

    /// Drops what was staged, as after a call that failed.
    pub(super) fn discard(&mut self) {
        assert_eq!(self.abi.discard(), self.staged.len());
        self.staged.clear();
    }
}
