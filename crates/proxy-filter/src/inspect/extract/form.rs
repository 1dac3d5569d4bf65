//! Forms (`application/x-www-form-urlencoded`), query strings and cookies.

use memchr::{memchr, memchr2};

use super::lanes::{before, equal};
use super::{Bounds, Sink, Window};
use crate::inspect::value::Place;

/// The value of each hexadecimal digit; 255 for other bytes.
static HEX: [u8; 256] = {
    let mut table = [0xFF; 256];
    let mut digit = 0;
    while digit < 16 {
        let text = b"0123456789abcdef";
        table[text[digit] as usize] = digit as u8;
        table[text[digit].to_ascii_uppercase() as usize] = digit as u8;
        digit += 1;
    }
    table
};

/// Decodes `%XX` and `+` into `out`, which is cleared first; never longer than the text.
pub fn decode_form(text: &[u8], out: &mut Vec<u8>) {
    out.clear();
    // Words are written whole, and what is too much is written over.
    out.resize(text.len() + 8, 0);
    let (mut from, mut to) = (0, 0);
    while let Some(bytes) = text[from..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*bytes);
        let spaced = word ^ ((equal(word, b'+') >> 7) * u64::from(b'+' ^ b' '));
        out[to..to + 8].copy_from_slice(&spaced.to_le_bytes());
        let plain = before(equal(word, b'%'));
        from += plain;
        to += plain;
        if plain < 8 {
            let (byte, length) = escape(&text[from..]);
            out[to] = byte;
            from += length;
            to += 1;
        }
    }
    while from < text.len() {
        let (byte, length) = match text[from] {
            b'+' => (b' ', 1),
            b'%' => escape(&text[from..]),
            b => (b, 1),
        };
        out[to] = byte;
        from += length;
        to += 1;
    }
    out.truncate(to);
}

/// The text without its coding: itself, where it has none.
pub fn decoded_form<'a>(text: &'a [u8], out: &'a mut Vec<u8>) -> &'a [u8] {
    if memchr2(b'%', b'+', text).is_none() {
        return text;
    }
    decode_form(text, out);
    out
}

/// What a text begins with whose first byte is `%`, and how long that is.
fn escape(text: &[u8]) -> (u8, usize) {
    let digit = |at: usize| text.get(at).map_or(0xFF, |&b| HEX[usize::from(b)]);
    let (high, low) = (digit(1), digit(2));
    if high | low < 16 { (high << 4 | low, 3) } else { (b'%', 1) }
}

/// The pairs of a query string that is all there, still encoded. Pages that escape an address once
/// too often send `&amp;` for `&`: what is left of that is no part of a name.
pub fn pairs(query: &[u8]) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
    query.split(|&b| b == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        let pair = pair.strip_prefix(b"amp;").unwrap_or(pair);
        match memchr(b'=', pair) {
            Some(at) => (&pair[..at], Some(&pair[at + 1..])),
            None => (pair, None),
        }
    })
}

/// The cookies of a `Cookie` field, without quotes around their values.
pub fn cookies(field: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    field.split(|&b| b == b';').filter_map(|pair| {
        let pair = pair.trim_ascii();
        let (name, value) = match memchr(b'=', pair) {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (&b""[..], pair),
        };
        let value = value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\"")).unwrap_or(value);
        (!name.is_empty() || !value.is_empty()).then_some((name, value))
    })
}

/// Whether a decoded name has what names of parameters do not have.
pub fn is_odd(name: &[u8]) -> bool {
    name.iter().any(|&b| ODD[usize::from(b)])
}

/// The bytes that names do not have.
static ODD: [bool; 256] = {
    let mut odd = [false; 256];
    let all = b" '\"<>(){};`|\\&!,\n";
    let mut at = 0;
    while at < all.len() {
        odd[all[at] as usize] = true;
        at += 1;
    }
    odd
};

/// Reads a form.
#[derive(Debug)]
pub struct FormReader {
    bounds: Bounds,
    place: Place,
    name: Window,
    value: Window,
    in_value: bool,
    name_text: Vec<u8>,
    value_text: Vec<u8>,
}

impl FormReader {
    /// A reader of a form whose values stand at `place`.
    pub fn new(bounds: Bounds, place: Place) -> Self {
        Self {
            bounds,
            place,
            name: Window::default(),
            value: Window::default(),
            in_value: false,
            name_text: Vec::new(),
            value_text: Vec::new(),
        }
    }

    /// Takes a chunk.
    pub fn push(&mut self, chunk: &[u8], sink: &mut dyn Sink) {
        let mut rest = chunk;
        while !rest.is_empty() {
            let end = match self.in_value {
                true => memchr(b'&', rest),
                false => memchr2(b'=', b'&', rest),
            };
            let piece = &rest[..end.unwrap_or(rest.len())];
            // What begins and ends in this chunk, and fits the window, need not be copied.
            if end.is_some()
                && self.in_value
                && self.value.is_empty()
                && piece.len() <= self.bounds.window
            {
                self.say_value(piece, sink);
                self.begin();
                rest = &rest[piece.len() + 1..];
                continue;
            }
            self.add(piece, sink);
            match end {
                None => break,
                Some(at) => {
                    if !self.in_value && rest[at] == b'=' {
                        self.in_value = true;
                        decode_form(self.name.kept(), &mut self.name_text);
                        sink.found(self.place, &[], &self.name_text, true);
                    } else {
                        self.finish(sink);
                    }
                    rest = &rest[at + 1..];
                }
            }
        }
    }

    fn add(&mut self, piece: &[u8], sink: &mut dyn Sink) {
        let (place, name, out) = (self.place, &self.name_text, &mut self.value_text);
        if self.in_value {
            self.value.add(piece, &self.bounds, |raw| {
                decode_form(raw, out);
                sink.found(place, name, out, false);
            });
        } else {
            // A part without `=` is mostly a text of its own.
            self.name.add(piece, &self.bounds, |raw| {
                decode_form(raw, out);
                sink.found(place, &[], out, false);
            });
        }
    }

    fn say_value(&mut self, raw: &[u8], sink: &mut dyn Sink) {
        decode_form(raw, &mut self.value_text);
        sink.found(self.place, &self.name_text, &self.value_text, false);
        self.say_pair(sink);
    }

    /// Says a pair as one text, where its name is none.
    fn say_pair(&mut self, sink: &mut dyn Sink) {
        if is_odd(&self.name_text) {
            self.name_text.push(b'=');
            self.name_text.extend_from_slice(&self.value_text);
            sink.found(self.place, &[], &self.name_text, false);
        }
    }

    fn begin(&mut self) {
        self.name.clear();
        self.value.clear();
        self.in_value = false;
        self.name_text.clear();
    }

    /// Says what is left; the reader can begin anew.
    pub fn finish(&mut self, sink: &mut dyn Sink) {
        if self.in_value {
            decode_form(self.value.kept(), &mut self.value_text);
            sink.found(self.place, &self.name_text, &self.value_text, false);
            self.say_pair(sink);
        } else if !self.name.is_empty() {
            decode_form(self.name.kept(), &mut self.value_text);
            sink.found(self.place, &[], &self.value_text, false);
        }
        self.begin();
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{BOUNDS, Notes};
    use super::*;
    use proptest::prelude::*;

    fn read(text: &[u8], step: usize) -> Vec<String> {
        let mut notes = Notes::default();
        let mut reader = FormReader::new(BOUNDS, Place::Form);
        for chunk in text.chunks(step) {
            reader.push(chunk, &mut notes);
        }
        reader.finish(&mut notes);
        notes.0
    }

    #[test]
    fn forms() {
        for step in [1, 2, 3, 100] {
            assert_eq!(
                read(b"a=1+2&b%5B%5D=%27x%zz&&c&=d&e=", step),
                [
                    "form a",
                    "form a=1 2",
                    "form b[]",
                    "form b[]='x%zz",
                    "form =c",
                    "form ",
                    "form =d",
                    "form e",
                    "form e="
                ],
                "{step}"
            );
        }
    }

    #[test]
    fn a_value_longer_than_the_window_is_said_with_overlap() {
        let attack = "<script>%27";
        for before in 4080..4100 {
            let text = format!("a={}{attack}{}&b=1", "x".repeat(before), "y".repeat(5000));
            for step in [100, 100_000] {
                let all = read(text.as_bytes(), step);
                assert!(all.iter().any(|note| note.contains("<script>'")), "{before} by {step}");
            }
        }
    }

    #[test]
    fn pairs_of_an_address_from_a_page() {
        let all: Vec<_> = pairs(b"a=1&amp;as=2&&amp;c&amp=3").collect();
        let expected: [(&[u8], Option<&[u8]>); 4] =
            [(b"a", Some(b"1")), (b"as", Some(b"2")), (b"c", None), (b"amp", Some(b"3"))];
        assert_eq!(all, expected);
    }

    #[test]
    fn cookie_pairs() {
        let all: Vec<_> = cookies(b"a=1; b=\"x y\";c; =d;;").collect();
        assert_eq!(all, [(&b"a"[..], &b"1"[..]), (b"b", b"x y"), (b"", b"c"), (b"", b"d")]);
    }

    proptest! {
        #[test]
        fn chunks_do_not_matter(text in "[a-c=&%+2]{0,60}", step in 1usize..20) {
            prop_assert_eq!(read(text.as_bytes(), step), read(text.as_bytes(), 1000));
        }

        #[test]
        fn decoded_as_byte_by_byte(text in "[%+0-9a-fgx/\u{ab}\u{1f4a5}]{0,40}") {
            let text = text.as_bytes();
            let (mut expected, mut from) = (Vec::new(), 0);
            while from < text.len() {
                let digits = text.get(from + 1..from + 3).filter(|d| d.is_ascii());
                let digits = digits.and_then(|d| std::str::from_utf8(d).ok());
                let is_hex = |d: &&str| d.bytes().all(|b| b.is_ascii_hexdigit());
                match (text[from], digits.filter(is_hex)) {
                    (b'%', Some(digits)) => {
                        expected.push(u8::from_str_radix(digits, 16).expect("digits"));
                        from += 2;
                    }
                    (b'+', _) => expected.push(b' '),
                    (b, _) => expected.push(b),
                }
                from += 1;
            }
            let mut out = Vec::new();
            decode_form(text, &mut out);
            prop_assert_eq!(out, expected);
        }

        #[test]
        fn decoded_is_not_longer(text in "[%+0-9a-fg]{0,40}") {
            let mut out = Vec::new();
            decode_form(text.as_bytes(), &mut out);
            prop_assert!(out.len() <= text.len());
        }
    }
}
