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
use proxy_core::Refusal;
use proxy_filter::input::{ContentSchema, InputLayer, InputRules, JsonRules};
use proxy_testkit::LayerContract;
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
