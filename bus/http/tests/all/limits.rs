//! Limits and bad requests.

use axum::http::StatusCode;
use rangewatch_bus::{History, RangeWatchBus};
use rangewatch_http::{EventStreams, QueryParser, WatchRoute, WatchRouteError};

use crate::client::{app, app_of, bus_of, get, refusal, watch};

#[tokio::test(start_paused = true)]
async fn streams_beyond_the_limit_are_refused_until_one_ends() {
    let bus = bus_of(10);
    let streams = EventStreams::builder().max_streams(2).build();
    let app = app_of(&bus, &streams);
    let first = watch(&app, "all").await;
    let _second = watch(&app, "all").await;

    let (status, headers, text) = refusal(get(&app, "all", None).await).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(headers["retry-after"], "3");
    assert!(text.starts_with("2 streams are open"), "{text}");
    assert_eq!(bus.n_subscriptions(), 2);

    drop(first);
    let _third = watch(&app, "all").await;
    let stats = streams.stats();
    assert_eq!(
        (stats.n_open(), stats.n_opened(), stats.n_refused()),
        (2, 3, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn the_limit_of_the_bus_refuses_as_well() {
    let history = History::events(10);
    let bus = RangeWatchBus::builder()
        .history(history)
        .max_subscriptions(1)
        .build()
        .unwrap();
    let app = app(&bus);
    let _first = watch(&app, "all").await;
    let (status, headers, _) = refusal(get(&app, "all", None).await).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(headers["retry-after"], "3");
}

#[tokio::test(start_paused = true)]
async fn bad_queries_are_refused_with_a_message() {
    let bus = bus_of(10);
    let app = app(&bus);
    for (query, reason) in [
        ("", "nothing to watch"),
        ("prefx=a", "\"prefx\" is no parameter"),
        ("key=%zz", "key= has a lone percent sign"),
        ("all&since=x", "since= is no value"),
        ("range=m..a", "the range"),
    ] {
        let (status, headers, text) = refusal(get(&app, query, None).await).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}");
        assert_eq!(headers["content-type"], "text/plain; charset=utf-8");
        assert!(text.contains(reason), "{query}: {text}");
    }
    let long = format!("key={}", "a".repeat(QueryParser::DEFAULT_BYTES));
    let (status, _, text) = refusal(get(&app, &long, None).await).await;
    assert_eq!(status, StatusCode::URI_TOO_LONG, "{text}");
    let many = ["key=a"; QueryParser::DEFAULT_SELECTORS + 1].join("&");
    let (status, _, text) = refusal(get(&app, &many, None).await).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{text}");
    assert_eq!(bus.n_subscriptions(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_parser_of_the_service_decides_what_a_query_may_have() {
    let parser = QueryParser::default().max_selectors(1).ignore("token");
    let streams = EventStreams::builder().build();
    let route = WatchRoute::public(&bus_of(10), &streams)
        .unwrap()
        .query(parser);
    let app = route.router();
    assert_eq!(
        get(&app, "key=a&token=t", None).await.status(),
        StatusCode::OK
    );
    let refused = get(&app, "key=a&key=b", None).await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
}

#[test]
fn a_bus_without_history_is_refused_when_the_route_is_made() {
    let refused = WatchRoute::public(&RangeWatchBus::new(), &EventStreams::builder().build());
    let error = refused.unwrap_err();
    assert_eq!(error, WatchRouteError::NoHistory);
    assert!(
        error
            .to_string()
            .contains("RangeWatchBus::builder().history(..)")
    );
}
