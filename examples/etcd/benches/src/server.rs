//! A server as a process: its start, its end, and what the system says of it.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use tonic::transport::{Channel, Endpoint};

use crate::Result;
use crate::processors::Apart;

/// A server takes less to start.
const START: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// etcd itself.
    Etcd,
    /// The example on wasmtime.
    Wasmtime,
    /// The example on wasmi.
    Wasmi,
}

/// The program of a server.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) kind: Kind,
    path: PathBuf,
}

impl Program {
    /// Finds etcd in the path, and the example in the folder of this program.
    ///
    /// # Errors
    ///
    /// It is not there.
    pub(crate) fn find(kind: Kind, beside: &Path) -> Result<Self> {
        let path = match kind {
            Kind::Etcd => {
                let version = Command::new("etcd").arg("--version").output();
                version.map_err(|error| {
                    format!("etcd does not start ({error}): install Debian's etcd-server")
                })?;
                PathBuf::from("etcd")
            }
            Kind::Wasmtime | Kind::Wasmi => {
                let path = beside.join("etcd-example");
                if !path.exists() {
                    let path = path.display();
                    return Err(format!("{path} is missing: build the package etcd-example").into());
                }
                path
            }
        };
        Ok(Self { kind, path })
    }

    /// The name of a column.
    pub(crate) const fn name(&self) -> &'static str {
        match self.kind {
            Kind::Etcd => "etcd",
            Kind::Wasmtime => "wasmtime",
            Kind::Wasmi => "wasmi",
        }
    }

    /// Starts it with an empty store and waits until it serves.
    pub(crate) async fn start(&self, data: &Path, apart: Option<&Apart>) -> Result<Server> {
        let folder = tempfile::Builder::new()
            .prefix(self.name())
            .tempdir_in(data)?;
        let (address, peers) = (free_address()?, free_address()?);
        let url = format!("http://{address}");
        let mut command = Command::new(&self.path);
        match self.kind {
            Kind::Etcd => command
                .args([
                    "--listen-client-urls",
                    &url,
                    "--advertise-client-urls",
                    &url,
                ])
                .args(["--listen-peer-urls", &format!("http://{peers}")])
                .args(["--log-level", "error", "--logger", "zap", "--data-dir"]),
            Kind::Wasmtime | Kind::Wasmi => command
                .args(["--runtime", self.name(), "--listen", &address.to_string()])
                .arg("--data"),
        };
        command
            .arg(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let process = match apart {
            Some(apart) => apart.start(|| command.spawn())?,
            None => command.spawn(),
        }?;
        let mut server = Server {
            process,
            url,
            _folder: folder,
        };
        let started = Instant::now();
        while server.connect().await.is_err() {
            if let Some(status) = server.process.try_wait()? {
                return Err(format!("{} ended with {status}", self.name()).into());
            }
            if started.elapsed() > START {
                return Err(format!("{} does not serve", self.name()).into());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(server)
    }
}

/// A server that runs. Its drop ends it and removes its data.
#[derive(Debug)]
pub(crate) struct Server {
    process: Child,
    url: String,
    _folder: tempfile::TempDir,
}

impl Server {
    /// A new connection.
    pub(crate) async fn connect(&self) -> Result<Channel> {
        Ok(Endpoint::from_shared(self.url.clone())?.connect().await?)
    }

    /// The bytes of its memory that are in use.
    pub(crate) fn resident_bytes(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/statm", self.process.id()))?;
        let pages = status.split(' ').nth(1).ok_or("statm has other fields")?;
        Ok(pages.parse::<u64>()? * rustix::param::page_size() as u64)
    }

    /// The processor time that it has used.
    pub(crate) fn processor_time(&self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        // The name, in parentheses, may have spaces.
        let (_, fields) = stat.rsplit_once(") ").ok_or("stat has other fields")?;
        let fields: Vec<&str> = fields.split(' ').collect();
        let [user, system] = [fields.get(11), fields.get(12)];
        let [user, system] = [user, system].map(|ticks| ticks.ok_or("stat has other fields"));
        let ticks = user?.parse::<u64>()? + system?.parse::<u64>()?;
        Ok(Duration::from_secs(ticks) / u32::try_from(rustix::param::clock_ticks_per_second())?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails only if it has ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An address on which nobody listens.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
