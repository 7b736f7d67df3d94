//! Meta pages: tables of the addresses of a guest's variables.

use std::marker::PhantomData;
use std::sync::Arc;

use crate::engine::bounds::{OutOfBounds, slice, slice_mut};

/// A table of addresses of a guest's variables, through which a module of host functions and the
/// guest pass arguments and results without parameters: the guest exports a function
/// `() -> i32` that returns the address of the table, a list of little-endian `u32` addresses.
///
/// The host reads the table once per instance, after the instance has started. From
/// [`HostModule::meta_page`](crate::HostModule::meta_page); in a host function,
/// `meta_page` of [`HostCx`](crate::HostCx) returns it. Cloning is cheap.
///
/// # Examples
///
/// ```
/// use rangewatch_runtime::{Buffer, Field, HostModule};
///
/// // The slots of the table, as the guest fills it.
/// const KEY: Buffer = Buffer::new(0, 1, 2); // address, capacity, length
/// const VALUE: Field<u64> = Field::new(3);
///
/// #[derive(Default)]
/// struct Counters(std::collections::BTreeMap<Vec<u8>, u64>);
///
/// let module = HostModule::new("counters")
///     .instance_data(Counters::default)
///     .meta_page("__counters", 4)
///     .function("__counters_add", |cx, ()| {
///         let page = cx.meta_page("__counters")?;
///         let (memory, counters) = cx.memory_and_data::<Counters>()?;
///         let counter = counters.0.entry(page.bytes(memory, KEY)?.to_vec()).or_default();
///         *counter = counter.wrapping_add(page.get(memory, VALUE)?);
///         page.set(memory, VALUE, *counter)?;
///         Ok(())
///     });
/// # let _ = module;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaPage {
    addresses: Arc<[u32]>,
}

/// A variable of the guest, of a fixed size, whose address is in a slot of a [`MetaPage`].
#[derive(Clone, Copy, Debug)]
pub struct Field<T> {
    slot: usize,
    ty: PhantomData<fn() -> T>,
}

impl<T: FieldType> Field<T> {
    /// The variable whose address is in the slot, from 0.
    #[must_use]
    pub const fn new(slot: usize) -> Self {
        Self {
            slot,
            ty: PhantomData,
        }
    }
}

/// A buffer of the guest with its capacity and its length, both `u32` variables.
#[derive(Clone, Copy, Debug)]
pub struct Buffer {
    bytes: usize,
    capacity: Field<u32>,
    length: Field<u32>,
}

impl Buffer {
    /// The buffer whose address, capacity and length are in these slots, from 0. A slot holds the
    /// address of the capacity, not the capacity.
    #[must_use]
    pub const fn new(bytes: usize, capacity: usize, length: usize) -> Self {
        Self {
            bytes,
            capacity: Field::new(capacity),
            length: Field::new(length),
        }
    }
}

/// A type of a [`Field`]: an integer or a float, little-endian in the guest's memory.
pub trait FieldType: Copy + sealed::Bytes {}

mod sealed {
    /// Conversion from and to the bytes in memory.
    pub trait Bytes: Sized {
        /// The size, in bytes.
        const SIZE: usize;
        /// From exactly so many bytes.
        fn from_bytes(bytes: &[u8]) -> Self;
        /// To exactly so many bytes.
        fn to_bytes(self, bytes: &mut [u8]);
    }

    macro_rules! bytes {
        ($($ty:ty)*) => {$(
            impl Bytes for $ty {
                const SIZE: usize = size_of::<$ty>();
                fn from_bytes(bytes: &[u8]) -> Self {
                    let mut array = [0; size_of::<$ty>()];
                    array.copy_from_slice(bytes);
                    Self::from_le_bytes(array)
                }
                fn to_bytes(self, bytes: &mut [u8]) {
                    bytes.copy_from_slice(&self.to_le_bytes());
                }
            }
            impl super::FieldType for $ty {}
        )*};
    }
    bytes!(u8 i8 u16 i16 u32 i32 u64 i64 f32 f64);
}

impl MetaPage {
    /// Reads a table of `n_addresses` at an address.
    ///
    /// # Errors
    ///
    /// [`MetaPageError::OutOfBounds`].
    pub fn read(memory: &[u8], at: u32, n_addresses: usize) -> Result<Self, MetaPageError> {
        let n_bytes = n_addresses.saturating_mul(size_of::<u32>());
        let addresses = slice(memory, at, n_bytes)?.as_chunks().0.iter().copied();
        Ok(Self {
            addresses: addresses.map(u32::from_le_bytes).collect(),
        })
    }

    /// The value of a variable.
    ///
    /// # Errors
    ///
    /// [`MetaPageError`].
    pub fn get<T: FieldType>(&self, memory: &[u8], field: Field<T>) -> Result<T, MetaPageError> {
        let at = self.address(field.slot)?;
        Ok(T::from_bytes(slice(memory, at, T::SIZE)?))
    }

    /// Sets a variable.
    ///
    /// # Errors
    ///
    /// [`MetaPageError`].
    pub fn set<T: FieldType>(
        &self,
        memory: &mut [u8],
        field: Field<T>,
        value: T,
    ) -> Result<(), MetaPageError> {
        let at = self.address(field.slot)?;
        value.to_bytes(slice_mut(memory, at, T::SIZE)?);
        Ok(())
    }

    /// The bytes in a buffer, up to its length.
    ///
    /// # Errors
    ///
    /// [`MetaPageError`]; [`Overfull`](MetaPageError::Overfull) when the length exceeds the
    /// capacity.
    pub fn bytes<'m>(&self, memory: &'m [u8], buffer: Buffer) -> Result<&'m [u8], MetaPageError> {
        let capacity = self.get(memory, buffer.capacity)?;
        let length = self.get(memory, buffer.length)?;
        if length > capacity {
            return Err(MetaPageError::Overfull { length, capacity });
        }
        let at = self.address(buffer.bytes)?;
        Ok(slice(memory, at, length as usize)?)
    }

    /// Copies bytes into a buffer and sets its length.
    ///
    /// # Errors
    ///
    /// [`MetaPageError`]; [`Overfull`](MetaPageError::Overfull) when the bytes exceed the capacity.
    /// Nothing is changed then.
    pub fn set_bytes(
        &self,
        memory: &mut [u8],
        buffer: Buffer,
        bytes: &[u8],
    ) -> Result<(), MetaPageError> {
        let capacity = self.get(memory, buffer.capacity)?;
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        if length > capacity {
            return Err(MetaPageError::Overfull { length, capacity });
        }
        // The length first: it may be what is out of bounds.
        self.get(memory, buffer.length)?;
        let at = self.address(buffer.bytes)?;
        slice_mut(memory, at, bytes.len())?.copy_from_slice(bytes);
        self.set(memory, buffer.length, length)
    }

    /// The address in a slot.
    ///
    /// # Errors
    ///
    /// [`MetaPageError::NoSlot`], [`MetaPageError::NotSet`].
    pub fn address(&self, slot: usize) -> Result<u32, MetaPageError> {
        match self.addresses.get(slot) {
            // No linker places a variable there.
            Some(0) => Err(MetaPageError::NotSet { slot }),
            Some(address) => Ok(*address),
            None => Err(MetaPageError::NoSlot {
                slot,
                n_slots: self.addresses.len(),
            }),
        }
    }
}

/// Why a variable of a guest could not be read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetaPageError {
    /// A module declares no meta page of this name, or the guest has not started yet.
    #[error(
        "there is no meta page of this name: declare it with `HostModule::meta_page`, and call its \
         functions only after the guest has started"
    )]
    NoPage,
    /// The table has fewer slots.
    #[error("the meta page has {n_slots} slots, and slot {slot} is not among them")]
    NoSlot {
        /// The slot, from 0.
        slot: usize,
        /// The number of slots.
        n_slots: usize,
    },
    /// The guest has not set the address.
    #[error("the guest has not set the address in slot {slot} of its meta page")]
    NotSet {
        /// The slot, from 0.
        slot: usize,
    },
    /// A variable is outside of the memory.
    #[error(transparent)]
    OutOfBounds(#[from] OutOfBounds),
    /// A buffer holds less.
    #[error("the buffer has a capacity of {capacity} bytes, which {length} bytes exceed")]
    Overfull {
        /// The length, in bytes.
        length: u32,
        /// The capacity, in bytes.
        capacity: u32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Buffer = Buffer::new(0, 1, 2);
    const VALUE: Field<u64> = Field::new(3);
    const MISSING: Field<u8> = Field::new(4);
    const BEYOND: Field<u8> = Field::new(5);

    /// A buffer of 4 bytes at 64, its capacity at 32, its length at 36, a value at 40.
    fn memory() -> (Vec<u8>, MetaPage) {
        let mut memory = vec![0; 128];
        for (slot, address) in [64_u32, 32, 36, 40, 0].into_iter().enumerate() {
            memory[8 + 4 * slot..][..4].copy_from_slice(&address.to_le_bytes());
        }
        memory[32] = 4;
        let page = MetaPage::read(&memory, 8, 5).expect("it is inside");
        (memory, page)
    }

    #[test]
    fn variables_are_read_and_written() {
        let (mut memory, page) = memory();
        page.set(&mut memory, VALUE, 0x0102).expect("inside");
        assert_eq!(memory[40..42], [2, 1]);
        assert_eq!(page.get(&memory, VALUE), Ok(0x0102));
        assert_eq!(page.bytes(&memory, KEY), Ok(&b""[..]));
        page.set_bytes(&mut memory, KEY, b"abc").expect("it fits");
        assert_eq!(page.bytes(&memory, KEY), Ok(&b"abc"[..]));
        assert_eq!(memory[36], 3);
    }

    #[test]
    fn g30_addresses_and_lengths_of_a_guest_are_checked() {
        let (mut memory, page) = memory();
        assert_eq!(
            page.get(&memory, MISSING),
            Err(MetaPageError::NotSet { slot: 4 })
        );
        let no_slot = MetaPageError::NoSlot {
            slot: 5,
            n_slots: 5,
        };
        assert_eq!(page.get(&memory, BEYOND), Err(no_slot));
        let overfull = |length| MetaPageError::Overfull {
            length,
            capacity: 4,
        };
        assert_eq!(page.set_bytes(&mut memory, KEY, b"abcde"), Err(overfull(5)));
        assert_eq!(memory[64..69], [0; 5]);
        memory[36] = 5;
        assert_eq!(page.bytes(&memory, KEY), Err(overfull(5)));
        memory[32..40].fill(0xff);
        for error in [
            page.bytes(&memory, KEY).map(drop),
            page.set_bytes(&mut memory, KEY, &[7; 65]),
            MetaPage::read(&memory, u32::MAX, 1).map(drop),
            MetaPage::read(&memory, 0, usize::MAX).map(drop),
            MetaPage::read(&memory, 125, 1).map(drop),
        ] {
            assert!(
                matches!(error, Err(MetaPageError::OutOfBounds { .. })),
                "{error:?}"
            );
        }
        assert_eq!(memory[64], 0);
    }
}
