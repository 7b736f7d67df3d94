use alloc::vec;
use alloc::vec::Vec;

use crate::error::Error;
use crate::host::{Guest, Instance};

/// Passes the input of this call to `apply`, and what that returns to the host as the output.
///
/// The function is for an export without parameters and results that the host calls with bytes. It
/// is [`input`] before and [`output`] after `apply`, with their limits; in a call without bytes
/// `apply` gets an empty slice, and the output traps.
///
/// # Errors
///
/// [`Error::NoHost`]: not in a guest; `apply` did not run.
///
/// # Examples
///
/// ```
/// use rangewatch_guest as watch;
///
/// #[unsafe(no_mangle)]
/// extern "C" fn apply() {
///     watch::answer(|command: &[u8]| run(command)).expect("in a guest");
/// }
///
/// fn run(command: &[u8]) -> Vec<u8> {
///     match command {
///         b"ping" => b"pong".to_vec(),
///         _ => b"not understood".to_vec(),
///     }
/// }
/// ```
pub fn answer<B: AsRef<[u8]>>(apply: impl FnOnce(&[u8]) -> B) -> Result<(), Error> {
    answer_on(&mut Guest, apply)
}

/// The input of this call: the bytes that the host called the export with.
///
/// It stays the same during the call, and each use of this function copies it into one allocation
/// of its length. It is empty in a call without bytes, in the handler, and in `_initialize`. The
/// host bounds it by the memory that it grants to the guest only: a guest that cannot allocate it
/// traps.
///
/// # Errors
///
/// [`Error::NoHost`]: not in a guest.
///
/// # Examples
///
/// ```
/// use rangewatch_guest as watch;
///
/// fn n_lines() -> Result<usize, watch::Error> {
///     Ok(watch::input()?.split(|&byte| byte == b'\n').count())
/// }
/// ```
pub fn input() -> Result<Vec<u8>, Error> {
    input_of(&mut Guest)
}

/// Appends `bytes` to the output of this call: the bytes that the host's call returns.
///
/// A call may do this any number of times, or never, which is an empty output.
///
/// The call traps when the host refuses the bytes: in a call without bytes, in the handler, and
/// when the output of the call would be longer than the limit of the host, `Limits::output_bytes`,
/// which is 1 MiB by default.
///
/// # Errors
///
/// [`Error::NoHost`]: not in a guest.
///
/// # Examples
///
/// ```
/// use rangewatch_guest as watch;
///
/// fn list(keys: &[&str]) -> Result<(), watch::Error> {
///     for key in keys {
///         watch::output(key)?;
///         watch::output("\n")?;
///     }
///     Ok(())
/// }
/// ```
pub fn output(bytes: impl AsRef<[u8]>) -> Result<(), Error> {
    Guest.write_output(bytes.as_ref())
}

fn answer_on<B: AsRef<[u8]>>(
    host: &mut impl Instance,
    apply: impl FnOnce(&[u8]) -> B,
) -> Result<(), Error> {
    let input = input_of(host)?;
    host.write_output(apply(&input).as_ref())
}

fn input_of(host: &mut impl Instance) -> Result<Vec<u8>, Error> {
    let mut input = vec![0; host.input_len()?];
    let mut n_read = 0;
    while n_read < input.len() {
        match host.read_input(n_read, &mut input[n_read..])? {
            0 => break,
            n_bytes => n_read += n_bytes,
        }
    }
    input.truncate(n_read);
    Ok(input)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tests::Recorder;

    fn called_with(input: &[u8], max_read_bytes: usize) -> Recorder {
        Recorder {
            input: input.to_vec(),
            max_read_bytes,
            ..Recorder::default()
        }
    }

    #[test]
    fn the_output_is_what_the_function_returns_for_the_input() {
        let mut host = called_with(b"abc", 100);
        answer_on(&mut host, |input| [input, b"d"].concat()).unwrap();
        assert_eq!(host.written, [b"abcd"]);
    }

    #[test]
    fn an_input_is_read_to_its_end_in_as_many_pieces_as_the_host_copies() {
        let bytes: Vec<u8> = (0..=255).collect();
        for max_read_bytes in [1, 7, 128, 255, 256, 257] {
            let mut host = called_with(&bytes, max_read_bytes);
            assert_eq!(input_of(&mut host), Ok(bytes.clone()), "{max_read_bytes}");
            assert_eq!(host.n_reads, bytes.len().div_ceil(max_read_bytes));
        }
    }

    #[test]
    fn an_empty_input_needs_no_read_and_an_empty_output_is_written() {
        let mut host = called_with(b"", 100);
        answer_on(&mut host, |input| {
            assert!(input.is_empty());
            b""
        })
        .unwrap();
        assert_eq!((host.n_reads, host.written), (0, std::vec![Vec::new()]));
    }

    #[test]
    fn an_input_that_ends_before_its_length_is_what_was_read() {
        let mut host = called_with(b"abc", 0);
        assert_eq!(input_of(&mut host), Ok(Vec::new()));
    }

    #[test]
    fn off_wasm_there_is_no_host_and_the_function_does_not_run() {
        assert_eq!(input(), Err(Error::NoHost));
        assert_eq!(output("a"), Err(Error::NoHost));
        let answered = answer(|_| -> &[u8] { panic!("there is no input") });
        assert_eq!(answered, Err(Error::NoHost));
    }
}
