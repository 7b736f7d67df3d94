//! A replica of the state machine, which appends what it emits.

use std::time::Duration;

use fastrand::Rng;
use rangewatch_bridge::{Appender, BoxError, BytesPayloads, Status};
use rangewatch_bridge_faults::{FIRST, Machine, open_log};
use rangewatch_bus::{History, RangeWatchBus};

use crate::{Commands, Options};

pub(crate) async fn run(options: &Options, mut commands: Commands) -> Result<(), BoxError> {
    let machine = Machine::new(options.machine);
    let mut random = Rng::with_seed(options.seed);
    let history = History::events(1_000_000).bytes(256 << 20);
    let bus = RangeWatchBus::builder()
        .payloads()
        .history(history)
        .build()?;
    let log = open_log(&options.log, &options.bus)?;
    let appender = Appender::builder_with(log, &bus, BytesPayloads).seed(options.seed);
    let appender = appender.check_every(Duration::from_millis(200)).build()?;
    let mut status = appender.status();
    let mut appending = tokio::spawn(appender.run());
    let mut next = FIRST;
    while let Some(to) = commands.next().await? {
        while next <= to {
            // In bursts, so that appends are of all sizes.
            for _ in 0..random.u64(1..=60) {
                if next <= to {
                    bus.emit_with(next, machine.emit(next))?;
                    next += 1;
                }
            }
            tokio::time::sleep(Duration::from_micros(random.u64(0..20_000))).await;
        }
        let appended = status.until(|status| status.position >= Some(to));
        tokio::select! {
            ended = &mut appending => return Err(format!("the appender has ended: {ended:?}").into()),
            status = appended => {
                let status = status.ok_or("the appender has no status")?;
                let Status { n_emits, n_repeated, .. } = status;
                crate::answer(&format!("reached {to} appended {n_emits} repeated {n_repeated}"));
            }
        }
    }
    bus.close();
    appending.await??;
    Ok(())
}
