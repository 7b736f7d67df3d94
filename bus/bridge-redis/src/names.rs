//! The keys of a log.

/// The keys of a log. All of them have one hash tag, so that a script may use them together on a
/// cluster.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    /// A stream with an entry for each epoch, `<epoch>-1`.
    pub(crate) epochs: String,
    prefix: String,
}

impl Names {
    pub(crate) fn new(bus: &str) -> Self {
        let prefix = format!("rangewatch:{{{bus}}}:");
        Self {
            epochs: format!("{prefix}epochs"),
            prefix,
        }
    }

    /// The stream of the emits of an epoch.
    pub(crate) fn emits(&self, epoch: u64) -> String {
        format!("{}{epoch}", self.prefix)
    }
}
