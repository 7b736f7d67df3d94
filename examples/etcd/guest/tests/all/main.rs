//! Tests of the guest as a native library, over a map.

mod etcd;
mod model;
mod properties;
mod removed;
mod rules;
