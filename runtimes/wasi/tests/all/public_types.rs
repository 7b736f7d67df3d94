//! Traits and values of the public types.

use rangewatch_wasi::fs::{
    Access, BytesFile, Create, DirEntry, FileType, HostDir, MemoryFs, MemoryFsBuilder,
    MemoryFsError, Metadata, OpenOptions, ReadOnly, SetTime, SetTimes,
};
use rangewatch_wasi::net::{Connector, Listener, MemoryListener, MemorySocket, Readiness, Socket};
use rangewatch_wasi::{
    DotEntries, Errno, Exit, FixedClock, FunctionSignature, Interrupt, OverBudget, PipeReader,
    PipeWriter, RightsMode, SeededRandom, SharedBuffer, Signal, SignalPolicy, Sleep, Stdin, Stdout,
    SteppingClock, StreamKind, SystemClock, SystemRandom, ThreadTimer, TryRecvError, ValueType,
    VirtualClock, Wasi, WasiBuildError, WasiBuilder,
};

fn context<T: Send + Unpin + std::fmt::Debug + 'static>() {}
fn value<T: Send + Sync + Unpin + std::fmt::Debug + 'static>() {}
fn object<T: Send + ?Sized + 'static>() {}
fn error<T: std::error::Error + Send + Sync + 'static>() {}

#[test]
fn contexts_can_be_sent_and_values_can_be_shared() {
    context::<Wasi>();
    context::<WasiBuilder>();
    context::<Stdin>();
    context::<Stdout>();
    context::<MemoryFsBuilder>();

    value::<Connector>();
    value::<MemoryListener>();
    value::<MemorySocket>();
    value::<Readiness>();
    object::<dyn Listener>();
    object::<dyn Socket>();

    value::<Access>();
    value::<BytesFile>();
    value::<Create>();
    value::<DirEntry>();
    value::<DotEntries>();
    value::<PipeReader>();
    value::<PipeWriter>();
    value::<Interrupt>();
    value::<OverBudget>();
    value::<SignalPolicy>();
    value::<Signal>();
    value::<Sleep>();
    value::<StreamKind>();
    value::<ThreadTimer>();
    value::<TryRecvError>();
    value::<VirtualClock>();

    value::<Errno>();
    value::<Exit>();
    value::<FileType>();
    value::<FixedClock>();
    value::<FunctionSignature>();
    value::<HostDir>();
    value::<MemoryFs>();
    value::<Metadata>();
    value::<OpenOptions>();
    value::<ReadOnly>();
    value::<RightsMode>();
    value::<SeededRandom>();
    value::<SetTime>();
    value::<SetTimes>();
    value::<SharedBuffer>();
    value::<SteppingClock>();
    value::<SystemClock>();
    value::<SystemRandom>();
    value::<ValueType>();
    value::<WasiBuildError>();

    error::<Errno>();
    error::<Exit>();
    error::<MemoryFsError>();
    error::<Interrupt>();
    error::<Signal>();
    error::<TryRecvError>();
    error::<WasiBuildError>();
}

#[test]
fn errnos_have_the_numbers_and_names_of_the_specification() {
    let numbers = [
        (Errno::TooBig, 1, "2BIG"),
        (Errno::Again, 6, "AGAIN"),
        (Errno::Badf, 8, "BADF"),
        (Errno::Fault, 21, "FAULT"),
        (Errno::Inval, 28, "INVAL"),
        (Errno::Io, 29, "IO"),
        (Errno::Nametoolong, 37, "NAMETOOLONG"),
        (Errno::Nospc, 51, "NOSPC"),
        (Errno::Nosys, 52, "NOSYS"),
        (Errno::Notdir, 54, "NOTDIR"),
        (Errno::Notsock, 57, "NOTSOCK"),
        (Errno::Notsup, 58, "NOTSUP"),
        (Errno::Pipe, 64, "PIPE"),
        (Errno::Spipe, 70, "SPIPE"),
        (Errno::Notcapable, 76, "NOTCAPABLE"),
    ];
    for (errno, code, name) in numbers {
        assert_eq!((errno.code(), errno.name()), (code, name));
        assert_eq!(Errno::encode(Err(errno)), code);
    }
    assert_eq!(Errno::Badf.to_string(), "bad file descriptor (BADF)");
}
