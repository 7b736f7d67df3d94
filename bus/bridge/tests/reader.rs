//! What a reader does with a log that misbehaves: one that answers from a script.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::executor::block_on;
use futures::future::{Either, select};
use rangewatch_bridge::{
    Backoff, BoxError, Codec, ForeignEntry, FrameBuilder, Head, Log, LogError, LogItem, LogReader,
    LogWriter, Phase, ReadError, Reader, ReaderBuilder, StatusWatch, async_trait,
};
use rangewatch_bus::{EventSubscription, Overflow, RangeWatchBus, RecvError, Selector};

/// An epoch, and the value after which it is read.
type Position = (u64, Option<u64>);

/// What the log answers to the next question.
#[derive(Debug)]
enum Answer {
    Reader,
    Head(Head),
    Items(Vec<LogItem>),
    Error(LogError),
}
use Answer::{Error, Head as HeadIs, Items};

/// A log that answers from a list. When the list is empty it waits.
#[derive(Clone, Debug)]
struct Script {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    sought: Arc<Mutex<Vec<Position>>>,
}

impl Script {
    fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self {
            answers: Arc::new(Mutex::new(answers.into_iter().collect())),
            sought: Arc::default(),
        }
    }

    async fn answer(&self) -> Answer {
        let answer = self.answers.lock().unwrap().pop_front();
        match answer {
            Some(answer) => answer,
            None => futures::future::pending().await,
        }
    }
}

#[async_trait]
impl Log for Script {
    async fn writer(&self) -> Result<Box<dyn LogWriter>, LogError> {
        Err(LogError::ReadOnly)
    }

    async fn reader(&self) -> Result<Box<dyn LogReader>, LogError> {
        let mut answers = self.answers.lock().unwrap();
        match answers.pop_front() {
            Some(Error(error)) => Err(error),
            Some(Answer::Reader) => Ok(Box::new(self.clone())),
            other => {
                answers.extend(other);
                Err(LogError::unavailable("the script is at its end"))
            }
        }
    }

    fn max_frame_bytes(&self) -> usize {
        1 << 20
    }
}

#[async_trait]
impl LogReader for Script {
    async fn head(&mut self) -> Result<Head, LogError> {
        match self.answer().await {
            HeadIs(head) => Ok(head),
            Error(error) => Err(error),
            other => panic!("{other:?} and not a head"),
        }
    }

    async fn seek(&mut self, epoch: u64, after: Option<u64>) -> Result<(), LogError> {
        self.sought.lock().unwrap().push((epoch, after));
        Ok(())
    }

    async fn next(&mut self) -> Result<Vec<LogItem>, LogError> {
        match self.answer().await {
            Items(items) => Ok(items),
            Error(error) => Err(error),
            other => panic!("{other:?} and not items"),
        }
    }
}

fn head(epoch: u64, value: u64, floor: u64) -> Answer {
    HeadIs(Head {
        epoch,
        value: Some(value),
        floor,
    })
}

fn emit(prev: impl Into<Option<u64>>, value: u64) -> LogItem {
    let mut builder = FrameBuilder::new(prev.into(), value);
    builder.push(
        format!("key-{value}").as_bytes(),
        format!("{value}").as_bytes(),
    );
    LogItem::Emit(builder.finish())
}

/// Runs the reader of a script until `done`, with a subscription of each kind since `since`.
fn read(
    script: &Script,
    done: impl Fn(&StatusWatch) -> bool,
) -> (RangeWatchBus, EventSubscription, StatusWatch) {
    block_on(async {
        let backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(1));
        let reader = Reader::builder(script.clone())
            .backoff(backoff)
            .open()
            .await
            .unwrap();
        let status = reader.status();
        let bus = reader.bus().clone();
        let events = bus
            .subscribe(Selector::all())
            .overflow(Overflow::Park)
            .events(64)
            .unwrap();
        let mut until = status.clone();
        let reached = until.until(|_| done(&status));
        let run = std::pin::pin!(reader.run());
        let Either::Right((Some(_), _)) = select(run, std::pin::pin!(reached)).await else {
            panic!("the reader has ended");
        };
        (bus, events, status)
    })
}

fn position(value: u64) -> impl Fn(&StatusWatch) -> bool {
    move |status| status.get().position == Some(value)
}

fn values(events: &mut EventSubscription) -> (Vec<u64>, RecvError) {
    let mut values = Vec::new();
    loop {
        match block_on(events.recv()) {
            Ok(event) => values.push(event.value()),
            Err(end) => return (values, end),
        }
    }
}

#[test]
fn g07_an_emit_that_is_missing_in_the_middle_ends_subscriptions() {
    let items = vec![emit(0, 1), emit(1, 2), emit(4, 5), emit(5, 6)];
    let script = Script::new([Answer::Reader, head(7, 6, 1), head(7, 6, 1), Items(items)]);
    let (bus, mut events, status) = read(&script, position(6));
    let (received, end) = values(&mut events);
    assert_eq!(received, [1, 2]);
    assert_eq!(end, RecvError::Compacted { floor: 5, epoch: 7 });
    assert_eq!((bus.floor(), bus.head()), (Some(5), Some(6)));
    let status = status.get();
    assert_eq!((status.n_gaps, status.n_emits), (1, 4));
    let error = status.last_error.unwrap();
    assert!(error.contains("nothing between Some(2) and 5"), "{error}");
}

#[test]
fn g02_what_was_read_before_is_left_out() {
    let items = vec![emit(0, 1), emit(1, 2), emit(2, 3)];
    let again = vec![emit(0, 1), emit(1, 2), emit(2, 3), emit(3, 4)];
    let script = Script::new([
        Answer::Reader,
        head(7, 3, 1),
        head(7, 3, 1),
        Items(items),
        Items(again),
    ]);
    let (_bus, mut events, status) = read(&script, position(4));
    assert_eq!(values(&mut events), (vec![1, 2, 3, 4], RecvError::Closed));
    assert_eq!((status.get().n_repeated, status.get().n_gaps), (3, 0));
}

#[test]
fn g07_a_log_with_another_past_ends_subscriptions() {
    // The reader has 1, 2 and 3; the log goes on after 2 with 5.
    let items = vec![emit(0, 1), emit(1, 2), emit(2, 3), emit(2, 5)];
    let script = Script::new([Answer::Reader, head(7, 3, 1), head(7, 3, 1), Items(items)]);
    let (bus, mut events, status) = read(&script, position(5));
    let (received, end) = values(&mut events);
    assert_eq!(received, [1, 2, 3]);
    assert_eq!(end, RecvError::Compacted { floor: 3, epoch: 7 });
    assert_eq!(bus.head(), Some(5));
    assert!(
        status
            .get()
            .last_error
            .unwrap()
            .contains("had read up to Some(3)")
    );
}

#[test]
fn a_foreign_entry_is_named_and_nothing_is_lost() {
    let foreign = LogItem::Foreign(ForeignEntry::new("9-1", "it is a joke"));
    let items = vec![emit(0, 1), foreign, emit(1, 2)];
    let script = Script::new([Answer::Reader, head(7, 2, 1), head(7, 2, 1), Items(items)]);
    let (_bus, mut events, status) = read(&script, position(2));
    assert_eq!(values(&mut events), (vec![1, 2], RecvError::Closed));
    let status = status.get();
    assert_eq!((status.n_foreign, status.n_gaps), (1, 0));
    let error = status.last_error.unwrap();
    assert!(error.contains("9-1") && error.contains("a joke"), "{error}");
}

#[test]
fn g09_progress_comes_after_what_it_covers() {
    let items = vec![
        emit(0, 1),
        LogItem::Progress(4),
        emit(4, 5),
        LogItem::Progress(5),
    ];
    let script = Script::new([Answer::Reader, head(7, 5, 1), head(7, 5, 1), Items(items)]);
    let (bus, mut events, status) = read(&script, position(5));
    assert_eq!(values(&mut events), (vec![1, 5], RecvError::Closed));
    assert_eq!((bus.head(), status.get().n_gaps), (Some(5), 0));
}

#[test]
fn a_lost_connection_is_made_again_where_it_was_lost() {
    let lost = || Error(LogError::unavailable("it was lost"));
    let script = Script::new([
        lost(),
        Answer::Reader,
        Error(LogError::Missing),
        Answer::Reader,
        head(7, 2, 1),
        head(7, 2, 1),
        Items(vec![emit(0, 1), emit(1, 2)]),
        lost(),
        lost(),
        Answer::Reader,
        lost(),
        Answer::Reader,
        head(7, 3, 1),
        Items(vec![emit(2, 3)]),
    ]);
    let (_bus, mut events, status) = read(&script, position(3));
    assert_eq!(values(&mut events), (vec![1, 2, 3], RecvError::Closed));
    assert_eq!(*script.sought.lock().unwrap(), [(7, Some(0)), (7, Some(2))]);
    let status = status.get();
    assert_eq!(
        (status.n_connects, status.n_failed, status.n_gaps),
        (2, 0, 0)
    );
    assert_eq!(status.phase, Phase::Ended);
}

#[test]
fn g07_a_log_that_was_trimmed_while_the_reader_was_away_ends_subscriptions() {
    let script = Script::new([
        Answer::Reader,
        head(7, 1, 1),
        head(7, 1, 1),
        Items(vec![emit(0, 1)]),
        Error(LogError::unavailable("it was lost")),
        Answer::Reader,
        head(7, 9, 8),
        Items(vec![emit(7, 8), emit(8, 9)]),
    ]);
    let (bus, mut events, _) = read(&script, position(9));
    let end = RecvError::Compacted { floor: 8, epoch: 7 };
    assert_eq!(values(&mut events), (vec![1], end));
    assert_eq!((bus.floor(), bus.head()), (Some(8), Some(9)));
    assert_eq!(*script.sought.lock().unwrap(), [(7, Some(0)), (7, Some(7))]);
}

#[test]
fn g07_an_epoch_with_lower_values_ends_subscriptions() {
    let script = Script::new([
        Answer::Reader,
        head(7, 9, 8),
        head(7, 9, 8),
        Items(vec![emit(7, 8), emit(8, 9)]),
        Error(LogError::EpochChanged { epoch: 9 }),
        head(9, 4, 3),
        Items(vec![emit(2, 3), emit(3, 4)]),
    ]);
    let (bus, mut events, status) = read(&script, position(4));
    let end = RecvError::Compacted { floor: 3, epoch: 9 };
    assert_eq!(values(&mut events), (vec![8, 9], end));
    assert_eq!(
        (bus.epoch(), bus.floor(), bus.head()),
        (Some(9), Some(3), Some(4))
    );
    assert_eq!(status.get().n_epochs, 1);
}

#[test]
fn a_log_that_refuses_closes_the_bus_with_the_reason() {
    let script = Script::new([
        Answer::Reader,
        head(7, 1, 1),
        head(7, 1, 1),
        Items(vec![emit(0, 1)]),
        Error(LogError::refused(Repeated("the password is wrong".into()))),
    ]);
    block_on(async {
        let reader = Reader::builder(script).open().await.unwrap();
        let status = reader.status();
        let mut events = reader.bus().subscribe(..).events(8).unwrap();
        let error = reader.run().await.unwrap_err();
        assert!(
            matches!(error, ReadError::Log(LogError::Refused(_))),
            "{error:?}"
        );
        assert_eq!(events.recv().await.unwrap().value(), 1);
        assert_eq!(events.recv().await.unwrap_err(), RecvError::Closed);
        let reason = events.close_reason().unwrap();
        let expected = "the server of the log refuses: the password is wrong";
        assert!(reason.ends_with(expected), "{reason}");
        assert_eq!(status.get().phase, Phase::Ended);
        assert_eq!(status.get().last_error.as_deref(), Some(expected));
    });
}

/// An error that has the text of its source.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Repeated(#[source] BoxError);

/// Numbers as text. 3 cannot be read.
struct Numbers;

impl Codec<u64> for Numbers {
    fn encode(&self, _key: &[u8], payload: &u64, into: &mut Vec<u8>) {
        into.extend_from_slice(payload.to_string().as_bytes());
    }

    fn decode(&self, _key: &[u8], bytes: &[u8]) -> Result<u64, BoxError> {
        match str::from_utf8(bytes)?.parse()? {
            3 => Err("3 is not a number".into()),
            number => Ok(number),
        }
    }
}

#[test]
fn g07_a_payload_that_cannot_be_read_is_a_reported_loss() {
    let items = vec![emit(0, 1), emit(1, 2), emit(2, 3), emit(3, 4)];
    let script = Script::new([Answer::Reader, head(7, 4, 1), head(7, 4, 1), Items(items)]);
    block_on(async {
        let builder: ReaderBuilder<u64> = Reader::builder(script).payloads(Numbers);
        let reader = builder.open().await.unwrap();
        let status = reader.status();
        let mut until = status.clone();
        let bus = reader.bus().clone();
        let mut events = bus.subscribe(..).events(8).unwrap();
        let at_end = std::pin::pin!(until.until(|status| status.position == Some(4)));
        select(std::pin::pin!(reader.run()), at_end).await;
        for value in [1, 2] {
            let event = events.recv().await.unwrap();
            assert_eq!(
                event
                    .entries()
                    .map(|(_, payload)| *payload)
                    .collect::<Vec<_>>(),
                [value]
            );
        }
        let end = RecvError::Compacted { floor: 4, epoch: 7 };
        assert_eq!(events.recv().await.unwrap_err(), end);
        let mut rest = bus.subscribe(..).since(4).events(8);
        assert!(rest.as_mut().is_err(), "the bus has closed with its reader");
        let error = status.get().last_error.unwrap();
        assert!(
            error.contains("the emit 3") && error.contains("3 is not a number"),
            "{error}"
        );
    });
}
