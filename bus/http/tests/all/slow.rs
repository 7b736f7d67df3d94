//! Clients that do not read, or slowly: the server holds what they do not take.

use std::time::Duration;

use axum::body::{BodyDataStream, Bytes};
use futures::{FutureExt, StreamExt};
use rangewatch_bus::RangeWatchBus;
use rangewatch_http::{EventStreams, StalledError, WatchRoute};
use tokio::time::{Instant, sleep};

use crate::client::{Parser, bus_of, get, in_time};

const IN_FLIGHT_BYTES: usize = 8 << 10;
const STALL_TIMEOUT: Duration = EventStreams::DEFAULT_STALL_TIMEOUT;

/// The frames of a stream of everything, as a server receives them.
async fn frames(bus: &RangeWatchBus, streams: &EventStreams) -> BodyDataStream {
    let route = WatchRoute::public(bus, streams).unwrap().queue(64, 4 << 10);
    let response = get(&route.router(), "all", None).await;
    response.into_body().into_data_stream()
}

/// The frames that the stream hands out while none is written.
fn take_all(frames: &mut BodyDataStream) -> Vec<Bytes> {
    let mut taken = Vec::new();
    while let Some(Some(Ok(frame))) = frames.next().now_or_never() {
        taken.push(frame);
    }
    taken
}

fn n_bytes(frames: &[Bytes]) -> usize {
    frames.iter().map(Bytes::len).sum()
}

#[tokio::test(start_paused = true)]
async fn what_is_in_flight_is_bounded_and_nothing_more_leaves_the_queue() {
    let bus = bus_of(100_000);
    let streams = EventStreams::builder().build();
    let mut body = frames(&bus, &streams).await;
    let mut held = Vec::new();
    for value in 1..=5_000 {
        bus.emit(value, ["a key of some length".repeat(5)]).unwrap();
        held.extend(take_all(&mut body));
    }
    assert!(n_bytes(&held) <= IN_FLIGHT_BYTES, "{}", n_bytes(&held));
    assert!(held.len() <= 8, "{} frames", held.len());
    assert_eq!(bus.stats().n_parked(), 1);

    // What is written makes room for as much.
    let mut parser = Parser::default();
    let mut next = 1;
    while next <= 5_000 {
        for frame in std::mem::take(&mut held) {
            parser.push(&frame);
        }
        while let Some(event) = parser.next() {
            if event.name.is_empty() {
                assert_eq!(event.id, next.to_string());
                next += 1;
            }
        }
        held = take_all(&mut body);
        assert!(n_bytes(&held) <= IN_FLIGHT_BYTES);
    }
}

#[tokio::test(start_paused = true)]
async fn small_frames_in_flight_are_bounded_in_number() {
    let bus = bus_of(100);
    let mut body = frames(&bus, &EventStreams::builder().build()).await;
    let mut held = Vec::new();
    for value in 1..=100 {
        bus.emit(value, ["k"]).unwrap();
        held.extend(take_all(&mut body));
    }
    // hyper polls no body of which it holds 16 frames.
    assert_eq!(held.len(), 8);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_disconnected_after_the_stall_timeout() {
    let bus = bus_of(100);
    let streams = EventStreams::builder().build();
    let mut body = frames(&bus, &streams).await;
    let start = Instant::now();
    let mut held = Vec::new();
    let error = loop {
        match in_time(body.next()).await.unwrap() {
            Ok(frame) => held.push(frame),
            Err(error) => break error,
        }
    };
    assert_eq!(start.elapsed().as_secs(), STALL_TIMEOUT.as_secs());
    assert_eq!(error.to_string(), StalledError::default().to_string());
    assert!(body.next().await.is_none());
    assert_eq!((bus.n_subscriptions(), streams.stats().n_stalled()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_a_frame_now_and_then_is_not_stalled() {
    let bus = bus_of(100_000);
    let streams = EventStreams::builder().build();
    let mut body = frames(&bus, &streams).await;
    for value in 1..=10_000 {
        bus.emit(value, ["a key of some length".repeat(5)]).unwrap();
    }
    let mut held = std::collections::VecDeque::new();
    for _ in 0..50 {
        // Each time a little before the timeout; the stream is polled meanwhile.
        let almost = sleep(STALL_TIMEOUT - Duration::from_millis(10));
        tokio::pin!(almost);
        loop {
            tokio::select! {
                biased;
                frame = body.next() => held.push_back(frame.unwrap().unwrap()),
                () = &mut almost => break,
            }
        }
        held.pop_front().unwrap();
    }
    assert_eq!(streams.stats().n_stalled(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_one_byte_a_second_ends_and_resumes_without_a_gap() {
    let bus = bus_of(100_000);
    let streams = EventStreams::builder().build();
    for value in 1..=1_000 {
        bus.emit(value, ["k"]).unwrap();
    }
    let route = WatchRoute::public(&bus, &streams)
        .unwrap()
        .queue(64, 4 << 10);
    let app = route.router();
    let mut read = Vec::new();
    let mut last_id = "0".to_owned();
    for _ in 0..3 {
        let mut body = get(&app, "all", Some(&last_id))
            .await
            .into_body()
            .into_data_stream();
        let mut parser = Parser::default();
        let mut held = std::collections::VecDeque::new();
        let (mut n_taken, mut n_seconds) = (0, 0);
        let error = loop {
            tokio::select! {
                biased;
                frame = body.next() => match frame.unwrap() {
                    Ok(frame) => held.push_back(frame),
                    Err(error) => break error,
                },
                () = sleep(Duration::from_secs(1)) => {
                    let frame: &Bytes = held.front().unwrap();
                    parser.push(&frame[n_taken..=n_taken]);
                    n_taken += 1;
                    n_seconds += 1;
                    assert!(n_seconds < 3_600, "it is too slow to go on");
                    if n_taken == frame.len() {
                        held.pop_front();
                        n_taken = 0;
                    }
                }
            }
        };
        assert_eq!(error.to_string(), StalledError::default().to_string());
        // The kernel still delivers what it had buffered.
        for frame in held {
            parser.push(&frame[n_taken..]);
            n_taken = 0;
        }
        while let Some(event) = parser.next() {
            last_id = event.id;
            read.push(last_id.parse::<u64>().unwrap());
        }
    }
    assert!(read.len() > 100, "{}", read.len());
    assert!(read.iter().copied().eq(1..=read.len() as u64));
    assert_eq!(streams.stats().n_stalled(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_end_waits_until_it_is_written_but_no_longer_than_the_stall_timeout() {
    let bus = bus_of(100);
    let streams = EventStreams::builder().build();
    let mut body = frames(&bus, &streams).await;
    let mut held = take_all(&mut body);
    streams.shutdown();
    held.extend(take_all(&mut body));
    let mut parser = Parser::default();
    held.iter().for_each(|frame| parser.push(frame));
    assert!(std::iter::from_fn(|| parser.next()).any(|event| event.name == "shutdown"));

    // A server that shuts down waits for the end of the body.
    assert!(body.next().now_or_never().is_none());
    assert!(in_time(body.next()).await.unwrap().is_err());

    let mut body = frames(&bus, &streams).await;
    let held = take_all(&mut body);
    assert!(body.next().now_or_never().is_none());
    drop(held);
    assert!(body.next().now_or_never().unwrap().is_none());
}
