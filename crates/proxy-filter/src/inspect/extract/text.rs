//! Plain text: one value.
//!
//! What is sent as text often has packed bytes behind a head of text. Of those only what could be
//! text is said, for the rest would be read as escapes and encodings that nobody wrote.

use super::{Bounds, Sink, Window};
use crate::inspect::value::Place;

/// Reads plain text.
#[derive(Debug)]
pub struct TextReader {
    bounds: Bounds,
    place: Place,
    window: Window,
    /// Whether it is read as forms are coded.
    coded: bool,
    text: Vec<u8>,
}

impl TextReader {
    /// A reader of a text that stands at `place`.
    pub fn new(bounds: Bounds, place: Place) -> Self {
        Self { bounds, place, window: Window::default(), coded: false, text: Vec::new() }
    }

    /// Takes the coding of forms off.
    #[must_use]
    pub fn coded(mut self) -> Self {
        self.coded = true;
        self
    }

    /// Takes a chunk.
    pub fn push(&mut self, chunk: &[u8], sink: &mut dyn Sink) {
        let (place, coded, out) = (self.place, self.coded, &mut self.text);
        self.window.add(chunk, &self.bounds, |text| say(place, text, coded, out, sink));
    }

    /// Says what is left.
    pub fn finish(&mut self, sink: &mut dyn Sink) {
        if !self.window.is_empty() {
            say(self.place, self.window.kept(), self.coded, &mut self.text, sink);
        }
        self.window.clear();
    }
}

fn say(place: Place, text: &[u8], coded: bool, out: &mut Vec<u8>, sink: &mut dyn Sink) {
    if coded {
        super::decode_form(text, out);
    } else if memchr::memchr(0, text).is_some() {
        return mixed(place, text, sink);
    }
    sink.found(place, &[], if coded { out } else { text }, false);
}

/// How many bytes are looked at together, whether they are text.
const BLOCK: usize = 512;

/// The fewest bytes of text in a row that are said where there is more than text.
const RUN: usize = 8;

/// Says what has a NUL: blocks of text whole, and of others, and of those beside them, the runs that
/// could be text.
fn mixed(place: Place, text: &[u8], sink: &mut dyn Sink) {
    let mut blocks = text.chunks(BLOCK).map(is_packed).peekable();
    let (mut from, mut packed, mut before) = (0, false, false);
    let mut at = 0;
    while let Some(own) = blocks.next() {
        let is_packed = before || own || blocks.peek().copied().unwrap_or(false);
        if is_packed != packed {
            part(place, &text[from..at], packed, sink);
            (from, packed) = (at, is_packed);
        }
        before = own;
        at += BLOCK;
    }
    part(place, &text[from..], packed, sink);
}

fn part(place: Place, text: &[u8], packed: bool, sink: &mut dyn Sink) {
    if !packed {
        if !text.is_empty() {
            sink.found(place, &[], text, false);
        }
        return;
    }
    for run in text.split(|&b| is_control(b) || b >= 0x7F).filter(|run| run.len() >= RUN) {
        sink.found(place, &[], run, false);
    }
}

/// Whether bytes are no text: of texts, few are controls.
fn is_packed(block: &[u8]) -> bool {
    block.iter().filter(|&&b| is_control(b)).count() * 16 > block.len()
}

const fn is_control(b: u8) -> bool {
    b < b' ' && !matches!(b, b'\n' | b'\r' | b'\t')
}

#[cfg(test)]
mod tests {
    use super::super::tests::{BOUNDS, Notes};
    use super::*;

    fn read(text: &[u8]) -> Vec<String> {
        let mut notes = Notes::default();
        let mut reader = TextReader::new(BOUNDS, Place::Text);
        reader.push(text, &mut notes);
        reader.finish(&mut notes);
        notes.0
    }

    /// A head of text and packed bytes behind it; an attack in either is said whole.
    #[test]
    fn packed_bytes_are_no_text() {
        let head = "{\"type\":\"replay\"}\n".repeat(30);
        let packed: Vec<u8> =
            (0..2000u32).map(|n| (n.wrapping_mul(n).wrapping_mul(40_503) >> 7) as u8).collect();
        assert!(packed.contains(&0));
        let all = read(&[head.as_bytes(), &packed, b"\x01<script>alert(1)\x02", &packed].concat());
        assert!(all[0].starts_with("text ={\"type\""));
        assert_eq!(all.iter().map(|text| text.matches("replay").count()).sum::<usize>(), 30);
        assert!(all.iter().any(|text| text.contains("<script>alert(1)")), "{all:?}");
        assert!(all.iter().skip(1).all(|text| !text.contains('\0')), "{all:?}");
        // A NUL in a text is no reason to take it apart.
        assert_eq!(read(b"1 uni\0on select 2").len(), 1);
    }
}
