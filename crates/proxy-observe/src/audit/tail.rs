//! The end of a trail: where to go on after a restart.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::chain::Head;
use super::line::Line;

/// How far from the end a record is looked for. Larger than any line.
const REACH: u64 = 1 << 20;

/// What stands at the end of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tail {
    /// The last record that is whole.
    pub(super) head: Option<Head>,
    /// Bytes after it that are no record.
    pub(super) torn: u64,
    /// Whether the last byte ends a line.
    pub(super) ends_line: bool,
}

impl Tail {
    /// Reads a regular file. Others have no tail.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        if !fs::metadata(path)?.is_file() {
            return Ok(Self { ends_line: true, ..Self::default() });
        }
        let mut file = File::open(path)?;
        let len = file.metadata()?.len();
        let start = len.saturating_sub(REACH);
        file.seek(SeekFrom::Start(start))?;
        let mut text = Vec::new();
        file.take(REACH).read_to_end(&mut text)?;
        Ok(Self::of(&text))
    }

    fn of(text: &[u8]) -> Self {
        let mut tail =
            Self { ends_line: text.last().is_none_or(|b| *b == b'\n'), ..Self::default() };
        let mut end = text.len();
        for line in text.split_inclusive(|b| *b == b'\n').rev() {
            if let Some(line) = line.strip_suffix(b"\n")
                && let Some(line) = Line::parse(line)
                && line.is_unchanged()
            {
                tail.head = Some(Head { sequence: line.sequence, hash: line.hash });
                break;
            }
            end -= line.len();
        }
        tail.torn = (text.len() - end) as u64;
        tail
    }
}

/// The latest record in the files beside a trail whose names begin with its own: what a rotation
/// left that happened while nobody wrote.
pub(super) fn beside(path: &Path) -> Option<Head> {
    let name = path.file_name()?.as_encoded_bytes();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let entries = fs::read_dir(folder.unwrap_or(Path::new("."))).ok()?;
    entries
        .filter_map(|entry| {
            let other = entry.ok()?;
            let rotated = other.file_name();
            let rest = rotated.as_encoded_bytes().strip_prefix(name)?;
            matches!(rest.first(), Some(b'.' | b'-' | b'_')).then_some(())?;
            Tail::read(&other.path()).ok()?.head
        })
        .max_by_key(|head| head.sequence)
}

#[cfg(test)]
mod tests {
    use super::super::chain::Chain;
    use super::*;

    #[test]
    fn the_last_whole_record_is_found_and_what_follows_is_counted() {
        let mut chain = Chain::default();
        let mut text = Vec::new();
        chain.append(&mut text, b"\"a\":1");
        let first = chain.head;
        chain.append(&mut text, b"\"a\":2");
        let whole = Tail { head: Some(chain.head), torn: 0, ends_line: true };
        assert_eq!(Tail::of(&text), whole);
        let cut = Tail::of(&text[..text.len() - 1]);
        assert_eq!((cut.head, cut.ends_line), (Some(first), false));
        assert!(cut.torn > 0);
        text.extend_from_slice(b"what\n");
        assert_eq!(Tail::of(&text), Tail { torn: 5, ..whole });
        assert_eq!(Tail::of(b""), Tail { ends_line: true, ..Tail::default() });
    }
}
