//! The address that clients connect to: it stays when the server restarts, and it can cut
//! connections.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

/// Passes connections on to the server. It ends when it is dropped.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    server: watch::Sender<Option<SocketAddr>>,
    connections: Arc<Mutex<Vec<AbortHandle>>>,
    _accepting: JoinSet<()>,
}

impl Relay {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (server, servers) = watch::channel(None);
        let connections = Arc::<Mutex<Vec<AbortHandle>>>::default();
        let mut accepting = JoinSet::new();
        accepting.spawn({
            let connections = Arc::clone(&connections);
            async move {
                // Connections end with the relay.
                let mut relayed = JoinSet::new();
                while let Ok((client, _)) = listener.accept().await {
                    let connection = relayed.spawn(relay(client, servers.clone()));
                    let mut connections = connections.lock().expect("no panic");
                    connections.retain(|connection| !connection.is_finished());
                    connections.push(connection);
                }
            }
        });
        Self {
            address,
            server,
            connections,
            _accepting: accepting,
        }
    }

    /// Says where the server is. Without one, new connections wait.
    pub(crate) fn set_server(&self, server: Option<SocketAddr>) {
        self.server.send_replace(server);
    }

    /// Closes the connections for which `is_cut` is true.
    pub(crate) fn cut(&self, mut is_cut: impl FnMut() -> bool) {
        for connection in self.connections.lock().expect("no panic").iter() {
            if is_cut() {
                connection.abort();
            }
        }
    }
}

async fn relay(mut client: TcpStream, mut servers: watch::Receiver<Option<SocketAddr>>) {
    let Ok(Some(address)) = servers
        .wait_for(Option::is_some)
        .await
        .map(|server| *server)
    else {
        return;
    };
    // An error means that the server has been killed: the client connects again.
    if let Ok(mut server) = TcpStream::connect(address).await {
        for socket in [&client, &server] {
            socket.set_nodelay(true).expect("a socket");
        }
        let _ = copy_bidirectional(&mut client, &mut server).await;
    }
}
