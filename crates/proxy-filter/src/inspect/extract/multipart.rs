//! Multipart forms: names, values, names of files, and the beginnings of files.

use memchr::memmem;

use super::{Bounds, Sink, Window};
use crate::inspect::value::Place;

/// Bytes that the fields of one part may have.
const FIELDS_LIMIT: usize = 16 * 1024;

/// Bytes of a file that are looked at.
const FILE_HEAD: usize = 2048;

/// The boundary that a content type names.
pub fn boundary(content_type: &[u8]) -> Option<&[u8]> {
    let at = find_ignoring_case(content_type, b"boundary=")?;
    let rest = &content_type[at + 9..];
    let rest = rest.trim_ascii_start();
    let text = match rest.strip_prefix(b"\"") {
        Some(quoted) => &quoted[..memchr::memchr(b'"', quoted).unwrap_or(quoted.len())],
        None => rest[..rest.iter().position(|b| matches!(b, b';' | b',')).unwrap_or(rest.len())]
            .trim_ascii_end(),
    };
    (!text.is_empty() && text.len() <= 200).then_some(text)
}

fn find_ignoring_case(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|w| w.eq_ignore_ascii_case(part))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first boundary.
    Preamble,
    /// After a boundary: its line ends, or it was the last.
    Boundary,
    /// The fields of a part.
    Fields,
    /// The content of a part that is no file.
    Value,
    /// The content of a file.
    File,
    /// After the last boundary.
    Epilogue,
}

/// Reads a multipart form.
#[derive(Debug)]
pub struct MultipartReader {
    bounds: Bounds,
    /// `--boundary`.
    delimiter: Vec<u8>,
    state: State,
    /// What is not taken yet.
    buffer: Vec<u8>,
    name: Vec<u8>,
    window: Window,
    file_seen: usize,
}

impl MultipartReader {
    /// A reader of a form with this boundary.
    pub fn new(bounds: Bounds, boundary: &[u8]) -> Self {
        Self {
            bounds,
            delimiter: [b"--", boundary].concat(),
            state: State::Preamble,
            buffer: Vec::new(),
            name: Vec::new(),
            window: Window::default(),
            file_seen: 0,
        }
    }

    /// Takes a chunk.
    pub fn push(&mut self, chunk: &[u8], sink: &mut dyn Sink) {
        let mut buffer = std::mem::take(&mut self.buffer);
        // What is left over is shorter than a delimiter, or the fields of one part.
        let taken = if buffer.is_empty() {
            let taken = self.take(chunk, sink);
            buffer.extend_from_slice(&chunk[taken..]);
            0
        } else {
            buffer.extend_from_slice(chunk);
            self.take(&buffer, sink)
        };
        buffer.drain(..taken);
        self.buffer = buffer;
    }

    /// Takes what can be taken; gives how much.
    fn take(&mut self, text: &[u8], sink: &mut dyn Sink) -> usize {
        let mut at = 0;
        loop {
            let rest = &text[at..];
            let used = match self.state {
                State::Preamble | State::Value | State::File => {
                    match memmem::find(rest, &self.delimiter) {
                        Some(end) => {
                            let content = rest[..end].strip_suffix(b"\n").unwrap_or(&rest[..end]);
                            self.content(content.strip_suffix(b"\r").unwrap_or(content), sink);
                            self.end_part(sink);
                            self.state = State::Boundary;
                            end + self.delimiter.len()
                        }
                        None => {
                            let keep = self.delimiter.len() + 2;
                            let now = rest.len().saturating_sub(keep);
                            self.content(&rest[..now], sink);
                            return at + now;
                        }
                    }
                }
                State::Boundary => match rest {
                    [b'-', b'-', ..] => {
                        self.state = State::Epilogue;
                        2
                    }
                    _ if rest.len() < 2 => return at,
                    _ => match memchr::memchr(b'\n', rest) {
                        Some(end) => {
                            self.state = State::Fields;
                            end + 1
                        }
                        None if rest.len() > 1024 => {
                            self.state = State::Fields;
                            0
                        }
                        None => return at,
                    },
                },
                State::Fields => match fields_end(rest) {
                    Some((fields, length)) => {
                        self.fields(fields, sink);
                        length
                    }
                    None if rest.len() > FIELDS_LIMIT => {
                        sink.ambiguous();
                        self.fields(rest, sink);
                        rest.len()
                    }
                    None => return at,
                },
                State::Epilogue => {
                    // What stands behind the last boundary some take for a part all the same.
                    if memmem::find(rest, b"form-data").is_some() {
                        sink.ambiguous();
                    }
                    return text.len();
                }
            };
            at += used;
        }
    }

    fn fields(&mut self, fields: &[u8], sink: &mut dyn Sink) {
        self.name.clear();
        self.state = State::Value;
        let mut dispositions = 0;
        for line in fields.split(|&b| b == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let Some(colon) = memchr::memchr(b':', line) else { continue };
            let (field, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            if !field.eq_ignore_ascii_case(b"content-disposition") {
                sink.found(Place::PartField, field, value, false);
                continue;
            }
            dispositions += 1;
            let mut names = 0;
            for (key, text) in parameters(value) {
                let is_name = key.eq_ignore_ascii_case(b"name");
                if is_name {
                    names += 1;
                    self.name.clear();
                    self.name.extend_from_slice(&text[..text.len().min(64)]);
                    sink.found(Place::Part, &[], text, true);
                } else if key.len() >= 8 && key[..8].eq_ignore_ascii_case(b"filename") {
                    sink.found(Place::FileName, &self.name, text, false);
                    self.state = State::File;
                }
            }
            if names > 1 {
                sink.ambiguous();
            }
        }
        if dispositions > 1 {
            sink.ambiguous();
        }
        self.file_seen = 0;
    }

    fn content(&mut self, piece: &[u8], sink: &mut dyn Sink) {
        match self.state {
            State::Value => {
                let name = &self.name;
                self.window.add(piece, &self.bounds, |text| {
                    sink.found(Place::Part, name, text, false);
                });
            }
            State::File if self.file_seen < FILE_HEAD => {
                let take = piece.len().min(FILE_HEAD - self.file_seen);
                let name = &self.name;
                self.window.add(&piece[..take], &self.bounds, |text| {
                    sink.found(Place::File, name, text, false);
                });
                self.file_seen += take;
            }
            _ => {}
        }
    }

    fn end_part(&mut self, sink: &mut dyn Sink) {
        if !self.window.is_empty() {
            let place = if self.state == State::File { Place::File } else { Place::Part };
            sink.found(place, &self.name, self.window.kept(), false);
        }
        self.window.clear();
    }

    /// Says what is left.
    pub fn finish(&mut self, sink: &mut dyn Sink) {
        let rest = std::mem::take(&mut self.buffer);
        match self.state {
            State::Fields | State::Boundary => {
                if !rest.is_empty() {
                    self.fields(&rest, sink);
                    // Fields without an end may be content to somebody.
                    sink.found(Place::Part, &[], &rest, false);
                }
            }
            // A form without a boundary is read as text.
            State::Preamble => sink.found(Place::Text, &[], &rest, false),
            _ => self.content(&rest, sink),
        }
        self.end_part(sink);
    }
}

/// The fields up to the empty line, and where the content begins.
fn fields_end(text: &[u8]) -> Option<(&[u8], usize)> {
    if text.starts_with(b"\r\n") {
        return Some((b"", 2));
    }
    let mut from = 0;
    while let Some(at) = memchr::memchr(b'\n', &text[from..]) {
        let line_end = from + at + 1;
        match &text[line_end..] {
            [b'\n', ..] => return Some((&text[..line_end], line_end + 1)),
            [b'\r', b'\n', ..] => return Some((&text[..line_end], line_end + 2)),
            _ => from = line_end,
        }
    }
    None
}

/// The parameters of a field: `; key=value`, `; key="value"`.
fn parameters(field: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = field;
    std::iter::from_fn(move || {
        let semicolon = memchr::memchr(b';', rest)?;
        rest = rest[semicolon + 1..].trim_ascii_start();
        let equals = memchr::memchr(b'=', rest)?;
        let key = rest[..equals].trim_ascii();
        let value = rest[equals + 1..].trim_ascii_start();
        let (value, tail) = match value.strip_prefix(b"\"") {
            Some(quoted) => {
                // A quote ends the value only where another parameter or the end follows.
                let mut end = quoted.len();
                for at in memchr::memchr_iter(b'"', quoted) {
                    let tail = quoted[at + 1..].trim_ascii_start();
                    if tail.is_empty() || tail[0] == b';' {
                        end = at;
                        break;
                    }
                }
                (&quoted[..end], quoted.get(end + 1..).unwrap_or(b""))
            }
            None => {
                let end = memchr::memchr(b';', value).unwrap_or(value.len());
                (value[..end].trim_ascii_end(), &value[end..])
            }
        };
        rest = tail;
        Some((key, value))
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{BOUNDS, Notes};
    use super::*;
    use proptest::prelude::*;

    fn read(text: &[u8], step: usize) -> Vec<String> {
        let mut notes = Notes::default();
        let mut reader = MultipartReader::new(BOUNDS, b"X");
        for chunk in text.chunks(step) {
            reader.push(chunk, &mut notes);
        }
        reader.finish(&mut notes);
        notes.0
    }

    #[test]
    fn forms() {
        let text = b"--X\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\ntwo\r\n--X\r\n\
            Content-Type: image/png\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x.png\"\r\n\r\n\
            \x89PNG\r\n--X--\r\n";
        for step in [1, 3, 10, 10_000] {
            assert_eq!(
                read(text, step),
                [
                    "part a",
                    "part a=one\r\ntwo",
                    "part-field Content-Type=image/png",
                    "part f",
                    "file-name f=x.png",
                    "file f=\u{fffd}PNG"
                ],
                "{step}"
            );
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways() {
        let twice =
            b"--X\r\nContent-Disposition: form-data; name=\"a\"; name=\"b\"\r\n\r\n1\r\n--X--";
        assert!(read(twice, 100).contains(&"ambiguous".to_owned()));
        let quote = b"--X\r\nContent-Disposition: form-data; name=\"a\"b\"; filename=\"c\"\r\n\r\n1\r\n--X--";
        assert!(read(quote, 100).contains(&"part a\"b".to_owned()));
    }

    #[test]
    fn boundaries() {
        for (field, expected) in [
            ("multipart/form-data; boundary=abc", Some("abc")),
            ("multipart/form-data; Boundary=\"a b\"; x", Some("a b")),
            ("multipart/form-data; boundary=  abc ; x=y", Some("abc")),
            ("multipart/form-data", None),
            ("multipart/form-data; boundary=", None),
        ] {
            assert_eq!(boundary(field.as_bytes()), expected.map(str::as_bytes), "{field}");
        }
    }

    proptest! {
        #[test]
        fn chunks_do_not_matter(
            text in "(--X\r\n|--X--|\r\n|name=\"a\"|content-disposition: x; |:|a|-|X|\n){0,30}",
            step in 1usize..20,
        ) {
            let whole = read(text.as_bytes(), 1000);
            prop_assert_eq!(read(text.as_bytes(), step), whole);
        }

        #[test]
        fn never_panics(text in proptest::collection::vec(any::<u8>(), 0..200), step in 1usize..20) {
            read(&text, step);
        }
    }
}
