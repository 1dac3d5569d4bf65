//! What requests may look like, as a layer.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::Body as AxumBody;
use axum::routing::any;
use bytes::Bytes;
use http::{HeaderName, Method, Request, Response};
use http_body::Body as _;
use http_body_util::{BodyExt, StreamBody};
use proxy_core::hygiene::{HygieneLayer, Role};
use proxy_core::trust::{AddressSource, ClientAddrLayer};
use proxy_core::{Exchange, IpSet, Refusal, Verdict};
use proxy_filter::input::{ContentSchema, InputLayer, InputRules, JsonRules};
use proxy_testkit::{ExchangeBuilder, LayerContract};
use tower::{Layer, ServiceExt, service_fn};

/// Accepts objects only.
#[derive(Debug)]
struct Objects;

impl ContentSchema for Objects {
    fn accepts(&self, content: &[u8]) -> Option<bool> {
        let value: serde_json::Value = serde_json::from_slice(content).ok()?;
        Some(value.is_object())
    }
}

type Content = StreamBody<stream::Pieces>;

mod stream {
    use std::collections::VecDeque;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use bytes::Bytes;
    use http_body::Frame;
    use proxy_core::BoxError;

    /// Pieces of content.
    pub(super) struct Pieces(pub(super) VecDeque<Bytes>);

    impl futures_util::Stream for Pieces {
        type Item = Result<Frame<Bytes>, BoxError>;
        fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
        }
    }
}

fn pieces(text: &str, size: usize) -> Content {
    let pieces = text.as_bytes().chunks(size.max(1)).map(Bytes::copy_from_slice).collect();
    StreamBody::new(stream::Pieces(pieces))
}

/// What becomes of a request: the status, the reason of a refusal, and what the inner service read.
async fn judged(rules: &InputRules, request: Request<Content>) -> (u16, &'static str, String) {
    let inner = service_fn(|request: Request<_>| async move {
        let body: proxy_filter::input::InputBody<Content> = request.into_body();
        let text =
            body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        Ok::<_, Infallible>(Response::new(http_body_util::Full::new(text)))
    });
    let response = InputLayer::new(rules.clone()).layer(inner).oneshot(request).await;
    let Ok(response) = response;
    let reason = response.extensions().get::<Refusal>().map_or("", |refusal| refusal.reason);
    let status = response.status().as_u16();
    let text = response
        .into_body()
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    (status, reason, String::from_utf8_lossy(&text).into_owned())
}

fn json(text: &str, piece: usize) -> Request<Content> {
    let request = Request::post("/").header("content-type", "application/json");
    request.body(pieces(text, piece)).expect("a request")
}

fn get(target: &str) -> Request<Content> {
    Request::get(target).body(pieces("", 1)).expect("a request")
}

#[tokio::test]
async fn it_keeps_the_contract_of_layers() {
    let rules = InputRules {
        methods: vec![Method::GET, Method::HEAD],
        parameters: Some(2),
        ..InputRules::default()
    };
    let sizes = LayerContract::new(InputLayer::new(rules))
        .refuses(|| Request::put("/").body(()).unwrap())
        .refuses(|| Request::get("/?a&b&c").body(()).unwrap())
        .run()
        .await;
    assert!(sizes.response_body.overhead() <= 64);
    assert!(sizes.request_body.overhead() <= 64);
    let watching = InputRules { utf8: true, ..InputRules::default() };
    LayerContract::new(InputLayer::new(watching))
        .request(|| Request::post("/").header("content-type", "text/plain").body(()).unwrap())
        .run()
        .await;
    // With a schema the content is held, and not streamed: no subject for the suite.
}

#[tokio::test]
async fn heads() {
    let rules = InputRules {
        methods: vec![Method::GET, Method::POST],
        target_length: Some(40),
        parameters: Some(3),
        parameter_name_length: Some(4),
        parameter_value_length: Some(5),
        required_parameters: vec!["id".into()],
        utf8: true,
        ..InputRules::default()
    };
    for (target, expected) in [
        ("/?id=1", (200, "")),
        ("/?%69d=1", (200, "")),
        ("/?id=1&a&b", (200, "")),
        ("/?id=1&a&b&c", (400, "too_many_parameters")),
        ("/?id=123456", (400, "parameter_too_long")),
        ("/?id=%31%32%33%34%35", (200, "")),
        ("/?id=1&abcde=1", (400, "parameter_too_long")),
        ("/", (400, "parameter_required")),
        ("/?ID=1", (400, "parameter_required")),
        ("/?id=%ff", (400, "target_not_utf8")),
        ("/%c3%28?id=1", (400, "target_not_utf8")),
        ("/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa?id=12", (200, "")),
        ("/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa?id=12", (414, "target_too_long")),
    ] {
        let (status, reason, _) = judged(&rules, get(target)).await;
        assert_eq!((status, reason), expected, "{target}");
    }
    let put = Request::put("/?id=1").body(pieces("", 1)).expect("a request");
    let layer = InputLayer::new(rules);
    let inner = service_fn(|_| async { Ok::<_, Infallible>(Response::new(String::new())) });
    let Ok(refused) = layer.layer(inner).oneshot(put).await;
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["allow"]),
        (405, &"GET, POST".parse().unwrap())
    );
}

#[tokio::test]
async fn fields() {
    let rules = InputRules {
        fields: Some(2),
        field_length: Some(10),
        fields_size: Some(20),
        required_fields: vec![HeaderName::from_static("x-a")],
        ..InputRules::default()
    };
    for (fields, expected) in [
        (&[("x-a", "1")][..], (200, "")),
        (&[("x-a", "1"), ("x-b", "1")], (200, "")),
        (&[("x-a", "1"), ("x-b", "1"), ("x-b", "2")], (431, "too_many_fields")),
        (&[("x-a", "12345678901")], (431, "field_too_long")),
        (&[("x-a", "1234567890"), ("x-b", "123456")], (431, "fields_too_large")),
        (&[("x-b", "1")], (400, "field_required")),
    ] {
        let mut request = get("/");
        for (name, value) in fields {
            request.headers_mut().append(*name, value.parse().expect("a value"));
        }
        let (status, reason, _) = judged(&rules, request).await;
        assert_eq!((status, reason), expected, "{fields:?}");
    }
}

#[tokio::test]
async fn types_of_content() {
    let rules = InputRules {
        content_types: vec!["application/json".into(), "text/*".into()],
        utf8: true,
        ..InputRules::default()
    };
    for (fields, expected) in [
        (&[("content-type", "application/json")][..], (200, "")),
        (&[("content-type", "Application/JSON; charset=\"UTF-8\"")], (200, "")),
        (&[("content-type", "text/csv")], (200, "")),
        (&[("content-type", "text/plain; charset=latin1")], (415, "charset_not_allowed")),
        (&[("content-type", "application/jsonp")], (415, "content_type_not_allowed")),
        (&[("content-type", "texty/csv")], (415, "content_type_not_allowed")),
        (&[], (415, "content_type_not_allowed")),
        (
            &[("content-type", "text/csv"), ("content-type", "text/csv")],
            (415, "content_type_not_allowed"),
        ),
        (
            &[("content-type", "text/csv"), ("content-encoding", "gzip")],
            (415, "content_coding_not_allowed"),
        ),
    ] {
        let mut request = Request::post("/").body(pieces("{}", 1)).expect("a request");
        for (name, value) in fields {
            request.headers_mut().append(*name, value.parse().expect("a value"));
        }
        let (status, reason, _) = judged(&rules, request).await;
        assert_eq!((status, reason), expected, "{fields:?}");
    }
    // Without content there is nothing to have a type.
    let empty = Request::get("/").body(AxumBody::empty()).expect("a request");
    assert!(empty.body().is_end_stream());
    let app: Router = Router::new().route("/", any(|| async {})).layer(InputLayer::new(rules));
    assert_eq!(app.oneshot(empty).await.expect("an answer").status(), 200);
}

#[tokio::test]
async fn content_is_judged_as_it_passes() {
    let rules = InputRules {
        json: Some(JsonRules { depth: 2, members: 2, string_length: 4 }),
        utf8: true,
        ..InputRules::default()
    };
    for (text, expected) in [
        ("{\"a\": [1, 2]}", (200, "")),
        ("{\"a\": [[1]]}", (422, "json_too_deep")),
        ("{\"a\":1,\"b\":1,\"c\":1}", (422, "json_too_many_members")),
        ("[\"12345\"]", (422, "json_string_too_long")),
        ("{\"a\": 1", (400, "json_malformed")),
        ("{\"a\": 1}}", (400, "json_malformed")),
        ("{\"a\": 1, \"a\": 2}", (422, "json_member_repeated")),
        ("{\"a\": 1, \"\\u0061\": 2}", (422, "json_string_too_long")),
    ] {
        for piece in [1, 3, 100] {
            let (status, reason, read) = judged(&rules, json(text, piece)).await;
            assert_eq!((status, reason), expected, "{text} by {piece}");
            assert!(status != 200 || read == text);
        }
    }
    let broken = pieces_of(&[b"[\"\xc3", b"\x28\"]"]);
    let request = Request::post("/").header("content-type", "application/problem+json");
    let (status, reason, _) = judged(&rules, request.body(broken).expect("a request")).await;
    assert_eq!((status, reason), (400, "content_not_utf8"));
    // What is no JSON and no text is not looked at.
    let request = Request::post("/").header("content-type", "image/png");
    let request = request.body(pieces_of(&[b"\xff\xfe["])).expect("a request");
    assert_eq!(judged(&rules, request).await.0, 200);
}

fn pieces_of(list: &[&'static [u8]]) -> Content {
    let pieces = list.iter().map(|piece| Bytes::from_static(piece)).collect();
    StreamBody::new(stream::Pieces(pieces))
}

#[tokio::test]
async fn a_schema_sees_the_whole_document() {
    let rules =
        InputRules { schema: Some(Arc::new(Objects)), schema_size: 20, ..InputRules::default() };
    for (text, expected) in [
        ("{\"a\": 1}", (200, "")),
        ("[1]", (422, "schema_mismatch")),
        ("{", (400, "json_malformed")),
        // A schema would see the last of them, and who stands behind perhaps the first.
        ("{\"a\":1,\"a\":2}", (422, "json_member_repeated")),
        ("{\"a\": \"more than that\"}", (413, "content_too_large")),
    ] {
        for piece in [1, 100] {
            let (status, reason, read) = judged(&rules, json(text, piece)).await;
            assert_eq!((status, reason), expected, "{text} by {piece}");
            assert!(status != 200 || read == text, "{read}");
        }
    }
    let request = Request::post("/").header("content-type", "text/plain");
    let (status, reason, _) =
        judged(&rules, request.body(pieces("{}", 2)).expect("a request")).await;
    assert_eq!((status, reason), (415, "content_type_not_allowed"));
}

#[tokio::test]
async fn in_axum_a_fault_in_the_content_is_the_answer() {
    let rules = InputRules { json: Some(JsonRules::default()), ..InputRules::default() };
    let app: Router =
        Router::new().route("/", any(|body: String| async { body })).layer(InputLayer::new(rules));
    let post = |text: &'static str| {
        let request = Request::post("/").header("content-type", "application/json");
        request.body(AxumBody::from(text)).expect("a request")
    };
    let status =
        async |text| app.clone().oneshot(post(text)).await.expect("an answer").status().as_u16();
    assert_eq!([status("[1]").await, status("[1").await], [200, 400]);
}

#[tokio::test]
async fn size_of_content() {
    let rules = InputRules { content_size: Some(5), ..InputRules::default() };
    for (text, expected) in [("12345", 200), ("123456", 413)] {
        for piece in [1, 100] {
            let (status, _, read) = judged(&rules, json(text, piece)).await;
            assert_eq!(status, expected, "{text} by {piece}");
            assert!(status != 200 || read == text);
        }
    }
    let announced = Request::post("/").body(AxumBody::from("123456")).expect("a request");
    let app: Router = Router::new().route("/", any(|| async {})).layer(InputLayer::new(rules));
    assert_eq!(app.oneshot(announced).await.expect("an answer").status(), 413);
}

/// What is in the record: verdict and rule of each decision.
fn decisions(exchange: &Exchange) -> Vec<(Verdict, String)> {
    exchange.with_decisions(|all| {
        let all = all.iter().filter(|decision| decision.layer == "input");
        all.map(|one| (one.verdict, one.rule.as_deref().unwrap_or("").to_owned())).collect()
    })
}

#[tokio::test]
async fn reports_pass_and_are_recorded_once() {
    let rules = InputRules {
        methods: vec![Method::POST],
        json: Some(JsonRules { depth: 1, ..JsonRules::default() }),
        schema: Some(Arc::new(Objects)),
        schema_size: 20,
        report: true,
        ..InputRules::default()
    };
    for (method, text, rule) in [
        ("POST", "{\"a\": 1}", ""),
        ("PUT", "{}", "input.method_not_allowed"),
        ("POST", "[[[1]]]", "input.json_too_deep"),
        ("POST", "[", "input.json_malformed"),
        ("POST", "[1]", "input.schema_mismatch"),
        ("POST", "[\"more than is held of it\"]", "input.content_too_large"),
    ] {
        for piece in [1, 100] {
            let mut request = json(text, piece);
            *request.method_mut() = method.parse().expect("a method");
            let exchange = ExchangeBuilder::new().build();
            request.extensions_mut().insert(exchange.clone());
            let (status, _, read) = judged(&rules, request).await;
            assert_eq!((status, read.as_str()), (200, text), "{method} {text}");
            let expected: &[(Verdict, String)] = match rule {
                "" => &[],
                rule => &[(Verdict::Report, rule.to_owned())],
            };
            assert_eq!(decisions(&exchange), expected, "{method} {text} by {piece}");
        }
    }
}

#[tokio::test]
async fn refusals_are_recorded_once() {
    let rules = InputRules { json: Some(JsonRules::default()), ..InputRules::default() };
    let mut request = json("[1,", 1);
    let exchange = ExchangeBuilder::new().build();
    request.extensions_mut().insert(exchange.clone());
    assert_eq!(judged(&rules, request).await.0, 400);
    assert_eq!(decisions(&exchange), [(Verdict::Deny, "input.json_malformed".to_owned())]);
    assert!(exchange.error().is_some());
}

#[tokio::test]
async fn who_asks_what_would_be_is_told_of_the_content_that_would_come() {
    let rules = InputRules { content_types: vec!["text/*".into()], ..InputRules::default() };
    for (kind, verdict, rule) in [
        ("text/plain", Verdict::Allow, ""),
        ("image/png", Verdict::Deny, "input.content_type_not_allowed"),
    ] {
        let exchange = ExchangeBuilder::new().build();
        exchange.set_rehearsal();
        let request = Request::post("/").header("content-type", kind).extension(exchange.clone());
        judged(&rules, request.body(pieces("", 1)).expect("a request")).await;
        assert_eq!(decisions(&exchange), [(verdict, rule.to_owned())], "{kind}");
    }
}

/// Behind hygiene and the client's address, which take fields away and add some.
#[tokio::test]
async fn fields_are_counted_as_they_were_sent() {
    let judged = async |rules: InputRules, fields: &[(&str, &str)]| {
        let inner = service_fn(|_: Request<_>| async {
            Ok::<_, Infallible>(Response::new(http_body_util::Empty::<Bytes>::new()))
        });
        let service = InputLayer::new(rules).layer(inner);
        let service =
            ClientAddrLayer::new(IpSet::default(), AddressSource::XForwardedFor).layer(service);
        let service = HygieneLayer::new(Role::Gateway, "test").layer(service);
        let mut request = Request::get("/").extension(ExchangeBuilder::new().build());
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.body(http_body_util::Empty::<Bytes>::new()).expect("a request");
        let Ok(response) = service.oneshot(request).await;
        response.extensions().get::<Refusal>().map_or("", |refusal| refusal.reason)
    };
    let rules = || InputRules {
        fields: Some(2),
        field_length: Some(8),
        fields_size: Some(22),
        ..InputRules::default()
    };
    let host = ("host", "a.test");
    assert_eq!(judged(rules(), &[host, ("x-one", "1")]).await, "");
    assert_eq!(judged(rules(), &[host, ("x-one", "1"), ("x-two", "1")]).await, "too_many_fields");
    // One that does not go on counts, too.
    assert_eq!(judged(rules(), &[host, ("te", "trailers"), ("a", "1")]).await, "too_many_fields");
    assert_eq!(judged(rules(), &[host, ("a", "123456789")]).await, "field_too_long");
    assert_eq!(judged(rules(), &[host, ("x-long", "1234567")]).await, "fields_too_large");
}
