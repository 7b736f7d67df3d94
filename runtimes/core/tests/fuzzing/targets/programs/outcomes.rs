//! How calls end, as it is in the trace.

use rangewatch_runtime::{CallEnd, CallError};

pub(super) fn call_end(number: usize, end: &mut CallEnd<'_>) -> String {
    use rangewatch_runtime::CallOutcome;
    let outcome = match end.outcome() {
        CallOutcome::Failed(error) => kind(error),
        outcome => format!("{outcome:?}"),
    };
    let (export, memory) = (end.export().to_owned(), end.memory());
    let n_bytes = memory.len();
    format!("{number}: {export} {outcome} {n_bytes} {:x}", hash(memory))
}

/// The kind of an error: all that does not come from the engine.
pub(super) fn kind(error: &CallError) -> String {
    match error {
        CallError::Trap { kind, message, .. } => format!("{kind:?} {message:?}"),
        CallError::Exit { exit, .. } => format!("exit {}", exit.code()),
        CallError::Abi { source, .. } => format!("{source:?}"),
        CallError::Refused {
            n_emits, source, ..
        } => format!("refused {n_emits} {source:?}"),
        CallError::NotCommitted {
            n_emits, source, ..
        } => format!("hook {n_emits} {source}"),
        CallError::Discarded { n_emits, source } => format!("discarded {n_emits} {}", kind(source)),
        CallError::HostFunction {
            function, source, ..
        } => format!("{function} {source}"),
        error => {
            let text = format!("{error:?}");
            text[..text.find(' ').unwrap_or(text.len())].to_owned()
        }
    }
}

/// Source: Fowler, Noll and Vo, FNV-1a, here over words of 64 bits.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks();
    assert!(rest.is_empty());
    words.iter().fold(0xcbf2_9ce4_8422_2325, |hash, word| {
        (hash ^ u64::from_le_bytes(*word)).wrapping_mul(0x100_0000_01b3)
    })
}
