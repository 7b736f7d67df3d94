use crate::abi::BUF_BYTES;
use crate::error::Error;

use super::host::{Current, Groups, Verb};

/// Selects a group for the rest of this call, and opens it if it is not open.
///
/// The verbs that follow in this call, or in this run of the handler, are of the group, until
/// another one is selected or this one is [stopped](group_stop). A group stays open when the call
/// returns: another call selects it by the same id. It belongs to the group that the host has
/// assigned to the guest, and ends with that.
///
/// # Errors
///
/// - [`Error::TooLong`]: the id has more than [`BUF_BYTES`] bytes.
/// - [`Error::Closed`], [`Error::Other`]: the host refused, such as for too many groups.
/// - [`Error::NoHost`]: not in a guest.
///
/// # Examples
///
/// ```
/// use rangewatch_guest::{Error, gen2 as watch};
///
/// fn watch_for(client: &str, id: &[u8]) -> Result<(), Error> {
///     watch::group_start(client)?;
///     watch::open(id, "a".."m")?;
///     watch::start(id)
/// }
/// ```
pub fn group_start(id: impl AsRef<[u8]>) -> Result<(), Error> {
    apply_to_group(&mut Current, Verb::Start, id.as_ref())
}

/// Ends a group: its watches and what is pending for them are freed at once.
///
/// The handler is not entered for the group after the call returns. If it is running for the group
/// on another instance, the call does not wait for it. If the group is selected, the verbs that
/// follow are of the group that the call began in.
///
/// # Errors
///
/// - [`Error::GroupNotFound`]: no group of this id is open.
/// - [`Error::TooLong`]: the id has more than [`BUF_BYTES`] bytes.
/// - [`Error::Closed`], [`Error::Other`]: the host refused.
/// - [`Error::NoHost`]: not in a guest.
///
/// # Examples
///
/// ```
/// use rangewatch_guest::{Error, gen2 as watch};
///
/// fn disconnected(client: &str) -> Result<(), Error> {
///     watch::group_stop(client)
/// }
/// ```
pub fn group_stop(id: impl AsRef<[u8]>) -> Result<(), Error> {
    apply_to_group(&mut Current, Verb::Stop, id.as_ref())
}

fn apply_to_group(host: &mut impl Groups, verb: Verb, id: &[u8]) -> Result<(), Error> {
    Error::check_length(id.len(), BUF_BYTES)?;
    host.apply_to_group(verb, id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    #[test]
    fn an_id_that_is_too_long_does_not_reach_the_host() {
        for verb in [group_start, group_stop] {
            let error = verb(vec![1; BUF_BYTES + 1]);
            assert!(matches!(error, Err(Error::TooLong { .. })));
            assert_eq!(verb(vec![1; BUF_BYTES]), Err(Error::NoHost));
        }
    }
}
