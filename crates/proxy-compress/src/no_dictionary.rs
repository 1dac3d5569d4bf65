//! What stands in the place of shared dictionaries where they are not compiled in: there are none.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;

use crate::codings::Coding;

#[derive(Clone)]
pub(crate) enum DictionaryStore {}

pub(crate) struct Dictionary {
    pub(crate) content: Bytes,
}

pub(crate) struct Capture(DictionaryStore);

impl Capture {
    pub(crate) fn of(
        store: &DictionaryStore,
        _: Option<&str>,
        _: &HeaderMap,
        _: Option<u64>,
    ) -> Option<Box<Self>> {
        match *store {}
    }
    pub(crate) fn push(&mut self, _: &[u8]) {
        match self.0 {}
    }
    pub(crate) fn finish(self) {
        match self.0 {}
    }
}

pub(crate) fn available(
    store: &DictionaryStore,
    _: Option<&str>,
    _: &HeaderMap,
) -> Option<Arc<Dictionary>> {
    match *store {}
}

pub(crate) const fn token(_: Coding) -> Option<&'static str> {
    None
}

pub(crate) fn preamble(_: Coding, _: &Dictionary) -> Vec<u8> {
    Vec::new()
}
