//! The layers of proxy-core as one stack: what a client gets when something goes wrong inside.

mod front;

use front::{Front, INSIDE, Inside, problem};
use http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, Request, StatusCode};
use http_body::Body as _;
use proxy_core::{ErrorKind, Exchange, Refusal, Verdict};
use proxy_testkit::{ExchangeBuilder, PoisonBody};

fn get(path: &str) -> Request<PoisonBody> {
    Request::get(path).header("host", "a.test").body(PoisonBody).expect("a valid request")
}

fn accepting(accept: &str) -> Request<PoisonBody> {
    let mut request = get("/");
    request.headers_mut().insert("accept", accept.parse().expect("a value"));
    request
}

fn refusing() -> Inside {
    Inside::Refuses(|| {
        Refusal::new(StatusCode::FORBIDDEN, "client_not_allowed")
            .rule("office-only")
            .retry_after(std::time::Duration::from_secs(30))
    })
}

fn with_exchange(mut request: Request<PoisonBody>) -> (Request<PoisonBody>, Exchange) {
    let exchange = ExchangeBuilder::new().id(0xabc).build();
    request.extensions_mut().insert(exchange.clone());
    (request, exchange)
}

#[tokio::test]
async fn a_panic_costs_one_request() {
    for panics in [Inside::PanicsInCall, Inside::PanicsInFuture] {
        let mut front = Front::new(panics);
        let (request, exchange) = with_exchange(get("/"));
        let answer = front.ask(request).await;

        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{panics:?}");
        assert_eq!(answer.field(CONTENT_TYPE), Some("application/problem+json"));
        assert_eq!(answer.field(CONNECTION), Some("close"));
        let status = "edge; error=proxy_internal_error; details=\"proxy_internal_error\"";
        assert_eq!(answer.field("proxy-status"), Some(status));
        assert_eq!(problem(&answer, "status"), Some("500"));
        assert_eq!(problem(&answer, "reason"), Some("\"proxy_internal_error\""));
        assert!(!answer.text().contains(INSIDE), "the panic's message stays inside: {answer:?}");

        assert_eq!(exchange.error(), Some(ErrorKind::ProxyInternalError));
        let denied = exchange.with_decisions(|all| {
            all.iter().any(|d| d.layer == "catch_panic" && d.verdict == Verdict::Deny)
        });
        assert!(denied, "the record names the layer: {panics:?}");

        // The same service, unharmed.
        front.set(Inside::Answers);
        let answer = front.ask(get("/")).await;
        assert_eq!((answer.status, answer.text()), (StatusCode::OK, INSIDE), "{panics:?}");
    }
}

#[tokio::test]
async fn a_panic_without_a_record_is_answered_too() {
    let answer = Front::new(Inside::PanicsInFuture).ask(get("/")).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(problem(&answer, "request_id"), None);
}

#[tokio::test]
async fn a_panic_after_a_wait_is_caught() {
    let answer = Front::new(Inside::PanicsLater).ask(get("/")).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn a_page_is_what_the_client_accepts() {
    for (accept, html) in [
        ("text/html,application/xhtml+xml,*/*;q=0.8", true),
        ("TEXT/HTML", true),
        ("application/json", false),
        ("application/problem+json, text/html;q=0", false),
        ("*/*", false),
        ("", false),
    ] {
        let answer = Front::new(refusing()).ask(accepting(accept)).await;
        let kind = if html { "text/html; charset=utf-8" } else { "application/problem+json" };
        assert_eq!(answer.field(CONTENT_TYPE), Some(kind), "{accept}");
        assert_eq!(answer.text().starts_with("<!doctype html>"), html, "{accept}");
        assert_eq!(answer.text().starts_with('{'), !html, "{accept}");
    }
}

#[tokio::test]
async fn a_page_has_the_fields_of_its_refusal() {
    for accept in ["text/html", "*/*"] {
        let (request, exchange) = with_exchange(accepting(accept));
        let answer = Front::new(refusing()).ask(request).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        let status = "edge; error=http_request_denied; details=\"client_not_allowed\"";
        assert_eq!(answer.field("proxy-status"), Some(status));
        assert_eq!(answer.field(CACHE_CONTROL), Some("no-store"));
        assert_eq!(answer.field(X_CONTENT_TYPE_OPTIONS), Some("nosniff"));
        assert!(answer.field(CONTENT_SECURITY_POLICY).is_some_and(|p| p.contains("'none'")));
        assert_eq!(answer.field(RETRY_AFTER), Some("30"));
        assert_eq!(answer.field(CONNECTION), None, "this refusal does not close");
        assert!(answer.text().contains(&exchange.id().to_string()), "{answer:?}");
        assert!(!answer.text().contains("office-only"), "rules are not for every client");
        assert_eq!(exchange.error(), Some(ErrorKind::HttpRequestDenied));
    }
}

#[tokio::test]
async fn a_trusted_peer_sees_the_rule() {
    let mut request = get("/");
    request.extensions_mut().insert(ExchangeBuilder::new().trusted(true).build());
    let answer = Front::new(refusing()).ask(request).await;
    assert_eq!(problem(&answer, "rule"), Some("\"office-only\""));
}

#[tokio::test]
async fn a_page_is_whole_and_knows_its_length() {
    for accept in ["text/html", "*/*"] {
        let answer = Front::new(refusing()).respond(accepting(accept)).await;
        let exact = answer.body().size_hint().exact();
        assert!(exact.is_some_and(|length| length > 0), "{accept}: {exact:?}");
        assert!(!answer.body().is_end_stream());
    }
}

/// A server sends no content in answer to HEAD, but all the fields (RFC 9110 section 9.3.2), and
/// takes `Content-Length` from the size.
#[tokio::test]
async fn head_gets_the_fields_of_get() {
    for accept in ["text/html", "*/*"] {
        let get = Front::new(refusing()).respond(accepting(accept)).await;
        let mut request = accepting(accept);
        *request.method_mut() = Method::HEAD;
        let head = Front::new(refusing()).respond(request).await;
        assert_eq!(head.status(), get.status());
        assert_eq!(head.headers(), get.headers());
        let (head, get) = (head.body().size_hint().exact(), get.body().size_hint().exact());
        assert!(head == get, "Content-Length would be {head:?} for HEAD, {get:?} for GET");
    }
}

#[tokio::test]
async fn what_is_no_refusal_passes_untouched() {
    let answer = Front::new(Inside::Fails).ask(accepting("text/html")).await;
    assert_eq!((answer.status, answer.text()), (StatusCode::BAD_GATEWAY, INSIDE));
    assert_eq!(answer.field("proxy-status"), None);
    assert_eq!(answer.field(CONTENT_TYPE), None);
}

#[tokio::test]
async fn an_error_from_below_becomes_a_page() {
    let (request, exchange) = with_exchange(get("/"));
    let answer = Front::new(Inside::Errs).ask(request).await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    let status = "edge; error=connection_refused; details=\"connection_refused\"";
    assert_eq!(answer.field("proxy-status"), Some(status));
    assert_eq!(exchange.error(), Some(ErrorKind::ConnectionRefused));
    assert!(!answer.text().contains(INSIDE), "its cause and detail stay inside: {answer:?}");
}

/// A page and its fields hold nothing that the client sent: no reflected content, whatever is
/// wrong with the request.
#[tokio::test]
async fn nothing_of_the_request_is_echoed() {
    const MARK: &str = "m4rk3d";
    let markup = "/%3Cscript%3Em4rk3d?q=m4rk3d";
    for (what, method, target, fields) in [
        ("host missing", "GET", markup, vec![]),
        ("host twice", "GET", markup, vec![("host", "m4rk3d.test"), ("host", "m4rk3d.test")]),
        ("host wrong", "GET", markup, vec![("host", "m4rk3d@\"<>")]),
        ("path above root", "GET", "/../../m4rk3d", vec![("host", "m4rk3d.test")]),
        ("path with NUL", "GET", "/m4rk3d%00", vec![("host", "m4rk3d.test")]),
        ("method", "CONNECT", "m4rk3d.test:443", vec![("host", "m4rk3d.test:443")]),
        ("length", "POST", markup, vec![("host", "m4rk3d.test"), ("content-length", "m4rk3d")]),
        ("coding", "POST", markup, vec![("host", "m4rk3d.test"), ("transfer-encoding", "m4rk3d")]),
        ("expectation", "GET", markup, vec![("host", "m4rk3d.test"), ("expect", "m4rk3d")]),
        ("loop", "GET", markup, vec![("host", "m4rk3d.test"), ("via", "1.1 edge m4rk3d")]),
        (
            "max forwards",
            "OPTIONS",
            markup,
            vec![("host", "m4rk3d.test"), ("max-forwards", "m4rk3d")],
        ),
        ("panic", "M4RK3D", markup, vec![("host", "m4rk3d.test")]),
    ] {
        for accept in ["text/html, m4rk3d/m4rk3d", "m4rk3d/m4rk3d"] {
            let mut request =
                Request::builder().method(method).uri(target).header("accept", accept);
            let claims = ["x-request-id", "traceparent", "forwarded", "x-forwarded-for"];
            let claims = claims.map(|name| (name, MARK));
            for (name, value) in fields.iter().copied().chain(claims) {
                request = request.header(name, value);
            }
            let (request, _) = with_exchange(request.body(PoisonBody).expect("a valid request"));
            let answer = Front::new(Inside::PanicsInFuture).ask(request).await;
            assert!(answer.status.is_client_error() || answer.status.is_server_error(), "{what}");
            assert!(!answer.text().is_empty(), "{what}");
            let shown = format!("{answer:?}").to_ascii_lowercase();
            assert!(!shown.contains(MARK), "{what}: {shown}");
        }
    }
}

#[tokio::test]
async fn a_refusal_keeps_the_fields_that_its_status_needs() {
    let request =
        Request::builder().method("CONNECT").uri("a.test:443").header("host", "a.test:443");
    let answer = Front::new(Inside::Answers).ask(request.body(PoisonBody).expect("valid")).await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(answer.field(ALLOW).is_some_and(|methods| methods.contains("GET")));
    assert_eq!(answer.field(CONNECTION), Some("close"));
}
