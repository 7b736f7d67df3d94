//! Calls from the command line: `EXPORT[,ARG..]`.

use std::fmt;
use std::str::FromStr;

use rangewatch::{FuncType, ModuleInfo, Val, ValType};

use crate::failure::Failure;

/// An export to call, with arguments that have no types yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    export: String,
    args: Vec<String>,
}

impl FromStr for Call {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split(',').map(|part| part.trim().to_owned());
        match parts.next() {
            Some(export) if !export.is_empty() => Ok(Self {
                export,
                args: parts.collect(),
            }),
            _ => Err("write EXPORT or EXPORT,ARG,.."),
        }
    }
}

impl Call {
    pub(crate) fn export(&self) -> &str {
        &self.export
    }

    /// The arguments in the types of the export's signature.
    pub(crate) fn args(&self, module: &ModuleInfo) -> Result<Vec<Val>, Failure> {
        let export = self.export();
        let ty = module.func(export).ok_or_else(|| {
            let exports = Exports(module);
            Failure::usage(format_args!(
                "the guest exports no function `{export}`; {exports}"
            ))
        })?;
        let wrong = |what: &dyn fmt::Display| {
            Failure::usage(format_args!("--call {export}: {what}; `{export}` is {ty}"))
        };
        if self.args.len() != ty.params().len() {
            let (given, wanted) = (self.args.len(), ty.params().len());
            return Err(wrong(&format_args!(
                "{given} arguments given, {wanted} wanted"
            )));
        }
        let typed = self.args.iter().zip(ty.params()).map(|(text, ty)| {
            parse(text, *ty).ok_or_else(|| wrong(&format_args!("`{text}` is no {ty}")))
        });
        typed.collect()
    }
}

/// The functions that a user may want to call: `it exports:` and one per line.
pub(crate) struct Exports<'a>(pub(crate) &'a ModuleInfo);

impl fmt::Display for Exports<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let callable = |name: &&str| !name.starts_with('_');
        let functions: Vec<(&str, &FuncType)> = (self.0.funcs())
            .filter(callable)
            .filter_map(|name| Some((name, self.0.func(name)?)))
            .collect();
        if functions.is_empty() {
            return f.write_str("it exports none to call");
        }
        f.write_str("it exports:")?;
        functions
            .iter()
            .try_for_each(|(name, ty)| write!(f, "\n  {name}: {ty}"))
    }
}

/// The results of one call, separated by spaces.
pub(crate) struct Results<'a>(pub(crate) &'a [Val]);

impl fmt::Display for Results<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, value) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            match value {
                Val::I32(value) => write!(f, "{value}")?,
                Val::I64(value) => write!(f, "{value}")?,
                Val::F32(value) => write!(f, "{value}")?,
                Val::F64(value) => write!(f, "{value}")?,
            }
        }
        Ok(())
    }
}

fn parse(text: &str, ty: ValType) -> Option<Val> {
    match ty {
        ValType::I32 => {
            let value = integer(text)?;
            let signed = i32::try_from(value);
            Some(Val::I32(
                signed
                    .or_else(|_| u32::try_from(value).map(|bits| bits as i32))
                    .ok()?,
            ))
        }
        ValType::I64 => {
            let value = integer(text)?;
            let signed = i64::try_from(value);
            Some(Val::I64(
                signed
                    .or_else(|_| u64::try_from(value).map(|bits| bits as i64))
                    .ok()?,
            ))
        }
        ValType::F32 => text.parse().ok().map(Val::F32),
        ValType::F64 => text.parse().ok().map(Val::F64),
        ValType::Other => None,
    }
}

/// An integer with a sign, decimal or hexadecimal.
fn integer(text: &str) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    if !digits.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let magnitude = match digits.strip_prefix("0x") {
        Some(hex) if hex.starts_with(|first: char| first.is_ascii_hexdigit()) => {
            i128::from_str_radix(hex, 16)
        }
        Some(_) => return None,
        None => digits.parse(),
    };
    // The sign cannot overflow: the magnitude is not negative.
    magnitude.ok().map(|magnitude| sign * magnitude)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integer_takes_both_signs_both_bases_and_nothing_beyond_its_width() {
        let i32s = [
            ("7", Some(7)),
            ("-1", Some(-1)),
            ("4294967295", Some(-1)),
            ("0xffffffff", Some(-1)),
            ("-0x80000000", Some(i32::MIN)),
            ("4294967296", None),
            ("-2147483649", None),
        ];
        for (text, value) in i32s {
            assert_eq!(parse(text, ValType::I32), value.map(Val::I32), "{text}");
        }
        let i64s = [
            ("18446744073709551615", Some(-1)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("0x10", Some(16)),
            ("18446744073709551616", None),
        ];
        for (text, value) in i64s {
            assert_eq!(parse(text, ValType::I64), value.map(Val::I64), "{text}");
        }
        for text in [
            "", "-", "+1", "0x", "0x+1", "-+1", "1.0", "seven", "1_000", "--1",
        ] {
            assert_eq!(parse(text, ValType::I64), None, "{text}");
        }
    }

    #[test]
    fn a_float_takes_what_rust_takes() {
        assert_eq!(parse("-1.5e3", ValType::F64), Some(Val::F64(-1500.0)));
        assert_eq!(parse("7", ValType::F32), Some(Val::F32(7.0)));
        assert_eq!(parse("inf", ValType::F32), Some(Val::F32(f32::INFINITY)));
        assert_eq!(parse("0x10", ValType::F64), None);
    }

    #[test]
    fn a_call_is_a_name_and_arguments_between_commas() {
        let call: Call = "apply, 7,-1".parse().unwrap();
        assert_eq!(
            (call.export(), &call.args[..]),
            ("apply", &["7".into(), "-1".into()][..])
        );
        assert!("".parse::<Call>().is_err() && ",7".parse::<Call>().is_err());
    }

    #[test]
    fn results_stand_on_one_line() {
        let results = [Val::I32(-1), Val::I64(7), Val::F32(0.5), Val::F64(f64::NAN)];
        assert_eq!(Results(&results).to_string(), "-1 7 0.5 NaN");
    }
}
