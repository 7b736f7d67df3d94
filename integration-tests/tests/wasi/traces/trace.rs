//! The calls of a guest, and the comparison of two lists of calls.

use std::fmt;

use rangewatch::wasi;

/// One call of WASI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// The index of the function in [`wasi::FUNCTIONS`].
    pub(super) function: usize,
    /// 32-bit numbers are zero-extended.
    pub(super) arguments: Vec<u64>,
    /// `None` if it did not return because the guest exited.
    pub(super) answer: Option<i32>,
    /// A hash of the guest's memory afterwards.
    pub(super) memory: u64,
}

impl Call {
    pub(super) fn name(&self) -> &'static str {
        wasi::FUNCTIONS[self.function].name()
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.name())?;
        for (index, argument) in self.arguments.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{argument:#x}")?;
        }
        match self.answer {
            Some(errno) => write!(f, ") = {errno}")?,
            None => f.write_str(") does not return")?,
        }
        write!(f, ", memory {:016x}", self.memory)
    }
}

/// The exit code of a guest, or its error, whose text is the engine's and is not compared.
pub(super) type End = Result<u32, String>;

/// All calls of a guest, and how it ended.
#[derive(Clone, Debug)]
pub(super) struct Trace {
    pub(super) calls: Vec<Call>,
    pub(super) end: End,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Trace {
    /// Whether the guest has called the function of this name.
    pub(super) fn calls(&self, name: &str) -> bool {
        self.calls.iter().any(|call| call.name() == name)
    }

    /// The first difference, with a few calls before it.
    pub(super) fn differs(&self, other: &Self) -> Result<(), String> {
        const BEFORE: usize = 5;
        let longer = self.calls.len().max(other.calls.len());
        let different = (0..longer).find(|at| self.calls.get(*at) != other.calls.get(*at));
        if let Some(at) = different {
            let mut text = format!("call {at} differs, after:\n");
            for call in &self.calls[at.saturating_sub(BEFORE)..at] {
                text.push_str(&format!("      {call}\n"));
            }
            for (which, trace) in [("one", self), ("other", other)] {
                match trace.calls.get(at) {
                    Some(call) => text.push_str(&format!("{which:5} {call}\n")),
                    None => text.push_str(&format!("{which:5} ended: {:?}\n", trace.end)),
                }
            }
            return Err(text);
        }
        let alike = self.end.as_ref().ok() == other.end.as_ref().ok()
            && (&self.stdout, &self.stderr) == (&other.stdout, &other.stderr);
        if alike {
            Ok(())
        } else {
            Err(format!("the ends differ: {self}, and {other}"))
        }
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (n_calls, end) = (self.calls.len(), &self.end);
        write!(f, "{n_calls} calls, {end:?}, stderr {:?}", self.stderr)
    }
}
