//! The suite that every log passes, for the tests of an implementation.
//!
//! A scenario is an async function over a log of its own, which nobody has begun yet; it panics if
//! the log fails it. [`conformance_tests!`](crate::conformance_tests) makes a test of each.

#![expect(
    missing_docs,
    clippy::missing_panics_doc,
    reason = "a scenario panics if the log fails it, and its name says what it checks"
)]

mod appends;
mod bridges;
mod epochs;
mod reads;

use std::sync::Arc;

use futures::future::LocalBoxFuture;

use crate::{Frame, FrameBuilder, Log, LogItem, LogReader, LogWriter};

/// A scenario as a value.
pub type Scenario = fn(Arc<dyn Log>) -> LocalBoxFuture<'static, ()>;

/// A scenario that no group names is never used, which is an error in CI.
macro_rules! groups {
    ($($module:ident { $($name:ident,)* })*) => {
        $(pub use $module::{$($name),*};)*

        /// Makes a test of each scenario. The argument is a function that gets the name of a
        /// scenario and the [`Scenario`], and runs it on a log that does not exist yet.
        ///
        /// # Examples
        ///
        /// ```
        /// use std::sync::Arc;
        ///
        /// use rangewatch_bridge::conformance::Scenario;
        /// use rangewatch_bridge::{MemoryLog, conformance_tests};
        ///
        /// fn run(_name: &str, scenario: Scenario) {
        ///     futures::executor::block_on(scenario(Arc::new(MemoryLog::new())));
        /// }
        ///
        /// conformance_tests!(run);
        /// ```
        #[macro_export]
        macro_rules! conformance_tests {
            ($run:expr) => {
                $($(
                    #[test]
                    fn $name() {
                        $run(stringify!($name), |log| Box::pin($crate::conformance::$name(log)));
                    }
                )*)*
            };
        }
    };
}

groups! {
    appends {
        appends_continue_the_head,
        what_the_log_has_is_not_appended_again,
        frames_that_do_not_continue_the_log_are_refused_together,
        the_least_and_the_greatest_value_are_appended,
        keys_and_payloads_are_any_bytes,
        a_large_emit_is_read_whole,
        an_emit_that_is_too_large_is_refused,
        g02_several_writers_leave_one_copy,
    }
    reads {
        a_reader_reads_what_is_there_and_what_comes,
        a_reader_begins_after_a_value,
        a_reader_begins_in_the_future,
        several_readers_read_the_same,
        g09_progress_follows_everything_up_to_the_head,
        compaction_raises_the_floor_and_no_more,
        compaction_of_everything_keeps_the_head,
        g07_a_read_of_what_was_removed_is_reported,
    }
    epochs {
        a_log_that_was_not_begun_is_missing,
        an_epoch_begins_once,
        of_epochs_that_begin_at_once_one_does,
        an_epoch_begins_after_a_head,
        an_epoch_removes_what_was_before,
        an_append_in_another_epoch_is_refused,
        a_waiting_reader_learns_of_an_epoch,
    }
    bridges {
        g01_a_bus_gets_what_another_bus_emits,
        g07_subscriptions_end_when_the_log_was_trimmed_under_the_reader,
        g07_subscriptions_end_when_an_epoch_begins,
        g08_a_reader_serves_the_past_from_the_floor_on,
        a_reader_begins_between_two_emits,
        g02_replicas_that_append_the_same_are_read_once,
        g40_payloads_travel_with_their_keys,
        an_appender_continues_where_the_log_ends,
        an_appender_that_was_overtaken_says_so,
        a_writer_continues_after_another,
    }
}

/// The epoch of most scenarios.
const EPOCH: u64 = 7;

/// A frame whose keys tell its value.
fn frame(prev: impl Into<Option<u64>>, value: u64) -> Frame {
    let mut builder = FrameBuilder::new(prev.into(), value);
    builder.push(format!("key-{value}").as_bytes(), b"");
    builder.push(b"all", b"");
    builder.finish()
}

/// Frames of consecutive values, the first one after the value before it.
fn frames(values: std::ops::RangeInclusive<u64>) -> Vec<Frame> {
    values
        .map(|value| frame(value.checked_sub(1), value))
        .collect()
}

/// Connects a writer, and begins [`EPOCH`] after the value 0.
async fn begun(log: &dyn Log) -> Box<dyn LogWriter> {
    let mut writer = log.writer().await.expect("a writer");
    writer
        .begin_epoch(None, EPOCH, Some(0))
        .await
        .expect("an epoch");
    writer
}

async fn reader_after(log: &dyn Log, after: u64) -> Box<dyn LogReader> {
    let mut reader = log.reader().await.expect("a reader");
    reader.seek(EPOCH, Some(after)).await.expect("a position");
    reader
}

/// Reads until it has this many frames.
async fn read(reader: &mut dyn LogReader, n_frames: usize) -> Vec<Frame> {
    let mut frames = Vec::new();
    while frames.len() < n_frames {
        for item in reader.next().await.expect("items") {
            match item {
                LogItem::Emit(frame) => frames.push(frame),
                LogItem::Progress(value) => {
                    let last = frames.last().map(Frame::value);
                    assert!(
                        last.is_none_or(|last| last <= value),
                        "progress {value} after {last:?}"
                    );
                }
                LogItem::Foreign(entry) => panic!("{entry}"),
            }
        }
    }
    assert_eq!(frames.len(), n_frames, "{frames:?}");
    frames
}

fn values(frames: &[Frame]) -> Vec<u64> {
    frames.iter().map(Frame::value).collect()
}
