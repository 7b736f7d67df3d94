//! A TCP relay between a reader and a server, which can be cut and turned to another server.

use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub(crate) struct Relay {
    port: u16,
    /// The port of the server; `None` while it is cut. Each change ends all connections.
    target: Arc<watch::Sender<Option<u16>>>,
}

impl Relay {
    /// Begins to relay to a port.
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let relay = Self {
            port: listener.local_addr().unwrap().port(),
            target: Arc::new(watch::Sender::new(Some(port))),
        };
        let target = Arc::clone(&relay.target);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(relay_one(connection, target.subscribe()));
            }
        });
        relay
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Ends all connections, and refuses new ones.
    pub(crate) fn cut(&self) {
        self.target.send_replace(None);
    }

    /// Ends all connections, and relays new ones to a port.
    pub(crate) fn turn(&self, port: u16) {
        self.target.send_replace(Some(port));
    }
}

async fn relay_one(mut connection: TcpStream, mut target: watch::Receiver<Option<u16>>) {
    let Some(port) = *target.borrow_and_update() else {
        return;
    };
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await else {
        return;
    };
    tokio::select! {
        _ = copy_bidirectional(&mut connection, &mut server) => {}
        _ = target.changed() => {}
    }
}
