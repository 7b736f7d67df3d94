//! The object that JavaScript holds.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

use js_sys::Array;
use rangewatch::{ErrorChain, RangeWatchBus, Runtime, Wasmi};
use wasm_bindgen::prelude::*;

use crate::guest::{Loaded, limits};
use crate::watch::{Subscription, Watch, selector};
use crate::{report, value};

/// A bus, one guest on it, and the watches of a page.
#[wasm_bindgen]
pub struct Playground {
    bus: RangeWatchBus,
    runtime: Wasmi,
    guest: RefCell<Option<Rc<Loaded>>>,
    /// How many loads have begun.
    n_loads: Cell<u32>,
    watches: RefCell<HashMap<u32, Watch>>,
}

#[wasm_bindgen]
impl Playground {
    /// A bus without history, which takes any values, and nothing on it.
    ///
    /// # Errors
    ///
    /// The record of the emits cannot subscribe.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Result<Self, JsError> {
        let bus = RangeWatchBus::new();
        report::record(&bus)?;
        Ok(Self {
            bus,
            runtime: Wasmi::new(),
            guest: RefCell::default(),
            n_loads: Cell::new(0),
            watches: RefCell::default(),
        })
    }

    /// Loads a module, makes a guest of it and returns its exports, an array of `[name, [parameter
    /// types], [result types]]`. If that fails, the present guest stays.
    ///
    /// # Errors
    ///
    /// The bytes are no module, or one that cannot be a guest; another load has begun meanwhile.
    pub async fn load(
        &self,
        name: String,
        wasm: Vec<u8>,
        fuel: u64,
        seconds: Option<f64>,
    ) -> Result<Array, JsError> {
        let nth = self.n_loads.get() + 1;
        self.n_loads.set(nth);
        let module = self
            .runtime
            .load(&wasm)
            .await
            .map_err(|error| described(&error))?;
        let loaded = Loaded::new(name, module, &self.bus, limits(fuel, seconds)).await;
        let loaded = loaded.map_err(|error| described(&error))?;
        if self.n_loads.get() != nth {
            return Err(JsError::new("another guest was chosen"));
        }
        let exports = loaded.exports();
        if let Some(last) = self.guest.replace(Some(Rc::new(loaded))) {
            last.end();
        }
        Ok(exports)
    }

    /// Makes a new guest of the module, in place of the present one.
    ///
    /// # Errors
    ///
    /// Its start fails.
    pub async fn restart(&self, fuel: u64, seconds: Option<f64>) -> Result<(), JsError> {
        let guest = self.guest()?;
        guest.set_limits(limits(fuel, seconds));
        guest.restart().await.map_err(|error| described(&error))
    }

    /// Calls an export with numbers, and `bigint`s for `i64`, and returns its results.
    ///
    /// # Errors
    ///
    /// There is no such export, the arguments do not fit, or the guest fails.
    pub async fn call(&self, export: String, args: Array) -> Result<Array, JsError> {
        let guest = self.guest()?;
        let ty = guest.module().info().func(&export);
        let ty =
            ty.ok_or_else(|| JsError::new(&format!("the guest exports no function `{export}`")))?;
        let args = value::arguments(ty, &args)?;
        let results = guest.call(&export, &args).await;
        Ok(value::results(
            &results.map_err(|error| JsError::new(&error))?,
        ))
    }

    /// Emits from the host, and returns the number of the emit.
    ///
    /// # Errors
    ///
    /// The bus refuses the emit.
    pub fn emit(&self, value: u64, keys: Vec<String>) -> Result<u64, JsError> {
        let emitted = report::as_host(|| self.bus.emit(value, &keys))?;
        Ok(emitted.seq().get())
    }

    /// Opens a watch: what it selects, and how it receives (`wake`, `coalesce`, `lagged`,
    /// `disconnect`; events are queued up to `capacity`).
    ///
    /// # Errors
    ///
    /// The selector selects nothing, or the capacity is not possible.
    pub fn watch(
        &self,
        id: u32,
        kind: &str,
        from: &str,
        to: &str,
        mode: &str,
        capacity: u32,
    ) -> Result<(), JsError> {
        let selector = selector(kind, from, to)?;
        let subscription = Subscription::open(&self.bus, selector, mode, capacity)?;
        let watch = Watch::start(id, subscription);
        self.watches.borrow_mut().insert(id, watch);
        Ok(())
    }

    /// Ends a watch.
    pub fn unwatch(&self, id: u32) {
        self.watches.borrow_mut().remove(&id);
    }

    /// Has the consumer of a watch pause, or go on.
    pub fn pause(&self, id: u32, is_paused: bool) {
        if let Some(watch) = self.watches.borrow().get(&id) {
            watch.set_paused(is_paused);
        }
    }

    /// Feeds the standard input of the guest.
    ///
    /// # Errors
    ///
    /// The input has ended, or the guest has.
    pub async fn send(&self, text: String) -> Result<(), JsError> {
        let sent = self.guest()?.send(&text).await;
        sent.map_err(|error| JsError::new(&error))
    }

    /// Ends the standard input of the guest.
    ///
    /// # Errors
    ///
    /// There is no guest.
    #[wasm_bindgen(js_name = endInput)]
    pub async fn end_input(&self) -> Result<(), JsError> {
        self.guest()?.end_input().await;
        Ok(())
    }

    fn guest(&self) -> Result<Rc<Loaded>, JsError> {
        let guest = self.guest.borrow().clone();
        guest.ok_or_else(|| JsError::new("there is no guest: choose one"))
    }
}

impl fmt::Debug for Playground {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Playground").finish_non_exhaustive()
    }
}

/// An error with its sources.
fn described(error: &(dyn std::error::Error + 'static)) -> JsError {
    JsError::new(&ErrorChain::new(error).to_string())
}
