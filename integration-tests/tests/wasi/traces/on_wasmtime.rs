//! Guests that report their calls, in a linker of one's own on wasmtime.

use rangewatch::Wasi;
use rangewatch::runtime::HostTrap;
use rangewatch::wasmtime::{add_wasi_to_linker, host_trap};
use wasmtime::{Caller, Config, Engine, Error, Extern, Linker, Memory, Module, OptLevel, Store};

use super::instrument::{ANSWER, ARGUMENT, CALL, MODULE};
use super::recorder::Recorder;
use super::trace::{Call, End};

struct State {
    wasi: Wasi,
    recorder: Recorder,
}

/// An instrumented program.
pub(super) struct Compiled(Module);

impl Compiled {
    pub(super) fn new(wasm: &[u8]) -> Result<Self, String> {
        let mut config = Config::new();
        // Compiling takes longer than running.
        config
            .cranelift_nan_canonicalization(true)
            .cranelift_opt_level(OptLevel::None);
        let engine = Engine::new(&config).map_err(text)?;
        Module::new(&engine, wasm).map(Self).map_err(text)
    }
}

impl super::Compiled for Compiled {
    fn run(&self, wasi: Wasi, recorder: Recorder) -> Result<(Vec<Call>, End), String> {
        let mut linker = Linker::new(self.0.engine());
        add_wasi_to_linker(&mut linker, |state: &mut State| &mut state.wasi).map_err(text)?;
        add_reports(&mut linker).map_err(text)?;
        let mut store = Store::new(self.0.engine(), State { wasi, recorder });
        let instance = linker.instantiate(&mut store, &self.0);
        let instance = instance.map_err(text)?;
        let start = instance
            .get_typed_func::<(), ()>(&mut store, "_start")
            .map_err(text)?;
        let end = match start.call(&mut store, ()) {
            Ok(()) => Ok(0),
            Err(error) => match host_trap(&error) {
                Some(HostTrap::Exit(exit)) => Ok(exit.code()),
                _ => Err(text(error)),
            },
        };
        let memory = instance.get_memory(&mut store, "memory");
        let memory = memory.ok_or("the program exports no memory")?;
        let bytes = memory.data(&store).to_vec();
        Ok((store.into_data().recorder.finish(&bytes), end))
    }
}

fn add_reports(linker: &mut Linker<State>) -> Result<(), Error> {
    linker.func_wrap(
        MODULE,
        ARGUMENT,
        |mut caller: Caller<'_, State>, argument: i64| {
            caller.data_mut().recorder.argument(argument);
        },
    )?;
    linker.func_wrap(
        MODULE,
        CALL,
        |mut caller: Caller<'_, State>, function: i32| {
            (caller.data_mut().recorder.call(function)).map_err(Error::msg)
        },
    )?;
    linker.func_wrap(
        MODULE,
        ANSWER,
        |mut caller: Caller<'_, State>, answer: i32| -> Result<i32, Error> {
            let (bytes, state) = memory(&mut caller)?.data_and_store_mut(&mut caller);
            Ok(state.recorder.answer(bytes, answer))
        },
    )?;
    Ok(())
}

fn memory(caller: &mut Caller<'_, State>) -> Result<Memory, Error> {
    let memory = caller.get_export("memory").and_then(Extern::into_memory);
    memory.ok_or_else(|| Error::msg("the program exports no memory"))
}

fn text(error: impl Into<Error>) -> String {
    let error: Error = error.into();
    format!("{error:?}")
}
