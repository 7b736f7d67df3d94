//! Values that are passed between host and guest, and their types.

use std::fmt;

/// A value passed to or returned from a guest.
///
/// References and vectors cannot be passed: a guest may use them internally, but a call whose
/// signature has one is refused.
///
/// # Examples
///
/// ```
/// use rangewatch_runtime::{Guest, Val, ValType};
///
/// # async fn example(guest: &Guest) -> Result<(), Box<dyn std::error::Error>> {
/// assert_eq!(Val::from(7_u64).ty(), ValType::I64);
/// let results = guest.call("add", &[1.into(), Val::I32(2)]).await?;
/// assert_eq!(results, [Val::I32(3)]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the profile fixes the types that can be passed"
)]
pub enum Val {
    /// A 32-bit integer, signed or unsigned.
    I32(i32),
    /// A 64-bit integer.
    I64(i64),
    /// A 32-bit float.
    F32(f32),
    /// A 64-bit float.
    F64(f64),
}

impl Val {
    /// The type of this value.
    #[must_use]
    pub const fn ty(&self) -> ValType {
        match self {
            Self::I32(_) => ValType::I32,
            Self::I64(_) => ValType::I64,
            Self::F32(_) => ValType::F32,
            Self::F64(_) => ValType::F64,
        }
    }
}

/// The type of a [`Val`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the profile fixes the types that can be passed"
)]
pub enum ValType {
    /// A 32-bit integer.
    I32,
    /// A 64-bit integer.
    I64,
    /// A 32-bit float.
    F32,
    /// A 64-bit float.
    F64,
    /// A type that cannot be passed: `v128`, or a reference.
    Other,
}

impl fmt::Display for ValType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::Other => "(v128 or reference)",
        })
    }
}

/// The signature of a function: `(i32, i64) -> (i32)`.
///
/// # Examples
///
/// ```
/// use rangewatch_runtime::{FuncType, ValType};
///
/// let ty = FuncType::new([ValType::I32, ValType::I64], [ValType::I32]);
/// assert_eq!(ty.to_string(), "(i32, i64) -> (i32)");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FuncType {
    params: Box<[ValType]>,
    results: Box<[ValType]>,
}

impl FuncType {
    /// A signature of these parameters and results.
    #[must_use]
    pub fn new(params: impl Into<Box<[ValType]>>, results: impl Into<Box<[ValType]>>) -> Self {
        Self {
            params: params.into(),
            results: results.into(),
        }
    }

    /// The types of the parameters, in order.
    #[must_use]
    pub fn params(&self) -> &[ValType] {
        &self.params
    }

    /// The types of the results, in order.
    #[must_use]
    pub fn results(&self) -> &[ValType] {
        &self.results
    }

    /// Whether all of its values can be passed between host and guest.
    #[must_use]
    pub fn can_be_passed(&self) -> bool {
        !self
            .params
            .iter()
            .chain(&self.results)
            .any(|ty| *ty == ValType::Other)
    }

    /// Whether `args` may be passed to a function of this signature.
    #[must_use]
    pub fn accepts(&self, args: &[Val]) -> bool {
        args.iter().map(Val::ty).eq(self.params.iter().copied())
    }
}

impl fmt::Display for FuncType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} -> {}",
            TypeList(&self.params),
            TypeList(&self.results)
        )
    }
}

/// Displays a list of types: `(i32, i64)`. A module may name a thousand; the first are shown.
pub(crate) struct TypeList<'a>(pub(crate) &'a [ValType]);

impl fmt::Display for TypeList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const N_SHOWN: usize = 16;
        f.write_str("(")?;
        for (i, ty) in self.0.iter().take(N_SHOWN).enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{ty}")?;
        }
        match self.0.len().saturating_sub(N_SHOWN) {
            0 => f.write_str(")"),
            n_more => write!(f, " and {n_more} more)"),
        }
    }
}

/// A Rust type that stands for one [`Val`]: `i32`, `u32`, `i64`, `u64`, `f32`, `f64`.
///
/// Unsigned integers share the bits of the signed ones, as in wasm itself.
///
/// # Examples
///
/// ```
/// use rangewatch_runtime::{Scalar, Val, ValType};
///
/// assert_eq!(u32::TYPE, ValType::I32);
/// assert_eq!(u32::MAX.into_val(), Val::I32(-1));
/// assert_eq!(u32::from_val(Val::I32(-1)), Some(u32::MAX));
/// assert_eq!(u32::from_val(Val::I64(1)), None);
/// ```
pub trait Scalar: Copy + Send + 'static {
    /// The wasm type.
    const TYPE: ValType;
    /// As a value.
    fn into_val(self) -> Val;
    /// From a value; `None` when it is of another type.
    fn from_val(val: Val) -> Option<Self>;
}

macro_rules! scalar {
    ($($rust:ty => $variant:ident as $inner:ty),*) => {$(
        impl Scalar for $rust {
            const TYPE: ValType = ValType::$variant;
            fn into_val(self) -> Val {
                Val::$variant(self as $inner)
            }
            fn from_val(val: Val) -> Option<Self> {
                match val {
                    Val::$variant(inner) => Some(inner as Self),
                    _ => None,
                }
            }
        }

        impl From<$rust> for Val {
            fn from(scalar: $rust) -> Self {
                scalar.into_val()
            }
        }
    )*};
}
scalar!(i32 => I32 as i32, u32 => I32 as i32, i64 => I64 as i64, u64 => I64 as i64, f32 => F32 as f32, f64 => F64 as f64);

/// What a host function takes or returns: `()`, a [`Scalar`], or a tuple of up to eight.
///
/// # Examples
///
/// ```
/// use rangewatch_runtime::{Scalars, Val};
///
/// assert_eq!((1_i32, 2_u64).into_vals(), [Val::I32(1), Val::I64(2)]);
/// assert_eq!(<(i32, i32)>::from_vals(&[Val::I32(1)]), None);
/// ```
pub trait Scalars: Sized + Send + 'static {
    /// An array of as many values.
    type Vals: AsRef<[Val]> + Send;
    /// The wasm types, in order.
    fn types() -> Vec<ValType>;
    /// As values.
    fn into_vals(self) -> Self::Vals;
    /// From values; `None` when number or types differ.
    fn from_vals(vals: &[Val]) -> Option<Self>;
}

impl<S: Scalar> Scalars for S {
    type Vals = [Val; 1];
    fn types() -> Vec<ValType> {
        vec![S::TYPE]
    }
    fn into_vals(self) -> [Val; 1] {
        [self.into_val()]
    }
    fn from_vals(vals: &[Val]) -> Option<Self> {
        match vals {
            [val] => S::from_val(*val),
            _ => None,
        }
    }
}

macro_rules! scalars {
    ($n:literal: $($name:ident)*) => {
        impl<$($name: Scalar),*> Scalars for ($($name,)*) {
            type Vals = [Val; $n];
            fn types() -> Vec<ValType> {
                vec![$($name::TYPE),*]
            }
            fn into_vals(self) -> [Val; $n] {
                #[expect(non_snake_case, reason = "one name for a type parameter and its value")]
                let ($($name,)*) = self;
                [$($name.into_val()),*]
            }
            fn from_vals(vals: &[Val]) -> Option<Self> {
                #[expect(non_snake_case, reason = "one name for a type parameter and its value")]
                let [$($name),*] = vals else {
                    return None;
                };
                Some(($($name::from_val(*$name)?,)*))
            }
        }
    };
}
impl Scalars for () {
    type Vals = [Val; 0];
    fn types() -> Vec<ValType> {
        Vec::new()
    }
    fn into_vals(self) -> [Val; 0] {
        []
    }
    fn from_vals(vals: &[Val]) -> Option<Self> {
        vals.is_empty().then_some(())
    }
}
scalars!(1: A);
scalars!(2: A B);
scalars!(3: A B C);
scalars!(4: A B C D);
scalars!(5: A B C D E);
scalars!(6: A B C D E F);
scalars!(7: A B C D E F G);
scalars!(8: A B C D E F G H);
