//! What the other service is asked.

use http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, IF_MATCH,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, PROXY_AUTHORIZATION, RANGE,
    TRAILER,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use proxy_core::fields::remove_hop_by_hop;
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

/// The question about a request. It has no [`Exchange`]: it is no attempt at the request.
pub(super) fn of<B>(request: &Request<B>, asks: &ForwardAuth) -> Request<Body> {
    let mut fields = match &asks.sends {
        None => {
            let mut fields = request.headers().clone();
            remove_hop_by_hop(&mut fields);
            NOT_SENT.iter().for_each(|name| drop(fields.remove(name)));
            fields
        }
        Some(names) => chosen(request.headers(), names.iter().chain([&HOST])),
    };
    let scheme = Exchange::of(request).map_or("http", |own| own.connection().scheme);
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let own =
        |name: &HeaderName| request.headers().get(name).filter(|_| asks.keeps_forwarded).cloned();
    let host = || {
        let authority = || HeaderValue::from_str(request.uri().authority()?.as_str()).ok();
        request.headers().get(HOST).cloned().or_else(authority)
    };
    for (name, value) in [
        (METHOD, HeaderValue::from_str(request.method().as_str()).ok()),
        (URI, HeaderValue::from_str(target).ok()),
        (PROTO, own(&PROTO).or(Some(HeaderValue::from_static(scheme)))),
        (FORWARDED_HOST, own(&FORWARDED_HOST).or_else(host)),
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
    question
}

/// These fields, with all their values.
pub(super) fn chosen<'a>(
    fields: &HeaderMap,
    names: impl IntoIterator<Item = &'a HeaderName>,
) -> HeaderMap {
    let mut chosen = HeaderMap::new();
    for name in names {
        for value in fields.get_all(name) {
            chosen.append(name, value.clone());
        }
    }
    chosen
}
