//! Calls from the command line: `EXPORT[,ARG..]`.

use std::fmt;
use std::str::FromStr;

use rangewatch::{FuncType, ModuleInfo, Val, ValType};

use crate::failure::Failure;

/// The export that makes a module a command. Source: WASI preview1, application ABI.
pub(crate) const START: &str = "_start";

/// An export to call, with its arguments as text.
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

    /// The arguments, converted to the parameter types of the export.
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
            parse(text, *ty).map_err(|mismatch| match mismatch {
                Mismatch::Form => wrong(&format_args!("`{text}` is not an {ty}")),
                Mismatch::Range => wrong(&format_args!("`{text}` does not fit an {ty}")),
            })
        });
        typed.collect()
    }
}

/// Displays the exported functions, one per line, except those whose names start with `_`: they
/// belong to an ABI.
pub(crate) struct Exports<'a>(pub(crate) &'a ModuleInfo);

impl fmt::Display for Exports<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let callable = |name: &&str| !name.starts_with('_');
        let functions: Vec<(&str, &FuncType)> = (self.0.funcs())
            .filter(callable)
            .filter_map(|name| Some((name, self.0.func(name)?)))
            .collect();
        if functions.is_empty() {
            f.write_str("it exports none to call")?;
            return match self.0.func(START) {
                Some(_) => write!(f, ", but it has `{START}`, which is run without --call"),
                None => Ok(()),
            };
        }
        f.write_str("it exports:")?;
        functions
            .iter()
            .try_for_each(|(name, ty)| write!(f, "\n  {name}: {ty}"))
    }
}

/// Displays the results of one call, separated by spaces.
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

/// Why a text is not a value of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mismatch {
    /// The syntax is wrong.
    Form,
    /// The integer does not fit the width of the type.
    Range,
}

fn parse(text: &str, ty: ValType) -> Result<Val, Mismatch> {
    match ty {
        ValType::I32 => {
            let value = integer(text)?;
            i32::try_from(value)
                .or_else(|_| u32::try_from(value).map(|bits| bits as i32))
                .map(Val::I32)
                .map_err(|_| Mismatch::Range)
        }
        ValType::I64 => {
            let value = integer(text)?;
            i64::try_from(value)
                .or_else(|_| u64::try_from(value).map(|bits| bits as i64))
                .map(Val::I64)
                .map_err(|_| Mismatch::Range)
        }
        ValType::F32 => text.parse().map(Val::F32).map_err(|_| Mismatch::Form),
        ValType::F64 => text.parse().map(Val::F64).map_err(|_| Mismatch::Form),
        ValType::Other => Err(Mismatch::Form),
    }
}

/// Parses a decimal or hexadecimal integer with an optional minus sign.
fn integer(text: &str) -> Result<i128, Mismatch> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    let (digits, radix) = match digits.strip_prefix("0x") {
        Some(hex) => (hex, 16),
        None => (digits, 10),
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return Err(Mismatch::Form);
    }
    // Parsing digits fails only on overflow. Negating cannot overflow: the magnitude is not
    // negative.
    i128::from_str_radix(digits, radix)
        .map(|magnitude| sign * magnitude)
        .map_err(|_| Mismatch::Range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_decimal_or_hexadecimal_signed_or_unsigned_and_fit_their_type() {
        let i32s = [
            ("7", Ok(7)),
            ("-1", Ok(-1)),
            ("4294967295", Ok(-1)),
            ("0xffffffff", Ok(-1)),
            ("-0x80000000", Ok(i32::MIN)),
            ("4294967296", Err(Mismatch::Range)),
            ("-2147483649", Err(Mismatch::Range)),
        ];
        for (text, value) in i32s {
            assert_eq!(parse(text, ValType::I32), value.map(Val::I32), "{text}");
        }
        let i64s = [
            ("18446744073709551615", Ok(-1)),
            ("-9223372036854775808", Ok(i64::MIN)),
            ("0x10", Ok(16)),
            ("18446744073709551616", Err(Mismatch::Range)),
            ("0x100000000000000000000000000000000", Err(Mismatch::Range)),
        ];
        for (text, value) in i64s {
            assert_eq!(parse(text, ValType::I64), value.map(Val::I64), "{text}");
        }
        for text in [
            "", "-", "+1", "0x", "0x+1", "-+1", "1.0", "seven", "1_000", "--1",
        ] {
            assert_eq!(parse(text, ValType::I64), Err(Mismatch::Form), "{text}");
        }
    }

    #[test]
    fn floats_have_the_syntax_of_rust() {
        assert_eq!(parse("-1.5e3", ValType::F64), Ok(Val::F64(-1500.0)));
        assert_eq!(parse("7", ValType::F32), Ok(Val::F32(7.0)));
        assert_eq!(parse("inf", ValType::F32), Ok(Val::F32(f32::INFINITY)));
        assert_eq!(parse("0x10", ValType::F64), Err(Mismatch::Form));
    }

    #[test]
    fn a_call_is_an_export_and_arguments_separated_by_commas() {
        let call: Call = "apply, 7,-1".parse().unwrap();
        assert_eq!(
            (call.export(), &call.args[..]),
            ("apply", &["7".into(), "-1".into()][..])
        );
        assert!("".parse::<Call>().is_err() && ",7".parse::<Call>().is_err());
    }

    #[test]
    fn results_are_one_line() {
        let results = [Val::I32(-1), Val::I64(7), Val::F32(0.5), Val::F64(f64::NAN)];
        assert_eq!(Results(&results).to_string(), "-1 7 0.5 NaN");
    }
}
