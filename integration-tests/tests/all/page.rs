//! The guest on the page for authors of guests in any language, `sdk/README.md`.

use integration_tests::{Session, Trace, on_each_backend};
use rangewatch::{Runtime, Val};

on_each_backend! {
    the_guest_on_the_page_emits_and_watches,
    the_batch_on_the_page_is_what_the_host_writes,
}

const PAGE: &str = include_str!("../../../sdk/README.md");

/// The guest on the page, in WebAssembly's text format.
fn guest_text() -> &'static str {
    let (_, rest) = PAGE.split_once("```wat\n").expect("the page has a guest");
    rest.split_once("```").expect("the block ends").0
}

async fn the_guest_on_the_page_emits_and_watches(runtime: &dyn Runtime) -> Trace {
    let wasm = wat::parse_str(guest_text()).expect("the text is well formed");
    let mut guest = Session::new(runtime, &wasm).await;
    let follow = async |guest: &mut Session| guest.call("follow", &[]).await;
    assert_eq!(follow(&mut guest).await, Some(vec![Val::I32(0)]));
    // Its own emit, and one of the host: the first value counts.
    guest.call("apply", &[Val::I64(7)]).await;
    guest.emit(8, "test-299");
    guest.emit(9, "test-300");
    assert_eq!(guest.drive().await, Ok(1));
    let received = guest.call("received", &[]).await;
    assert_eq!(received, Some(vec![Val::I64(7)]));
    guest.emit(10, "test-300");
    assert_eq!(guest.drive().await, Ok(0));
    let length = "Watch already open".len() as i32;
    assert_eq!(follow(&mut guest).await, Some(vec![Val::I32(length)]));
    guest.trace()
}

/// The bytes of the batch on the page: two digits each, and words behind them.
fn batch_on_the_page() -> Vec<u8> {
    let (_, rest) = PAGE
        .split_once("`buf_len` is 34 and `buf` is\n\n```text\n")
        .expect("the page has a batch");
    let (block, _) = rest.split_once("```").expect("the block ends");
    let bytes = block.lines().flat_map(|line| {
        let (digits, _) = line.split_once("   ").expect("each line has words");
        digits.split(' ')
    });
    bytes
        .map(|digits| u8::from_str_radix(digits, 16).expect("two digits"))
        .collect()
}

/// The guest on the page as one of generation 2, which keeps the batch and opens its watch under
/// the id of the page, `w1`, and then under `w2`.
async fn the_batch_on_the_page_is_what_the_host_writes(runtime: &dyn Runtime) -> Trace {
    let (text, _) = guest_text()
        .split_once("(global $received")
        .expect("the guest has a recv");
    let text = text.replace("pantopic/wazero-range-watch", "pantopic/ext-range-watch")
        + r#"
        (func (export "rename") (i32.store8 (i32.const 131) (i32.const 50)))
        (func (export "narrow") (i32.store8 (i32.const 139) (i32.const 50)))
        (func (export "__range_watch_recv")
            (memory.copy (i32.const 20480) (i32.const 4096) (i32.load (i32.const 52)))
            (i32.store (i32.const 24576) (i32.load (i32.const 52))))
        (func (export "len") (result i32) (i32.load (i32.const 24576)))
        (func (export "byte") (param i32) (result i32)
            (i32.load8_u (i32.add (i32.const 20480) (local.get 0)))))"#;
    let wasm = wat::parse_str(text).expect("the text is well formed");
    let mut guest = Session::new(runtime, &wasm).await;
    let followed = guest.call("follow", &[]).await;
    assert_eq!(followed, Some(vec![Val::I32(0)]));
    for export in ["rename", "narrow"] {
        guest.call(export, &[]).await.expect("no trap");
    }
    let followed = guest.call("follow", &[]).await;
    assert_eq!(followed, Some(vec![Val::I32(0)]), "test-200 to test-300");
    guest.emit(5, "test-250");
    guest.emit(6, "test-150");
    assert_eq!(guest.drive().await, Ok(1));
    let expected = batch_on_the_page();
    let len = guest.call("len", &[]).await;
    assert_eq!(len, Some(vec![Val::I32(34)]));
    for (index, byte) in expected.iter().enumerate() {
        let received = guest.code("byte", index as i32).await;
        assert_eq!(received, i32::from(*byte), "byte {index}");
    }
    assert_eq!(expected.len(), 34);
    guest.trace()
}
