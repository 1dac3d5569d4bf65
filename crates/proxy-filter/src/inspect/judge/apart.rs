//! Takes values apart that are made of others.

use super::Judge;
use crate::inspect::detect::{self, Signals};
use crate::inspect::extract::{
    Bounds, JsonReader, Progress, Sink, XmlReader, decode_form, decoded_form, is_odd, pairs,
};
use crate::inspect::kinds::Kinds;
use crate::inspect::normalise::{self, base64};
use crate::inspect::structure::{self, Structure, Target};
use crate::inspect::value::{Place, Value};

/// The longest origin that is remembered, in bytes.
const ORIGIN: usize = 64;

impl Judge {
    /// Takes a value apart if it is made of others; gives whether that is all there is to see.
    pub(super) fn take_apart(&mut self, value: Value<'_>, kinds: Kinds) -> bool {
        if value.bytes.len() < 4 {
            return false;
        }
        self.depth += 1;
        let apart = !kinds.is_plain()
            && (self.structure(value, kinds) || kinds.has(Kinds::PERCENT) && self.decoded(value))
            || self.base64(value, kinds);
        self.depth -= 1;
        apart
    }

    fn structure(&mut self, value: Value<'_>, kinds: Kinds) -> bool {
        match structure::of(value.bytes, kinds) {
            Structure::Plain => false,
            Structure::Json => self.json(value),
            Structure::Xml => {
                let mut reader = XmlReader::new(self.shared.bounds(), value.place);
                let mut inner = Inner { judge: self, name: value.name };
                reader.push(value.bytes, &mut inner);
                reader.finish(&mut inner);
                true
            }
            Structure::Target(target) => {
                self.target(value, kinds, target);
                true
            }
            Structure::Pairs(text) => {
                self.pairs(value, text);
                true
            }
        }
    }

    /// Values of JSON count only if all of it is JSON.
    fn json(&mut self, value: Value<'_>) -> bool {
        let bounds = self.shared.bounds();
        if !is_json(value.bytes, bounds) {
            return false;
        }
        let mut reader = JsonReader::new(bounds, value.place);
        let mut inner = Inner { judge: self, name: value.name };
        reader.push(value.bytes, &mut inner);
        reader.finish(&mut inner);
        true
    }

    /// A value with one more layer of escapes that is made of others under it.
    fn decoded(&mut self, value: Value<'_>) -> bool {
        let mut buffer = self.buffer();
        let apart = structure::decode_once(value.bytes, &mut buffer)
            && self.structure(Value { bytes: &buffer, ..value }, Kinds::of(&buffer));
        self.spare.push(buffer);
        apart
    }

    fn base64(&mut self, value: Value<'_>, kinds: Kinds) -> bool {
        if value.bytes.len() < base64::SHORTEST || kinds.has(Kinds::NOT_BASE64) {
            return false;
        }
        // Nobody makes spaces of plus signs there.
        if value.place == Place::Json && kinds.has(Kinds::SPACE) {
            return false;
        }
        let mut buffer = self.buffer();
        let is_text = normalise::decode_base64(value.bytes, &mut buffer);
        if is_text {
            self.value(Value { bytes: &buffer, ..value });
        }
        self.spare.push(buffer);
        is_text
    }

    fn target(&mut self, value: Value<'_>, kinds: Kinds, target: Target<'_>) {
        if !target.origin.is_empty() {
            // Behind white space it is no address to anyone.
            let begins = value.bytes.first().is_some_and(|b| !b.is_ascii_whitespace());
            let signals = match begins {
                true => self.origin(target.origin, value.bytes),
                false => Signals::default(),
            };
            self.score(&value, kinds, signals);
        }
        if !target.path.is_empty() {
            self.path(value.place, value.name, target.path);
        }
        if memchr::memchr(b'=', target.query).is_some() {
            self.pairs(value, target.query);
        } else if !target.query.is_empty() {
            self.value(Value { bytes: target.query, ..value });
        }
        if !target.fragment.is_empty() {
            self.value(Value { bytes: target.fragment, ..value });
        }
    }

    /// What the origin of a URL says; read once for the URLs of a list, which mostly share it.
    fn origin(&mut self, origin: &[u8], url: &[u8]) -> Signals {
        if self.known_origin.0 == origin && !origin.ends_with(b"/") {
            return self.known_origin.1;
        }
        let signals = detect::read_origin(origin, url);
        if origin.len() <= ORIGIN {
            self.known_origin.0.clear();
            self.known_origin.0.extend_from_slice(origin);
            self.known_origin.1 = signals;
        }
        signals
    }

    /// The pairs of a query string. Where a name is none, some reader takes the string, or the
    /// pair, for something else, and so both are judged as a whole, too.
    pub(in crate::inspect) fn pairs(&mut self, value: Value<'_>, text: &[u8]) {
        let (mut name, mut buffer) = (self.buffer(), self.buffer());
        let mut odd = false;
        for (raw, content) in pairs(text) {
            let name = decoded_form(raw, &mut name);
            let inner =
                Value { name: if value.name.is_empty() { name } else { value.name }, ..value };
            match content {
                Some(content) => {
                    self.value(Value { bytes: name, is_name: true, ..inner });
                    if is_odd(name) {
                        odd = true;
                        decode_form(text_of(text, raw, content), &mut buffer);
                        self.value(Value { bytes: &buffer, ..inner });
                    }
                    let content = decoded_form(content, &mut buffer);
                    self.value(Value { bytes: content, ..inner });
                }
                None => {
                    odd |= is_odd(name);
                    self.value(Value { bytes: name, ..value });
                }
            }
        }
        if odd && memchr::memchr(b'&', text).is_some() {
            decode_form(text, &mut buffer);
            let kinds = Kinds::of(&buffer);
            self.plain(Value { bytes: &buffer, ..value }, kinds);
        }
        self.spare.extend([name, buffer]);
    }

    /// A path: as a whole, and from the first segment on that has more than a name has.
    pub(in crate::inspect) fn path(&mut self, place: Place, name: &[u8], path: &[u8]) {
        let odd = path.iter().position(|&b| !PLAIN[usize::from(b)]);
        let whole = Value { place, name, bytes: path, is_name: false };
        self.plain(whole, Kinds::of(path));
        if let Some(odd) = odd {
            let start = path[..odd].iter().rposition(|&b| b == b'/').map_or(0, |at| at + 1);
            if start > 0 {
                self.value(Value { place, name, bytes: &path[start..], is_name: false });
            }
        }
    }
}

/// The bytes that paths mostly have.
static PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut n = 0;
    while n < 256 {
        let b = n as u8;
        plain[n] = b.is_ascii_alphanumeric()
            || matches!(b, b'/' | b'.' | b'-' | b'_' | b'~' | b',' | b'@');
        n += 1;
    }
    plain
};

/// A pair as it stands in the text, from its name to the end of its content.
fn text_of<'a>(text: &'a [u8], name: &[u8], content: &[u8]) -> &'a [u8] {
    let start = name.as_ptr() as usize - text.as_ptr() as usize;
    &text[start..start + name.len() + 1 + content.len()]
}

/// Takes what is found in a value; the parameter keeps its name.
struct Inner<'a> {
    judge: &'a mut Judge,
    name: &'a [u8],
}

impl Sink for Inner<'_> {
    fn found(&mut self, place: Place, _: &[u8], value: &[u8], is_name: bool) {
        self.judge.value(Value { place, name: self.name, bytes: value, is_name });
    }

    fn too_deep(&mut self) {}

    fn ambiguous(&mut self) {}
}

/// Whether all of a text is JSON.
fn is_json(text: &[u8], bounds: Bounds) -> bool {
    struct Nothing;
    impl Sink for Nothing {
        fn found(&mut self, _: Place, _: &[u8], _: &[u8], _: bool) {}
        fn too_deep(&mut self) {}
        fn ambiguous(&mut self) {}
    }
    let mut reader = JsonReader::new(bounds, Place::Json);
    reader.push(text, &mut Nothing) == Progress::Taken && reader.is_complete()
}
