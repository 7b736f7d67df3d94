//! The log of a store: one file of a fixed size, which is written from its beginning again and
//! again.
//!
//! The file begins with the id of the store. Groups follow, each a header and the writes. They are
//! numbered without a gap, so what is left of an earlier round, whose numbers are lower, is not
//! taken for a part of this one. The digest of a group covers the id, which no client knows, so
//! that no value that a client has put can pass for a group either.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use bytes::{Buf as _, Bytes};
use sha2::{Digest as _, Sha256};

use super::Writes;

/// Bytes of the id, with which the file begins.
const ID_BYTES: usize = 8;

/// Bytes before the writes of a group: their length, the number of the group, the digest.
pub(super) const HEADER_BYTES: usize = 4 + 8 + DIGEST_BYTES;

const DIGEST_BYTES: usize = 16;

/// In place of the length of a value: the key is deleted.
const DELETED: u32 = u32::MAX;

/// The number of a commit and what it wrote.
type Group = (u64, Writes);

#[derive(Debug)]
pub(super) struct Log {
    file: File,
    id: u64,
    n_bytes: usize,
    end: usize,
    /// Scratch buffer for a group.
    group: Vec<u8>,
}

impl Log {
    /// Creates the file. It is filled, so that a sync of a group need not allocate blocks.
    pub(super) fn create(path: &Path, id: u64, n_bytes: usize) -> io::Result<Self> {
        let mut file = File::create(path)?;
        let mut bytes = vec![0; n_bytes];
        bytes[..ID_BYTES].copy_from_slice(&id.to_le_bytes());
        file.write_all(&bytes)?;
        file.sync_all()?;
        Ok(Self::new(file, id, n_bytes))
    }

    /// Opens the file and reads the groups in it, which the next `append` overwrites: the caller
    /// commits them before. `None`: the file is of another store. `n_flushed`: groups up to this
    /// number may be left of an earlier round.
    pub(super) fn open(
        path: &Path,
        id: u64,
        n_flushed: u64,
    ) -> io::Result<Option<(Self, Vec<Group>)>> {
        let mut file = File::options().read(true).write(true).open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let Some(mut rest) = bytes.strip_prefix(&id.to_le_bytes()) else {
            return Ok(None);
        };
        let mut groups = Vec::<Group>::new();
        let mut last = None;
        let mut next = rest;
        while let Some((number, writes)) = take_group(&mut next, id)
            && last.is_none_or(|last| last + 1 == number)
        {
            groups.push((number, writes));
            (last, rest) = (Some(number), next);
        }
        // A crash cuts off no group but the last: each is on the disk before the next is written.
        let mut later = skip_group(rest);
        let later = take_group(&mut later, id).map(|(number, _)| number);
        if later.is_some_and(|number| number > last.unwrap_or(0).max(n_flushed)) {
            let text = "a group is damaged before the last one: restore the folder from a backup";
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(Some((Self::new(file, id, bytes.len()), groups)))
    }

    const fn new(file: File, id: u64, n_bytes: usize) -> Self {
        Self {
            file,
            id,
            n_bytes,
            end: ID_BYTES,
            group: Vec::new(),
        }
    }

    /// Appends a group and syncs the file. `false`, and nothing is written, if there is no room.
    pub(super) fn append(&mut self, number: u64, writes: &Writes) -> io::Result<bool> {
        if n_bytes(writes) > self.n_bytes - self.end {
            return Ok(false);
        }
        self.group.clear();
        self.group.resize(HEADER_BYTES, 0);
        for (key, value) in writes {
            let value_len = value.as_ref().map_or(DELETED, |value| length(value));
            self.group.extend(length(key).to_le_bytes());
            self.group.extend(value_len.to_le_bytes());
            self.group.extend_from_slice(key);
            self.group
                .extend_from_slice(value.as_deref().unwrap_or_default());
        }
        let (header, body) = self.group.split_at_mut(HEADER_BYTES);
        header[..4].copy_from_slice(&length(body).to_le_bytes());
        header[4..12].copy_from_slice(&number.to_le_bytes());
        header[12..].copy_from_slice(&digest(self.id, number, body));
        self.file.seek(SeekFrom::Start(self.end as u64))?;
        self.file.write_all(&self.group)?;
        self.file.sync_data()?;
        self.end += self.group.len();
        Ok(true)
    }

    /// Bytes of the file.
    pub(super) const fn size(&self) -> usize {
        self.n_bytes
    }

    /// Begins again: the B-tree has every group on the disk.
    pub(super) fn restart(&mut self) {
        self.end = ID_BYTES;
    }
}

/// Bytes of a group.
pub(super) fn n_bytes(writes: &Writes) -> usize {
    let n_bytes = writes
        .iter()
        .map(|(key, value)| 8 + key.len() + value.as_ref().map_or(0, Bytes::len));
    HEADER_BYTES + n_bytes.sum::<usize>()
}

/// What is in a group is shorter than the log.
fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("a group is shorter than the log")
}

fn digest(id: u64, number: u64, body: &[u8]) -> [u8; DIGEST_BYTES] {
    let mut hasher = Sha256::new();
    hasher.update(id.to_le_bytes());
    hasher.update(number.to_le_bytes());
    hasher.update(body);
    let mut digest = [0; DIGEST_BYTES];
    digest.copy_from_slice(&hasher.finalize()[..DIGEST_BYTES]);
    digest
}

/// The next group; `None` at the end, and at a group that a crash has cut off.
fn take_group(rest: &mut &[u8], id: u64) -> Option<Group> {
    let len = u32::from_le_bytes(take(rest)?);
    let number = u64::from_le_bytes(take(rest)?);
    let expected: [u8; DIGEST_BYTES] = take(rest)?;
    let body = rest.split_off(..usize::try_from(len).ok()?)?;
    if digest(id, number, body) != expected {
        return None;
    }
    let mut body = Bytes::copy_from_slice(body);
    let mut writes = Writes::new();
    while !body.is_empty() {
        let (key, value) = take_write(&mut body)?;
        writes.insert(key, value);
    }
    Some((number, writes))
}

/// What comes after a group that may be damaged.
fn skip_group(group: &[u8]) -> &[u8] {
    let len = group
        .first_chunk()
        .map_or(0, |len| u32::from_le_bytes(*len));
    let end = usize::try_from(len).map_or(usize::MAX, |len| len.saturating_add(HEADER_BYTES));
    group.get(end..).unwrap_or_default()
}

/// Splits off the first write: the length of its key and of its value, or [`DELETED`], the key, the
/// value.
pub(crate) fn take_write(bytes: &mut Bytes) -> Option<(Bytes, Option<Bytes>)> {
    let (key_len, value_len) = (bytes.try_get_u32_le().ok()?, bytes.try_get_u32_le().ok()?);
    let mut take = |len: u32| {
        let len = usize::try_from(len).ok()?;
        (len <= bytes.len()).then(|| bytes.split_to(len))
    };
    let key = take(key_len)?;
    let value = match value_len {
        DELETED => None,
        len => Some(take(len)?),
    };
    Some((key, value))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, others) = rest.split_first_chunk()?;
    *rest = others;
    Some(*bytes)
}
