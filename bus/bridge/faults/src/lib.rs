//! What the processes of the fault test share: a state machine whose emits everybody knows, and a
//! check of what a subscription receives.

mod log_url;
mod machine;
mod received;

pub use log_url::open_log;
pub use machine::{FIRST, Machine};
pub use received::Received;
