//! What becomes of the fields of responses and requests.

mod stage;

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use http_body_util::Full;
use proxy_compress::{
    Coding, CompressConfig, CompressLayer, EncoderLimits, EncoderPool, LoadGuard, LoadLimits,
    Rules, Skip, Unacceptable,
};
use proxy_core::{Refusal, SystemClock};
use proxy_testkit::ManualClock;
use stage::{Origin, content, decoded, get, response, text, through};
use std::sync::Arc;
use std::time::Duration;
use tower::{Layer as _, ServiceExt as _};

const HTML: (&str, &str) = ("content-type", "text/html");

fn page(fields: &[(&str, &str)]) -> Response<Full<Bytes>> {
    let text = text(5000);
    let len = text.len().to_string();
    let mut all = vec![("content-length", len.as_str())];
    if !fields.iter().any(|(name, _)| *name == "content-type") {
        all.push(HTML);
    }
    all.extend(fields);
    response(&all, Full::from(text))
}

#[tokio::test]
async fn the_fields_of_a_coded_response() {
    let layer = CompressLayer::default();
    let fields = [
        ("etag", "\"1\""),
        ("accept-ranges", "bytes"),
        ("repr-digest", "sha-256=:AA==:"),
        ("vary", "origin"),
        ("content-encoding", "identity"),
    ];
    let coded = through(&layer, get(&[("accept-encoding", "gzip, br, zstd")]), page(&fields)).await;
    let have = coded.headers().clone();
    assert_eq!(have["content-encoding"], "zstd");
    assert_eq!(have["etag"], "W/\"1-zstd\"");
    for gone in ["content-length", "accept-ranges", "repr-digest"] {
        assert!(!have.contains_key(gone), "{gone}");
    }
    let vary: Vec<_> = have.get_all("vary").iter().collect();
    assert_eq!(vary, ["origin", "accept-encoding"]);
    let coded = content(coded.into_body()).await.unwrap();
    assert!(coded.len() < 2500 && decoded(&have, &coded) == text(5000));
}

/// It tells caches that there are others, and is otherwise as it was.
#[tokio::test]
async fn the_uncoded_form_of_what_comes_in_several() {
    for takes in ["identity", "deflate", "gzip;q=0"] {
        let request = get(&[("accept-encoding", takes)]);
        let plain = through(&CompressLayer::default(), request, page(&[("etag", "\"1\"")])).await;
        assert_eq!(plain.headers()["vary"], "accept-encoding");
        assert_eq!(plain.headers()["etag"], "\"1\"");
        assert_eq!(plain.headers()["content-length"], "5000");
        assert_eq!(content(plain.into_body()).await.unwrap(), text(5000));
    }
}

#[tokio::test]
async fn what_is_left_alone() {
    let layer = CompressLayer::default();
    for (request, fields) in [
        (&[][..], &[("content-type", "image/png")][..]),
        (&[], &[("content-encoding", "br")]),
        (&[], &[("cache-control", "no-transform")]),
        (&[], &[("set-cookie", "a=b")]),
        (&[], &[("content-range", "bytes 0-4999/10000")]),
        (&[("authorization", "Basic eDp5")], &[]),
        (&[("cache-control", "no-transform")], &[]),
    ] {
        let request = [&[("accept-encoding", "gzip")][..], request].concat();
        let plain = through(&layer, get(&request), page(fields)).await;
        let have = plain.headers();
        assert_eq!(have["content-length"], "5000", "{fields:?}");
        assert!(!have.contains_key("vary"), "{fields:?}");
        assert_eq!(content(plain.into_body()).await.unwrap(), text(5000));
    }
    let skipped: Vec<_> = Skip::ALL.map(|skip| layer.metrics().skipped(skip)).to_vec();
    assert_eq!(skipped, [1, 1, 2, 1, 0, 2, 0, 0]);
}

/// Credentials that a layer outside has verified, and taken off.
#[tokio::test]
async fn what_a_verified_user_gets_is_not_coded() {
    for (user, coded) in [(None, true), (Some("anna"), false)] {
        let exchange = proxy_testkit::ExchangeBuilder::new().build();
        if let Some(user) = user {
            exchange.set_user(user.into());
        }
        let mut request = get(&[("accept-encoding", "gzip")]);
        request.extensions_mut().insert(exchange);
        let layer = CompressLayer::default();
        let response = through(&layer, request, page(&[])).await;
        assert_eq!(response.headers().contains_key("content-encoding"), coded);
        assert_eq!(layer.metrics().skipped(Skip::Secret), u64::from(!coded));
    }
}

/// HEAD says what GET would (RFC 9110 section 9.3.2), and nothing of it is read.
#[tokio::test]
async fn head_agrees_with_get() {
    let layer = CompressLayer::default();
    let mut request = get(&[("accept-encoding", "br")]);
    *request.method_mut() = Method::HEAD;
    let fields = [HTML, ("content-length", "5000"), ("etag", "\"1\"")];
    let head = response(&fields, proxy_testkit::PoisonBody);
    let head = through(&layer, request, head).await;
    let coded =
        through(&layer, get(&[("accept-encoding", "br")]), page(&[("etag", "\"1\"")])).await;
    assert_eq!(head.headers(), coded.headers());
}

#[tokio::test]
async fn a_304_to_who_has_the_coded_form() {
    let mut answer = response(&[("etag", "\"1\"")], Full::<Bytes>::default());
    *answer.status_mut() = StatusCode::NOT_MODIFIED;
    let origin = Origin::new(answer);
    let request = get(&[("accept-encoding", "br, gzip"), ("if-none-match", "W/\"1-gzip\"")]);
    let service = CompressLayer::default().layer(origin.clone());
    let response = service.oneshot(request).await.unwrap();
    assert_eq!(origin.asked().expect("a request")["if-none-match"], "\"1\", W/\"1-gzip\"");
    assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(response.headers()["etag"], "W/\"1-gzip\"");
    assert_eq!(response.headers()["vary"], "accept-encoding");
}

/// What is not worth it is coded for a client that takes nothing else.
#[tokio::test]
async fn a_client_that_refuses_identity() {
    let layer = CompressLayer::default();
    let request = get(&[("accept-encoding", "gzip, identity;q=0")]);
    let small = response(&[("content-type", "image/png")], Full::from("x"));
    let coded = through(&layer, request, small).await;
    let have = coded.headers().clone();
    assert_eq!(have["content-encoding"], "gzip");
    assert_eq!(decoded(&have, &content(coded.into_body()).await.unwrap()), b"x");

    let request = || get(&[("accept-encoding", "deflate, *;q=0")]);
    let plain = through(&layer, request(), page(&[])).await;
    assert_eq!(
        (plain.status(), plain.headers()["content-length"].as_bytes()),
        (StatusCode::OK, &b"5000"[..])
    );

    let config = CompressConfig { unacceptable: Unacceptable::Refuse, ..CompressConfig::default() };
    let origin = Origin::new(page(&[]));
    let refused = CompressLayer::new(config.clone()).layer(origin.clone());
    let refused = refused.oneshot(request()).await.unwrap();
    assert_eq!(refused.status(), StatusCode::NOT_ACCEPTABLE);
    assert!(refused.extensions().get::<Refusal>().is_some());
    assert!(origin.asked().is_none(), "the origin is not asked");
    // What changes something is not refused for its answer's sake.
    let mut post = request();
    *post.method_mut() = Method::POST;
    let answered = through(&CompressLayer::new(config), post, page(&[])).await;
    assert_eq!(answered.status(), StatusCode::OK);
}

#[tokio::test]
async fn order_of_preference_and_secrets() {
    let config = CompressConfig {
        codings: vec![Coding::Gzip, Coding::Brotli],
        eligibility: Arc::new(Rules { secrets: true, min_size: 0, ..Rules::default() }),
        ..CompressConfig::default()
    };
    let layer = CompressLayer::new(config);
    for (takes, expected) in
        [("zstd, br, gzip", "gzip"), ("br, gzip;q=0.9", "br"), ("*", "gzip"), ("X-GZIP", "gzip")]
    {
        let request = get(&[("accept-encoding", takes), ("authorization", "Basic eDp5")]);
        let coded = through(&layer, request, page(&[("set-cookie", "a=b")])).await;
        assert_eq!(coded.headers()["content-encoding"], expected, "{takes}");
    }
}

#[tokio::test]
async fn without_encoders_content_goes_as_it_is() {
    let limits = EncoderLimits { in_use: 1000, ..EncoderLimits::default() };
    let layer = CompressLayer::builder(CompressConfig::default(), Arc::new(SystemClock))
        .pool(EncoderPool::new(limits, None))
        .build();
    let plain = through(&layer, get(&[("accept-encoding", "gzip")]), page(&[])).await;
    assert_eq!(plain.headers()["content-length"], "5000");
    assert_eq!(plain.headers()["vary"], "accept-encoding");
    assert_eq!(layer.metrics().skipped(Skip::Encoders), 1);
}

/// A clock by which every look takes a while.
#[derive(Clone)]
struct Slow(ManualClock);

impl proxy_core::Clock for Slow {
    fn now(&self) -> std::time::Instant {
        self.0.advance(Duration::from_millis(100));
        self.0.now()
    }
    fn wall(&self) -> std::time::SystemTime {
        self.0.wall()
    }
    fn sleep_until(&self, deadline: std::time::Instant) -> proxy_core::Sleep {
        self.0.sleep_until(deadline)
    }
}

#[tokio::test]
async fn under_load_levels_go_down_and_then_coding_stops() {
    let clock = ManualClock::new();
    let slow = Arc::new(Slow(clock.clone()));
    let limits = LoadLimits { share: 10, processors: 1 };
    let layer = CompressLayer::builder(CompressConfig::default(), Arc::new(SystemClock))
        .guard(LoadGuard::new(slow, limits, None))
        .build();
    let ask = || async {
        let page = through(&layer, get(&[("accept-encoding", "gzip")]), page(&[])).await;
        let coded = page.headers().contains_key("content-encoding");
        (coded, content(page.into_body()).await.unwrap().len())
    };
    let mut sizes = Vec::new();
    loop {
        let (coded, size) = ask().await;
        if !coded {
            break;
        }
        sizes.push(size);
        assert!(sizes.len() < 100, "it never stops");
    }
    assert!(sizes.first() < sizes.last(), "the levels went down: {sizes:?}");
    assert_eq!(layer.metrics().skipped(Skip::Load), 1);
    clock.advance(Duration::from_secs(60));
    assert!(ask().await.0, "after a rest it codes again");
}

/// In few words, whatever the client's: a cache inside sees a handful of them.
#[tokio::test]
async fn what_is_inside_is_asked_in_short() {
    let config = CompressConfig { from_inside: true, ..CompressConfig::default() };
    for (takes, expected) in [
        ("gzip, deflate, br;q=0.9, zstd;q=0", "gzip, br"),
        ("*", "zstd, br, gzip"),
        ("deflate", "identity"),
        ("identity, br;q=0.5", "identity"),
    ] {
        let origin = Origin::new(page(&[]));
        let service = CompressLayer::new(config.clone()).layer(origin.clone());
        service.oneshot(get(&[("accept-encoding", takes)])).await.unwrap();
        assert_eq!(origin.asked().expect("a request")["accept-encoding"], expected, "{takes}");
    }
}
