//! Plain text: one value.
//!
//! What is sent as text often has packed bytes behind a head of text. Of those all that could be
//! text is said, with a control for the rest, which would be read as encodings that nobody wrote.

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
    } else if !legible(text, out) {
        return sink.found(place, &[], text, false);
    }
    sink.found(place, &[], out, false);
}

/// How many bytes are looked at together, whether they are text.
const BLOCK: usize = 512;

/// Up to so many bytes in a row that could be text, amid others, are no text.
const SCRAP: usize = 2;

/// What is written for all that is no text: like that, it is no letter and no white space.
const GAP: u8 = 1;

/// Writes a text to `out` with what is no text in packed blocks, and in those beside them, as one
/// control; gives whether it has such blocks. All that could be text stays, and stays together, also
/// across the edges of blocks.
fn legible(text: &[u8], out: &mut Vec<u8>) -> bool {
    if text.len() < BLOCK || memchr::memchr(0, text).is_none() {
        return false;
    }
    // The last block is a whole one, too.
    let starts = || (0..text.len()).step_by(BLOCK).map(|at| at.min(text.len() - BLOCK));
    let packed: Vec<bool> = starts().map(|at| is_packed(&text[at..at + BLOCK])).collect();
    if !packed.contains(&true) {
        return false;
    }
    out.clear();
    let (mut at, mut run) = (0, 0);
    while at < text.len() {
        let number = at / BLOCK;
        let beside = number.saturating_sub(1)..packed.len().min(number + 2);
        if !packed[beside].contains(&true) {
            let end = out_of(text, text.len().min((number + 1) * BLOCK));
            out.extend_from_slice(&text[at..end]);
            run += end - at;
            at = end;
            continue;
        }
        match character(&text[at..]) {
            0 => {
                end_run(out, &mut run);
                at += 1;
            }
            length => {
                // Readers leave NULs out.
                if text[at] != 0 {
                    out.extend_from_slice(&text[at..at + length]);
                    run += length;
                }
                at += length;
            }
        }
    }
    true
}

/// Where the character ends that stands across `at`; `at` where none does.
fn out_of(text: &[u8], at: usize) -> usize {
    (1..4)
        .filter_map(|back| at.checked_sub(back).filter(|&start| start < text.len()))
        .map(|start| start + character(&text[start..]))
        .find(|&end| end > at)
        .unwrap_or(at)
}

/// Ends a run of what could be text.
fn end_run(out: &mut Vec<u8>, run: &mut usize) {
    if *run <= SCRAP {
        out.truncate(out.len() - *run);
    }
    *run = 0;
    if out.last().is_some_and(|b| *b != GAP) {
        out.push(GAP);
    }
}

/// The length of the character that a text begins with; 0 where it begins with none.
fn character(text: &[u8]) -> usize {
    let length = match text[0] {
        b if is_control(b) || b == 0x7F => return 0,
        0..0x80 => return 1,
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => return 0,
    };
    let is_whole = text.get(..length).is_some_and(|c| std::str::from_utf8(c).is_ok());
    length * usize::from(is_whole)
}

/// Whether bytes are no text in any coding: of texts few are controls, and not both many controls
/// and many bytes beyond ASCII.
fn is_packed(block: &[u8]) -> bool {
    let count = |is: fn(u8) -> bool| block.iter().filter(|&&b| is(b)).count();
    count(is_control) * 16 > block.len() && count(|b| b >= 0x80) * 4 > block.len()
}

/// Whether a byte is no text: white space is, and NULs are half of many texts in UTF-16.
const fn is_control(b: u8) -> bool {
    matches!(b, 1..=8 | 0x0E..=0x1F)
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

    fn packed(length: u32) -> Vec<u8> {
        (0..length).map(|n| (n.wrapping_mul(n).wrapping_mul(40_503) >> 7) as u8).collect()
    }

    /// A head of text and packed bytes behind it; an attack in either is said whole.
    #[test]
    fn packed_bytes_are_no_text() {
        let head = "{\"type\":\"replay\"}\n".repeat(30);
        let packed = packed(1500);
        assert!(packed.contains(&0));
        let all = read(&[head.as_bytes(), &packed, b"\x01<script>alert(1)\x02", &packed].concat());
        assert!(all[0].starts_with("text ={\"type\"") && all.len() == 1);
        assert_eq!(all[0].matches("replay").count(), 30);
        assert!(all[0].contains("\u{1}<script>alert(1)\u{1}"), "{all:?}");
        assert!(!all[0].contains('\u{fffd}'), "{all:?}");
        // A NUL in a text is no reason to take it apart.
        assert_eq!(read(b"1 uni\0on select 2"), ["text =1 uni\0on select 2"]);
    }

    /// Wherever it stands amid packed bytes.
    #[test]
    fn nothing_that_could_be_text_is_left_out() {
        let noise = packed(3000);
        for attack in [
            "<script>alert(1)</script>",
            ";id",
            "1\u{b}union\u{b}select\u{b}pass",
            "<svg\u{c}onload=a>",
            "\u{ff1c}script\u{ff1e}",
        ] {
            for at in (400..1200).step_by(7).chain([0, 3000]) {
                let whole = [&noise[..at], b"\x01", attack.as_bytes(), b"\xFF", &noise[at..]];
                let all = read(&whole.concat());
                assert!(all.iter().any(|text| text.contains(attack)), "{attack} at {at}");
            }
            // At either edge between packed bytes and text.
            let text = "lorem ipsum ".repeat(300);
            for at in (0..600).step_by(5).chain(18..30) {
                let (a, b) = text.split_at(at + 1000);
                let all = read(&[&noise[..], b"\xFF", attack.as_bytes(), b.as_bytes()].concat());
                assert!(all.iter().any(|text| text.contains(attack)), "{attack} before {at}");
                let all = read(&[a.as_bytes(), attack.as_bytes(), b"\x01", &noise[..]].concat());
                assert!(all.iter().any(|text| text.contains(attack)), "{attack} behind {at}");
            }
        }
    }

    #[test]
    fn texts_in_two_bytes_and_with_white_space_are_texts() {
        let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
        let text = wide(&"<script>alert(1)</script> ".repeat(60));
        assert_eq!(read(&text), [format!("text ={}", String::from_utf8_lossy(&text))]);
        let text = [&[0; 40][..], &b"1\x0bunion\x0bselect\x0bpass ".repeat(60)].concat();
        assert_eq!(read(&text), [format!("text ={}", String::from_utf8_lossy(&text))]);
    }
}
