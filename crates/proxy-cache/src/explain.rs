//! What a cache would do with a request, and why, without doing it.
//!
//! ```
//! use proxy_cache::CacheLayer;
//! use proxy_cache::explain::LookUp;
//! use proxy_cache::store::MemoryStore;
//!
//! let layer = CacheLayer::new(MemoryStore::with_capacity(1 << 20));
//! let request = http::Request::get("http://a.test/b").body(String::new()).unwrap();
//! let told = layer.explain(&request);
//! assert_eq!((told.look_up, told.reason), (LookUp::Miss, "uri-miss"));
//! ```
//!
//! The same code looks and judges as for a request that is served. Nothing is counted, stored,
//! fetched or begun; looking into the store does count there as a use of what it finds.

use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LOCATION, COOKIE, PROXY_AUTHORIZATION};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body::Body;
use proxy_core::Exchange;
use tower_layer::Layer as _;

use crate::answer::Asked;
use crate::fetch::Fetch;
use crate::layer::CacheLayer;
use crate::look::{Plan, Purpose};
use crate::semantics::directives::RequestDirectives;
use crate::semantics::reuse::Reuse;
use crate::semantics::storability::{NotStored, ResponseView};
use crate::shared::Shared;
use crate::store::{BodyReader, BodySource, KeyHash, KeyText, StoreError, Stored, StoredBody};

/// What a cache would do with a request.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CacheExplanation {
    /// The key; none where the request has no authority, or where its content is part of the key
    /// and not at hand.
    pub key: Option<KeyText>,
    /// What the store is asked for: the key's hash, or that of a similar one that stands for it
    /// (`No-Vary-Search`).
    pub hash: Option<KeyHash>,
    /// What is stored there, the newest first.
    pub stored: Vec<Variant>,
    /// What would be done.
    pub look_up: LookUp,
    /// Why, as a token.
    pub reason: &'static str,
    /// What makes the exchange personal: `access-rules`, `cookie` or `proxy-authorization`.
    pub personal: Option<&'static str>,
    /// Whether an answer from upstream could be stored.
    pub storage: Storage,
    /// Requests for a key before its response is stored.
    pub min_uses: u32,
}

/// One of the stored responses.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Variant {
    /// The response.
    pub stored: Arc<Stored>,
    /// Whether the request selects it.
    pub selected: bool,
    /// How old it is.
    pub age: Duration,
    /// Whole seconds that it stays fresh; negative when it is stale.
    pub ttl: i64,
}

/// What would be done with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LookUp {
    /// Answered with a fresh stored response.
    Hit,
    /// Answered with a stale one.
    Stale,
    /// Sent upstream to have a stored response validated.
    Validate,
    /// Sent upstream.
    Miss,
    /// Sent upstream past the cache.
    Bypass,
    /// Answered with 504: it asks for a stored response, and there is none to use.
    OnlyIfCached,
}

impl LookUp {
    /// One word, for logs.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Stale => "stale",
            Self::Validate => "validate",
            Self::Miss => "miss",
            Self::Bypass => "bypass",
            Self::OnlyIfCached => "only-if-cached",
        }
    }

    /// Whether upstream is not asked.
    pub const fn is_answered(self) -> bool {
        matches!(self, Self::Hit | Self::Stale | Self::OnlyIfCached)
    }
}

/// Whether an answer could be stored, as far as the request decides it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Storage {
    /// If the response allows it.
    Allowed,
    /// Only if the response says `public` or `s-maxage`, for this reason.
    Shared(&'static str),
    /// Never, for this reason.
    Never(&'static str),
}

impl CacheLayer {
    /// What would be done with a request, and why. Nothing is done; looking into the store counts
    /// there as a use.
    pub fn explain<B: Body<Data = Bytes>>(&self, request: &Request<B>) -> CacheExplanation {
        self.layer(()).shared.explain::<B, ()>(request).0
    }
}

impl Shared {
    /// What would be done with a request, told and as a plan.
    pub(crate) fn explain<ReqB, B>(
        self: &Arc<Self>,
        request: &Request<ReqB>,
    ) -> (CacheExplanation, Plan<B>)
    where
        ReqB: Body<Data = Bytes>,
    {
        let (method, fields) = (request.method(), request.headers());
        let scheme = Exchange::of(request).map(|exchange| exchange.connection().scheme);
        let mut parts = self.keying.parts(request.uri(), fields, scheme);
        let mut plan = self.look(request, Purpose::Explain);
        if let Plan::Query(directives) = plan {
            // Content that is not there can not be part of a key.
            parts = parts
                .filter(|_| request.body().is_end_stream())
                .map(|parts| parts.with_content(fields, b""));
            let asked = Asked { method, fields, from_server: Exchange::of(request).is_some() };
            plan = match &parts {
                Some(parts) => self.look_for(asked, parts, directives, Purpose::Explain),
                None => Plan::Query(directives),
            };
        }
        let (look_up, reason) = told(&plan);
        let hash = parts.as_ref().map(|parts| self.hash_of(parts));
        let key = parts.map(|parts| parts.text());
        let explanation = CacheExplanation {
            stored: hash.map(|hash| self.variants(&hash, fields)).unwrap_or_default(),
            storage: match plan {
                Plan::Pass(_) => Storage::Never(reason),
                _ => self.storage(method, fields, hash, key.as_ref()),
            },
            personal: self.personal(fields),
            min_uses: self.rules.min_uses,
            key,
            hash,
            look_up,
            reason,
        };
        (explanation, plan)
    }

    fn variants(&self, hash: &KeyHash, fields: &HeaderMap) -> Vec<Variant> {
        let Some(all) = self.store.lookup(hash) else { return Vec::new() };
        let (now, selected) = (self.wall(), Self::select(&all, fields));
        all.iter()
            .map(|stored| Variant {
                selected: selected.is_some_and(|selected| Arc::ptr_eq(selected, stored)),
                age: stored.head.lifetime.age(now),
                ttl: stored.head.lifetime.ttl(now),
                stored: Arc::clone(stored),
            })
            .collect()
    }

    /// What makes an exchange with these fields depend on who asks.
    pub(crate) fn personal(&self, fields: &HeaderMap) -> Option<&'static str> {
        match () {
            () if self.rules.personal => Some("access-rules"),
            () if fields.contains_key(COOKIE) => Some("cookie"),
            () if fields.contains_key(PROXY_AUTHORIZATION) => Some("proxy-authorization"),
            () => None,
        }
    }

    /// Judges answers that say as much as they can: one that is fresh, and one that is for all.
    fn storage(
        self: &Arc<Self>,
        method: &Method,
        fields: &HeaderMap,
        hash: Option<KeyHash>,
        key: Option<&KeyText>,
    ) -> Storage {
        let fetch = Fetch {
            shared: Arc::clone(self),
            hash: hash.unwrap_or(KeyHash([0; 16])),
            key: Arc::new(key.cloned().unwrap_or_default()),
            method: method.clone(),
            fields: fields.clone(),
            directives: RequestDirectives::NONE,
            candidates: Vec::new(),
            selected: None,
            slice: false,
            beginning: None,
            joinable: false,
            unsafe_target: None,
        };
        let now = self.wall();
        let judge = |said| {
            let location = key.map_or("/", |key| &*key.target);
            let headers = HeaderMap::from_iter([
                (CACHE_CONTROL, HeaderValue::from_static(said)),
                (
                    CONTENT_LOCATION,
                    HeaderValue::from_str(location)
                        .unwrap_or_else(|_| HeaderValue::from_static("/")),
                ),
            ]);
            let response = ResponseView { status: StatusCode::OK, headers: &headers };
            fetch.judge_as(method, &response, now, now).map_err(NotStored::token)
        };
        match (judge("max-age=60"), judge("public, max-age=60")) {
            (Ok(_), _) => Storage::Allowed,
            (Err(why), Ok(_)) => Storage::Shared(why),
            (_, Err(why)) => Storage::Never(why),
        }
    }
}

/// A stored response whose content is not read from where it is.
pub(crate) fn unread(stored: &Arc<Stored>) -> Arc<Stored> {
    match &stored.body {
        StoredBody::Memory { .. } => Arc::clone(stored),
        StoredBody::Source(source) => Arc::new(Stored {
            head: stored.head.clone(),
            body: StoredBody::Source(Arc::new(Unread(source.len()))),
        }),
    }
}

/// Content of this length, which nobody reads.
struct Unread(u64);

impl BodySource for Unread {
    fn len(&self) -> u64 {
        self.0
    }

    fn open(&self, _: Range<u64>) -> Box<dyn BodyReader> {
        Box::new(Self(0))
    }
}

impl BodyReader for Unread {
    fn poll_read(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, StoreError>>> {
        Poll::Ready(None)
    }
}

/// What a plan is called.
fn told<B>(plan: &Plan<B>) -> (LookUp, &'static str) {
    match plan {
        Plan::Answer { why: None, .. } => (LookUp::OnlyIfCached, "nothing-usable"),
        Plan::Answer { why: Some(Reuse::StaleAllowed), .. } => (LookUp::Stale, "max-stale"),
        Plan::Answer { why: Some(Reuse::StaleWhileRevalidate), .. } => {
            (LookUp::Stale, "stale-while-revalidate")
        }
        Plan::Answer { .. } => (LookUp::Hit, "fresh"),
        Plan::Pass(pass) => (LookUp::Bypass, pass.detail.unwrap_or(pass.fwd.token())),
        Plan::Go(go) if go.unsafe_target.is_some() => (LookUp::Bypass, go.fwd.token()),
        Plan::Go(go) => {
            let does = match go.selected {
                Some(_) if !go.candidates.is_empty() => LookUp::Validate,
                _ => LookUp::Miss,
            };
            match go.why {
                Some(Reuse::Validate(why)) => (does, why.token()),
                _ => (does, go.fwd.token()),
            }
        }
        Plan::Query(_) => (LookUp::Miss, "content"),
        Plan::Slices { .. } => (LookUp::Miss, "slices"),
    }
}
