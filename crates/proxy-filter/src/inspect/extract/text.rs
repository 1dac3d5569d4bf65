//! Plain text: one value.

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
    }
    sink.found(place, &[], if coded { out } else { text }, false);
}
