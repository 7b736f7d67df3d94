//! The bus and a guest of the playground, for a worker of a page.
//!
//! JavaScript makes a [`Playground`], which is the bus, the guest and the watches of the page. What
//! happens is reported by calls of `globalThis.report`, in the order in which it happens: see
//! [`report`].
//!
//! | module | contents |
//! |---|---|
//! | `playground` | the object that JavaScript holds |
//! | `guest` | the guest: loading, calls, standard streams |
//! | `value` | arguments and results of calls |
//! | `watch` | one subscription of the page, and the task that receives from it |
//! | `report` | the reports to JavaScript, and the record of all emits |
//! | `pace` | a pause between the slices of a guest, in which the worker reads its messages |

mod guest;
mod pace;
mod playground;
mod report;
mod value;
mod watch;

pub use pace::turn;
pub use playground::Playground;
