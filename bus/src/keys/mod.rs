//! Selectors of keys, and the ranges that they stand for.

mod escape;
mod key_range;
mod key_ranges;
mod selector;
mod selector_text;
mod selectors;

pub(crate) use escape::Escaped;
pub(crate) use key_range::EmptyRangeMessage;
pub use key_range::{EmptyRangeError, KeyRange};
pub(crate) use key_ranges::KeyRanges;
pub use selector::Selector;
pub use selector_text::ParseSelectorError;
pub use selectors::Selectors;
