//! Multipart forms: names, values, names of files, and the beginnings of files.
//!
//! A delimiter stands at the beginning of a line, and nothing but blanks or two dashes stand behind
//! it (RFC 2046 section 5.1.1). Readers of backends are laxer, each in its own way: what one of them
//! may take for a delimiter and another for content is said to be ambiguous, and read as content.

mod boundary;
mod disposition;

use memchr::memmem;

use super::{Bounds, Sink, Window};
use crate::inspect::value::Place;
pub use boundary::{Boundary, boundary};
use disposition::{File, disposition};

/// Bytes that the fields of one part may have.
const FIELDS_LIMIT: usize = 16 * 1024;

/// Bytes of a file that are looked at.
const FILE_HEAD: usize = 2048;

/// Blanks that may stand behind a delimiter.
const BLANKS: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first delimiter.
    Preamble,
    /// The fields of a part.
    Fields,
    /// The content of a part that is no file.
    Value,
    /// The content of a file.
    File,
    /// The content of a part that is a file to some readers and a value to others.
    Either,
    /// After the last delimiter.
    Epilogue,
}

/// What stands behind a delimiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tail {
    /// Two dashes: it is the last one.
    Last,
    /// Blanks and the end of the line: how long, and whether it ends with CR LF.
    Line(usize, bool),
    /// Something else.
    Junk,
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
    /// The two bytes before it.
    before: [u8; 2],
    /// Whether the lines of delimiters end with CR LF.
    line_ends: Option<bool>,
    name: Vec<u8>,
    window: Window,
    file_seen: usize,
    /// Whether something stands before the first delimiter.
    has_preamble: bool,
}

impl MultipartReader {
    /// A reader of a form with this boundary.
    pub fn new(bounds: Bounds, boundary: &[u8]) -> Self {
        Self {
            bounds,
            delimiter: [b"--", boundary].concat(),
            state: State::Preamble,
            buffer: Vec::new(),
            before: *b"\r\n",
            line_ends: None,
            name: Vec::new(),
            window: Window::default(),
            file_seen: 0,
            has_preamble: false,
        }
    }

    /// Takes a chunk.
    pub fn push(&mut self, chunk: &[u8], sink: &mut dyn Sink) {
        let mut buffer = std::mem::take(&mut self.buffer);
        // What is left over is little more than a delimiter, or the fields of one part.
        let taken = if buffer.is_empty() {
            let taken = self.take(chunk, false, sink);
            buffer.extend_from_slice(&chunk[taken..]);
            0
        } else {
            buffer.extend_from_slice(chunk);
            self.take(&buffer, false, sink)
        };
        buffer.drain(..taken);
        self.buffer = buffer;
    }

    /// Takes what can be taken; gives how much. `ended` says that nothing follows.
    fn take(&mut self, text: &[u8], ended: bool, sink: &mut dyn Sink) -> usize {
        let mut at = 0;
        loop {
            let (used, more) = match self.state {
                State::Fields => self.take_fields(&text[at..], sink),
                State::Epilogue => {
                    self.content(&text[at..], sink);
                    (text.len() - at, false)
                }
                _ => self.take_content(text, at, ended, sink),
            };
            at += used;
            if !more {
                break;
            }
        }
        for &b in &text[at.saturating_sub(2)..at] {
            self.before = [self.before[1], b];
        }
        at
    }

    /// Takes content up to the next delimiter, and the delimiter; gives how much, and whether to go
    /// on.
    fn take_content(
        &mut self,
        text: &[u8],
        from: usize,
        ended: bool,
        sink: &mut dyn Sink,
    ) -> (usize, bool) {
        let rest = &text[from..];
        let length = self.delimiter.len();
        let Some(start) = memmem::find(rest, &self.delimiter) else {
            // The end of it may be the beginning of a delimiter, with the end of a line before it.
            let keep = if ended { 0 } else { length + 2 };
            let now = rest.len().saturating_sub(keep);
            self.content(&rest[..now], sink);
            return (now, false);
        };
        let end = start + length;
        let Some(tail) = tail(&rest[end..], ended) else {
            let now = start.saturating_sub(2);
            self.content(&rest[..now], sink);
            return (now, false);
        };
        let before = |n: usize| match (from + start).checked_sub(n) {
            Some(at) => text[at],
            None => self.before[2 + from + start - n],
        };
        let begins_line = before(1) == b'\n';
        if !begins_line || tail == Tail::Junk {
            if begins_line || tail != Tail::Junk {
                sink.ambiguous();
            }
            self.content(&rest[..end], sink);
            return (end, true);
        }
        let after_crlf = before(2) == b'\r';
        // Who wants CR LF before a delimiter takes this one for content.
        if self.line_ends.is_some_and(|crlf| crlf != after_crlf) {
            sink.ambiguous();
        }
        let content = rest[..start].strip_suffix(b"\n").unwrap_or(&rest[..start]);
        self.content(content.strip_suffix(b"\r").unwrap_or(content), sink);
        self.end_part(sink);
        let used = match tail {
            Tail::Line(length, crlf) => {
                self.line_ends.get_or_insert(crlf);
                self.state = State::Fields;
                end + length
            }
            _ => {
                self.state = State::Epilogue;
                end + 2
            }
        };
        (used, true)
    }

    fn take_fields(&mut self, rest: &[u8], sink: &mut dyn Sink) -> (usize, bool) {
        match fields_end(rest) {
            Some((fields, length)) => {
                self.fields(fields, sink);
                (length, true)
            }
            None if rest.len() > FIELDS_LIMIT => {
                sink.ambiguous();
                self.fields(rest, sink);
                (rest.len(), true)
            }
            None => (0, false),
        }
    }

    fn fields(&mut self, fields: &[u8], sink: &mut dyn Sink) {
        self.name.clear();
        self.state = State::Value;
        self.file_seen = 0;
        let mut dispositions = 0;
        for line in unfolded(fields) {
            let Some(colon) = memchr::memchr(b':', line) else {
                // No field: content to who does not know what to make of it.
                sink.found(Place::Part, &[], line, false);
                continue;
            };
            let (field, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            if !field.trim_ascii().eq_ignore_ascii_case(b"content-disposition") {
                sink.found(Place::PartField, field, value, false);
                continue;
            }
            dispositions += 1;
            let disposition = disposition(value);
            if disposition.is_ambiguous || dispositions > 1 {
                sink.ambiguous();
            }
            for name in disposition.names {
                self.name.clear();
                self.name.extend_from_slice(&name[..name.len().min(64)]);
                sink.found(Place::Part, &[], name, true);
            }
            for name in disposition.file_names {
                sink.found(Place::FileName, &self.name, name, false);
            }
            self.state = match disposition.file {
                File::No => State::Value,
                File::Yes => State::File,
                File::Perhaps => State::Either,
            };
        }
    }

    fn content(&mut self, piece: &[u8], sink: &mut dyn Sink) {
        let state = self.state;
        let piece = match state {
            State::File => {
                let head = &piece[..piece.len().min(FILE_HEAD - self.file_seen)];
                self.file_seen += head.len();
                head
            }
            State::Preamble | State::Epilogue if self.window.is_empty() => piece.trim_ascii_start(),
            _ => piece,
        };
        self.has_preamble |= state == State::Preamble && !piece.is_empty();
        let name = &self.name;
        self.window.add(piece, &self.bounds, |text| say(state, name, text, sink));
    }

    fn end_part(&mut self, sink: &mut dyn Sink) {
        if !self.window.is_empty() {
            say(self.state, &self.name, self.window.kept(), sink);
        }
        self.window.clear();
        self.name.clear();
    }

    /// Says what is left.
    pub fn finish(&mut self, sink: &mut dyn Sink) {
        let rest = std::mem::take(&mut self.buffer);
        let taken = self.take(&rest, true, sink);
        let rest = &rest[taken..];
        match self.state {
            State::Fields if !rest.is_empty() => {
                self.fields(rest, sink);
                // Fields without an end may be content to somebody.
                sink.found(Place::Part, &[], rest, false);
            }
            // Not one delimiter: who reads it reads it by another boundary.
            State::Preamble if self.has_preamble => sink.ambiguous(),
            _ => {}
        }
        self.end_part(sink);
    }
}

/// Says content of a part, or what stands around the parts.
fn say(state: State, name: &[u8], text: &[u8], sink: &mut dyn Sink) {
    match state {
        State::File => sink.found(Place::File, name, text, false),
        State::Either => {
            sink.found(Place::Part, name, text, false);
            sink.found(Place::File, name, text, false);
        }
        State::Value | State::Fields => sink.found(Place::Part, name, text, false),
        State::Preamble => sink.found(Place::Text, &[], text, false),
        State::Epilogue => {
            // What stands behind the last delimiter some take for a part all the same.
            if memmem::find(text, b"form-data").is_some() {
                sink.ambiguous();
            }
            sink.found(Place::Text, &[], text, false);
        }
    }
}

/// What stands behind a delimiter; `None` where more must be seen for that.
fn tail(text: &[u8], ended: bool) -> Option<Tail> {
    if text.starts_with(b"--") {
        return Some(Tail::Last);
    }
    let blanks = text.iter().take(BLANKS).take_while(|b| matches!(b, b' ' | b'\t')).count();
    match text[blanks..] {
        [b'\n', ..] => Some(Tail::Line(blanks + 1, false)),
        [b'\r', b'\n', ..] => Some(Tail::Line(blanks + 2, true)),
        [] | [b'\r'] if ended => Some(Tail::Line(text.len(), true)),
        [] | [b'\r'] | [b'-'] if !ended => None,
        _ => Some(Tail::Junk),
    }
}

/// The fields up to the empty line, and where the content begins.
fn fields_end(text: &[u8]) -> Option<(&[u8], usize)> {
    if text.starts_with(b"\r\n") {
        return Some((b"", 2));
    }
    if text.starts_with(b"\n") {
        return Some((b"", 1));
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

/// The lines of fields; one that begins with a blank belongs to the one before it.
fn unfolded(fields: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = fields;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut end = 0;
        loop {
            match memchr::memchr(b'\n', &rest[end..]) {
                None => end = rest.len(),
                Some(at) => {
                    end += at + 1;
                    if matches!(rest.get(end), Some(b' ' | b'\t')) {
                        continue;
                    }
                }
            }
            break;
        }
        let (line, later) = rest.split_at(end);
        rest = later;
        Some(line.trim_ascii_end())
    })
    .filter(|line| !line.is_empty())
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

    fn part(disposition: &str, content: &str) -> String {
        format!(
            "--X\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{content}\r\n--X--\r\n"
        )
    }

    /// What is found in any pieces, and whether it is ambiguous.
    fn found(text: &str) -> (Vec<String>, bool) {
        let mut notes = read(text.as_bytes(), 1000);
        for step in [1, 2, 7] {
            assert_eq!(read(text.as_bytes(), step), notes, "{text} by {step}");
        }
        let all = notes.len();
        notes.retain(|note| note != "ambiguous");
        let is_ambiguous = notes.len() < all;
        (notes, is_ambiguous)
    }

    #[test]
    fn a_delimiter_stands_at_the_beginning_of_a_line_and_alone() {
        for (content, ambiguous) in [
            ("x--X-- tail", true),
            ("x--X\r\nname: value\r\n\r\ntail", true),
            ("x\r\n--X tail", true),
            ("x\r\n--Xtail", true),
            ("x\r--X\r\ntail", true),
            ("x--Xtail", false),
            ("x\n-X tail", false),
        ] {
            let (notes, is_ambiguous) = found(&part("name=\"a\"", content));
            assert_eq!(notes, ["part a".to_owned(), format!("part a={content}")]);
            assert_eq!(is_ambiguous, ambiguous, "{content:?}");
        }
        let blanks = part("name=\"a\"", "1").replace("--X\r\n", "--X \t\r\n");
        assert_eq!(found(&blanks), (vec!["part a".into(), "part a=1".into()], false));
    }

    #[test]
    fn mixed_ends_of_lines_are_ambiguous() {
        let text = part("name=\"a\"", "1");
        assert!(!found(&text).1);
        assert!(!found(&text.replace('\r', "")).1);
        let mixed = part(
            "name=\"a\"",
            "1\n--X\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n\r\n2",
        );
        assert!(found(&mixed).1);
    }

    #[test]
    fn what_stands_around_the_parts_is_read() {
        let text = part("name=\"a\"", "1");
        let around = format!("before\r\n{text}after");
        assert_eq!(
            found(&around),
            (
                ["text =before", "part a", "part a=1", "text =after"].map(str::to_owned).to_vec(),
                false
            )
        );
        assert!(found(&format!("{text}{text}")).1);
        // Another boundary than the one that was said.
        let other = text.replace('X', "Y");
        let (notes, is_ambiguous) = found(&other);
        assert!(is_ambiguous && notes[0].starts_with("text =--Y"), "{notes:?}");
        assert_eq!(found(""), (vec![], false));
        assert_eq!(found("\r\n"), (vec![], false));
    }

    #[test]
    fn only_a_plain_file_name_makes_a_file() {
        for (parameters, expected) in [
            ("filename=\"x\"", "file a=1"),
            ("FileName=x", "file a=1"),
            ("filename=\"x\"; filename*=UTF-8''x", "file a=1"),
            ("filename*=UTF-8''x", "part a=1"),
            ("filename_=x", "part a=1"),
            ("filenames=x", "part a=1"),
            ("filename=\"\"", "part a=1"),
            ("filename =x", "part a=1"),
        ] {
            let (notes, _) = found(&part(&format!("name=\"a\"; {parameters}"), "1"));
            assert!(notes.contains(&expected.to_owned()), "{parameters}: {notes:?}");
        }
        // A long value that is no file is read to its end.
        let long = "x".repeat(3000) + " end";
        let (notes, _) = found(&part("name=\"a\"; filename*=x", &long));
        assert!(notes.contains(&format!("part a={long}")));
        // A quote that is escaped ends no name for some.
        assert!(found(&part("name=\"a\\\"; filename=\"x\"", "1")).1);
        assert!(found(&part("name=\"a\"; filename=x; filename=y", "1")).1);
    }

    #[test]
    fn lines_that_are_no_fields_are_read() {
        let text =
            "--X\r\nContent-Disposition: form-data;\r\n name=\"a\"\r\nno field\r\n\r\n1\r\n--X--";
        let (notes, _) = found(text);
        assert_eq!(notes, ["part a", "part =no field", "part a=1"]);
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
