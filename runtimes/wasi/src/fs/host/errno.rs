//! Maps errors of the host to WASI.

use std::io;

use crate::Errno;

/// The errno of WASI for an error of the host's filesystem: from the errno on Unix, otherwise from
/// the kind of the error.
pub(super) fn errno(error: io::Error) -> Errno {
    #[cfg(unix)]
    if let Some(errno) = rustix::io::Errno::from_io_error(&error).and_then(of_unix) {
        return errno;
    }
    error.into()
}

#[cfg(unix)]
fn of_unix(errno: rustix::io::Errno) -> Option<Errno> {
    use rustix::io::Errno as Host;
    Some(match errno {
        Host::ACCESS => Errno::Acces,
        Host::AGAIN => Errno::Again,
        Host::BADF => Errno::Badf,
        Host::BUSY => Errno::Busy,
        Host::DQUOT => Errno::Dquot,
        Host::EXIST => Errno::Exist,
        Host::FBIG => Errno::Fbig,
        Host::ILSEQ => Errno::Ilseq,
        Host::INTR => Errno::Intr,
        Host::INVAL => Errno::Inval,
        Host::IO => Errno::Io,
        Host::ISDIR => Errno::Isdir,
        Host::LOOP => Errno::Loop,
        Host::MFILE => Errno::Mfile,
        Host::MLINK => Errno::Mlink,
        Host::NAMETOOLONG => Errno::Nametoolong,
        Host::NFILE => Errno::Nfile,
        Host::NODEV => Errno::Nodev,
        Host::NOENT => Errno::Noent,
        Host::NOMEM => Errno::Nomem,
        Host::NOSPC => Errno::Nospc,
        Host::NOSYS => Errno::Nosys,
        Host::NOTDIR => Errno::Notdir,
        Host::NOTEMPTY => Errno::Notempty,
        Host::NOTSUP => Errno::Notsup,
        Host::NXIO => Errno::Nxio,
        Host::OVERFLOW => Errno::Overflow,
        Host::PERM => Errno::Perm,
        Host::PIPE => Errno::Pipe,
        Host::ROFS => Errno::Rofs,
        Host::SPIPE => Errno::Spipe,
        Host::STALE => Errno::Stale,
        Host::TXTBSY => Errno::Txtbsy,
        Host::XDEV => Errno::Xdev,
        _ => return None,
    })
}
