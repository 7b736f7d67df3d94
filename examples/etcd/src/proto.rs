//! The messages, services and clients of `proto/`, as `build.rs` compiles them.
#![expect(
    missing_docs,
    unused_qualifications,
    clippy::allow_attributes_without_reason,
    clippy::exhaustive_enums,
    clippy::exhaustive_structs,
    clippy::missing_errors_doc,
    reason = "generated"
)]

/// etcd's services and their messages.
pub mod etcdserverpb {
    tonic::include_proto!("etcdserverpb");
}

/// Keys, values and events.
pub mod mvccpb {
    tonic::include_proto!("mvccpb");
}

#[expect(unreachable_pub, reason = "generated")]
pub(crate) mod rangewatch {
    pub(crate) mod etcd {
        tonic::include_proto!("rangewatch.etcd");
    }
}

/// The service KV with bytes for messages.
#[expect(
    unreachable_pub,
    clippy::default_constructed_unit_structs,
    reason = "generated"
)]
pub(crate) mod kv {
    include!(concat!(env!("OUT_DIR"), "/kv/etcdserverpb.KV.rs"));
}
