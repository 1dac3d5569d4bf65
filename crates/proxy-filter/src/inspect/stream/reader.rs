//! Which reader content is read by: by its type, and by its looks where the type says little or
//! says what programs often get wrong.

use crate::inspect::extract::{
    Bounds, FormReader, JsonReader, MultipartReader, Progress, Sink, TextReader, XmlReader,
    boundary, decode_form, is_odd,
};
use crate::inspect::value::Place;

/// Bytes by which content is known.
const SNIFF: usize = 512;

/// Reads content.
#[derive(Debug)]
pub(super) enum Reader {
    /// It is not clear yet what it is.
    Unknown {
        bounds: Bounds,
        hint: Hint,
        seen: Vec<u8>,
    },
    Form(FormReader),
    /// It is said to be a form, but does not begin as one.
    OddForm(FormReader, TextReader),
    Json {
        reader: JsonReader,
        bounds: Bounds,
    },
    Xml(XmlReader),
    Multipart(MultipartReader),
    Text(TextReader),
    /// Bytes that mean nothing to the readers.
    Opaque,
}

/// What the content type says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hint {
    Form,
    Multipart,
    Json,
    Xml,
    Text,
    Nothing,
}

impl Hint {
    /// What a content type says. Of types that hold no text it says nothing: the first bytes say
    /// whether that is true.
    pub(super) fn of(content_type: &[u8]) -> Self {
        let end = memchr::memchr(b';', content_type).unwrap_or(content_type.len());
        let kind = content_type[..end].trim_ascii().to_ascii_lowercase();
        let starts = |prefix: &[u8]| kind.starts_with(prefix);
        match &kind[..] {
            b"application/x-www-form-urlencoded" => Self::Form,
            k if k.ends_with(b"json") => Self::Json,
            k if k.ends_with(b"/xml") || k.ends_with(b"+xml") => Self::Xml,
            _ if starts(b"multipart/") => Self::Multipart,
            _ if starts(b"text/") => Self::Text,
            _ => Self::Nothing,
        }
    }

    /// Whether content of this kind is taken apart by its own grammar.
    pub(super) const fn is_structured(self) -> bool {
        matches!(self, Self::Form | Self::Multipart | Self::Json | Self::Xml)
    }
}

impl Reader {
    /// A reader of content of this type.
    pub(super) fn of(content_type: &[u8], bounds: Bounds, sink: &mut dyn Sink) -> Self {
        let mut hint = Hint::of(content_type);
        if hint == Hint::Multipart {
            let boundary = boundary(content_type);
            if boundary.is_ambiguous {
                sink.ambiguous();
            }
            if let Some(text) = boundary.text {
                return Self::Multipart(MultipartReader::new(bounds, text));
            }
            hint = Hint::Text;
        }
        Self::Unknown { bounds, hint, seen: Vec::new() }
    }

    pub(super) fn push(&mut self, chunk: &[u8], sink: &mut dyn Sink) {
        match self {
            Self::Unknown { bounds, hint, seen } => {
                if seen.is_empty() && chunk.len() >= SNIFF {
                    let mut reader = choose(chunk, *hint, *bounds);
                    reader.push(chunk, sink);
                    *self = reader;
                    return;
                }
                seen.extend_from_slice(chunk);
                if seen.len() >= SNIFF {
                    self.decide(sink);
                }
            }
            Self::Form(reader) => reader.push(chunk, sink),
            Self::OddForm(form, text) => {
                form.push(chunk, sink);
                text.push(chunk, sink);
            }
            Self::Json { reader, bounds } => {
                if let Progress::Broken(at) = reader.push(chunk, sink) {
                    // Whatever it is, it is not what it said: all that is left is text, and so is
                    // the beginning of it, where it is still there.
                    let mut text = TextReader::new(*bounds, Place::Text);
                    text.push(reader.kept(), sink);
                    text.push(&chunk[if at < SNIFF { 0 } else { at }..], sink);
                    *self = Self::Text(text);
                }
            }
            Self::Xml(reader) => reader.push(chunk, sink),
            Self::Multipart(reader) => reader.push(chunk, sink),
            Self::Text(reader) => reader.push(chunk, sink),
            Self::Opaque => {}
        }
    }

    fn decide(&mut self, sink: &mut dyn Sink) {
        if let Self::Unknown { bounds, hint, seen } = self {
            let seen = std::mem::take(seen);
            let mut reader = choose(&seen, *hint, *bounds);
            reader.push(&seen, sink);
            *self = reader;
        }
    }

    /// Looks at what there is, before it goes on.
    pub(super) fn look(&mut self, sink: &mut dyn Sink) {
        self.decide(sink);
    }

    pub(super) fn finish(&mut self, sink: &mut dyn Sink) {
        self.decide(sink);
        match self {
            Self::Form(reader) => reader.finish(sink),
            Self::OddForm(form, text) => {
                form.finish(sink);
                text.finish(sink);
            }
            Self::Json { reader, .. } => reader.finish(sink),
            Self::Xml(reader) => reader.finish(sink),
            Self::Multipart(reader) => reader.finish(sink),
            Self::Text(reader) => reader.finish(sink),
            Self::Unknown { .. } | Self::Opaque => {}
        }
    }
}

/// Chooses by the hint and by the first bytes. Programs send JSON as text and as forms, and forms
/// as text, so the looks decide where they are plain.
fn choose(head: &[u8], hint: Hint, bounds: Bounds) -> Reader {
    let text = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head).trim_ascii_start();
    let first = text.first().copied().unwrap_or(0);
    let json = || Reader::Json { reader: JsonReader::new(bounds, Place::Json), bounds };
    if hint == Hint::Nothing && is_binary(head) {
        return Reader::Opaque;
    }
    match (hint, first) {
        (Hint::Json, _) => json(),
        (Hint::Xml, _) => Reader::Xml(XmlReader::new(bounds, Place::Xml)),
        (_, b'{' | b'[') if looks_like_json(text) => json(),
        (_, b'<') if text.starts_with(b"<?xml") => Reader::Xml(XmlReader::new(bounds, Place::Xml)),
        (Hint::Form, _) if begins_oddly(text) => Reader::OddForm(
            FormReader::new(bounds, Place::Form),
            TextReader::new(bounds, Place::Form).coded(),
        ),
        (Hint::Form, _) => Reader::Form(FormReader::new(bounds, Place::Form)),
        _ if looks_like_form(text) => Reader::Form(FormReader::new(bounds, Place::Form)),
        _ => Reader::Text(TextReader::new(bounds, Place::Text)),
    }
}

fn looks_like_json(text: &[u8]) -> bool {
    let next = text[1..].trim_ascii_start().first().copied();
    match (text[0], next) {
        (b'{', Some(b'"' | b'}')) => true,
        (b'[', Some(b)) => {
            matches!(b, b'"' | b'{' | b'[' | b']' | b'-' | b't' | b'f' | b'n') || b.is_ascii_digit()
        }
        _ => false,
    }
}

/// `name=` without spaces before it.
fn looks_like_form(text: &[u8]) -> bool {
    let end = text.iter().take(64).position(|b| {
        !b.is_ascii_alphanumeric() && !matches!(b, b'_' | b'-' | b'.' | b'[' | b']' | b'%')
    });
    matches!(end, Some(at) if at > 0 && text[at] == b'=')
        && memchr::memchr2(b'\n', b' ', &text[..text.len().min(SNIFF)]).is_none()
}

/// Whether the first name of a form is none.
fn begins_oddly(text: &[u8]) -> bool {
    let end = memchr::memchr2(b'=', b'&', text).unwrap_or(text.len()).min(SNIFF);
    let mut name = Vec::new();
    decode_form(&text[..end], &mut name);
    is_odd(&name)
}

/// Whether bytes are no text: a NUL, or many controls.
fn is_binary(head: &[u8]) -> bool {
    let head = &head[..head.len().min(SNIFF)];
    let controls =
        head.iter().filter(|&&b| b < b' ' && !matches!(b, b'\n' | b'\r' | b'\t')).count();
    head.contains(&0) || controls * 20 > head.len()
}
