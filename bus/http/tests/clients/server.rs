//! A server on one port that stops and starts again.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use rangewatch_bus::RangeWatchBus;
use rangewatch_http::{EventStreams, WatchRoute};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// One run of the server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    streams: EventStreams,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Server {
    /// Serves the watches of `bus` and the routes of `more`. Port 0 is any that is free.
    pub(crate) async fn start(bus: &RangeWatchBus, more: Router, address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let streams = EventStreams::builder()
            .retry(Duration::from_millis(50))
            .build();
        let watch = WatchRoute::public(bus, &streams).unwrap();
        let (stop, stopped) = oneshot::channel();
        let serve = axum::serve(listener, more.merge(watch.router()));
        let serve = serve.with_graceful_shutdown(async move {
            let _ = stopped.await;
        });
        Self {
            address,
            streams,
            stop,
            task: tokio::spawn(serve.into_future()),
        }
    }

    /// Ends the streams and the server.
    pub(crate) async fn stop(self) {
        self.streams.shutdown();
        self.stop.send(()).unwrap();
        in_time(self.task).await.unwrap().unwrap();
    }
}

/// Fails the test if `future` takes a minute.
pub(crate) async fn in_time<F: Future>(future: F) -> F::Output {
    let deadline = Duration::from_secs(60);
    tokio::time::timeout(deadline, future)
        .await
        .expect("it is ready in time")
}
