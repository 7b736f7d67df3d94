//! Owners: name spaces of ids inside a guest.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::guest_watches::GuestWatches;
use super::namespace::Namespace;
use super::started::Started;
use crate::guest::emits::Emits;
use crate::guest::guest_bus::GuestBus;
use crate::guest::ids::{GuestId, OwnerId};
use crate::guest::limits::Limits;

/// An owner of watches inside a guest: a stream, a session, whatever ends as a whole.
///
/// The ids of an owner are its own: two owners of a guest may watch under the same id, and neither
/// finds the watches of the other. The host names the owner of each call
/// ([`Caller::owner`](crate::Caller::owner)); a callback runs under the owner of its watch. Calls
/// that name none run under the guest's own owner, which a guest begins with. All owners of a guest
/// share its instances, its pump and its [`Limits`].
///
/// # End
///
/// [`end`](Self::end) frees the ids, ranges and pending values of the owner at once, also while
/// callbacks of it run: none is entered any more, and an error that a running one reports is
/// dropped. What a running call or callback does afterwards to watches of the owner has the error
/// text `Watch closed`; what it emits is emitted.
///
/// Dropping the last handle ends the owner, and so does the end of its guest. Clones are handles of
/// the same owner. A handle keeps the bus of its guest open, but not the guest alive.
///
/// # Examples
///
/// ```
/// use rangewatch_runtime::{Guest, Val};
///
/// # async fn example(guest: &Guest) -> Result<(), rangewatch_runtime::CallError> {
/// let stream = guest.owner();
/// guest.caller().owner(&stream).call("follow", &[Val::I32(1)]).await?;
/// assert_eq!(stream.n_watches(), 1);
/// stream.end(); // the client has disconnected
/// assert_eq!(stream.n_watches(), 0);
/// # Ok(())
/// # }
/// ```
pub struct Owner {
    namespace: Arc<Namespace>,
    /// The guest ends with the last handle of any of its owners.
    guest: Arc<GuestHandle>,
}

/// Ends a guest when it is dropped.
struct GuestHandle(Arc<Started>);

impl Drop for GuestHandle {
    fn drop(&mut self) {
        // No owner has a handle, so that each of them has ended.
        self.0.end();
    }
}

/// Why a call cannot run under an [`Owner`].
///
/// # Examples
///
/// ```
/// use rangewatch_runtime::{CallError, Guest, OwnerError};
///
/// # async fn example(guest: &Guest, stream: &rangewatch_runtime::Owner) {
/// match guest.caller().owner(stream).call("next", &[]).await {
///     Err(CallError::Owner { source: OwnerError::Ended { .. }, .. }) => {} // the stream is over
///     result => println!("{result:?}"),
/// }
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OwnerError {
    /// The owner has ended.
    #[error("{owner} has ended: make another one with `Guest::owner`")]
    Ended {
        /// The owner.
        owner: OwnerId,
    },
    /// The owner has ended because it had more notices pending than it may: see
    /// [`CallbackErrorCause::Overflow`](crate::CallbackErrorCause::Overflow).
    #[error(
        "{owner} has ended because its pending notices exceeded their limits: make another one with \
         `Guest::owner`, and resume from value {resume}"
    )]
    Overflowed {
        /// The owner.
        owner: OwnerId,
        /// The least value that was not delivered.
        resume: u64,
    },
    /// The owner belongs to another guest.
    #[error("{owner} belongs to another guest: make one of this guest with `Guest::owner`")]
    OtherGuest {
        /// The owner.
        owner: OwnerId,
    },
}

impl Owner {
    /// An owner of a new guest, for the linker way, where the embedder makes the instances of the
    /// guest: [`GuestAbi::of_owner`](crate::abi::GuestAbi::of_owner).
    ///
    /// # Examples
    ///
    /// Two instances that share the ids of an owner.
    ///
    /// ```
    /// use rangewatch_bus::RangeWatchBus;
    /// use rangewatch_runtime::abi::GuestAbi;
    /// use rangewatch_runtime::{Emits, Limits, Owner};
    ///
    /// let bus = RangeWatchBus::new();
    /// let owner = Owner::new(&bus, Limits::default(), Emits::Immediate);
    /// let stores = [GuestAbi::of_owner(&owner), GuestAbi::of_owner(&owner)];
    /// # let _ = stores;
    /// ```
    #[must_use]
    pub fn new(bus: impl Into<GuestBus>, limits: Limits, emits: Emits) -> Self {
        GuestWatches::with_owner(bus.into(), limits, emits)
    }

    pub(super) fn first(guest: &Arc<GuestWatches>) -> Self {
        let handle = Arc::new(GuestHandle(guest.started().clone()));
        Self::of(guest.add_namespace(), handle)
    }

    /// Another owner of the same guest, as [`Guest::owner`](crate::Guest::owner) makes one.
    #[must_use]
    pub fn of_same_guest(&self) -> Self {
        Self::of(self.watches().add_namespace(), self.guest.clone())
    }

    /// A handle of the owner of `namespace`, which is of the same guest.
    pub(crate) fn handle_of(&self, namespace: &Arc<Namespace>) -> Self {
        Self::of(namespace.clone(), self.guest.clone())
    }

    fn of(namespace: Arc<Namespace>, guest: Arc<GuestHandle>) -> Self {
        namespace.add_handle();
        Self { namespace, guest }
    }

    pub(crate) fn namespace(&self) -> &Arc<Namespace> {
        &self.namespace
    }

    pub(crate) fn watches(&self) -> &Arc<GuestWatches> {
        self.namespace.guest()
    }

    /// Whether calls of the guest that has the owner `own` can run under this one.
    pub(crate) fn check(&self, own: &Self) -> Result<(), OwnerError> {
        let owner = self.id();
        if !Arc::ptr_eq(self.watches(), own.watches()) {
            Err(OwnerError::OtherGuest { owner })
        } else if self.is_ended() {
            Err(match self.namespace.overflow() {
                Some(resume) => OwnerError::Overflowed { owner, resume },
                None => OwnerError::Ended { owner },
            })
        } else {
            Ok(())
        }
    }

    /// Identifies the owner.
    #[must_use]
    pub fn id(&self) -> OwnerId {
        self.namespace.id()
    }

    /// Identifies the guest of the owner.
    #[must_use]
    pub fn guest_id(&self) -> GuestId {
        self.watches().id()
    }

    /// Ends the owner: its ids, ranges and pending values are freed when this returns, and no
    /// callback of it is entered any more. Running callbacks are not waited for. Ending it again
    /// has no effect.
    pub fn end(&self) {
        self.namespace.end();
    }

    /// Whether the owner has ended.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.namespace.is_ended()
    }

    /// The number of watches of the owner, in all states together.
    #[must_use]
    pub fn n_watches(&self) -> usize {
        self.namespace.n_watches()
    }
}

impl Clone for Owner {
    fn clone(&self) -> Self {
        Self::of(self.namespace.clone(), self.guest.clone())
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.namespace.drop_handle();
    }
}

impl PartialEq for Owner {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for Owner {}

impl Hash for Owner {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owner")
            .field("id", &self.id().get())
            .field("n_watches", &self.n_watches())
            .field("is_ended", &self.is_ended())
            .finish()
    }
}
