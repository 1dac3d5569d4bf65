//! What the other service is asked.

use std::borrow::Cow;

use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT,
    FORWARDED, HOST, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE,
    PROXY_AUTHORIZATION, RANGE, TRAILER, VIA,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use proxy_core::fields::{list, remove_hop_by_hop};
use proxy_core::{Body, Exchange};

use super::ForwardAuth;

/// Fields about the content, about what of a representation is wanted, and for another recipient.
const NOT_SENT: [HeaderName; 14] = [
    ACCEPT_ENCODING,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    EXPECT,
    IF_MATCH,
    IF_MODIFIED_SINCE,
    IF_NONE_MATCH,
    IF_RANGE,
    IF_UNMODIFIED_SINCE,
    PROXY_AUTHORIZATION,
    RANGE,
    TRAILER,
    HeaderName::from_static("content-range"),
];

const METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
const URI: HeaderName = HeaderName::from_static("x-forwarded-uri");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Sent whatever is chosen: who asks, through whom, and by what name logs and traces know it.
const ALWAYS_SENT: [HeaderName; 6] = [
    HOST,
    HeaderName::from_static("x-forwarded-for"),
    FORWARDED,
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("traceparent"),
    VIA,
];

/// What the client proves itself by: the service is asked about nothing else, also where it
/// answers with another proof.
const CREDENTIALS: [HeaderName; 2] = [AUTHORIZATION, COOKIE];

/// Fields by which services are told what was asked for, in other set-ups than this one. From a
/// client they would have another request judged than the one that is served.
const OTHER_NAMES: [&str; 4] =
    ["x-auth-request-redirect", "x-host", "x-http-host-override", "x-replaced-path"];
const OTHER_PREFIXES: [&str; 3] = ["x-original-", "x-rewrite-", "x-envoy-original-"];

/// The question about a request, whose fields are as they came. It has no [`Exchange`]: it is no
/// attempt at the request. `None` where the target can not be told: about another one it is not
/// asked.
pub(super) fn of<B>(request: &Request<B>, asks: &ForwardAuth) -> Option<Request<Body>> {
    let came = request.headers();
    let mut fields = came.clone();
    remove_hop_by_hop(&mut fields);
    if let Some(names) = &asks.sends {
        fields = chosen(&fields, names.iter().chain(&ALWAYS_SENT));
    }
    remove_where(&mut fields, |name| !is_sent(name, asks));

    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let target = HeaderValue::from_bytes(target.as_bytes()).ok()?;
    let method = HeaderValue::from_str(request.method().as_str()).ok()?;
    let scheme = Exchange::of(request).map_or("http", |own| own.connection().scheme);
    let proto = came.get(PROTO).filter(|_| asks.keeps_forwarded).cloned();
    // The host by which the request was routed and is served, whatever a proxy in front says:
    // about another one nobody may be asked.
    let authority = || HeaderValue::from_str(request.uri().authority()?.as_str()).ok();
    let host = came.get(HOST).cloned().or_else(authority);
    if came.get(FORWARDED_HOST) != host.as_ref() {
        remove_forwarded_host(&mut fields);
    }
    for (name, value) in [
        (METHOD, Some(method)),
        (URI, Some(target)),
        (PROTO, Some(proto.unwrap_or(HeaderValue::from_static(scheme)))),
        (HOST, host.clone()),
        (FORWARDED_HOST, host),
    ] {
        // What the client says of this is never passed on, also where there is nothing to say.
        match value {
            Some(value) => drop(fields.insert(name, value)),
            None => drop(fields.remove(name)),
        }
    }
    let mut question = Request::new(Body::empty());
    *question.method_mut() = Method::GET;
    *question.uri_mut() = Uri::from(asks.target.clone());
    *question.headers_mut() = fields;
    Some(question)
}

fn is_sent(name: &HeaderName, asks: &ForwardAuth) -> bool {
    if NOT_SENT.contains(name) || (asks.is_own(name) && !CREDENTIALS.contains(name)) {
        return false;
    }
    let text = name.as_str();
    let plain = match text.contains('_') {
        true => Cow::Owned(text.replace('_', "-")),
        false => Cow::Borrowed(text),
    };
    if OTHER_NAMES.contains(&&*plain) || OTHER_PREFIXES.iter().any(|own| plain.starts_with(own)) {
        return false;
    }
    // Where a layer above made them anew they are no client's word; in other spellings they are.
    let claims = plain == "forwarded" || plain.starts_with("x-forwarded-");
    !claims || (asks.keeps_forwarded && plain == text)
}

/// Removes what `Forwarded` says of the host (RFC 7239 section 5.3).
fn remove_forwarded_host(fields: &mut HeaderMap) {
    if !fields.contains_key(FORWARDED) {
        return;
    }
    let names_host = |pair: &&str| {
        pair.split_once('=').is_some_and(|(name, _)| name.trim().eq_ignore_ascii_case("host"))
    };
    let others = |element: &str| {
        let pairs: Vec<&str> = element.split(';').filter(|pair| !names_host(pair)).collect();
        pairs.join(";")
    };
    let elements: Vec<String> = list(fields, &FORWARDED).map(others).collect();
    match HeaderValue::try_from(elements.join(", ")) {
        Ok(value) => fields.insert(FORWARDED, value),
        Err(_) => fields.remove(FORWARDED),
    };
}

/// These fields, with all their values. A name that comes twice is one.
pub(super) fn chosen<'a>(
    fields: &HeaderMap,
    names: impl IntoIterator<Item = &'a HeaderName>,
) -> HeaderMap {
    let mut chosen = HeaderMap::new();
    for name in names {
        if chosen.contains_key(name) {
            continue;
        }
        for value in fields.get_all(name) {
            chosen.append(name, value.clone());
        }
    }
    chosen
}

/// Removes the fields of which this holds.
pub(super) fn remove_where(fields: &mut HeaderMap, goes: impl Fn(&HeaderName) -> bool) {
    let going: Vec<HeaderName> = fields.keys().filter(|name| goes(name)).cloned().collect();
    for name in going {
        fields.remove(name);
    }
}
