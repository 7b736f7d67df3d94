//! Runs instrumented guests in a linker of the embedder, on either engine.

/// Defines the runner of one engine, from its `engine()`: the code is the same for both.
macro_rules! compiled_on {
    ($engine:ident, $backend:ident, $instantiate:ident, $error:path) => {
        use ::$engine::{Caller, Error, Extern, Linker, Memory, Module, Store};
        use rangewatch::$backend::add_wasi_to_linker;
        use rangewatch::{Exit, Wasi};

        use crate::traces::instrument::{ANSWER, ARGUMENT, CALL, MODULE};
        use crate::traces::recorder::Recorder;
        use crate::traces::trace::{Call, End};

        struct State {
            wasi: Wasi,
            recorder: Recorder,
        }

        /// An instrumented program.
        pub(crate) struct Compiled(Module);

        impl Compiled {
            pub(crate) fn new(wasm: &[u8]) -> Result<Self, String> {
                let engine = engine().map_err(text)?;
                Module::new(&engine, wasm).map(Self).map_err(text)
            }
        }

        impl crate::traces::Compiled for Compiled {
            fn run(&self, wasi: Wasi, recorder: Recorder) -> Result<(Vec<Call>, End), String> {
                let mut linker = Linker::new(self.0.engine());
                add_wasi_to_linker(&mut linker, |state: &mut State| &mut state.wasi)
                    .map_err(text)?;
                add_reports(&mut linker).map_err(text)?;
                let mut store = Store::new(self.0.engine(), State { wasi, recorder });
                let instance = linker.$instantiate(&mut store, &self.0);
                let instance = instance.map_err(text)?;
                let start = instance
                    .get_typed_func::<(), ()>(&mut store, "_start")
                    .map_err(text)?;
                let end = match start.call(&mut store, ()) {
                    Ok(()) => Ok(0),
                    Err(error) => match error.downcast_ref::<Exit>() {
                        Some(exit) => Ok(exit.code()),
                        None => Err(text(error)),
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
                    (caller.data_mut().recorder.call(function)).map_err($error)
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
            memory.ok_or_else(|| $error("the program exports no memory"))
        }

        fn text(error: impl Into<Error>) -> String {
            let error: Error = error.into();
            format!("{error:#}")
        }
    };
}

#[cfg(feature = "wasmi")]
pub(super) mod wasmi {
    use ::wasmi::{Config, Engine};

    compiled_on!(wasmi, with_wasmi, instantiate_and_start, Error::new);

    fn engine() -> Result<Engine, Error> {
        // The recursion limit of the backend.
        let mut config = Config::default();
        config
            .set_max_recursion_depth(16_384)
            .set_max_stack_height(8 << 20);
        Ok(Engine::new(&config))
    }
}

#[cfg(feature = "wasmtime")]
pub(super) mod wasmtime {
    use ::wasmtime::{Config, Engine, OptLevel};

    compiled_on!(wasmtime, with_wasmtime, instantiate, Error::msg);

    fn engine() -> Result<Engine, Error> {
        let mut config = Config::new();
        // Compiling takes longer than running.
        config
            .cranelift_nan_canonicalization(true)
            .cranelift_opt_level(OptLevel::None);
        Engine::new(&config)
    }
}
