//! Authorization.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::IntoResponse;
use rangewatch_bus::{Selector, Selectors};
use rangewatch_http::{EventStreams, WatchRoute};

use crate::client::{bus_of, get, refusal};

#[tokio::test(start_paused = true)]
async fn the_authorization_sees_the_request_and_all_selectors_and_decides() {
    let bus = bus_of(10);
    let streams = EventStreams::builder().build();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let route = WatchRoute::authorized(&bus, &streams, move |head: Parts, selectors: Selectors| {
        let log = Arc::clone(&log);
        async move {
            tokio::task::yield_now().await;
            let id = head.headers.get("last-event-id").cloned();
            let is_allowed = !selectors.matches(b"secret");
            log.lock()
                .unwrap()
                .push((head.uri.path().to_owned(), id, selectors));
            match is_allowed {
                true => Ok(()),
                false => Err((StatusCode::FORBIDDEN, "not yours").into_response()),
            }
        }
    });
    let app: Router = route.unwrap().router();

    let refused = get(&app, "key=a&prefix=sec", Some("7")).await;
    let (status, _, text) = refusal(refused).await;
    assert_eq!(
        (status, text.as_str()),
        (StatusCode::FORBIDDEN, "not yours")
    );
    assert_eq!((bus.n_subscriptions(), streams.stats().n_opened()), (0, 0));

    let allowed = get(&app, "key=a", None).await;
    assert_eq!(allowed.status(), StatusCode::OK);
    assert_eq!(bus.n_subscriptions(), 1);

    let path = || "/watch".to_owned();
    let both = Selectors::from([Selector::key("a"), Selector::prefix("sec")]);
    let id = "7".parse().unwrap();
    let expected = [
        (path(), Some(id), both),
        (path(), None, Selector::key("a").into()),
    ];
    assert_eq!(*seen.lock().unwrap(), expected);
}
