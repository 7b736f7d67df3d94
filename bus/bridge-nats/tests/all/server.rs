//! A NATS server of a test, on a free port, in a folder of its own.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream;
use async_nats::jetstream::stream::Config;
use rangewatch_bridge::{Frame, FrameBuilder, Log, LogError, LogItem, LogReader, LogWriter};
use rangewatch_bridge_nats::{NatsLog, NatsLogBuilder, async_nats};
use tempfile::TempDir;

/// How long a test waits for what happens soon.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);
/// The epoch of most tests.
pub(crate) const EPOCH: u64 = 7;
/// The bus of most tests.
pub(crate) const BUS: &str = "orders/eu.1";

/// What servers say, in their folder.
const LOG: &str = "server.log";

/// A program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// Debian's, of an old version.
    Debian,
    /// The one that `.ci/run` installs from PyPI.
    Wheel,
}

/// A server, which is killed when this is dropped.
pub(crate) struct Server {
    program: Program,
    port: u16,
    folder: TempDir,
    options: Vec<String>,
    process: Child,
}

/// Makes a module of each test for each program. A test is a function over a [`Program`].
macro_rules! on_each_server {
    ($($name:ident,)*) => {
        on_each_server! { debian Debian: $($name,)* }
        on_each_server! { wheel Wheel: $($name,)* }
    };
    ($module:ident $program:ident: $($name:ident,)*) => {
        mod $module {
            $(
                #[test]
                fn $name() {
                    super::$name(crate::server::Program::$program);
                }
            )*
        }
    };
}

impl Program {
    fn path(self) -> PathBuf {
        match self {
            Self::Debian => "/usr/sbin/nats-server".into(),
            Self::Wheel => Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("../../target/tools/nats-server/bin/nats-server"),
        }
    }

    /// Starts a server with JetStream. `None`, and a line that says so, if the program is absent.
    pub(crate) fn start(self) -> Option<Server> {
        self.start_with(&["-js"])
    }

    /// Starts a server with options of its command line.
    pub(crate) fn start_with(self, options: &[&str]) -> Option<Server> {
        let folder = tempfile::tempdir().unwrap();
        let options: Vec<_> = options.iter().map(|option| (*option).to_owned()).collect();
        let process = match spawn(self, -1, &folder, &options) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let path = self.path();
                let is_required = std::env::var_os("SERVERS_REQUIRED").is_some();
                assert!(!is_required, "{} is not installed", path.display());
                println!("{} is not installed: nothing was tested", path.display());
                return None;
            }
            process => process.unwrap(),
        };
        let mut server = Server {
            program: self,
            port: 0,
            folder,
            options,
            process,
        };
        server.port = server.wait_for_port();
        Some(server)
    }
}

impl Server {
    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The log of the tests, which looks at the server often.
    pub(crate) fn log(&self) -> NatsLog {
        self.builder().build().unwrap()
    }

    pub(crate) fn builder(&self) -> NatsLogBuilder {
        let log = NatsLog::builder(self.url(), BUS).unwrap();
        log.idle(Duration::from_millis(200))
    }

    /// Kills it with -9.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again, on the same port and folder.
    pub(crate) fn restart(&mut self) {
        let port = i32::from(self.port);
        self.process = spawn(self.program, port, &self.folder, &self.options).unwrap();
        assert_eq!(self.wait_for_port(), self.port);
    }

    /// Stops the process, or lets it continue: `STOP` or `CONT`.
    pub(crate) fn signal(&self, signal: &str) {
        let mut kill = Command::new("kill");
        kill.arg(format!("-{signal}"))
            .arg(self.process.id().to_string());
        assert!(kill.status().unwrap().success());
        // The signal is sent; its threads stop when each has come to see it.
        let begun = Instant::now();
        while signal == "STOP" && !self.is_stopped() {
            assert!(begun.elapsed() < DEADLINE, "nats-server does not stop");
            std::thread::yield_now();
        }
    }

    /// Whether all threads are stopped.
    fn is_stopped(&self) -> bool {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.process.id()));
        tasks.unwrap().all(|task| {
            let stat = std::fs::read_to_string(task.unwrap().path().join("stat"));
            let stat = stat.unwrap();
            let (_, state) = stat.rsplit_once(") ").unwrap();
            state.starts_with('T')
        })
    }

    /// A client of the test's own.
    pub(crate) async fn client(&self) -> async_nats::Client {
        async_nats::connect(self.url()).await.unwrap()
    }

    /// Makes the stream of the log, as an operator does.
    pub(crate) async fn create_stream(&self, config: Config) {
        let context = jetstream::new(self.client().await);
        let config = Config {
            name: stream_name(),
            subjects: vec![subject()],
            ..config
        };
        context.create_stream(config).await.unwrap();
    }

    /// The stream of the log, for what other programs do to it.
    pub(crate) async fn stream(&self) -> jetstream::stream::Stream {
        let context = jetstream::new(self.client().await);
        context.get_stream(stream_name()).await.unwrap()
    }

    /// Waits until the server says at which port it is ready.
    fn wait_for_port(&mut self) -> u16 {
        let name = format!("nats-server_{}.ports", self.process.id());
        let path = self.folder.path().join(name);
        let begun = Instant::now();
        loop {
            let ports = std::fs::read_to_string(&path).unwrap_or_default();
            let ports = serde_json::from_str::<serde_json::Value>(&ports);
            let url = ports
                .as_ref()
                .ok()
                .and_then(|ports| ports["nats"][0].as_str());
            if let Some((_, port)) = url.and_then(|url| url.rsplit_once(':')) {
                return port.parse().unwrap();
            }
            assert_eq!(
                self.process.try_wait().unwrap(),
                None,
                "nats-server has ended"
            );
            assert!(begun.elapsed() < DEADLINE, "nats-server is not ready");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.folder.path().join(LOG));
            println!("the server said:\n{}", log.unwrap_or_default());
        }
    }
}

/// Starts a server: on a free port if `port` is -1.
fn spawn(program: Program, port: i32, folder: &TempDir, options: &[String]) -> io::Result<Child> {
    let log = File::options()
        .create(true)
        .append(true)
        .open(folder.path().join(LOG))?;
    Command::new(program.path())
        .args(["-a", "127.0.0.1", "-p"])
        .arg(port.to_string())
        .arg("-sd")
        .arg(folder.path())
        .arg("--ports_file_dir")
        .arg(folder.path())
        .args(options)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
}

/// The stream of [`BUS`], as the README says.
pub(crate) fn stream_name() -> String {
    "rangewatch_b3JkZXJzL2V1LjE".to_owned()
}

/// The subject of [`BUS`].
pub(crate) fn subject() -> String {
    "rangewatch.b3JkZXJzL2V1LjE".to_owned()
}

/// Runs a future on a runtime, at most until the deadline.
pub(crate) fn block_on<F: Future<Output = ()>>(future: F) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let done = runtime.block_on(async { tokio::time::timeout(DEADLINE, future).await });
    done.expect("it ends before the deadline");
}

/// A frame whose keys tell its value.
pub(crate) fn frame(prev: impl Into<Option<u64>>, value: u64) -> Frame {
    frame_of(prev, value, 0)
}

/// A frame with a payload of so many bytes.
pub(crate) fn frame_of(prev: impl Into<Option<u64>>, value: u64, n_bytes: usize) -> Frame {
    let mut builder = FrameBuilder::new(prev.into(), value);
    builder.push(
        format!("key-{value}").as_bytes(),
        &vec![value as u8; n_bytes],
    );
    builder.finish()
}

/// Frames of consecutive values, the first one after the value before it.
pub(crate) fn frames(values: std::ops::RangeInclusive<u64>) -> Vec<Frame> {
    values
        .map(|value| frame(value.checked_sub(1), value))
        .collect()
}

/// Connects a writer, and begins [`EPOCH`] after the value 0.
pub(crate) async fn begun(log: &NatsLog) -> Box<dyn LogWriter> {
    let mut writer = log.writer().await.unwrap();
    writer.begin_epoch(None, EPOCH, Some(0)).await.unwrap();
    writer
}

pub(crate) async fn reader_after(log: &NatsLog, after: u64) -> Box<dyn LogReader> {
    let mut reader = log.reader().await.unwrap();
    reader.seek(EPOCH, Some(after)).await.unwrap();
    reader
}

/// Reads until an item passes. Returns all items.
pub(crate) async fn read_until(
    reader: &mut dyn LogReader,
    is_last: impl Fn(&LogItem) -> bool,
) -> Vec<LogItem> {
    let mut items = Vec::new();
    while !items.iter().any(&is_last) {
        items.extend(reader.next().await.unwrap());
    }
    items
}

/// Reads until the emit of a value. Returns the values of all emits.
pub(crate) async fn read_to(reader: &mut dyn LogReader, value: u64) -> Vec<u64> {
    let is_last = |item: &LogItem| matches!(item, LogItem::Emit(frame) if frame.value() == value);
    let items = read_until(reader, is_last).await;
    let emits = items.into_iter().filter_map(|item| match item {
        LogItem::Emit(frame) => Some(frame.value()),
        LogItem::Progress(_) => None,
        item => panic!("{item:?}"),
    });
    emits.collect()
}

/// Reads until it fails.
pub(crate) async fn read_error(reader: &mut dyn LogReader) -> LogError {
    loop {
        if let Err(error) = reader.next().await {
            return error;
        }
    }
}

/// A log as a value of any type of log.
pub(crate) fn any(log: NatsLog) -> Arc<dyn Log> {
    Arc::new(log)
}
