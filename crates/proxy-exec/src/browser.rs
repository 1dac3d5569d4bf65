//! Who may have a browser ask: pages of other sites may not, unless they are named; and a name that
//! was made to point at this machine is not taken for it.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use proxy_core::target::Authority;
use proxy_core::{Exchange, Refusal};

use crate::config::Origins;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What a program may be asked with.
const METHODS: [Method; 6] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

/// Refuses what a page of another site makes a browser ask.
pub(crate) fn judge<B>(
    request: &Request<B>,
    origins: &Origins,
    any_host: bool,
) -> Result<(), Refusal> {
    // A preflight is no wish to run it, and TRACE would show fields that are not the page's.
    if !METHODS.contains(request.method()) {
        let allow = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
        let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed");
        return Err(refusal.field(header::ALLOW, allow));
    }
    let exchange = Exchange::of(request);
    let authority = match request.uri().authority() {
        Some(authority) => Some(authority.as_str()),
        None => request.headers().get(header::HOST).and_then(|host| host.to_str().ok()),
    };
    let scheme = exchange.map_or("http", |exchange| exchange.connection().scheme);
    if !is_allowed(request.headers(), origins, scheme, authority) {
        return Err(Refusal::new(StatusCode::FORBIDDEN, "cross_site"));
    }
    let local = exchange.and_then(|exchange| exchange.connection().local);
    // Where nobody knows, it is taken for one.
    let on_loopback = local.is_none_or(|local| local.ip().to_canonical().is_loopback());
    if on_loopback && !any_host && !authority.is_some_and(is_loopback) {
        return Err(Refusal::new(StatusCode::MISDIRECTED_REQUEST, "host_not_local"));
    }
    Ok(())
}

fn is_allowed(
    fields: &HeaderMap,
    origins: &Origins,
    scheme: &str,
    authority: Option<&str>,
) -> bool {
    let listed = match origins {
        Origins::Any => return true,
        Origins::Same => &[][..],
        Origins::Listed(list) => list,
    };
    let text = |name| fields.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or("null"));
    // Over clear text browsers say no `Sec-Fetch-Site`, and with a GET no `Origin`; where the page
    // has not forbidden it, they name the page.
    let origin = text(header::ORIGIN).or_else(|| text(header::REFERER).map(origin_of));
    if origin.is_some_and(|origin| listed.iter().any(|own| own.eq_ignore_ascii_case(origin))) {
        return true;
    }
    // `none`: typed, or a bookmark.
    match fields.get(&SEC_FETCH_SITE).map(http::HeaderValue::as_bytes) {
        Some(b"same-origin" | b"none") => return true,
        Some(_) => return false,
        None => {}
    }
    match (origin, authority) {
        (None, _) => true,
        (Some(origin), Some(authority)) => {
            let own = origin.split_once("://");
            own.is_some_and(|(own_scheme, own_authority)| {
                // TLS may have ended before us.
                (own_scheme == scheme || own_scheme == "https")
                    && own_authority.eq_ignore_ascii_case(authority)
            })
        }
        (Some(_), None) => false,
    }
}

/// The scheme and the authority of a URL.
fn origin_of(url: &str) -> &str {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url[start..].find(['/', '?', '#']).map_or(url.len(), |at| start + at);
    &url[..end]
}

fn is_loopback(authority: &str) -> bool {
    let Some(authority) = Authority::parse(authority) else { return false };
    let host = authority.host.trim_start_matches('[').trim_end_matches(']');
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_other_sites_are_refused() {
        let listed = Origins::Listed(vec!["https://app.test".into()]);
        for (site, origin, origins, expected) in [
            (None, None, &Origins::Same, true),
            (Some("none"), None, &Origins::Same, true),
            (Some("same-origin"), Some("http://me.test"), &Origins::Same, true),
            (Some("cross-site"), None, &Origins::Same, false),
            (Some("same-site"), None, &Origins::Same, false),
            (Some("nonsense"), None, &Origins::Same, false),
            (None, Some("http://me.test"), &Origins::Same, true),
            (None, Some("http://ME.test"), &Origins::Same, true),
            (None, Some("https://me.test"), &Origins::Same, true),
            (None, Some("http://me.test:81"), &Origins::Same, false),
            (None, Some("http://other.test"), &Origins::Same, false),
            (None, Some("null"), &Origins::Same, false),
            (Some("cross-site"), Some("https://app.test"), &listed, true),
            (Some("cross-site"), Some("https://app.test.evil"), &listed, false),
            (Some("cross-site"), None, &listed, false),
            (Some("cross-site"), Some("http://evil"), &Origins::Any, true),
        ] {
            let mut fields = HeaderMap::new();
            if let Some(site) = site {
                fields.insert(SEC_FETCH_SITE, HeaderValue::from_static(site));
            }
            if let Some(origin) = origin {
                fields.insert(header::ORIGIN, HeaderValue::from_static(origin));
            }
            let found = is_allowed(&fields, origins, "http", Some("me.test"));
            assert_eq!(found, expected, "{site:?} {origin:?} {origins:?}");
        }
    }

    #[test]
    fn the_page_is_asked_for_where_its_origin_is_not_said() {
        let listed = Origins::Listed(vec!["https://app.test".into()]);
        for (referer, origins, expected) in [
            ("http://me.test/page?x=http://evil.test", &Origins::Same, true),
            ("http://me.test", &Origins::Same, true),
            ("http://evil.test/http://me.test", &Origins::Same, false),
            ("http://me.test.evil.test/", &Origins::Same, false),
            ("http://me.test@evil.test/", &Origins::Same, false),
            ("about:blank", &Origins::Same, false),
            ("", &Origins::Same, false),
            ("https://app.test/page", &listed, true),
            ("https://evil.test/page", &listed, false),
        ] {
            let mut fields = HeaderMap::new();
            fields.insert(header::REFERER, HeaderValue::from_static(referer));
            assert_eq!(
                is_allowed(&fields, origins, "http", Some("me.test")),
                expected,
                "{referer}"
            );
        }
    }

    #[test]
    fn without_a_word_of_where_it_came_to_it_is_this_machine() {
        let status = |request: http::request::Builder, any_host| {
            let request = request.body(()).unwrap();
            judge(&request, &Origins::Same, any_host).err().map(|refusal| refusal.status.as_u16())
        };
        let named = |host: &str| Request::get("/").header("host", host);
        assert_eq!(status(named("localhost:3000"), false), None);
        assert_eq!(status(named("rebound.test:3000"), false), Some(421));
        assert_eq!(status(Request::get("/"), false), Some(421));
        assert_eq!(status(named("a.test"), true), None);
        for method in ["OPTIONS", "TRACE", "CONNECT", "BREW"] {
            assert_eq!(status(named("localhost").method(method), true), Some(405), "{method}");
        }
    }

    #[test]
    fn names_of_this_machine() {
        for own in
            ["localhost", "LOCALHOST:80", "a.localhost", "127.0.0.1:80", "127.9.9.9", "[::1]:80"]
        {
            assert!(is_loopback(own), "{own}");
        }
        for other in ["a.test", "localhost.a.test", "10.0.0.1", "127.0.0.1.a.test", "[::2]", ""] {
            assert!(!is_loopback(other), "{other}");
        }
    }
}
