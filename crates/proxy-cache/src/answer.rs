//! Answers made of what is stored.

use std::ops::Range;
use std::sync::Arc;

use http::header::{ACCEPT_RANGES, AGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use proxy_core::Refusal;
use proxy_core::coding::StoredForm;

use crate::body::CacheBody;
use crate::fill::{Fill, FillReader};
use crate::segments::Segments;
use crate::semantics::cache_status::CacheStatus;
use crate::semantics::conditional::{self, Precondition};
use crate::semantics::multipart::Multipart;
use crate::semantics::{range, validation};
use crate::shared::Shared;
use crate::store::{Stored, StoredBody, StoredHead};

/// What an answer depends on of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a Method,
    pub(crate) fields: &'a HeaderMap,
    /// A server of ours has made the forwarding fields.
    pub(crate) from_server: bool,
}

impl Asked<'_> {
    fn wants_content(&self) -> bool {
        *self.method != Method::HEAD
    }
}

/// The answer that a stored response gives; `None` where it holds only a part, and another one is
/// asked for.
pub(crate) fn from_stored<B>(
    shared: &Shared,
    asked: Asked<'_>,
    stored: &Stored,
    status: CacheStatus<'_>,
) -> Option<Response<CacheBody<B>>> {
    let head = &stored.head;
    let now = shared.wall();
    let key = shared.rules.show_key.then(|| head.key.url());
    let ttl = Some(head.lifetime.ttl(now));
    let status = CacheStatus { ttl, key: key.as_deref(), ..status };
    let age = head.lifetime.age(now).as_secs();
    let finish = |mut response: Response<CacheBody<B>>| {
        response.headers_mut().insert(AGE, HeaderValue::from(age));
        status.append_to(response.headers_mut());
        Some(response)
    };
    if let Some(answer) = preconditions(asked, head) {
        return finish(answer);
    }
    let wanted = wanted_ranges(asked, head);
    if let Some(part) = &head.part {
        let range = match (&wanted, part.complete) {
            (Some(wanted), Some(len)) => match range::select(wanted, len) {
                range::Selected::One(range) => range,
                _ => return None,
            },
            _ => return None,
        };
        if range.start < part.range.start || range.end > part.range.end {
            return None;
        }
        let within = range.start - part.range.start..range.end - part.range.start;
        return finish(one_range(asked, head, &stored.body, within, &range, part.complete?));
    }
    if let Some(wanted) = wanted
        && let Some(answer) = ranges(shared, asked, head, &stored.body, &wanted)
    {
        return finish(answer);
    }
    let mut response = Response::new(whole(asked, head, &stored.body));
    *response.status_mut() = head.status;
    *response.headers_mut() = head.fields.clone();
    if head.derived.is_some() {
        response.extensions_mut().insert(StoredForm);
    }
    if has_length(head) {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(stored.body.len()));
    }
    finish(response)
}

/// The answer from a response whose content is still coming.
pub(crate) fn from_fill<B>(
    shared: &Shared,
    asked: Asked<'_>,
    fill: &Arc<Fill>,
    status: CacheStatus<'_>,
) -> Option<Response<CacheBody<B>>> {
    let head = &fill.head;
    let now = shared.wall();
    let key = shared.rules.show_key.then(|| head.key.url());
    let ttl = Some(head.lifetime.ttl(now));
    let status = CacheStatus { ttl, key: key.as_deref(), ..status };
    let finish = |mut response: Response<CacheBody<B>>| {
        response.headers_mut().insert(AGE, HeaderValue::from(head.lifetime.age(now).as_secs()));
        status.append_to(response.headers_mut());
        Some(response)
    };
    if let Some(answer) = preconditions(asked, head) {
        return finish(answer);
    }
    let mut response = Response::new(CacheBody::empty());
    *response.headers_mut() = head.fields.clone();
    if let Some(part) = &head.part {
        // A slice: whoever reads it has asked for just this range.
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let fields = response.headers_mut();
        fields.insert(CONTENT_RANGE, range::content_range(&part.range, part.complete?));
        fields.insert(CONTENT_LENGTH, HeaderValue::from(part.range.end - part.range.start));
        *response.body_mut() = CacheBody::boxed(FillReader::new(fill, None)?);
        return finish(response);
    }
    if let (Some(wanted), Some(len)) = (wanted_ranges(asked, head), fill.len) {
        match range::select(&wanted, len) {
            range::Selected::One(range) => {
                let reader = FillReader::new(fill, Some(range.clone()))?;
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                let fields = response.headers_mut();
                fields.insert(CONTENT_RANGE, range::content_range(&range, len));
                fields.insert(CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
                *response.body_mut() = CacheBody::boxed(reader);
                return finish(response);
            }
            range::Selected::Unsatisfiable => return finish(unsatisfiable(head, len)),
            // Several ranges would have to wait for one another: the whole is an answer as well.
            range::Selected::Whole | range::Selected::Many(_) => {}
        }
    }
    *response.status_mut() = head.status;
    if let (Some(len), true) = (fill.len, has_length(head)) {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(len));
    }
    if asked.wants_content() {
        *response.body_mut() = CacheBody::boxed(FillReader::new(fill, None)?);
    }
    finish(response)
}

/// 504: nothing stored, and upstream must not be asked (RFC 9111 section 5.2.1.7).
pub(crate) fn only_if_cached<B>(status: &CacheStatus<'_>) -> Response<CacheBody<B>> {
    let refusal = Refusal::new(StatusCode::GATEWAY_TIMEOUT, "only_if_cached");
    let mut response = refusal.into_response::<CacheBody<B>>().map(|_| CacheBody::empty());
    status.append_to(response.headers_mut());
    response
}

/// 400: the request's content broke off.
pub(crate) fn incomplete<B>() -> Response<CacheBody<B>> {
    let refusal = Refusal::new(StatusCode::BAD_REQUEST, "content_incomplete").close();
    refusal.into_response::<CacheBody<B>>().map(|_| CacheBody::empty())
}

/// 500: what should have answered has panicked in somebody else's hands.
pub(crate) fn lost<B>() -> Response<CacheBody<B>> {
    let refusal = Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "proxy_internal_error");
    refusal.into_response::<CacheBody<B>>().map(|_| CacheBody::empty())
}

fn preconditions<B>(asked: Asked<'_>, head: &StoredHead) -> Option<Response<CacheBody<B>>> {
    let received = head.lifetime.response_time;
    match conditional::evaluate(asked.fields, &head.fields, head.status, received) {
        Precondition::Proceed => None,
        Precondition::NotModified => {
            let mut response = Response::new(CacheBody::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            *response.headers_mut() = validation::not_modified_fields(&head.fields);
            Some(response)
        }
        Precondition::Failed => {
            let mut response = Response::new(CacheBody::empty());
            *response.status_mut() = StatusCode::PRECONDITION_FAILED;
            Some(response)
        }
    }
}

/// The ranges that a request asks for, where they apply (RFC 9110 sections 13.1.5 and 14.2).
fn wanted_ranges(asked: Asked<'_>, head: &StoredHead) -> Option<range::RangeSet> {
    if *asked.method != Method::GET
        || !asked.fields.contains_key(RANGE)
        || !(head.status == StatusCode::OK || head.part.is_some())
        || !range::if_range_holds(asked.fields, &head.fields, head.lifetime.response_time)
    {
        return None;
    }
    range::parse(asked.fields)
}

fn whole<B>(asked: Asked<'_>, head: &StoredHead, body: &StoredBody) -> CacheBody<B> {
    if !asked.wants_content() {
        return CacheBody::empty();
    }
    match body {
        StoredBody::Memory { chunks, len } if head.trailers.is_none() => {
            CacheBody::chunks(Arc::clone(chunks), *len)
        }
        _ => {
            let mut segments = Segments::new();
            segments.stored(body, 0..body.len());
            segments.trailers(head.trailers.clone());
            CacheBody::boxed(segments)
        }
    }
}

/// A response whose status goes with content has its length.
fn has_length(head: &StoredHead) -> bool {
    head.trailers.is_none()
        && head.status != StatusCode::NO_CONTENT
        && head.status != StatusCode::NOT_MODIFIED
}

fn ranges<B>(
    shared: &Shared,
    asked: Asked<'_>,
    head: &StoredHead,
    body: &StoredBody,
    wanted: &range::RangeSet,
) -> Option<Response<CacheBody<B>>> {
    let len = body.len();
    match range::select(wanted, len) {
        range::Selected::Whole => None,
        range::Selected::One(range) => {
            Some(one_range(asked, head, body, range.clone(), &range, len))
        }
        range::Selected::Many(ranges) => Some(many_ranges(shared.draw(), head, body, &ranges)),
        range::Selected::Unsatisfiable => Some(unsatisfiable(head, len)),
    }
}

/// One range; `within` the stored content, `range` of the representation.
fn one_range<B>(
    asked: Asked<'_>,
    head: &StoredHead,
    body: &StoredBody,
    within: Range<u64>,
    range: &Range<u64>,
    complete: u64,
) -> Response<CacheBody<B>> {
    let mut segments = Segments::new();
    if asked.wants_content() {
        segments.stored(body, within);
    }
    let mut response = Response::new(pieces(segments));
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    let fields = response.headers_mut();
    fields.clone_from(&head.fields);
    fields.insert(CONTENT_RANGE, range::content_range(range, complete));
    fields.insert(CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
    response
}

fn many_ranges<B>(
    seed: u128,
    head: &StoredHead,
    body: &StoredBody,
    ranges: &[Range<u64>],
) -> Response<CacheBody<B>> {
    let multipart = Multipart::new(seed, ranges, body.len(), head.fields.get(CONTENT_TYPE));
    let mut segments = Segments::new();
    for (before, range) in multipart.parts() {
        segments.bytes(before.clone());
        segments.stored(body, range.clone());
    }
    segments.bytes(multipart.end());
    let mut response = Response::new(CacheBody::boxed(segments));
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    let fields = response.headers_mut();
    fields.clone_from(&head.fields);
    fields.insert(CONTENT_TYPE, multipart.content_type());
    fields.insert(CONTENT_LENGTH, HeaderValue::from(multipart.total_len()));
    response
}

fn unsatisfiable<B>(head: &StoredHead, len: u64) -> Response<CacheBody<B>> {
    let mut response = Response::new(CacheBody::empty());
    *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
    let fields = response.headers_mut();
    fields.insert(CONTENT_RANGE, range::unsatisfied(len));
    if let Some(units) = head.fields.get(ACCEPT_RANGES) {
        fields.insert(ACCEPT_RANGES, units.clone());
    }
    response
}

fn pieces<B>(segments: Segments) -> CacheBody<B> {
    match segments.as_single() {
        Some(single) => CacheBody::full(single),
        None => CacheBody::boxed(segments),
    }
}
