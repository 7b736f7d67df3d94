//! G30 for sockets: arbitrary calls lose no byte and move none twice.

use std::io;
use std::net::Shutdown;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use proptest::prelude::*;
use rangewatch_wasi::net::{Listener, Readiness, Socket};
use rangewatch_wasi::{Wasi, preview1};

use crate::arbitrary::{Call, cases, memory};
use crate::guest::TABLE;

/// How many bytes each socket has to receive.
const N_INCOMING_BYTES: usize = 200;

/// What the host's socket has recorded.
#[derive(Debug, Default)]
struct Account {
    n_attempts: usize,
    n_given: usize,
    n_taken: usize,
    is_dropped: bool,
}

impl Account {
    /// Every third operation is pending, and each moves only a few bytes.
    fn attempt(&mut self, n_bytes: usize) -> Poll<usize> {
        self.n_attempts += 1;
        match self.n_attempts % 3 {
            0 => Poll::Pending,
            _ => Poll::Ready(n_bytes.min(1 + self.n_attempts % 7)),
        }
    }
}

type Accounts = Arc<Mutex<Vec<Account>>>;

struct RecordingSocket {
    accounts: Accounts,
    index: usize,
}

impl RecordingSocket {
    fn open(accounts: &Accounts) -> Self {
        let mut all = accounts.lock().unwrap();
        all.push(Account::default());
        Self {
            accounts: accounts.clone(),
            index: all.len() - 1,
        }
    }
}

impl Socket for RecordingSocket {
    fn receive(&mut self, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let account = &mut self.accounts.lock().unwrap()[self.index];
        let n_left = N_INCOMING_BYTES - account.n_given;
        account.attempt(buf.len().min(n_left)).map(|n_bytes| {
            buf[..n_bytes].fill(7);
            account.n_given += n_bytes;
            Ok(n_bytes)
        })
    }

    fn send(&mut self, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let account = &mut self.accounts.lock().unwrap()[self.index];
        account.attempt(bytes.len()).map(|n_bytes| {
            account.n_taken += n_bytes;
            Ok(n_bytes)
        })
    }

    fn shutdown(&mut self, _how: Shutdown) -> io::Result<()> {
        Ok(())
    }

    fn poll_readable(&mut self, _cx: &mut Context<'_>) -> Poll<Readiness> {
        Poll::Ready(Readiness::bytes(1))
    }

    fn poll_writable(&mut self, _cx: &mut Context<'_>) -> Poll<Readiness> {
        Poll::Ready(Readiness::bytes(1))
    }
}

impl Drop for RecordingSocket {
    fn drop(&mut self) {
        self.accounts.lock().unwrap()[self.index].is_dropped = true;
    }
}

/// Every other accept is pending.
struct Open {
    accounts: Accounts,
    n_attempts: usize,
}

impl Listener for Open {
    fn accept(&mut self) -> Poll<io::Result<Box<dyn Socket>>> {
        self.n_attempts += 1;
        match self.n_attempts % 2 {
            0 => Poll::Ready(Ok(Box::new(RecordingSocket::open(&self.accounts)))),
            _ => Poll::Pending,
        }
    }

    fn poll_acceptable(&mut self, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

fn call() -> impl Strategy<Value = Call> {
    let on_descriptors: Vec<usize> = (0..TABLE.len())
        .filter(|at| TABLE[*at].name.starts_with("fd_") || TABLE[*at].name == "poll_oneoff")
        .collect();
    let on_sockets: Vec<usize> = (0..TABLE.len())
        .filter(|at| TABLE[*at].name.starts_with("sock_"))
        .collect();
    let function = prop_oneof![
        1 => proptest::sample::select(on_descriptors),
        2 => proptest::sample::select(on_sockets),
    ];
    function.prop_flat_map(|function| {
        let args: Vec<BoxedStrategy<i64>> = TABLE[function]
            .param_names
            .iter()
            .map(|name| match *name {
                "fd" | "to" => prop_oneof![1 => 0..3_i64, 6 => 3..9_i64].boxed(),
                "iovs" | "ri_data" | "si_data" => {
                    prop_oneof![6 => Just(0), 1 => 0..400_i64].boxed()
                }
                "iovs_len" | "ri_data_len" | "si_data_len" | "how" | "nsubscriptions" => {
                    prop_oneof![8 => 1..4_i64, 1 => any::<i64>()].boxed()
                }
                "flags" | "ri_flags" | "si_flags" => {
                    prop_oneof![4 => Just(0), 4 => 0..5_i64, 1 => any::<i64>()].boxed()
                }
                "rights_base" | "rights_inheriting" => {
                    prop_oneof![4 => Just(!0), 1 => any::<i64>()].boxed()
                }
                "ro_flags_out" => (450..460_i64).boxed(),
                // After the table of buffers, which is reused.
                _ => prop_oneof![8 => 32..400_i64, 1 => any::<i64>()].boxed(),
            })
            .collect();
        args.prop_map(move |args| Call { function, args })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_socket_calls_loses_or_repeats_a_byte(
        mut memory in memory(),
        calls in proptest::collection::vec(call(), 1..80),
    ) {
        memory.resize(memory.len().max(512), 0);
        let accounts = Accounts::default();
        let listener = Open { accounts: accounts.clone(), n_attempts: 0 };
        let mut ctx = Wasi::builder()
            .socket(RecordingSocket::open(&accounts))
            .listener(listener)
            .socket(RecordingSocket::open(&accounts))
            .max_descriptors(8)
            .build()
            .unwrap();
        // The bytes that each connected socket has moved.
        let mut model = [None, None, None, Some(0), None, Some(1), None, None];
        let mut received = Vec::new();
        let mut sent = Vec::new();
        let mut is_shut = Vec::new();

        for Call { function, args } in calls {
            let function = &TABLE[function];
            let before = memory.clone();
            let result = (function.call)(&mut ctx, &mut memory, &args).expect("nothing exits");
            let n_accounts = accounts.lock().unwrap().len();
            received.resize(n_accounts, 0);
            sent.resize(n_accounts, 0);
            is_shut.resize(n_accounts, false);
            let fd = |index: usize| args[index] as u32 as usize;
            let number = |index: usize| {
                let at = args[index] as u32 as usize;
                u32::from_le_bytes(memory[at..][..4].try_into().unwrap()) as usize
            };
            if let Err(errno) = result {
                prop_assert!(memory == before, "{} failed with {errno} and has written to memory", function.name);
                continue;
            }
            match function.name {
                // A standard stream may have replaced the socket.
                "fd_read" => {
                    if let Some(account) = model[fd(0)] {
                        received[account] += number(3);
                    }
                }
                "fd_write" => {
                    if let Some(account) = model[fd(0)] {
                        sent[account] += number(3);
                    }
                }
                "sock_recv" => {
                    let is_peek = args[3] as i32 & 1 != 0;
                    // If the results overlap, the first one is overwritten.
                    prop_assume!((args[4] as u32).abs_diff(args[5] as u32) >= 4);
                    if !is_peek {
                        received[model[fd(0)].expect("a connected socket")] += number(4);
                    }
                }
                "sock_send" => sent[model[fd(0)].expect("a connected socket")] += number(4),
                "sock_shutdown" => {
                    is_shut[model[fd(0)].expect("a connected socket")] |= args[1] & 1 != 0;
                }
                "sock_accept" => model[number(2)] = Some(n_accounts - 1),
                "fd_close" => model[fd(0)] = None,
                "fd_renumber" if fd(0) != fd(1) => model[fd(1)] = model[fd(0)].take(),
                _ => {}
            }
            for (index, account) in accounts.lock().unwrap().iter().enumerate() {
                prop_assert!(received[index] <= account.n_given, "received bytes that were not sent");
                prop_assert_eq!(sent[index], account.n_taken);
                let is_open = model.contains(&Some(index));
                prop_assert_eq!(account.is_dropped, !is_open);
            }
        }

        // The remaining bytes can still be received.
        for (fd, account) in model.iter().enumerate() {
            let Some(index) = *account else { continue };
            let fd = fd as i32;
            let _ = preview1::fd_fdstat_set_flags(&mut ctx, &mut [], fd, 0);
            memory[..8].copy_from_slice(&[64, 0, 0, 0, 9, 0, 0, 0]);
            loop {
                match preview1::fd_read(&mut ctx, &mut memory, fd, 0, 1, 16) {
                    Ok(()) if memory[16] == 0 => {
                        prop_assert!(is_shut[index] || received[index] == N_INCOMING_BYTES);
                        break;
                    }
                    Ok(()) => received[index] += usize::from(memory[16]),
                    Err(rangewatch_wasi::Interrupt::Wait) => ctx.block(),
                    // The descriptor stays NONBLOCK, or has no right to read.
                    Err(_) => break,
                }
            }
        }
    }
}
