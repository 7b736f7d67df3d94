//! A TCP relay that cuts connections in the middle of what it forwards, or holds them.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use fastrand::Rng;

use crate::process::poll;

pub(crate) struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    target: u16,
    /// The two ends of each connection.
    connections: Mutex<Vec<(TcpStream, TcpStream)>>,
    is_held: AtomicBool,
}

impl Proxy {
    pub(crate) fn start(target: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared {
            target,
            connections: Mutex::default(),
            is_held: AtomicBool::new(false),
        });
        let of_thread = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                of_thread.connect(client);
            }
        });
        Self { port, shared }
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Cuts all connections. What is being forwarded is cut, too: chunks have random sizes.
    pub(crate) fn cut(&self) {
        let mut connections = self.shared.lock();
        for (client, server) in connections.drain(..) {
            let _ = client.shutdown(Shutdown::Both);
            let _ = server.shutdown(Shutdown::Both);
        }
    }

    /// Forwards nothing until it is released, as a network that drops packets.
    pub(crate) fn hold(&self) {
        self.shared.is_held.store(true, Ordering::SeqCst);
    }

    pub(crate) fn release(&self) {
        self.shared.is_held.store(false, Ordering::SeqCst);
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(TcpStream, TcpStream)>> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(self: &Arc<Self>, client: TcpStream) {
        let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.target)) else {
            return;
        };
        let ends = [&client, &server, &client, &server].map(|end| end.try_clone());
        let [
            Ok(from_client),
            Ok(to_server),
            Ok(to_client),
            Ok(from_server),
        ] = ends
        else {
            return;
        };
        let _ = server.set_nodelay(true);
        let _ = client.set_nodelay(true);
        self.lock().push((client, server));
        for (from, to) in [(from_client, to_server), (from_server, to_client)] {
            let shared = Arc::clone(self);
            std::thread::spawn(move || shared.forward(from, to));
        }
    }

    fn forward(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut random = Rng::new();
        let mut buf = vec![0; 64 << 10];
        loop {
            let size = if random.bool() {
                1 << random.u32(0..16)
            } else {
                buf.len()
            };
            let n = match from.read(&mut buf[..size]) {
                Ok(0) | Err(_) => break,
                Ok(n) => n,
            };
            while self.is_held.load(Ordering::SeqCst) {
                poll();
            }
            if to.write_all(&buf[..n]).is_err() {
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }
}
