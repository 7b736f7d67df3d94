//! The table of functions, as a macro that every backend expands, and as data.

/// The module name in the imports of a guest.
///
/// Source: WASI preview1 witx, `module $wasi_snapshot_preview1`.
pub const MODULE: &str = "wasi_snapshot_preview1";

/// Calls the macro `$callback` once, with one line for each of the 46 functions of WASI preview1.
///
/// A line reads `fn name(param: i32, other: i64) -> errno;`, where the types are those of the
/// WebAssembly signature and the result is one of three words:
///
/// - `errno`: the function returns one `i32`. [`preview1::name`](crate::preview1) returns
///   `Result<(), Errno>`, which [`Errno::encode`](crate::Errno::encode) converts to that `i32`.
/// - `wait`: the function returns one `i32`, but may block or end the guest instead.
///   [`preview1::name`](crate::preview1) returns `Result<(), Interrupt>`. For
///   [`Interrupt::Wait`](crate::Interrupt::Wait) the backend awaits
///   [`Wasi::poll_ready`](crate::Wasi::poll_ready) or calls [`Wasi::block`](crate::Wasi::block),
///   and retries.
/// - `never`: the function does not return to the guest. [`preview1::name`](crate::preview1)
///   returns an [`Exit`](crate::Exit), which the backend passes to its engine as the error that
///   ends the call.
///
/// Each function is called as `preview1::name(ctx, memory, param, other)`. A backend is one macro
/// with three arms, and its calls are direct: no lookup by name, no boxed arguments.
///
/// # Examples
///
/// A backend for an engine whose host functions take a slice of 64-bit values, and whose guests
/// block:
///
/// ```
/// use std::collections::HashMap;
///
/// use rangewatch_wasi::{Errno, Exit, Interrupt, Wasi, preview1};
///
/// type HostFunction = fn(&mut Wasi, &mut [u8], &[i64]) -> Result<Option<i32>, Exit>;
///
/// fn add_to_linker(linker: &mut HashMap<&str, HostFunction>) {
///     macro_rules! define {
///         ($(fn $name:ident($($param:ident: $ty:ident),*) -> $result:ident;)*) => {
///             $(linker.insert(stringify!($name), |ctx, _memory, values| {
///                 let mut _values = values.iter();
///                 $(let $param = *_values.next().expect("the engine checked the arity") as $ty;)*
///                 define!(@$result ctx preview1::$name(ctx, _memory, $($param),*))
///             });)*
///         };
///         (@errno $ctx:ident $call:expr) => { Ok(Some(Errno::encode($call))) };
///         (@wait $ctx:ident $call:expr) => {
///             loop {
///                 match $call {
///                     Err(Interrupt::Wait) => $ctx.block(),
///                     Err(Interrupt::Errno(errno)) => break Ok(Some(errno.code())),
///                     Err(Interrupt::Exit(exit)) => break Err(exit),
///                     Err(Interrupt::Signal(signal)) => {
///                         break Err(Exit::new(128 + u32::from(signal.number())));
///                     }
///                     Ok(()) => break Ok(Some(0)),
///                 }
///             }
///         };
///         (@never $ctx:ident $call:expr) => { Err($call) };
///     }
///     rangewatch_wasi::for_each_function!(define);
/// }
///
/// let mut linker = HashMap::new();
/// add_to_linker(&mut linker);
/// assert_eq!(linker.len(), 46);
///
/// let mut ctx = Wasi::builder().build()?;
/// assert_eq!(linker["sched_yield"](&mut ctx, &mut [], &[]), Ok(Some(0)));
/// assert_eq!(linker["proc_exit"](&mut ctx, &mut [], &[3]), Err(Exit::new(3)));
/// # Ok::<(), rangewatch_wasi::WasiBuildError>(())
/// ```
#[macro_export]
macro_rules! for_each_function {
    ($callback:ident) => {
        $callback! {
            fn args_get(argv: i32, argv_buf: i32) -> errno;
            fn args_sizes_get(argc_out: i32, argv_buf_size_out: i32) -> errno;
            fn environ_get(environ: i32, environ_buf: i32) -> errno;
            fn environ_sizes_get(environc_out: i32, environ_buf_size_out: i32) -> errno;
            fn clock_res_get(id: i32, resolution_out: i32) -> errno;
            fn clock_time_get(id: i32, precision: i64, time_out: i32) -> errno;
            fn fd_advise(fd: i32, offset: i64, len: i64, advice: i32) -> errno;
            fn fd_allocate(fd: i32, offset: i64, len: i64) -> errno;
            fn fd_close(fd: i32) -> errno;
            fn fd_datasync(fd: i32) -> errno;
            fn fd_fdstat_get(fd: i32, stat_out: i32) -> errno;
            fn fd_fdstat_set_flags(fd: i32, flags: i32) -> errno;
            fn fd_fdstat_set_rights(fd: i32, rights_base: i64, rights_inheriting: i64) -> errno;
            fn fd_filestat_get(fd: i32, stat_out: i32) -> errno;
            fn fd_filestat_set_size(fd: i32, size: i64) -> errno;
            fn fd_filestat_set_times(fd: i32, atim: i64, mtim: i64, fst_flags: i32) -> errno;
            fn fd_pread(fd: i32, iovs: i32, iovs_len: i32, offset: i64, nread_out: i32) -> errno;
            fn fd_prestat_get(fd: i32, prestat_out: i32) -> errno;
            fn fd_prestat_dir_name(fd: i32, path: i32, path_len: i32) -> errno;
            fn fd_pwrite(fd: i32, iovs: i32, iovs_len: i32, offset: i64, nwritten_out: i32) -> errno;
            fn fd_read(fd: i32, iovs: i32, iovs_len: i32, nread_out: i32) -> wait;
            fn fd_readdir(fd: i32, buf: i32, buf_len: i32, cookie: i64, bufused_out: i32) -> wait;
            fn fd_renumber(fd: i32, to: i32) -> errno;
            fn fd_seek(fd: i32, offset: i64, whence: i32, newoffset_out: i32) -> errno;
            fn fd_sync(fd: i32) -> errno;
            fn fd_tell(fd: i32, offset_out: i32) -> errno;
            fn fd_write(fd: i32, iovs: i32, iovs_len: i32, nwritten_out: i32) -> wait;
            fn path_create_directory(fd: i32, path: i32, path_len: i32) -> errno;
            fn path_filestat_get(fd: i32, flags: i32, path: i32, path_len: i32, stat_out: i32) -> errno;
            fn path_filestat_set_times(fd: i32, flags: i32, path: i32, path_len: i32, atim: i64, mtim: i64, fst_flags: i32) -> errno;
            fn path_link(old_fd: i32, old_flags: i32, old_path: i32, old_path_len: i32, new_fd: i32, new_path: i32, new_path_len: i32) -> errno;
            fn path_open(fd: i32, dirflags: i32, path: i32, path_len: i32, oflags: i32, rights_base: i64, rights_inheriting: i64, fdflags: i32, opened_fd_out: i32) -> errno;
            fn path_readlink(fd: i32, path: i32, path_len: i32, buf: i32, buf_len: i32, bufused_out: i32) -> errno;
            fn path_remove_directory(fd: i32, path: i32, path_len: i32) -> errno;
            fn path_rename(fd: i32, old_path: i32, old_path_len: i32, new_fd: i32, new_path: i32, new_path_len: i32) -> errno;
            fn path_symlink(old_path: i32, old_path_len: i32, fd: i32, new_path: i32, new_path_len: i32) -> errno;
            fn path_unlink_file(fd: i32, path: i32, path_len: i32) -> errno;
            fn poll_oneoff(subscriptions: i32, events: i32, nsubscriptions: i32, nevents_out: i32) -> wait;
            fn proc_exit(code: i32) -> never;
            fn proc_raise(signal: i32) -> wait;
            fn sched_yield() -> wait;
            fn random_get(buf: i32, buf_len: i32) -> wait;
            fn sock_accept(fd: i32, flags: i32, fd_out: i32) -> wait;
            fn sock_recv(fd: i32, ri_data: i32, ri_data_len: i32, ri_flags: i32, ro_datalen_out: i32, ro_flags_out: i32) -> wait;
            fn sock_send(fd: i32, si_data: i32, si_data_len: i32, si_flags: i32, so_datalen_out: i32) -> wait;
            fn sock_shutdown(fd: i32, how: i32) -> errno;
        }
    };
}

/// The type of a parameter in a WebAssembly signature.
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::{FUNCTIONS, ValueType};
///
/// let seek = FUNCTIONS.iter().find(|function| function.name() == "fd_seek").unwrap();
/// // A descriptor, an offset, the origin of the offset, and a pointer to the result.
/// assert_eq!(seek.params(), [ValueType::I32, ValueType::I64, ValueType::I32, ValueType::I32]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ValueType {
    /// A pointer, a size, a descriptor, flags, or an enumeration.
    I32,
    /// A time, a file size, an offset, a directory cookie, or rights.
    I64,
}

/// The WebAssembly signature of one function, as a guest must import it.
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::{FUNCTIONS, ValueType};
///
/// let time = FUNCTIONS.iter().find(|function| function.name() == "clock_time_get").unwrap();
/// assert_eq!(time.params(), [ValueType::I32, ValueType::I64, ValueType::I32]);
/// assert!(time.returns_errno());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FunctionSignature {
    name: &'static str,
    params: &'static [ValueType],
    returns_errno: bool,
}

impl FunctionSignature {
    /// The name that guests import from [`MODULE`].
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The types of the parameters, in order.
    #[must_use]
    pub const fn params(&self) -> &'static [ValueType] {
        self.params
    }

    /// Whether the function has one `i32` result, the errno. Otherwise it has no result.
    #[must_use]
    pub const fn returns_errno(&self) -> bool {
        self.returns_errno
    }
}

/// The signatures of all functions, in the order of the specification. Use it to check the imports
/// of a module.
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::{FUNCTIONS, MODULE};
///
/// let provides = |module: &str, name: &str| {
///     module == MODULE && FUNCTIONS.iter().any(|function| function.name() == name)
/// };
/// assert!(provides("wasi_snapshot_preview1", "fd_write"));
/// assert!(!provides("env", "fd_write"));
/// ```
pub const FUNCTIONS: &[FunctionSignature] = {
    macro_rules! signatures {
        ($(fn $name:ident($($param:ident: $ty:ident),*) -> $result:ident;)*) => {
            &[$(FunctionSignature {
                name: stringify!($name),
                params: &[$(signatures!(@$ty)),*],
                returns_errno: signatures!(@$result),
            }),*]
        };
        (@i32) => { ValueType::I32 };
        (@i64) => { ValueType::I64 };
        (@errno) => { true };
        (@wait) => { true };
        (@never) => { false };
    }
    for_each_function!(signatures)
};
