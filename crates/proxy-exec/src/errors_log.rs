//! Standard errors in the log: lines, escaped, and not for ever.

use std::collections::VecDeque;
use std::sync::Arc;

/// Bytes of one run that go to the log. The rest is read and counted.
const MOST: usize = 64 << 10;
/// The longest line; the rest of it begins another.
const LONGEST_LINE: usize = 2 << 10;
/// Bytes of the end that are told with a failure.
const TAIL: usize = 512;

#[derive(Debug)]
pub(crate) struct ErrorsLog {
    name: Arc<str>,
    id: Box<str>,
    line: Vec<u8>,
    logged: usize,
    dropped: u64,
    tail: VecDeque<u8>,
}

impl ErrorsLog {
    pub(crate) fn new(name: &Arc<str>, id: String) -> Self {
        Self {
            name: Arc::clone(name),
            id: id.into(),
            line: Vec::new(),
            logged: 0,
            dropped: 0,
            tail: VecDeque::new(),
        }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.tail.extend(&bytes[bytes.len().saturating_sub(TAIL)..]);
        self.tail.drain(..self.tail.len().saturating_sub(TAIL));
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.logged >= MOST {
                self.dropped += part.len() as u64;
                continue;
            }
            self.logged += part.len();
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") || self.line.len() >= LONGEST_LINE {
                self.flush();
            }
        }
    }

    fn flush(&mut self) {
        let line = std::mem::take(&mut self.line);
        let text = line.trim_ascii_end();
        if !text.is_empty() {
            let text = shown(text);
            tracing::info!(program = &*self.name, id = &*self.id, "{text}");
        }
    }

    /// What is left; the last words, for a failure.
    pub(crate) fn finish(&mut self) -> String {
        self.flush();
        if self.dropped > 0 {
            let bytes = std::mem::take(&mut self.dropped);
            tracing::info!(program = &*self.name, id = &*self.id, bytes, "more than is logged");
        }
        shown(self.tail.make_contiguous().trim_ascii())
    }
}

/// Without a byte that a terminal or a reader of lines would obey.
fn shown(bytes: &[u8]) -> String {
    let mut text = String::new();
    for letter in String::from_utf8_lossy(bytes).chars() {
        if letter.is_control() && letter != '\t' {
            text.extend(letter.escape_default());
        } else {
            text.push(letter);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_are_kept_and_tamed() {
        let mut log = ErrorsLog::new(&"x".into(), String::new());
        log.push(&vec![b'a'; 100_000]);
        log.push(b"the end\x1b[2J\nof it\n");
        let tail = log.finish();
        assert!(tail.ends_with("the end\\u{1b}[2J\\nof it"), "{tail}");
        assert!(tail.len() < 600);
        assert!(log.line.is_empty());
    }
}
