//! Who passes, with what, and what others get.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::header::{LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use proxy_core::{Body, BoxError, Refusal, SystemClock, Verdict};
use proxy_testkit::{ExchangeBuilder, LayerContract};
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
async fn app(request: Request<Full<bytes::Bytes>>) -> Result<Response<Body>, Infallible> {
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

#[tokio::test]
async fn who_may_passes_with_the_fields_of_the_answer() {
    let (auth, asked) = auth(204, &[("x-user", "ann"), ("x-other", "no")], "");
    assert_eq!(ask(auth, request()).await.1, "x-user=ann");
    let asked = asked.lock().unwrap();
    let (method, target, fields) = &asked[0];
    assert_eq!((method.as_str(), target.as_str()), ("GET", "/verify?a=b"));
    for (name, expected) in [
        ("host", Some("app.test")),
        ("cookie", Some("a=b")),
        ("content-length", None),
        ("if-none-match", None),
        ("connection", None),
        ("x-hop", None),
        ("x-user", None),
        ("x_user", None),
        ("x-forwarded-method", Some("POST")),
        ("x-forwarded-uri", Some("/path?query")),
        ("x-forwarded-host", Some("app.test")),
        ("x-forwarded-proto", Some("http")),
    ] {
        assert_eq!(fields.get(name).map(|value| value.to_str().unwrap()), expected, "{name}");
    }
}

#[tokio::test]
async fn what_is_sent_can_be_chosen_and_what_a_proxy_in_front_said_kept() {
    let (auth, asked) = auth(204, &[], "");
    let asks = asks().sends([HeaderName::from_static("cookie")]).keeps_forwarded();
    ask_with(auth, asks, request()).await;
    let asked = asked.lock().unwrap();
    let fields = &asked[0].2;
    let mut names: Vec<_> = fields.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    let told = ["x-forwarded-host", "x-forwarded-method", "x-forwarded-proto", "x-forwarded-uri"];
    assert_eq!(names, [&["cookie", "host"][..], &told].concat());
    // A layer above made it anew, or would have removed it: of the request itself it is not known.
    assert_eq!(fields["x-forwarded-host"], "app.test");
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
    let fields = &[("location", "/login"), ("set-cookie", "c=d"), ("x-secret", "s")];
    for status in [401, 403, 429, 302, 307] {
        let (auth, _) = auth(status, fields, "sign in");
        let (head, content) = ask(auth, request()).await;
        assert_eq!((head.status().as_u16(), content.as_str()), (status, "sign in"));
        assert_eq!(head.headers()[LOCATION], "/login");
        assert_eq!(head.headers()[SET_COOKIE], "c=d");
        assert_eq!(head.headers()["cache-control"], "no-store");
        assert!(!head.headers().contains_key("x-secret"));
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
