//! The textual form of bytes: UTF-8 as it is, other bytes as `\xNN`.

use std::fmt;

/// Displays bytes as text that [`unescape`] maps back to the same bytes.
///
/// Valid UTF-8 is kept, except control characters and the backslash.
pub(crate) struct Escaped<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for char in chunk.valid().chars() {
                match char {
                    '\\' => f.write_str("\\\\")?,
                    char if char.is_control() => {
                        let mut utf8 = [0; 4];
                        write_hex(f, char.encode_utf8(&mut utf8).as_bytes())?;
                    }
                    char => fmt::Write::write_char(f, char)?,
                }
            }
            write_hex(f, chunk.invalid())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// Writes each byte as `\xNN`.
pub(crate) fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))
}

/// The bytes of an escaped text, or the byte offset of the first backslash that begins
/// no escape.
pub(crate) fn unescape(text: &str) -> Result<Box<[u8]>, usize> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match *tail {
            [b'\\', ..] => {
                bytes.push(b'\\');
                rest = &tail[1..];
            }
            [b'x', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                bytes.push(hex_digit(high) << 4 | hex_digit(low));
                rest = &tail[3..];
            }
            _ => return Err(text.len() - tail.len() - 1),
        }
    }
    Ok(bytes.into())
}

/// The value of an ASCII hexadecimal digit.
const fn hex_digit(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}
