//! The open descriptors of a guest.

use std::io;

use crate::{Errno, Stdin, Stdout};

/// The kind of thing that a descriptor refers to.
///
/// Source: WASI preview1 witx, `filetype`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum FileType {
    Unknown = 0,
    CharacterDevice = 2,
}

/// What a guest may do with a descriptor.
///
/// Source: WASI preview1 witx, `rights`.
pub(crate) mod rights {
    pub(crate) const FD_DATASYNC: u64 = 1 << 0;
    pub(crate) const FD_READ: u64 = 1 << 1;
    pub(crate) const FD_FDSTAT_SET_FLAGS: u64 = 1 << 3;
    pub(crate) const FD_SYNC: u64 = 1 << 4;
    pub(crate) const FD_WRITE: u64 = 1 << 6;
    pub(crate) const FD_FILESTAT_GET: u64 = 1 << 21;
}

/// How a descriptor behaves.
///
/// Source: WASI preview1 witx, `fdflags`.
pub(crate) mod fdflags {
    pub(crate) const APPEND: u16 = 1 << 0;
    pub(crate) const DSYNC: u16 = 1 << 1;
    pub(crate) const NONBLOCK: u16 = 1 << 2;
    pub(crate) const RSYNC: u16 = 1 << 3;
    pub(crate) const SYNC: u16 = 1 << 4;
}

#[derive(Debug)]
pub(crate) enum Stream {
    Input(Stdin),
    Output(Stdout),
}

/// One open descriptor.
#[derive(Debug)]
pub(crate) struct Descriptor {
    pub(crate) stream: Stream,
    /// The [`fdflags`] that the guest has set.
    pub(crate) flags: u16,
}

impl Descriptor {
    fn new(stream: Stream) -> Self {
        Self { stream, flags: 0 }
    }

    /// An inherited terminal is a character device, from which a libc concludes `isatty`; anything else is unknown.
    pub(crate) fn file_type(&self) -> FileType {
        let is_terminal = match &self.stream {
            Stream::Input(input) => input.is_terminal(),
            Stream::Output(output) => output.is_terminal(),
        };
        if is_terminal {
            FileType::CharacterDevice
        } else {
            FileType::Unknown
        }
    }

    /// What works on this descriptor, and nothing else.
    pub(crate) fn rights(&self) -> u64 {
        let of_direction = match self.stream {
            Stream::Input(_) => rights::FD_READ,
            Stream::Output(_) => rights::FD_WRITE,
        };
        of_direction
            | rights::FD_DATASYNC
            | rights::FD_SYNC
            | rights::FD_FDSTAT_SET_FLAGS
            | rights::FD_FILESTAT_GET
    }

    /// The input, of a descriptor that is open for reading.
    pub(crate) fn input(&mut self) -> Result<&mut Stdin, Errno> {
        match &mut self.stream {
            Stream::Input(input) => Ok(input),
            Stream::Output(_) => Err(Errno::Badf),
        }
    }

    /// The output, of a descriptor that is open for writing.
    pub(crate) fn output(&mut self) -> Result<&mut Stdout, Errno> {
        match &mut self.stream {
            Stream::Input(_) => Err(Errno::Badf),
            Stream::Output(output) => Ok(output),
        }
    }

    /// Hands buffered output on; input has none.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        match &mut self.stream {
            Stream::Input(_) => Ok(()),
            Stream::Output(output) => output.flush(),
        }
    }
}

/// The table from descriptor numbers to what is open.
#[derive(Debug)]
pub(crate) struct Descriptors {
    slots: [Option<Descriptor>; 3],
}

impl Descriptors {
    pub(crate) fn new(stdin: Stdin, stdout: Stdout, stderr: Stdout) -> Self {
        let streams = [
            Stream::Input(stdin),
            Stream::Output(stdout),
            Stream::Output(stderr),
        ];
        Self {
            slots: streams.map(|stream| Some(Descriptor::new(stream))),
        }
    }

    /// What `fd` refers to.
    pub(crate) fn open(&mut self, fd: i32) -> Result<&mut Descriptor, Errno> {
        self.slot(fd)?.as_mut().ok_or(Errno::Badf)
    }

    /// Answers what `errno` says about every descriptor that is open.
    pub(crate) fn refuse(&mut self, fd: i32, errno: Errno) -> Result<(), Errno> {
        self.open(fd)?;
        Err(errno)
    }

    /// Takes `fd` out of the table.
    pub(crate) fn close(&mut self, fd: i32) -> Result<Descriptor, Errno> {
        self.slot(fd)?.take().ok_or(Errno::Badf)
    }

    /// Moves `fd` to `to` and answers what was there. Nothing happens when they are the same.
    pub(crate) fn renumber(&mut self, fd: i32, to: i32) -> Result<Option<Descriptor>, Errno> {
        self.open(to)?;
        // From here on nothing fails. A descriptor that is moved to itself is out of the table while its place is
        // cleared, and so is not what is closed.
        let descriptor = self.close(fd)?;
        Ok(self.slot(to)?.replace(descriptor))
    }

    /// All that is open.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Descriptor> {
        self.slots.iter_mut().flatten()
    }

    fn slot(&mut self, fd: i32) -> Result<&mut Option<Descriptor>, Errno> {
        let index = usize::try_from(fd as u32).map_err(|_| Errno::Badf)?;
        self.slots.get_mut(index).ok_or(Errno::Badf)
    }
}
