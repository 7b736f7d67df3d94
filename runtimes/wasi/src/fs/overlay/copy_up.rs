//! Copy-up: copying a file from the lower layer before it is changed.

use std::sync::Arc;

use super::merged::Merged;
use super::state::State;
use crate::Errno;
use crate::costs::{BYTES_PER_UNIT, FILE};
use crate::fs::{
    Create, Dir, File, FileType, Metadata, Node, OpenOptions, SetTime, SetTimes, add_work,
};

/// The size of the copy buffer.
const BUF_BYTES: usize = 64 << 10;

/// The result of a copy-up.
pub(super) enum Copied {
    File(Arc<dyn File>),
    Symlink,
}

/// Copies the file or symbolic link `name`, which exists only in the lower layer. Open descriptors
/// of the file use the copy from then on. On error nothing has changed.
pub(super) fn copy_up(state: &mut State, dir: &Merged, name: &str) -> Result<Copied, Errno> {
    let upper = dir.make_upper()?;
    match dir.lower.lookup(name)? {
        Node::Dir(_) => Err(Errno::Isdir),
        Node::Symlink(target) => {
            let original = dir.lower.metadata_at(name)?;
            upper.symlink(name, &target)?;
            let done = copy_times(&original, |times| upper.set_times_at(name, times))
                .and_then(|()| upper.metadata_at(name));
            let copy = done.inspect_err(|_| discard(&**upper, name))?;
            record_origin(state, &copy, &original);
            Ok(Copied::Symlink)
        }
        Node::File(lower) => {
            let original = lower.metadata()?;
            if original.file_type != FileType::RegularFile {
                // Reading a device would copy its data and not the device.
                return Err(Errno::Notsup);
            }
            let file = create(&**upper, name)?;
            let done = copy_permissions(&original, |bits| file.set_permissions(bits))
                .and_then(|()| fill(&*lower, &*file, &original))
                .and_then(|()| copy_times(&original, |times| file.set_times(times)))
                .and_then(|()| file.metadata());
            let copy = done.inspect_err(|_| discard(&**upper, name))?;
            record_origin(state, &copy, &original);
            use_copy(state, dir, name, &file);
            Ok(Copied::File(file))
        }
    }
}

/// Creates an empty file instead of copying `original`, whose contents will be truncated.
pub(super) fn replace_by_empty(
    state: &mut State,
    dir: &Merged,
    name: &str,
    original: &Metadata,
) -> Result<Arc<dyn File>, Errno> {
    let upper = dir.make_upper()?;
    let file = create(&**upper, name)?;
    let copy = copy_permissions(original, |bits| file.set_permissions(bits))
        .and_then(|()| file.metadata());
    let copy = copy.inspect_err(|_| discard(&**upper, name))?;
    record_origin(state, &copy, original);
    use_copy(state, dir, name, &file);
    Ok(file)
}

/// Sets the times to those of the original, if the filesystem supports it.
pub(super) fn copy_times(
    original: &Metadata,
    set: impl FnOnce(SetTimes) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let times = SetTimes {
        accessed: Some(SetTime::At(original.accessed_ns)),
        modified: Some(SetTime::At(original.modified_ns)),
    };
    match set(times) {
        Err(Errno::Notsup) => Ok(()),
        set => set,
    }
}

/// Sets the permission bits to those of the original, if both filesystems have any.
///
/// DIFFERENCE: the owner of the copy, which is the user of the host's process, can always read and
/// write it, and enter a directory. An overlay of a read-only tree would otherwise refuse to open
/// its own copies again.
pub(super) fn copy_permissions(
    original: &Metadata,
    set: impl FnOnce(u32) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let Some(bits) = original.permissions else {
        return Ok(());
    };
    let owner = match original.file_type {
        FileType::Directory => 0o700,
        _ => 0o600,
    };
    match set(bits | owner) {
        // FAT on Linux has no permission bits and fails with `Perm`.
        Err(Errno::Notsup | Errno::Perm) => Ok(()),
        set => set,
    }
}

fn create(upper: &dyn Dir, name: &str) -> Result<Arc<dyn File>, Errno> {
    let options = OpenOptions {
        read: true,
        write: true,
        create: Create::New,
        ..OpenOptions::default()
    };
    match upper.open(name, options)? {
        Node::File(file) => Ok(file),
        Node::Dir(_) | Node::Symlink(_) => Err(Errno::Io),
    }
}

/// Copies the contents. Holes stay holes, and a file that is too large fails before anything is
/// copied.
fn fill(lower: &dyn File, upper: &dyn File, original: &Metadata) -> Result<(), Errno> {
    upper.set_size(original.size_bytes)?;
    let mut buf = vec![0; BUF_BYTES];
    let mut offset = 0;
    loop {
        let n_bytes = lower.read_at(&mut buf, offset)?.min(BUF_BYTES);
        if n_bytes == 0 {
            return Ok(());
        }
        // A read, a search for bytes other than zero, and a write.
        add_work(3 * n_bytes as u64 / BYTES_PER_UNIT + 2 * FILE);
        if buf[..n_bytes].iter().any(|byte| *byte != 0) {
            write_all(upper, &buf[..n_bytes], offset)?;
        }
        offset += n_bytes as u64;
    }
}

fn write_all(file: &dyn File, mut buf: &[u8], mut offset: u64) -> Result<(), Errno> {
    while !buf.is_empty() {
        let n_bytes = file.write_at(buf, offset)?.min(buf.len());
        if n_bytes == 0 {
            return Err(Errno::Nospc);
        }
        buf = &buf[n_bytes..];
        offset += n_bytes as u64;
    }
    Ok(())
}

/// Removes an incomplete copy. An error of the removal is ignored: the caller returns the first
/// one.
fn discard(upper: &dyn Dir, name: &str) {
    let _ = upper.remove_file(name);
}

/// Records the origin of a copy. A file with several hard links has none: copy-up makes these
/// separate files, which must have different inode numbers.
fn record_origin(state: &mut State, copy: &Metadata, original: &Metadata) {
    if original.n_links <= 1 {
        state.remember_origin(copy, original);
    } else {
        state.forget_origin(copy);
    }
}

/// Makes the open descriptors of the lower file use the copy.
fn use_copy(state: &mut State, dir: &Merged, name: &str, file: &Arc<dyn File>) {
    if let Some(open) = state.files.take(&dir.path_of(name)) {
        open.set_upper(Arc::clone(file));
    }
}
