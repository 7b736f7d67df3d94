//! The guest: loading, calls, standard streams.

use std::cell::RefCell;
use std::convert::Infallible;
use std::error::Error;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use futures::channel::oneshot;
use futures::future::{Either, FutureExt, Shared, select};
use futures::lock::Mutex;
use js_sys::{Array, Uint8Array};
use rangewatch::runtime::ExternType;
use rangewatch::runtime::abi::gen1;
use rangewatch::wasi::PipeWriter;
use rangewatch::{
    CallError, CallOutcome, ErrorChain, Guest, InstantiateError, Limits, Module, RangeWatchBus,
    Stdout, SystemClock, SystemRandom, Val, Wasi, pipe,
};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;

use crate::pace::paced;
use crate::report;

/// Bytes of standard input that wait until the guest reads them.
const STDIN_BYTES: usize = 1 << 20;

/// A module, and the guest that was made of it last.
pub(crate) struct Loaded {
    name: String,
    module: Module,
    bus: RangeWatchBus,
    limits: RefCell<Limits>,
    running: RefCell<Rc<Running>>,
    /// Dropped to end the calls of `running`.
    calls: RefCell<Option<oneshot::Sender<Infallible>>>,
}

/// One guest, with the end of its standard input that the page writes to.
struct Running {
    guest: Guest,
    stdin: Mutex<Option<PipeWriter>>,
    /// Resolves when another guest replaces it.
    replaced: Shared<oneshot::Receiver<Infallible>>,
}

/// The bounds of a guest: fuel of a call, and seconds, if they are bounded.
pub(crate) fn limits(fuel: u64, seconds: Option<f64>) -> Limits {
    let limits = Limits::default()
        .fuel_per_call(fuel)
        .memory_bytes(MEMORY_BYTES);
    match seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
        Some(time) => limits.wall_time(time),
        None => limits,
    }
}

/// Linear memory of a guest. A page of a browser has 4 GiB at most, with everything in it.
const MEMORY_BYTES: usize = 256 << 20;

impl Loaded {
    /// Makes the first guest of a module.
    pub(crate) async fn new(
        name: String,
        module: Module,
        bus: &RangeWatchBus,
        limits: Limits,
    ) -> Result<Self, InstantiateError> {
        let (running, calls) = Running::new(&name, &module, bus, limits.clone()).await?;
        Ok(Self {
            name,
            module,
            bus: bus.clone(),
            limits: RefCell::new(limits),
            running: RefCell::new(Rc::new(running)),
            calls: RefCell::new(Some(calls)),
        })
    }

    /// The exported functions: an array of `[name, [parameter types], [result types]]`.
    pub(crate) fn exports(&self) -> Array {
        let types = |types: &[rangewatch::ValType]| -> Array {
            types
                .iter()
                .map(|ty| JsValue::from(ty.to_string()))
                .collect()
        };
        let export = |(name, ty): (&str, &ExternType)| match ty {
            ExternType::Func(ty) => Some(Array::of3(
                &name.into(),
                &types(ty.params()),
                &types(ty.results()),
            )),
            _ => None,
        };
        self.module.info().exports().filter_map(export).collect()
    }

    pub(crate) fn module(&self) -> &Module {
        &self.module
    }

    /// Sets the bounds of the guests that are made from now on.
    pub(crate) fn set_limits(&self, limits: Limits) {
        self.limits.replace(limits);
    }

    /// Makes a new guest of the module, in place of the present one.
    pub(crate) async fn restart(&self) -> Result<(), InstantiateError> {
        let limits = self.limits.borrow().clone();
        let (running, calls) = Running::new(&self.name, &self.module, &self.bus, limits).await?;
        self.running.replace(Rc::new(running));
        self.calls.replace(Some(calls));
        Ok(())
    }

    /// Ends the calls that run.
    pub(crate) fn end(&self) {
        self.calls.take();
    }

    /// Calls an export. A guest that has ended, or a command that was run, is replaced by a new
    /// one.
    pub(crate) async fn call(&self, export: &str, args: &[Val]) -> Result<Vec<Val>, String> {
        let running = self.running.borrow().clone();
        match running.call(export, args).await? {
            Err(CallError::Gone { .. } | CallError::AlreadyStarted) => drop(running),
            called => return called.map_err(described),
        }
        self.restart().await.map_err(described)?;
        report::notice("a new instance was made: the last one has ended");
        let running = self.running.borrow().clone();
        running.call(export, args).await?.map_err(described)
    }

    /// Feeds the standard input. An error says that the guest does not read it any more.
    pub(crate) async fn send(&self, text: &str) -> Result<(), String> {
        let running = self.running.borrow().clone();
        let send = pin!(running.send(text));
        match select(send, running.replaced.clone()).await {
            Either::Left((sent, _)) => sent,
            Either::Right(_) => Err("another guest replaced the one of this input".to_owned()),
        }
    }

    /// Ends the standard input.
    pub(crate) async fn end_input(&self) {
        let running = self.running.borrow().clone();
        let stdin = pin!(running.stdin.lock());
        if let Either::Left((mut stdin, _)) = select(stdin, running.replaced.clone()).await {
            stdin.take();
        }
    }
}

impl Running {
    async fn new(
        name: &str,
        module: &Module,
        bus: &RangeWatchBus,
        limits: Limits,
    ) -> Result<(Self, oneshot::Sender<Infallible>), InstantiateError> {
        let (writer, reader) = pipe(STDIN_BYTES);
        let wasi = Wasi::builder()
            .args([name])
            .stdin(reader)
            .stdout(output("stdout"))
            .stderr(output("stderr"))
            .clock(SystemClock::new())
            .random(SystemRandom::new())
            .build();
        let wasi = wasi.map_err(|error| InstantiateError::Wasi(error.into()))?;
        let guest = Guest::builder(module, bus)
            .wasi(wasi)
            .limits(limits)
            .on_call_end(|end| {
                // The other outcomes are errors.
                if end.export() == gen1::RECV && matches!(end.outcome(), CallOutcome::Returned) {
                    report::callback(&id_of(end.watch_id()), "");
                }
            })
            .on_callback_error(|error| {
                let id = Some(&*error.id).filter(|id| !id.is_empty());
                report::callback(&id_of(id), &ErrorChain::new(&error).to_string());
            })
            .instantiate();
        let guest = paced(guest).await?;
        let pump = guest.pump();
        spawn_local(async {
            // It ends with its guest, whose calls then say why.
            let _ = paced(pump).await;
        });
        let (calls, replaced) = oneshot::channel();
        let running = Self {
            guest,
            stdin: Mutex::new(Some(writer)),
            replaced: replaced.shared(),
        };
        Ok((running, calls))
    }

    async fn send(&self, text: &str) -> Result<(), String> {
        let mut stdin = self.stdin.lock().await;
        let stdin = stdin
            .as_mut()
            .ok_or("the input has ended: restart the guest for another")?;
        let sent = stdin.send(text.as_bytes()).await;
        sent.map_err(|error| format!("the guest does not read its input any more: {error}"))
    }

    /// Calls an export, until another guest replaces this one.
    async fn call(&self, export: &str, args: &[Val]) -> Result<Called, String> {
        let call = pin!(paced(self.guest.call(export, args)));
        match select(call, self.replaced.clone()).await {
            Either::Left((called, _)) => Ok(called),
            Either::Right(_) => Err(format!(
                "`{export}` was ended, because another guest replaced its own"
            )),
        }
    }
}

type Called = Result<Vec<Val>, CallError>;

/// The id of a watch, if the callback is of one.
fn id_of(id: Option<&[u8]>) -> String {
    id.map_or_else(String::new, |id| String::from_utf8_lossy(id).into_owned())
}

/// An error with its sources.
fn described<E: Error + 'static>(error: E) -> String {
    ErrorChain::new(&error).to_string()
}

/// An output stream that is reported.
fn output(stream: &'static str) -> Stdout {
    Stdout::from_fn(move |bytes| report::output(stream, Uint8Array::from(bytes)))
}
