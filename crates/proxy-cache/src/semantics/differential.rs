//! The rules beside those of http-cache-semantics, over combinations of what decides. Every
//! disagreement must be explained by a line of a table, which names the section that says who is
//! right, and every line must be needed.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_cache_semantics::{CacheOptions, CachePolicy};

use super::directives::RequestDirectives;
use super::lifetime::Lifetime;
use super::reuse::{Reuse, reuse};
use super::storability::{RequestView, ResponseView, StorageRules, judge};

mod freshness;
mod not_modified;
mod reuse_later;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_305_600)
}

/// `name: value` lines.
fn fields(texts: &[&str]) -> HeaderMap {
    texts
        .iter()
        .flat_map(|text| text.lines())
        .filter(|line| !line.is_empty())
        .map(|line| {
            let (name, value) = line.split_once(": ").unwrap();
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            (name, HeaderValue::from_str(value).unwrap())
        })
        .collect()
}

fn request(method: &str, headers: HeaderMap) -> Request<()> {
    let mut request = Request::builder().method(method).uri("http://a.test/").body(()).unwrap();
    *request.headers_mut() = headers;
    request
}

fn response(status: u16, headers: HeaderMap) -> Response<()> {
    let mut response = Response::builder().status(status).body(()).unwrap();
    *response.headers_mut() = headers;
    response
}

fn ours(request: &Request<()>, response: &Response<()>) -> Option<Lifetime> {
    judge(
        &RequestView { method: request.method(), headers: request.headers(), personal: false },
        &ResponseView { status: response.status(), headers: response.headers() },
        now(),
        now(),
        &StorageRules::default(),
    )
    .ok()
}

fn theirs(request: &Request<()>, response: &Response<()>) -> CachePolicy {
    CachePolicy::new_options(request, response, now(), CacheOptions::default())
}

/// A reason for which the two may disagree about a case.
struct Explained<C> {
    /// The section that decides, and what it says.
    why: &'static str,
    /// Whether it is the reason here.
    when: fn(&C) -> bool,
}

/// Fails where no line explains a disagreement, or a line explains none.
fn check<C: std::fmt::Debug>(disagreements: &[C], explained: &[Explained<C>]) {
    let open: Vec<_> = disagreements
        .iter()
        .filter(|case| !explained.iter().any(|line| (line.when)(case)))
        .take(20)
        .collect();
    assert!(open.is_empty(), "not explained: {open:#?}");
    for line in explained {
        assert!(disagreements.iter().any(line.when), "not needed: {}", line.why);
    }
}
