//! What a request that changes things makes invalid (RFC 9111 section 4.4).

use http::{HeaderMap, Method, StatusCode, Uri, header};

use super::references::{is_same, is_same_origin, resolve};

/// Whether the method is known to be safe, so that it changes nothing: those of RFC 9110 section
/// 9.2.1, QUERY, and the safe ones of WebDAV in the method registry. Any other, known or not,
/// invalidates.
pub fn is_safe(method: &Method) -> bool {
    matches!(
        method.as_str(),
        "GET" | "HEAD" | "OPTIONS" | "TRACE" | "QUERY" | "PROPFIND" | "REPORT" | "SEARCH"
    )
}

/// The URIs whose stored responses a request makes invalid: none for a safe method or where the
/// answer is an error; otherwise the target, and what `Location` and `Content-Location` name on the
/// same origin. To be given to
/// [`Lifetime::invalidate`](super::lifetime::Lifetime::invalidate) or removed.
pub fn targets(
    method: &Method,
    status: StatusCode,
    target: &Uri,
    response: &HeaderMap,
) -> Vec<Uri> {
    // Section 4.4: a non-error response is one with a status of 2xx or 3xx.
    if is_safe(method) || !(status.is_success() || status.is_redirection()) {
        return Vec::new();
    }
    let mut found = vec![target.clone()];
    for name in [header::LOCATION, header::CONTENT_LOCATION] {
        for value in response.get_all(name) {
            match resolve(target, value.as_bytes()) {
                // Another origin's responses are not this one's to invalidate.
                Some(uri)
                    if is_same_origin(&uri, target)
                        && !found.iter().any(|known| is_same(known, &uri)) =>
                {
                    found.push(uri);
                }
                _ => {}
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn what_changes_things_invalidates() {
        type Lines = &'static [(&'static str, &'static str)];
        const HERE: &str = "http://a.test/x/y?q";
        const CASES: &[(&str, u16, Lines, &[&str], &str)] = &[
            ("POST", 200, &[], &[HERE], "RFC 9111 4.4"),
            ("PUT", 204, &[], &[HERE], "4.4"),
            ("DELETE", 303, &[], &[HERE], "4.4: 3xx"),
            ("PATCH", 200, &[], &[HERE], "4.4"),
            ("M-SEARCH", 200, &[], &[HERE], "4.4: unknown safety"),
            ("FOO", 200, &[], &[HERE], "4.4: unknown safety"),
            ("get", 200, &[], &[HERE], "RFC 9110 9.1: case-sensitive"),
            ("POST", 400, &[], &[], "4.4: an error"),
            ("POST", 500, &[("location", "/z")], &[], "4.4: an error"),
            ("GET", 200, &[("location", "/z")], &[], "RFC 9110 9.2.1"),
            ("HEAD", 200, &[], &[], "RFC 9110 9.2.1"),
            ("OPTIONS", 200, &[], &[], "RFC 9110 9.2.1"),
            ("TRACE", 200, &[], &[], "RFC 9110 9.2.1"),
            ("QUERY", 200, &[("location", "/z")], &[], "RFC 10008"),
            ("PROPFIND", 207, &[], &[], "method registry"),
            ("POST", 201, &[("location", "/z")], &[HERE, "http://a.test/z"], "4.4"),
            ("PUT", 200, &[("content-location", "z")], &[HERE, "http://a.test/x/z"], "4.4"),
            (
                "POST",
                201,
                &[("location", "HTTP://A.test:80/1#f"), ("content-location", "../2")],
                &[HERE, "http://A.test:80/1", "http://a.test/2"],
                "4.4: the same origin",
            ),
            ("POST", 201, &[("location", "http://b.test/z")], &[HERE], "4.4: another origin"),
            ("POST", 201, &[("location", "https://a.test/z")], &[HERE], "4.4: another origin"),
            ("POST", 201, &[("location", "http://a.test:8080/z")], &[HERE], "4.4"),
            ("POST", 201, &[("location", "//b.test/z")], &[HERE], "4.4"),
            ("POST", 201, &[("location", HERE)], &[HERE], "4.4: the target itself"),
            ("POST", 201, &[("location", "mailto:a@b")], &[HERE], "4.4"),
        ];
        for (method, status, lines, want, section) in CASES {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let response = lines
                .iter()
                .map(|(name, value)| {
                    (HeaderName::from_static(name), HeaderValue::from_static(value))
                })
                .collect();
            let status = StatusCode::from_u16(*status).unwrap();
            let found = targets(&method, status, &Uri::from_static(HERE), &response);
            let want: Vec<Uri> = want.iter().map(|uri| uri.parse().unwrap()).collect();
            assert_eq!(found, want, "{method} {status} {lines:?}: {section}");
        }
    }
}
