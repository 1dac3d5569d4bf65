//! What status codes mean to a cache (RFC 9110 section 15, RFC 9111 section 3).

use http::{HeaderMap, HeaderName, StatusCode, header};

/// Whether the status is final and says something about the resource, not about this one request
/// or connection.
pub(super) fn is_final(request: &HeaderMap, status: StatusCode) -> bool {
    const PRECONDITIONS: [HeaderName; 4] = [
        header::IF_MATCH,
        header::IF_NONE_MATCH,
        header::IF_MODIFIED_SINCE,
        header::IF_UNMODIFIED_SINCE,
    ];
    match status.as_u16() {
        // RFC 9111 section 3: final. RFC 9110 section 15.4.5: a 304 stands for a stored one.
        ..200 | 304 => false,
        // About the connection to us.
        407 => false,
        // RFC 8470 section 5.2; RFC 6585 sections 3 to 6.
        425 | 428 | 429 | 431 | 511 => false,
        // About what this request asked for beside its target.
        412 => !PRECONDITIONS.iter().any(|name| request.contains_key(name)),
        416 => !request.contains_key(header::RANGE),
        417 => !request.contains_key(header::EXPECT),
        _ => true,
    }
}

/// The statuses defined as heuristically cacheable (RFC 9110 section 15.1).
pub(super) const fn is_heuristic(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

/// The statuses whose caching we know and follow, for `must-understand` (RFC 9111 section 5.2.2.3):
/// those of RFC 9110 section 15, and those registered since that ask nothing of caches.
pub(super) const fn is_understood(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200..=206
            | 300..=303
            | 305
            | 307
            | 308
            | 400..=406
            | 408..=417
            | 421
            | 422
            | 423
            | 424
            | 426
            | 451
            | 500..=508
    )
}
