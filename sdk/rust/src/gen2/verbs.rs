use crate::error::Error;
use crate::host::Verb;
use crate::selector::Selector;
use crate::verbs::{apply_to_id, open_on};

use super::host::Current;

/// Reserves an id in the group of this call. Nothing is watched yet.
///
/// # Errors
///
/// As of [`reserve`](crate::reserve) of the crate root.
///
/// # Examples
///
/// ```
/// use rangewatch_guest::{Error, gen2 as watch};
///
/// fn watch_from_now_on(id: &[u8]) -> Result<(), Error> {
///     watch::reserve(id)?;
///     // Read the store here.
///     watch::open(id, "a".."m")?;
///     // Read here what was committed since.
///     watch::start(id)
/// }
/// ```
pub fn reserve(id: impl AsRef<[u8]>) -> Result<(), Error> {
    apply_to_id(&mut Current, Verb::Reserve, id.as_ref())
}

/// Opens a watch of a range under a free or reserved id. The notices of what matches are held until
/// [`start`].
///
/// # Errors
///
/// As of [`open`](crate::open) of the crate root.
///
/// # Examples
///
/// ```
/// use rangewatch_guest::{Error, Selector, gen2 as watch};
///
/// fn follow() -> Result<(), Error> {
///     watch::open("pods", Selector::prefix("/registry/pods/"))?;
///     watch::start("pods")
/// }
///
/// assert_eq!(watch::open("none", "m".."a"), Err(Error::EmptyRange));
/// ```
pub fn open(id: impl AsRef<[u8]>, range: impl Into<Selector>) -> Result<(), Error> {
    open_on(&mut Current, id.as_ref(), range.into())
}

/// Starts an open watch: delivers the notices that were held since [`open`], and then those that
/// follow.
///
/// What was held may be older than what another watch of the group has received already. Starting a
/// started watch has no effect.
///
/// # Errors
///
/// As of [`start`](crate::start) of the crate root.
///
/// # Examples
///
/// See [`reserve`].
pub fn start(id: impl AsRef<[u8]>) -> Result<(), Error> {
    apply_to_id(&mut Current, Verb::Start, id.as_ref())
}

/// Ends a reserved, open or started watch and frees its id.
///
/// No batch that is delivered after the call returns names the watch. If the handler is running on
/// another instance with a batch that names it, the call waits for it; inside a handler it never
/// waits.
///
/// # Errors
///
/// As of [`stop`](crate::stop) of the crate root.
///
/// # Examples
///
/// ```
/// use rangewatch_guest::{Error, gen2 as watch};
///
/// fn cancel(client: &str, id: &[u8]) -> Result<(), Error> {
///     watch::group_start(client)?;
///     watch::stop(id)
/// }
/// ```
pub fn stop(id: impl AsRef<[u8]>) -> Result<(), Error> {
    apply_to_id(&mut Current, Verb::Stop, id.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn off_wasm_arguments_are_checked_and_there_is_no_host() {
        assert_eq!(open("w", Selector::All), Err(Error::Unbounded));
        assert_eq!(open("w", "a".."b"), Err(Error::NoHost));
        for verb in [reserve, start, stop] {
            assert_eq!(verb("w"), Err(Error::NoHost));
        }
    }
}
