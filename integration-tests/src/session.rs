//! A guest whose calls, emits and callbacks are recorded.

use std::sync::{Arc, Mutex};

use rangewatch::bus::EventSubscription;
use rangewatch::{
    CallError, CallbackErrorCause, Guest, GuestBuilder, Module, RangeWatchBus, RunError, Runtime,
    Selector, SharedBuffer, Val, Wasi, WasiBuilder, run_command,
};

/// A line per event: calls with their results or the kind of their error, emits with their keys,
/// callbacks that failed.
pub type Trace = Vec<String>;

/// A guest on a bus of its own, with a trace of everything that it does.
#[derive(Debug)]
pub struct Session {
    /// The guest.
    pub guest: Guest,
    /// Its bus.
    pub bus: RangeWatchBus,
    events: EventSubscription,
    failures: Arc<Mutex<Trace>>,
    trace: Trace,
}

impl Session {
    /// A guest without WASI.
    ///
    /// # Panics
    ///
    /// When the module does not load or start.
    pub async fn new(runtime: &dyn Runtime, wasm: &[u8]) -> Self {
        Self::with(runtime, wasm, |builder| builder).await
    }

    /// A guest with what `configure` adds.
    ///
    /// # Panics
    ///
    /// When the module does not load or start.
    pub async fn with(
        runtime: &dyn Runtime,
        wasm: &[u8],
        configure: impl FnOnce(GuestBuilder<'_>) -> GuestBuilder<'_>,
    ) -> Self {
        let module = runtime.load(wasm).await.expect("the guest loads");
        Self::of(&module, configure).await
    }

    /// A guest of a module, with what `configure` adds.
    ///
    /// # Panics
    ///
    /// When the module does not start.
    pub async fn of(
        module: &Module,
        configure: impl FnOnce(GuestBuilder<'_>) -> GuestBuilder<'_>,
    ) -> Self {
        let bus = RangeWatchBus::new();
        let events = bus
            .subscribe(Selector::all())
            .events(1 << 20)
            .expect("a valid capacity");
        let failures = Arc::new(Mutex::new(Trace::new()));
        let heard = failures.clone();
        let builder = Guest::builder(module, &bus).on_callback_error(move |error| {
            let cause = match &error.cause {
                CallbackErrorCause::Reported(text) => format!("reported {text}"),
                CallbackErrorCause::Call(error) => kind(error),
                other => format!("{other:?}"),
            };
            let id = String::from_utf8_lossy(&error.id);
            heard
                .lock()
                .expect("no panic")
                .push(format!("recv {id}={}: {cause}", error.value));
        });
        let guest = configure(builder)
            .instantiate()
            .await
            .expect("the guest starts");
        Self {
            guest,
            bus,
            events,
            failures,
            trace: Trace::new(),
        }
    }

    /// Calls an export. Returns the results, if it returned.
    pub async fn call(&mut self, export: &str, args: &[Val]) -> Option<Vec<Val>> {
        let result = self.guest.call(export, args).await;
        let line = match &result {
            Ok(results) => format!("{export}{args:?} = {results:?}"),
            Err(error) => format!("{export}{args:?}: {}", kind(error)),
        };
        self.trace.push(line);
        self.observe();
        result.ok()
    }

    /// Calls an export `(i32) -> (i32)`, the signature of the watcher's verbs.
    ///
    /// # Panics
    ///
    /// When it does not return that.
    pub async fn code(&mut self, export: &str, arg: i32) -> i32 {
        match self.call(export, &[Val::I32(arg)]).await.as_deref() {
            Some([Val::I32(code)]) => *code,
            other => panic!("{export} gave {other:?}"),
        }
    }

    /// Emits from the host.
    ///
    /// # Panics
    ///
    /// When the bus is closed.
    pub fn emit(&mut self, value: u64, key: &str) {
        self.bus.emit(value, [key]).expect("the bus is open");
        self.observe();
    }

    /// Runs the callbacks that are due. Returns their number, or the kind of the error.
    ///
    /// # Errors
    ///
    /// When there is no instance to run them on.
    pub async fn drive(&mut self) -> Result<usize, String> {
        let result = self
            .guest
            .drive_until_idle()
            .await
            .map_err(|error| kind(&error));
        self.trace.push(format!("drive: {result:?}"));
        self.observe();
        result
    }

    /// The trace so far.
    #[must_use]
    pub fn trace(self) -> Trace {
        self.trace
    }

    /// The lines since the line `from`.
    #[must_use]
    pub fn since(&self, from: usize) -> &[String] {
        &self.trace[from..]
    }

    /// How many lines there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.trace.len()
    }

    /// Whether the trace is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.trace.is_empty()
    }

    fn observe(&mut self) {
        self.trace
            .append(&mut self.failures.lock().expect("no panic"));
        while let Ok(event) = self.events.try_recv() {
            let keys: Vec<_> = event.keys().map(String::from_utf8_lossy).collect();
            let line = format!("emit {} {} {keys:?}", event.seq(), event.value());
            self.trace.push(line);
        }
    }
}

/// The kind of an error, which is the same on every engine; the text is not.
#[must_use]
pub fn kind(error: &CallError) -> String {
    match error {
        CallError::Trap {
            export,
            kind,
            message,
            ..
        } => match message {
            Some(message) => format!("trap {kind:?} in {export}: {message}"),
            None => format!("trap {kind:?} in {export}"),
        },
        CallError::Exit { exit, .. } => format!("exit {}", exit.code()),
        CallError::Abi { source, .. } => format!("abi {source:?}"),
        CallError::Gone { .. } => "gone".to_owned(),
        CallError::UnknownExport { .. } => "unknown export".to_owned(),
        CallError::Arguments { .. } => "arguments".to_owned(),
        other => format!("{other:?}"),
    }
}

/// Runs a command with captured output. Returns the exit code, stdout and stderr as a trace.
///
/// # Panics
///
/// When the program does not load or start.
pub async fn run_program(
    runtime: &dyn Runtime,
    wasm: &[u8],
    configure: impl FnOnce(WasiBuilder) -> WasiBuilder,
) -> Trace {
    let (out, err) = (SharedBuffer::new(), SharedBuffer::new());
    let builder = Wasi::builder().stdout(out.clone()).stderr(err.clone());
    let wasi = configure(builder).build().expect("valid arguments");
    let end = match run_command(runtime, wasm, wasi).await {
        Ok(exit) => format!("exit {}", exit.code()),
        Err(RunError::Call(error)) => kind(&error),
        Err(error) => panic!("{error}"),
    };
    vec![end, out.to_string_lossy(), err.to_string_lossy()]
}
