//! Plays the requests of `transcripts/` to a server and compares its responses with those of the
//! file, which Debian's etcd 3.4.23 gave.
//!
//! The server is that of this crate, in-process, on each runtime. With `JUDGES_START_SERVER` it is
//! the program that this variable names, and with `TRANSCRIPTS=record` its responses are written
//! into the files: `judges/README.md` has the commands.
//!
//! Each file is a test and has a server of its own. Lines that begin with `>` are steps:
//!
//! | step | what it does |
//! |---|---|
//! | `> KV/Put key: "a"` | sends a request, in the text format of Protocol Buffers; prints the response |
//! | `> raw KV/Put 0aff` | sends these bytes |
//! | `> open w Watch/Watch` | opens a stream |
//! | `> send w create_request {..}` | sends a message on it |
//! | `> send-raw w 0aff` | sends these bytes on it |
//! | `> next w` | prints the next message of it |
//! | `> close w` | ends its requests |
//! | `> $ etcdctl get a` | runs a command of the shell; prints what it prints, and its exit code if that is not 0 |
//!
//! The lines below a step are what it prints. What differs from server to server has a name there,
//! such as `$cluster`. `{700000 x}` is 700,000 times `x`, in requests and in responses.
#![expect(clippy::print_stderr, reason = "says what it leaves out")]

use std::borrow::Cow;
use std::collections::HashMap;
use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use etcd_example::{Config, Server, Store};
use libtest_mimic::{Arguments, Failed, Trial};
use prost::Message as _;
use prost_reflect::{
    DescriptorPool, DynamicMessage, MessageDescriptor, ReflectMessage as _, Value,
};
use rangewatch::Runtime;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

#[path = "../src/bytes_codec.rs"]
mod bytes_codec;

use bytes_codec::BytesCodec;

type BoxError = Box<dyn Error + Send + Sync>;

/// A server or a message that takes longer does not come.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Fields that depend on how a server stores its data: they are either 0 or not.
const SIZES: [&str; 4] = ["dbSize", "dbSizeInUse", "raftIndex", "raftAppliedIndex"];

/// Repetitions of a character that are printed as a number.
const LONG: usize = 64;

fn main() -> ExitCode {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("a file").path())
        .collect();
    files.sort();
    if !has_etcdctl() {
        let n_files = files.len();
        files.retain(|path| !name(path).starts_with("etcdctl"));
        eprintln!(
            "no etcdctl 3.4 in PATH (Debian's package etcd-client has it): {} transcripts left out, \
             and tests/judges/run has etcd's own tests",
            n_files - files.len()
        );
    }
    let trials = files
        .into_iter()
        .map(|path| Trial::test(name(&path), move || test(&path)))
        .collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn name(path: &Path) -> String {
    path.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn has_etcdctl() -> bool {
    std::process::Command::new("etcdctl")
        .arg("version")
        .env("ETCDCTL_API", "3")
        .output()
        .is_ok_and(|output| output.stdout.starts_with(b"etcdctl version: 3.4."))
}

#[tokio::main]
async fn test(path: &Path) -> Result<(), Failed> {
    let transcript = std::fs::read_to_string(path)?;
    if let Ok(program) = std::env::var("JUDGES_START_SERVER") {
        let server = Process::start(&program)?;
        let played = play(&transcript, &server.address).await?;
        if std::env::var("TRANSCRIPTS").is_ok_and(|mode| mode == "record") {
            std::fs::write(path, played)?;
            return Ok(());
        }
        return compare(&transcript, &played, "this server");
    }
    for runtime in runtimes() {
        let server = InProcess::start(&*runtime).await?;
        let played = play(&transcript, &server.address).await?;
        server.stop().await?;
        compare(&transcript, &played, runtime.name())?;
    }
    Ok(())
}

fn compare(expected: &str, played: &str, server: &str) -> Result<(), Failed> {
    if expected == played {
        return Ok(());
    }
    let mut report = String::new();
    for (expected, played) in steps(expected).zip(steps(played)) {
        if expected != played {
            writeln!(report, "expected:\n{expected}\n{server}:\n{played}")?;
        }
    }
    Err(report.into())
}

/// A transcript, split before each step.
fn steps(transcript: &str) -> impl Iterator<Item = &str> {
    transcript.split("\n>")
}

// ---- Servers

fn runtimes() -> Vec<Box<dyn Runtime>> {
    vec![
        #[cfg(feature = "wasmtime")]
        Box::new(rangewatch::Wasmtime::new()),
        #[cfg(feature = "wasmi")]
        Box::new(rangewatch::Wasmi::new()),
    ]
}

struct InProcess {
    address: String,
    _data: TempDir,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<(), BoxError>>,
}

impl InProcess {
    async fn start(runtime: &dyn Runtime) -> Result<Self, BoxError> {
        let config = Config::new("127.0.0.1:0".parse()?);
        let data = tempfile::tempdir()?;
        let server = Server::start(runtime, Store::open(Some(data.path()))?, config).await?;
        let (stop, stopped) = oneshot::channel::<()>();
        Ok(Self {
            address: server.address().to_string(),
            _data: data,
            stop,
            served: tokio::spawn(server.serve(async {
                let _ = stopped.await;
            })),
        })
    }

    async fn stop(self) -> Result<(), BoxError> {
        drop(self.stop);
        self.served.await?
    }
}

/// A server that the program of the judges starts. It ends when this is dropped.
struct Process {
    address: String,
    _server: Child,
    _data: TempDir,
}

impl Process {
    fn start(program: &str) -> Result<Self, BoxError> {
        // Each test of the judges has a network of its own.
        let address = "127.0.0.1:2379".to_owned();
        let data = tempfile::tempdir()?;
        let server = Command::new(program)
            .args(["--listen", &address, "--data"])
            .arg(data.path().join("data"))
            .kill_on_drop(true)
            .spawn()?;
        Ok(Self {
            address,
            _server: server,
            _data: data,
        })
    }
}

// ---- The player

/// Plays the steps of a transcript; the transcript with what they print now.
async fn play(transcript: &str, address: &str) -> Result<String, BoxError> {
    let mut player = Player::connect(address).await?;
    let mut played = String::new();
    for line in transcript.lines() {
        if line.starts_with('#') || line.is_empty() {
            writeln!(played, "{line}")?;
        } else if let Some(step) = line.strip_prefix("> ") {
            let printed = tokio::time::timeout(TIMEOUT, player.step(step)).await;
            let printed = printed
                .map_err(Into::into)
                .and_then(|printed| printed)
                .map_err(|error| format!("{step}: {error}"))?;
            writeln!(played, "{line}")?;
            for line in printed.lines() {
                writeln!(played, "{}", player.names.replace(line))?;
            }
        }
    }
    Ok(played)
}

struct Player {
    address: String,
    grpc: Grpc<Channel>,
    pool: DescriptorPool,
    streams: HashMap<String, Stream>,
    names: Names,
}

struct Stream {
    request: MessageDescriptor,
    response: MessageDescriptor,
    requests: Option<mpsc::UnboundedSender<Bytes>>,
    responses: mpsc::UnboundedReceiver<Result<Bytes, Status>>,
}

impl Player {
    async fn connect(address: &str) -> Result<Self, BoxError> {
        let files = protox::compile(
            ["rpc.proto"],
            [concat!(env!("CARGO_MANIFEST_DIR"), "/proto")],
        )?;
        let channel = Endpoint::from_shared(format!("http://{address}"))?.connect_lazy();
        let mut player = Self {
            address: address.to_owned(),
            grpc: Grpc::new(channel).max_decoding_message_size(usize::MAX),
            pool: DescriptorPool::from_file_descriptor_set(files)?,
            streams: HashMap::new(),
            names: Names(vec![(address.to_owned(), "$address")]),
        };
        // The names are in the header of any response.
        let ready = async {
            while player
                .step("KV/Range key: \"a\"")
                .await?
                .starts_with("error")
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok::<_, BoxError>(())
        };
        tokio::time::timeout(TIMEOUT, ready).await??;
        Ok(player)
    }

    async fn step(&mut self, step: &str) -> Result<String, BoxError> {
        let (verb, rest) = step.split_once(' ').unwrap_or((step, ""));
        let (name, text) = rest.split_once(' ').unwrap_or((rest, ""));
        match verb {
            "$" => return self.shell(rest).await,
            "raw" => {
                return match self.call(name, unhex(text)?).await {
                    Ok(bytes) => self.print(self.method(name)?.1, bytes),
                    Err(status) => Ok(print_error(&status)),
                };
            }
            "open" => self.open(name, text).await?,
            "send" | "send-raw" => {
                let stream = self.streams.get(name).ok_or("no such stream")?;
                let message = match verb {
                    "send" => self.message(stream.request.clone(), text)?,
                    _ => unhex(text)?,
                };
                let requests = stream.requests.as_ref().ok_or("it is closed")?;
                // The server may have ended the stream, which the next message tells.
                let _ = requests.send(message);
            }
            "next" => return self.next(name).await,
            "close" => self.streams.get_mut(name).ok_or("no such stream")?.requests = None,
            method => {
                let (request, response) = self.method(method)?;
                let request = self.message(request, rest)?;
                return match self.call(method, request).await {
                    Ok(bytes) => self.print(response, bytes),
                    Err(status) => Ok(print_error(&status)),
                };
            }
        }
        Ok(String::new())
    }

    fn method(&self, name: &str) -> Result<(MessageDescriptor, MessageDescriptor), BoxError> {
        let (service, method) = name.split_once('/').ok_or("no method")?;
        let service = self
            .pool
            .get_service_by_name(&format!("etcdserverpb.{service}"));
        let method = service
            .and_then(|service| service.methods().find(|found| found.name() == method))
            .ok_or("no such method")?;
        Ok((method.input(), method.output()))
    }

    fn message(&self, kind: MessageDescriptor, text: &str) -> Result<Bytes, BoxError> {
        let text = self.names.restore(&repeat(text)?);
        Ok(DynamicMessage::parse_text_format(kind, &text)?
            .encode_to_vec()
            .into())
    }

    async fn call(&mut self, method: &str, request: Bytes) -> Result<Bytes, Status> {
        ready(&mut self.grpc).await?;
        let call = self
            .grpc
            .unary(Request::new(request), path(method)?, BytesCodec);
        Ok(call.await?.into_inner())
    }

    async fn open(&mut self, name: &str, method: &str) -> Result<(), BoxError> {
        let (request, response) = self.method(method)?;
        let (requests, received) = mpsc::unbounded_channel();
        let received = Request::new(UnboundedReceiverStream::new(received));
        let (responding, responses) = mpsc::unbounded_channel();
        let (mut grpc, path) = (self.grpc.clone(), path(method)?);
        tokio::spawn(async move {
            // A server may respond no sooner than it has a message.
            let result = async {
                ready(&mut grpc).await?;
                let mut responses = grpc
                    .streaming(received, path, BytesCodec)
                    .await?
                    .into_inner();
                while let Some(response) = responses.message().await? {
                    let _ = responding.send(Ok(response));
                }
                Ok(())
            };
            if let Err(status) = result.await {
                let _ = responding.send(Err(status));
            }
        });
        let stream = Stream {
            request,
            response,
            requests: Some(requests),
            responses,
        };
        self.streams.insert(name.to_owned(), stream);
        Ok(())
    }

    async fn next(&mut self, name: &str) -> Result<String, BoxError> {
        let stream = self.streams.get_mut(name).ok_or("no such stream")?;
        let response = stream.response.clone();
        match stream.responses.recv().await {
            Some(Ok(bytes)) => self.print(response, bytes),
            Some(Err(status)) => Ok(print_error(&status)),
            None => Ok("end".to_owned()),
        }
    }

    fn print(&mut self, kind: MessageDescriptor, bytes: Bytes) -> Result<String, BoxError> {
        let mut message = DynamicMessage::decode(kind, bytes)?;
        self.names.learn(&mut message);
        Ok(shorten(&message.to_text_format()))
    }

    async fn shell(&self, command: &str) -> Result<String, BoxError> {
        let command = self.names.restore(command);
        let output = Command::new("sh")
            .args(["-c", &format!("exec 2>&1; {command}")])
            .env("ETCDCTL_API", "3")
            .env("ETCDCTL_ENDPOINTS", &self.address)
            .kill_on_drop(true)
            .output();
        let output = output.await?;
        let mut printed = String::new();
        // The client logs what it retries.
        let lines = String::from_utf8(output.stdout)?;
        for line in lines.lines().filter(|line| !line.starts_with("{\"level\"")) {
            // How long a request took.
            let line = line.split(" took = ").next().unwrap_or_default();
            writeln!(printed, "| {line}")?;
        }
        if let Some(code) = output.status.code().filter(|code| *code != 0) {
            writeln!(printed, "exit {code}")?;
        }
        Ok(printed)
    }
}

async fn ready(grpc: &mut Grpc<Channel>) -> Result<(), Status> {
    let ready = grpc.ready().await;
    ready.map_err(|error| Status::unavailable(error.to_string()))
}

fn path(method: &str) -> Result<PathAndQuery, Status> {
    format!("/etcdserverpb.{method}")
        .parse()
        .map_err(|_| Status::internal("the name of the method"))
}

fn print_error(status: &Status) -> String {
    let code = status.code();
    match code {
        // What a library, not etcd, says of it is left out.
        Code::Internal | Code::Unimplemented => format!("error {code:?}"),
        _ => format!("error {code:?}: {}", status.message()),
    }
}

fn unhex(text: &str) -> Result<Bytes, BoxError> {
    let digits = (0..text.len()).step_by(2);
    let bytes: Result<Vec<u8>, BoxError> = digits
        .map(|at| {
            Ok(u8::from_str_radix(
                text.get(at..at + 2).ok_or("an odd digit")?,
                16,
            )?)
        })
        .collect();
    Ok(bytes?.into())
}

/// Replaces each `{700000 x}`.
fn repeat(text: &str) -> Result<String, BoxError> {
    let mut repeated = String::new();
    let mut rest = text;
    while let Some((before, found)) = rest.split_once("\"{") {
        let (times, after) = found.split_once("}\"").ok_or("no } after {")?;
        let (times, character) = times.split_once(' ').ok_or("no number after {")?;
        write!(repeated, "{before}\"{}\"", character.repeat(times.parse()?))?;
        rest = after;
    }
    Ok(repeated + rest)
}

/// The reverse of `repeat`, for each character that is repeated often.
fn shorten(text: &str) -> String {
    let mut short = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|next| next != first).unwrap_or(rest.len());
        let times = end / first.len_utf8();
        if times >= LONG {
            short.push_str(&format!("{{{times} {first}}}"));
        } else {
            short.push_str(&rest[..end]);
        }
        rest = &rest[end..];
    }
    short
}

// ---- What differs from server to server

/// What a server has chosen, and the name that it has in the transcript.
struct Names(Vec<(String, &'static str)>);

impl Names {
    fn add(&mut self, value: &Value, name: &'static str) {
        let value = match value {
            Value::U64(value) => value.to_string(),
            Value::I64(value) => value.to_string(),
            _ => return,
        };
        // Of small numbers it cannot be said what they mean.
        if value.len() > 10 && self.0.iter().all(|(known, _)| *known != value) {
            self.0.push((value, name));
        }
    }

    fn learn(&mut self, message: &mut DynamicMessage) {
        let header = message.get_field_by_name("header");
        if let Some(header) = header.as_deref().and_then(Value::as_message) {
            for (field, name) in [("cluster_id", "$cluster"), ("member_id", "$member")] {
                if let Some(value) = header.get_field_by_name(field) {
                    self.add(&value, name);
                }
            }
        }
        if message.descriptor().name() == "LeaseGrantResponse" {
            if let Some(id) = message.get_field_by_name("ID") {
                self.add(&id, "$lease");
            }
        }
        if message.descriptor().name() == "MemberListResponse" {
            let mut members = message.get_field_by_name("members").map(Cow::into_owned);
            for member in members.iter_mut().filter_map(Value::as_list_mut).flatten() {
                for field in ["name", "peerURLs"] {
                    if let Some(member) = member.as_message_mut() {
                        member.clear_field_by_name(field);
                    }
                }
            }
            if let Some(members) = members {
                message.set_field_by_name("members", members);
            }
        }
        for field in SIZES {
            if message.has_field_by_name(field) {
                let one = match message.get_field_by_name(field).as_deref() {
                    Some(Value::U64(_)) => Value::U64(1),
                    _ => Value::I64(1),
                };
                message.set_field_by_name(field, one);
            }
        }
    }

    fn replace(&self, text: &str) -> String {
        let names = self.0.iter();
        names.fold(text.to_owned(), |text, (value, name)| {
            text.replace(value, name)
        })
    }

    fn restore(&self, text: &str) -> String {
        let names = self.0.iter();
        names.fold(text.to_owned(), |text, (value, name)| {
            text.replace(name, value)
        })
    }
}
