//! Replaces the inode numbers and times of directories of the host, which differ from copy to copy.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::trace::Call;

/// Replaces a time of today.
const TODAY_NS: u64 = super::START_SECS * 1_000_000_000;

/// The maximum age of a file whose times are replaced.
const DAY: Duration = Duration::from_secs(86_400);

/// Replaces the metadata of files of the host in the results of a guest's calls.
///
/// Inode numbers are replaced by the order of first appearance. The host may reuse the number of a
/// removed file, so the numbers start over when a file is created after one was removed. A listing
/// that continues after that has no numbers: it may contain removed files, whose numbers may be
/// reused. Times of the host's clock are replaced by one time; times that the guest has set are
/// kept.
pub(super) struct Steady {
    met: HashMap<u64, u64>,
    last: u64,
    has_removed: bool,
    since_ns: u64,
}

impl Steady {
    pub(super) fn new() -> Self {
        let age = SystemTime::now()
            .duration_since(UNIX_EPOCH + DAY)
            .expect("it is later than 1970");
        Self {
            met: HashMap::new(),
            last: 0,
            has_removed: false,
            since_ns: u64::try_from(age.as_nanos()).expect("it is earlier than 2554"),
        }
    }

    /// Replaces metadata in the result of a call.
    pub(super) fn hide(&mut self, call: &Call, answer: i32, memory: &mut [u8]) {
        const CREATE: u64 = 1;
        match call.name() {
            "path_unlink_file" | "path_remove_directory" | "path_rename" => self.has_removed = true,
            "path_open" if call.arguments[4] & CREATE != 0 => self.forget(),
            "path_create_directory" | "path_symlink" => self.forget(),
            _ => {}
        }
        if answer != 0 {
            return;
        }
        let pointer = |index: usize| call.arguments[index] as usize;
        match call.name() {
            "fd_filestat_get" => self.hide_filestat(&mut memory[pointer(1)..][..64]),
            "path_filestat_get" => self.hide_filestat(&mut memory[pointer(4)..][..64]),
            "fd_readdir" => {
                let used = read(&memory[pointer(4)..], 4) as usize;
                let may_be_stale = self.has_removed && call.arguments[3] != 0;
                let entries = &mut memory[pointer(1)..][..used];
                self.hide_entries(entries, may_be_stale);
            }
            _ => {}
        }
    }

    /// Source: WASI preview1 witx, `filestat`.
    fn hide_filestat(&mut self, stat: &mut [u8]) {
        self.number(&mut stat[8..16]);
        for time in stat[40..64].chunks_exact_mut(8) {
            if read(time, 8) >= self.since_ns {
                time.copy_from_slice(&TODAY_NS.to_le_bytes());
            }
        }
    }

    /// Source: WASI preview1 witx, `dirent`, 24 bytes of which the second 8 are the inode number.
    /// The last entry may be truncated; the guest then reads it again.
    fn hide_entries(&mut self, mut entries: &mut [u8], may_be_stale: bool) {
        while entries.len() >= 24 {
            if may_be_stale {
                entries[8..16].fill(0);
            } else {
                self.number(&mut entries[8..16]);
            }
            let end = 24 + read(&entries[16..], 4) as usize;
            entries = entries.get_mut(end..).unwrap_or_default();
        }
        if let Some(cut_off) = entries.get_mut(8..) {
            cut_off.fill(0);
        }
    }

    fn forget(&mut self) {
        if self.has_removed {
            self.met.clear();
        }
    }

    fn number(&mut self, place: &mut [u8]) {
        let number = *self.met.entry(read(place, 8)).or_insert_with(|| {
            self.last += 1;
            self.last
        });
        place.copy_from_slice(&number.to_le_bytes());
    }
}

/// The little-endian number in the first bytes.
fn read(bytes: &[u8], n_bytes: usize) -> u64 {
    let bytes = bytes[..n_bytes].iter().rev();
    bytes.fold(0, |number, byte| number << 8 | u64::from(*byte))
}
