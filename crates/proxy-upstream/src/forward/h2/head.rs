//! Heads: what HTTP/2 wants of a request, and what is wanted of a response.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, TE};
use http::uri::{Authority, Scheme, Uri};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body as _;
use proxy_core::{Body, ErrorKind, HeadLimits, ProxyError, fields};

/// HTTP/2 names scheme and authority in the target, and has no fields of a connection.
pub(super) fn complete(request: &mut Request<Body>, secure: bool) -> Result<(), ProxyError> {
    let length = request.body().size_hint().exact();
    let has_content = matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH);
    let fields = request.headers_mut();
    let host = fields.remove(HOST);
    let trailers = fields.remove(TE);
    fields::remove_hop_by_hop(fields);
    if let Some(trailers) = trailers {
        fields.insert(TE, trailers);
    }
    if let Some(length) = length
        && (length > 0 || has_content)
        && !fields.contains_key(CONTENT_LENGTH)
    {
        fields.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    let mut parts = request.uri().clone().into_parts();
    parts.scheme = Some(if secure { Scheme::HTTPS } else { Scheme::HTTP });
    parts.authority = host.and_then(|h| Authority::try_from(h.as_bytes()).ok());
    *request.uri_mut() = Uri::from_parts(parts)
        .map_err(|e| ProxyError::new(ErrorKind::HttpRequestError).source(e))?;
    *request.version_mut() = http::Version::HTTP_2;
    Ok(())
}

/// The head alone, so that the request is still there if it must go again.
pub(super) fn of(request: &Request<Body>) -> Request<()> {
    let mut head = Request::new(());
    *head.method_mut() = request.method().clone();
    *head.uri_mut() = request.uri().clone();
    *head.version_mut() = request.version();
    head.headers_mut().clone_from(request.headers());
    head
}

/// Judges a response's head as the HTTP/1 edge does; h2 has refused what HTTP/2 itself forbids.
pub(super) fn judge<B>(response: &Response<B>, limits: &HeadLimits) -> Result<(), ProxyError> {
    let fields = response.headers();
    if fields.len() > limits.fields || size(fields) > limits.fields_size {
        return Err(ErrorKind::HttpResponseHeaderSectionSize.into());
    }
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err(ErrorKind::HttpUpgradeFailed.into());
    }
    let outer_space = |value: &HeaderValue| {
        let space = |b: Option<&u8>| matches!(b, Some(b' ' | b'\t'));
        space(value.as_bytes().first()) || space(value.as_bytes().last())
    };
    let mut lengths = fields.get_all(CONTENT_LENGTH).iter();
    let is_number = |v: &HeaderValue| !v.is_empty() && v.as_bytes().iter().all(u8::is_ascii_digit);
    if !lengths.next().is_none_or(is_number) || lengths.next().is_some() {
        return Err(ProxyError::new(ErrorKind::HttpProtocolError).detail("content_length"));
    }
    if fields.values().any(outer_space) {
        return Err(ProxyError::new(ErrorKind::HttpProtocolError).detail("field_value"));
    }
    Ok(())
}

/// The bytes of field lines, as HTTP/1 would write them.
pub(super) fn size(fields: &HeaderMap) -> usize {
    fields.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}

/// What the content of a response is announced to be.
pub(super) fn length(fields: &HeaderMap) -> Option<u64> {
    fields.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// An end of content.
pub(super) const END: Bytes = Bytes::new();
