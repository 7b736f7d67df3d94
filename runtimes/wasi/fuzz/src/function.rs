//! The table of functions, callable as by an engine.

use rangewatch_wasi::{Interrupt, Wasi, preview1};

/// How a call ended.
pub(crate) type Outcome = Result<(), Interrupt>;

/// One function, callable as by an engine.
pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) params: &'static [&'static str],
    pub(crate) call: fn(&mut Wasi, &mut [u8], &[i64]) -> Outcome,
}

impl Function {
    /// The argument for the parameter of this name.
    pub(crate) fn argument(&self, args: &[i64], param: &str) -> u32 {
        let index = self.params.iter().position(|name| *name == param);
        args[index.expect("the function has this parameter")] as u32
    }
}

/// The table of functions, expanded as a backend expands it.
pub(crate) const TABLE: &[Function] = {
    macro_rules! expand {
        ($(fn $name:ident($($param:ident: $ty:ident),*) -> $result:ident;)*) => {
            &[$(Function {
                name: stringify!($name),
                params: &[$(stringify!($param)),*],
                call: |ctx, memory, args| {
                    let [$($param),*] = args else { panic!("{} arguments", args.len()) };
                    expand!(@$result preview1::$name(ctx, memory $(, *$param as $ty)*))
                },
            }),*]
        };
        (@errno $call:expr) => { $call.map_err(Interrupt::from) };
        (@wait $call:expr) => { $call };
        (@never $call:expr) => { Err(Interrupt::from($call)) };
    }
    rangewatch_wasi::for_each_function!(expand)
};
