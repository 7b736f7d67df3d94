//! An async event bus: emitted byte keys reach subscriber channels by range lookup.
