//! Files through the standard library of Rust: opening in every mode, reading and writing at
//! positions, appending, truncating, removing an open file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Seek, SeekFrom, Write};

fn main() -> io::Result<()> {
    what_the_host_made()?;
    modes()?;
    positions()?;
    appending()?;
    large_files()?;
    removed_files()?;
    many_files()?;
    println!("files");
    Ok(())
}

fn kind<T>(result: io::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

fn what_the_host_made() -> io::Result<()> {
    assert_eq!(fs::read_to_string("/greeting.txt")?, "hello from the host\n");
    assert_eq!(fs::read("/folder/digits.txt")?, b"0123456789");
    assert_eq!(fs::copy("/greeting.txt", "/copy.txt")?, 20);
    assert_eq!(fs::read("/copy.txt")?, fs::read("/greeting.txt")?);
    Ok(())
}

fn modes() -> io::Result<()> {
    let path = "/modes";
    assert_eq!(kind(File::open(path)), Some(ErrorKind::NotFound));
    assert_eq!(kind(OpenOptions::new().write(true).open(path)), Some(ErrorKind::NotFound));
    assert_eq!(kind(File::create("/missing/file")), Some(ErrorKind::NotFound));
    assert!(OpenOptions::new().write(true).open("/folder").is_err());

    let mut new = OpenOptions::new().write(true).create_new(true).open(path)?;
    new.write_all(b"first")?;
    let again = OpenOptions::new().write(true).create_new(true).open(path);
    assert_eq!(kind(again), Some(ErrorKind::AlreadyExists));
    let mut buf = [0; 8];
    assert!(new.read(&mut buf).is_err(), "it is for writing only");

    let mut read = File::open(path)?;
    assert!(read.write(b"x").is_err(), "it is for reading only");
    assert!(read.set_len(0).is_err(), "it is for reading only");
    // Without truncation the rest of the file stays.
    OpenOptions::new().write(true).open(path)?.write_all(b"FI")?;
    assert_eq!(fs::read(path)?, b"FIrst");
    File::create(path)?.write_all(b"2")?;
    assert_eq!(fs::read(path)?, b"2");
    assert_eq!(read.read(&mut buf)?, 1, "a file that was open sees it");
    Ok(())
}

fn positions() -> io::Result<()> {
    let options = OpenOptions::new().read(true).write(true).create(true).truncate(true).clone();
    let mut file = options.open("/positions")?;
    assert_eq!(file.write_vectored(&[IoSlice::new(b"0123"), IoSlice::new(b""), IoSlice::new(b"456789")])?, 10);
    assert_eq!(file.stream_position()?, 10);
    assert_eq!(file.seek(SeekFrom::End(-3))?, 7);
    let mut buf = [0; 8];
    assert_eq!(file.read(&mut buf)?, 3);
    assert_eq!(buf[..3], *b"789");
    assert_eq!(file.read(&mut buf)?, 0);
    assert_eq!(file.seek(SeekFrom::Current(-4))?, 6);
    assert_eq!(kind(file.seek(SeekFrom::Current(-7))), Some(ErrorKind::InvalidInput));
    assert_eq!(kind(file.seek(SeekFrom::End(-11))), Some(ErrorKind::InvalidInput));
    assert_eq!(file.stream_position()?, 6, "what fails moves nothing");
    file.rewind()?;
    let (mut one, mut other) = ([0; 3], [0; 4]);
    let n_bytes = file.read_vectored(&mut [IoSliceMut::new(&mut one), IoSliceMut::new(&mut other)])?;
    assert_eq!((n_bytes, &one, &other), (7, b"012", b"3456"));

    // A read beyond the end returns nothing; a write there leaves zeros in between.
    assert_eq!(file.seek(SeekFrom::Start(100_000))?, 100_000);
    assert_eq!(file.read(&mut buf)?, 0);
    assert_eq!(file.metadata()?.len(), 10);
    file.write_all(b"end")?;
    assert_eq!(file.metadata()?.len(), 100_003);
    let all = fs::read("/positions")?;
    assert!(all[10..100_000].iter().all(|byte| *byte == 0) && all.ends_with(b"end"));
    // Each descriptor has its own position.
    let mut second = File::open("/positions")?;
    assert_eq!((second.read(&mut buf[..2])?, &buf[..2]), (2, &b"01"[..]));
    assert_eq!(file.stream_position()?, 100_003);
    file.set_len(4)?;
    assert_eq!(fs::read("/positions")?, b"0123");
    assert_eq!(file.stream_position()?, 100_003, "truncation does not move");
    file.sync_all()?;
    file.sync_data()
}

fn appending() -> io::Result<()> {
    let mut log = OpenOptions::new().append(true).create(true).open("/log")?;
    let mut other = OpenOptions::new().append(true).open("/log")?;
    for line in ["one\n", "three\n"] {
        log.write_all(line.as_bytes())?;
        other.write_all(line.to_uppercase().as_bytes())?;
    }
    log.rewind()?;
    log.write_all(b"last\n")?;
    assert_eq!(fs::read_to_string("/log")?, "one\nONE\nthree\nTHREE\nlast\n");
    Ok(())
}

fn large_files() -> io::Result<()> {
    let bytes: Vec<u8> = (0..3 << 20).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    fs::write("/large", &bytes)?;
    assert!(fs::read("/large")? == bytes);
    let mut file = File::open("/large")?;
    let mut piece = [0; 4096];
    for at in [0, 1, 4095, 1 << 20, (3 << 20) - 4096] {
        file.seek(SeekFrom::Start(at as u64))?;
        file.read_exact(&mut piece)?;
        assert!(piece == bytes[at..at + 4096]);
    }
    fs::remove_file("/large")
}

fn removed_files() -> io::Result<()> {
    fs::write("/removed", "still here")?;
    let mut file = OpenOptions::new().read(true).write(true).open("/removed")?;
    fs::remove_file("/removed")?;
    assert_eq!(kind(fs::metadata("/removed")), Some(ErrorKind::NotFound));
    assert_eq!(kind(fs::remove_file("/removed")), Some(ErrorKind::NotFound));
    // A new file with the old name is another file.
    fs::write("/removed", "new")?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    assert_eq!(text, "still here");
    file.write_all(b", and longer")?;
    assert_eq!(file.metadata()?.len(), 22);
    assert_eq!(fs::read("/removed")?, b"new");
    Ok(())
}

fn many_files() -> io::Result<()> {
    let open: Vec<File> = (0..200)
        .map(|i| {
            let mut options = OpenOptions::new();
            let mut file = options.read(true).write(true).create_new(true).open(format!("/many-{i}"))?;
            write!(file, "{i}")?;
            Ok(file)
        })
        .collect::<io::Result<_>>()?;
    for (i, mut file) in open.iter().enumerate().rev() {
        file.rewind()?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        assert_eq!(text, i.to_string());
        fs::remove_file(format!("/many-{i}"))?;
    }
    Ok(())
}
