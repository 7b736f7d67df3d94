//! Where the events are written.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use crate::failure::Failure;

/// Opens the output for `--events`: stderr without a path, stdout for `-`.
///
/// A path that is stdout or stderr of this process is not opened again. A second open of
/// `/dev/stdout` would truncate a file that a shell opened for `>>`, and would have a position of
/// its own, so that events and results would overwrite each other.
pub(crate) fn open(path: Option<&Path>) -> Result<Box<dyn Write + Send>, Failure> {
    let Some(path) = path else {
        return Ok(Box::new(io::stderr()));
    };
    if path == Path::new("-") || is_stream(path, io::stdout()) {
        return Ok(Box::new(io::stdout()));
    }
    if is_stream(path, io::stderr()) {
        return Ok(Box::new(io::stderr()));
    }
    let is_descriptor = path.starts_with("/dev/fd") || path.starts_with("/proc/self/fd");
    let opened = match is_descriptor {
        true => File::options().append(true).open(path),
        false => File::create(path),
    };
    match opened {
        Ok(file) => Ok(Box::new(file)),
        Err(error) => Err(Failure::run(format_args!(
            "cannot create `{}` for --events: {error}",
            path.display()
        ))),
    }
}

/// Whether `path` is the file, pipe or terminal behind `stream`.
#[cfg(unix)]
fn is_stream(path: &Path, stream: impl std::os::fd::AsFd) -> bool {
    use std::os::unix::fs::MetadataExt;
    let stream = stream.as_fd().try_clone_to_owned().map(File::from);
    match (stream.and_then(|stream| stream.metadata()), path.metadata()) {
        (Ok(stream), Ok(file)) => (stream.dev(), stream.ino()) == (file.dev(), file.ino()),
        _ => false,
    }
}

/// Not on this system: its paths do not name open streams.
#[cfg(not(unix))]
fn is_stream<S>(_path: &Path, _stream: S) -> bool {
    false
}
