//! The variables of a guest, read and written as ABI.md says and with numbers that cannot wrap: the
//! oracle for what the host does to the memory of a guest.
//!
//! Errors are the names of variants of `AbiError`. A call with several faults may fail with any of
//! them.

/// The name of a variant of `AbiError`.
pub(crate) type Fault = &'static str;

const OUT_OF_BOUNDS: Fault = "OutOfBounds";

/// Bytes of a report that the host reads.
const REPORT_BYTES: u32 = 4096;

/// The `n` bytes at an address.
pub(crate) fn read(memory: &[u8], at: u32, n: u32) -> Result<&[u8], Fault> {
    let (start, end) = (u64::from(at), u64::from(at) + u64::from(n));
    if end > memory.len() as u64 {
        return Err(OUT_OF_BOUNDS);
    }
    Ok(&memory[start as usize..end as usize])
}

pub(crate) fn write(memory: &mut [u8], at: u32, bytes: &[u8]) -> Result<(), Fault> {
    read(memory, at, bytes.len() as u32)?;
    memory[at as usize..][..bytes.len()].copy_from_slice(bytes);
    Ok(())
}

fn read_u32(memory: &[u8], at: u32) -> Result<u32, Fault> {
    let bytes = read(memory, at, 4)?;
    Ok((0..4).map(|i| u32::from(bytes[i]) << (8 * i)).sum())
}

fn write_u32(memory: &mut [u8], at: u32, value: u32) -> Result<(), Fault> {
    write(memory, at, &value.to_le_bytes())
}

/// The addresses in a meta page.
#[derive(Clone, Copy)]
pub(crate) struct Page {
    pub(crate) buf: u32,
    pub(crate) buf_cap: u32,
    pub(crate) buf_len: u32,
    pub(crate) err: u32,
    pub(crate) err_cap: u32,
    pub(crate) err_len: u32,
    pub(crate) val: u32,
}

impl Page {
    pub(crate) fn read(memory: &[u8], at: u32) -> Result<Self, Fault> {
        read(memory, at, 28)?;
        let slots: Vec<u32> = (0..7)
            .filter_map(|slot| read_u32(memory, at + 4 * slot).ok())
            .collect();
        if slots.contains(&0) {
            return Err("PageNotSet");
        }
        Ok(Self {
            buf: slots[0],
            buf_cap: slots[1],
            buf_len: slots[2],
            err: slots[3],
            err_cap: slots[4],
            err_len: slots[5],
            val: slots[6],
        })
    }

    /// The contents of the buffer, or all that is wrong with it.
    pub(crate) fn buf(&self, memory: &[u8]) -> Result<Vec<u8>, Vec<Fault>> {
        let (len, cap) = (
            read_u32(memory, self.buf_len),
            read_u32(memory, self.buf_cap),
        );
        let (Ok(len), Ok(cap)) = (len, cap) else {
            return Err(vec![OUT_OF_BOUNDS]);
        };
        let mut faults = Vec::new();
        if len > cap {
            faults.push("BufferOverfull");
        }
        match read(memory, self.buf, len) {
            Ok(bytes) if faults.is_empty() => return Ok(bytes.to_vec()),
            Ok(_) => {}
            Err(fault) => faults.push(fault),
        }
        Err(faults)
    }

    /// The capacity of the buffer.
    pub(crate) fn capacity(&self, memory: &[u8]) -> Result<u32, Fault> {
        read_u32(memory, self.buf_cap)
    }

    /// Whether two of the variables that a batch uses overlap.
    pub(crate) fn overlaps(&self, memory: &[u8]) -> bool {
        let n_bytes = self.capacity(memory).unwrap_or(u32::MAX);
        let numbers = [self.buf_cap, self.buf_len, self.err_len].map(|at| (at, 4));
        let areas = [&[(self.buf, n_bytes)], &numbers[..]].concat();
        let end = |(at, n): (u32, u32)| u64::from(at) + u64::from(n);
        (0..areas.len()).any(|i| {
            let others = areas[..i].iter();
            others.copied().any(|(at, n)| {
                u64::from(at) < end(areas[i]) && u64::from(areas[i].0) < end((at, n))
            })
        })
    }

    pub(crate) fn val(&self, memory: &[u8]) -> Result<u64, Fault> {
        let bytes = read(memory, self.val, 8)?;
        Ok((0..8).map(|i| u64::from(bytes[i]) << (8 * i)).sum())
    }

    /// Writes a text of the host. Returns the part of it that fits.
    pub(crate) fn write_err(&self, memory: &mut [u8], text: &str) -> Result<Vec<u8>, Fault> {
        let cap = read_u32(memory, self.err_cap)?;
        let mut written = text.as_bytes().to_vec();
        written.truncate(cap as usize);
        write(memory, self.err, &written)?;
        write_u32(memory, self.err_len, written.len() as u32)?;
        Ok(written)
    }

    /// Writes the arguments of a callback.
    pub(crate) fn deliver(&self, memory: &mut [u8], id: &[u8], value: u64) -> Result<(), Fault> {
        if id.len() as u64 > u64::from(read_u32(memory, self.buf_cap)?) {
            return Err("IdTooLong");
        }
        write(memory, self.buf, id)?;
        write_u32(memory, self.buf_len, id.len() as u32)?;
        write(memory, self.val, &value.to_le_bytes())?;
        write_u32(memory, self.err_len, 0)
    }

    /// Takes what a guest reports: its text, if it is not the one that the host wrote.
    pub(crate) fn take_report(
        &self,
        memory: &mut [u8],
        host_text: &[u8],
    ) -> Result<Option<Vec<u8>>, Fault> {
        let len = read_u32(memory, self.err_len)?;
        if len == 0 {
            return Ok(None);
        }
        write_u32(memory, self.err_len, 0)?;
        let cap = read_u32(memory, self.err_cap)?;
        let text = read(memory, self.err, len.min(cap).min(REPORT_BYTES))?.to_vec();
        Ok((len > cap || text != host_text).then_some(text))
    }
}

/// The notices of a batch: values, each with ids. `None` if it is not well formed.
pub(crate) fn batch(bytes: &[u8]) -> Option<Vec<(u64, Vec<Vec<u8>>)>> {
    let mut at = 0;
    let mut number = |n_bytes: usize| {
        let bytes = bytes.get(at..at + n_bytes)?;
        at += n_bytes;
        Some(bytes)
    };
    let be = |bytes: &[u8]| bytes.iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
    let mut notices = Vec::new();
    for _ in 0..be(number(2)?) {
        let value = be(number(8)?);
        let mut ids = Vec::new();
        for _ in 0..be(number(2)?) {
            let len = be(number(2)?) as usize;
            ids.push(number(len)?.to_vec());
        }
        notices.push((value, ids));
    }
    (at == bytes.len()).then_some(notices)
}

/// The keys of a list, and whether it ends with a whole key.
pub(crate) fn keys(list: &[u8]) -> (Vec<Vec<u8>>, bool) {
    let (mut keys, mut at) = (Vec::new(), 0);
    while at + 2 <= list.len() {
        let len = 256 * usize::from(list[at]) + usize::from(list[at + 1]);
        if at + 2 + len > list.len() {
            return (keys, false);
        }
        keys.push(list[at + 2..at + 2 + len].to_vec());
        at += 2 + len;
    }
    (keys, at == list.len())
}

/// The list of keys.
pub(crate) fn list(keys: &[&[u8]]) -> Vec<u8> {
    let with_len = |key: &&[u8]| [&(key.len() as u16).to_be_bytes()[..], key].concat();
    keys.iter().flat_map(with_len).collect()
}
