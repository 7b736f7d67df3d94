//! A payload lives as long as an event or the history holds it.

use rangewatch_bus::RangeWatchBus;

fn main() {
    let text = String::from("text");
    let bus = RangeWatchBus::builder()
        .payloads::<&'static str>()
        .build()
        .unwrap();
    let _ = bus.emit_with(1, [("a", text.as_str())]);
}
