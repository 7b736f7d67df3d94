//! The context of a host function: the memory and the state of the guest that called it.

use std::any::type_name;

use crate::abi::{GuestAbi, Outcome};
use crate::engine::bounds::{self, OutOfBounds};
use crate::engine::failure::OutOfFuel;
use crate::engine::host_function::HostError;
use crate::engine::meta_page::{Buffer, MetaPage, MetaPageError};
use crate::engine::runtime::GuestState;
use crate::guest::ids::{GuestId, InstanceId};
use crate::watches::owner::Owner;

/// The context of a call of a host function: the memory of the guest that called it, the fuel of
/// its call, and the embedder's own data of its instance and of its call.
///
/// # Examples
///
/// ```
/// use rangewatch_runtime::{HostCx, HostError};
///
/// /// The text at an address of the guest.
/// fn text(cx: &mut dyn HostCx, at: u32, len: u32) -> Result<String, HostError> {
///     cx.charge(u64::from(len) / 16)?;
///     Ok(String::from_utf8(cx.read(at, len)?.to_vec())?)
/// }
/// ```
pub trait HostCx: Send {
    /// The exported memory (empty when there is none) and what the host keeps for the instance.
    fn memory_and_state(&mut self) -> (&mut [u8], &mut GuestState);

    /// The fuel that the call has left, the work of the host deducted; `None` on an engine that
    /// counts no fuel.
    fn fuel_left(&mut self) -> Option<u64>;

    /// The guest's linear memory; empty when it exports none, and while its start section runs. The
    /// slice is valid for this borrow: the guest may grow its memory between calls.
    fn memory(&mut self) -> &mut [u8] {
        self.memory_and_state().0
    }

    /// The memory together with the guest's half of the range-watch ABI.
    fn memory_and_abi(&mut self) -> (&mut [u8], &mut GuestAbi) {
        let (memory, state) = self.memory_and_state();
        (memory, state.abi())
    }

    /// The owner that the guest runs under: in a callback that of its watch, else the one that the
    /// host named for the call.
    fn owner(&mut self) -> Owner {
        self.memory_and_abi().1.owner()
    }

    /// Identifies the guest.
    fn guest_id(&mut self) -> GuestId {
        self.memory_and_abi().1.guest_id()
    }

    /// Identifies the instance.
    fn instance_id(&mut self) -> InstanceId {
        self.memory_and_state().1.instance_id
    }

    /// The id of the watch whose callback runs; `None` outside of callbacks.
    fn watch_id(&mut self) -> Option<&[u8]> {
        self.memory_and_abi().1.watch_id()
    }

    /// The `len` bytes at the address `at` of the guest's memory. They are borrowed, so that
    /// nothing is charged: [`charge`](Self::charge) for a copy of them.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`].
    fn read(&mut self, at: u32, len: u32) -> Result<&[u8], OutOfBounds> {
        bounds::slice(self.memory(), at, len as usize)
    }

    /// Copies `bytes` to the address `at` of the guest's memory, and [charges](Self::charge) the
    /// guest for them: one unit for 16 bytes.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`], [`OutOfFuel`]; nothing is copied then.
    fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), HostError> {
        self.charge(bytes.len() as u64 / Outcome::BYTES_PER_UNIT)?;
        bounds::slice_mut(self.memory(), at, bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }

    /// Charges the guest for work that the host does for it: one unit is one unit of fuel, about
    /// one wasm instruction. The guest yields to the executor when the function returns if its
    /// slice is used up by then. Charge for loops and copies whose length the guest chooses, before
    /// they are done. Without fuel this does nothing.
    ///
    /// # Errors
    ///
    /// [`OutOfFuel`]: the call has less fuel left. Return the error, which ends the guest's call
    /// as running out of fuel does.
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_runtime::GuestBuilder;
    ///
    /// # fn example(builder: GuestBuilder<'_>) -> GuestBuilder<'_> {
    /// builder.host_function("env", "checksum", |cx, (at, len): (u32, u32)| {
    ///     cx.charge(u64::from(len))?;
    ///     let bytes = cx.read(at, len)?;
    ///     Ok(bytes.iter().fold(0_u32, |sum, byte| sum.wrapping_add(u32::from(*byte))))
    /// })
    /// # }
    /// ```
    fn charge(&mut self, units: u64) -> Result<(), OutOfFuel> {
        match self.fuel_left() {
            Some(left) if left < units => Err(OutOfFuel),
            Some(_) => {
                self.memory_and_state().1.meter().add(units);
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl dyn HostCx + '_ {
    /// The data of the calling instance of the type `T`, from
    /// [`GuestBuilder::instance_data`](crate::GuestBuilder::instance_data).
    ///
    /// # Errors
    ///
    /// [`NoData`]: the guest was built without data of this type.
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_runtime::GuestBuilder;
    ///
    /// # fn example(builder: GuestBuilder<'_>) -> GuestBuilder<'_> {
    /// builder
    ///     .instance_data(|| 0_u64)
    ///     .host_function("env", "count", |cx, ()| {
    ///         let n_calls = cx.data::<u64>()?;
    ///         *n_calls += 1;
    ///         Ok(*n_calls)
    ///     })
    /// # }
    /// ```
    pub fn data<T: 'static>(&mut self) -> Result<&mut T, NoData> {
        self.memory_and_data().map(|(_, data)| data)
    }

    /// The memory together with `data`.
    ///
    /// # Errors
    ///
    /// As `data`.
    pub fn memory_and_data<T: 'static>(&mut self) -> Result<(&mut [u8], &mut T), NoData> {
        let (memory, state) = self.memory_and_state();
        Ok((memory, state.data()?))
    }

    /// The value of the type `T` that the host gave with the call of the guest, by
    /// [`Caller::context`](crate::Caller::context).
    ///
    /// # Errors
    ///
    /// [`NoContext`]: the call was made without a value of this type. Callbacks have none.
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_runtime::{CallError, Guest, HostModule};
    ///
    /// /// Who has sent a request.
    /// struct Peer(String);
    ///
    /// fn requests() -> HostModule {
    ///     HostModule::new("requests").function("is_local", |cx, ()| {
    ///         Ok(u32::from(cx.context::<Peer>()?.0.starts_with("127.")))
    ///     })
    /// }
    ///
    /// async fn serve(guest: &Guest, peer: Peer, request: Vec<u8>) -> Result<Vec<u8>, CallError> {
    ///     guest.caller().context(peer).call_bytes("serve", request).await
    /// }
    /// ```
    pub fn context<T: 'static>(&mut self) -> Result<&mut T, NoContext> {
        self.memory_and_context().map(|(_, context)| context)
    }

    /// The memory together with `context`.
    ///
    /// # Errors
    ///
    /// As `context`.
    pub fn memory_and_context<T: 'static>(&mut self) -> Result<(&mut [u8], &mut T), NoContext> {
        let (memory, state) = self.memory_and_state();
        Ok((memory, state.context()?))
    }

    /// Takes the value of the type `T` out of the context of the call, which has none then: for a
    /// commit hook that completes a transaction.
    ///
    /// # Errors
    ///
    /// As `context`.
    pub fn take_context<T: 'static>(&mut self) -> Result<T, NoContext> {
        let (_, state) = self.memory_and_state();
        state.context.take().ok_or_else(NoContext::of::<T>)
    }

    /// The [meta page](MetaPage) that a [`HostModule`](crate::HostModule) has declared, by the name
    /// of its export.
    ///
    /// # Errors
    ///
    /// [`MetaPageError::NoPage`]: no module has declared it, or the guest has not started yet.
    pub fn meta_page(&mut self, export: &str) -> Result<MetaPage, MetaPageError> {
        let (_, state) = self.memory_and_state();
        let page = state.pages.iter().find(|(known, _)| **known == *export);
        page.map(|(_, page)| page.clone())
            .ok_or(MetaPageError::NoPage)
    }

    /// The bytes in a buffer of a meta page, up to its length. [Charges](HostCx::charge) the guest
    /// one unit for 16 of them, as a copy costs.
    ///
    /// # Errors
    ///
    /// [`MetaPageError`], [`OutOfFuel`].
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_runtime::{Buffer, HostModule};
    ///
    /// const TEXT: Buffer = Buffer::new(0, 1, 2); // address, capacity, length
    ///
    /// let module = HostModule::new("texts").meta_page("__texts", 3).function("reverse", |cx, ()| {
    ///     let page = cx.meta_page("__texts")?;
    ///     let mut text = cx.read_buffer(&page, TEXT)?.to_vec();
    ///     text.reverse();
    ///     cx.write_buffer(&page, TEXT, &text)
    /// });
    /// # let _ = module;
    /// ```
    pub fn read_buffer(&mut self, page: &MetaPage, buffer: Buffer) -> Result<&[u8], HostError> {
        let n_bytes = page.bytes(self.memory(), buffer)?.len();
        self.charge(n_bytes as u64 / Outcome::BYTES_PER_UNIT)?;
        Ok(page.bytes(self.memory(), buffer)?)
    }

    /// Copies bytes into a buffer of a meta page and sets its length. Charges the guest as
    /// `read_buffer` does.
    ///
    /// # Errors
    ///
    /// As `read_buffer`; nothing is copied then.
    pub fn write_buffer(
        &mut self,
        page: &MetaPage,
        buffer: Buffer,
        bytes: &[u8],
    ) -> Result<(), HostError> {
        self.charge(bytes.len() as u64 / Outcome::BYTES_PER_UNIT)?;
        Ok(page.set_bytes(self.memory(), buffer, bytes)?)
    }

    /// Takes the data of the calling instance and leaves its default value.
    ///
    /// # Errors
    ///
    /// As `data`.
    pub fn take_data<T: Default + 'static>(&mut self) -> Result<T, NoData> {
        self.data().map(std::mem::take)
    }
}

/// An instance has no data of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the guest has no instance data of the type `{type_name}`: add it with `GuestBuilder::instance_data`"
)]
#[non_exhaustive]
pub struct NoData {
    /// The type.
    pub type_name: &'static str,
}

impl NoData {
    pub(crate) fn of<T>() -> Self {
        Self {
            type_name: type_name::<T>(),
        }
    }
}

/// A call has no context of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the call has no context of the type `{type_name}`: give it with `Caller::context`; callbacks \
     have none"
)]
#[non_exhaustive]
pub struct NoContext {
    /// The type.
    pub type_name: &'static str,
}

impl NoContext {
    pub(crate) fn of<T>() -> Self {
        Self {
            type_name: type_name::<T>(),
        }
    }
}
