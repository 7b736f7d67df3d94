//! Percent-encoding, to bytes that need not be UTF-8.
//!
//! Source: WHATWG URL, application/x-www-form-urlencoded; a lone percent sign is an error here.

use std::fmt;

/// A percent sign without two hexadecimal digits behind it.
pub(crate) struct BadPercent;

/// The bytes of an encoded text. `+` is a space.
pub(crate) fn decode(text: &str) -> Result<Vec<u8>, BadPercent> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        bytes.push(match byte {
            b'%' => {
                let [high, low, tail @ ..] = tail else {
                    return Err(BadPercent);
                };
                rest = tail;
                hex_digit(*high)? << 4 | hex_digit(*low)?
            }
            b'+' => b' ',
            byte => byte,
        });
    }
    Ok(bytes)
}

/// The value of an ASCII hexadecimal digit.
fn hex_digit(digit: u8) -> Result<u8, BadPercent> {
    let value = char::from(digit).to_digit(16).ok_or(BadPercent)?;
    u8::try_from(value).map_err(|_| BadPercent)
}

/// Displays a text encoded, so that it can be the value of a parameter.
pub(crate) struct Encoded<'a>(pub(crate) &'a str);

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &byte in self.0.as_bytes() {
            match byte {
                b'a'..=b'z'
                | b'A'..=b'Z'
                | b'0'..=b'9'
                | b'-'
                | b'.'
                | b'_'
                | b'~'
                | b'/'
                | b':' => {
                    fmt::Write::write_char(f, char::from(byte))?;
                }
                byte => write!(f, "%{byte:02X}")?,
            }
        }
        Ok(())
    }
}
