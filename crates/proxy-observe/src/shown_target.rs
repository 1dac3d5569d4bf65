//! Host and target of a request, as lines and records show them. Userinfo is never shown.

use std::borrow::Cow;

use http::uri::Authority;
use http::{Method, Version};
use proxy_core::PathPolicy;

use crate::record::RequestLine;
use crate::redaction::Redaction;

/// Where the request goes to: the target's authority, else `Host`.
pub(crate) fn host(line: &RequestLine) -> Option<&[u8]> {
    let host = match line.target.authority() {
        Some(authority) => without_userinfo(authority).as_bytes(),
        None => line.host.as_ref()?.as_bytes(),
    };
    // A malformed `Host` may have userinfo too.
    Some(host.iter().rposition(|&b| b == b'@').map_or(host, |at| &host[at + 1..]))
}

fn without_userinfo(authority: &Authority) -> &str {
    let whole = authority.as_str();
    whole.rfind('@').map_or(whole, |at| &whole[at + 1..])
}

/// Path and query; of CONNECT host and port. The parts follow one another without anything
/// between them.
pub(crate) fn parts<'a>(
    line: &'a RequestLine,
    policy: PathPolicy,
    redaction: &Redaction,
) -> [Cow<'a, str>; 3] {
    const NONE: Cow<'_, str> = Cow::Borrowed("");
    if line.method == Method::CONNECT
        && let Some(authority) = line.target.authority()
    {
        return [Cow::Borrowed(without_userinfo(authority)), NONE, NONE];
    }
    let path = line.target.path();
    let path = policy.normalise(path).unwrap_or(Cow::Borrowed(path));
    match line.target.query() {
        Some(query) => [path, Cow::Borrowed("?"), redaction.query(query)],
        None => [path, NONE, NONE],
    }
}

/// The version as lines name it.
pub(crate) const fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}
