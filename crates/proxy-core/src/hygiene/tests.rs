//! Requests in, what goes on or the refusal out.

use http::{Method, Request, Response, StatusCode, Version};
use tower::{Layer, ServiceExt, service_fn};

use super::*;
use crate::body::Body;

type Seen = Result<Request<Body>, (StatusCode, &'static str)>;

async fn pass(role: Role, request: Request<Body>) -> Seen {
    let inner = service_fn(|request: Request<Body>| async move {
        Ok::<_, std::convert::Infallible>(
            Response::new(Body::empty()).map(|_| Some(request)).map(Carrier),
        )
    });
    let response =
        HygieneLayer::new(role, "us").layer(inner).oneshot(request).await.expect("infallible");
    if let Some(refusal) = response.extensions().get::<Refusal>() {
        return Err((refusal.status, refusal.reason));
    }
    match response.into_body() {
        Reply::Inner { body: Carrier(request) } => Ok(request.expect("a request")),
        Reply::Made { .. } => Err((StatusCode::OK, "answered")),
    }
}

struct Carrier(Option<Request<Body>>);

fn request(line: &str, lines: &[(&str, &str)]) -> Request<Body> {
    let (method, target) = line.split_once(' ').expect("a line");
    let mut builder = Request::builder()
        .method(Method::from_bytes(method.as_bytes()).expect("method"))
        .uri(target);
    for (name, value) in lines {
        builder = builder.header(*name, *value);
    }
    builder.body(Body::empty()).expect("a request")
}

fn text<'a>(request: &'a Request<Body>, name: &str) -> Option<&'a str> {
    request.headers().get(name).map(|v| v.to_str().expect("text"))
}

#[tokio::test]
async fn refusals() {
    use Role::{Forward, Gateway};
    let h = ("host", "a.test");
    for (role, line, lines, status, reason) in [
        (Gateway, "GET /", &[][..], 400, "host_missing"),
        (Gateway, "GET /", &[h, h], 400, "host_repeated"),
        (Gateway, "GET /", &[("host", "a@b")], 400, "host"),
        (Gateway, "GET /", &[("host", "a,b")], 400, "host"),
        (Gateway, "GET /", &[("host", "")], 400, "host"),
        (Gateway, "CONNECT a.test:443", &[h], 405, "connect_on_gateway"),
        (Gateway, "GET *", &[h], 400, "asterisk_form"),
        (Forward, "GET /", &[h], 400, "origin_form_on_forward_listener"),
        (Forward, "CONNECT a.test", &[h], 400, "connect_without_port"),
        (Forward, "GET http://u@a.test/", &[h], 400, "target"),
        (Forward, "GET https://a.test/", &[h], 400, "scheme"),
        (Forward, "GET ftp://a.test/", &[h], 400, "scheme"),
        (Gateway, "GET /%00", &[h], 400, "path_nul"),
        (Gateway, "GET /../x", &[h], 400, "path_above_root"),
        (Gateway, "GET /a%2fb", &[h], 400, "path_encoded_slash"),
        (Gateway, "POST /", &[h, ("expect", "200-ok")], 417, "expectation"),
        (
            Gateway,
            "GET /",
            &[h, ("upgrade", "websocket"), ("connection", "upgrade")],
            501,
            "websocket",
        ),
        (Gateway, "GET /", &[h, ("via", "1.1 other, 1.1 US (x)")], 508, "proxy_loop_detected"),
        (Gateway, "GET /", &[h, ("via", "1.1 x (\u{e9}), 1.1 us")], 508, "proxy_loop_detected"),
        (Gateway, "GET /", &[("host", "a.test..")], 400, "host"),
        (Gateway, "POST /", &[h, ("expect", "100-continue"), ("expect", "x")], 417, "expectation"),
        (Gateway, "POST /", &[h, ("transfer-encoding", "cow, chunked")], 400, "transfer_encoding"),
        (
            Gateway,
            "POST /",
            &[h, ("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
            400,
            "transfer_encoding",
        ),
        (
            Gateway,
            "POST /",
            &[h, ("content-length", "1"), ("content-length", "1")],
            400,
            "content_length",
        ),
        (Gateway, "TRACE /", &[h, ("content-length", "1")], 400, "trace_with_content"),
        (Gateway, "TRACE /", &[h, ("max-forwards", "-1")], 400, "max_forwards"),
        (Gateway, "TRACE /", &[h, ("max-forwards", "0")], 200, "answered"),
        (Gateway, "OPTIONS *", &[h, ("max-forwards", "0")], 200, "answered"),
    ] {
        let seen = pass(role, request(line, lines)).await;
        let expected = (StatusCode::from_u16(status).expect("status"), reason);
        assert_eq!(seen.err(), Some(expected), "{role:?} {line} {lines:?}");
    }
}

#[tokio::test]
async fn twenty_hops_are_enough() {
    let hops = |n| vec!["1.1 x"; n].join(", ");
    let with = |n| request("GET /", &[("host", "a"), ("via", &hops(n))]);
    assert!(pass(Role::Gateway, with(20)).await.is_ok());
    let refused = pass(Role::Gateway, with(21)).await;
    assert_eq!(refused.err(), Some((StatusCode::LOOP_DETECTED, "too_many_hops")));
}

/// INTERFACE "Loops": two proxyd in a row work.
#[tokio::test]
async fn via_grows() {
    let seen = pass(Role::Gateway, request("GET /", &[("host", "a"), ("via", "1.0 first")])).await;
    assert_eq!(text(&seen.expect("passed"), "via"), Some("1.0 first, 1.1 us"));
}

/// INTERFACE "Upgrade": a Host that differs from an absolute-form target is replaced by it.
#[tokio::test]
async fn the_target_wins_over_host() {
    let absolute = request("GET http://b.test:81/x?y", &[("host", "a.test")]);
    let seen = pass(Role::Forward, absolute).await.expect("passed");
    assert_eq!(text(&seen, "host"), Some("b.test:81"));
    assert_eq!(seen.uri(), "http://b.test:81/x?y");
    let absolute = request("GET http://b.test/x/../y?z", &[("host", "a.test")]);
    let seen = pass(Role::Gateway, absolute).await.expect("passed");
    assert_eq!((text(&seen, "host"), seen.uri().to_string().as_str()), (Some("b.test"), "/y?z"));
}

#[tokio::test]
async fn hop_by_hop_fields_end_here() {
    let seen = pass(
        Role::Gateway,
        request(
            "POST /",
            &[
                ("host", "a"),
                ("connection", "x-mine, te"),
                ("x-mine", "1"),
                ("te", "trailers"),
                ("upgrade", "h2c"),
                ("keep-alive", "5"),
                ("trailer", "x-sum"),
                ("accept", "*/*"),
                ("transfer-encoding", "chunked"),
            ],
        ),
    )
    .await
    .expect("passed");
    let mut names: Vec<_> = seen.headers().keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["accept", "host", "trailer", "via"]);
}

#[tokio::test]
async fn http_10_goes_on_as_11() {
    let mut old = request("GET /", &[("expect", "100-continue")]);
    *old.version_mut() = Version::HTTP_10;
    let seen = pass(Role::Gateway, old).await.expect("passed");
    assert_eq!(seen.version(), Version::HTTP_11);
    assert_eq!((text(&seen, "via"), text(&seen, "expect")), (Some("1.0 us"), None));
}

#[tokio::test]
async fn max_forwards_counts_down() {
    let seen =
        pass(Role::Gateway, request("OPTIONS *", &[("host", "a"), ("max-forwards", "3")])).await;
    assert_eq!(text(&seen.expect("passed"), "max-forwards"), Some("2"));
}

#[tokio::test]
async fn http2_authority_and_host_must_agree() {
    let h2 = |host: &[(&str, &str)]| {
        let mut request = request("GET http://a.test/x", host);
        *request.version_mut() = Version::HTTP_2;
        request
    };
    let seen = pass(Role::Gateway, h2(&[])).await.expect("passed");
    assert_eq!((text(&seen, "host"), seen.uri().path()), (Some("a.test"), "/x"));
    let seen = pass(Role::Gateway, h2(&[("cookie", "a=1"), ("cookie", "b=2")])).await;
    assert_eq!(text(&seen.expect("passed"), "cookie"), Some("a=1; b=2"));
    for (scheme, role) in [("ftp", Role::Gateway), ("https", Role::Forward)] {
        let mut other = request(&format!("GET {scheme}://a.test/x"), &[]);
        *other.version_mut() = Version::HTTP_2;
        assert_eq!(pass(role, other).await.err(), Some((StatusCode::BAD_REQUEST, "scheme")));
    }
    let seen = pass(Role::Gateway, h2(&[("host", "b.test")])).await;
    assert_eq!(seen.err(), Some((StatusCode::BAD_REQUEST, "host_differs")));
    let mut neither = request("GET /x", &[]);
    *neither.version_mut() = Version::HTTP_2;
    let seen = pass(Role::Gateway, neither).await;
    assert_eq!(seen.err(), Some((StatusCode::BAD_REQUEST, "host_missing")));
}

/// RFC 7838 section 3.
#[test]
fn the_alternative_is_on_the_port_that_was_asked() {
    for (host, due) in [
        ("a.test", Some("h3=\":443\"; ma=60")),
        ("a.test:8443", Some("h3=\":8443\"; ma=60")),
        ("[::1]:8443", Some("h3=\":8443\"; ma=60")),
        ("a.test:0", None),
        ("a b", None),
    ] {
        let host = http::HeaderValue::from_str(host).expect("a value");
        let value = alternative(Some(&host), 60);
        assert_eq!(value.as_ref().and_then(|v| v.to_str().ok()), due, "{host:?}");
    }
    assert_eq!(alternative(None, 60), None);
}
