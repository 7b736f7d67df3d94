//! Numbers of guests, instances and owners, for logs and tables of the embedder.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident, $shown:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            pub(crate) fn new() -> Self {
                static LAST: AtomicU64 = AtomicU64::new(0);
                Self(LAST.fetch_add(1, Ordering::Relaxed) + 1)
            }

            /// The number.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($shown, " {}"), self.0)
            }
        }
    )*};
}

ids! {
    /// Identifies a [`Guest`](crate::Guest) among all guests of the process, for logs and tables of
    /// the embedder. Never reused.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn example(guest: &rangewatch_runtime::Guest) {
    /// println!("{} begins", guest.id()); // guest 3 begins
    /// # }
    /// ```
    GuestId, "guest";

    /// Identifies an instance of a [`Guest`](crate::Guest) among all instances of the process.
    /// Never reused: an instance that replaces another one has its own.
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_runtime::GuestBuilder;
    ///
    /// # fn example(builder: GuestBuilder<'_>) -> GuestBuilder<'_> {
    /// builder.host_function("env", "whoami", |cx, ()| Ok(cx.instance_id().get()))
    /// # }
    /// ```
    InstanceId, "instance";

    /// Identifies an [`Owner`](crate::Owner) among all owners of the process, for logs and tables
    /// of the embedder. Never reused.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn example(guest: &rangewatch_runtime::Guest) {
    /// let (a, b) = (guest.owner(), guest.owner());
    /// assert_ne!(a.id(), b.id());
    /// println!("{} begins", a.id()); // owner 7 begins
    /// # }
    /// ```
    OwnerId, "owner";
}
