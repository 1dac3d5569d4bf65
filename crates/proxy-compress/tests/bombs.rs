//! Coded content that grows beyond all bounds, or is none: as long as nothing has been sent the
//! answer is an error with a reason, later the content breaks off.

mod stage;

use std::future::Future as _;
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Full};
use proxy_compress::decode::{DecodeBody, DecodeLimits};
use proxy_compress::{DecodeError, DecodeLayer};
use proxy_core::{ErrorKind, ProxyError, Refusal};
use proxy_testkit::{ScriptedBody, Step, WakeCount};
use stage::bomb::{bomb, coded_as};
use stage::{content, get, response, text, through};

/// What a client gets that takes none of it.
async fn answered<B>(codings: &str, limits: DecodeLimits, body: B) -> Response<DecodeBody<B>>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<proxy_core::BoxError>,
{
    let answer = response(&[("content-encoding", codings), ("etag", "\"1\"")], body);
    through(&DecodeLayer::new(limits), get(&[("accept-encoding", "identity")]), answer).await
}

fn refusal<B>(response: &Response<B>) -> (&'static str, ErrorKind) {
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    assert!(!response.headers().contains_key("content-encoding"));
    let refusal = response.extensions().get::<Refusal>().expect("a refusal");
    (refusal.reason, refusal.error)
}

const BOMB: (&str, ErrorKind) = ("decompression_bomb", ErrorKind::HttpResponseContentCoding);

#[tokio::test]
async fn a_bomb_is_refused_with_a_reason() {
    for coding in ["gzip", "deflate", "br", "zstd"] {
        let bomb = bomb(coding, 16);
        let whole = answered(coding, DecodeLimits::default(), Full::from(bomb.clone())).await;
        assert_eq!(refusal(&whole), BOMB, "{coding}");
        // In pieces, and with pauses.
        let steps = bomb
            .chunks(1000)
            .flat_map(|piece| [Step::Data(Bytes::copy_from_slice(piece)), Step::Yield]);
        let pieces = ScriptedBody::new(steps);
        let pieces = answered(coding, DecodeLimits::default(), pieces).await;
        assert_eq!(refusal(&pieces), BOMB, "{coding}");
        for outer in ["gzip", "zstd"] {
            let nested = coded_as(outer, &bomb);
            let codings = format!("{coding}, {outer}");
            let nested = answered(&codings, DecodeLimits::default(), Full::from(nested)).await;
            assert_eq!(refusal(&nested), BOMB, "{codings}");
        }
    }
    let size = DecodeLimits { size: 100_000, ..DecodeLimits::default() };
    let large = answered("gzip", size, Full::from(bomb("gzip", 1))).await;
    assert_eq!(refusal(&large).0, "decoded_content_too_large");
    let deep = coded_as("gzip", &coded_as("gzip", &coded_as("gzip", b"x")));
    let deep = answered("gzip, gzip, gzip", DecodeLimits::default(), Full::from(deep)).await;
    assert_eq!(refusal(&deep).0, "content_coding_nested");
}

#[tokio::test]
async fn what_is_not_in_its_coding_is_refused_with_a_reason() {
    let limits = DecodeLimits::default();
    let malformed = answered("gzip", limits, Full::from("no gzip at all")).await;
    assert_eq!(refusal(&malformed).0, "content_coding_malformed");
    let cut = coded_as("gzip", &text(20_000));
    let cut = answered("gzip", limits, Full::from(cut.slice(..cut.len() - 9))).await;
    assert_eq!(refusal(&cut).0, "content_coding_incomplete");
    // A client that takes it gets what there is.
    let answer = response(&[("content-encoding", "gzip")], Full::from("no gzip at all"));
    let answer =
        through(&DecodeLayer::new(limits), get(&[("accept-encoding", "gzip")]), answer).await;
    assert_eq!(content(answer.into_body()).await.unwrap(), "no gzip at all");
}

#[tokio::test]
async fn what_proves_to_be_one_later_breaks_off() {
    let limits = DecodeLimits { grace: 1 << 20, ..DecodeLimits::default() };
    let first = text(50_000);
    let members = [coded_as("gzip", &first), bomb("gzip", 64)].concat();
    let answer = answered("gzip", limits, Full::<Bytes>::from(members)).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let mut body = pin!(answer.into_body());
    let mut seen = Vec::new();
    let error = loop {
        match body.frame().await.expect("no clean end") {
            Ok(frame) => seen.extend(frame.into_data().expect("data")),
            Err(error) => break error,
        }
    };
    assert!(seen.starts_with(&first) && seen.len() < 32 << 20);
    let found = ProxyError::find(&*error).expect("ours");
    assert_eq!(found.kind(), ErrorKind::HttpResponseContentCoding);
    assert_eq!(found.detail_str(), Some("decompression_bomb"));
    let source = std::error::Error::source(found).and_then(|source| source.downcast_ref());
    assert_eq!(source, Some(&DecodeError::Bomb(200)));
    assert!(body.is_end_stream());
}

/// What compresses very well is no bomb as long as there is little of it.
#[tokio::test]
async fn what_looks_like_one_at_first_comes_whole() {
    for (zeros, rest) in [(3 << 20, 0), (3 << 20, 100_000), (200_000, 10)] {
        let whole = [vec![0; zeros], text(rest)].concat();
        for coding in ["gzip", "zstd"] {
            let coded = coded_as(coding, &whole);
            for size in [coded.len(), 700] {
                let steps = coded
                    .chunks(size)
                    .flat_map(|piece| [Step::Data(Bytes::copy_from_slice(piece)), Step::Yield]);
                let body = ScriptedBody::new(steps.chain([Step::trailer("x-sum", "1")]));
                let answer = answered(coding, DecodeLimits::default(), body).await;
                assert_eq!(answer.headers()["etag"], "W/\"1\"");
                let all = answer.into_body().collect().await.unwrap();
                assert_eq!(all.trailers().expect("trailers")["x-sum"], "1");
                assert!(all.to_bytes() == whole, "{coding} {zeros} {rest} {size}");
            }
        }
    }
}

/// A break of the content behind is one here, after what came before it.
#[tokio::test]
async fn a_break_while_the_head_waits() {
    let coded = coded_as("zstd", &vec![0; 100_000]);
    let steps = [Step::Data(coded), Step::Error("the script breaks")];
    let answer = answered("zstd", DecodeLimits::default(), ScriptedBody::new(steps)).await;
    let mut body = pin!(answer.into_body());
    let mut seen = 0;
    let error = loop {
        match body.frame().await.expect("no clean end") {
            Ok(frame) => seen += frame.into_data().expect("data").len(),
            Err(error) => break error,
        }
    };
    assert_eq!((seen, error.to_string().as_str()), (100_000, "the script breaks"));
}

/// The head waits for the first of the content, and for no more; that of events does not wait.
#[tokio::test]
async fn streams_stay_live() {
    let first = coded_as("zstd", b"first");
    for (kind, waits) in [("text/plain", true), ("text/event-stream", false)] {
        let body = ScriptedBody::new([Step::Wait, Step::Data(first.clone()), Step::Never]);
        let probe = body.probe();
        let fields = [("content-encoding", "zstd"), ("content-type", kind)];
        let layer = DecodeLayer::default();
        let mut asked =
            Box::pin(through(&layer, get(&[("accept-encoding", "br")]), response(&fields, body)));
        let wakes = WakeCount::new();
        let answer = match wakes.poll(|cx| asked.as_mut().poll(cx)) {
            Poll::Pending => {
                assert!(waits, "{kind}");
                probe.release();
                asked.await
            }
            Poll::Ready(answer) => {
                assert!(!waits, "{kind}");
                probe.release();
                answer
            }
        };
        let mut body = pin!(answer.into_body());
        let frame = body.frame().await.expect("a frame").unwrap();
        assert_eq!(frame.into_data().expect("data"), "first");
    }
}
