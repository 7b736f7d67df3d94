//! Modules of host functions.

use std::fmt;

use futures::future::BoxFuture;

use crate::engine::host_cx::HostCx;
use crate::engine::host_function::{HostError, HostFunction};
use crate::engine::typed_values::TypedValues;
use crate::engine::val::Scalars;
use crate::guest::call_end::CallEnd;
use crate::guest::inner::OnCallEnd;

pub(crate) type DataSource = Box<dyn Fn(&mut TypedValues) + Send + Sync>;

/// The host functions of one import module, with the data of each instance and the meta page that
/// they use: what a library for embedders provides. Given to a guest by
/// [`GuestBuilder::host_module`](crate::GuestBuilder::host_module).
///
/// # Examples
///
/// ```
/// use rangewatch_runtime::{GuestBuilder, HostModule};
///
/// /// Numbers that guests share with nobody.
/// fn counters() -> HostModule {
///     HostModule::new("counters")
///         .instance_data(|| 0_i64)
///         .function("add", |cx, n: i64| {
///             let sum = cx.data::<i64>()?;
///             *sum = sum.wrapping_add(n);
///             Ok(*sum)
///         })
///         .function("reset", |cx, ()| Ok(*cx.data::<i64>()? = 0))
/// }
///
/// # fn example(builder: GuestBuilder<'_>) -> GuestBuilder<'_> {
/// builder.host_module(counters())
/// # }
/// ```
#[must_use = "a module does nothing unless it is given to a guest"]
pub struct HostModule {
    name: String,
    pub(crate) functions: Vec<HostFunction>,
    pub(crate) data: Vec<DataSource>,
    pub(crate) pages: Vec<PageSource>,
    pub(crate) on_call_end: Vec<OnCallEnd>,
}

/// A meta page that a module of host functions needs.
#[derive(Clone, Debug)]
pub(crate) struct PageSource {
    /// The import module whose functions need it.
    pub(crate) module: String,
    /// The export that returns its address.
    pub(crate) export: String,
    pub(crate) n_addresses: usize,
}

impl HostModule {
    /// A module of this name without functions, `kv` in `(import "kv" "get" ..)`.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            functions: Vec::new(),
            data: Vec::new(),
            pages: Vec::new(),
            on_call_end: Vec::new(),
        }
    }

    /// Adds a function that returns at once, as
    /// [`GuestBuilder::host_function`](crate::GuestBuilder::host_function) does.
    pub fn function<A: Scalars, R: Scalars>(
        mut self,
        name: &str,
        f: impl Fn(&mut dyn HostCx, A) -> Result<R, HostError> + Send + Sync + 'static,
    ) -> Self {
        self.functions.push(HostFunction::sync(&self.name, name, f));
        self
    }

    /// Adds a function that may wait, whose future borrows nothing of the context, as
    /// [`GuestBuilder::host_function_async`](crate::GuestBuilder::host_function_async) does.
    pub fn function_async<A: Scalars, R: Scalars, F>(
        mut self,
        name: &str,
        f: impl Fn(&mut dyn HostCx, A) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<R, HostError>> + Send + 'static,
    {
        self.functions
            .push(HostFunction::asynchronous(&self.name, name, f));
        self
    }

    /// Adds a function that may wait, whose future uses the context, as
    /// [`GuestBuilder::host_function_async_cx`](crate::GuestBuilder::host_function_async_cx) does.
    pub fn function_async_cx<A: Scalars, R: Scalars>(
        mut self,
        name: &str,
        f: impl for<'c> Fn(&'c mut dyn HostCx, A) -> BoxFuture<'c, Result<R, HostError>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.functions
            .push(HostFunction::asynchronous_cx(&self.name, name, f));
        self
    }

    /// Gives each instance data, as
    /// [`GuestBuilder::instance_data`](crate::GuestBuilder::instance_data) does. Use a type of the
    /// module's own: there is one value of each type.
    pub fn instance_data<T: Send + 'static>(
        mut self,
        make: impl Fn() -> T + Send + Sync + 'static,
    ) -> Self {
        self.data.push(Box::new(move |data| data.insert(make())));
        self
    }

    /// Declares the [meta page](crate::MetaPage) of the module: the guest exports `export`, a
    /// function `() -> i32` that returns the address of a table of `n_addresses`. A guest that
    /// imports a function of this module and has no such export is refused.
    pub fn meta_page(mut self, export: impl Into<String>, n_addresses: usize) -> Self {
        self.pages.push(PageSource {
            module: self.name.clone(),
            export: export.into(),
            n_addresses,
        });
        self
    }

    /// Runs at the end of every call of an export of a guest with this module, as
    /// [`GuestBuilder::on_call_end`](crate::GuestBuilder::on_call_end) does: to release what the
    /// call held. Data of the instance needs no hook when the call fails: it is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_runtime::HostModule;
    ///
    /// #[derive(Default)]
    /// struct Held(Vec<u32>);
    ///
    /// let locks = HostModule::new("locks")
    ///     .instance_data(Held::default)
    ///     .function("lock", |cx, lock: u32| Ok(cx.data::<Held>()?.0.push(lock)))
    ///     .on_call_end(|end| {
    ///         if let Ok(held) = end.data::<Held>() {
    ///             held.0.clear();
    ///         }
    ///     });
    /// # let _ = locks;
    /// ```
    pub fn on_call_end(mut self, f: impl Fn(&mut CallEnd<'_>) + Send + Sync + 'static) -> Self {
        self.on_call_end.push(Box::new(f));
        self
    }
}

impl fmt::Debug for HostModule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostModule")
            .field("name", &self.name)
            .field("functions", &self.functions)
            .field("pages", &self.pages)
            .finish_non_exhaustive()
    }
}
