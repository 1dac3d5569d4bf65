//! A head as bytes. What guards them against damage stands around them, in `format`.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::semantics::lifetime::Lifetime;
use crate::semantics::vary::VariantKey;
use crate::store::{KeyText, Part, StoredHead};

pub(super) fn to_bytes(head: &StoredHead) -> Vec<u8> {
    let mut out = Writer(Vec::with_capacity(512));
    let key = &*head.key;
    for text in [&key.space, &key.scheme, &key.authority, &key.target, &key.extra] {
        out.bytes(text.as_bytes());
    }
    out.number(u64::from(head.status.as_u16()));
    out.fields(&head.fields);
    out.option(head.trailers.as_ref(), Writer::fields);
    out.option(head.variant.as_ref(), |out, variant| out.bytes(&variant.to_bytes()));
    out.bytes(&head.lifetime.to_bytes());
    out.option(head.part.as_ref(), |out, part| {
        out.number(part.range.start);
        out.number(part.range.end);
        out.option(part.complete, Writer::number);
    });
    out.option(head.derived.as_ref(), |out, coding| out.bytes(coding.as_bytes()));
    out.words(&head.tags);
    out.words(&head.groups);
    out.0
}

/// Reads what [`to_bytes`] wrote; none for anything else.
pub(super) fn from_bytes(bytes: &[u8]) -> Option<StoredHead> {
    let mut bytes = Reader(bytes);
    let [space, scheme, authority, target, extra] =
        [bytes.text()?, bytes.text()?, bytes.text()?, bytes.text()?, bytes.text()?];
    let head = StoredHead {
        key: Arc::new(KeyText { space, scheme, authority, target, extra }),
        status: StatusCode::from_u16(u16::try_from(bytes.number()?).ok()?).ok()?,
        fields: bytes.fields()?,
        trailers: bytes.option(Reader::fields)?,
        variant: bytes.option(|bytes| VariantKey::from_bytes(bytes.bytes()?))?,
        lifetime: Lifetime::from_bytes(bytes.bytes()?)?,
        part: bytes.option(|bytes| {
            let range = bytes.number()?..bytes.number()?;
            Some(Part { range, complete: bytes.option(Reader::number)? })
        })?,
        derived: bytes.option(Reader::text)?,
        tags: bytes.words()?,
        groups: bytes.words()?,
    };
    bytes.0.is_empty().then_some(head)
}

/// A trailer section as bytes; empty for none.
pub(super) fn trailers_to_bytes(trailers: Option<&HeaderMap>) -> Vec<u8> {
    let mut out = Writer(Vec::new());
    if let Some(trailers) = trailers {
        out.fields(trailers);
    }
    out.0
}

/// Reads what [`trailers_to_bytes`] wrote; outer none for anything else.
pub(super) fn trailers_from_bytes(bytes: &[u8]) -> Option<Option<HeaderMap>> {
    if bytes.is_empty() {
        return Some(None);
    }
    let mut bytes = Reader(bytes);
    let trailers = bytes.fields()?;
    bytes.0.is_empty().then_some(Some(trailers))
}

struct Writer(Vec<u8>);

impl Writer {
    /// In seven bits a byte, the lowest first.
    fn number(&mut self, mut number: u64) {
        while number > 0x7f {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.0.push(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }

    fn words(&mut self, words: &[Box<str>]) {
        self.number(words.len() as u64);
        words.iter().for_each(|word| self.bytes(word.as_bytes()));
    }

    fn fields(&mut self, fields: &HeaderMap) {
        self.number(fields.len() as u64);
        for (name, value) in fields {
            self.bytes(name.as_str().as_bytes());
            self.0.push(u8::from(value.is_sensitive()));
            self.bytes(value.as_bytes());
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.number()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }

    fn text(&mut self) -> Option<Box<str>> {
        Some(std::str::from_utf8(self.bytes()?).ok()?.into())
    }

    fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        match self.byte()? {
            0 => Some(None),
            1 => Some(Some(read(self)?)),
            _ => None,
        }
    }

    fn words(&mut self) -> Option<Box<[Box<str>]>> {
        let count = self.number()?;
        (0..count).map(|_| self.text()).collect()
    }

    fn fields(&mut self) -> Option<HeaderMap> {
        let count = usize::try_from(self.number()?).ok()?;
        // One line takes three bytes at least: a damaged count reserves nothing absurd.
        let mut fields = HeaderMap::try_with_capacity(count.min(self.0.len() / 3)).ok()?;
        for _ in 0..count {
            let name = HeaderName::from_bytes(self.bytes()?).ok()?;
            let sensitive = self.byte()? != 0;
            let value = Bytes::copy_from_slice(self.bytes()?);
            let mut value = HeaderValue::from_maybe_shared(value).ok()?;
            value.set_sensitive(sensitive);
            fields.try_append(name, value).ok()?;
        }
        Some(fields)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::contract::Sample;

    fn full() -> StoredHead {
        let mut head = Sample::new("/caf%C3%A9?x=1", 300, 70_000).variant("en").head;
        head.trailers = Some(head.fields.clone());
        head.part = Some(Part { range: 5..u64::MAX, complete: Some(128) });
        head.derived = Some("zstd".into());
        head.tags = ["a".into(), "".into()].into();
        head.groups = ["g".into()].into();
        head.fields.get_mut("etag").unwrap().set_sensitive(true);
        head
    }

    #[test]
    fn heads_are_read_as_they_were_written() {
        for head in [full(), Sample::new("/", 1, 1).head] {
            let read = from_bytes(&to_bytes(&head)).unwrap();
            assert_eq!(format!("{read:?}"), format!("{head:?}"));
        }
        for trailers in [None, Some(HeaderMap::new()), Some(full().fields)] {
            let bytes = trailers_to_bytes(trailers.as_ref());
            assert_eq!(trailers_from_bytes(&bytes), Some(trailers));
        }
    }

    #[test]
    fn shorter_and_longer_ones_are_refused() {
        let mut bytes = to_bytes(&full());
        for len in 0..bytes.len() {
            assert!(from_bytes(&bytes[..len]).is_none(), "{len}");
        }
        bytes.push(0);
        assert!(from_bytes(&bytes).is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(
            noise in proptest::collection::vec(any::<u8>(), 0..300),
            at: prop::sample::Index, byte: u8,
        ) {
            from_bytes(&noise);
            trailers_from_bytes(&noise);
            let mut bytes = to_bytes(&full());
            let at = at.index(bytes.len());
            bytes[at] = byte;
            from_bytes(&bytes);
        }
    }
}
