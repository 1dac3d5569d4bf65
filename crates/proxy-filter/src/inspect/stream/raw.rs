//! Coded content as it is read by those who do not look at its coding.
//!
//! Many servers ignore the `Content-Encoding` of requests. Content that is not in the coding it is
//! said to be in is read from its beginning as it came. Content that is may still have text between
//! what is decoded: in names of files (gzip), frames to be skipped (zstd), metadata (br).

use crate::inspect::extract::{Bounds, FormReader, Sink};
use crate::inspect::value::Place;

/// Bytes of text in a row that are read. Compressed data has so many about nine times in a MiB.
const RUN: usize = 12;

/// Coded content as it came.
pub(super) struct Raw {
    content_type: Box<[u8]>,
    /// The beginning, at most a window of it.
    kept: Vec<u8>,
    window: usize,
    /// Text that is not long enough yet.
    run: Vec<u8>,
    is_text: bool,
    reader: FormReader,
}

impl Raw {
    pub(super) fn new(content_type: &[u8], bounds: Bounds) -> Self {
        Self {
            content_type: content_type.into(),
            kept: Vec::new(),
            window: bounds.window,
            run: Vec::new(),
            is_text: false,
            reader: FormReader::new(bounds, Place::Form),
        }
    }

    /// Takes a chunk and reads the text in it; gives how much of it was kept.
    pub(super) fn push(&mut self, chunk: &[u8], sink: &mut dyn Sink) -> usize {
        let mut rest = chunk;
        while !rest.is_empty() {
            let end = rest.iter().position(|b| !is_text(*b));
            let (text, later) = rest.split_at(end.unwrap_or(rest.len()));
            self.read(text, sink);
            if end.is_some() {
                self.end_run(sink);
            }
            rest = later.get(1..).unwrap_or(later);
        }
        let now = chunk.len().min(self.window - self.kept.len());
        self.kept.extend_from_slice(&chunk[..now]);
        now
    }

    fn read(&mut self, text: &[u8], sink: &mut dyn Sink) {
        if self.is_text {
            return self.reader.push(text, sink);
        }
        self.run.extend_from_slice(text);
        if self.run.len() >= RUN {
            self.is_text = true;
            self.reader.push(&self.run, sink);
            self.run.clear();
        }
    }

    fn end_run(&mut self, sink: &mut dyn Sink) {
        self.run.clear();
        if std::mem::take(&mut self.is_text) {
            self.reader.finish(sink);
        }
    }

    /// Reads the text at the end.
    pub(super) fn finish(&mut self, sink: &mut dyn Sink) {
        self.end_run(sink);
    }

    /// The content type, and what was kept.
    pub(super) fn into_parts(self) -> (Box<[u8]>, Vec<u8>) {
        (self.content_type, self.kept)
    }
}

const fn is_text(b: u8) -> bool {
    matches!(b, b' '..=b'~' | b'\t' | b'\r' | b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::extract::tests::{BOUNDS, Notes};

    #[test]
    fn text_between_other_bytes_is_read_in_whatever_pieces() {
        let content = b"\x1f\x8b\x08short\x00a=one+text&b=two\xff\xfewhat stands at the end";
        for step in [1, 5, 100] {
            let mut notes = Notes::default();
            let mut raw = Raw::new(b"", BOUNDS);
            for chunk in content.chunks(step) {
                raw.push(chunk, &mut notes);
            }
            raw.finish(&mut notes);
            assert_eq!(
                notes.0,
                [
                    "form a",
                    "form a=one text",
                    "form b",
                    "form b=two",
                    "form =what stands at the end"
                ],
                "{step}"
            );
            assert_eq!(raw.into_parts().1, content);
        }
    }
}
