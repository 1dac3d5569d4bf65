//! Shared dictionaries (RFC 9842): a response that its origin server offers as a dictionary
//! (`Use-As-Dictionary`) is kept, and a later one to a client that has it (`Available-Dictionary`) is
//! coded with its help, as `dcz` or `dcb`. The next version of a script then is what has changed in it.

mod fields;
mod memory;

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use sha2::{Digest as _, Sha256};

use crate::codings::Coding;
pub use memory::{DictionaryLimits, DictionaryStore};

/// What begins a dictionary in zstd's own format, which RFC 9842 has no use for: one that begins so
/// would not be taken as the plain bytes that it is.
const ZSTD_FORMAT: [u8; 4] = [0x37, 0xA4, 0x30, 0xEC];

/// Content that both sides have.
pub(crate) struct Dictionary {
    pub(crate) content: Bytes,
    /// Of its content, by SHA-256.
    pub(crate) hash: [u8; 32],
}

/// What the coding is called with a dictionary.
pub(crate) const fn token(coding: Coding) -> Option<&'static str> {
    match coding {
        Coding::Zstd => Some("dcz"),
        Coding::Brotli => Some("dcb"),
        Coding::Gzip => None,
    }
}

/// What stands before the coded content: which dictionary it needs (RFC 9842 sections 4 and 5).
pub(crate) fn preamble(coding: Coding, dictionary: &Dictionary) -> Vec<u8> {
    let magic: &[u8] = match coding {
        // A frame of zstd to be skipped, 32 bytes long.
        Coding::Zstd => &[0x5E, 0x2A, 0x4D, 0x18, 0x20, 0, 0, 0],
        _ => &[0xFF, b'D', b'C', b'B'],
    };
    [magic, &dictionary.hash].concat()
}

/// Keeps what passes by for a dictionary; it is one when it is complete.
pub(crate) struct Capture {
    store: DictionaryStore,
    origin: Box<str>,
    content: Vec<u8>,
    hash: Sha256,
    /// It is too large.
    over: bool,
}

impl Capture {
    /// Of a response whose origin server offers it, and which others may see too.
    pub(crate) fn of(
        store: &DictionaryStore,
        origin: Option<&str>,
        response: &HeaderMap,
        len: Option<u64>,
    ) -> Option<Box<Self>> {
        if !fields::is_offered(response) || len.is_some_and(|len| len > store.limits().size as u64)
        {
            return None;
        }
        let (store, origin) = (store.clone(), origin?.into());
        Some(Box::new(Self {
            store,
            origin,
            content: Vec::new(),
            hash: Sha256::new(),
            over: false,
        }))
    }

    pub(crate) fn push(&mut self, data: &[u8]) {
        if self.over || self.content.len() + data.len() > self.store.limits().size {
            self.over = true;
            self.content = Vec::new();
            return;
        }
        self.content.extend_from_slice(data);
        self.hash.update(data);
    }

    /// The content has come to its end.
    pub(crate) fn finish(self) {
        if self.over || self.content.is_empty() || self.content.starts_with(&ZSTD_FORMAT) {
            return;
        }
        let (content, hash) = (self.content.into(), self.hash.finalize().into());
        self.store.put(&self.origin, Arc::new(Dictionary { content, hash }));
    }
}

/// The dictionary that a client has, where it is known here too.
pub(crate) fn available(
    store: &DictionaryStore,
    origin: Option<&str>,
    request: &HeaderMap,
) -> Option<Arc<Dictionary>> {
    store.get(origin?, &fields::available(request)?)
}
