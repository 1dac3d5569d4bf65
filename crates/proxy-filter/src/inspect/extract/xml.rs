//! XML: its texts, attributes, declarations and CDATA sections.

use memchr::{memchr, memchr3};

use super::{Bounds, Sink, Window};
use crate::inspect::value::Place;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Text,
    /// After `<`, while it is not clear what it is.
    Open,
    /// Inside a tag.
    Tag,
    /// Inside the value of an attribute.
    Attribute(u8),
    /// Inside `<!...>` or `<?...>`; how deep in brackets.
    Declaration(u8),
    /// Inside `<![CDATA[`.
    Data,
}

/// Reads XML.
#[derive(Debug)]
pub struct XmlReader {
    bounds: Bounds,
    place: Place,
    state: State,
    depth: u32,
    window: Window,
    /// The name of the element or attribute.
    name: Vec<u8>,
    closing: bool,
    last: u8,
    deep: bool,
}

impl XmlReader {
    /// A reader of XML whose texts stand at `place`.
    pub fn new(bounds: Bounds, place: Place) -> Self {
        Self {
            bounds,
            place,
            state: State::Text,
            depth: 0,
            window: Window::default(),
            name: Vec::new(),
            closing: false,
            last: 0,
            deep: false,
        }
    }

    /// Takes a chunk.
    pub fn push(&mut self, chunk: &[u8], sink: &mut dyn Sink) {
        let mut at = 0;
        while at < chunk.len() {
            let rest = &chunk[at..];
            // What means nothing by itself is taken in one piece.
            let end = match self.state {
                State::Text => memchr(b'<', rest),
                State::Attribute(quote) => memchr(quote, rest),
                State::Tag => rest.iter().position(|&b| ends_name(b)),
                State::Declaration(_) => memchr3(b'[', b']', b'>', rest),
                State::Data => memchr(b'>', rest),
                State::Open => Some(0),
            };
            let piece = &rest[..end.unwrap_or(rest.len())];
            at += piece.len();
            match self.state {
                State::Tag => self.name(piece),
                // What begins and ends in this chunk, and fits the window, need not be copied.
                State::Text | State::Attribute(_)
                    if end.is_some()
                        && self.window.is_empty()
                        && piece.len() < self.bounds.window =>
                {
                    let text = piece.trim_ascii();
                    if !text.is_empty() {
                        sink.found(self.place, &self.name, text, false);
                    }
                }
                _ => self.add(piece, sink),
            }
            if end.is_some() {
                self.byte(chunk[at], sink);
                at += 1;
            }
        }
    }

    fn byte(&mut self, b: u8, sink: &mut dyn Sink) {
        match self.state {
            State::Text => {
                self.say(sink);
                self.state = State::Open;
            }
            State::Open => {
                self.closing = b == b'/';
                self.last = b;
                match b {
                    b'!' | b'?' => {
                        self.add(if b == b'!' { b"<!" } else { b"<?" }, sink);
                        self.state = State::Declaration(0);
                    }
                    _ => {
                        self.name.clear();
                        if b != b'/' {
                            self.name.push(b);
                        }
                        self.state = State::Tag;
                        if b == b'>' {
                            self.state = State::Text;
                        }
                    }
                }
            }
            State::Tag => self.tag(b, sink),
            State::Attribute(_) => {
                self.say(sink);
                self.state = State::Tag;
                self.last = b' ';
            }
            State::Declaration(depth) => {
                self.add(&[b], sink);
                match b {
                    b'[' if self.window.kept() == b"<![CDATA[" => {
                        self.window.clear();
                        self.state = State::Data;
                    }
                    b'[' => self.state = State::Declaration(depth.saturating_add(1)),
                    b']' => self.state = State::Declaration(depth.saturating_sub(1)),
                    b'>' if depth == 0 => {
                        self.say(sink);
                        self.state = State::Text;
                    }
                    _ => {}
                }
            }
            State::Data => {
                self.add(&[b], sink);
                if b == b'>' && self.window.kept().ends_with(b"]]>") {
                    self.say(sink);
                    self.state = State::Text;
                }
            }
        }
    }

    fn tag(&mut self, b: u8, sink: &mut dyn Sink) {
        match b {
            b'>' => {
                match (self.closing, self.last) {
                    (true, _) => self.depth = self.depth.saturating_sub(1),
                    (false, b'/') => {}
                    _ => self.depth += 1,
                }
                if self.depth > u32::from(self.bounds.depth) && !self.deep {
                    self.deep = true;
                    sink.too_deep();
                }
                self.state = State::Text;
            }
            b'"' | b'\'' => self.state = State::Attribute(b),
            _ => {}
        }
        self.last = b;
    }

    /// A piece of the name of an element or attribute.
    fn name(&mut self, piece: &[u8]) {
        let Some(&last) = piece.last() else { return };
        if self.last.is_ascii_whitespace() {
            self.name.clear();
        }
        let room = 64_usize.saturating_sub(self.name.len());
        self.name.extend_from_slice(&piece[..piece.len().min(room)]);
        self.last = last;
    }

    fn add(&mut self, piece: &[u8], sink: &mut dyn Sink) {
        let (place, name) = (self.place, &self.name);
        self.window.add(piece, &self.bounds, |text| sink.found(place, name, text, false));
    }

    fn say(&mut self, sink: &mut dyn Sink) {
        let text = self.window.kept().trim_ascii();
        if !text.is_empty() {
            sink.found(self.place, &self.name, text, false);
        }
        self.window.clear();
    }

    /// Says what is left.
    pub fn finish(&mut self, sink: &mut dyn Sink) {
        self.say(sink);
        // A tag that never ends is text to whoever does not read XML.
        if self.state == State::Tag && !self.name.is_empty() {
            sink.found(self.place, &[], &self.name, false);
        }
        self.state = State::Text;
    }
}

/// Whether a byte of a tag is none of a name.
fn ends_name(b: u8) -> bool {
    matches!(b, b'>' | b'"' | b'\'' | b'=') || b.is_ascii_whitespace()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{BOUNDS, Notes};
    use super::*;
    use proptest::prelude::*;

    fn read(text: &[u8], step: usize) -> Vec<String> {
        let mut notes = Notes::default();
        let mut reader = XmlReader::new(BOUNDS, Place::Xml);
        for chunk in text.chunks(step) {
            reader.push(chunk, &mut notes);
        }
        reader.finish(&mut notes);
        notes.0
    }

    #[test]
    fn values() {
        let text = br#"<?xml version="1.0"?><a b="1" c='x > y'><d>text</d><![CDATA[<raw>]]></a>"#;
        for step in [1, 5, 1000] {
            assert_eq!(
                read(text, step),
                [
                    "xml =<?xml version=\"1.0\"?>",
                    "xml b=1",
                    "xml c=x > y",
                    "xml d=text",
                    "xml d=<raw>]]>"
                ],
                "{step}"
            );
        }
        let entity = b"<!DOCTYPE a [<!ENTITY e SYSTEM \"file:///etc/passwd\">]><a>&e;</a>";
        assert_eq!(
            read(entity, 3)[0],
            "xml =<!DOCTYPE a [<!ENTITY e SYSTEM \"file:///etc/passwd\">]>"
        );
    }

    proptest! {
        #[test]
        fn chunks_do_not_matter(text in r#"[<>/!\[\]?"'=a CDAT-]{0,60}"#, step in 1usize..20) {
            prop_assert_eq!(read(text.as_bytes(), step), read(text.as_bytes(), 1000));
        }
    }
}
