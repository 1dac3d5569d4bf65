//! Takes content apart into values, piece by piece.
//!
//! Each reader is fed chunks of any size and says what it finds to a [`Sink`]. It keeps no more of
//! one value than a window: of a longer one it says the window, keeps the end of it as overlap and
//! goes on, so that nothing that fits the overlap is cut in two. None of them fails: what is not in
//! the expected form is said to be broken, and whoever feeds the reader reads the rest as text.

mod form;
mod json;
mod lanes;
mod multipart;
mod text;
mod window;
mod xml;

pub use form::{FormReader, cookies, decode_form, decoded_form, is_odd, pairs};
pub use json::JsonReader;
pub use multipart::{Boundary, MultipartReader, boundary};
pub use text::TextReader;
pub use window::Window;
pub use xml::XmlReader;

use super::value::Place;

/// Takes what is found.
pub trait Sink {
    /// A value and the name of what holds it, both without transport coding. `is_name` says that
    /// the value is itself a name.
    fn found(&mut self, place: Place, name: &[u8], value: &[u8], is_name: bool);

    /// An array of JSON begins: what is found up to the next name are its members.
    fn array(&mut self) {}

    /// The content is nested deeper than is read.
    fn too_deep(&mut self);

    /// A multipart form can be read in two ways.
    fn ambiguous(&mut self);
}

/// How much is kept of one value.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes of a value that are said together.
    pub window: usize,
    /// Bytes of a window that are said again with the next one.
    pub overlap: usize,
    /// How deep content may be nested.
    pub depth: u16,
}

/// Whether a reader can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// All was taken.
    Taken,
    /// The content is not in this form, from this offset of the chunk on.
    Broken(usize),
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Writes down what is found, as `place name=value` and `place name`.
    #[derive(Default)]
    pub(crate) struct Notes(pub(crate) Vec<String>);

    impl Sink for Notes {
        fn found(&mut self, place: Place, name: &[u8], value: &[u8], is_name: bool) {
            let text = String::from_utf8_lossy;
            self.0.push(match is_name {
                true => format!("{} {}", place.token(), text(value)),
                false => format!("{} {}={}", place.token(), text(name), text(value)),
            });
        }

        fn too_deep(&mut self) {
            self.0.push("too deep".into());
        }

        fn ambiguous(&mut self) {
            self.0.push("ambiguous".into());
        }
    }

    pub(crate) const BOUNDS: Bounds = Bounds { window: 4096, overlap: 64, depth: 16 };
}
