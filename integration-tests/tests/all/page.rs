//! The guest on the page for authors of guests in any language, `sdk/README.md`.

use integration_tests::{Session, Trace, on_each_backend};
use rangewatch::{Runtime, Val};

on_each_backend! {
    the_guest_on_the_page_emits_and_watches,
}

const PAGE: &str = include_str!("../../../sdk/README.md");

async fn the_guest_on_the_page_emits_and_watches(runtime: &dyn Runtime) -> Trace {
    let (_, rest) = PAGE.split_once("```wat\n").expect("the page has a guest");
    let (text, _) = rest.split_once("```").expect("the block ends");
    let wasm = wat::parse_str(text).expect("the text is well formed");
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
