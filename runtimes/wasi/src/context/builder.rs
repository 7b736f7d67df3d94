//! The builder of a context.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::context::string_table::StringTable;
use crate::costs::Work;
use crate::descriptor::{Descriptors, HostSocket};
use crate::fs::device_numbers::DeviceNumbers;
use crate::fs::{Access, Dir, IntoDir, ReadOnly};
#[cfg(feature = "net")]
use crate::net::{Listener, Socket};
use crate::time::clock::GuestClock;
use crate::{
    Allocate, Clock, DEFAULT_MAX_DESCRIPTORS, DotEntries, FixedClock, MAX_PATH_BYTES, Random,
    RightsMode, SeededRandom, SignalPolicy, Stdin, Stdout, SteppingClock, ThreadTimer, Timer, Wasi,
    WorkMeter,
};

/// Builds a [`Wasi`]: the arguments, streams, directories and other resources of one guest. The
/// guest gets nothing else.
///
/// | setting | default |
/// |---|---|
/// | [arguments](Self::args) | none, not even a program name |
/// | [environment](Self::env) | empty |
/// | [standard input](Self::stdin) | at end of file |
/// | [standard output](Self::stdout), [standard error](Self::stderr) | discarded |
/// | [clocks](Self::clock) | start at 1970-01-01T00:00:00Z and advance by 1 ms per reading |
/// | [random bytes](Self::random) | the same for every guest: [`SeededRandom::new(0)`](SeededRandom::new) |
/// | [timer](Self::timer) | [`ThreadTimer`]; the default clock never needs it |
/// | [longest sleep](Self::max_sleep) | unlimited |
/// | [signals](Self::signal_policy) | refused |
/// | [directories](Self::preopen) | none |
/// | [sockets](Self::socket), [listeners](Self::listener) | none |
/// | [rights](Self::rights) | [`RightsMode::Compat`] |
/// | [`fd_allocate`](Self::allocate) | refused |
/// | [descriptors](Self::max_descriptors) | [`DEFAULT_MAX_DESCRIPTORS`] at a time |
/// | [`.` and `..`](Self::dot_entries) | listed |
///
/// The guest inherits nothing from the host by default, time and randomness included, so two runs
/// of a program with the defaults are identical. A guest that needs real time or unpredictable
/// bytes needs a host that grants them:
///
/// ```
/// use rangewatch_wasi::{SystemClock, SystemRandom, Wasi};
///
/// let ctx = Wasi::builder().clock(SystemClock::new()).random(SystemRandom::new()).build()?;
/// # Ok::<(), rangewatch_wasi::WasiBuildError>(())
/// ```
///
/// The default clock advances because programs wait for it: a loop until a deadline ends, and Go
/// fails at a monotonic clock that reads 0. The default randomness is seeded instead of missing
/// because the standard libraries of Rust and Go read random bytes before `main`.
#[must_use = "a builder does nothing until it is built"]
pub struct WasiBuilder {
    args: StringTable,
    env: StringTable,
    stdin: Stdin,
    stdout: Stdout,
    stderr: Stdout,
    clock: Box<dyn Clock>,
    random: Box<dyn Random>,
    timer: Box<dyn Timer>,
    max_sleep: Duration,
    signal_policy: SignalPolicy,
    preopens: Vec<(Arc<str>, Arc<dyn Dir>)>,
    sockets: Vec<HostSocket>,
    rights: RightsMode,
    allocate: Allocate,
    max_descriptors: u32,
    dot_entries: DotEntries,
    /// The first error of a setter, returned by `build` so that setters can be chained.
    error: Option<WasiBuildError>,
}

/// Why a context could not be built.
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::{Wasi, WasiBuildError};
///
/// let error = Wasi::builder().arg("a\0b").build().unwrap_err();
/// assert_eq!(error, WasiBuildError::ArgContainsNul { index: 0 });
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WasiBuildError {
    /// An argument contains a NUL byte, at which the guest would end the argument.
    #[error(
        "argument {index} contains a NUL byte; remove it, guests read arguments up to the first NUL"
    )]
    ArgContainsNul {
        /// The index of the argument, from 0.
        index: usize,
    },

    /// The name of an environment variable is empty or contains `=`: the guest would read another
    /// name.
    #[error(
        "the environment variable name {key:?} is empty or contains '='; use a name without '='"
    )]
    InvalidEnvKey {
        /// The name, with invalid UTF-8 replaced.
        key: String,
    },

    /// The name or the value of an environment variable contains a NUL byte, at which the guest
    /// would end it.
    #[error(
        "the environment variable {key:?} contains a NUL byte; remove it, guests read variables up to the first NUL"
    )]
    EnvContainsNul {
        /// The name, with invalid UTF-8 replaced. Values may be secret and are never shown.
        key: String,
    },

    /// The arguments exceed [`MAX_STRINGS_BYTES`](crate::MAX_STRINGS_BYTES).
    #[error(
        "the arguments take more than 1 MiB, with 16 bytes for each besides its text; pass less, for example through a file"
    )]
    ArgsTooLong,

    /// The variables exceed [`MAX_STRINGS_BYTES`](crate::MAX_STRINGS_BYTES).
    #[error(
        "the environment takes more than 1 MiB, with 16 bytes for each variable besides its text; pass less, for example through a file"
    )]
    EnvTooLong,

    /// The guest path of a directory is empty, contains a NUL byte, or is longer than
    /// [`MAX_PATH_BYTES`].
    #[error(
        "the guest path {path:?} is empty, too long or contains a NUL byte; use a path such as \"/data\" or \".\""
    )]
    InvalidGuestPath {
        /// The guest path.
        path: String,
    },

    /// Two directories have the same guest path, apart from trailing slashes. A guest would find
    /// only one of them.
    #[error("the guest path {path:?} is used twice; use a different path for each directory")]
    DuplicateGuestPath {
        /// The guest path.
        path: String,
    },
}

impl WasiBuilder {
    /// Appends one argument, which may contain any byte but NUL.
    ///
    /// The first argument is by convention the name of the program.
    pub fn arg(mut self, arg: impl AsRef<[u8]>) -> Self {
        let arg = arg.as_ref();
        if arg.contains(&0) {
            let index = self.args.n_strings();
            return self.fail(WasiBuildError::ArgContainsNul { index });
        }
        if !self.args.push(&[arg]) {
            return self.fail(WasiBuildError::ArgsTooLong);
        }
        self
    }

    /// Appends several arguments; see [`arg`](Self::arg).
    pub fn args(self, args: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Self {
        args.into_iter().fold(self, Self::arg)
    }

    /// Appends one environment variable. `key` and `value` may contain any byte but NUL, and `key`
    /// no `=`.
    ///
    /// The guest gets the variables in the order in which they were set. A name that is set twice
    /// is passed twice; a libc usually uses the first.
    pub fn env(mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        let (key, value) = (key.as_ref(), value.as_ref());
        if key.is_empty() || key.contains(&b'=') {
            return self.fail(WasiBuildError::InvalidEnvKey { key: lossy(key) });
        }
        if key.contains(&0) || value.contains(&0) {
            return self.fail(WasiBuildError::EnvContainsNul { key: lossy(key) });
        }
        if !self.env.push(&[key, b"=", value]) {
            return self.fail(WasiBuildError::EnvTooLong);
        }
        self
    }

    /// Appends several environment variables; see [`env`](Self::env).
    pub fn envs(
        self,
        vars: impl IntoIterator<Item = (impl AsRef<[u8]>, impl AsRef<[u8]>)>,
    ) -> Self {
        vars.into_iter()
            .fold(self, |builder, (key, value)| builder.env(key, value))
    }

    /// Sets the guest's standard input: text, bytes, or a [`Stdin`].
    pub fn stdin(mut self, stdin: impl Into<Stdin>) -> Self {
        self.stdin = stdin.into();
        self
    }

    /// Sets the guest's standard output: a [`SharedBuffer`](crate::SharedBuffer), or a [`Stdout`].
    pub fn stdout(mut self, stdout: impl Into<Stdout>) -> Self {
        self.stdout = stdout.into();
        self
    }

    /// Sets the guest's standard error: a [`SharedBuffer`](crate::SharedBuffer), or a [`Stdout`].
    pub fn stderr(mut self, stderr: impl Into<Stdout>) -> Self {
        self.stderr = stderr.into();
        self
    }

    /// Connects standard input, output and error to those of the host's process.
    pub fn inherit_stdio(self) -> Self {
        self.stdin(Stdin::inherit())
            .stdout(Stdout::inherit())
            .stderr(Stdout::inherit_stderr())
    }

    /// Sets the clocks that the guest reads, for example a [`SystemClock`](crate::SystemClock).
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Sets the source of the guest's random bytes.
    ///
    /// A guest that generates keys, tokens or nonces, or that hashes untrusted input into tables,
    /// needs a [`SystemRandom`](crate::SystemRandom): the bytes of the default source are
    /// predictable.
    pub fn random(mut self, random: impl Random + 'static) -> Self {
        self.random = Box::new(random);
        self
    }

    /// Sets the timer that wakes the guest from a sleep that its host awaits, for example the timer
    /// of an async runtime.
    ///
    /// Only [clocks](Self::clock) on which a sleep has to be waited for use it.
    pub fn timer(mut self, timer: impl Timer + 'static) -> Self {
        self.timer = Box::new(timer);
        self
    }

    /// Sets the longest time that the guest may ask its host to wait in one call. The default is
    /// `Duration::MAX`.
    ///
    /// A longer sleep fails immediately with [`Errno::Inval`](crate::Errno::Inval). The limit
    /// bounds how long one call holds a thread that [blocks](Wasi::block), or keeps an awaited
    /// guest suspended. Clocks on which every sleep elapses immediately ignore it.
    pub fn max_sleep(mut self, max_sleep: Duration) -> Self {
        self.max_sleep = max_sleep;
        self
    }

    /// Sets what `proc_raise` does.
    pub fn signal_policy(mut self, policy: SignalPolicy) -> Self {
        self.signal_policy = policy;
        self
    }

    /// Gives the guest the directory `dir` and everything below it, under the name `guest_path`.
    /// The guest cannot reach anything above it.
    ///
    /// Directories get the descriptors from 3 on, in the order of these calls. A libc opens a path
    /// through the directory with the longest matching `guest_path`; `"/"` matches every absolute
    /// path, and `"."` every relative one.
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_wasi::Wasi;
    /// use rangewatch_wasi::fs::{Access, MemoryFs};
    ///
    /// let config = MemoryFs::with_files([("app.toml", "verbose = true\n")])?;
    /// let ctx = Wasi::builder()
    ///     .preopen("/etc", config, Access::ReadOnly)
    ///     .preopen("/tmp", MemoryFs::new(), Access::ReadWrite)
    ///     .build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn preopen(
        mut self,
        guest_path: impl AsRef<str>,
        dir: impl IntoDir,
        access: Access,
    ) -> Self {
        let path = guest_path.as_ref();
        if path.is_empty() || path.len() > MAX_PATH_BYTES as usize || path.contains('\0') {
            let path = path.to_owned();
            return self.fail(WasiBuildError::InvalidGuestPath { path });
        }
        let named = path.trim_end_matches('/');
        if (self.preopens.iter()).any(|(other, _)| other.trim_end_matches('/') == named) {
            let path = path.to_owned();
            return self.fail(WasiBuildError::DuplicateGuestPath { path });
        }
        let dir = match access {
            Access::ReadOnly => Arc::new(ReadOnly::new(dir.into_dir())),
            Access::ReadWrite => dir.into_dir(),
        };
        self.preopens.push((path.into(), dir));
        self
    }

    /// Gives the guest a listening socket, on which it calls `sock_accept`.
    ///
    /// Sockets, [connected](Self::socket) ones included, get the descriptors after the directories,
    /// in the order of these calls: the first socket of a guest without directories is 3. A libc
    /// scans for preopened directories from 3 on and stops at the first descriptor that is none, so
    /// sockets before them would hide them. For a guest that expects `LISTEN_FDS` and related
    /// variables, set them with [`env`](Self::env).
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_wasi::Wasi;
    /// use rangewatch_wasi::net::loopback;
    ///
    /// let (listener, connector) = loopback(16, 64 << 10);
    /// let ctx = Wasi::builder().listener(listener).env("LISTEN_FDS", "1").build()?;
    ///
    /// // Or `connector.connect().await?`.
    /// let (answers, mut questions) = connector.try_connect()?.split();
    /// questions.try_send(b"GET / HTTP/1.0\r\n\r\n")?; // `sock_accept` returns it
    /// # drop((ctx, answers));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "net")]
    pub fn listener(mut self, listener: impl Listener + 'static) -> Self {
        self.sockets.push(HostSocket::Listening(Box::new(listener)));
        self
    }

    /// Gives the guest a connected socket. Its descriptor is assigned as for a
    /// [`listener`](Self::listener).
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_wasi::Wasi;
    /// use rangewatch_wasi::net::socket_pair;
    ///
    /// let (of_guest, of_host) = socket_pair(64 << 10);
    /// let ctx = Wasi::builder().socket(of_guest).build()?; // descriptor 3
    /// let (answers, mut questions) = of_host.split();
    /// questions.try_send(b"one question\n")?;
    /// # drop((ctx, answers));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "net")]
    pub fn socket(mut self, socket: impl Socket + 'static) -> Self {
        self.sockets.push(HostSocket::Connected(Box::new(socket)));
        self
    }

    /// Sets how the rights of descriptors are enforced.
    pub fn rights(mut self, mode: RightsMode) -> Self {
        self.rights = mode;
        self
    }

    /// Sets what `fd_allocate` does.
    pub fn allocate(mut self, allocate: Allocate) -> Self {
        self.allocate = allocate;
        self
    }

    /// Sets how many descriptors the guest may have open at a time, including streams, preopened
    /// directories and sockets of the host, which are open even beyond the limit.
    /// [`DEFAULT_MAX_DESCRIPTORS`] documents the cost of a descriptor.
    pub fn max_descriptors(mut self, max_descriptors: u32) -> Self {
        self.max_descriptors = max_descriptors;
        self
    }

    /// Sets whether listings of directories begin with `.` and `..`; some programs do not expect
    /// them.
    pub fn dot_entries(mut self, dot_entries: DotEntries) -> Self {
        self.dot_entries = dot_entries;
        self
    }

    /// Builds the context.
    ///
    /// # Errors
    ///
    /// The first error of the setters: an argument, variable or directory that cannot be passed to
    /// a guest unchanged.
    pub fn build(self) -> Result<Wasi, WasiBuildError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        Ok(Wasi {
            args: self.args,
            env: self.env,
            descriptors: Descriptors::new(
                self.stdin,
                self.stdout,
                self.stderr,
                self.preopens,
                self.sockets,
                self.max_descriptors,
                self.rights,
            ),
            device_numbers: DeviceNumbers::default(),
            dot_entries: self.dot_entries,
            work: Work::default(),
            meter: WorkMeter::default(),
            clock: GuestClock::new(self.clock),
            random: self.random,
            timer: self.timer,
            max_sleep: self.max_sleep,
            signal_policy: self.signal_policy,
            allocate: self.allocate,
            wait: None,
        })
    }

    fn fail(mut self, error: WasiBuildError) -> Self {
        self.error.get_or_insert(error);
        self
    }
}

impl Default for WasiBuilder {
    fn default() -> Self {
        Self {
            args: StringTable::default(),
            env: StringTable::default(),
            stdin: Stdin::empty(),
            stdout: Stdout::discard(),
            stderr: Stdout::discard(),
            clock: Box::new(SteppingClock::new(
                FixedClock::at(0, 0),
                Duration::from_millis(1),
            )),
            random: Box::new(SeededRandom::new(0)),
            timer: Box::new(ThreadTimer::new()),
            max_sleep: Duration::MAX,
            signal_policy: SignalPolicy::Refuse,
            preopens: Vec::new(),
            sockets: Vec::new(),
            rights: RightsMode::default(),
            allocate: Allocate::default(),
            max_descriptors: DEFAULT_MAX_DESCRIPTORS,
            dot_entries: DotEntries::default(),
            error: None,
        }
    }
}

/// Shows only the number of arguments and variables: they may be secret, and debug output ends up
/// in logs.
impl fmt::Debug for WasiBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WasiBuilder")
            .field("n_args", &self.args.n_strings())
            .field("n_env", &self.env.n_strings())
            .field("stdin", &self.stdin)
            .field("stdout", &self.stdout)
            .field("stderr", &self.stderr)
            .field("n_preopens", &self.preopens.len())
            .field("n_sockets", &self.sockets.len())
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
