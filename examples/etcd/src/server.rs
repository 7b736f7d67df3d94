//! The server: its services on one address.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use axum::middleware;
use rangewatch::{ErrorChain, Runtime};
use rangewatch_http::EventStreams;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;
use tokio_stream::{Stream, StreamExt as _};
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{self, Identity, ServerTlsConfig};

use crate::BoxError;
use crate::host::Recorded;
use crate::kv::{KvService, MAX_RECEIVED};
use crate::lease::LeaseService;
use crate::machine::Machine;
use crate::maintenance::MaintenanceService;
use crate::metrics;
use crate::pages;
use crate::proto::etcdserverpb::cluster_server::ClusterServer;
use crate::proto::etcdserverpb::lease_server::LeaseServer;
use crate::proto::etcdserverpb::maintenance_server::MaintenanceServer;
use crate::proto::etcdserverpb::watch_server::WatchServer;
use crate::proto::kv::k_v_server::KVServer;
use crate::store::Store;
use crate::watch::WatchService;

/// How long a server that stops waits for clients that neither finish their requests nor read the
/// responses.
const GRACE: Duration = Duration::from_secs(5);

/// How often the kernel asks a client that says nothing whether it is still there. One that lost
/// its network would otherwise keep its watches. Source: the default of Go, and so of etcd.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// How long the server waits after it could not accept a connection, as when it has no file
/// descriptor left. The next attempt would fail at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How the server serves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The address of the server. Port 0 for one that is free.
    pub listen: SocketAddr,
    /// The certificate and the key of the server, in PEM. Without them it speaks plain text.
    pub tls: Option<(Vec<u8>, Vec<u8>)>,
    /// How often a watch that has asked for it, and has received nothing, learns how far it is.
    pub progress_interval: Duration,
    /// Bytes of a request that writes.
    pub max_request_bytes: usize,
}

impl Config {
    /// etcd's defaults, on an address.
    #[must_use]
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            tls: None,
            progress_interval: Duration::from_secs(10 * 60),
            max_request_bytes: 3 << 19,
        }
    }
}

/// A server that listens.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    machine: Machine,
    /// The name of the runtime.
    runtime: &'static str,
    leases: LeaseService,
    transport: transport::Server,
    config: Config,
    stop: watch::Sender<bool>,
    writer: JoinHandle<()>,
}

impl Server {
    /// Starts the state machine on a runtime, over a store, and listens.
    ///
    /// # Errors
    ///
    /// The certificate or its key cannot be used, the guest cannot be instantiated, the store
    /// cannot be read, the address is in use.
    pub async fn start(
        runtime: &dyn Runtime,
        store: Store,
        config: Config,
    ) -> Result<Self, BoxError> {
        let mut transport = transport::Server::builder().accept_http1(true);
        if let Some((certificate, key)) = &config.tls {
            let tls = ServerTlsConfig::new().identity(Identity::from_pem(certificate, key));
            transport = transport.tls_config(tls).map_err(|error| {
                let error = ErrorChain::new(&error);
                format!("the TLS certificate or its key cannot be used: {error}")
            })?;
        }
        let (stop, stopping) = watch::channel(false);
        let (machine, writer) = Machine::start(runtime, store, stopping).await?;
        let leases = LeaseService::start(machine.clone()).await?;
        let listener = TcpListener::bind(config.listen).await;
        let listener =
            listener.map_err(|error| format!("cannot listen on {}: {error}", config.listen))?;
        Ok(Self {
            address: listener.local_addr()?,
            listener,
            machine,
            runtime: runtime.name(),
            leases,
            transport,
            config,
            stop,
            writer,
        })
    }

    /// The address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The state machine, for programs that have the server inside.
    #[must_use]
    pub const fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Serves until `stop` resolves and the running requests have ended, at most 5 s later.
    /// Streams end at once, and the store is closed.
    ///
    /// # Errors
    ///
    /// The listener fails.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> Result<(), BoxError> {
        let streams = pages::streams();
        let routes = self.routes(&streams)?;
        let Self {
            listener,
            machine,
            leases,
            mut transport,
            stop: stopper,
            writer,
            ..
        } = self;
        // Aborted when they are dropped.
        let mut tasks = JoinSet::new();
        tasks.spawn(leases.expire());
        tasks.spawn(metrics::upkeep(machine.clone()));
        let stop = async {
            stop.await;
            // Streams and the writer end.
            streams.shutdown();
            stopper.send_replace(true);
        };
        let incoming = TcpIncoming::from(listener)
            .with_nodelay(Some(true))
            .with_keepalive(Some(KEEPALIVE))
            .with_keepalive_interval(Some(KEEPALIVE));
        let served = transport
            .add_routes(routes)
            .serve_with_incoming_shutdown(patient(incoming), stop);
        let overdue = async {
            machine.stopping().await;
            sleep(GRACE).await;
        };
        tokio::select! {
            served = served => served?,
            () = overdue => {}
        }
        Ok(writer.await?)
    }

    /// The services, whose requests are counted, and the pages.
    fn routes(&self, streams: &EventStreams<Recorded>) -> Result<Routes, BoxError> {
        let (machine, config) = (&self.machine, &self.config);
        let scheme = match config.tls {
            Some(_) => "https",
            None => "http",
        };
        let kv = KvService {
            machine: machine.clone(),
            max_request_bytes: config.max_request_bytes,
        };
        let watch = WatchService {
            machine: machine.clone(),
            progress_interval: config.progress_interval,
            max_fragment_bytes: config.max_request_bytes,
        };
        let leases = self.leases.clone();
        let maintenance = || MaintenanceService {
            machine: machine.clone(),
            client_url: format!("{scheme}://{}", self.address),
        };
        let (_, health) = tonic_health::server::health_reporter();
        let services = Routes::new(
            KVServer::new(kv)
                .max_decoding_message_size(MAX_RECEIVED)
                .max_encoding_message_size(usize::MAX),
        )
        .add_service(WatchServer::new(watch).max_encoding_message_size(usize::MAX))
        .add_service(LeaseServer::new(leases).max_encoding_message_size(usize::MAX))
        .add_service(MaintenanceServer::new(maintenance()))
        .add_service(ClusterServer::new(maintenance()))
        .add_service(health);
        let counted =
            middleware::from_fn_with_state(Arc::clone(machine.metrics()), metrics::count_calls);
        let pages = pages::router(machine.clone(), self.runtime, streams)?;
        let routes = services.into_axum_router().layer(counted).merge(pages);
        Ok(Routes::from(routes))
    }
}

/// The connections that are accepted, with a pause after each error.
fn patient<T>(incoming: impl Stream<Item = io::Result<T>>) -> impl Stream<Item = io::Result<T>> {
    incoming.then(|accepted| async {
        if accepted.is_err() {
            sleep(ACCEPT_PAUSE).await;
        }
        accepted
    })
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (f.debug_struct("Server").field("address", &self.address)).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[tokio::test]
    async fn the_server_waits_where_it_cannot_accept_a_connection() {
        let accepted = [Ok(1), Err(io::Error::other("no file descriptor")), Ok(2)];
        let begun = Instant::now();
        let accepted: Vec<_> = patient(tokio_stream::iter(accepted)).collect().await;
        assert!(matches!(accepted[..], [Ok(1), Err(_), Ok(2)]));
        assert!(begun.elapsed() >= ACCEPT_PAUSE);
    }
}
