//! The judgement of content, piece by piece.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::fault::Fault;
use super::json::JsonScan;
use super::rules::{Due, InputRules};
use super::schema::ContentSchema;

/// What is looked for in one content.
#[derive(Debug)]
pub(super) struct Check {
    /// Bytes that may still come, where that is counted.
    left: Option<u64>,
    utf8: Option<Utf8>,
    json: Option<JsonScan>,
    document: Option<Document>,
}

/// What a schema judges as a whole.
#[derive(Debug)]
struct Document {
    schema: Arc<dyn ContentSchema>,
    content: BytesMut,
    most: usize,
}

impl Check {
    pub(super) fn new(rules: &InputRules, due: Due) -> Self {
        let schema = rules.schema.as_ref().filter(|_| due.schema);
        Self {
            left: rules.content_size.filter(|_| due.size),
            utf8: due.utf8.then(Utf8::default),
            json: due.json.then(|| JsonScan::new(rules.json.clone().unwrap_or_default())),
            document: schema.map(|schema| Document {
                schema: Arc::clone(schema),
                content: BytesMut::new(),
                most: rules.schema_size,
            }),
        }
    }

    pub(super) fn read(&mut self, piece: &[u8]) -> Result<(), Fault> {
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(piece.len() as u64).ok_or(Fault::ContentTooLarge)?;
        }
        if let Some(document) = &self.document
            && document.content.len() + piece.len() > document.most
        {
            return Err(Fault::ContentTooLarge);
        }
        if let Some(utf8) = &mut self.utf8 {
            utf8.read(piece)?;
        }
        if let Some(json) = &mut self.json {
            json.read(piece)?;
        }
        if let Some(document) = &mut self.document {
            document.content.extend_from_slice(piece);
        }
        Ok(())
    }

    pub(super) fn end(&mut self) -> Result<(), Fault> {
        if let Some(utf8) = &self.utf8 {
            utf8.end()?;
        }
        if let Some(json) = &mut self.json {
            json.end()?;
        }
        match self.document.as_ref().map(|own| own.schema.accepts(&own.content)) {
            None | Some(Some(true)) => Ok(()),
            Some(Some(false)) => Err(Fault::SchemaMismatch),
            Some(None) => Err(Fault::JsonMalformed),
        }
    }

    /// What was held for the schema.
    pub(super) fn into_document(self) -> Bytes {
        self.document.map(|own| own.content.freeze()).unwrap_or_default()
    }
}

/// UTF-8 in pieces: at most three bytes of a character wait for the rest of it.
#[derive(Debug, Default)]
struct Utf8 {
    begun: Vec<u8>,
}

impl Utf8 {
    fn read(&mut self, mut piece: &[u8]) -> Result<(), Fault> {
        while let (false, Some((next, rest))) = (self.begun.is_empty(), piece.split_first()) {
            self.begun.push(*next);
            piece = rest;
            match std::str::from_utf8(&self.begun) {
                Ok(_) => self.begun.clear(),
                Err(error) if error.error_len().is_some() => return Err(Fault::ContentNotUtf8),
                Err(_) => {}
            }
        }
        match std::str::from_utf8(piece) {
            Ok(_) => Ok(()),
            Err(error) if error.error_len().is_some() => Err(Fault::ContentNotUtf8),
            Err(error) => {
                self.begun.extend_from_slice(&piece[error.valid_up_to()..]);
                Ok(())
            }
        }
    }

    fn end(&self) -> Result<(), Fault> {
        if self.begun.is_empty() { Ok(()) } else { Err(Fault::ContentNotUtf8) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pieces_are_judged_as_the_whole(
            bytes in proptest::collection::vec(prop_oneof![0x61u8..0x63, 0x80u8..0xc5, 0xe0u8..=0xff], 0..20),
            piece in 1usize..5,
        ) {
            let mut utf8 = Utf8::default();
            let read = bytes.chunks(piece).try_for_each(|piece| utf8.read(piece));
            let ok = read.and_then(|()| utf8.end()).is_ok();
            prop_assert_eq!(ok, std::str::from_utf8(&bytes).is_ok());
        }

        #[test]
        fn text_in_pieces_passes(text in "\\PC{0,40}", piece in 1usize..5) {
            let mut utf8 = Utf8::default();
            prop_assert!(text.as_bytes().chunks(piece).all(|piece| utf8.read(piece).is_ok()));
            prop_assert!(utf8.end().is_ok());
        }
    }
}
