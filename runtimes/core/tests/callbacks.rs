//! The ends of callbacks in the linker way, without an engine.

use rangewatch_bus::{RangeWatchBus, Selector};
use rangewatch_runtime::abi::{AbiError, GuestAbi, gen1};

const BUF: usize = 128;
const BUF_LEN: usize = 32;
const ERR_LEN: usize = 40;
const VAL: usize = 44;

/// The memory of a guest, with its meta page at 0. Its error text is at the end.
fn memory() -> Vec<u8> {
    let mut memory = vec![0; 512];
    let page = [BUF, 28, BUF_LEN, 510, 36, ERR_LEN, VAL];
    for (slot, address) in page.into_iter().enumerate() {
        memory[4 * slot..][..4].copy_from_slice(&(address as u32).to_le_bytes());
    }
    (memory[28], memory[36]) = (64, 64);
    memory
}

/// Sets the buffer of a guest.
fn put(memory: &mut [u8], buf: &[u8]) {
    memory[BUF..][..buf.len()].copy_from_slice(buf);
    memory[BUF_LEN] = buf.len() as u8;
}

/// The emits of a callback that failed would otherwise be committed with those of the next one.
#[test]
fn g32_a_callback_whose_report_cannot_be_read_leaves_no_emit_behind() {
    let bus = RangeWatchBus::new();
    let mut events = bus.subscribe(Selector::key("out")).events(1).unwrap();
    let mut abi = GuestAbi::staged(&bus);
    let mut memory = memory();
    abi.attach(&memory, 0, true).unwrap();
    put(&mut memory, b"\0\x01w\0\x02in\0\0");
    let _ = gen1::open(&mut abi, &mut memory).unwrap();
    put(&mut memory, b"w");
    let _ = gen1::start(&mut abi, &mut memory).unwrap();

    bus.emit(1, ["in"]).unwrap();
    let callback = abi.next_callback(&mut memory).unwrap().expect("it is due");
    put(&mut memory, b"\0\x03out");
    let _ = gen1::flush(&mut abi, &mut memory).unwrap();
    assert_eq!(abi.n_staged(), 1);
    // The text would end behind the memory.
    memory[ERR_LEN] = 3;
    let ended = abi.finish(&mut memory, &callback);
    assert!(
        matches!(ended, Err(AbiError::OutOfBounds { .. })),
        "{ended:?}"
    );
    assert_eq!(abi.n_staged(), 0);
    abi.commit().unwrap();
    assert!(events.try_recv().is_err());
}

/// The next `stop` would otherwise be taken for another attempt of the one that was dropped.
#[test]
fn a_wait_of_a_dropped_call_ends_with_its_discarded_emits() {
    let bus = RangeWatchBus::new();
    let mut abi = GuestAbi::staged(&bus);
    let mut other = GuestAbi::of_owner(&abi.owner());
    let mut memory = memory();
    let mut of_other = memory.clone();
    abi.attach(&memory, 0, true).unwrap();
    other.attach(&of_other, 0, true).unwrap();
    for (id, range) in [(b'v', b"in"), (b'w', b"xx")] {
        put(
            &mut memory,
            &[&[0, 1, id, 0, 2], &range[..], &[0, 0]].concat(),
        );
        let _ = gen1::open(&mut abi, &mut memory).unwrap();
        put(&mut memory, &[id]);
        let _ = gen1::start(&mut abi, &mut memory).unwrap();
    }
    bus.emit(1, ["in"]).unwrap();
    let running = other.next_callback(&mut of_other).unwrap().expect("due");
    put(&mut memory, b"v");
    let stopped = gen1::stop(&mut abi, &mut memory).unwrap();
    assert!(stopped.state().is_pending(), "its callback runs");
    // The future that waits is dropped here, and the callback ends.
    abi.discard();
    drop(running);
    put(&mut memory, b"w");
    let stopped = gen1::stop(&mut abi, &mut memory).unwrap();
    assert!(stopped.state().is_ready());
    assert_eq!(abi.owner().n_watches(), 0);
}
