//! `path_open`.

use super::path::{lookup_flags, path};
use crate::descriptor::rights::{self, Rights};
use crate::descriptor::{Descriptor, fdflags};
use crate::fs::resolver::Walk;
use crate::fs::{Create, Node, OpenOptions};
use crate::{Errno, RightsMode, Wasi, memory};

/// Source: WASI preview1 witx, `oflags`.
const CREAT: u16 = 1 << 0;
const DIRECTORY: u16 = 1 << 1;
const EXCL: u16 = 1 << 2;
const TRUNC: u16 = 1 << 3;

/// Opens a file or directory, and writes its descriptor: the lowest free number.
///
/// The rights of the descriptor follow from the requested rights and the
/// [`RightsMode`](crate::RightsMode) of the context; unknown bits are ignored. If the guest
/// requests no rights and the mode grants all of them, a file that cannot be written is opened for
/// reading.
///
/// The path is relative to the directory `fd` and cannot leave it through `..` or symbolic links. A
/// trailing slash requires a directory, and follows a symbolic link before it.
///
/// Source: WASI preview1 witx, `path_open`; POSIX `openat`.
///
/// # Errors
///
/// - [`Errno::Badf`]: the descriptor is not open.
/// - [`Errno::Notdir`]: the descriptor or a component of the path is not a directory, or the last
///   component is not one although a flag or a slash requires it.
/// - [`Errno::Fault`]: the path or the result is outside of the memory.
/// - [`Errno::Inval`]: an unknown flag, or `CREAT` together with `DIRECTORY`.
/// - [`Errno::Ilseq`]: the path is not UTF-8 or contains NUL.
/// - [`Errno::Nametoolong`]: the path exceeds [`MAX_PATH_BYTES`](crate::MAX_PATH_BYTES), a
///   component [`MAX_NAME_BYTES`](crate::MAX_NAME_BYTES), or the depth
///   [`MAX_PATH_DEPTH`](crate::MAX_PATH_DEPTH).
/// - [`Errno::Perm`]: the path is absolute or leads out of the directory.
/// - [`Errno::Noent`]: the path is empty, or a component does not exist.
/// - [`Errno::Loop`]: the last component is a symbolic link and must not be followed, or the path
///   follows more than [`MAX_SYMLINKS`](crate::MAX_SYMLINKS), or enters thousands of directories
///   through them.
/// - [`Errno::Exist`]: `CREAT` with `EXCL`, and the name exists.
/// - [`Errno::Isdir`]: the path is a directory and would be written, truncated or created.
/// - [`Errno::Mfile`]: the guest has reached its limit of open descriptors.
/// - [`Errno::Notcapable`]: a right is missing: `PATH_OPEN`, `PATH_CREATE_FILE` for `CREAT`,
///   `PATH_FILESTAT_SET_SIZE` for `TRUNC`, or a requested one that the directory does not pass on.
/// - [`Errno::Rofs`]: the directory is read-only, and the file would be changed.
/// - Any other error of the filesystem.
#[expect(
    clippy::too_many_arguments,
    reason = "the signature is that of the specification"
)]
pub fn path_open(
    ctx: &mut Wasi,
    memory: &mut [u8],
    fd: i32,
    dirflags: i32,
    path: i32,
    path_len: i32,
    oflags: i32,
    rights_base: i64,
    rights_inheriting: i64,
    fdflags: i32,
    opened_fd_out: i32,
) -> Result<(), Errno> {
    ctx.work.begin();
    let mode = ctx.descriptors.mode();
    let is_below_limit = ctx.descriptors.is_below_limit();
    let descriptor = ctx.descriptors.get(fd)?;
    let dir = descriptor.directory(rights::PATH_OPEN)?;
    let path = self::path(memory, path, path_len)?;
    memory::slice(memory, opened_fd_out as u32, 4)?;
    let links = lookup_flags(dirflags)?;
    let request = OpenRequest::new(oflags)?;
    let flags = u16::try_from(fdflags).map_err(|_| Errno::Inval)?;
    if flags & !fdflags::KNOWN != 0 {
        return Err(Errno::Inval);
    }
    descriptor.require(request.rights() & mode.known())?;
    let requested = Rights::requested(rights_base, rights_inheriting);
    let mut rights = mode.grant(requested, descriptor.rights.inheriting)?;
    if !is_below_limit {
        return Err(Errno::Mfile);
    }
    let options = request.options(rights);

    let opened = match Walk::new(dir, path, &ctx.work)?.open(options, links) {
        Err(errno)
            if mode != RightsMode::Strict
                && requested.base == 0
                && request.may_retry_without_writing(errno) =>
        {
            rights = rights.without_writing();
            Walk::new(dir, path, &ctx.work)?.open(request.options(rights), links)?
        }
        opened => opened?,
    };
    let opened = match opened {
        Node::Dir(dir) => Descriptor::dir(dir, None, rights, mode),
        Node::File(file) => Descriptor::file(file, flags, rights, mode),
        Node::Symlink(_) => return Err(Errno::Loop),
    };
    let opened_fd = ctx.descriptors.insert(opened)?;
    memory::write_u32(memory, opened_fd_out as u32, opened_fd)
}

/// The flags of one `path_open`, apart from rights.
#[derive(Clone, Copy)]
struct OpenRequest {
    create: Create,
    truncate: bool,
    directory: bool,
}

impl OpenRequest {
    fn new(oflags: i32) -> Result<Self, Errno> {
        let oflags = u16::try_from(oflags).map_err(|_| Errno::Inval)?;
        if oflags & !(CREAT | DIRECTORY | EXCL | TRUNC) != 0 {
            return Err(Errno::Inval);
        }
        let create = match (oflags & CREAT != 0, oflags & EXCL != 0) {
            (false, _) => Create::Never,
            (true, false) => Create::IfMissing,
            (true, true) => Create::New,
        };
        let request = Self {
            create,
            truncate: oflags & TRUNC != 0,
            directory: oflags & DIRECTORY != 0,
        };
        if request.directory && request.create != Create::Never {
            return Err(Errno::Inval);
        }
        Ok(request)
    }

    /// The rights that the directory must have.
    fn rights(self) -> u64 {
        let create = match self.create {
            Create::Never => 0,
            Create::IfMissing | Create::New => rights::PATH_CREATE_FILE,
        };
        let truncate = if self.truncate {
            rights::PATH_FILESTAT_SET_SIZE
        } else {
            0
        };
        create | truncate
    }

    fn options(self, rights: Rights) -> OpenOptions {
        OpenOptions {
            read: rights.reads(),
            write: rights.writes(),
            create: self.create,
            truncate: self.truncate,
            directory: self.directory,
        }
    }

    /// Whether a request that failed with `errno` may succeed without write access and still do
    /// what the flags ask for.
    fn may_retry_without_writing(self, errno: Errno) -> bool {
        let refused = matches!(
            errno,
            Errno::Acces | Errno::Isdir | Errno::Notsup | Errno::Perm | Errno::Rofs | Errno::Txtbsy
        );
        refused && self.create == Create::Never && !self.truncate
    }
}
