//! Plain text: one value.

use super::{Bounds, Sink, Window};
use crate::inspect::value::Place;

/// Reads plain text.
#[derive(Debug)]
pub struct TextReader {
    bounds: Bounds,
    place: Place,
    window: Window,
}

impl TextReader {
    /// A reader of a text that stands at `place`.
    pub fn new(bounds: Bounds, place: Place) -> Self {
        Self { bounds, place, window: Window::default() }
    }

    /// Takes a chunk.
    pub fn push(&mut self, chunk: &[u8], sink: &mut dyn Sink) {
        let place = self.place;
        self.window.add(chunk, &self.bounds, |text| sink.found(place, &[], text, false));
    }

    /// Says what is left.
    pub fn finish(&mut self, sink: &mut dyn Sink) {
        if !self.window.is_empty() {
            sink.found(self.place, &[], self.window.kept(), false);
        }
        self.window.clear();
    }
}
