//! Variables that this guest shares with a module of the host, and the table of their addresses.

use std::cell::UnsafeCell;

/// A variable that the host reads and writes while the guest is inside an import.
///
/// No reference to it exists: each access is a copy.
pub(crate) struct Shared<T>(UnsafeCell<T>);

// SAFETY: this guest has one thread.
unsafe impl<T> Sync for Shared<T> {}

impl<T: Copy> Shared<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    pub(crate) fn get(&self) -> T {
        // SAFETY: the static is live and aligned, nothing writes to it during the read, and the
        // host writes integers, of which each bit pattern is valid.
        unsafe { self.0.get().read() }
    }

    pub(crate) fn set(&self, value: T) {
        // SAFETY: as for `get`.
        unsafe { self.0.get().write(value) }
    }

    pub(crate) const fn address(&self) -> *const () {
        self.0.get().cast_const().cast()
    }
}

/// Bytes with their capacity and their length.
pub(crate) struct Buffer<const N: usize> {
    bytes: Shared<[u8; N]>,
    capacity: Shared<u32>,
    length: Shared<u32>,
}

impl<const N: usize> Buffer<N> {
    pub(crate) const fn new() -> Self {
        Self {
            bytes: Shared::new([0; N]),
            capacity: Shared::new(N as u32),
            length: Shared::new(0),
        }
    }

    /// Copies `bytes` into the buffer. Panics if they do not fit.
    pub(crate) fn set(&self, bytes: &[u8]) {
        let n_bytes = bytes.len();
        assert!(n_bytes <= N, "{n_bytes} bytes do not fit into {N}");
        let buffer = self.bytes.0.get().cast::<u8>();
        // SAFETY: both have so many bytes, and no reference into the buffer exists.
        unsafe { buffer.copy_from_nonoverlapping(bytes.as_ptr(), n_bytes) };
        self.length.set(n_bytes as u32);
    }

    pub(crate) fn get(&self) -> Vec<u8> {
        let mut bytes = vec![0; N.min(self.length.get() as usize)];
        let buffer = self.bytes.0.get().cast::<u8>();
        // SAFETY: both have so many bytes, and a new allocation does not overlap a static.
        unsafe { buffer.copy_to_nonoverlapping(bytes.as_mut_ptr(), bytes.len()) };
        bytes
    }

    pub(crate) const fn addresses(&self) -> [*const (); 3] {
        [
            self.bytes.address(),
            self.capacity.address(),
            self.length.address(),
        ]
    }
}

/// A meta page: the addresses of shared variables. A pointer is a little-endian `u32` here.
#[repr(transparent)]
pub(crate) struct Page<const N: usize>(pub(crate) [*const (); N]);

// SAFETY: this guest has one thread.
unsafe impl<const N: usize> Sync for Page<N> {}
