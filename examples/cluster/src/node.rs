//! A node: a guest, the log that carries its emits, and the subscribers of what comes from there.

use std::sync::Arc;

use rangewatch::{CallbackErrorCause, Guest, GuestBus, Module, Stdout, Wasi};
use rangewatch_bridge::{BoxError, Log};
use tokio::sync::Notify;
use tokio::try_join;

use crate::bridge::Bridge;
use crate::command_line::Options;
use crate::customers::Customers;
use crate::journal::{Journal, Printed};
use crate::log_url;
use crate::machine::{Machine, Script};
use crate::orders::Orders;
use crate::output::{self, By, GuestOutput, Output};
use crate::stock::Stock;
use crate::store::Store;

/// The guest, a WASI reactor written with the Rust SDK. Its source is in
/// `integration-tests/guests/cluster`.
pub(crate) const GUEST: &[u8] =
    include_bytes!("../../../integration-tests/guests/prebuilt/cluster.wasm");

/// A node whose reader and appender run.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) bridge: Bridge,
    pub(crate) guest: Arc<Guest>,
    pub(crate) machine: Machine,
    pub(crate) orders: Orders,
    pub(crate) stock: Stock,
    pub(crate) customers: Customers,
}

impl Node {
    /// Makes a node, whose subscribers continue after what was printed.
    pub(crate) async fn new(
        module: &Module,
        bridge: Bridge,
        seed: u64,
        printed: Printed,
        output: &Output,
    ) -> Result<Self, BoxError> {
        let overflow = Arc::new(Notify::new());
        let guest = start_guest(module, &bridge, output, &overflow).await?;
        let machine = Machine::new(&guest, Script::new(seed));
        let store = Store {
            guest: Arc::clone(&guest),
            applied: machine.applied(),
        };
        let bus = &bridge.bus;
        Ok(Self {
            orders: Orders::new(bus, &store, output, printed.by(By::Orders)),
            stock: Stock::new(bus, &store, output, printed.by(By::Stock))?,
            customers: Customers::new(&guest, &bridge, printed.by(By::Guest), overflow),
            bridge,
            guest,
            machine,
        })
    }

    /// Applies commands up to a revision, and prints what the subscribers receive meanwhile.
    async fn run(self, options: &Options, printed: Printed) -> Result<(), BoxError> {
        let Self {
            mut bridge,
            guest,
            machine,
            orders,
            stock,
            customers,
        } = self;
        let until = options.until.unwrap_or(u64::MAX);
        let (source, bus, reader) = (
            bridge.source.clone(),
            bridge.bus.clone(),
            bridge.reader.clone(),
        );
        let changes = async {
            let after = printed.last();
            machine.run(options.pace(), until, after, reader).await?;
            // Subscribers receive what is left.
            source.close();
            bus.close();
            Ok(())
        };
        let subscribers = async {
            try_join!(orders.run(), stock.run(), customers.run())?;
            guest.drive_until_idle().await?;
            // Ends the pump.
            guest.close().await;
            Ok(())
        };
        let pump = async { Ok(guest.pump().await?) };
        try_join!(changes, subscribers, pump, bridge.ended())?;
        Ok(())
    }
}

/// Starts the guest. It watches the bus, and emits on the source.
async fn start_guest(
    module: &Module,
    bridge: &Bridge,
    output: &Output,
    overflow: &Arc<Notify>,
) -> Result<Arc<Guest>, BoxError> {
    let source = bridge.source.clone();
    let bus = GuestBus::on_commit(&bridge.bus, move |_cx, staged| {
        let emitted = match staged.n_emits() {
            0 => Ok(()), // A call that changes nothing succeeds when the source is closed, too.
            _ => source.emit_many(staged.emits()).map(drop),
        };
        Box::pin(async move { Ok(emitted?) })
    });
    let wasi = Wasi::builder().stdout(Stdout::writer(GuestOutput::new(output)));
    let (errors, overflow) = (output.clone(), Arc::clone(overflow));
    let guest = Guest::builder(module, &bus)
        .wasi(wasi.stderr(Stdout::inherit_stderr()).build()?)
        .on_callback_error(move |error| match error.cause {
            CallbackErrorCause::Overflow { .. } => overflow.notify_one(),
            _ => errors.status(format!("guest: {error}")),
        });
    Ok(Arc::new(guest.instantiate().await?))
}

/// Runs a node in this process.
pub(crate) async fn run(options: &Options, url: &str, number: u32) -> Result<(), BoxError> {
    let seed = options.seed;
    let log: Arc<dyn Log> = log_url::open(url, &format!("cluster-{seed}"))?;
    let file = format!("seed-{seed}-node-{number}.txt");
    let (journal, printed) = Journal::open(&options.journal().join(file))?;
    let (output, lines) = Output::new();
    let node = async move {
        output.status(format!("continues after revision {}", printed.last()));
        let module = options.runtime.of_node(number)?.load(GUEST).await?;
        let bridge = Bridge::open(log, Some(&output)).await?;
        let node = Node::new(&module, bridge, seed, printed, &output).await?;
        drop(output);
        node.run(options, printed).await
    };
    let printing = async { Ok(output::print(lines, journal).await?) };
    try_join!(node, printing)?;
    Ok(())
}
