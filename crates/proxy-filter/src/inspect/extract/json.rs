//! JSON: its strings and the names of its members.

use memchr::memchr2;

use super::lanes::{before, equal};
use super::{Bounds, Progress, Sink, Window};
use crate::inspect::steps::steps;
use crate::inspect::value::Place;

/// Bytes of the longest number or literal behind its first byte.
const SCALAR: usize = 60;

/// Bytes of a name that are kept.
const NAME: usize = 64;

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A value.
    Value,
    /// A value or the end of an array.
    FirstValue,
    /// A name.
    Name,
    /// A name or the end of an object.
    FirstName,
    /// The colon behind a name.
    Colon,
    /// A comma, or an end.
    After,
    /// Inside a string; whether it is a name.
    String { name: bool },
    /// After a backslash in a string.
    Escape { name: bool },
    /// Inside a number or literal.
    Scalar,
}

/// Reads JSON, one value or several in a row.
#[derive(Debug)]
pub struct JsonReader {
    bounds: Bounds,
    place: Place,
    state: State,
    /// Whether each open container is an object.
    open: Vec<bool>,
    window: Window,
    /// The name of the member, as far as it is not in the chunk.
    name: Vec<u8>,
    /// Where in the chunk the name of the member stands, if that is all of it.
    named: Option<(usize, usize)>,
    text: Vec<u8>,
    scalar: u8,
}

impl JsonReader {
    /// A reader of JSON whose strings stand at `place`.
    pub fn new(bounds: Bounds, place: Place) -> Self {
        Self {
            bounds,
            place,
            state: State::Value,
            open: Vec::new(),
            window: Window::default(),
            name: Vec::new(),
            named: None,
            text: Vec::new(),
            scalar: 0,
        }
    }

    /// Whether all that was opened is closed.
    pub fn is_complete(&self) -> bool {
        self.open.is_empty() && matches!(self.state, State::After | State::Scalar)
    }

    /// What is kept of a string that is not complete.
    pub fn kept(&self) -> &[u8] {
        self.window.kept()
    }

    /// Takes a chunk.
    pub fn push(&mut self, chunk: &[u8], sink: &mut dyn Sink) -> Progress {
        let progress = self.take(chunk, sink);
        self.keep_name(chunk);
        progress
    }

    /// Keeps the name of the member, which stands in the chunk.
    fn keep_name(&mut self, chunk: &[u8]) {
        if let Some((from, to)) = self.named.take() {
            self.name.clear();
            self.name.extend_from_slice(&chunk[from..to]);
        }
    }

    fn take(&mut self, chunk: &[u8], sink: &mut dyn Sink) -> Progress {
        let mut at = 0;
        while at < chunk.len() {
            let b = chunk[at];
            match self.state {
                State::String { name } => {
                    let rest = &chunk[at..];
                    // Asked once for each string and chunk, for after it something is kept.
                    if self.window.is_empty()
                        && let Some((end, escaped)) = end_of_string(rest)
                        && end < self.bounds.window
                    {
                        self.whole(chunk, (at, at + end), escaped, name, sink);
                        at += end + 1;
                        at += self.next_string(&chunk[at..]);
                        continue;
                    }
                    self.keep_name(chunk);
                    let Some(end) = memchr2(b'"', b'\\', rest) else {
                        self.add(rest, sink);
                        return Progress::Taken;
                    };
                    if rest[end] == b'\\' {
                        self.add(&rest[..=end], sink);
                        self.state = State::Escape { name };
                    } else {
                        self.string(&rest[..end], name, sink);
                    }
                    at += end + 1;
                    continue;
                }
                State::Escape { name } => {
                    self.keep_name(chunk);
                    self.add(&chunk[at..=at], sink);
                    self.state = State::String { name };
                }
                State::Scalar => {
                    let rest = &chunk[at..];
                    let end = rest.iter().position(|&b| !is_scalar(b));
                    let length = end.unwrap_or(rest.len());
                    // Longer than any number that is meant as one.
                    let room = SCALAR - usize::from(self.scalar);
                    if length > room {
                        return Progress::Broken(at + room);
                    }
                    self.scalar += length as u8;
                    at += length;
                    if end.is_some() {
                        self.state = State::After;
                        at += self.next_string(&chunk[at..]);
                    }
                    continue;
                }
                _ => {
                    if self.structure(b, sink) {
                        at += 1;
                        at += self.next_string(&chunk[at..]);
                        continue;
                    }
                    if !b.is_ascii_whitespace() {
                        return Progress::Broken(at);
                    }
                }
            }
            at += 1;
        }
        Progress::Taken
    }

    /// Takes what mostly follows a string or number, a sign and the next string's quote; gives their length.
    fn next_string(&mut self, rest: &[u8]) -> usize {
        let is_name = match (self.state, rest) {
            (State::Colon, [b':', b'"', ..]) => false,
            (State::After, [b',', b'"', ..]) => match self.open.last() {
                Some(&is_object) => is_object,
                None => return 0,
            },
            _ => return 0,
        };
        self.state = State::String { name: is_name };
        2
    }

    /// Takes a byte between values; gives whether it fits.
    fn structure(&mut self, b: u8, sink: &mut dyn Sink) -> bool {
        match (self.state, b) {
            (State::Value | State::FirstValue, b'{' | b'[') => {
                if self.open.len() >= usize::from(self.bounds.depth) {
                    sink.too_deep();
                    return false;
                }
                self.open.push(b == b'{');
                if b == b'[' {
                    sink.array();
                }
                self.state = if b == b'{' { State::FirstName } else { State::FirstValue };
            }
            (State::Value | State::FirstValue, b'"') => self.state = State::String { name: false },
            (
                State::Value | State::FirstValue,
                b'-' | b'0'..=b'9' | b't' | b'f' | b'n' | b'N' | b'I',
            ) => {
                self.scalar = 0;
                self.state = State::Scalar;
            }
            (State::Name | State::FirstName, b'"') => self.state = State::String { name: true },
            (State::Colon, b':') => self.state = State::Value,
            (State::FirstName, b'}') | (State::FirstValue, b']') => {
                self.open.pop();
                self.state = State::After;
            }
            (State::After, b',') => match self.open.last() {
                Some(true) => self.state = State::Name,
                Some(false) => self.state = State::Value,
                None => return false,
            },
            (State::After, b'}' | b']') => {
                if self.open.pop() != Some(b == b'}') {
                    return false;
                }
            }
            // Values in a row: JSON Lines.
            (State::After, b'{' | b'[') if self.open.is_empty() => {
                self.state = State::Value;
                return self.structure(b, sink);
            }
            _ => return false,
        }
        true
    }

    fn add(&mut self, piece: &[u8], sink: &mut dyn Sink) {
        let (place, name, out) = (self.place, &self.name, &mut self.text);
        self.window.add(piece, &self.bounds, |raw| {
            let text = unescape(raw, out).unwrap_or(raw);
            sink.found(place, name, text, false);
        });
    }

    /// A string that stands in the chunk as a whole, from the first offset up to the second;
    /// `escaped` says whether it has escapes.
    fn whole(
        &mut self,
        chunk: &[u8],
        (from, to): (usize, usize),
        escaped: bool,
        is_name: bool,
        sink: &mut dyn Sink,
    ) {
        let raw = &chunk[from..to];
        let text = if escaped { unescape(raw, &mut self.text).unwrap_or(raw) } else { raw };
        if is_name {
            let is_plain = !escaped && text.len() <= NAME;
            self.named = is_plain.then_some((from, to));
            if !is_plain {
                self.name.clear();
                self.name.extend_from_slice(&text[..text.len().min(NAME)]);
            }
            sink.found(self.place, &[], text, true);
            self.state = State::Colon;
        } else {
            if !text.is_empty() {
                let name = self.named.map_or(&self.name[..], |(from, to)| &chunk[from..to]);
                sink.found(self.place, name, text, false);
            }
            self.state = State::After;
        }
    }

    /// A string is complete with its last piece.
    fn string(&mut self, last: &[u8], is_name: bool, sink: &mut dyn Sink) {
        let whole = self.window.is_empty() && last.len() <= self.bounds.window;
        if !whole {
            self.add(last, sink);
        }
        let raw = if whole { last } else { self.window.kept() };
        let text = unescape(raw, &mut self.text).unwrap_or(raw);
        if is_name {
            self.name.clear();
            self.name.extend_from_slice(&text[..text.len().min(NAME)]);
            sink.found(self.place, &[], text, true);
            self.state = State::Colon;
        } else {
            if !text.is_empty() {
                sink.found(self.place, &self.name, text, false);
            }
            self.state = State::After;
        }
        self.window.clear();
    }

    /// Says what is left of a string that was not closed.
    pub fn finish(&mut self, sink: &mut dyn Sink) {
        if !self.window.is_empty() {
            let raw = self.window.kept();
            let text = unescape(raw, &mut self.text).unwrap_or(raw);
            sink.found(self.place, &self.name, text, false);
        }
        self.window.clear();
    }
}

/// Where the quote stands that ends a string, if it is there, and whether there are escapes before.
fn end_of_string(text: &[u8]) -> Option<(usize, bool)> {
    let (mut at, mut escaped) = (0, false);
    loop {
        let Some(next) = text.get(at..).and_then(quote_or_backslash) else {
            steps(text.len());
            return None;
        };
        at += next;
        if text[at] == b'"' {
            steps(at);
            return Some((at, escaped));
        }
        escaped = true;
        at += 2;
    }
}

/// The first quote or backslash. Most strings are short: eight bytes at a time are as fast there.
fn quote_or_backslash(text: &[u8]) -> Option<usize> {
    const SHORT: usize = 24;
    for (n, word) in text[..text.len().min(SHORT)].as_chunks::<8>().0.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = equal(word, b'"') | equal(word, b'\\');
        if found != 0 {
            return Some(8 * n + before(found));
        }
    }
    let seen = text.len().min(SHORT) / 8 * 8;
    memchr2(b'"', b'\\', &text[seen..]).map(|at| seen + at)
}

fn is_scalar(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'.')
}

/// Takes the escapes off a string; `None` where there are none. What is no escape stays.
fn unescape<'a>(raw: &'a [u8], out: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    let first = memchr::memchr(b'\\', raw)?;
    out.clear();
    out.extend_from_slice(&raw[..first]);
    let mut rest = &raw[first..];
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        let (byte, length) = match rest.get(at + 1) {
            Some(b'n') => (b'\n', 2),
            Some(b't') => (b'\t', 2),
            Some(b'r') => (b'\r', 2),
            Some(b'b') => (8, 2),
            Some(b'f') => (12, 2),
            Some(&b) if matches!(b, b'"' | b'\\' | b'/') => (b, 2),
            Some(b'u') => match unit(&rest[at..]) {
                Some((c, length)) => {
                    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                    rest = &rest[at + length..];
                    continue;
                }
                None => (b'\\', 1),
            },
            _ => (b'\\', 1),
        };
        out.push(byte);
        rest = &rest[at + length..];
    }
    out.extend_from_slice(rest);
    Some(out)
}

/// `\uXXXX`, and a second one where the first is half of a pair.
fn unit(text: &[u8]) -> Option<(char, usize)> {
    let hex = |at: usize| {
        text.get(at..at + 4)?
            .iter()
            .try_fold(0u32, |n, &b| Some(n << 4 | (b as char).to_digit(16)?))
    };
    let high = hex(2)?;
    if let 0xD800..=0xDBFF = high {
        let low = (text.get(6..8) == Some(b"\\u")).then(|| hex(8)).flatten();
        return match low {
            Some(low @ 0xDC00..=0xDFFF) => {
                Some((char::from_u32(0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00))?, 12))
            }
            _ => Some((char::REPLACEMENT_CHARACTER, 6)),
        };
    }
    Some((char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER), 6))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{BOUNDS, Notes};
    use super::*;
    use proptest::prelude::*;

    fn read(text: &[u8], step: usize) -> (Vec<String>, Option<usize>) {
        let mut notes = Notes::default();
        let mut reader = JsonReader::new(BOUNDS, Place::Json);
        let mut broken = None;
        for (i, chunk) in text.chunks(step).enumerate() {
            if let Progress::Broken(at) = reader.push(chunk, &mut notes) {
                broken = Some(i * step + at);
                break;
            }
        }
        reader.finish(&mut notes);
        (notes.0, broken)
    }

    #[test]
    fn values() {
        let text = br#" {"a":"x\ny\u0027\u00e9\ud83d\ude00","b":[1,-2.5e3,true,null,"z"],"c":{"$ne":""}} "#;
        for step in [1, 2, 7, 1000] {
            let (found, broken) = read(text, step);
            assert_eq!(broken, None);
            assert_eq!(
                found,
                [
                    "json a",
                    "json a=x\ny'\u{e9}\u{1f600}",
                    "json b",
                    "json b=z",
                    "json c",
                    "json $ne"
                ],
                "{step}"
            );
        }
        assert_eq!(read(b"{\"a\":1}\n{\"b\":2}", 1000).0, ["json a", "json b"]);
    }

    #[test]
    fn what_is_not_json() {
        for (text, at) in [
            ("{{7*7}}", Some(1)),
            ("{\"a\":1 or 1=1}", Some(7)),
            ("[1].map(x)", Some(3)),
            ("{\"a\" \"b\"}", Some(5)),
            ("{'a':1}", Some(1)),
            ("[1}", Some(2)),
            ("[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]", Some(16)),
            ("[]", None),
            ("{}", None),
            ("\"x\"", None),
        ] {
            assert_eq!(read(text.as_bytes(), 1000).1, at, "{text}");
        }
    }

    proptest! {
        #[test]
        fn chunks_do_not_matter(text in r#"[\[\]{}",:\\a1u0 ]{0,60}"#, step in 1usize..20) {
            prop_assert_eq!(read(text.as_bytes(), step), read(text.as_bytes(), 1000));
        }
    }
}
