//! A request upstream, and what its response means for the store.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE};
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt as _;
use proxy_core::{BoxError, Refusal};

use crate::conversation::UNKEYED;
use crate::deception::is_deceptive;
use crate::derive;
use crate::fill::{Fill, FillReader};
use crate::flight::{Arrival, Flight};
use crate::look::UnsafeTarget;
use crate::parts;
use crate::rules::ttl_of;
use crate::semantics::directives::{RequestDirectives, ResponseDirectives};
use crate::semantics::lifetime::{FreshnessSource, Lifetime};
use crate::semantics::range::parse_content_range;
use crate::semantics::reuse::{Failure, stale_on_error};
use crate::semantics::storability::{
    NotStored, RequestView, ResponseView, StorageRules, content_location_is, judge,
};
use crate::semantics::validation::HeadUpdate;
use crate::semantics::vary::{VariantKey, Vary};
use crate::semantics::{groups, tags, validation, vary};
use crate::shared::{Epoch, Shared, Ties};
use crate::store::{KeyHash, KeyText, Part, Stored, StoredBody, StoredHead};

/// What a response is judged by, kept while it is awaited.
pub(crate) struct Fetch {
    pub(crate) shared: Arc<Shared>,
    pub(crate) hash: KeyHash,
    pub(crate) key: Arc<KeyText>,
    pub(crate) method: Method,
    /// As the client sent them: what `Vary` selects by.
    pub(crate) fields: HeaderMap,
    pub(crate) directives: RequestDirectives,
    /// Stored responses whose validators go with the request.
    pub(crate) candidates: Vec<Arc<Stored>>,
    /// The one that would answer the request if it were fresh.
    pub(crate) selected: Option<Arc<Stored>>,
    /// The stored beginning of what is asked for.
    pub(crate) beginning: Option<Arc<Stored>>,
    /// What an answer that is no error makes invalid.
    pub(crate) unsafe_target: Option<Box<UnsafeTarget>>,
    /// It asks for one slice, and nothing else is stored under its key.
    pub(crate) slice: bool,
    /// Whether those who come later may join.
    pub(crate) joinable: bool,
}

/// Why a response is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotKept {
    /// By the rules of RFC 9111.
    Rule(NotStored),
    /// It is not what its path promises.
    Deceptive,
    /// Nobody has asked for it often enough.
    TooFewUses,
    /// The store does not take it.
    TooLarge,
    /// Its tags are too many, too long or no text.
    Tags,
}

impl NotKept {
    /// One word, for `Cache-Status`.
    pub(crate) const fn token(self) -> &'static str {
        match self {
            Self::Rule(rule) => rule.token(),
            Self::Deceptive => "deceptive",
            Self::TooFewUses => "min-uses",
            Self::TooLarge => "too-large",
            Self::Tags => "tags",
        }
    }

    /// Whether it lies in the response, and so would be the same for others who ask: what lies in
    /// one request must not keep others from sharing.
    const fn is_about_response(self) -> bool {
        match self {
            Self::Rule(rule) => matches!(
                rule,
                NotStored::NoStore
                    | NotStored::Private
                    | NotStored::SetCookie
                    | NotStored::VaryStar
                    | NotStored::NotUnderstood
                    | NotStored::NoFreshness
            ),
            Self::Deceptive | Self::TooLarge | Self::Tags => true,
            Self::TooFewUses => false,
        }
    }
}

impl From<NotStored> for NotKept {
    fn from(rule: NotStored) -> Self {
        Self::Rule(rule)
    }
}

/// The leader's own part of what arrives.
pub(crate) enum Own<B, E> {
    /// The whole response is the leader's.
    Response(Box<Response<B>>, Option<NotKept>),
    /// Its content goes through a fill.
    Head(Box<Parts>, FillReader),
    /// Upstream confirmed a stored response, for this exchange alone.
    Confirmed(Arc<Stored>),
    /// Upstream answered to what the cache knows, and the cache does not know it: it must be asked
    /// as the client asks.
    Mismatch,
    /// The inner service failed.
    Failed(E),
}

/// What a 304 confirms.
enum Confirmed {
    /// A stored response, refreshed.
    ForAll(Arc<Stored>),
    /// A stored response, with fields that are not for others.
    ForOne(Arc<Stored>),
    /// None that is known.
    Unknown,
}

/// Where the leader finds it.
pub(crate) struct OwnSlot<B, E>(Mutex<Option<Own<B, E>>>);

impl<B, E> OwnSlot<B, E> {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(None)))
    }

    fn put(&self, own: Own<B, E>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(own);
    }

    pub(crate) fn take(&self) -> Option<Own<B, E>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Fetch {
    /// Awaits the response and decides what becomes of it.
    pub(crate) async fn run<F, B, E>(
        self,
        call: F,
        own: Arc<OwnSlot<B, E>>,
        flight: Weak<Flight>,
    ) -> Arrival
    where
        F: Future<Output = Result<Response<B>, E>>,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (requested_at, mut epoch) = (self.shared.wall(), self.shared.epoch());
        let result = call.await;
        let received_at = self.shared.wall();
        let mut response = match result {
            Ok(response) => response,
            Err(error) => {
                return self.or_stale(Failure::Disconnected, received_at).unwrap_or_else(|| {
                    own.put(Own::Failed(error));
                    Arrival::Own
                });
            }
        };
        let made_here = response.extensions().get::<Refusal>().is_some();
        if let Some(target) = &self.unsafe_target {
            target.invalidate(&self.shared, &response);
            // What it answers itself is newer than what it has made invalid.
            epoch = self.shared.epoch();
        }
        let failure = match response.status().as_u16() {
            502..=504 if made_here => Some(Failure::Disconnected),
            500 | 502 | 503 | 504 => Some(Failure::Status(response.status())),
            _ => None,
        };
        if let Some(failure) = failure
            && let Some(stale) = self.or_stale(failure, received_at)
        {
            return stale;
        }
        if made_here {
            own.put(Own::Response(Box::new(response), None));
            return Arrival::Own;
        }
        if response.status() == StatusCode::NOT_MODIFIED && !self.candidates.is_empty() {
            return match self.validated(response.headers(), requested_at, received_at) {
                Confirmed::ForAll(stored) => Arrival::Validated(stored),
                Confirmed::ForOne(stored) => {
                    own.put(Own::Confirmed(stored));
                    Arrival::Own
                }
                Confirmed::Unknown => {
                    own.put(Own::Mismatch);
                    Arrival::Own
                }
            };
        }
        validation::add_date(response.headers_mut(), received_at);
        let mut continues = false;
        if let Some(beginning) = &self.beginning
            && matches!(response.status().as_u16(), 206 | 416)
        {
            let Some(complete) = parts::is_rest(beginning, response.headers()) else {
                own.put(Own::Mismatch);
                return Arrival::Own;
            };
            // The rest makes it the whole.
            continues = true;
            *response.status_mut() = StatusCode::OK;
            response.headers_mut().remove(CONTENT_RANGE);
            response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(complete));
        }
        match self.storable(&response, requested_at, received_at) {
            Ok(mut head) => {
                if let Some(coder) = &self.shared.coder {
                    let len = response.body().size_hint().exact();
                    coder.mark(&mut head.fields, len);
                    coder.mark(response.headers_mut(), len);
                }
                self.fill(response, head, &own, &flight, (continues, epoch))
            }
            // The rest alone is no answer.
            Err(_) if continues => {
                own.put(Own::Mismatch);
                Arrival::Own
            }
            Err(why) => {
                let at = (requested_at, received_at);
                self.passed_by(response.status(), response.headers(), why, at);
                own.put(Own::Response(Box::new(response), Some(why)));
                Arrival::Own
            }
        }
    }

    /// The stored response in the place of a failure, where that is allowed.
    fn or_stale(&self, failure: Failure, now: SystemTime) -> Option<Arrival> {
        let stored = self.selected.as_ref()?;
        let lifetime = self.shared.lifetime_on_error(stored);
        stale_on_error(&lifetime, &self.directives, failure, now)
            .then(|| Arrival::Stale(Arc::clone(stored)))
    }

    /// 304: the stored response it confirms, with its fields updated (RFC 9111 section 4.3.4).
    fn validated(
        &self,
        confirmed: &HeaderMap,
        requested_at: SystemTime,
        received_at: SystemTime,
    ) -> Confirmed {
        let candidates: Vec<&HeaderMap> =
            self.candidates.iter().map(|stored| &stored.head.fields).collect();
        let Some(n) = validation::selected(confirmed, &candidates) else {
            return Confirmed::Unknown;
        };
        let stored = &self.candidates[n];
        let mut head = stored.head.clone();
        let mut fresh = confirmed.clone();
        validation::add_date(&mut fresh, received_at);
        validation::update_fields(&mut head.fields, &fresh);
        if let Some(coder) = &self.shared.coder {
            coder.mark(&mut head.fields, Some(stored.body.len()));
        }
        let view = ResponseView { status: head.status, headers: &head.fields };
        let judged = self.judge_as(&Method::GET, &view, requested_at, received_at);
        let renamed = match confirmed.contains_key(http::header::VARY) {
            true => self.variant(&head.fields),
            false => Ok(head.variant.clone()),
        };
        match (judged, renamed) {
            (Ok(lifetime), Ok(variant)) => {
                self.rename(&mut head);
                head.lifetime = lifetime;
                head.variant = variant;
                let replaced = self.shared.store.replace_head(stored, head.clone());
                Confirmed::ForAll(
                    replaced
                        .unwrap_or_else(|| Arc::new(Stored { head, body: stored.body.clone() })),
                )
            }
            (judged, _) => {
                // What is about this exchange alone leaves the stored response as it is.
                if !judged.is_err_and(is_about_request) {
                    self.shared.store.remove(&self.hash, Some(stored));
                }
                head.lifetime.expire();
                Confirmed::ForOne(Arc::new(Stored { head, body: stored.body.clone() }))
            }
        }
    }

    /// The names that updated fields give.
    fn rename(&self, head: &mut StoredHead) {
        head.tags = tags::parse(&head.fields, &self.shared.rules.tag_fields).tags.into();
        head.groups = groups::groups(&head.fields).into_iter().map(Into::into).collect();
    }

    /// What a response is selected by.
    fn variant(&self, response: &HeaderMap) -> Result<Option<VariantKey>, NotStored> {
        let vary = match self.shared.coder {
            Some(_) => derive::vary_but_coding(response),
            None => vary::parse(response),
        };
        match vary {
            Vary::None => Ok(None),
            Vary::Fields(names) => Ok(Some(vary::variant_key(&names, &self.fields))),
            Vary::Star => Err(NotStored::VaryStar),
        }
    }

    pub(crate) fn judge_as(
        &self,
        method: &Method,
        response: &ResponseView<'_>,
        requested_at: SystemTime,
        received_at: SystemTime,
    ) -> Result<Lifetime, NotStored> {
        let rules = &self.shared.rules;
        let default_ttl =
            |status| ttl_of(&rules.ttl, status).or_else(|| ttl_of(&rules.default_ttl, status));
        let request = RequestView {
            method,
            headers: &self.fields,
            personal: self.shared.personal(&self.fields).is_some(),
        };
        let storage = StorageRules {
            targeted: &rules.targeted,
            default_ttl: &default_ttl,
            heuristic: rules.heuristic,
            honour_request: rules.honour_request,
            ..StorageRules::default()
        };
        let mut lifetime = judge(&request, response, requested_at, received_at, &storage)?;
        if let Some(ttl) = ttl_of(&rules.ttl, response.status) {
            lifetime.freshness = ttl;
            lifetime.initial_age = std::time::Duration::ZERO;
            lifetime.source = FreshnessSource::Default;
        }
        lifetime.stale_while_revalidate =
            lifetime.stale_while_revalidate.or(rules.stale_while_revalidate);
        Ok(lifetime)
    }

    /// The head to store a response with, or why it is not stored.
    fn storable<B: Body>(
        &self,
        response: &Response<B>,
        requested_at: SystemTime,
        received_at: SystemTime,
    ) -> Result<StoredHead, NotKept> {
        let (status, fields) = (response.status(), response.headers());
        let view = ResponseView { status, headers: fields };
        let lifetime = self.judge_as(&self.method, &view, requested_at, received_at)?;
        if self.method == Method::HEAD {
            return Err(NotStored::Method.into());
        }
        if self.method == Method::POST && UNKEYED.iter().any(|name| self.fields.contains_key(name))
        {
            return Err(NotStored::Post.into());
        }
        if self.method == Method::POST
            && !self.key.url().parse().is_ok_and(|uri| content_location_is(&uri, fields))
        {
            return Err(NotStored::Post.into());
        }
        let path = self.key.target.split('?').next().unwrap_or_default();
        if self.shared.rules.deception_armour && is_deceptive(path, fields) {
            return Err(NotKept::Deceptive);
        }
        if !self.shared.is_used_enough(self.hash) {
            return Err(NotKept::TooFewUses);
        }
        let variant = self.variant(fields)?;
        if self.slice && status != StatusCode::PARTIAL_CONTENT {
            return Err(NotStored::Partial.into());
        }
        let part = if status == StatusCode::PARTIAL_CONTENT {
            let told = parse_content_range(fields).ok_or(NotStored::Partial)?;
            // One that is not as long as the range it claims is no part of anything.
            let len = response.body().size_hint().exact();
            if len.is_some_and(|len| len != told.range.end - told.range.start) {
                return Err(NotStored::Partial.into());
            }
            // A part that is the whole is the whole.
            let whole = told.range.start == 0 && told.complete == Some(told.range.end);
            (!whole || self.slice).then_some(Part { range: told.range, complete: told.complete })
        } else {
            None
        };
        let status = match part {
            None if status == StatusCode::PARTIAL_CONTENT => StatusCode::OK,
            _ => status,
        };
        let tags = tags::parse(fields, &self.shared.rules.tag_fields);
        if tags.incomplete {
            // A purge could not find it by all of its names.
            return Err(NotKept::Tags);
        }
        let said = ResponseDirectives::effective(fields, &self.shared.rules.targeted);
        let mut kept = validation::storable_fields_by(fields, &said.directives);
        // Of the content, not of a part of it or of the framing on this hop.
        kept.remove(CONTENT_LENGTH);
        kept.remove(CONTENT_RANGE);
        Ok(StoredHead {
            key: Arc::clone(&self.key),
            status,
            trailers: None,
            variant,
            lifetime,
            part,
            derived: None,
            tags: tags.tags.into(),
            groups: groups::groups(fields).into_iter().map(Into::into).collect(),
            fields: kept,
        })
    }

    /// A response that is not stored: what it says about what is.
    fn passed_by(
        &self,
        status: StatusCode,
        fields: &HeaderMap,
        why: NotKept,
        at: (SystemTime, SystemTime),
    ) {
        if self.method == Method::HEAD {
            if let (Some(stored), StatusCode::OK) = (&self.selected, status) {
                self.updated_by_head(stored, fields, at);
            }
            return;
        }
        if why.is_about_response() && self.method == Method::GET {
            self.shared.remember_unshareable(self.hash);
        }
        // A newer representation that must not be kept supersedes the old one.
        if status.is_success()
            && let Some(stored) = &self.selected
        {
            self.shared.store.remove(&self.hash, Some(stored));
        }
    }

    /// 200 to HEAD: the stored response is still the same, or is not (RFC 9111 section 4.3.5).
    fn updated_by_head(
        &self,
        stored: &Arc<Stored>,
        fields: &HeaderMap,
        (requested_at, received_at): (SystemTime, SystemTime),
    ) {
        let mut head = stored.head.clone();
        let len = stored.body.len();
        if validation::head_update_of(&head.fields, Some(len), fields) == HeadUpdate::Changed {
            head.lifetime.invalidate();
            self.shared.store.replace_head(stored, head);
            return;
        }
        validation::update_fields(&mut head.fields, fields);
        let view = ResponseView { status: head.status, headers: &head.fields };
        match self.judge_as(&Method::GET, &view, requested_at, received_at) {
            Ok(lifetime) => {
                self.rename(&mut head);
                head.lifetime = lifetime;
                self.shared.store.replace_head(stored, head);
            }
            Err(why) if is_about_request(why) => {}
            Err(_) => {
                self.shared.store.remove(&self.hash, Some(stored));
            }
        }
    }

    /// The stored part that a part of the same representation would take the place of.
    fn part_before(&self) -> Option<Arc<Stored>> {
        let variants = self.shared.store.lookup(&self.hash)?;
        Shared::select(&variants, &self.fields).filter(|stored| stored.head.part.is_some()).cloned()
    }

    /// Begins to store a response, and lets others read it. `continues`: it follows what is stored
    /// as its beginning.
    fn fill<B, E>(
        &self,
        response: Response<B>,
        head: StoredHead,
        own: &OwnSlot<B, E>,
        flight: &Weak<Flight>,
        (continues, epoch): (bool, Epoch),
    ) -> Arrival
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let told = response.headers().get(CONTENT_LENGTH);
        let told = told.and_then(|told| told.to_str().ok()?.parse().ok());
        let len = match continues {
            true => told,
            false => response.body().size_hint().exact().or(told),
        };
        let Some(writer) = self.shared.store.begin(head.clone(), len) else {
            if len.is_some_and(|len| len > self.shared.store.max_object()) {
                self.shared.remember_unshareable(self.hash);
            }
            own.put(if continues {
                Own::Mismatch
            } else {
                Own::Response(Box::new(response), Some(NotKept::TooLarge))
            });
            return Arrival::Own;
        };
        let part_before = head.part.as_ref().and_then(|_| self.part_before());
        let (parts, body) = response.into_parts();
        let ties = Ties {
            shared: Arc::clone(&self.shared),
            key: self.hash,
            flight: flight.upgrade().filter(|_| self.joinable),
            epoch,
            part_before,
        };
        let source = Box::pin(body.map_err(Into::into));
        let fill = Fill::new(Arc::new(head), len, source, writer, Arc::new(ties));
        // Its place is taken before others may read it to its end, and it is let go.
        let reader = FillReader::new(&fill, None);
        if let (true, Some(StoredBody::Memory { chunks, .. })) =
            (continues, self.beginning.as_ref().map(|stored| &stored.body))
        {
            fill.begin_with(chunks.iter().cloned());
        }
        if let Some(reader) = reader {
            own.put(Own::Head(Box::new(parts), reader));
        }
        Arrival::Fill(fill)
    }
}

/// Whether it lies in the one exchange that a response is not stored.
const fn is_about_request(why: NotStored) -> bool {
    matches!(
        why,
        NotStored::Personal
            | NotStored::Authorization
            | NotStored::SetCookie
            | NotStored::RequestNoStore
    )
}
