//! The scenarios of the guest ABI and of pools, on a runtime without an engine.

mod toy;

use futures::FutureExt;
use futures::future::ready;
use rangewatch_runtime::abi::{AbiError, Generation, GuestAbi, Outcome, gen1, gen2};
use rangewatch_runtime::conformance::{RAW_GUEST, RAW_GUEST_2};
use rangewatch_runtime::{Failure, HostCx, TrapKind, Val};
use toy::{Toy, ToyRuntime};

rangewatch_runtime::abi_tests!(raw_guest());
rangewatch_runtime::conformance_test!(ToyRuntime::new(vec![]);
    modules_outside_of_the_profile_are_refused
    input_that_is_not_wasm_is_refused
);

/// The raw guest of the suite, its code as closures.
fn raw_guest() -> ToyRuntime {
    // What the guest's data segments put into its memory.
    let mut memory = vec![0; 65_536];
    for (slot, address) in [256_u32, 48, 52, 20_480, 56, 60, 64]
        .into_iter()
        .enumerate()
    {
        memory[16 + 4 * slot..][..4].copy_from_slice(&address.to_le_bytes());
    }
    memory[48..52].copy_from_slice(&16_384_u32.to_le_bytes());
    memory[56..60].copy_from_slice(&1_024_u32.to_le_bytes());
    ToyRuntime::new(memory)
        .export("__range_watch", |_| ready(Ok(vec![Val::I32(16)])).boxed())
        .export("flush", |toy| call(toy, gen1::flush).boxed())
        .export("reserve", |toy| call(toy, gen1::reserve).boxed())
        .export("open", |toy| call(toy, gen1::open).boxed())
        .export("start", |toy| call(toy, gen1::start).boxed())
        .export("stop", |toy| call(toy, gen1::stop).boxed())
        .export("queue", |toy| call(toy, gen2::queue).boxed())
        .export("clear", |toy| call(toy, gen2::clear).boxed())
        .export("group_start", |toy| call(toy, gen2::group_start).boxed())
        .export("group_stop", |toy| call(toy, gen2::group_stop).boxed())
        .export("run", |toy| run(toy).boxed())
        .export("__range_watch_recv", |toy| recv(toy).boxed())
        // The scenario of a guest without recv exports its code by this name.
        .export("no_recv", |toy| recv(toy).boxed())
}

async fn call(
    toy: &mut Toy,
    import: impl Fn(&mut GuestAbi, &mut [u8]) -> Result<Outcome, AbiError>,
) -> Result<Vec<Val>, Failure> {
    toy.import(import).await?;
    Ok(vec![])
}

async fn recv(toy: &mut Toy) -> Result<Vec<Val>, Failure> {
    loop {
        let [Val::I32(step)] = toy.host_function("test", "received", &[]).await?[..] else {
            return Err(Toy::trap(TrapKind::Unreachable));
        };
        match step {
            0 => return Ok(vec![]),
            1 => {
                if HostCx::memory_and_state(toy).1.abi().generation() == Generation::Two {
                    toy.import(gen2::queue).await?;
                }
                toy.import(gen1::flush).await?;
            }
            2 => drop(toy.import(gen1::reserve).await?),
            3 => drop(toy.import(gen1::open).await?),
            4 => drop(toy.import(gen1::start).await?),
            5 => drop(toy.import(gen1::stop).await?),
            7 => drop(toy.import(gen2::group_start).await?),
            8 => drop(toy.import(gen2::group_stop).await?),
            _ => return Err(Toy::trap(TrapKind::Unreachable)),
        }
    }
}

/// The export `run` of the guest of generation 2.
async fn run(toy: &mut Toy) -> Result<Vec<Val>, Failure> {
    toy.memory()[72] = 1;
    recv(toy).await
}

#[test]
fn the_memory_of_the_toy_is_that_of_the_module() {
    let page = "\\00\\01\\00\\00\\30\\00\\00\\00\\34\\00\\00\\00\\00\\50\\00\\00\\38\\00\\00\\00\\3c\\00\\00\\00\\40\\00\\00\\00";
    let sizes = "(data (i32.const 48) \"\\00\\40\\00\\00\\00\\00\\00\\00\\00\\04\\00\\00";
    for guest in [RAW_GUEST, RAW_GUEST_2] {
        assert!(guest.contains(&format!("(data (i32.const 16) \"{page}\")")));
        assert!(guest.contains(sizes));
    }
}
