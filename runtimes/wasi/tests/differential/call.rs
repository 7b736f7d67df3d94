//! Random calls.

/// The source of the random choices that make up a call.
pub(crate) trait Choices {
    /// A number below `end`, which is not 0.
    fn next(&mut self, end: usize) -> usize;

    /// The path of a call.
    fn path(&mut self) -> String {
        self.short_path()
    }

    /// A path of a few components over a few names, so that calls use the same files; often
    /// invalid.
    fn short_path(&mut self) -> String {
        let mut path = String::new();
        if self.next(100) == 0 {
            path.push('/');
        }
        for i in 0..[1, 1, 1, 1, 2, 2, 3][self.next(7)] {
            if i > 0 {
                path.push_str(self.pick(&["/", "/", "/", "//"]));
            }
            path.push_str(self.pick(&[
                "a", "b", "c", "a", "b", "c", "a", "b", "c", ".", "..", "outside",
            ]));
        }
        path.push_str(self.pick(&["", "", "", "", "", "", "", "", "/", "/."]));
        path
    }

    /// The target of a symbolic link.
    fn target(&mut self) -> String {
        match self.next(8) {
            0 => "../outside".to_owned(),
            1 => "../../outside/secret".to_owned(),
            _ => self.path(),
        }
    }

    /// One of several byte strings.
    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.next(from.len())]
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Call {
    Open(i32, i32, String, i32, i64, i32),
    Close(i32),
    Write(i32, usize),
    Read(i32, i32),
    SetSize(i32, i64),
    Seek(i32, i64, i32),
    Stat(i32, i32, String),
    CreateDir(i32, String),
    RemoveDir(i32, String),
    Unlink(i32, String),
    Rename(i32, String, i32, String),
    Link(i32, String, i32, String),
    Symlink(String, i32, String),
    ReadLink(i32, String),
    SetTimes(i32, i32, String, i64),
}

impl Call {
    pub(crate) fn random(rng: &mut impl Choices) -> Self {
        let fd = match rng.next(4) {
            0 => 3 + rng.next(3) as i32,
            _ => 3,
        };
        let other = if rng.next(4) == 0 { 4 } else { 3 };
        let rights = [0, 0, 1 << 1, 1 << 6, 1 << 1 | 1 << 6][rng.next(5)];
        match rng.next(20) {
            0..=3 => Self::Open(
                fd,
                rng.next(2) as i32,
                rng.path(),
                rng.next(16) as i32,
                rights,
                rng.next(2) as i32,
            ),
            4 => Self::Close(4 + rng.next(20) as i32),
            5 => Self::Write(4 + rng.next(3) as i32, rng.next(3000)),
            6 => Self::Read(4 + rng.next(3) as i32, rng.next(2000) as i32),
            7 => Self::SetSize(4 + rng.next(3) as i32, rng.next(5000) as i64),
            8 => Self::Seek(
                4 + rng.next(3) as i32,
                rng.next(4000) as i64 - 1000,
                rng.next(3) as i32,
            ),
            9 => Self::Stat(fd, rng.next(2) as i32, rng.path()),
            10..=11 => Self::CreateDir(fd, rng.path()),
            12 => Self::RemoveDir(fd, rng.path()),
            13 => Self::Unlink(fd, rng.path()),
            14..=15 => Self::Rename(fd, rng.path(), other, rng.path()),
            16 => Self::Link(fd, rng.path(), other, rng.path()),
            17 => Self::Symlink(rng.target(), fd, rng.path()),
            18 => Self::ReadLink(fd, rng.path()),
            _ => Self::SetTimes(fd, rng.next(2) as i32, rng.path(), rng.next(1 << 30) as i64),
        }
    }
}
