//! Values of a guest as those of JavaScript: `i64` is a `bigint`, the others are numbers.

use js_sys::{Array, BigInt};
use rangewatch::{FuncType, Val, ValType};
use wasm_bindgen::prelude::*;

/// The arguments of a call.
pub(crate) fn arguments(ty: &FuncType, given: &Array) -> Result<Vec<Val>, JsError> {
    let wanted = ty.params().len();
    if given.length() as usize != wanted {
        let given = given.length();
        return Err(JsError::new(&format!(
            "{given} arguments given, {wanted} wanted: it is {ty}"
        )));
    }
    let convert = |(value, ty): (JsValue, &ValType)| match ty {
        ValType::I32 => value.as_f64().map(|number| Val::I32(number as i32)),
        ValType::I64 => i64::try_from(value).ok().map(Val::I64),
        ValType::F32 => value.as_f64().map(|number| Val::F32(number as f32)),
        ValType::F64 => value.as_f64().map(Val::F64),
        ValType::Other => None,
    };
    given
        .iter()
        .zip(ty.params())
        .enumerate()
        .map(|(i, given)| {
            convert(given)
                .ok_or_else(|| JsError::new(&format!("argument {} is no value of `{ty}`", i + 1)))
        })
        .collect()
}

/// The results of a call.
pub(crate) fn results(results: &[Val]) -> Array {
    let convert = |value: &Val| match *value {
        Val::I32(value) => JsValue::from(value),
        Val::I64(value) => BigInt::from(value).into(),
        Val::F32(value) => JsValue::from(value),
        Val::F64(value) => JsValue::from(value),
    };
    results.iter().map(convert).collect()
}
