//! What a node prints.

use std::fmt;
use std::io::{self, Write};

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use crate::journal::Journal;

/// A line of a node.
#[derive(Debug)]
pub(crate) enum Line {
    /// A subscriber has received a change.
    Change { revision: u64, by: By, text: String },
    /// The bridge has another state.
    Status(String),
}

/// The subscriber that a line is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// Events.
    Orders,
    /// Wake-ups.
    Stock,
    /// Callbacks of the guest.
    Guest,
}

impl By {
    pub(crate) const ALL: [Self; 3] = [Self::Orders, Self::Stock, Self::Guest];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Orders => "orders",
            Self::Stock => "stock",
            Self::Guest => "guest",
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Change { revision, by, text } => {
                write!(f, "{revision:>5} {:<6} {text}", by.name())
            }
            Self::Status(text) => write!(f, "    - {text}"),
        }
    }
}

/// Where the lines of a node go.
#[derive(Clone, Debug)]
pub(crate) struct Output(UnboundedSender<Line>);

impl Output {
    pub(crate) fn new() -> (Self, UnboundedReceiver<Line>) {
        let (sender, lines) = mpsc::unbounded_channel();
        (Self(sender), lines)
    }

    pub(crate) fn change(&self, revision: u64, by: By, text: String) {
        self.send(Line::Change { revision, by, text });
    }

    pub(crate) fn status(&self, text: String) {
        self.send(Line::Status(text));
    }

    fn send(&self, line: Line) {
        // Ignored at the end of the node.
        let _ = self.0.send(line);
    }
}

/// Prints lines until the node ends. A change is noted first: a node that is killed in between
/// prints it in its journal alone, and not twice.
pub(crate) async fn print(
    mut lines: UnboundedReceiver<Line>,
    mut journal: Journal,
) -> io::Result<()> {
    while let Some(line) = lines.recv().await {
        if let Line::Change { .. } = line {
            journal.note(&line)?;
        }
        writeln!(io::stdout(), "{line}")?;
    }
    Ok(())
}

/// The standard output of a guest, which prints lines `REVISION TEXT`.
#[derive(Debug)]
pub(crate) struct GuestOutput {
    output: Output,
    /// The begin of a line.
    rest: Vec<u8>,
}

impl GuestOutput {
    pub(crate) fn new(output: &Output) -> Self {
        Self {
            output: output.clone(),
            rest: Vec::new(),
        }
    }

    fn line(&self, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        let split = line.split_once(' ');
        let parsed = split.and_then(|(revision, text)| Some((revision.parse().ok()?, text)));
        match parsed {
            Some((revision, text)) => self.output.change(revision, By::Guest, text.to_owned()),
            None => self.output.status(format!("guest: {line}")),
        }
    }
}

impl Write for GuestOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.rest.extend_from_slice(bytes);
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            self.line(&line[..end]);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
