//! Emits with and without payloads. The reference knows each payload as a number, which is what it
//! weighs.

use std::fmt;

use rangewatch_bus::{
    Batch, BatchFullError, EmitError, Emitted, EmittedMany, RangeWatchBus, RangeWatchBusBuilder,
};

/// The keys of an emit, each with the number of its payload.
pub(crate) type Entries = Vec<(Vec<u8>, u64)>;

pub(crate) trait Payload: fmt::Debug + PartialEq + Send + Sync + Sized + 'static {
    fn of(number: u64) -> Self;

    fn number(&self) -> u64;

    fn builder() -> RangeWatchBusBuilder<Self>;

    fn emit(bus: &RangeWatchBus<Self>, value: u64, entries: &Entries)
    -> Result<Emitted, EmitError>;

    fn emit_next(bus: &RangeWatchBus<Self>, entries: &Entries) -> Result<Emitted, EmitError>;

    async fn emit_async(
        bus: &RangeWatchBus<Self>,
        value: u64,
        entries: &Entries,
    ) -> Result<Emitted, EmitError>;

    fn emit_many(
        bus: &RangeWatchBus<Self>,
        emits: &[(u64, Entries)],
    ) -> Result<EmittedMany, EmitError>;

    fn stage(batch: &mut Batch<Self>, value: u64, entries: &Entries) -> Result<(), BatchFullError>;
}

fn keys(entries: &Entries) -> impl Iterator<Item = &Vec<u8>> {
    entries.iter().map(|(key, _)| key)
}

impl Payload for () {
    fn of(_: u64) -> Self {}

    fn number(&self) -> u64 {
        0
    }

    fn builder() -> RangeWatchBusBuilder {
        RangeWatchBus::builder()
    }

    fn emit(bus: &RangeWatchBus, value: u64, entries: &Entries) -> Result<Emitted, EmitError> {
        bus.emit(value, keys(entries))
    }

    fn emit_next(bus: &RangeWatchBus, entries: &Entries) -> Result<Emitted, EmitError> {
        bus.emit_next(keys(entries))
    }

    async fn emit_async(
        bus: &RangeWatchBus,
        value: u64,
        entries: &Entries,
    ) -> Result<Emitted, EmitError> {
        bus.emit_async(value, keys(entries)).await
    }

    fn emit_many(bus: &RangeWatchBus, emits: &[(u64, Entries)]) -> Result<EmittedMany, EmitError> {
        bus.emit_many(emits.iter().map(|(value, entries)| (*value, keys(entries))))
    }

    fn stage(batch: &mut Batch, value: u64, entries: &Entries) -> Result<(), BatchFullError> {
        batch.stage(value, keys(entries))
    }
}

fn with_payloads(entries: &Entries) -> impl Iterator<Item = (&Vec<u8>, u64)> {
    entries.iter().map(|(key, payload)| (key, *payload))
}

impl Payload for u64 {
    fn of(number: u64) -> Self {
        number
    }

    fn number(&self) -> u64 {
        *self
    }

    fn builder() -> RangeWatchBusBuilder<Self> {
        let builder = RangeWatchBus::builder().payloads();
        builder.payload_bytes(|payload| *payload as usize)
    }

    fn emit(
        bus: &RangeWatchBus<Self>,
        value: u64,
        entries: &Entries,
    ) -> Result<Emitted, EmitError> {
        bus.emit_with(value, with_payloads(entries))
    }

    fn emit_next(bus: &RangeWatchBus<Self>, entries: &Entries) -> Result<Emitted, EmitError> {
        bus.emit_next_with(with_payloads(entries))
    }

    async fn emit_async(
        bus: &RangeWatchBus<Self>,
        value: u64,
        entries: &Entries,
    ) -> Result<Emitted, EmitError> {
        bus.emit_with_async(value, with_payloads(entries)).await
    }

    fn emit_many(
        bus: &RangeWatchBus<Self>,
        emits: &[(u64, Entries)],
    ) -> Result<EmittedMany, EmitError> {
        let emits = emits.iter();
        bus.emit_many_with(emits.map(|(value, entries)| (*value, with_payloads(entries))))
    }

    fn stage(batch: &mut Batch<Self>, value: u64, entries: &Entries) -> Result<(), BatchFullError> {
        batch.stage_with(value, with_payloads(entries))
    }
}
