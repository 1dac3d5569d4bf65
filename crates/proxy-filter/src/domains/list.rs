//! `DomainList`: one list as a file says it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use super::line::{Line, LineError, Name, read};
use super::set::{DomainSet, DomainSetBuilder};

/// Lines whose mistakes are kept word by word; the others are counted.
const KEPT_MISTAKES: usize = 5;
/// The longest line, in bytes.
const MAX_LINE: u64 = 4096;
/// The largest list, in bytes.
const MAX_SIZE: u64 = 1 << 30;

/// The names of one list, and what was wrong in it.
#[derive(Debug, Default)]
pub struct DomainList {
    /// What it is about.
    pub names: DomainSet,
    /// What it takes out again (`@@||x.test^`).
    pub exceptions: DomainSet,
    /// The first lines that could not be used, at most 5.
    pub mistakes: Vec<BadLine>,
    /// How many lines could not be used.
    pub bad_lines: usize,
    /// How many lines say something that is not about names alone.
    pub other_lines: usize,
}

/// A line that could not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {error}")]
pub struct BadLine {
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong.
    pub error: LineError,
}

/// Why a text is no list.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListError {
    /// It could not be read.
    #[error("{0}")]
    Read(#[from] io::Error),
    /// More than half of what it says could not be used.
    #[error("{bad} of {all} lines are no names; the first: {first}")]
    Broken {
        /// How many lines could not be used.
        bad: usize,
        /// How many lines say something.
        all: usize,
        /// The first of them.
        first: BadLine,
    },
    /// It has more than 1 GiB.
    #[error("a list of more than 1 GiB")]
    TooLarge,
}

impl DomainList {
    /// Reads a file.
    ///
    /// # Errors
    /// It can not be read, or most of it says nothing about names.
    pub fn open(path: &Path) -> Result<Self, ListError> {
        Self::read(BufReader::with_capacity(1 << 16, File::open(path)?))
    }

    /// Reads a text.
    ///
    /// # Errors
    /// It can not be read, or most of it says nothing about names.
    pub fn read(mut text: impl BufRead) -> Result<Self, ListError> {
        let mut names = DomainSetBuilder::default();
        let mut exceptions = DomainSetBuilder::default();
        let mut list = Self::default();
        let (mut line, mut number, mut good, mut size) = (Vec::new(), 0, 0, 0);
        loop {
            line.clear();
            let got = text.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)?;
            if got == 0 {
                break;
            }
            number += 1;
            size += got as u64;
            if size > MAX_SIZE {
                return Err(ListError::TooLarge);
            }
            let whole = line.last() == Some(&b'\n') || (got as u64) < MAX_LINE;
            if !whole {
                size += skip_line(&mut text)?;
            }
            let read = match std::str::from_utf8(&line) {
                Ok(line) if whole => read(line),
                _ => Err(LineError::NotText),
            };
            match read {
                Ok(Line::Nothing) => continue,
                Ok(Line::Other) => {
                    list.other_lines += 1;
                    continue;
                }
                Ok(Line::Trees(trees)) => trees.iter().for_each(|name| add(&mut names, name)),
                Ok(Line::Pattern { pattern, exception: false }) => add(&mut names, &pattern),
                Ok(Line::Pattern { pattern, exception: true }) => add(&mut exceptions, &pattern),
                Err(error) => {
                    list.bad_lines += 1;
                    if list.mistakes.len() < KEPT_MISTAKES {
                        list.mistakes.push(BadLine { line: number, error });
                    }
                    continue;
                }
            }
            good += 1;
        }
        if list.bad_lines > good
            && let Some(first) = list.mistakes.first().cloned()
        {
            let (bad, all) = (list.bad_lines, list.bad_lines + good);
            return Err(ListError::Broken { bad, all, first });
        }
        list.names = names.build();
        list.exceptions = exceptions.build();
        Ok(list)
    }

    /// How many different names and exceptions it has.
    pub fn len(&self) -> usize {
        self.names.len() + self.exceptions.len()
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl From<DomainSet> for DomainList {
    fn from(names: DomainSet) -> Self {
        Self { names, ..Self::default() }
    }
}

fn add(set: &mut DomainSetBuilder, name: &Name<'_>) {
    match name {
        Name::Plain(name, kind) => set.add_name(name.as_bytes(), *kind),
        Name::Parsed(pattern) => set.add(pattern),
    }
}

/// Reads on to the end of the line; gives back how many bytes that were.
fn skip_line(text: &mut impl BufRead) -> io::Result<u64> {
    let mut skipped = 0;
    loop {
        let buffer = text.fill_buf()?;
        if buffer.is_empty() {
            return Ok(skipped);
        }
        let (used, end) = match memchr::memchr(b'\n', buffer) {
            Some(at) => (at + 1, true),
            None => (buffer.len(), false),
        };
        text.consume(used);
        skipped += used as u64;
        if end {
            return Ok(skipped);
        }
    }
}
