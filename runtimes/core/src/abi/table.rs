//! The table of functions: one macro that every backend expands, and the same table as data.

use crate::engine::val::{FuncType, ValType};

/// Calls the macro `$callback` once, with one line for each function of every generation of the
/// guest ABI.
///
/// A line reads `fn gen1::open as OPEN(param: i32) -> returns;`:
///
/// - [`abi::gen1::open`](crate::abi::gen1::open) is the function. It is called as
///   `abi::gen1::open(abi, memory, param)` and returns a
///   `Result<`[`Outcome`](crate::abi::Outcome)`, `[`AbiError`](crate::abi::AbiError)`>`.
/// - `abi::gen1::MODULE` and `abi::gen1::OPEN` are the names of the import.
/// - The parameters are those of the WebAssembly signature.
/// - The last word is `wait` where the outcome may be pending, and `returns` where it never is;
///   these functions have no results. `value` is a function that never waits and has one result, an
///   `i32`: [`Outcome::result`](crate::abi::Outcome::result).
/// - `abi::gen1::NEEDS_PAGE` says whether the functions of that module need the meta page of the
///   guest, so that a guest which is not attached has to be.
///
/// # Examples
///
/// A backend for an engine whose host functions take a slice of 64-bit values:
///
/// ```
/// use std::collections::HashMap;
///
/// use rangewatch_bus::{RangeWatchBus, Selector};
/// use rangewatch_runtime::HostTrap;
/// use rangewatch_runtime::abi::{self, GuestAbi};
///
/// type HostFunction = fn(&mut GuestAbi, &mut [u8], &[i64]) -> Result<Option<i32>, HostTrap>;
///
/// fn add_to_linker(linker: &mut HashMap<(&str, &str), HostFunction>) {
///     macro_rules! define {
///         ($(
///             fn $gen:ident::$name:ident as $import:ident($($param:ident: $ty:ident),*)
///                 -> $result:ident;
///         )*) => {
///             $(linker.insert((abi::$gen::MODULE, abi::$gen::$import), |guest, memory, values| {
///                 let mut _values = values.iter();
///                 $(let $param = *_values.next().expect("the engine checked the arity") as $ty;)*
///                 let import = abi::$gen::$import;
///                 let _outcome = abi::call::block(import, guest, memory, |guest, memory| {
///                     abi::$gen::$name(guest, memory $(, $param)*)
///                 })?;
///                 Ok(define!(@$result _outcome))
///             });)*
///         };
///         (@value $outcome:ident) => { Some($outcome.result()) };
///         (@$none:ident $outcome:ident) => { None };
///     }
///     rangewatch_runtime::for_each_abi_function!(define);
/// }
///
/// let mut linker = HashMap::new();
/// add_to_linker(&mut linker);
/// assert_eq!(linker.len(), abi::FUNCTIONS.len());
///
/// // A guest whose meta page is at address 0, with the key "a" in its buffer at address 100.
/// let mut memory = vec![0; 200];
/// for (slot, address) in [100_u32, 28, 32, 150, 36, 40, 44].into_iter().enumerate() {
///     memory[4 * slot..][..4].copy_from_slice(&address.to_le_bytes());
/// }
/// memory[28] = 50; // buf_cap
/// memory[32] = 3; // buf_len
/// memory[44] = 7; // val
/// memory[100..103].copy_from_slice(b"\0\x01a");
///
/// let bus = RangeWatchBus::new();
/// let mut events = bus.subscribe(Selector::all()).events(1)?;
/// let mut guest = GuestAbi::new(&bus);
/// guest.attach(&memory, 0, false)?;
/// linker[&(abi::gen1::MODULE, abi::gen1::FLUSH)](&mut guest, &mut memory, &[])?;
/// assert_eq!(events.try_recv()?.value(), 7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[macro_export]
macro_rules! for_each_abi_function {
    ($callback:ident) => {
        $callback! {
            fn gen1::flush as FLUSH() -> returns;
            fn gen1::reserve as RESERVE() -> returns;
            fn gen1::open as OPEN() -> returns;
            fn gen1::start as START() -> returns;
            fn gen1::stop as STOP() -> wait;
            fn gen1::queue as QUEUE() -> returns;
            fn gen1::clear as CLEAR() -> returns;
            fn gen1::group_start as GROUP_START() -> returns;
            fn gen1::group_stop as GROUP_STOP() -> returns;
            fn gen2::queue as QUEUE() -> returns;
            fn gen2::flush as FLUSH() -> returns;
            fn gen2::clear as CLEAR() -> returns;
            fn gen2::reserve as RESERVE() -> returns;
            fn gen2::open as OPEN() -> returns;
            fn gen2::start as START() -> returns;
            fn gen2::stop as STOP() -> wait;
            fn gen2::group_start as GROUP_START() -> returns;
            fn gen2::group_stop as GROUP_STOP() -> returns;
            fn io::input_len as INPUT_LEN() -> value;
            fn io::input_read as INPUT_READ(ptr: i32, offset: i32, len: i32) -> value;
            fn io::output_write as OUTPUT_WRITE(ptr: i32, len: i32) -> returns;
        }
    };
}

/// One function of the guest ABI, as a guest must import it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbiFunction {
    module: &'static str,
    name: &'static str,
    params: &'static [ValType],
    results: &'static [ValType],
}

impl AbiFunction {
    /// The import module.
    #[must_use]
    pub const fn module(&self) -> &'static str {
        self.module
    }

    /// The import name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The signature.
    #[must_use]
    pub fn ty(&self) -> FuncType {
        FuncType::new(self.params, self.results)
    }
}

/// The functions of all generations of the guest ABI.
pub const FUNCTIONS: &[AbiFunction] = {
    macro_rules! functions {
        ($(fn $gen:ident::$_name:ident as $import:ident($($_param:ident: $ty:ident),*) -> $result:ident;)*) => {
            &[$(AbiFunction {
                module: super::$gen::MODULE,
                name: super::$gen::$import,
                params: &[$(functions!(@$ty)),*],
                results: functions!(@$result),
            }),*]
        };
        (@i32) => { ValType::I32 };
        (@i64) => { ValType::I64 };
        (@value) => { &[ValType::I32] };
        (@wait) => { &[] };
        (@returns) => { &[] };
    }
    for_each_abi_function!(functions)
};
