//! The host: a guest with the three modules, and a stream for each client.

use std::error::Error;
use std::future::ready;
use std::time::Duration;

use rangewatch::{CallError, Guest, GuestBus, Limits, Owner, RangeWatchBus, Runtime};

use crate::buffers::{Buffers, StreamBuffer};
use crate::cache::{self, Lookups};
use crate::kv::Kv;

/// The guest, written with the Rust SDK. Its source is in `integration-tests/guests/modules`.
pub const GUEST: &[u8] = include_bytes!("../../../integration-tests/guests/prebuilt/modules.wasm");

/// What an event says about each of its keys.
#[derive(Debug)]
#[non_exhaustive]
pub struct Change {
    /// The new value; `None`: the key was deleted.
    pub value: Option<Vec<u8>>,
    /// Whose call has changed it.
    pub client: String,
}

/// Who calls: the context of each call.
#[derive(Clone, Debug)]
struct Client(String);

/// A guest and the state that it has in the host.
#[derive(Debug)]
#[non_exhaustive]
pub struct Host {
    /// The bus of the guest.
    pub bus: RangeWatchBus<Change>,
    /// The store.
    pub kv: Kv,
    /// The lookups in the caches.
    pub lookups: Lookups,
    /// The guest.
    pub guest: Guest,
    buffers: Buffers,
}

/// A client that is connected. Dropping it ends its watches and frees its buffer, also while the
/// guest runs for it.
#[derive(Debug)]
pub struct Stream {
    client: Client,
    owner: Owner,
    buffer: StreamBuffer,
}

impl Host {
    /// Bounds for a guest that is not trusted.
    #[must_use]
    pub fn limits() -> Limits {
        Limits::default()
            .fuel_per_call(100_000_000)
            .wall_time(Duration::from_secs(10))
    }

    /// Starts the guest on a runtime.
    ///
    /// # Errors
    ///
    /// The guest cannot be loaded or instantiated.
    pub async fn start(
        runtime: &dyn Runtime,
        wasm: &[u8],
        limits: Limits,
    ) -> Result<Self, Box<dyn Error>> {
        let bus = RangeWatchBus::builder().payloads::<Change>().build()?;
        let (kv, lookups, buffers) = (Kv::default(), Lookups::default(), Buffers::default());
        let of_hook = kv.clone();
        // Runs when a call has returned: the store commits and the bus publishes together.
        let guest_bus = GuestBus::on_commit(&bus, move |cx, staged| {
            let client = cx.context::<Client>().map(|client| client.0.clone());
            let client = client.unwrap_or_else(|_| "a callback".to_owned());
            let committed = of_hook.commit(cx, staged, |value| Change {
                value: value.map(<[u8]>::to_vec),
                client: client.clone(),
            });
            Box::pin(ready(committed))
        });
        let module = runtime.load(wasm).await?;
        let guest = Guest::builder(&module, &guest_bus)
            .host_module(kv.module())
            .host_module(cache::module(&lookups))
            .host_module(buffers.module())
            .limits(limits)
            // The state is in the modules, so that any instance serves any call.
            .pool(4, 1)
            .instantiate()
            .await?;
        Ok(Self {
            bus,
            kv,
            lookups,
            guest,
            buffers,
        })
    }

    /// A new stream of a client.
    #[must_use]
    pub fn connect(&self, client: &str) -> Stream {
        let owner = self.guest.owner();
        Stream {
            client: Client(client.to_owned()),
            buffer: self.buffers.open(&owner),
            owner,
        }
    }

    /// Calls the guest with a command of a client and returns its answer.
    ///
    /// # Errors
    ///
    /// The call failed, and nothing of it remains.
    pub async fn call(&self, stream: &Stream, command: &str) -> Result<String, CallError> {
        let caller = self.guest.caller().owner(&stream.owner);
        let caller = caller.context(stream.client.clone());
        let answer = caller.call_bytes("apply", command).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}

impl Stream {
    /// What the guest has written for the client since this was called before.
    #[must_use]
    pub fn take(&self) -> String {
        String::from_utf8_lossy(&self.buffer.take()).into_owned()
    }

    /// The number of watches of the client.
    #[must_use]
    pub fn n_watches(&self) -> usize {
        self.owner.n_watches()
    }
}
