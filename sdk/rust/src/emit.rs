use crate::error::Error;
use crate::host::{Current, Host};
use crate::key_list::KeyLists;

/// Emits `value` to every watch, of any guest on the bus, whose range contains one of `keys`.
///
/// Keys may repeat and may be empty; without keys nothing is emitted. Keys that do not fit into the
/// shared buffer together, [`BUF_BYTES`](crate::abi::BUF_BYTES) with 2 bytes for the length of
/// each, are sent to the host in several flushes of the same value, in order. No key is dropped.
///
/// The call traps when the host refuses the emit: the bus is closed, or has history and a greater
/// value already.
///
/// # Errors
///
/// - [`Error::TooLong`]: a key has more than [`MAX_KEY_BYTES`](crate::abi::MAX_KEY_BYTES) bytes;
///   none of the keys was emitted.
/// - [`Error::NoHost`]: not in a guest, and there was a key.
///
/// # Examples
///
/// ```
/// use rangewatch_guest as watch;
///
/// struct Batch { revision: u64, touched: Vec<Vec<u8>> }
///
/// fn committed(batch: &Batch) -> Result<(), watch::Error> {
///     watch::emit(batch.revision, &batch.touched)
/// }
/// ```
pub fn emit<K: AsRef<[u8]>>(value: u64, keys: impl IntoIterator<Item = K>) -> Result<(), Error> {
    emit_to(&mut Current, value, keys)
}

/// Emits the keys, or queues them in generation 2.
pub(crate) fn emit_to<K: AsRef<[u8]>>(
    host: &mut impl Host,
    value: u64,
    keys: impl IntoIterator<Item = K>,
) -> Result<(), Error> {
    let mut lists = KeyLists::default();
    for key in keys {
        lists.push(key.as_ref())?;
    }
    lists.iter().try_for_each(|list| host.send(value, list))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::{BUF_BYTES, MAX_KEY_BYTES};
    use crate::host::tests::Recorder;
    use std::string::String;
    use std::vec;
    use std::vec::Vec;

    /// The keys of all flushes, decoded.
    fn emitted(host: &Recorder) -> Vec<Vec<u8>> {
        let mut keys = Vec::new();
        for (_, list) in &host.sent {
            let mut rest = list.as_slice();
            while let Some((length, tail)) = rest.split_first_chunk::<2>() {
                let (key, tail) = tail.split_at(u16::from_be_bytes(*length).into());
                keys.push(key.to_vec());
                rest = tail;
            }
        }
        keys
    }

    #[test]
    fn one_emit_that_fits_is_one_flush() {
        let mut host = Recorder::default();
        emit_to(&mut host, u64::MAX, ["test-100", "test-200"]).unwrap();
        assert_eq!(
            host.sent,
            [(u64::MAX, b"\0\x08test-100\0\x08test-200".to_vec())]
        );
    }

    #[test]
    fn an_emit_without_keys_does_not_reach_the_host() {
        let mut host = Recorder::default();
        emit_to(&mut host, 1, [""; 0]).unwrap();
        assert!(host.sent.is_empty());
    }

    #[test]
    fn keys_that_do_not_fit_are_all_emitted_in_order_with_the_same_value() {
        let keys: Vec<_> = (0..20_000).map(|n| std::format!("key-{n:08}")).collect();
        let mut host = Recorder::default();
        emit_to(&mut host, 7, &keys).unwrap();
        assert!(host.sent.len() > 1);
        assert!(
            host.sent
                .iter()
                .all(|(value, list)| *value == 7 && list.len() <= BUF_BYTES)
        );
        assert_eq!(
            emitted(&host),
            keys.iter()
                .map(|key| key.as_bytes().to_vec())
                .collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_key_too_long_is_an_error_before_anything_is_flushed() {
        let mut keys = vec![vec![1; MAX_KEY_BYTES]; 3];
        keys.push(vec![1; MAX_KEY_BYTES + 1]);
        let mut host = Recorder::default();
        assert!(matches!(
            emit_to(&mut host, 1, &keys),
            Err(Error::TooLong {
                n_bytes: 16_383,
                ..
            })
        ));
        assert!(host.sent.is_empty());
    }

    #[test]
    fn repeated_and_empty_keys_are_kept() {
        let mut host = Recorder::default();
        emit_to(&mut host, 1, ["a", "", "a", ""]).unwrap();
        assert_eq!(
            emitted(&host),
            [b"a".to_vec(), vec![], b"a".to_vec(), vec![]]
        );
    }

    #[test]
    fn keys_may_be_of_any_byte_type() {
        emit_to(&mut Recorder::default(), 1, [String::from("a")]).unwrap();
        emit_to(&mut Recorder::default(), 1, [b"a"]).unwrap();
        emit_to(&mut Recorder::default(), 1, Some(&[0_u8, 1][..])).unwrap();
    }

    #[test]
    fn off_wasm_there_is_no_host() {
        assert_eq!(emit(1, ["a"]), Err(Error::NoHost));
    }
}
