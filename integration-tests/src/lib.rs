//! Scenarios that run on every backend.
