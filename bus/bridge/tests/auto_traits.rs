//! What may move to another thread.

use rangewatch_bridge::{Appender, MemoryLog, Reader, Writer};
use rangewatch_bus::RangeWatchBus;

fn is_send<T: Send>(value: T) -> T {
    value
}

#[test]
fn futures_of_writers_readers_and_appenders_may_be_spawned() {
    drop(is_send(Writer::open(MemoryLog::new())));
    drop(is_send(Reader::builder(MemoryLog::new()).open()));
    let _ = |mut writer: Writer| {
        drop(is_send(writer.append(1, ["key"])));
        drop(is_send(writer.append_many([(1, ["key"])])));
        drop(is_send(writer.compact(1)));
        drop(is_send(writer.begin_epoch(None)));
    };
    let _ = |reader: Reader| is_send(reader.run());
    let _ = |bus: &RangeWatchBus| {
        let appender = Appender::builder(MemoryLog::new(), bus).build();
        drop(appender.map(|appender| is_send(appender.run())));
    };
}
