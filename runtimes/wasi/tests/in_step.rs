//! G34 and parity: the same random calls, on a filesystem in memory and on a directory of the host, have the same outcomes,
//! and nothing outside of the directory changes.

use std::fs;
use std::path::Path;

use rangewatch_wasi::fs::{Access, HostDir, IntoDir, MemoryFs};
use rangewatch_wasi::{Errno, Interrupt, Wasi, preview1};

/// How many sequences of calls to run; more for a longer search.
fn n_sequences() -> u64 {
    std::env::var("RANGEWATCH_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(150)
}

const CALLS: usize = 120;

/// SplitMix64: small, and the same everywhere.
struct Rng(u64);

impl Rng {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % below as u64) as usize
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.next(from.len())]
    }

    /// A path of a few components over a few names, so that calls meet each other; often a bad one.
    fn path(&mut self) -> String {
        let mut path = String::new();
        if self.next(100) == 0 {
            path.push('/');
        }
        for i in 0..[1, 1, 1, 1, 2, 2, 3][self.next(7)] {
            if i > 0 {
                path.push_str(self.pick(&["/", "/", "/", "//"]));
            }
            path.push_str(self.pick(&[
                "a", "b", "c", "a", "b", "c", "a", "b", "c", ".", "..", "outside",
            ]));
        }
        path.push_str(self.pick(&["", "", "", "", "", "", "", "", "/", "/."]));
        path
    }

    fn target(&mut self) -> String {
        match self.next(8) {
            0 => "../outside".to_owned(),
            1 => "../../outside/secret".to_owned(),
            _ => self.path(),
        }
    }
}

#[derive(Clone, Debug)]
enum Call {
    Open(i32, i32, String, i32, i64, i32),
    Close(i32),
    Write(i32, usize),
    Read(i32, i32),
    SetSize(i32, i64),
    Seek(i32, i64, i32),
    Stat(i32, i32, String),
    CreateDir(i32, String),
    RemoveDir(i32, String),
    Unlink(i32, String),
    Rename(i32, String, i32, String),
    Link(i32, String, i32, String),
    Symlink(String, i32, String),
    ReadLink(i32, String),
    SetTimes(i32, i32, String, i64),
}

impl Call {
    fn random(rng: &mut Rng) -> Self {
        let fd = match rng.next(4) {
            0 => 3 + rng.next(3) as i32,
            _ => 3,
        };
        let other = if rng.next(4) == 0 { 4 } else { 3 };
        let rights = [0, 0, 1 << 1, 1 << 6, 1 << 1 | 1 << 6][rng.next(5)];
        match rng.next(20) {
            0..=3 => Self::Open(
                fd,
                rng.next(2) as i32,
                rng.path(),
                rng.next(16) as i32,
                rights,
                rng.next(2) as i32,
            ),
            4 => Self::Close(4 + rng.next(20) as i32),
            5 => Self::Write(4 + rng.next(3) as i32, rng.next(3000)),
            6 => Self::Read(4 + rng.next(3) as i32, rng.next(2000) as i32),
            7 => Self::SetSize(4 + rng.next(3) as i32, rng.next(5000) as i64),
            8 => Self::Seek(
                4 + rng.next(3) as i32,
                rng.next(4000) as i64 - 1000,
                rng.next(3) as i32,
            ),
            9 => Self::Stat(fd, rng.next(2) as i32, rng.path()),
            10..=11 => Self::CreateDir(fd, rng.path()),
            12 => Self::RemoveDir(fd, rng.path()),
            13 => Self::Unlink(fd, rng.path()),
            14..=15 => Self::Rename(fd, rng.path(), other, rng.path()),
            16 => Self::Link(fd, rng.path(), other, rng.path()),
            17 => Self::Symlink(rng.target(), fd, rng.path()),
            18 => Self::ReadLink(fd, rng.path()),
            _ => Self::SetTimes(fd, rng.next(2) as i32, rng.path(), rng.next(1 << 30) as i64),
        }
    }
}

const RESULT: i32 = 0;
const IOVS: i32 = 128;
const PATHS: [i32; 2] = [1024, 8192];
const BYTES: i32 = 16_384;

struct Guest {
    ctx: Wasi,
    memory: Vec<u8>,
}

impl Guest {
    fn new(dir: impl IntoDir) -> Self {
        let builder = Wasi::builder().preopen("/", dir, Access::ReadWrite);
        Self {
            ctx: builder.build().unwrap(),
            memory: vec![0; 65_536],
        }
    }

    fn put(&mut self, which: usize, path: &str) -> (i32, i32) {
        let at = PATHS[which];
        self.memory[at as usize..][..path.len()].copy_from_slice(path.as_bytes());
        (at, path.len() as i32)
    }

    fn iovec(&mut self, len: i32) {
        self.memory[IOVS as usize..][..4].copy_from_slice(&BYTES.to_le_bytes());
        self.memory[IOVS as usize + 4..][..4].copy_from_slice(&len.to_le_bytes());
    }

    fn number(&self) -> u32 {
        u32::from_le_bytes(self.memory[..4].try_into().unwrap())
    }

    /// Makes the call, and answers all of its outcome that filesystems agree on.
    fn call(&mut self, call: &Call) -> Result<Vec<u8>, Errno> {
        let paths = match call {
            Call::Rename(_, old, _, new) | Call::Link(_, old, _, new) => [old.as_str(), new],
            Call::Symlink(target, _, path) => [target.as_str(), path],
            Call::Open(_, _, path, ..)
            | Call::Stat(_, _, path)
            | Call::CreateDir(_, path)
            | Call::RemoveDir(_, path)
            | Call::Unlink(_, path)
            | Call::ReadLink(_, path)
            | Call::SetTimes(_, _, path, _) => [path.as_str(), ""],
            _ => ["", ""],
        };
        let ((at, len), (at2, len2)) = (self.put(0, paths[0]), self.put(1, paths[1]));
        let ctx = &mut self.ctx;
        let memory = &mut self.memory[..];
        match *call {
            Call::Open(fd, dirflags, _, oflags, rights, fdflags) => {
                preview1::path_open(
                    ctx, memory, fd, dirflags, at, len, oflags, rights, 0, fdflags, RESULT,
                )?;
                Ok(self.memory[..4].to_vec())
            }
            Call::Close(fd) => preview1::fd_close(ctx, memory, fd).map(|()| Vec::new()),
            Call::Write(fd, n) => {
                self.memory[BYTES as usize..][..n].fill(n as u8);
                self.iovec(n as i32);
                at_once(preview1::fd_write(
                    &mut self.ctx,
                    &mut self.memory,
                    fd,
                    IOVS,
                    1,
                    RESULT,
                ))?;
                Ok(self.memory[..4].to_vec())
            }
            Call::Read(fd, n) => {
                self.iovec(n);
                at_once(preview1::fd_read(
                    &mut self.ctx,
                    &mut self.memory,
                    fd,
                    IOVS,
                    1,
                    RESULT,
                ))?;
                Ok(self.memory[BYTES as usize..][..self.number() as usize].to_vec())
            }
            Call::SetSize(fd, size) => {
                preview1::fd_filestat_set_size(ctx, memory, fd, size).map(|()| Vec::new())
            }
            Call::Seek(fd, offset, whence) => {
                preview1::fd_seek(ctx, memory, fd, offset, whence, RESULT)?;
                Ok(self.memory[..8].to_vec())
            }
            Call::Stat(fd, flags, _) => {
                preview1::path_filestat_get(ctx, memory, fd, flags, at, len, RESULT)?;
                // The type, and for what is not a directory the number of links and the size.
                let stat = &self.memory[16..40];
                let len = if stat[0] == 3 { 1 } else { 24 };
                Ok(stat[..len].to_vec())
            }
            Call::CreateDir(fd, _) => {
                preview1::path_create_directory(ctx, memory, fd, at, len).map(|()| Vec::new())
            }
            Call::RemoveDir(fd, _) => {
                preview1::path_remove_directory(ctx, memory, fd, at, len).map(|()| Vec::new())
            }
            Call::Unlink(fd, _) => {
                preview1::path_unlink_file(ctx, memory, fd, at, len).map(|()| Vec::new())
            }
            Call::Rename(fd, _, to, _) => {
                preview1::path_rename(ctx, memory, fd, at, len, to, at2, len2).map(|()| Vec::new())
            }
            Call::Link(fd, _, to, _) => {
                preview1::path_link(ctx, memory, fd, 0, at, len, to, at2, len2).map(|()| Vec::new())
            }
            Call::Symlink(_, fd, _) => {
                preview1::path_symlink(ctx, memory, at, len, fd, at2, len2).map(|()| Vec::new())
            }
            Call::ReadLink(fd, _) => {
                preview1::path_readlink(ctx, memory, fd, at, len, BYTES, 4096, RESULT)?;
                Ok(self.memory[BYTES as usize..][..self.number() as usize].to_vec())
            }
            Call::SetTimes(fd, flags, _, ns) => {
                preview1::path_filestat_set_times(ctx, memory, fd, flags, at, len, ns, ns, 5)
                    .map(|()| Vec::new())
            }
        }
    }

    /// All names below the root with their contents, as the host sees them through the guest's functions.
    fn names(&mut self, fd: i32) -> Vec<String> {
        let end = BYTES as usize + 32_768;
        let read = preview1::fd_readdir(
            &mut self.ctx,
            &mut self.memory[..end],
            fd,
            BYTES,
            32_768,
            0,
            RESULT,
        );
        if read.is_err() {
            return Vec::new();
        }
        let mut bytes = &self.memory[BYTES as usize..][..self.number() as usize];
        let mut names = Vec::new();
        while bytes.len() > 24 {
            let len = u32::from_le_bytes(bytes[16..20].try_into().unwrap()) as usize;
            let name = String::from_utf8(bytes[24..24 + len].to_vec()).unwrap();
            names.push(format!("{name} {}", bytes[20]));
            bytes = &bytes[24 + len..];
        }
        names.sort();
        names
    }
}

/// Everything below a directory of the host, the contents of files included.
fn snapshot(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let metadata = path.symlink_metadata().unwrap();
        let contents = match metadata.is_dir() {
            true => Vec::new(),
            false => fs::read(&path).unwrap(),
        };
        found.push((path.display().to_string(), contents));
        if metadata.is_dir() {
            found.extend(snapshot(&path));
        }
    }
    found.sort();
    found
}

#[test]
fn g34_memory_and_the_host_agree_on_random_calls_and_nothing_outside_changes() {
    let temporary = tempfile::tempdir().unwrap();
    let outside = temporary.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "secret").unwrap();
    let before = snapshot(&outside);
    let mut agreed = 0;
    for seed in 0..n_sequences() {
        let inside = temporary.path().join("inside");
        fs::create_dir(&inside).unwrap();
        let mut memory = Guest::new(MemoryFs::new());
        let mut host = Guest::new(HostDir::open(&inside).unwrap());
        let mut rng = Rng(seed);
        let mut trace = Vec::new();
        let tree = ["a", "b", "a/b", "b/c"].map(|path| Call::CreateDir(3, path.to_owned()));
        let files = ["c", "a/a"].map(|path| Call::Open(3, 0, path.to_owned(), 1, 0, 0));
        let begin = tree.into_iter().chain(files);
        let random = std::iter::repeat_with(|| Call::random(&mut rng)).take(CALLS);
        for call in begin.chain(random) {
            let (in_memory, on_host) = (memory.call(&call), host.call(&call));
            agreed += usize::from(in_memory.is_ok());
            trace.push(format!("{call:?} -> {in_memory:?}"));
            assert_eq!(
                in_memory,
                on_host,
                "memory on the left, seed {seed}: {:#?}",
                &trace[trace.len().saturating_sub(60)..]
            );
        }
        for fd in 3..12 {
            assert_eq!(
                memory.names(fd),
                host.names(fd),
                "{fd}, seed {seed}: {trace:#?}"
            );
        }
        drop(host);
        fs::remove_dir_all(&inside).unwrap();
        assert_eq!(snapshot(&outside), before, "seed {seed}: {trace:#?}");
    }
    let n_calls = n_sequences() * CALLS as u64;
    assert!(
        agreed as u64 * 6 > n_calls,
        "{agreed} of {n_calls} calls succeeded"
    );
}

/// What a function that may wait answers for a file, which never does.
fn at_once(answer: Result<(), Interrupt>) -> Result<(), Errno> {
    answer.map_err(|interrupt| match interrupt {
        Interrupt::Errno(errno) => errno,
        other => panic!("a file has no reason to: {other}"),
    })
}
