//! How a call should end, and the comparison with how it ended.

use rangewatch_runtime::abi::{AbiError, Outcome};

use super::super::memory::Fault;
use super::Calls;

/// How a call should end. Of several faults any may be the one that is reported.
pub(super) enum Expected {
    Traps(Vec<Fault>),
    Returns { work: usize, value: i32 },
    Waits { work: usize },
}

impl Calls {
    /// Checks how a call ended, and the memory after it. After a trap the instance is replaced.
    pub(super) fn check_end(
        &mut self,
        i: usize,
        what: &str,
        ended: Result<Outcome, AbiError>,
        expected: &Expected,
        memory: &[u8],
    ) {
        assert!(self.instances[i].memory == memory, "{what}: {ended:?}");
        match (ended, expected) {
            (Err(error), Expected::Traps(faults)) => {
                let fault = fault(&error);
                assert!(
                    faults.contains(&&*fault),
                    "{what}: {error:?}, not {faults:?}"
                );
                self.replace(i);
            }
            (Ok(outcome), Expected::Returns { work, value }) => {
                assert!(outcome.state().is_ready(), "{what} waits");
                assert_eq!(outcome.work(), *work as u64, "{what}");
                assert_eq!(outcome.result(), *value, "{what}");
            }
            (Ok(outcome), Expected::Waits { work }) => {
                assert!(outcome.state().is_pending(), "{what} does not wait");
                assert_eq!(outcome.work(), *work as u64, "{what}");
            }
            (Ok(outcome), Expected::Traps(faults)) => panic!("{what}: {outcome:?}, not {faults:?}"),
            (Err(error), _) => panic!("{what}: {error:?}"),
        }
    }
}

/// The name of the variant.
pub(super) fn fault(error: &AbiError) -> String {
    let text = format!("{error:?}");
    let end = text.find(|c: char| !c.is_alphanumeric());
    text[..end.unwrap_or(text.len())].to_owned()
}
