//! Heads of responses, as clients of HTTP/2 and HTTP/3 get them.

use http::header::{CONTENT_LENGTH, DATE};
use http::response::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body::Body as HttpBody;
use proxy_core::fields;

/// Drops the fields of a connection, which do not exist there, and adds `Date`.
pub(crate) fn prepare(head: &mut Parts) {
    fields::remove_hop_by_hop(&mut head.headers);
    if !head.headers.contains_key(DATE) {
        let now = httpdate::fmt_http_date(std::time::SystemTime::now());
        head.headers.extend(HeaderValue::try_from(now).ok().map(|now| (DATE, now)));
    }
}

/// Says how long content is whose length is known.
pub(crate) fn set_length<B: HttpBody>(status: StatusCode, fields: &mut HeaderMap, content: &B) {
    if has_no_content(status) || content.is_end_stream() || fields.contains_key(CONTENT_LENGTH) {
        return;
    }
    if let Some(length) = content.size_hint().exact() {
        fields.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
}

/// A response with this status has none, whatever its fields say (RFC 9110 section 6.4.1).
pub(crate) const fn has_no_content(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}
