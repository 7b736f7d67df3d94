//! The guest of the [programs](super::programs), its code as closures.

use futures::FutureExt;
use rangewatch_runtime::abi::{AbiError, Generation, GuestAbi, Outcome, gen1, gen2, io};
use rangewatch_runtime::{Failure, HostCx, HostTrap, TrapKind, Val};

use super::programs::guest::{
    CLEAR, DIVIDE, FILL, FLUSH, GROUP_START, GROUP_STOP, GROW, INPUT_LEN, INPUT_READ, LOAD,
    MAX_PAGES, OPEN, OUTPUT_WRITE, PAGE_BYTES, QUEUE, RESERVE, START, STOP, STORE, UNREACHABLE,
};
use super::toy::{Toy, ToyRuntime};

pub(crate) fn runtime() -> ToyRuntime {
    ToyRuntime::new(vec![0; PAGE_BYTES])
        .export("__range_watch", |toy| {
            toy.host_function("test", "page", &[]).boxed()
        })
        .export("run", |toy| run(toy, Begin::Call).boxed())
        .export("__range_watch_recv", |toy| run(toy, Begin::Recv).boxed())
        .export("_initialize", |toy| run(toy, Begin::Reactor).boxed())
        .export("_start", |toy| run(toy, Begin::Command).boxed())
}

#[derive(Clone, Copy, PartialEq)]
enum Begin {
    Reactor,
    Command,
    Call,
    Recv,
}

async fn run(toy: &mut Toy, begin: Begin) -> Result<Vec<Val>, Failure> {
    let begin_function = match begin {
        Begin::Reactor | Begin::Command => "begin_start",
        Begin::Call => "begin_call",
        Begin::Recv => "begin_recv",
    };
    toy.host_function("test", begin_function, &[]).await?;
    loop {
        let step = number(&toy.host_function("test", "next", &[]).await?);
        let mut args = [0; 3];
        for (index, arg) in (0..).zip(&mut args) {
            let results = toy.host_function("test", "arg", &[Val::I32(index)]).await?;
            *arg = number(&results);
        }
        let [a, b, c] = args;
        let watching = matches!(step, FLUSH..=STOP | QUEUE..=GROUP_STOP);
        if begin == Begin::Command && watching {
            attach_in_call(toy).await?;
        }
        let result = match step {
            0 => return Ok(vec![]),
            _ if watching => {
                let function = function(step, toy.memory_and_abi().1.generation());
                toy.import(function).await.map(|_| None)
            }
            INPUT_LEN => toy.import(io::input_len).await.map(Some),
            INPUT_READ => {
                let read =
                    |abi: &mut GuestAbi, memory: &mut [u8]| io::input_read(abi, memory, a, b, c);
                toy.import(read).await.map(Some)
            }
            OUTPUT_WRITE => {
                let write = |abi: &mut GuestAbi, memory: &mut [u8]| -> Result<Outcome, AbiError> {
                    io::output_write(abi, memory, a, b)
                };
                toy.import(write).await.map(|_| None)
            }
            _ => execute(toy, step, args),
        }?;
        if let Some(result) = result {
            let result = [Val::I32(result)];
            toy.host_function("test", "result", &result).await?;
        }
    }
}

type Function = fn(&mut GuestAbi, &mut [u8]) -> Result<Outcome, AbiError>;

/// The import of this number.
fn function(step: i32, generation: Generation) -> Function {
    match (step, generation) {
        (FLUSH, Generation::One) => gen1::flush,
        (RESERVE, Generation::One) => gen1::reserve,
        (OPEN, Generation::One) => gen1::open,
        (START, Generation::One) => gen1::start,
        (STOP, Generation::One) => gen1::stop,
        (FLUSH, _) => gen2::flush,
        (RESERVE, _) => gen2::reserve,
        (OPEN, _) => gen2::open,
        (START, _) => gen2::start,
        (STOP, _) => gen2::stop,
        (QUEUE, _) => gen2::queue,
        (CLEAR, _) => gen2::clear,
        (GROUP_START, _) => gen2::group_start,
        _ => gen2::group_stop,
    }
}

/// What a backend does before the first import of a command.
async fn attach_in_call(toy: &mut Toy) -> Result<(), Failure> {
    if !toy.memory_and_abi().1.must_attach() {
        return Ok(());
    }
    let page = number(&toy.host_function("test", "page", &[]).await?);
    let (memory, abi) = toy.memory_and_abi();
    abi.attach(memory, page as u32, true)
        .map_err(|error| HostTrap::Abi(error).into())
}

/// An instruction of the engine.
fn execute(toy: &mut Toy, step: i32, [a, b, c]: [i32; 3]) -> Result<Option<i32>, Failure> {
    match step {
        GROW => {
            let n_pages = toy.memory.len() / PAGE_BYTES;
            let n_grown = n_pages + a as usize;
            if n_grown > MAX_PAGES {
                return Ok(Some(-1));
            }
            toy.memory.resize(n_grown * PAGE_BYTES, 0);
            Ok(Some(n_pages as i32))
        }
        LOAD => {
            let bytes = bytes(toy, a, 4)?;
            let value = (0..4).map(|i| i32::from(bytes[i]) << (8 * i)).sum();
            Ok(Some(value))
        }
        STORE => {
            bytes(toy, a, 4)?.copy_from_slice(&b.to_le_bytes());
            Ok(None)
        }
        UNREACHABLE => Err(Toy::trap(TrapKind::Unreachable)),
        DIVIDE if b == 0 => Err(Toy::trap(TrapKind::DivisionByZero)),
        DIVIDE => match a.checked_div(b) {
            Some(quotient) => Ok(Some(quotient)),
            None => Err(Toy::trap(TrapKind::IntegerOverflow)),
        },
        FILL => {
            bytes(toy, a, c as u32)?.fill(b as u8);
            Ok(None)
        }
        step => panic!("there is no step {step}"),
    }
}

fn bytes(toy: &mut Toy, at: i32, n: u32) -> Result<&mut [u8], Failure> {
    let start = at as u32 as usize;
    let bytes = toy.memory.get_mut(start..start + n as usize);
    bytes.ok_or_else(|| Toy::trap(TrapKind::MemoryOutOfBounds))
}

fn number(results: &[Val]) -> i32 {
    match results {
        [Val::I32(number)] => *number,
        other => panic!("{other:?}"),
    }
}
