//! The numbers of filesystems, as a guest sees them.

/// How many filesystems are told apart. A guest that finds more below a directory of its host sees the rest as one, rather
/// than make the host keep a list of any length.
const MAX_DEVICES: usize = 256;

/// Filesystems, numbered from 1 in the order in which the guest meets them. A guest compares the numbers and has no other
/// use for them; the host's own would tell it about the host, and would not be the same in the next run.
#[derive(Debug, Default)]
pub(crate) struct Devices {
    met: Vec<u64>,
}

impl Devices {
    /// The guest's number for the host's.
    pub(crate) fn number(&mut self, dev: u64) -> u64 {
        let index = match self.met.iter().position(|met| *met == dev) {
            Some(index) => index,
            None if self.met.len() == MAX_DEVICES => MAX_DEVICES,
            None => {
                self.met.push(dev);
                self.met.len() - 1
            }
        };
        index as u64 + 1
    }
}
