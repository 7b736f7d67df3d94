//! The generations of the guest ABI.

use super::{gen1, gen2};

/// A generation of the guest ABI. A guest is of one.
///
/// # Examples
///
/// ```
/// use rangewatch_bus::RangeWatchBus;
/// use rangewatch_runtime::abi::{Generation, GuestAbi};
///
/// let mut abi = GuestAbi::new(&RangeWatchBus::new());
/// assert_eq!(abi.generation(), Generation::One);
/// abi.set_generation(Generation::Two);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Generation {
    /// [`gen1`]: one value per recv, the first since the last recv.
    One,
    /// [`gen2`]: every value, in batches.
    Two,
}

impl Generation {
    /// The generation of a guest with these imports, each a module and a name: the second if it
    /// imports from [`gen2::MODULE`], or a function from [`gen1::MODULE`] that only the second has.
    pub fn of_imports<'i>(imports: impl IntoIterator<Item = (&'i str, &'i str)>) -> Self {
        let is_second = |(module, name): (&str, &str)| match module {
            gen2::MODULE => true,
            gen1::MODULE => gen1::NAMES_OF_GENERATION_2.contains(&name),
            _ => false,
        };
        if imports.into_iter().any(is_second) {
            Self::Two
        } else {
            Self::One
        }
    }
}
