#![expect(
    unsafe_code,
    reason = "imports, exports and the memory shared with the host exist only here"
)]

/// Defines what both generations import, from a module and with a name for what sends a value and
/// keys, as the host `Imports`.
macro_rules! imports {
    ($module:literal, $send:literal) => {
        use super::{call, send};
        use crate::error::Error;
        use crate::host::{Host, Verb};

        #[link(wasm_import_module = $module)]
        unsafe extern "C" {
            #[link_name = $send]
            safe fn import_send();
            #[link_name = "__range_watch_reserve"]
            safe fn import_reserve();
            #[link_name = "__range_watch_open"]
            safe fn import_open();
            #[link_name = "__range_watch_start"]
            safe fn import_start();
            #[link_name = "__range_watch_stop"]
            safe fn import_stop();
        }

        #[derive(Debug)]
        pub(crate) struct Imports;

        impl Host for Imports {
            fn send(&mut self, value: u64, keys: &[u8]) -> Result<(), Error> {
                send(value, keys, || import_send());
                Ok(())
            }

            fn apply(&mut self, verb: Verb, args: &[u8]) -> Result<(), Error> {
                call(args, || match verb {
                    Verb::Reserve => import_reserve(),
                    Verb::Open => import_open(),
                    Verb::Start => import_start(),
                    Verb::Stop => import_stop(),
                })
            }
        }
    };
}
use imports;

pub(crate) mod gen1;
pub(crate) mod gen2;

use alloc::vec::Vec;
use core::cell::{Cell, UnsafeCell};
use core::fmt;

use crate::abi::{BUF_BYTES, ERR_BYTES};
use crate::error::Error;
use crate::host::Instance;
use crate::receive::Handler;
use crate::receiver::Receiver;

#[cfg(target_feature = "atomics")]
compile_error!(
    "rangewatch-guest is for single-threaded guests: build without the `atomics` target feature"
);

#[link(wasm_import_module = "rangewatch_io")]
unsafe extern "C" {
    #[link_name = "input_len"]
    safe fn import_input_len() -> usize;
    #[link_name = "input_read"]
    fn import_input_read(buf: *mut u8, offset: usize, len: usize) -> usize;
    #[link_name = "output_write"]
    fn import_output_write(buf: *const u8, len: usize);
}

/// What both generations have.
#[derive(Debug)]
pub(crate) struct Guest;

impl Instance for Guest {
    fn register(&mut self, handler: Handler) -> Result<(), Error> {
        RECEIVER.0.register(handler)
    }

    fn input_len(&mut self) -> Result<usize, Error> {
        Ok(import_input_len())
    }

    fn read_input(&mut self, offset: usize, buf: &mut [u8]) -> Result<usize, Error> {
        // SAFETY: the host writes at most `len` bytes from the address on, all of them in `buf`,
        // during the call only.
        Ok(unsafe { import_input_read(buf.as_mut_ptr(), offset, buf.len()) })
    }

    fn write_output(&mut self, bytes: &[u8]) -> Result<(), Error> {
        // SAFETY: the host reads the bytes during the call only, and writes nothing.
        unsafe { import_output_write(bytes.as_ptr(), bytes.len()) };
        Ok(())
    }
}

/// Emits or queues a key list of at most [`BUF_BYTES`] by an import.
///
/// No reference into the shared memory exists: every access is a copy through a raw pointer,
/// because the host, or a handler that calls back into the SDK, may write to it at any call.
fn send(value: u64, keys: &[u8], import: impl FnOnce()) {
    VAL.write(value);
    BUF.write_prefix(&BUF_LEN, keys);
    import();
}

/// Calls an import that answers by an error text, with arguments of at most [`BUF_BYTES`].
fn call(args: &[u8], import: impl FnOnce()) -> Result<(), Error> {
    BUF.write_prefix(&BUF_LEN, args);
    ERR_LEN.write(0);
    import();
    if ERR_LEN.read() == 0 {
        return Ok(());
    }
    let mut text = Vec::new();
    ERR.read_prefix(&ERR_LEN, &mut text);
    Err(Error::from_host_text(&text))
}

/// Called once on every instance, before anything else that the host calls but initialization.
#[unsafe(export_name = "__range_watch")]
extern "C" fn export_meta() -> *const Meta {
    #[cfg(feature = "std")]
    crate::panic::report_panics();
    &raw const META
}

/// Leaves a text for the host to read when the guest traps.
pub(crate) fn write_panic(text: fmt::Arguments<'_>) {
    ERR_LEN.write(0);
    // Fails where the text is cut.
    let _ = fmt::write(&mut PanicText, text);
}

/// Appends to the error text without allocating: memory may be what the guest is short of.
struct PanicText;

impl fmt::Write for PanicText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let n_written = ERR.append(&ERR_LEN, text.as_bytes());
        if n_written < text.len() {
            return Err(fmt::Error);
        }
        Ok(())
    }
}

#[unsafe(export_name = "__range_watch_recv")]
extern "C" fn export_recv() {
    // The verbs that the handler calls overwrite the buffer.
    let mut delivered = DELIVERED.0.take();
    BUF.read_prefix(&BUF_LEN, &mut delivered);
    let outcome = RECEIVER.0.deliver(&delivered, VAL.read());
    DELIVERED.0.set(delivered);
    // Always written: it may hold the error text of a verb that the handler called.
    ERR.write_prefix(&ERR_LEN, outcome.err().unwrap_or_default().as_bytes());
}

static BUF: Shared<[u8; BUF_BYTES]> = Shared::new([0; BUF_BYTES]);
static BUF_CAP: Shared<u32> = Shared::new(BUF_BYTES as u32);
static BUF_LEN: Shared<u32> = Shared::new(0);
static ERR: Shared<[u8; ERR_BYTES]> = Shared::new([0; ERR_BYTES]);
static ERR_CAP: Shared<u32> = Shared::new(ERR_BYTES as u32);
static ERR_LEN: Shared<u32> = Shared::new(0);
static VAL: Shared<u64> = Shared::new(0);
/// The memory of the last delivery, for the next one.
static DELIVERED: SingleThreaded<Cell<Vec<u8>>> = SingleThreaded(Cell::new(Vec::new()));
static RECEIVER: SingleThreaded<Receiver> = SingleThreaded(Receiver::new());

/// The meta page. A pointer is a little-endian `u32` on this target.
static META: Meta = Meta {
    buf: BUF.0.get(),
    buf_cap: BUF_CAP.0.get(),
    buf_len: BUF_LEN.0.get(),
    err: ERR.0.get(),
    err_cap: ERR_CAP.0.get(),
    err_len: ERR_LEN.0.get(),
    val: VAL.0.get(),
};

#[repr(C)]
struct Meta {
    buf: *mut [u8; BUF_BYTES],
    buf_cap: *mut u32,
    buf_len: *mut u32,
    err: *mut [u8; ERR_BYTES],
    err_cap: *mut u32,
    err_len: *mut u32,
    val: *mut u64,
}

// SAFETY: the pointers are to statics of this single-threaded guest, and nothing here follows them.
unsafe impl Sync for Meta {}

struct SingleThreaded<T>(T);

// SAFETY: a guest without the `atomics` feature, which is refused above, has one thread.
unsafe impl<T> Sync for SingleThreaded<T> {}

/// Memory that the host reads and writes while the guest is inside an import or not running.
struct Shared<T>(UnsafeCell<T>);

// SAFETY: a guest without the `atomics` feature, which is refused above, has one thread.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }
}

impl<T: Copy> Shared<T> {
    fn read(&self) -> T {
        // SAFETY: the pointer is to a live, aligned static whose every bit pattern is a `u32` or
        // `u64`; neither the host nor another thread runs during the read, and no reference
        // to it exists.
        unsafe { self.0.get().read() }
    }

    fn write(&self, value: T) {
        // SAFETY: as for `read`.
        unsafe { self.0.get().write(value) }
    }
}

impl<const N: usize> Shared<[u8; N]> {
    /// Replaces `bytes` by as many as `len` says, at most all of them.
    fn read_prefix(&self, len: &Shared<u32>, bytes: &mut Vec<u8>) {
        let n_bytes = N.min(len.read() as usize);
        bytes.resize(n_bytes, 0);
        // SAFETY: both sides have at least `n_bytes`, and an allocation does not overlap a static.
        unsafe {
            self.0
                .get()
                .cast::<u8>()
                .copy_to_nonoverlapping(bytes.as_mut_ptr(), n_bytes)
        };
    }

    /// Copies in as much of `bytes` as fits, and its length into `len`.
    fn write_prefix(&self, len: &Shared<u32>, bytes: &[u8]) {
        len.write(0);
        self.append(len, bytes);
    }

    /// Copies in as much of `bytes` as fits behind the first `len` bytes, adds that to `len` and
    /// returns it.
    fn append(&self, len: &Shared<u32>, bytes: &[u8]) -> usize {
        let start = N.min(len.read() as usize);
        let n_bytes = bytes.len().min(N - start);
        // SAFETY: the static has `n_bytes` from `start` on and `bytes` has as many, and no
        // reference into the static exists that `bytes` could be.
        unsafe {
            self.0
                .get()
                .cast::<u8>()
                .add(start)
                .copy_from_nonoverlapping(bytes.as_ptr(), n_bytes)
        };
        len.write((start + n_bytes) as u32);
        n_bytes
    }
}
