//! The judgement of content, piece by piece.

use super::fault::Fault;
use super::json::JsonScan;
use super::rules::{Due, InputRules};

/// What is looked for in one content.
#[derive(Debug)]
pub(super) struct Check {
    utf8: Option<Utf8>,
    json: Option<JsonScan>,
}

impl Check {
    pub(super) fn new(rules: &InputRules, due: Due) -> Self {
        let json = rules.json.as_ref().filter(|_| due.json).map(JsonScan::new);
        Self { utf8: due.utf8.then(Utf8::default), json }
    }

    pub(super) fn read(&mut self, piece: &[u8]) -> Result<(), Fault> {
        if let Some(utf8) = &mut self.utf8 {
            utf8.read(piece)?;
        }
        self.json.as_mut().map_or(Ok(()), |json| json.read(piece))
    }

    pub(super) fn end(&mut self) -> Result<(), Fault> {
        if let Some(utf8) = &self.utf8 {
            utf8.end()?;
        }
        self.json.as_mut().map_or(Ok(()), JsonScan::end)
    }
}

const NOT_UTF8: Fault = Fault(400, "content_not_utf8");

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
                Err(error) if error.error_len().is_some() => return Err(NOT_UTF8),
                Err(_) => {}
            }
        }
        match std::str::from_utf8(piece) {
            Ok(_) => Ok(()),
            Err(error) if error.error_len().is_some() => Err(NOT_UTF8),
            Err(error) => {
                self.begun.extend_from_slice(&piece[error.valid_up_to()..]);
                Ok(())
            }
        }
    }

    fn end(&self) -> Result<(), Fault> {
        if self.begun.is_empty() { Ok(()) } else { Err(NOT_UTF8) }
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
