//! Errors, with the codes and the messages of etcd.

use std::borrow::Cow;

/// The response to a request that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    /// Of gRPC.
    pub(crate) code: u8,
    pub(crate) message: Cow<'static, str>,
}

const INVALID_ARGUMENT: u8 = 3;
const NOT_FOUND: u8 = 5;
const FAILED_PRECONDITION: u8 = 9;
const OUT_OF_RANGE: u8 = 11;
const INTERNAL: u8 = 13;

impl Status {
    pub(crate) const EMPTY_KEY: Self =
        Self::new(INVALID_ARGUMENT, "etcdserver: key is not provided");
    pub(crate) const KEY_NOT_FOUND: Self = Self::new(INVALID_ARGUMENT, "etcdserver: key not found");
    pub(crate) const VALUE_PROVIDED: Self =
        Self::new(INVALID_ARGUMENT, "etcdserver: value is provided");
    pub(crate) const LEASE_PROVIDED: Self =
        Self::new(INVALID_ARGUMENT, "etcdserver: lease is provided");
    pub(crate) const TOO_LARGE: Self =
        Self::new(INVALID_ARGUMENT, "etcdserver: request is too large");
    pub(crate) const TOO_MANY_OPS: Self = Self::new(
        INVALID_ARGUMENT,
        "etcdserver: too many operations in txn request",
    );
    pub(crate) const DUPLICATE_KEY: Self = Self::new(
        INVALID_ARGUMENT,
        "etcdserver: duplicate key given in txn request",
    );
    pub(crate) const LEASE_NOT_FOUND: Self =
        Self::new(NOT_FOUND, "etcdserver: requested lease not found");
    pub(crate) const LEASE_EXISTS: Self =
        Self::new(FAILED_PRECONDITION, "etcdserver: lease already exists");
    pub(crate) const COMPACTED: Self = Self::new(
        OUT_OF_RANGE,
        "etcdserver: mvcc: required revision has been compacted",
    );
    pub(crate) const FUTURE_REVISION: Self = Self::new(
        OUT_OF_RANGE,
        "etcdserver: mvcc: required revision is a future revision",
    );

    const fn new(code: u8, message: &'static str) -> Self {
        Self {
            code,
            message: Cow::Borrowed(message),
        }
    }

    pub(crate) fn malformed(error: &prost::DecodeError) -> Self {
        Self {
            code: INTERNAL,
            message: Cow::Owned(format!("malformed request: {error}")),
        }
    }
}
