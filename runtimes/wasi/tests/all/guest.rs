//! A guest for tests: a context and a memory.

use rangewatch_wasi::{Errno, Exit, Interrupt, Wasi, WasiBuilder, WorkMeter, preview1};

/// Addresses of the table of buffers, of its result and of the bytes.
const IOVS: u32 = 0;
const RESULT: u32 = 0x4000;
const BYTES: u32 = 0x8000;

/// Fills memory that a failing call must not change.
pub(crate) const CANARY: u8 = 0xa5;

pub(crate) struct Guest {
    pub(crate) ctx: Wasi,
    pub(crate) memory: Vec<u8>,
}

impl Guest {
    /// A guest with 1 MiB of memory.
    pub(crate) fn new(builder: WasiBuilder) -> Self {
        Self {
            ctx: builder.build().unwrap(),
            memory: vec![CANARY; 1 << 20],
        }
    }

    pub(crate) fn put(&mut self, ptr: u32, bytes: &[u8]) {
        self.memory[ptr as usize..][..bytes.len()].copy_from_slice(bytes);
    }

    pub(crate) fn bytes(&self, ptr: u32, len: u32) -> &[u8] {
        &self.memory[ptr as usize..][..len as usize]
    }

    pub(crate) fn u32(&self, ptr: u32) -> u32 {
        u32::from_le_bytes(self.bytes(ptr, 4).try_into().unwrap())
    }

    pub(crate) fn u64(&self, ptr: u32) -> u64 {
        u64::from_le_bytes(self.bytes(ptr, 8).try_into().unwrap())
    }

    pub(crate) fn put_iovecs(&mut self, ptr: u32, iovecs: &[(u32, u32)]) {
        let table: Vec<u8> = iovecs
            .iter()
            .flat_map(|(ptr, len)| [*ptr, *len])
            .flat_map(u32::to_le_bytes)
            .collect();
        self.put(ptr, &table);
    }

    /// Calls `fd_write` with buffers that are in memory.
    pub(crate) fn writev(&mut self, fd: i32, iovecs: &[(u32, u32)]) -> Result<u32, Errno> {
        self.put_iovecs(IOVS, iovecs);
        let n_iovecs = iovecs.len() as i32;
        self.block_on(|ctx, memory| {
            preview1::fd_write(ctx, memory, fd, IOVS as i32, n_iovecs, RESULT as i32)
        })?;
        Ok(self.u32(RESULT))
    }

    /// Calls `fd_read` with buffers in memory.
    pub(crate) fn readv(&mut self, fd: i32, iovecs: &[(u32, u32)]) -> Result<u32, Errno> {
        self.put_iovecs(IOVS, iovecs);
        let n_iovecs = iovecs.len() as i32;
        self.block_on(|ctx, memory| {
            preview1::fd_read(ctx, memory, fd, IOVS as i32, n_iovecs, RESULT as i32)
        })?;
        Ok(self.u32(RESULT))
    }

    /// Retries a call until it does not wait, and blocks the thread in between.
    pub(crate) fn block_on(
        &mut self,
        call: impl FnMut(&mut Wasi, &mut [u8]) -> Result<(), Interrupt>,
    ) -> Result<(), Errno> {
        block_on(&mut self.ctx, &mut self.memory, call).unwrap()
    }

    pub(crate) fn write(&mut self, fd: i32, bytes: &[u8]) -> Result<u32, Errno> {
        self.put(BYTES, bytes);
        self.writev(fd, &[(BYTES, bytes.len() as u32)])
    }

    pub(crate) fn read(&mut self, fd: i32, len: u32) -> Result<Vec<u8>, Errno> {
        let n_bytes = self.readv(fd, &[(BYTES, len)])?;
        Ok(self.bytes(BYTES, n_bytes).to_vec())
    }

    pub(crate) fn fdstat(&mut self, fd: i32) -> Result<FdStat, Errno> {
        preview1::fd_fdstat_get(&mut self.ctx, &mut self.memory, fd, RESULT as i32)?;
        let stat = self.bytes(RESULT, 24);
        Ok(FdStat {
            file_type: stat[0],
            flags: u16::from_le_bytes(stat[2..4].try_into().unwrap()),
            rights_base: u64::from_le_bytes(stat[8..16].try_into().unwrap()),
            rights_inheriting: u64::from_le_bytes(stat[16..24].try_into().unwrap()),
        })
    }

    /// Calls `path_open` below `fd`, without following a link in the last component.
    pub(crate) fn open_at(
        &mut self,
        fd: i32,
        path: &str,
        oflags: i32,
        rights: (i64, i64),
    ) -> Result<i32, Errno> {
        self.put(BYTES, path.as_bytes());
        let (at, len) = (BYTES as i32, path.len() as i32);
        let (base, inheriting) = rights;
        preview1::path_open(
            &mut self.ctx,
            &mut self.memory,
            fd,
            0,
            at,
            len,
            oflags,
            base,
            inheriting,
            0,
            RESULT as i32,
        )?;
        Ok(self.u32(RESULT) as i32)
    }

    /// Like [`open_at`](Self::open_at), below the first preopened directory and with all rights.
    pub(crate) fn open(&mut self, path: &str, oflags: i32) -> Result<i32, Errno> {
        self.open_at(3, path, oflags, (0, 0))
    }

    pub(crate) fn create_dir(&mut self, fd: i32, path: &str) -> Result<(), Errno> {
        self.put(BYTES, path.as_bytes());
        let (at, len) = (BYTES as i32, path.len() as i32);
        preview1::path_create_directory(&mut self.ctx, &mut self.memory, fd, at, len)
    }

    pub(crate) fn unlink(&mut self, path: &str) -> Result<(), Errno> {
        self.put(BYTES, path.as_bytes());
        let (at, len) = (BYTES as i32, path.len() as i32);
        preview1::path_unlink_file(&mut self.ctx, &mut self.memory, 3, at, len)
    }

    pub(crate) fn link(
        &mut self,
        (fd, old): (i32, &str),
        (to, new): (i32, &str),
    ) -> Result<(), Errno> {
        let (at, at2) = (BYTES as i32, BYTES as i32 + 8192);
        self.put(at as u32, old.as_bytes());
        self.put(at2 as u32, new.as_bytes());
        let (len, len2) = (old.len() as i32, new.len() as i32);
        preview1::path_link(
            &mut self.ctx,
            &mut self.memory,
            fd,
            0,
            at,
            len,
            to,
            at2,
            len2,
        )
    }

    pub(crate) fn rename(
        &mut self,
        (fd, old): (i32, &str),
        (to, new): (i32, &str),
    ) -> Result<(), Errno> {
        let (at, at2) = (BYTES as i32, BYTES as i32 + 8192);
        self.put(at as u32, old.as_bytes());
        self.put(at2 as u32, new.as_bytes());
        let (len, len2) = (old.len() as i32, new.len() as i32);
        preview1::path_rename(&mut self.ctx, &mut self.memory, fd, at, len, to, at2, len2)
    }

    pub(crate) fn is_open(&mut self, fd: i32) -> bool {
        self.fdstat(fd).is_ok()
    }

    /// Asserts that the calls since `memory` was filled have written nothing.
    #[track_caller]
    pub(crate) fn assert_untouched(&self) {
        assert!(
            self.memory.iter().all(|byte| *byte == CANARY),
            "a failing call has written to memory"
        );
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FdStat {
    pub(crate) file_type: u8,
    pub(crate) flags: u16,
    pub(crate) rights_base: u64,
    pub(crate) rights_inheriting: u64,
}

/// Retries a call until it does not wait. Checks that each attempt costs at most one slice (G37).
fn block_on(
    ctx: &mut Wasi,
    memory: &mut [u8],
    mut call: impl FnMut(&mut Wasi, &mut [u8]) -> Result<(), Interrupt>,
) -> Result<Result<(), Errno>, Exit> {
    loop {
        let owed = ctx.meter().owed();
        let attempt = call(ctx, memory);
        let cost = ctx.meter().owed() - owed;
        assert!(
            (1..=WorkMeter::DEFAULT_SLICE).contains(&cost),
            "{cost} units"
        );
        match attempt {
            Ok(()) => return Ok(Ok(())),
            Err(Interrupt::Errno(errno)) => return Ok(Err(errno)),
            Err(Interrupt::Wait) => ctx.block(),
            Err(Interrupt::Exit(exit)) => return Err(exit),
            Err(Interrupt::Signal(signal)) => panic!("{signal}"),
        }
    }
}

/// One function, callable as by an engine.
pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) param_names: &'static [&'static str],
    pub(crate) call: HostFunction,
}

type HostFunction = fn(&mut Wasi, &mut [u8], &[i64]) -> Result<Result<(), Errno>, Exit>;

impl Function {
    pub(crate) fn named(name: &str) -> &'static Self {
        TABLE.iter().find(|function| function.name == name).unwrap()
    }

    /// Whether the parameter at `index` is a descriptor.
    pub(crate) fn takes_fd(&self, index: usize) -> bool {
        let name = self.param_names[index];
        name == "fd" || name == "to" || name == "old_fd" || name == "new_fd"
    }
}

/// The table of functions, expanded as a backend expands it.
pub(crate) const TABLE: &[Function] = {
    macro_rules! toy_backend {
        ($(fn $name:ident($($param:ident: $ty:ident),*) -> $result:ident;)*) => {
            &[$(Function {
                name: stringify!($name),
                param_names: &[$(stringify!($param)),*],
                call: |ctx, memory, args| {
                    let [$($param),*] = args else { panic!("wrong number of arguments for {}", stringify!($name)) };
                    toy_backend!(@$result ctx memory $name $(*$param as $ty),*)
                },
            }),*]
        };
        (@errno $ctx:ident $memory:ident $name:ident $($arg:expr),*) => {
            block_on($ctx, $memory, |ctx, memory| Ok(preview1::$name(ctx, memory $(, $arg)*)?))
        };
        (@wait $ctx:ident $memory:ident $name:ident $($arg:expr),*) => {
            block_on($ctx, $memory, |ctx, memory| preview1::$name(ctx, memory $(, $arg)*))
        };
        (@never $ctx:ident $memory:ident $name:ident $($arg:expr),*) => { Err(preview1::$name($ctx, $memory $(, $arg)*)) };
    }
    rangewatch_wasi::for_each_function!(toy_backend)
};
