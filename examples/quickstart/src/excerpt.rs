//! The first lines that a subscriber received.

/// The number of lines per subscriber.
const N_SHOWN: usize = 3;

/// Appends the first lines, indented, and `..` for the rest.
pub(crate) fn push<'a>(report: &mut String, lines: impl Iterator<Item = &'a str>) {
    for (index, line) in lines.enumerate() {
        match index {
            0..N_SHOWN => report.extend(["    ", line, "\n"]),
            N_SHOWN => report.push_str("    ..\n"),
            _ => break,
        }
    }
}
