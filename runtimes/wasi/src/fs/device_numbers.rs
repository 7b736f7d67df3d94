//! The device numbers (`st_dev`) of filesystems, as a guest sees them.

/// How many filesystems get numbers of their own. Further filesystems share one number, because a
/// guest that finds many below a directory of its host would make the list grow without a bound.
const MAX_DEVICES: usize = 256;

/// Maps device numbers to numbers from 1, in the order in which the guest sees the filesystems. A
/// guest only compares them; the host's own numbers would disclose facts about the host and differ
/// between runs.
#[derive(Debug, Default)]
pub(crate) struct DeviceNumbers {
    seen: Vec<u64>,
}

impl DeviceNumbers {
    /// The guest's number for the device number `dev`.
    pub(crate) fn number(&mut self, dev: u64) -> u64 {
        let index = match self.seen.iter().position(|seen| *seen == dev) {
            Some(index) => index,
            None if self.seen.len() == MAX_DEVICES => MAX_DEVICES,
            None => {
                self.seen.push(dev);
                self.seen.len() - 1
            }
        };
        index as u64 + 1
    }
}
