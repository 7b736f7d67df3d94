//! The results of the exports of the guests: a number for each error of the SDKs.

use rangewatch_guest::Error;

/// Done.
pub const OK: i32 = 0;
/// `Watch exists`.
pub const EXISTS: i32 = 1;
/// `Watch not found`.
pub const NOT_FOUND: i32 = 2;
/// `Watch already open`.
pub const ALREADY_OPEN: i32 = 3;
/// `Watch closed`.
pub const CLOSED: i32 = 4;
/// Refused by the SDK: too long for the buffer.
pub const TOO_LONG: i32 = 5;
/// Refused by the SDK: equal or inverted bounds.
pub const EMPTY_RANGE: i32 = 6;
/// Refused by the SDK: no upper end.
pub const UNBOUNDED: i32 = 7;
/// Refused by the SDK: a handler is registered already.
pub const HANDLER_EXISTS: i32 = 8;
/// Another text of the host.
pub const OTHER: i32 = 9;
/// `Group not found`.
pub const GROUP_NOT_FOUND: i32 = 11;

/// The number of a result.
pub fn code(result: Result<(), Error>) -> i32 {
    match result {
        Ok(()) => OK,
        Err(Error::Exists) => EXISTS,
        Err(Error::NotFound) => NOT_FOUND,
        Err(Error::AlreadyOpen) => ALREADY_OPEN,
        Err(Error::Closed) => CLOSED,
        Err(Error::TooLong { .. }) => TOO_LONG,
        Err(Error::EmptyRange) => EMPTY_RANGE,
        Err(Error::Unbounded) => UNBOUNDED,
        Err(Error::HandlerExists) => HANDLER_EXISTS,
        Err(Error::GroupNotFound) => GROUP_NOT_FOUND,
        Err(_) => OTHER,
    }
}
