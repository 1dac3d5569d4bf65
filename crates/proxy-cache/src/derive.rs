//! Coded forms of stored responses: made once, kept beside the original, gone with it.
//!
//! Where a coder is given, the cache owns `Accept-Encoding` towards upstream: it asks for identity
//! and codes by itself, so that one stored response serves every client.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, ACCEPT_RANGES, CONTENT_ENCODING, ETAG, HeaderName, VARY};
use http::{HeaderMap, HeaderValue};
use proxy_core::{ContentCoder, coding};

use crate::semantics::vary::{self, Vary};
use crate::shared::Shared;
use crate::store::{KeyHash, Stored, StoredBody, StoredHead, Variants};

/// Content up to this is coded while the first client waits; more, in the background.
const INLINE: u64 = 32 * 1024;

/// Of no use in a coded form.
const DIGESTS: [HeaderName; 3] = [
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-digest"),
];

/// The coder, and what it is busy with.
pub(crate) struct Coder {
    coder: Arc<dyn ContentCoder>,
    busy: Mutex<HashSet<(KeyHash, &'static str)>>,
}

impl Coder {
    pub(crate) fn new(coder: Arc<dyn ContentCoder>) -> Self {
        Self { coder, busy: Mutex::default() }
    }

    fn is_eligible(&self, head: &HeaderMap, len: Option<u64>) -> bool {
        !head.contains_key(CONTENT_ENCODING)
            && self.coder.is_eligible(head, len.unwrap_or(u64::MAX))
    }

    /// Marks a response that will be there in several codings.
    pub(crate) fn mark(&self, fields: &mut HeaderMap, len: Option<u64>) {
        if self.is_eligible(fields, len) {
            coding::vary_by_coding(fields);
        }
    }
}

/// Asks upstream for identity.
pub(crate) fn ask_for_identity(request: &mut HeaderMap) {
    request.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
}

/// What a response without coding is selected by, where codings are ours.
pub(crate) fn vary_but_coding(response: &HeaderMap) -> Vary {
    if response.contains_key(CONTENT_ENCODING) {
        return vary::parse(response);
    }
    let mut others = HeaderMap::new();
    for name in proxy_core::fields::list(response, &VARY) {
        if !name.eq_ignore_ascii_case("accept-encoding")
            && let Ok(name) = HeaderValue::from_str(name)
        {
            others.append(VARY, name);
        }
    }
    vary::parse(&others)
}

impl Shared {
    /// The form of a stored response that serves a client best: itself, or a coded one.
    pub(crate) fn best_form(
        self: &Arc<Self>,
        hash: KeyHash,
        variants: &Variants,
        stored: &Arc<Stored>,
        request: &HeaderMap,
    ) -> Arc<Stored> {
        let original = || Arc::clone(stored);
        let Some(coder) = &self.coder else { return original() };
        if stored.head.part.is_some()
            || stored.head.trailers.is_some()
            || request.contains_key(http::header::RANGE)
            || !coder.is_eligible(&stored.head.fields, Some(stored.body.len()))
        {
            return original();
        }
        // The coder's own name of it, which lives long enough.
        let best = coding::best(request, coder.coder.codings());
        let Some(best) = coder.coder.codings().iter().find(|c| Some(**c) == best).copied() else {
            return original();
        };
        let kept = variants.iter().find(|kept| {
            kept.head.derived.as_deref() == Some(best) && kept.head.variant == stored.head.variant
        });
        if let Some(kept) = kept {
            if kept.head.lifetime == stored.head.lifetime {
                return Arc::clone(kept);
            }
            // The original has been confirmed meanwhile.
            let Some(head) = coded_head(&stored.head, best) else { return original() };
            let renewed = self.store.replace_head(kept, head.clone());
            return renewed.unwrap_or_else(|| Arc::new(Stored { head, body: kept.body.clone() }));
        }
        if !lock(&coder.busy).insert((hash, best)) {
            return original();
        }
        if stored.body.len() <= INLINE {
            let made = self.derive(hash, stored, best);
            return made.unwrap_or_else(original);
        }
        match &self.spawn {
            Some(spawn) => {
                let (shared, stored) = (Arc::clone(self), Arc::clone(stored));
                spawn.spawn(Box::pin(async move {
                    shared.derive(hash, &stored, best);
                }));
            }
            None => {
                lock(&coder.busy).remove(&(hash, best));
            }
        }
        original()
    }

    /// Makes a coded form and stores it.
    fn derive(&self, hash: KeyHash, stored: &Stored, best: &'static str) -> Option<Arc<Stored>> {
        let coder = self.coder.as_ref()?;
        let made = (|| {
            let StoredBody::Memory { chunks, .. } = &stored.body else { return None };
            let content: Bytes = coder.coder.code(best, chunks)?;
            let head = coded_head(&stored.head, best)?;
            let mut writer = self.store.begin(head, Some(content.len() as u64))?;
            writer.write(content).ok()?;
            // The original may have been replaced while this was made.
            let variants = self.store.lookup(&hash)?;
            if !variants.iter().any(|now| now.head.fields == stored.head.fields) {
                return None;
            }
            writer.commit(None).ok()
        })();
        lock(&coder.busy).remove(&(hash, best));
        made
    }
}

fn coded_head(original: &StoredHead, best: &'static str) -> Option<StoredHead> {
    let mut head = original.clone();
    head.derived = Some(best.into());
    let fields = &mut head.fields;
    fields.insert(CONTENT_ENCODING, HeaderValue::from_static(best));
    if let Some(tag) = fields.get(ETAG)
        && let Some(coded) = coding::coded_tag(tag, best)
    {
        fields.insert(ETAG, coded);
    }
    for name in DIGESTS {
        fields.remove(name);
    }
    // Ranges are served of the original only.
    fields.remove(ACCEPT_RANGES);
    coding::vary_by_coding(fields);
    Some(head)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
