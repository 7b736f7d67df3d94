//! A server of static files, for a look at the page and for its tests.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{fs, iter};

/// Bytes of the requests of one connection, which keep a client from filling the memory.
const MAX_BYTES: u64 = 1 << 20;

/// How long a connection waits for a request.
const IDLE: Duration = Duration::from_secs(60);

/// A server of one folder. It runs until the process ends.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    thread: JoinHandle<()>,
}

impl Server {
    /// Serves `folder` on an address such as `127.0.0.1:0`; port 0 is any that is free.
    ///
    /// # Errors
    ///
    /// The address cannot be listened on.
    pub fn start(folder: &Path, address: &str) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let folder = folder.to_owned();
        let thread = thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let folder = folder.clone();
                // A browser that goes away ends its connection, and no more.
                thread::spawn(move || serve(&folder, stream));
            }
        });
        Ok(Self { address, thread })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for the end of the server.
    pub fn join(self) {
        // Its thread does not panic.
        let _ = self.thread.join();
    }
}

/// Answers the requests of one connection.
fn serve(folder: &Path, stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(IDLE))?;
    let mut output = stream.try_clone()?;
    let mut lines = BufReader::new(stream.take(MAX_BYTES)).lines();
    while let Some(request) = lines.next() {
        let request = request?;
        // The header ends with an empty line; a GET has no body.
        for line in iter::from_fn(|| lines.next()) {
            if line?.is_empty() {
                break;
            }
        }
        let path = request.split(' ').nth(1).unwrap_or_default();
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let found = file(folder, path).and_then(|file| Some((kind(&file), fs::read(file).ok()?)));
        let (status, kind, body) = match found {
            Some((kind, body)) => ("200 OK", kind, body),
            None => ("404 Not Found", "text/plain", b"not found".to_vec()),
        };
        write!(
            output,
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
             Cache-Control: no-cache\r\n\r\n",
            body.len()
        )?;
        output.write_all(&body)?;
    }
    Ok(())
}

/// The file of a path, which cannot leave the folder.
fn file(folder: &Path, path: &str) -> Option<PathBuf> {
    let path = Path::new(path.strip_prefix('/')?);
    let stays = path
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    let file = folder.join(path);
    stays.then(|| {
        if file.is_dir() {
            file.join("index.html")
        } else {
            file
        }
    })
}

/// The media type; a module of JavaScript or WebAssembly loads with no other.
fn kind(file: &Path) -> &'static str {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("css") => "text/css; charset=utf-8",
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("wasm") => "application/wasm",
        _ => "application/octet-stream",
    }
}
