//! The first look at a request: answered from the store, sent past the cache, or sent upstream.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
};
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body::Body;
use proxy_core::Exchange;

use crate::answer::{self, Asked};
use crate::body::CacheBody;
use crate::derive::Sibling;
use crate::explain;
use crate::keying::{FORWARDED_HOST, FORWARDED_PROTO, KeyParts, is_looked_up};
use crate::metrics::Outcome;
use crate::parts;
use crate::semantics::cache_status::{CacheStatus, Fwd};
use crate::semantics::directives::RequestDirectives;
use crate::semantics::invalidation;
use crate::semantics::reuse::{Reuse, reuse};
use crate::shared::Shared;
use crate::similar::stands_for;
use crate::slices;
use crate::store::{KeyHash, KeyText, Stored, Variants};

/// The longest content of a QUERY that is part of a key, in bytes.
const QUERY_CONTENT: u64 = 64 * 1024;

/// What a look is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Serve,
    /// To tell what would be done: nothing is counted, made or opened.
    Explain,
    /// For a QUERY, which nobody asks again in the background.
    Query,
    /// For a slice of what a client has asked for: all who ask under its key ask for the same range.
    Slice,
}

/// What becomes of a request.
pub(crate) enum Plan<B> {
    /// It is answered, and the cache asks upstream at most for its own sake. `why` is not there
    /// where it is answered for want of a stored response.
    Answer {
        response: Box<Response<CacheBody<B>>>,
        refresh: Option<Box<Go>>,
        /// What the upstream is asked for besides.
        sibling: Option<Box<Sibling>>,
        why: Option<Reuse>,
    },
    /// It goes upstream, and its response past the cache.
    Pass(Pass),
    /// It goes upstream, unless another one is there already.
    Go(Box<Go>),
    /// Its content is part of its key, and must be read first.
    Query(RequestDirectives),
    /// It is answered by slices.
    Slices { size: u64, wanted: slices::Wanted, directives: RequestDirectives },
}

/// What must be known of a request that goes past the cache.
#[derive(Clone, Debug)]
pub(crate) struct Pass {
    pub(crate) fwd: Fwd,
    pub(crate) detail: Option<&'static str>,
    /// What an answer that is no error invalidates.
    pub(crate) unsafe_target: Option<Box<UnsafeTarget>>,
}

/// The target of a request that may change what is stored for it.
#[derive(Clone, Debug)]
pub(crate) struct UnsafeTarget {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) host: HeaderMap,
    pub(crate) scheme: Option<&'static str>,
}

/// What must be known of a request that goes upstream for the cache.
#[derive(Clone, Debug)]
pub(crate) struct Go {
    pub(crate) hash: KeyHash,
    pub(crate) key: Arc<KeyText>,
    pub(crate) directives: RequestDirectives,
    pub(crate) selected: Option<Arc<Stored>>,
    pub(crate) candidates: Vec<Arc<Stored>>,
    /// What is stored of the beginning of what is asked for.
    pub(crate) beginning: Option<Arc<Stored>>,
    pub(crate) fwd: Fwd,
    /// How the stored response that it selects might be used.
    pub(crate) why: Option<Reuse>,
    /// A server of ours has made the forwarding fields.
    pub(crate) from_server: bool,
    /// It asks for one slice.
    pub(crate) slice: bool,
    /// Whether it may wait for another one's answer, and whether others may wait for its own.
    pub(crate) may_join: bool,
    pub(crate) may_lead: bool,
    pub(crate) unsafe_target: Option<Box<UnsafeTarget>>,
}

impl Shared {
    /// Looks at a request.
    pub(crate) fn look<ReqB, B>(
        self: &Arc<Self>,
        request: &Request<ReqB>,
        purpose: Purpose,
    ) -> Plan<B>
    where
        ReqB: Body<Data = Bytes>,
    {
        let (method, fields) = (request.method(), request.headers());
        let from_server = Exchange::of(request).is_some();
        let scheme = Exchange::of(request).map(|exchange| exchange.connection().scheme);
        let pass = |fwd, detail| Plan::Pass(Pass { fwd, detail, unsafe_target: None });
        if !is_looked_up(method) && invalidation::is_safe(method) {
            return pass(Fwd::Method, None);
        }
        if self.rules.bypasses(request.uri(), fields) {
            return pass(Fwd::Bypass, Some("rule"));
        }
        let Some(parts) = self.keying.parts(request.uri(), fields, scheme) else {
            return pass(Fwd::Bypass, Some("no_authority"));
        };
        if !is_looked_up(method) {
            let target = Box::new(UnsafeTarget::of(request, scheme));
            if *method != Method::POST {
                let (fwd, detail) = (Fwd::Method, None);
                return Plan::Pass(Pass { fwd, detail, unsafe_target: Some(target) });
            }
            // Its response may be stored for later GETs.
            return Plan::Go(Box::new(Go {
                unsafe_target: Some(target),
                fwd: Fwd::Method,
                ..Go::alone(parts.hash(), Arc::new(parts.text()))
            }));
        }
        // A request with content never uses what is stored for those without.
        let is_query = method.as_str() == "QUERY";
        if !is_query && !request.body().is_end_stream() {
            return pass(Fwd::Bypass, Some("content"));
        }
        if is_query && request.body().size_hint().exact().is_none_or(|len| len > QUERY_CONTENT) {
            return pass(Fwd::Bypass, Some("content-length"));
        }
        let directives = match self.rules.honour_request {
            true => RequestDirectives::parse(fields),
            false => RequestDirectives::NONE,
        };
        if directives.no_store {
            return pass(Fwd::Request, Some("no-store"));
        }
        if fields.contains_key(IF_MATCH) || fields.contains_key(IF_UNMODIFIED_SINCE) {
            // Not applicable to a cache (RFC 9111 section 4.3.2).
            return pass(Fwd::Bypass, Some("precondition"));
        }
        if is_query {
            return Plan::Query(directives);
        }
        if let (Some(size), Purpose::Serve) = (self.rules.slice, purpose)
            && !directives.only_if_cached
            && let Some(wanted) = slices::wanted(method, fields)
        {
            return Plan::Slices { size: size.get(), wanted, directives };
        }
        self.look_for(Asked { method, fields, from_server }, &parts, directives, purpose)
    }

    /// Looks for what is stored under a key, or stands for it.
    pub(crate) fn look_for<B>(
        self: &Arc<Self>,
        asked: Asked<'_>,
        parts: &KeyParts<'_>,
        directives: RequestDirectives,
        purpose: Purpose,
    ) -> Plan<B> {
        let hash = parts.hash();
        let variants = self.store.lookup(&hash);
        let key = || Arc::new(parts.text());
        if variants.is_none() && !directives.only_if_cached {
            for (alike, variants) in self.alike(parts) {
                let plan = self.look_into(asked, alike, Some(&variants), directives, key, purpose);
                // Only an answer: what must be fetched is fetched and stored under its own key.
                if matches!(plan, Plan::Answer { .. }) {
                    return plan;
                }
            }
        }
        self.look_into(asked, hash, variants.as_ref(), directives, key, purpose)
    }

    /// What is stored for other queries that says it answers this one too (No-Vary-Search).
    fn alike(&self, parts: &KeyParts<'_>) -> impl Iterator<Item = (KeyHash, Variants)> {
        self.similar.find(parts).filter_map(|key| {
            let variants = self.store.lookup(&key)?;
            variants
                .iter()
                .any(|stored| stands_for(&stored.head, &parts.target))
                .then_some((key, variants))
        })
    }

    /// The key of what is stored for these parts: their own, or that of a similar one.
    pub(crate) fn hash_of(&self, parts: &KeyParts<'_>) -> KeyHash {
        let hash = parts.hash();
        if self.store.lookup(&hash).is_some() {
            return hash;
        }
        self.alike(parts).next().map_or(hash, |(alike, _)| alike)
    }

    /// Looks for what is stored for a QUERY with this content (RFC 10008 section 2.7).
    pub(crate) fn look_for_query<B, R>(
        self: &Arc<Self>,
        request: &Request<R>,
        content: &[u8],
        directives: RequestDirectives,
    ) -> Plan<B> {
        let (method, fields) = (request.method(), request.headers());
        let from_server = Exchange::of(request).is_some();
        let scheme = Exchange::of(request).map(|exchange| exchange.connection().scheme);
        let Some(parts) = self.keying.parts(request.uri(), fields, scheme) else {
            return Plan::Pass(Pass { fwd: Fwd::Bypass, detail: None, unsafe_target: None });
        };
        let parts = parts.with_content(fields, content);
        self.look_for(Asked { method, fields, from_server }, &parts, directives, Purpose::Query)
    }

    /// Decides on what the store has under a key.
    pub(crate) fn look_into<B>(
        self: &Arc<Self>,
        asked: Asked<'_>,
        hash: KeyHash,
        variants: Option<&Variants>,
        directives: RequestDirectives,
        key: impl FnOnce() -> Arc<KeyText>,
        purpose: Purpose,
    ) -> Plan<B> {
        let count = |outcome| {
            if purpose != Purpose::Explain {
                self.metrics.count(outcome, 1);
            }
        };
        let status = CacheStatus { cache: &self.rules.name, ..CacheStatus::default() };
        let selected = variants.and_then(|all| Self::select(all, asked.fields));
        let mut fwd = if variants.is_some() { Fwd::VaryMiss } else { Fwd::UriMiss };
        let mut why = None;
        if let Some(stored) = selected {
            let reused = reuse(&stored.head.lifetime, &directives, self.wall());
            why = Some(reused);
            let (outcome, refresh) = match reused {
                Reuse::Fresh => (Outcome::Hit, false),
                Reuse::StaleAllowed => (Outcome::Stale, false),
                Reuse::StaleWhileRevalidate
                    if self.spawn.is_some()
                        && matches!(purpose, Purpose::Serve | Purpose::Explain) =>
                {
                    (Outcome::Stale, true)
                }
                // Nobody would validate it in the background.
                Reuse::StaleWhileRevalidate | Reuse::Validate(_) => (Outcome::Miss, false),
            };
            if outcome != Outcome::Miss {
                let status = CacheStatus { hit: true, ..status };
                let mut sibling = None;
                let answered = match (&self.coder, &variants) {
                    _ if purpose == Purpose::Explain => {
                        answer::from_stored(self, asked, &explain::unread(stored), status)
                    }
                    (Some(_), Some(all)) => {
                        let best = self.best_form(hash, all, stored, asked.fields);
                        sibling = best.sibling.filter(|_| purpose == Purpose::Serve);
                        answer::from_stored(self, asked, &best.form, status)
                    }
                    _ => answer::from_stored(self, asked, stored, status),
                };
                if let Some(response) = answered {
                    count(outcome);
                    let refresh = refresh.then(|| {
                        let go = Go::alone(hash, Arc::clone(&stored.head.key));
                        Box::new(Go {
                            from_server: asked.from_server,
                            selected: Some(Arc::clone(stored)),
                            candidates: vec![Arc::clone(stored)],
                            fwd: Fwd::Stale,
                            may_lead: true,
                            ..go
                        })
                    });
                    return Plan::Answer { response: Box::new(response), refresh, sibling, why };
                }
                fwd = Fwd::Partial;
            } else {
                fwd = match reused {
                    Reuse::Validate(why) if why.is_request() => Fwd::Request,
                    _ => Fwd::Stale,
                };
            }
        }
        if directives.only_if_cached {
            count(Outcome::Miss);
            let status = CacheStatus { fwd: None, detail: Some("only-if-cached"), ..status };
            let response = Box::new(answer::only_if_cached(&status));
            return Plan::Answer { response, refresh: None, sibling: None, why: None };
        }
        let own_conditions = [IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_RANGE, RANGE]
            .iter()
            .any(|name| asked.fields.contains_key(name));
        let beginning = selected
            .filter(|stored| {
                *asked.method == Method::GET && !own_conditions && parts::is_beginning(stored)
            })
            .cloned();
        // A part can not stand for the whole; its validators are of use to the origin only along
        // with a range.
        let selected = selected.filter(|stored| stored.head.part.is_none()).cloned();
        let candidates = match (&selected, &variants) {
            (Some(stored), _) => vec![Arc::clone(stored)],
            // Any of the variants may be what the origin selects (RFC 9111 section 4.3.1).
            (None, Some(all)) => all
                .iter()
                .filter(|stored| stored.head.part.is_none() && stored.head.derived.is_none())
                .filter(|stored| stored.head.fields.contains_key(http::header::ETAG))
                .cloned()
                .collect(),
            (None, None) => Vec::new(),
        };
        let slice = purpose == Purpose::Slice;
        let alike = !own_conditions || !candidates.is_empty() || slice;
        let plain = *asked.method != Method::HEAD && alike;
        Plan::Go(Box::new(Go {
            hash,
            key: selected.as_ref().map_or_else(key, |stored| Arc::clone(&stored.head.key)),
            may_join: !directives.no_cache,
            may_lead: plain && !directives.no_cache,
            directives,
            selected,
            candidates,
            beginning,
            fwd,
            why,
            slice,
            from_server: asked.from_server,
            unsafe_target: None,
        }))
    }
}

impl Go {
    /// A request that neither joins nor is joined.
    fn alone(hash: KeyHash, key: Arc<KeyText>) -> Self {
        Self {
            hash,
            key,
            directives: RequestDirectives::NONE,
            selected: None,
            candidates: Vec::new(),
            beginning: None,
            fwd: Fwd::UriMiss,
            why: None,
            slice: false,
            from_server: false,
            may_join: false,
            may_lead: false,
            unsafe_target: None,
        }
    }
}

impl UnsafeTarget {
    fn of<B>(request: &Request<B>, scheme: Option<&'static str>) -> Self {
        // What makes the key beside the target.
        let mut host = HeaderMap::new();
        for name in [&http::header::HOST, &FORWARDED_PROTO, &FORWARDED_HOST] {
            if let Some(value) = request.headers().get(name) {
                host.insert(name, value.clone());
            }
        }
        // Told upstream, but no other host than the one that was asked for.
        if host.get(&FORWARDED_HOST) == host.get(http::header::HOST) {
            host.remove(&FORWARDED_HOST);
        }
        Self { method: request.method().clone(), uri: request.uri().clone(), host, scheme }
    }

    /// The target with scheme and authority, so that others can be compared with it.
    fn absolute(&self, shared: &Shared) -> Option<Uri> {
        if self.uri.authority().is_some() && self.uri.scheme().is_some() {
            return Some(self.uri.clone());
        }
        let parts = shared.keying.parts(&self.uri, &self.host, self.scheme)?;
        Uri::builder()
            .scheme(parts.scheme)
            .authority(&*parts.authority)
            .path_and_query(self.uri.path_and_query().map_or("/", |target| target.as_str()))
            .build()
            .ok()
    }

    /// Removes what a successful answer makes invalid (RFC 9111 section 4.4, RFC 9875).
    pub(crate) fn invalidate<B>(&self, shared: &Shared, response: &Response<B>) {
        let Some(target) = self.absolute(shared) else { return };
        let fields = response.headers();
        for uri in invalidation::targets(&self.method, response.status(), &target, fields) {
            shared.invalidate(&uri, &self.host, self.scheme);
        }
        shared.invalidate_groups(&target, &self.method, response.status(), fields);
    }
}
