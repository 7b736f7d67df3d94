//! Texts of guests, as messages show them.

use std::fmt;

/// Displays a text that a guest or a module chose: control characters and quotes escaped, so that
/// it cannot forge lines of a log, and cut after [`MAX_CHARS`](Self::MAX_CHARS) characters.
pub(crate) struct Shown<'a>(pub(crate) &'a str);

impl Shown<'_> {
    /// Characters that are shown. Names of 100 kilobytes would otherwise fill a log.
    const MAX_CHARS: usize = 256;
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut chars = self.0.chars();
        for c in chars.by_ref().take(Self::MAX_CHARS) {
            write!(f, "{}", c.escape_debug())?;
        }
        match chars.as_str().len() {
            0 => Ok(()),
            n_bytes => write!(f, ".. ({n_bytes} more bytes)"),
        }
    }
}

/// Writes a character of a text that a guest chose, escaped if it could forge a line. Quotes and
/// backslashes cannot, and stay.
pub(crate) fn write_escaped(out: &mut impl fmt::Write, c: char) -> fmt::Result {
    match c {
        '"' | '\'' | '\\' => out.write_char(c),
        _ => write!(out, "{}", c.escape_debug()),
    }
}

#[cfg(test)]
mod tests {
    use super::Shown;

    #[test]
    fn a_text_of_a_guest_is_one_short_line() {
        let text = format!("a\nERROR: forged \u{202e}{}", "x".repeat(1 << 16));
        let shown = Shown(&text).to_string();
        assert!(shown.starts_with(r"a\nERROR: forged \u{202e}xx"), "{shown}");
        assert!(shown.ends_with("x.. (65297 more bytes)"), "{shown}");
        assert_eq!(Shown("plain-name").to_string(), "plain-name");
    }
}
