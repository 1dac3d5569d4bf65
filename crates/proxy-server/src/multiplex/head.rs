//! Request heads, held to the limits and the rules of the HTTP/1 edge.
//!
//! The h2 crate, or the HTTP/3 edge's reading of pseudo fields, has judged before: pseudo fields,
//! names in lower case, control bytes in values, fields of a connection, `TE`. What they refuse
//! they reset, or end the connection for; no request is seen.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, COOKIE};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Method, Version};
use proxy_core::framing::{judge_target, sanitise_target};
use proxy_core::{Fault, HeadLimits};

/// The bytes of a request line beside method and target: `SP SP HTTP/1.1 CRLF`.
const LINE: usize = 12;
/// The bytes of a field line beside name and value: `": "` and CRLF.
const FIELD_LINE: usize = 4;

/// Judges a head, and brings its target to the one form that HTTP/1's has.
pub(crate) fn judge(head: &mut Parts, limits: &HeadLimits) -> Result<(), Fault> {
    debug_assert!(head.version >= Version::HTTP_2);
    let connect = head.method == Method::CONNECT;
    let authority = head.uri.authority().map_or("", |authority| authority.as_str());
    let path = head.uri.path_and_query().map_or("", PathAndQuery::as_str);
    let target = if connect { authority } else { path };
    if head.method.as_str().len() + target.len() + LINE > limits.line {
        return Err(Fault::LineTooLong);
    }
    judge_size(head, authority, limits)?;
    if head.headers.values().any(|value| has_outer_space(value.as_bytes())) {
        return Err(Fault::FieldValue);
    }
    if connect {
        // That the authority is one, hygiene checks for every target.
        return match head.headers.contains_key(CONTENT_LENGTH) {
            true => Err(Fault::ConnectContent),
            // RFC 9113 section 8.5.
            false if authority.is_empty() => Err(Fault::Target),
            false => Ok(()),
        };
    }
    if path == "*" {
        return Ok(());
    }
    let clean = sanitise_target(path.as_bytes());
    judge_target(&clean)?;
    if let std::borrow::Cow::Owned(clean) = clean {
        let mut parts = head.uri.clone().into_parts();
        let path = PathAndQuery::from_maybe_shared(Bytes::from(clean));
        parts.path_and_query = Some(path.map_err(|_| Fault::Target)?);
        head.uri = http::Uri::from_parts(parts).map_err(|_| Fault::Target)?;
    }
    Ok(())
}

/// Number and bytes of the fields, as HTTP/1 would write them. A client splits `Cookie` into as
/// many fields as it likes (RFC 9113 section 8.2.3): they count as the one that they become.
fn judge_size(head: &Parts, authority: &str, limits: &HeadLimits) -> Result<(), Fault> {
    let crumbs = head.headers.get_all(COOKIE).iter().count();
    let mut count = head.headers.len() - crumbs.saturating_sub(1);
    let mut size = 0;
    if !authority.is_empty() {
        count += 1;
        size += "host".len() + authority.len() + FIELD_LINE;
    }
    if count > limits.fields {
        return Err(Fault::TooManyFields);
    }
    for (name, value) in &head.headers {
        size += name.as_str().len() + value.len() + FIELD_LINE;
    }
    if size > limits.fields_size { Err(Fault::FieldsTooLarge) } else { Ok(()) }
}

/// RFC 9113 section 8.2.1: HTTP/1 would cut it off, so that two readers see two values.
fn has_outer_space(value: &[u8]) -> bool {
    let space = |b: Option<&u8>| matches!(b, Some(b' ' | b'\t'));
    space(value.first()) || space(value.last())
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue, Request};

    use super::*;

    fn judged(method: &str, target: &str, fields: &HeaderMap) -> Result<String, Fault> {
        let request = Request::builder().version(Version::HTTP_2).method(method).uri(target);
        let (mut head, ()) = request.body(()).expect("a request").into_parts();
        head.headers = fields.clone();
        let limits = HeadLimits { line: 200, fields: 4, fields_size: 100 };
        judge(&mut head, &limits).map(|()| head.uri.to_string())
    }

    #[test]
    fn targets_are_judged_as_those_of_http1() {
        let none = HeaderMap::new();
        let good = [
            ("http://a.test/b?c=d", "http://a.test/b?c=d"),
            ("http://a.test/\"b\"", "http://a.test/%22b%22"),
            ("*", "*"),
        ];
        for (target, clean) in good {
            assert_eq!(judged("GET", target, &none).as_deref(), Ok(clean), "{target}");
        }
        for target in ["http://a.test/\u{e9}", "http://a.test/?\u{e9}"] {
            assert_eq!(judged("GET", target, &none), Err(Fault::Target), "{target}");
        }
        let long = format!("http://a.test/{}", "x".repeat(200));
        assert_eq!(judged("GET", &long, &none), Err(Fault::LineTooLong));
    }

    #[test]
    fn fields_are_counted_as_those_of_http1() {
        let fields = |lines: &[(&str, &str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in lines {
                let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
                map.append(name, HeaderValue::from_str(value).expect("a value"));
            }
            map
        };
        let judged = |lines: &[(&str, &str)]| judged("GET", "http://a.test/", &fields(lines));
        let crumbs = [("cookie", "a=b"); 5];
        assert!(judged(&crumbs).is_ok());
        assert!(judged(&[("a", ""), ("b", ""), ("c", "")]).is_ok());
        // With `:authority` they are five.
        let four = [("a", ""), ("b", ""), ("c", ""), ("d", "")];
        assert_eq!(judged(&four), Err(Fault::TooManyFields));
        assert_eq!(judged(&[("a", &"x".repeat(90))]), Err(Fault::FieldsTooLarge));
        for value in [" x", "x ", "\tx", " "] {
            assert_eq!(judged(&[("a", value)]), Err(Fault::FieldValue), "{value:?}");
        }
    }

    #[test]
    fn connect_has_no_length() {
        let mut fields = HeaderMap::new();
        assert!(judged("CONNECT", "a.test:443", &fields).is_ok());
        fields.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        assert_eq!(judged("CONNECT", "a.test:443", &fields), Err(Fault::ConnectContent));
    }
}
