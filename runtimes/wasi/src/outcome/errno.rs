//! The error numbers of WASI preview1.

use std::fmt;
use std::io;

macro_rules! errnos {
    ($($variant:ident = $code:literal, $name:literal, $meaning:literal;)*) => {
        /// An error number of WASI preview1: why a function failed, as the guest sees it.
        ///
        /// Success has no variant: functions return `Result<(), Errno>`, and [`Errno::encode`]
        /// converts that to the number of WASI, 0 for success. Variants have the names of WASI:
        /// `EBADF` of a libc is [`Errno::Badf`].
        ///
        /// A [`Read`](io::Read) or [`Write`](io::Write) of the host selects an errno by failing
        /// with `io::Error::from(errno)`. Any other [`io::Error`] is converted by its kind; a kind
        /// without a counterpart becomes [`Errno::Io`].
        ///
        /// # Examples
        ///
        /// ```
        /// use std::io;
        ///
        /// use rangewatch_wasi::Errno;
        ///
        /// assert_eq!(Errno::Noent.name(), "NOENT");
        /// assert_eq!(Errno::Noent.to_string(), "no such file or directory (NOENT)");
        /// // The errno survives the way through an `io::Error`.
        /// assert_eq!(Errno::from(io::Error::from(Errno::Dquot)), Errno::Dquot);
        /// assert_eq!(Errno::from(io::Error::from(io::ErrorKind::NotFound)), Errno::Noent);
        /// ```
        ///
        /// Source: WASI preview1 witx, `errno`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[repr(u16)]
        pub enum Errno {
            $(
                #[doc = concat!("`", $name, "`: ", $meaning, ".")]
                $variant = $code,
            )*
        }

        impl Errno {
            /// The name in WASI, for example `"BADF"`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => $meaning,)*
                }
            }
        }
    };
}

errnos! {
    TooBig = 1, "2BIG", "argument list too long";
    Acces = 2, "ACCES", "permission denied";
    Addrinuse = 3, "ADDRINUSE", "address in use";
    Addrnotavail = 4, "ADDRNOTAVAIL", "address not available";
    Afnosupport = 5, "AFNOSUPPORT", "address family not supported";
    Again = 6, "AGAIN", "resource unavailable, or the operation would block";
    Already = 7, "ALREADY", "connection already in progress";
    Badf = 8, "BADF", "bad file descriptor";
    Badmsg = 9, "BADMSG", "bad message";
    Busy = 10, "BUSY", "device or resource busy";
    Canceled = 11, "CANCELED", "operation canceled";
    Child = 12, "CHILD", "no child processes";
    Connaborted = 13, "CONNABORTED", "connection aborted";
    Connrefused = 14, "CONNREFUSED", "connection refused";
    Connreset = 15, "CONNRESET", "connection reset";
    Deadlk = 16, "DEADLK", "resource deadlock would occur";
    Destaddrreq = 17, "DESTADDRREQ", "destination address required";
    Dom = 18, "DOM", "mathematics argument out of domain of function";
    Dquot = 19, "DQUOT", "disk quota exceeded";
    Exist = 20, "EXIST", "file exists";
    Fault = 21, "FAULT", "bad address";
    Fbig = 22, "FBIG", "file too large";
    Hostunreach = 23, "HOSTUNREACH", "host is unreachable";
    Idrm = 24, "IDRM", "identifier removed";
    Ilseq = 25, "ILSEQ", "illegal byte sequence";
    Inprogress = 26, "INPROGRESS", "operation in progress";
    Intr = 27, "INTR", "interrupted function";
    Inval = 28, "INVAL", "invalid argument";
    Io = 29, "IO", "input or output error";
    Isconn = 30, "ISCONN", "socket is connected";
    Isdir = 31, "ISDIR", "is a directory";
    Loop = 32, "LOOP", "too many levels of symbolic links";
    Mfile = 33, "MFILE", "too many open descriptors";
    Mlink = 34, "MLINK", "too many links";
    Msgsize = 35, "MSGSIZE", "message too large";
    Multihop = 36, "MULTIHOP", "multihop attempted";
    Nametoolong = 37, "NAMETOOLONG", "filename too long";
    Netdown = 38, "NETDOWN", "network is down";
    Netreset = 39, "NETRESET", "connection aborted by network";
    Netunreach = 40, "NETUNREACH", "network unreachable";
    Nfile = 41, "NFILE", "too many files open in system";
    Nobufs = 42, "NOBUFS", "no buffer space available";
    Nodev = 43, "NODEV", "no such device";
    Noent = 44, "NOENT", "no such file or directory";
    Noexec = 45, "NOEXEC", "executable file format error";
    Nolck = 46, "NOLCK", "no locks available";
    Nolink = 47, "NOLINK", "link has been severed";
    Nomem = 48, "NOMEM", "not enough space";
    Nomsg = 49, "NOMSG", "no message of the desired type";
    Noprotoopt = 50, "NOPROTOOPT", "protocol not available";
    Nospc = 51, "NOSPC", "no space left on device";
    Nosys = 52, "NOSYS", "function not supported";
    Notconn = 53, "NOTCONN", "the socket is not connected";
    Notdir = 54, "NOTDIR", "not a directory";
    Notempty = 55, "NOTEMPTY", "directory not empty";
    Notrecoverable = 56, "NOTRECOVERABLE", "state not recoverable";
    Notsock = 57, "NOTSOCK", "not a socket";
    Notsup = 58, "NOTSUP", "not supported";
    Notty = 59, "NOTTY", "inappropriate I/O control operation";
    Nxio = 60, "NXIO", "no such device or address";
    Overflow = 61, "OVERFLOW", "value too large to be stored in data type";
    Ownerdead = 62, "OWNERDEAD", "previous owner died";
    Perm = 63, "PERM", "operation not permitted";
    Pipe = 64, "PIPE", "broken pipe";
    Proto = 65, "PROTO", "protocol error";
    Protonosupport = 66, "PROTONOSUPPORT", "protocol not supported";
    Prototype = 67, "PROTOTYPE", "protocol wrong type for socket";
    Range = 68, "RANGE", "result too large";
    Rofs = 69, "ROFS", "read-only file system";
    Spipe = 70, "SPIPE", "invalid seek";
    Srch = 71, "SRCH", "no such process";
    Stale = 72, "STALE", "stale file handle";
    Timedout = 73, "TIMEDOUT", "connection timed out";
    Txtbsy = 74, "TXTBSY", "text file busy";
    Xdev = 75, "XDEV", "cross-device link";
    Notcapable = 76, "NOTCAPABLE", "capabilities insufficient";
}

impl Errno {
    /// The number in WASI, in 1..=76.
    #[must_use]
    pub const fn code(self) -> i32 {
        self as i32
    }

    /// The return value of the WebAssembly function for `result`: 0 for success, else
    /// [`Errno::code`].
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_wasi::Errno;
    ///
    /// assert_eq!(Errno::encode(Ok(())), 0);
    /// assert_eq!(Errno::encode(Err(Errno::Badf)), 8);
    /// ```
    #[must_use]
    pub const fn encode(result: Result<(), Self>) -> i32 {
        match result {
            Ok(()) => 0,
            Err(errno) => errno.code(),
        }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.meaning(), self.name())
    }
}

impl std::error::Error for Errno {}

impl From<Errno> for io::Error {
    /// An error of the kind that means the same, and [`Other`](io::ErrorKind::Other) if there is
    /// none. The number is its source, which converts back into the same `Errno`.
    fn from(errno: Errno) -> Self {
        let meaning = match errno {
            Errno::Perm | Errno::Notcapable => Errno::Acces,
            errno => errno,
        };
        let found = KINDS.iter().find(|(_, errno)| *errno == meaning);
        Self::new(found.map_or(io::ErrorKind::Other, |(kind, _)| *kind), errno)
    }
}

impl From<io::Error> for Errno {
    fn from(error: io::Error) -> Self {
        if let Some(errno) = error.get_ref().and_then(|source| source.downcast_ref()) {
            return *errno;
        }
        let found = KINDS.iter().find(|(kind, _)| *kind == error.kind());
        found.map_or(Self::Io, |(_, errno)| *errno)
    }
}

/// The kinds of errors of the standard library that have an errno, one for one.
const KINDS: &[(io::ErrorKind, Errno)] = &[
    (io::ErrorKind::AddrInUse, Errno::Addrinuse),
    (io::ErrorKind::AddrNotAvailable, Errno::Addrnotavail),
    (io::ErrorKind::AlreadyExists, Errno::Exist),
    (io::ErrorKind::BrokenPipe, Errno::Pipe),
    (io::ErrorKind::ConnectionAborted, Errno::Connaborted),
    (io::ErrorKind::ConnectionRefused, Errno::Connrefused),
    (io::ErrorKind::ConnectionReset, Errno::Connreset),
    (io::ErrorKind::CrossesDevices, Errno::Xdev),
    (io::ErrorKind::Deadlock, Errno::Deadlk),
    (io::ErrorKind::DirectoryNotEmpty, Errno::Notempty),
    (io::ErrorKind::ExecutableFileBusy, Errno::Txtbsy),
    (io::ErrorKind::FileTooLarge, Errno::Fbig),
    (io::ErrorKind::HostUnreachable, Errno::Hostunreach),
    (io::ErrorKind::Interrupted, Errno::Intr),
    (io::ErrorKind::InvalidInput, Errno::Inval),
    (io::ErrorKind::IsADirectory, Errno::Isdir),
    (io::ErrorKind::NetworkDown, Errno::Netdown),
    (io::ErrorKind::NetworkUnreachable, Errno::Netunreach),
    (io::ErrorKind::NotADirectory, Errno::Notdir),
    (io::ErrorKind::NotConnected, Errno::Notconn),
    (io::ErrorKind::NotFound, Errno::Noent),
    (io::ErrorKind::NotSeekable, Errno::Spipe),
    (io::ErrorKind::OutOfMemory, Errno::Nomem),
    (io::ErrorKind::PermissionDenied, Errno::Acces),
    (io::ErrorKind::QuotaExceeded, Errno::Dquot),
    (io::ErrorKind::ReadOnlyFilesystem, Errno::Rofs),
    (io::ErrorKind::ResourceBusy, Errno::Busy),
    (io::ErrorKind::StaleNetworkFileHandle, Errno::Stale),
    (io::ErrorKind::StorageFull, Errno::Nospc),
    (io::ErrorKind::TimedOut, Errno::Timedout),
    (io::ErrorKind::TooManyLinks, Errno::Mlink),
    (io::ErrorKind::Unsupported, Errno::Notsup),
    (io::ErrorKind::WouldBlock, Errno::Again),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_errno_becomes_an_error_of_its_kind_and_the_same_errno_again() {
        for (kind, errno) in KINDS {
            let error = io::Error::from(*errno);
            assert_eq!(error.kind(), *kind);
            assert_eq!(Errno::from(error), *errno);
            assert_eq!(Errno::from(io::Error::from(*kind)), *errno);
        }
        for (errno, kind) in [
            (Errno::Notcapable, io::ErrorKind::PermissionDenied),
            (Errno::Nomsg, io::ErrorKind::Other),
        ] {
            let error = io::Error::from(errno);
            assert_eq!(error.kind(), kind);
            assert_eq!(Errno::from(error), errno);
        }
    }
}
