//! The steps of a script, and their strategies.

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;
use rangewatch_bus::{Overflow, Selector};

use crate::cases;
use crate::payload::Entries;

/// A value, most often in the neighborhood of the head, so that scripts of few steps meet the
/// bounds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Choice {
    /// So much above the head, or below it.
    Near(i64),
    Exactly(u64),
}

impl Choice {
    pub(crate) fn of(self, head: Option<u64>) -> u64 {
        match self {
            Self::Near(distance) => head.unwrap_or(0).saturating_add_signed(distance),
            Self::Exactly(value) => value,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Emit,
    EmitNext,
    EmitAsync,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Begin {
    Started,
    Held,
    Reserved,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    Add,
    Remove,
    Set,
}

/// The settings of a subscription.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) selectors: Vec<Selector>,
    pub(crate) since: Option<Choice>,
    pub(crate) epoch: Option<u64>,
    pub(crate) begin: Begin,
    /// `None` for spans.
    pub(crate) events: Option<Queue>,
}

#[derive(Clone, Debug)]
pub(crate) struct Queue {
    pub(crate) overflow: Option<Overflow>,
    pub(crate) capacity: usize,
    pub(crate) max_bytes: usize,
}

/// One step. Subscriptions are named by a number that is taken modulo how many there are.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Emit(Kind, Choice, Entries),
    Many(Vec<(Choice, Entries)>),
    Batch(Vec<(Choice, Entries)>),
    Subscribe(Request),
    Receive(usize),
    ReceiveItem(usize),
    Change(usize, Change, Vec<Selector>),
    Open(usize, Vec<Selector>),
    Pause(usize),
    Start(usize),
    StartAfter(usize, Choice),
    RequestProgress(usize),
    Compact(Choice),
    Advance(Choice),
    Restore(u64, Option<Choice>),
    Close,
    CloseNow,
    Drop(usize),
}

/// A history of so many events and bytes, and the head that it begins with.
pub(crate) type Past = Option<(usize, usize, Option<u64>)>;

pub(crate) fn past() -> impl Strategy<Value = Past> {
    weighted(
        0.7,
        (
            1_usize..12,
            prop_oneof![3 => Just(1 << 20), 1 => 20_usize..120],
            weighted(0.3, select(&[0, 5, 1000][..])),
        ),
    )
}

fn choice() -> impl Strategy<Value = Choice> {
    prop_oneof![
        30 => (1_i64..4).prop_map(Choice::Near),
        4 => (-6_i64..1).prop_map(Choice::Near),
        1 => select(&[0, 1, u64::MAX - 1, u64::MAX][..]).prop_map(Choice::Exactly),
    ]
}

/// A value of the past, as `since`, `compact` and `start_after` take it.
fn past_choice() -> impl Strategy<Value = Choice> {
    prop_oneof![
        30 => (-9_i64..4).prop_map(Choice::Near),
        1 => select(&[0, 1, u64::MAX][..]).prop_map(Choice::Exactly),
    ]
}

fn entries() -> impl Strategy<Value = Entries> {
    vec((cases::key(), 0_u64..20), 0..4)
}

/// Wide selectors, so that most emits match.
fn selectors() -> impl Strategy<Value = Vec<Selector>> {
    prop_oneof![
        2 => Just(vec![Selector::all()]),
        3 => vec(cases::selector(), 0..4),
    ]
}

fn request() -> impl Strategy<Value = Request> {
    let overflow = select(
        &[
            Overflow::Lagged,
            Overflow::Coalesce,
            Overflow::Disconnect,
            Overflow::Park,
            Overflow::Backpressure,
        ][..],
    );
    let queue = (
        weighted(0.8, overflow),
        1_usize..5,
        prop_oneof![4 => Just(usize::MAX), 3 => 16_usize..90, 1 => Just(0)],
    )
        .prop_map(|(overflow, capacity, max_bytes)| Queue {
            overflow,
            capacity,
            max_bytes,
        });
    (
        selectors(),
        weighted(0.4, past_choice()),
        weighted(0.3, 0_u64..3),
        prop_oneof![5 => Just(Begin::Started), 2 => Just(Begin::Held), 1 => Just(Begin::Reserved)],
        weighted(0.8, queue),
    )
        .prop_map(|(selectors, since, epoch, begin, events)| Request {
            selectors,
            since,
            epoch,
            begin,
            events,
        })
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let how =
        prop_oneof![3 => Just(Kind::Emit), 1 => Just(Kind::EmitNext), 1 => Just(Kind::EmitAsync)];
    let change = select(&[Change::Add, Change::Remove, Change::Set][..]);
    let many = || vec((choice(), entries()), 0..4);
    let sub = || 0_usize..6;
    prop_oneof![
        40 => (how, choice(), entries())
            .prop_map(|(how, value, entries)| Step::Emit(how, value, entries)),
        2 => many().prop_map(Step::Many),
        2 => many().prop_map(Step::Batch),
        12 => request().prop_map(Step::Subscribe),
        12 => sub().prop_map(Step::Receive),
        12 => sub().prop_map(Step::ReceiveItem),
        4 => (sub(), change, selectors())
            .prop_map(|(sub, change, selectors)| Step::Change(sub, change, selectors)),
        2 => (sub(), selectors()).prop_map(|(sub, selectors)| Step::Open(sub, selectors)),
        2 => sub().prop_map(Step::Pause),
        3 => sub().prop_map(Step::Start),
        2 => (sub(), past_choice()).prop_map(|(sub, value)| Step::StartAfter(sub, value)),
        6 => sub().prop_map(Step::RequestProgress),
        3 => past_choice().prop_map(Step::Compact),
        2 => choice().prop_map(Step::Advance),
        4 => (0_u64..3, weighted(0.8, past_choice()))
            .prop_map(|(epoch, head)| Step::Restore(epoch, head)),
        1 => Just(Step::Close),
        1 => Just(Step::CloseNow),
        3 => sub().prop_map(Step::Drop),
    ]
}
