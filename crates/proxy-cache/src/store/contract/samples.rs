//! Responses to store.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::semantics::lifetime::{FreshnessSource, Lifetime};
use crate::semantics::vary::{self, VariantKey, VaryFields};
use crate::store::{CacheStore, KeyHash, KeyText, StoreError, Stored, StoredHead};

/// A response for a test.
#[derive(Clone)]
pub struct Sample {
    /// Its head, which can be changed.
    pub head: StoredHead,
    /// Its content.
    pub content: Bytes,
}

impl Sample {
    /// A response of this target; its content and fields follow from `seed` and `len`.
    pub fn new(target: &str, seed: u64, len: usize) -> Self {
        let key = KeyText {
            space: "gateway/all".into(),
            scheme: "http".into(),
            authority: "a.test".into(),
            target: target.into(),
            extra: "".into(),
        };
        let mut fields = HeaderMap::new();
        fields.insert("content-type", HeaderValue::from_static("text/plain"));
        fields.insert("etag", HeaderValue::try_from(format!("\"{seed}-{len}\"")).unwrap());
        fields.append("x-seed", HeaderValue::from(seed));
        fields.append("x-seed", HeaderValue::from_bytes(b"\xe9").unwrap());
        let head = StoredHead {
            key: Arc::new(key),
            status: StatusCode::OK,
            fields,
            trailers: None,
            variant: None,
            lifetime: lifetime(),
            part: None,
            derived: None,
            tags: Box::default(),
            groups: Box::default(),
        };
        Self { head, content: bytes(seed, len) }
    }

    /// The same with selecting request fields, told apart by this word.
    #[must_use]
    pub fn variant(mut self, word: &str) -> Self {
        self.head.variant = Some(variant(word));
        self
    }

    /// The same, derived with this coding.
    #[must_use]
    pub fn derived(mut self, coding: &str) -> Self {
        self.head.derived = Some(coding.into());
        self
    }

    /// What it is stored under.
    pub fn key(&self) -> KeyHash {
        self.head.key.hash()
    }

    /// Stores it, in chunks of 1000 bytes.
    ///
    /// # Errors
    /// What the store says; [`StoreError::TooLarge`] where it did not begin.
    pub fn store(&self, store: &dyn CacheStore) -> Result<Arc<Stored>, StoreError> {
        self.store_in(store, 1000, Some(self.content.len() as u64), None)
    }

    /// Stores it.
    ///
    /// # Errors
    /// What the store says; [`StoreError::TooLarge`] where it did not begin.
    pub fn store_in(
        &self,
        store: &dyn CacheStore,
        chunk: usize,
        expected: Option<u64>,
        trailers: Option<HeaderMap>,
    ) -> Result<Arc<Stored>, StoreError> {
        let mut writer = store.begin(self.head.clone(), expected).ok_or(StoreError::TooLarge)?;
        let mut content = self.content.clone();
        while !content.is_empty() {
            writer.write(content.split_to(content.len().min(chunk)))?;
        }
        writer.commit(trailers)
    }
}

/// Bytes that follow from a seed and differ everywhere.
pub fn bytes(seed: u64, len: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut content = Vec::with_capacity(len + 8);
    while content.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        content.extend_from_slice(&state.to_le_bytes());
    }
    content.truncate(len);
    Bytes::from(content)
}

fn lifetime() -> Lifetime {
    Lifetime {
        response_time: SystemTime::UNIX_EPOCH + Duration::from_millis(784_111_777_250),
        initial_age: Duration::from_secs(5),
        freshness: Duration::from_secs(3600),
        source: FreshnessSource::MaxAge,
        stale_while_revalidate: Some(Duration::from_secs(60)),
        stale_if_error: None,
        no_stale: false,
        always_validate: false,
        immutable: true,
        expired: false,
    }
}

fn variant(word: &str) -> VariantKey {
    let name = HeaderName::from_static("x-variant");
    let mut request = HeaderMap::new();
    request.insert(&name, HeaderValue::try_from(word).expect("a word"));
    vary::variant_key(&VaryFields::from_iter([name]), &request)
}
