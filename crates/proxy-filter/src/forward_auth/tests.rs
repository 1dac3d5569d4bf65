//! Who passes, with what, and what others get.

mod questions;

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::header::{LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use proxy_core::{Body, BoxError, ErrorKind, ProxyError, Refusal, SystemClock, Verdict};
use proxy_testkit::{ExchangeBuilder, LayerContract, ScriptedBody, Step};
use tower::{ServiceExt, service_fn};
use tower_layer::Layer;
use tower_service::Service;

use super::*;

type Asked = Arc<Mutex<Vec<(Method, String, HeaderMap)>>>;

/// Answers with this, and keeps what it was asked.
fn auth(
    status: u16,
    fields: &'static [(&'static str, &'static str)],
    content: impl Into<bytes::Bytes>,
) -> (
    impl Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static,
    Asked,
) {
    let asked = Asked::default();
    let (kept, content) = (Arc::clone(&asked), content.into());
    let service = service_fn(move |request: Request<Body>| {
        let (parts, _) = request.into_parts();
        kept.lock().unwrap().push((parts.method, parts.uri.to_string(), parts.headers));
        let mut response = Response::builder().status(status);
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        std::future::ready(Ok(response.body(Body::full(content.clone())).unwrap()))
    });
    (service, asked)
}

/// Says who it was told asks.
async fn app(
    request: Request<ForwardAuthBody<Full<bytes::Bytes>>>,
) -> Result<Response<Body>, Infallible> {
    let users = request.headers().iter().filter(|(name, _)| name.as_str().contains("user"));
    let users = users.map(|(name, user)| format!("{name}={}", user.to_str().unwrap()));
    let users: Vec<String> = users.collect();
    Ok(Response::new(Body::full(users.join(","))))
}

fn asks() -> ForwardAuth {
    ForwardAuth::new("/verify?a=b".parse().unwrap()).copies(["x-user".parse().unwrap()])
}

async fn ask_with<A>(
    auth: A,
    asks: ForwardAuth,
    request: Request<Full<bytes::Bytes>>,
) -> (Response<()>, String)
where
    A: Service<Request<Body>, Response = Response<Body>> + Clone + Send + Sync + 'static,
    A::Future: Send,
    A::Error: Into<BoxError>,
{
    let layer = ForwardAuthLayer::new(auth, asks, Arc::new(SystemClock));
    let Ok(response) = layer.layer(service_fn(app)).oneshot(request).await;
    let (parts, body) = response.into_parts();
    let content = body.collect().await.unwrap().to_bytes();
    (Response::from_parts(parts, ()), String::from_utf8(content.to_vec()).unwrap())
}

async fn ask<A>(auth: A, request: Request<Full<bytes::Bytes>>) -> (Response<()>, String)
where
    A: Service<Request<Body>, Response = Response<Body>> + Clone + Send + Sync + 'static,
    A::Future: Send,
    A::Error: Into<BoxError>,
{
    ask_with(auth, asks(), request).await
}

fn request() -> Request<Full<bytes::Bytes>> {
    Request::post("/path?query")
        .header("host", "app.test")
        .header("cookie", "a=b")
        .header("content-length", "3")
        .header("if-none-match", "\"x\"")
        .header("connection", "x-hop")
        .header("x-hop", "1")
        .header("x-user", "forged")
        .header("x_user", "forged too")
        .header("x-forwarded-method", "forged")
        .header("x-forwarded-proto", "https")
        .body("abc".into())
        .unwrap()
}

#[tokio::test]
async fn it_keeps_the_contract() {
    let (auth, _) = auth(200, &[], "");
    let layer = ForwardAuthLayer::new(auth, asks(), Arc::new(SystemClock));
    LayerContract::new(layer).defers().run().await;
    let (auth, _) = self::auth(500, &[], "");
    let layer = ForwardAuthLayer::new(auth, asks(), Arc::new(SystemClock));
    let denied = layer.layer(service_fn(app)).oneshot(request()).await;
    assert_eq!(denied.map(|response| response.status().as_u16()), Ok(503));
}

/// A shared cache behind us would hand one client's session to all.
#[tokio::test]
async fn a_response_with_a_renewed_session_is_private() {
    let says = |value: &'static str, cookie: bool| async move {
        let fields: &[_] = if cookie { &[("set-cookie", "s=1")] } else { &[("x-user", "ann")] };
        let (auth, _) = auth(204, fields, "");
        let app = service_fn(move |_: Request<ForwardAuthBody<Full<bytes::Bytes>>>| async move {
            let mut response = Response::new(Body::empty());
            for name in ["cache-control", "cdn-cache-control", "surrogate-control"] {
                response.headers_mut().insert(name, value.parse().unwrap());
            }
            Ok::<_, Infallible>(response)
        });
        let asks = asks().returns([SET_COOKIE]);
        let layer = ForwardAuthLayer::new(auth, asks, Arc::new(SystemClock));
        let Ok(response) = layer.layer(app).oneshot(request()).await;
        let fields = response.headers();
        let cdn = ["cdn-cache-control", "surrogate-control"].map(|name| fields.contains_key(name));
        (fields["cache-control"].to_str().unwrap().to_owned(), cdn)
    };
    let expected = |text: &str| (text.to_owned(), [false, false]);
    assert_eq!(says("public, max-age=60, s-maxage=9", true).await, expected("max-age=60, private"));
    assert_eq!(says("no-store", true).await, expected("no-store, private"));
    assert_eq!(says("Private=\"set-cookie\"", true).await, expected("private"));
    assert_eq!(says("public", false).await, ("public".to_owned(), [true, true]));
}

/// The connection of an answer of which something is left unread can not be used again.
#[tokio::test(start_paused = true)]
async fn content_of_an_answer_that_lets_pass_is_read_within_bounds() {
    for (steps, ended) in [
        (vec![Step::data("OK"), Step::Yield, Step::data("!")], true),
        (vec![Step::data("OK"), Step::Never], false),
        (vec![Step::Data(vec![b'x'; 20_000].into()), Step::data("more")], false),
    ] {
        let body = ScriptedBody::new(steps).end_unknown();
        let (probe, body) = (body.probe(), Arc::new(Mutex::new(Some(body))));
        let auth = service_fn(move |_: Request<Body>| {
            let body = body.lock().unwrap().take().unwrap();
            std::future::ready(Ok::<_, Infallible>(Response::new(Body::new(body))))
        });
        assert_eq!(ask(auth, request()).await.0.status(), 200);
        assert_eq!((probe.is_ended(), probe.is_dropped()), (ended, true));
    }
}

#[tokio::test]
async fn the_record_says_why_there_is_no_decision() {
    let reason = |kind: Option<ErrorKind>| async move {
        let auth = service_fn(move |_: Request<Body>| async move {
            let answer = Response::builder().status(418).body(Body::empty()).unwrap();
            kind.map_or(Ok(answer), |kind| Err(ProxyError::new(kind)))
        });
        let exchange = ExchangeBuilder::new().build();
        let mut request = request();
        request.extensions_mut().insert(exchange.clone());
        ask(auth, request).await;
        exchange.with_decisions(|all| all[0].reason.to_string())
    };
    assert_eq!(reason(None).await, "unexpected_status: 418");
    assert_eq!(reason(Some(ErrorKind::ConnectionRefused)).await, "no_answer: connection_refused");
}

#[tokio::test]
async fn a_field_that_the_answer_does_not_have_is_not_the_clients() {
    let (auth, _) = auth(200, &[], "");
    assert_eq!(ask(auth, request()).await.1, "");
}

#[tokio::test]
async fn a_renewed_session_comes_to_the_client_and_the_user_into_the_record() {
    let (auth, _) = auth(200, &[("set-cookie", "s=1"), ("set-cookie", "t=2"), ("x-u", "ann")], "");
    let asks = asks().returns([SET_COOKIE]).user("x-u".parse().unwrap());
    let exchange = ExchangeBuilder::new().build();
    let mut request = request();
    request.extensions_mut().insert(exchange.clone());
    let (head, _) = ask_with(auth, asks, request).await;
    let cookies: Vec<_> = head.headers().get_all(SET_COOKIE).iter().collect();
    assert_eq!(cookies, ["s=1", "t=2"]);
    assert_eq!(exchange.user().map(|user| &**user), Some("ann"));
    exchange.with_decisions(|all| assert_eq!(all[0].verdict, Verdict::Allow));
}

#[tokio::test]
async fn who_may_not_gets_the_answer() {
    const PAGE: [(&str, &str); 7] = [
        ("content-security-policy", "default-src 'self'"),
        ("x-frame-options", "DENY"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("content-encoding", "gzip"),
        ("access-control-allow-origin", "https://app.test"),
        ("access-control-allow-credentials", "true"),
    ];
    const FIELDS: &[(&str, &str)] = &[
        PAGE[0],
        PAGE[1],
        PAGE[2],
        PAGE[3],
        PAGE[4],
        PAGE[5],
        PAGE[6],
        ("location", "/login"),
        ("set-cookie", "c=d"),
        ("x-secret", "s"),
    ];
    for status in [401, 403, 429, 302, 307] {
        let (auth, _) = auth(status, FIELDS, "sign in");
        let (head, content) = ask(auth, request()).await;
        assert_eq!((head.status().as_u16(), content.as_str()), (status, "sign in"));
        assert_eq!(head.headers()[LOCATION], "/login");
        assert_eq!(head.headers()[SET_COOKIE], "c=d");
        assert_eq!(head.headers()["cache-control"], "no-store");
        assert!(!head.headers().contains_key("x-secret"));
        for (name, value) in PAGE {
            assert_eq!(head.headers()[name], value, "{name}");
        }
    }
    // HEAD has the length of the content, and no content (RFC 9110 section 9.3.2).
    let (auth, _) = auth(401, &[], "sign in");
    let mut head = request();
    *head.method_mut() = Method::HEAD;
    let (head, content) = ask(auth, head).await;
    assert_eq!((content.as_str(), &head.headers()["content-length"]), ("", &"7".parse().unwrap()));
}

#[tokio::test]
async fn content_that_is_too_large_does_not_come_half() {
    let (auth, _) = auth(403, &[], vec![b'x'; MAX_CONTENT + 1]);
    let (head, content) = ask(auth, request()).await;
    assert_eq!((head.status().as_u16(), content.len()), (403, 0));
    let (auth, _) = self::auth(403, &[], vec![b'x'; MAX_CONTENT]);
    assert_eq!(ask(auth, request()).await.1.len(), MAX_CONTENT);
}

#[tokio::test(start_paused = true)]
async fn without_a_decision_nobody_passes() {
    let unavailable = |head: &Response<()>| {
        let refusal = head.extensions().get::<Refusal>().expect("a refusal");
        assert_eq!(refusal.reason, "authorization_unavailable");
        assert_eq!(head.status(), StatusCode::SERVICE_UNAVAILABLE);
    };
    for status in [500, 404, 304, 101] {
        let (auth, _) = auth(status, &[], "");
        unavailable(&ask(auth, request()).await.0);
    }
    let fails = service_fn(|_: Request<Body>| async { Err::<Response<Body>, _>("broken") });
    unavailable(&ask(fails, request()).await.0);
    let never =
        service_fn(|_: Request<Body>| std::future::pending::<Result<Response<Body>, Infallible>>());
    unavailable(&ask(never, request()).await.0);
}

#[tokio::test]
async fn routes_have_their_own_and_others_are_not_asked_about() {
    let ((one, asked), (other, other_asked)) = (auth(204, &[], ""), auth(403, &[], ""));
    let clock: Arc<dyn proxy_core::Clock> = Arc::new(SystemClock);
    let layer =
        ForwardAuthLayer::for_routes().route("one", erased(one), asks(), Arc::clone(&clock), None);
    let layer = layer.route("other", erased(other), asks(), clock, None);
    let mut statuses = Vec::new();
    for route in [Some("one"), Some("other"), Some("third"), None] {
        let exchange = ExchangeBuilder::new().build();
        if let Some(route) = route {
            exchange.set_route(route.into());
        }
        let mut request = request();
        request.extensions_mut().insert(exchange);
        let Ok(response) = layer.layer(service_fn(app)).oneshot(request).await;
        statuses.push(response.status().as_u16());
    }
    assert_eq!(statuses, [200, 403, 200, 200]);
    assert_eq!((asked.lock().unwrap().len(), other_asked.lock().unwrap().len()), (1, 1));
}

/// Both as one type.
fn erased<S>(
    service: S,
) -> tower::util::BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send,
{
    tower::util::BoxCloneSyncService::new(service)
}
