//! Following: a snapshot of a store, then its changes, in one stream, and mirrors kept by that.

#[path = "../cases/mod.rs"]
mod cases;
#[path = "../count/mod.rs"]
mod count;
#[path = "../deadline/mod.rs"]
mod deadline;
mod follower;
mod hostile;
mod mirror;
mod restored;
mod store;
mod threads;
