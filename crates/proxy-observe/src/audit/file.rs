//! The file of the trail: opened at its end, cut back where a write broke off.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::chain::Head;
use super::tail::{self, Tail};

/// Where lines go.
pub(super) struct TrailFile {
    output: Output,
    /// What stood at its end.
    pub(super) tail: Tail,
    /// The last record of what a rotation left beside an empty file.
    pub(super) beside: Option<Head>,
    /// A write broke off inside a line and could not be undone: so many bytes are there that are no
    /// record, the ends of their lines included.
    torn: u64,
    /// Whether they end with the end of a line.
    ended: bool,
}

enum Output {
    File(File),
    Other(Box<dyn Write + Send>),
}

impl TrailFile {
    /// A file, made where there is none, for its owner alone.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.create(true).append(true).mode(0o600).open(path)?;
        let tail = Tail::read(path)?;
        let regular = file.metadata()?.is_file();
        let beside = (regular && tail.head.is_none()).then(|| tail::beside(path)).flatten();
        let ended = tail.ends_line;
        Ok(Self { output: Output::File(file), tail, beside, torn: tail.torn, ended })
    }

    /// Anything that takes bytes.
    pub(super) fn other(output: impl Write + Send + 'static) -> Self {
        let tail = Tail { ends_line: true, ..Tail::default() };
        Self { output: Output::Other(Box::new(output)), tail, beside: None, torn: 0, ended: true }
    }

    /// Whether this is the same file.
    pub(super) fn is(&self, other: &Self) -> bool {
        let (Output::File(own), Output::File(other)) = (&self.output, &other.output) else {
            return false;
        };
        let of = |file: &File| file.metadata().map(|data| (data.dev(), data.ino())).ok();
        of(own).is_some() && of(own) == of(other)
    }

    /// Bytes at the end that will be no record when the next one is written.
    pub(super) const fn torn(&self) -> u64 {
        if self.ended { self.torn } else { self.torn + 1 }
    }

    /// Writes whole lines. Of an error it says how many bytes of whole lines are in the file:
    /// half a line is cut off again, or stays and is [torn](Self::torn).
    pub(super) fn write(&mut self, lines: &[u8]) -> Result<(), (io::Error, usize)> {
        if !self.ended {
            self.output.write_all(b"\n").map_err(|error| (error, 0))?;
            self.torn += 1;
            self.ended = true;
        }
        let before = self.output.len();
        let mut written = 0;
        let error = loop {
            match self.output.write(&lines[written..]) {
                Ok(0) => break ErrorKind::WriteZero.into(),
                Ok(n) => written += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => break error,
            }
            if written == lines.len() {
                self.torn = 0;
                return Ok(());
            }
        };
        let whole = lines[..written].iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        let half = (written - whole) as u64;
        if whole > 0 {
            self.torn = 0;
        }
        if half > 0 && !before.is_some_and(|before| self.output.cut(before + whole as u64)) {
            self.torn += half;
            self.ended = false;
        }
        Err((error, whole))
    }

    /// Hands everything to the medium.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        match &mut self.output {
            Output::File(file) => match file.sync_data() {
                // A pipe, a terminal, /dev/null.
                Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(()),
                other => other,
            },
            Output::Other(output) => output.flush(),
        }
    }
}

impl Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Other(other) => {
                let written = other.write(bytes)?;
                other.flush()?;
                Ok(written)
            }
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::File(file) => file.write_all(bytes),
            Self::Other(other) => other.write_all(bytes),
        }
    }

    /// The length of a regular file.
    fn len(&self) -> Option<u64> {
        let Self::File(file) = self else { return None };
        file.metadata().ok().filter(std::fs::Metadata::is_file).map(|data| data.len())
    }

    fn cut(&self, len: u64) -> bool {
        matches!(self, Self::File(file) if file.set_len(len).is_ok())
    }
}

impl std::fmt::Debug for TrailFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TrailFile").field("tail", &self.tail).finish_non_exhaustive()
    }
}
