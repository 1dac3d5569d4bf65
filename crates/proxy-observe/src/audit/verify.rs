//! Checks a trail: `proxyd audit verify`.
//!
//! # What holds
//! | | without a key | with the key |
//! |---|---|---|
//! | a record changed, removed, moved or put in, the rest left alone | found | found |
//! | the same, and every hash after it computed anew | **not** found, but for a head kept elsewhere | found |
//! | the same by who took over the machine, of records before that | **not** found, but for a head | found |
//! | of records after that | **not** found | **not** found |
//! | records cut off at the end | **not** found, but for a head | **not** found, but for a head |
//! | files or records taken away at the beginning | told, not judged: that is what a rotation does | the same |
//!
//! So a head (`seq:hash`) that was kept where the attacker did not reach is what a trail is worth:
//! the log writes one every few seconds to a second place. The key protects what was written before
//! it was stolen, for the machine has only the key of the next record.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::chain::{ChainKey, Head, RecordHash};
use super::key_file::KeyState;
use super::line::Line;

/// Longer lines are no records.
const LONGEST: u64 = 1 << 20;
/// How far a key is moved on to the first record that is given.
const MOST_STEPS: u64 = 1_000_000_000;

/// What a trail is checked against.
#[derive(Debug, Default)]
#[must_use]
pub struct Verifier {
    key: Option<KeyState>,
    keyed_from: u64,
    expected: Vec<Head>,
}

impl Verifier {
    /// With neither key nor head.
    pub fn new() -> Self {
        Self::default()
    }

    /// Checks the MACs with this key: the copy that was made before the first record, or one that
    /// has moved on, for the records after it.
    ///
    /// # Errors
    /// Where the file can not be read, or holds no key.
    pub fn key(mut self, path: &Path) -> io::Result<Self> {
        self.key = Some(KeyState::read(path)?);
        Ok(self)
    }

    /// The first record that was written with the key, where the trail began without one. Every
    /// later one must have a MAC.
    pub fn keyed_from(mut self, sequence: u64) -> Self {
        self.keyed_from = sequence;
        self
    }

    /// The record of this sequence must be there and have this hash.
    pub fn expect(mut self, head: Head) -> Self {
        self.expected.push(head);
        self
    }

    /// Checks files, in whatever order they are given. The check ends at the first record that is
    /// broken.
    ///
    /// # Errors
    /// Where a file can not be read.
    pub fn verify(mut self, files: &[PathBuf]) -> io::Result<Report> {
        let mut ordered = Vec::new();
        for path in files {
            let mut first = u64::MAX;
            each_line(path, |_, line, _| {
                first = first.min(Line::parse(line).map_or(u64::MAX, |line| line.sequence));
                true
            })?;
            ordered.push((first, path.clone()));
        }
        ordered.sort();
        self.expected.sort_by_key(|head| head.sequence);
        let mut check = Check {
            verifier: self,
            report: Report::default(),
            unread: None,
            files: ordered.into_iter().map(|(_, path)| path).collect(),
        };
        check.run()?;
        Ok(check.report)
    }
}

/// What a check found.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// Records that are as they were written, as far as was checked.
    pub records: u64,
    /// Of these the ones whose MAC was checked.
    pub with_mac: u64,
    /// The first and the last of them.
    pub first: Option<Head>,
    /// The last: compare it with one that was kept elsewhere.
    pub head: Option<Head>,
    /// How many of the expected heads were found as they should be.
    pub heads_found: u64,
    /// What is broken: the first of it.
    pub broken: Option<Broken>,
    /// What is no proof of anything, and worth knowing.
    pub notes: Vec<String>,
}

/// The first thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Broken {
    /// The file.
    pub file: PathBuf,
    /// The line in it, from 1.
    pub line: u64,
    /// The record's sequence, where the line is a record.
    pub sequence: Option<u64>,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Its hash is not of what it says.
    #[error("changed: its hash is not of what it says")]
    Changed,
    /// Its MAC is not of its hash under its key.
    #[error("forged: its MAC was not made with the key")]
    Forged,
    /// It must have a MAC.
    #[error("forged: it has no MAC, and the key covers it")]
    NoMac,
    /// Records before it are not there.
    #[error("removed: the records {first} to {last} before it are missing")]
    Removed {
        /// The first that is missing.
        first: u64,
        /// The last.
        last: u64,
    },
    /// It does not stand where it belongs.
    #[error("moved: record {expected} belongs here")]
    Moved {
        /// What belongs here.
        expected: u64,
    },
    /// The one before it is not the one it was written after.
    #[error("replaced: the record before it is not the one that it was written after")]
    Unlinked,
    /// The sequence begins again.
    #[error("another chain begins here")]
    AnotherChain,
    /// The line is no record, and no record notes that it was torn.
    #[error("not a record")]
    NotARecord,
    /// A head that was kept says otherwise.
    #[error("replaced: a head that was kept has another hash for it")]
    HeadDiffers,
    /// A head that was kept is of a later record than the last.
    #[error("cut off: there was a record {expected} after it")]
    Cut {
        /// The sequence of that head.
        expected: u64,
    },
    /// A head that was kept is of an earlier record than the first.
    #[error("the record {expected} of the expected head is before the first that is given")]
    NotGiven {
        /// The sequence of that head.
        expected: u64,
    },
}

struct Check {
    verifier: Verifier,
    report: Report,
    /// Lines since the last record that are none: where the first stands, and their bytes.
    unread: Option<Unread>,
    files: Vec<PathBuf>,
}

struct Unread {
    file: PathBuf,
    line: u64,
    bytes: u64,
    lines: u64,
    whole: bool,
}

impl Check {
    fn run(&mut self) -> io::Result<()> {
        let mut last = None;
        for path in self.files.clone() {
            let mut failed = None;
            each_line(&path, |number, line, whole| {
                last = Some((path.clone(), number));
                match self.line(&path, number, line, whole) {
                    Ok(intact) => intact,
                    Err(error) => {
                        failed = Some(error);
                        false
                    }
                }
            })?;
            if let Some(error) = failed {
                return Err(error);
            }
            if self.report.broken.is_some() {
                return Ok(());
            }
        }
        if let Some(unread) = self.unread.take() {
            if unread.lines > 1 || unread.whole {
                self.broken(&unread.file, unread.line, None, Fault::NotARecord);
                return Ok(());
            }
            self.report.notes.push(format!(
                "{}:{}: the last line is half a record: it was being written, or its writer died",
                unread.file.display(),
                unread.line
            ));
        }
        self.end(last);
        Ok(())
    }

    /// False where it is broken.
    fn line(&mut self, path: &Path, number: u64, text: &[u8], whole: bool) -> io::Result<bool> {
        let Some(line) = Line::parse(text).filter(|_| whole) else {
            let unread = self.unread.get_or_insert_with(|| Unread {
                file: path.to_owned(),
                line: number,
                bytes: 0,
                lines: 0,
                whole: false,
            });
            unread.bytes += text.len() as u64 + 1;
            unread.lines += 1;
            unread.whole |= whole;
            return Ok(true);
        };
        if !line.is_unchanged() {
            self.end_unread();
            if self.report.broken.is_none() {
                self.broken(path, number, Some(line.sequence), Fault::Changed);
            }
            return Ok(false);
        }
        if let Some(unread) = self.unread.take() {
            if line.notes_torn() == Some(unread.bytes) {
                self.report.notes.push(format!(
                    "{}:{}: {} bytes of a record that was not written whole, noted by record {}",
                    unread.file.display(),
                    unread.line,
                    unread.bytes,
                    line.sequence
                ));
            } else {
                self.broken(&unread.file, unread.line, None, Fault::NotARecord);
                return Ok(false);
            }
        }
        let fault = match self.place(&line)? {
            None => self.anchored(&line)?,
            some => some,
        };
        if let Some(fault) = fault {
            self.broken(path, number, Some(line.sequence), fault);
            return Ok(false);
        }
        let head = Head { sequence: line.sequence, hash: line.hash };
        self.report.first.get_or_insert(head);
        self.report.head = Some(head);
        self.report.records += 1;
        Ok(true)
    }

    fn end_unread(&mut self) {
        if let Some(unread) = self.unread.take() {
            self.broken(&unread.file, unread.line, None, Fault::NotARecord);
        }
    }

    /// Whether a record stands where it belongs.
    fn place(&mut self, line: &Line<'_>) -> io::Result<Option<Fault>> {
        let first = self.report.head.is_none();
        let head = self.report.head.unwrap_or_default();
        let expected = head.sequence + 1;
        if first && line.sequence > 1 {
            self.report.notes.push(format!(
                "the records before {} are not given: rotated away, or removed",
                line.sequence
            ));
            return Ok(None);
        }
        Ok(if line.sequence > expected {
            Some(match self.is_given(expected)? {
                true => Fault::Moved { expected },
                false => Fault::Removed { first: expected, last: line.sequence - 1 },
            })
        } else if line.sequence < expected {
            let begins = line.sequence == 1 && line.previous == RecordHash::default();
            Some(match begins && !self.hash_given(line.hash)? {
                true => Fault::AnotherChain,
                false => Fault::Moved { expected },
            })
        } else if line.previous != head.hash {
            Some(Fault::Unlinked)
        } else {
            None
        })
    }

    /// Whether it agrees with key and heads.
    fn anchored(&mut self, line: &Line<'_>) -> io::Result<Option<Fault>> {
        if let Some(state) = &mut self.verifier.key
            && line.sequence > state.head.sequence
            && line.sequence >= self.verifier.keyed_from
        {
            let Some(mac) = line.mac else { return Ok(Some(Fault::NoMac)) };
            advance(&mut state.key, line.sequence - 1 - state.head.sequence)?;
            if state.key.mac(&line.hash) != mac {
                return Ok(Some(Fault::Forged));
            }
            state.key.advance();
            state.head = Head { sequence: line.sequence, hash: line.hash };
            self.report.with_mac += 1;
        }
        let own = self.verifier.expected.iter().filter(|head| head.sequence == line.sequence);
        let (same, other): (Vec<&Head>, Vec<&Head>) =
            own.partition(|head: &&Head| head.hash == line.hash);
        self.report.heads_found += same.len() as u64;
        Ok((!other.is_empty()).then_some(Fault::HeadDiffers))
    }

    /// What only the end shows.
    fn end(&mut self, last: Option<(PathBuf, u64)>) {
        let Some((file, line)) = last else {
            if let Some(head) = self.verifier.expected.first() {
                let file = self.files.first().cloned().unwrap_or_default();
                self.broken(&file, 0, None, Fault::Cut { expected: head.sequence });
            }
            return;
        };
        let first = self.report.first.map_or(1, |head| head.sequence);
        let end = self.report.head.map_or(0, |head| head.sequence);
        let expected = &self.verifier.expected;
        let beyond = expected.iter().rev().find(|head| head.sequence > end);
        let before = expected.iter().find(|head| head.sequence < first);
        let fault = match (beyond, before) {
            (Some(head), _) => Fault::Cut { expected: head.sequence },
            (None, Some(head)) => Fault::NotGiven { expected: head.sequence },
            (None, None) => return,
        };
        let sequence = self.report.head.map(|head| head.sequence);
        self.broken(&file, line, sequence, fault);
    }

    /// Whether any record has this sequence.
    fn is_given(&self, sequence: u64) -> io::Result<bool> {
        self.any(|line| line.sequence == sequence)
    }

    /// Whether another record has this hash: a copy.
    fn hash_given(&self, hash: RecordHash) -> io::Result<bool> {
        let mut count = 0;
        self.any(|line| {
            count += usize::from(line.hash == hash);
            count > 1
        })
    }

    fn any(&self, mut wanted: impl FnMut(&Line<'_>) -> bool) -> io::Result<bool> {
        let mut found = false;
        for path in &self.files {
            each_line(path, |_, line, _| {
                found |= Line::parse(line).is_some_and(|line| wanted(&line));
                !found
            })?;
        }
        Ok(found)
    }

    fn broken(&mut self, file: &Path, line: u64, sequence: Option<u64>, fault: Fault) {
        self.report.broken = Some(Broken { file: file.to_owned(), line, sequence, fault });
    }
}

fn advance(key: &mut ChainKey, steps: u64) -> io::Result<()> {
    if steps > MOST_STEPS {
        return Err(io::Error::other("the key is more than 1000000000 records behind the first"));
    }
    (0..steps).for_each(|_| key.advance());
    Ok(())
}

/// Calls with each line, its number and whether it is ended, until that says false.
fn each_line(path: &Path, mut each: impl FnMut(u64, &[u8], bool) -> bool) -> io::Result<()> {
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let mut file = BufReader::with_capacity(256 << 10, File::open(path).map_err(named)?);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if file.by_ref().take(LONGEST).read_until(b'\n', &mut line).map_err(named)? == 0 {
            break;
        }
        let text = line.strip_suffix(b"\n");
        if !each(number, text.unwrap_or(&line), text.is_some()) {
            break;
        }
    }
    Ok(())
}
