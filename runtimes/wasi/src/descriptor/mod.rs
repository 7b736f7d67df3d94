//! The table of a guest's open descriptors.

pub(crate) mod listing;
pub(crate) mod rights;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::descriptor::listing::Listing;
use crate::descriptor::rights::{Rights, RightsMode};
use crate::fs::{Dir, File, FileType};
use crate::net::open_socket::OpenSocket;
use crate::net::{Listener, Readiness, Socket};
use crate::{Errno, Stdin, Stdout};

/// Flags of a descriptor.
///
/// Source: WASI preview1 witx, `fdflags`.
pub(crate) mod fdflags {
    pub(crate) const APPEND: u16 = 1 << 0;
    pub(crate) const DSYNC: u16 = 1 << 1;
    pub(crate) const NONBLOCK: u16 = 1 << 2;
    pub(crate) const RSYNC: u16 = 1 << 3;
    pub(crate) const SYNC: u16 = 1 << 4;
    pub(crate) const KNOWN: u16 = APPEND | DSYNC | NONBLOCK | RSYNC | SYNC;
}

/// The object that a descriptor refers to.
#[derive(Debug)]
pub(crate) enum Object {
    Input(Stdin),
    Output(Stdout),
    File(OpenFile),
    Dir(OpenDir),
    Socket(OpenSocket),
    Listener(OpenListener),
}

/// A socket that accepts connections.
pub(crate) struct OpenListener(pub(crate) Box<dyn Listener>);

/// An open file, with the state of this descriptor.
pub(crate) struct OpenFile {
    pub(crate) file: Arc<dyn File>,
    pub(crate) position: u64,
    /// Cached by [`Descriptor::file_type`]: the type of an open file does not change.
    file_type: Option<FileType>,
    /// Whether the file was opened for reading, and for writing. Dropping rights later does not
    /// change it.
    reads: bool,
    writes: bool,
}

/// An open directory, with the state of this descriptor.
pub(crate) struct OpenDir {
    pub(crate) dir: Arc<dyn Dir>,
    /// The guest path, if the host has preopened the directory.
    pub(crate) preopened_as: Option<Arc<str>>,
    pub(crate) listing: Option<Box<Listing>>,
}

/// One open descriptor.
#[derive(Debug)]
pub(crate) struct Descriptor {
    pub(crate) object: Object,
    /// The [`fdflags`] that the guest has set.
    pub(crate) flags: u16,
    pub(crate) rights: Rights,
    mode: RightsMode,
}

impl Descriptor {
    /// A standard stream, with the rights that apply to streams.
    fn stream(object: Object, direction: u64, mode: RightsMode) -> Self {
        Self {
            object,
            flags: 0,
            rights: Rights {
                base: direction | rights::STREAM,
                inheriting: 0,
            },
            mode,
        }
    }

    pub(crate) fn file(file: Arc<dyn File>, flags: u16, rights: Rights, mode: RightsMode) -> Self {
        let rights = rights.for_type(FileType::RegularFile);
        Self {
            object: Object::File(OpenFile {
                file,
                position: 0,
                file_type: None,
                reads: rights.reads(),
                writes: rights.writes(),
            }),
            flags,
            rights,
            mode,
        }
    }

    pub(crate) fn dir(
        dir: Arc<dyn Dir>,
        preopened_as: Option<Arc<str>>,
        rights: Rights,
        mode: RightsMode,
    ) -> Self {
        Self {
            object: Object::Dir(OpenDir {
                dir,
                preopened_as,
                listing: None,
            }),
            flags: 0,
            rights: rights.for_type(FileType::Directory),
            mode,
        }
    }

    /// A connected socket that the host has granted.
    fn connected(socket: Box<dyn Socket>, mode: RightsMode) -> Self {
        Self {
            object: Object::Socket(OpenSocket::new(socket)),
            flags: 0,
            rights: Rights::CONNECTED,
            mode,
        }
    }

    fn listening(listener: Box<dyn Listener>, mode: RightsMode) -> Self {
        Self {
            object: Object::Listener(OpenListener(listener)),
            flags: 0,
            rights: Rights::LISTENING,
            mode,
        }
    }

    /// A socket that this listener has accepted.
    pub(crate) fn accepted(&self, socket: Box<dyn Socket>, flags: u16) -> Self {
        Self {
            flags,
            rights: self.rights.accepted(),
            ..Self::connected(socket, self.mode)
        }
    }

    /// The type of the object. An inherited terminal is a character device, which a libc reports as
    /// `isatty`; any other stream is unknown.
    pub(crate) fn file_type(&mut self) -> Result<FileType, Errno> {
        let is_terminal = match &mut self.object {
            Object::Input(input) => input.is_terminal(),
            Object::Output(output) => output.is_terminal(),
            Object::File(open) => {
                return match open.file_type {
                    Some(file_type) => Ok(file_type),
                    None => Ok(*open.file_type.insert(open.file.metadata()?.file_type)),
                };
            }
            Object::Dir(_) => return Ok(FileType::Directory),
            Object::Socket(_) | Object::Listener(_) => return Ok(FileType::SocketStream),
        };
        Ok(if is_terminal {
            FileType::CharacterDevice
        } else {
            FileType::Unknown
        })
    }

    pub(crate) fn is_nonblocking(&self) -> bool {
        self.flags & fdflags::NONBLOCK != 0
    }

    /// Whether the object is a file or directory, and neither a standard stream nor a socket.
    pub(crate) fn is_in_filesystem(&self) -> bool {
        matches!(self.object, Object::File(_) | Object::Dir(_))
    }

    pub(crate) fn is_socket(&self) -> bool {
        matches!(self.object, Object::Socket(_) | Object::Listener(_))
    }

    /// Fails with [`Errno::Notcapable`] if one of `rights` is missing.
    pub(crate) fn require(&self, rights: u64) -> Result<(), Errno> {
        if self.rights.include(rights) {
            Ok(())
        } else {
            Err(Errno::Notcapable)
        }
    }

    /// The standard input, if this is one and `FD_READ` is granted.
    pub(crate) fn input(&mut self) -> Result<&mut Stdin, Errno> {
        let allowed = self.require(rights::FD_READ);
        match &mut self.object {
            Object::Input(input) => allowed.map(|()| input),
            _ => Err(Errno::Badf),
        }
    }

    /// The standard output or error, if this is one and `FD_WRITE` is granted.
    pub(crate) fn output(&mut self) -> Result<&mut Stdout, Errno> {
        let allowed = self.require(rights::FD_WRITE);
        match &mut self.object {
            Object::Output(output) => allowed.map(|()| output),
            _ => Err(Errno::Badf),
        }
    }

    /// The connected socket, if all of `rights` are granted. `stream` is the errno for any object
    /// that is no socket.
    pub(crate) fn socket(&mut self, rights: u64, stream: Errno) -> Result<&mut OpenSocket, Errno> {
        let allowed = self.require(rights);
        match &mut self.object {
            Object::Socket(socket) => allowed.map(|()| socket),
            Object::Listener(_) => Err(Errno::Notconn),
            _ => Err(stream),
        }
    }

    /// The listener, if `SOCK_ACCEPT` is granted.
    pub(crate) fn listener(&mut self) -> Result<&mut (dyn Listener + 'static), Errno> {
        let allowed = self.require(rights::SOCK_ACCEPT);
        match &mut self.object {
            Object::Listener(listener) => allowed.map(|()| &mut *listener.0),
            Object::Socket(_) => Err(Errno::Inval),
            _ => Err(Errno::Notsock),
        }
    }

    /// Fails if a socket lacks `right` or the right to be polled. Streams have no such rights, and
    /// files are always ready.
    pub(crate) fn require_to_poll(&self, right: u64) -> Result<(), Errno> {
        if self.is_socket() {
            self.require(right | rights::POLL_FD_READWRITE)
        } else {
            Ok(())
        }
    }

    /// The readiness to read, receive or accept without blocking. An input that has to fetch its
    /// bytes fetches at most `n_bytes`.
    pub(crate) fn poll_readable(
        &mut self,
        cx: &mut Context<'_>,
        n_bytes: u32,
    ) -> Result<Poll<Readiness>, Errno> {
        match &mut self.object {
            Object::Input(input) => Ok(input.poll_readable(cx, n_bytes)),
            Object::File(open) => open.readiness(),
            Object::Socket(socket) => Ok(socket.poll_readable(cx)),
            Object::Listener(listener) => {
                let polled = listener.0.poll_acceptable(cx);
                Ok(polled.map(|()| Readiness::bytes(0)))
            }
            Object::Output(_) | Object::Dir(_) => Err(Errno::Badf),
        }
    }

    /// The readiness to write or send without blocking.
    pub(crate) fn poll_writable(&mut self, cx: &mut Context<'_>) -> Result<Poll<Readiness>, Errno> {
        match &mut self.object {
            Object::Output(output) => Ok(output.poll_writable(cx)),
            Object::File(open) => open.readiness(),
            Object::Socket(socket) => Ok(socket.poll_writable(cx)),
            Object::Input(_) | Object::Dir(_) | Object::Listener(_) => Err(Errno::Badf),
        }
    }

    /// The directory, if all of `rights` are granted.
    pub(crate) fn directory(&self, rights: u64) -> Result<&Arc<dyn Dir>, Errno> {
        match &self.object {
            Object::Dir(open) => self.require(rights).map(|()| &open.dir),
            _ => Err(Errno::Notdir),
        }
    }

    /// The file, if all of `rights` are granted. `not_a_file` has the errnos for other objects.
    pub(crate) fn regular(
        &mut self,
        rights: u64,
        not_a_file: NotFileErrnos,
    ) -> Result<&mut OpenFile, Errno> {
        let allowed = self.require(rights);
        match &mut self.object {
            Object::File(open) => {
                let unopened = rights & rights::FD_READ != 0 && !open.reads
                    || rights & rights::WRITING != 0 && !open.writes;
                // In strict mode the missing right decides (`NOTCAPABLE`); in the others POSIX does
                // (`EBADF`).
                if unopened && self.mode != RightsMode::Strict {
                    return Err(Errno::Badf);
                }
                allowed.map(|()| open)
            }
            Object::Dir(_) => Err(not_a_file.directory),
            Object::Input(_) | Object::Output(_) | Object::Socket(_) | Object::Listener(_) => {
                Err(not_a_file.stream)
            }
        }
    }

    /// Flushes an output stream. Other objects have no buffered output.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        match &mut self.object {
            Object::Output(output) => output.flush(),
            _ => Ok(()),
        }
    }
}

impl OpenFile {
    /// A file never blocks.
    fn readiness(&self) -> Result<Poll<Readiness>, Errno> {
        let size_bytes = self.file.metadata()?.size_bytes;
        let n_bytes = size_bytes.saturating_sub(self.position);
        Ok(Poll::Ready(Readiness::bytes(n_bytes)))
    }
}

/// The errnos of a file function for objects that are no files; a socket counts as a stream.
#[derive(Clone, Copy)]
pub(crate) struct NotFileErrnos {
    pub(crate) directory: Errno,
    pub(crate) stream: Errno,
}

/// A socket that the host has granted.
#[cfg_attr(
    not(feature = "net"),
    expect(dead_code, reason = "only the feature `net` grants sockets")
)]
pub(crate) enum HostSocket {
    Connected(Box<dyn Socket>),
    Listening(Box<dyn Listener>),
}

/// The table from descriptor numbers to open objects.
#[derive(Debug)]
pub(crate) struct Descriptors {
    slots: Vec<Option<Descriptor>>,
    /// No number below this one is free.
    lowest_free: usize,
    limit: usize,
    mode: RightsMode,
}

impl Descriptors {
    /// Inserts the standard streams, then the preopened directories, then the sockets, each in
    /// their order. They are inserted even beyond the limit.
    pub(crate) fn new(
        stdin: Stdin,
        stdout: Stdout,
        stderr: Stdout,
        preopens: Vec<(Arc<str>, Arc<dyn Dir>)>,
        sockets: Vec<HostSocket>,
        limit: u32,
        mode: RightsMode,
    ) -> Self {
        let mut slots = Vec::with_capacity(3 + preopens.len() + sockets.len());
        slots.push(Descriptor::stream(
            Object::Input(stdin),
            rights::FD_READ,
            mode,
        ));
        for output in [stdout, stderr] {
            let output = Object::Output(output);
            slots.push(Descriptor::stream(output, rights::FD_WRITE, mode));
        }
        for (guest_path, dir) in preopens {
            slots.push(Descriptor::dir(
                dir,
                Some(guest_path),
                Rights::preopened(mode),
                mode,
            ));
        }
        for socket in sockets {
            slots.push(match socket {
                HostSocket::Connected(socket) => Descriptor::connected(socket, mode),
                HostSocket::Listening(listener) => Descriptor::listening(listener, mode),
            });
        }
        Self {
            lowest_free: slots.len(),
            slots: slots.into_iter().map(Some).collect(),
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            mode,
        }
    }

    pub(crate) fn mode(&self) -> RightsMode {
        self.mode
    }

    /// The descriptor `fd`.
    pub(crate) fn get_mut(&mut self, fd: i32) -> Result<&mut Descriptor, Errno> {
        self.slot(fd)?.as_mut().ok_or(Errno::Badf)
    }

    /// The descriptor `fd`, for callers that need two at once.
    pub(crate) fn get(&self, fd: i32) -> Result<&Descriptor, Errno> {
        let slot = self.slots.get(index(fd)?).ok_or(Errno::Badf)?;
        slot.as_ref().ok_or(Errno::Badf)
    }

    /// Whether one more descriptor is within the limit.
    pub(crate) fn is_below_limit(&mut self) -> bool {
        self.next_free() < self.limit
    }

    /// Inserts `descriptor` at the lowest free number, as POSIX does.
    pub(crate) fn insert(&mut self, descriptor: Descriptor) -> Result<u32, Errno> {
        if !self.is_below_limit() {
            return Err(Errno::Mfile);
        }
        let free = self.next_free();
        match self.slots.get_mut(free) {
            Some(slot) => *slot = Some(descriptor),
            None => self.slots.push(Some(descriptor)),
        }
        u32::try_from(free).map_err(|_| Errno::Mfile)
    }

    /// Removes `fd` from the table.
    pub(crate) fn close(&mut self, fd: i32) -> Result<Descriptor, Errno> {
        let closed = self.slot(fd)?.take().ok_or(Errno::Badf)?;
        self.lowest_free = self.lowest_free.min(index(fd)?);
        Ok(closed)
    }

    /// Moves `fd` to `to` and returns the descriptor that it replaced. Has no effect when the two
    /// are the same.
    pub(crate) fn renumber(&mut self, fd: i32, to: i32) -> Result<Option<Descriptor>, Errno> {
        self.get_mut(to)?;
        // Nothing below can fail. When `fd` equals `to`, the slot is empty at the `replace`, so the
        // descriptor itself is not returned as replaced.
        let descriptor = self.close(fd)?;
        Ok(self.slot(to)?.replace(descriptor))
    }

    /// All open descriptors.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Descriptor> {
        self.slots.iter_mut().flatten()
    }

    fn slot(&mut self, fd: i32) -> Result<&mut Option<Descriptor>, Errno> {
        self.slots.get_mut(index(fd)?).ok_or(Errno::Badf)
    }

    fn next_free(&mut self) -> usize {
        while matches!(self.slots.get(self.lowest_free), Some(Some(_))) {
            self.lowest_free += 1;
        }
        self.lowest_free
    }
}

fn index(fd: i32) -> Result<usize, Errno> {
    usize::try_from(fd as u32).map_err(|_| Errno::Badf)
}

impl fmt::Debug for OpenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenFile")
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for OpenDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenDir")
            .field("preopened_as", &self.preopened_as)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for OpenListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenListener").finish_non_exhaustive()
    }
}
