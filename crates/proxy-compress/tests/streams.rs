//! Content on its way: it stays live, it takes turns, it ends as it should.

mod stage;

use std::pin::{Pin, pin};
use std::task::Poll;

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, Full};
use proptest::prelude::*;
use proxy_compress::decode::{DecodeLimits, Unpacker};
use proxy_compress::{Coding, CompressBody, CompressConfig, CompressLayer, EncoderPool};
use proxy_core::{BoxError, SystemClock};
use proxy_testkit::{ScriptedBody, Step, WakeCount};
use stage::{decoded, feed, get, response, text, through};

const HTML: (&str, &str) = ("content-type", "text/html");
const EVENTS: (&str, &str) = ("content-type", "text/event-stream");

async fn coded<B>(coding: Coding, fields: &[(&str, &str)], body: B) -> Response<CompressBody<B>>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let request = get(&[("accept-encoding", coding.token())]);
    let coded = through(&CompressLayer::default(), request, response(fields, body)).await;
    assert_eq!(coded.headers()["content-encoding"], coding.token());
    coded
}

fn unpacker(fields: &HeaderMap) -> Unpacker {
    Unpacker::new(fields, DecodeLimits::default()).unwrap().expect("a coding")
}

/// Every piece of what is slow can be read when it is there, byte by byte, whatever the type.
#[tokio::test]
async fn a_slow_stream_arrives_byte_by_byte() {
    for coding in Coding::ALL {
        for kind in [HTML, EVENTS] {
            let letters: Vec<u8> = (b'a'..=b'z').collect();
            let steps = letters
                .iter()
                .flat_map(|letter| [Step::Data(Bytes::copy_from_slice(&[*letter])), Step::Wait]);
            let body = ScriptedBody::new(steps.chain([Step::trailer("x-sum", "1")]));
            let probe = body.probe();
            let response = coded(coding, &[kind], body).await;
            let mut unpacker = unpacker(response.headers());
            let mut body = pin!(response.into_body());
            let wakes = WakeCount::new();
            for letter in letters {
                let mut seen = Vec::new();
                while let Poll::Ready(frame) = wakes.poll(|cx| body.as_mut().poll_frame(cx)) {
                    let data = frame.expect("a frame").expect("no error").into_data();
                    seen.extend(feed(&mut unpacker, &data.expect("data")));
                }
                assert_eq!(seen, [letter], "{coding} {kind:?}");
                assert!(probe.is_waiting());
                probe.release();
            }
            let rest = body.collect().await.expect("a clean end");
            assert_eq!(rest.trailers().expect("trailers")["x-sum"], "1");
            feed(&mut unpacker, &rest.to_bytes());
            assert!(unpacker.is_ended());
        }
    }
}

#[tokio::test]
async fn a_break_comes_after_what_came_before_it() {
    for coding in Coding::ALL {
        let steps = [Step::data("what came before"), Step::Error("the script breaks")];
        let response = coded(coding, &[HTML], ScriptedBody::new(steps)).await;
        let mut unpacker = unpacker(response.headers());
        let mut body = pin!(response.into_body());
        let mut seen = Vec::new();
        let error = loop {
            match body.frame().await.expect("no clean end") {
                Ok(frame) => seen.extend(feed(&mut unpacker, &frame.into_data().expect("data"))),
                Err(error) => break error,
            }
        };
        assert_eq!(seen, b"what came before", "{coding}");
        assert!(error.to_string().contains("the script breaks"));
        assert!(body.is_end_stream());
    }
}

/// Digests in the trailer section are of what is no longer there.
#[tokio::test]
async fn trailers_stay_but_for_digests() {
    let mut fields = HeaderMap::new();
    fields.insert("repr-digest", "sha-256=:AA==:".parse().unwrap());
    fields.insert("x-sum", "1".parse().unwrap());
    let body = ScriptedBody::new([Step::data("a"), Step::Trailers(fields)]);
    let response = coded(Coding::Gzip, &[HTML], body).await;
    let all = response.into_body().collect().await.unwrap();
    let left: Vec<_> = all.trailers().expect("trailers").keys().collect();
    assert_eq!(left, ["x-sum"]);
}

/// One poll codes a slice, and asks to be polled again.
#[tokio::test]
async fn a_large_body_takes_turns() {
    for coding in Coding::ALL {
        // So well compressible that frames hardly come about.
        let response = coded(coding, &[HTML], Full::from(vec![b'a'; 4 << 20])).await;
        let fields = response.headers().clone();
        let mut body = pin!(response.into_body());
        let wakes = WakeCount::new();
        let (mut turns, mut content) = (0, Vec::new());
        loop {
            let woken = wakes.count();
            match wakes.poll(|cx| body.as_mut().poll_frame(cx)) {
                Poll::Pending => {
                    assert!(wakes.count() > woken, "{coding}: nobody wakes it");
                    turns += 1;
                }
                Poll::Ready(Some(frame)) => content.extend(frame.unwrap().into_data().unwrap()),
                Poll::Ready(None) => break,
            }
        }
        assert!(turns >= 20, "{coding}: {turns} turns");
        assert!(decoded(&fields, &content) == vec![b'a'; 4 << 20], "{coding}");
    }
}

#[tokio::test]
async fn dropping_it_gives_the_encoder_back() {
    let pool = EncoderPool::default();
    let layer = CompressLayer::builder(CompressConfig::default(), std::sync::Arc::new(SystemClock));
    let layer = layer.pool(pool.clone()).build();
    for coding in Coding::ALL {
        let body = ScriptedBody::new([Step::data("some text"), Step::Never]);
        let probe = body.probe();
        let request = get(&[("accept-encoding", coding.token())]);
        let response = through(&layer, request, response(&[HTML], body)).await;
        let mut body = Box::pin(response.into_body());
        body.frame().await.expect("a frame").unwrap();
        assert_eq!((pool.in_use(), probe.is_dropped()), (1, false));
        drop(body);
        assert_eq!((pool.in_use(), probe.is_dropped()), (0, true));
        // Whole content gives it back before the body is dropped.
        let request = get(&[("accept-encoding", coding.token())]);
        let whole = stage::response(&[HTML], ScriptedBody::new([Step::data("some text")]));
        let mut body = Box::pin(through(&layer, request, whole).await.into_body());
        while body.frame().await.is_some() {}
        assert_eq!(pool.in_use(), 0, "{coding}");
    }
    assert_eq!(layer.metrics().of(Coding::Brotli).responses, 2);
    assert!(layer.metrics().of(Coding::Gzip).bytes_out > 0);
}

/// Content in these pieces, with pauses in between.
struct Pieces(Vec<(Vec<u8>, bool)>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.0.first_mut() {
            Some((_, pause)) if *pause => {
                *pause = false;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Some(_) => Poll::Ready(Some(Ok(Frame::data(self.0.remove(0).0.into())))),
            None => Poll::Ready(None),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However content is cut, it comes back as it was.
    #[test]
    fn whatever_the_pieces(
        lens in prop::collection::vec((0usize..80_000, any::<bool>()), 0..8),
        coding in prop::sample::select(&Coding::ALL[..]),
        noise in any::<bool>(),
    ) {
        let mut whole = text(lens.iter().map(|(len, _)| len).sum());
        if noise {
            let mut state = 1u32;
            for byte in &mut whole {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *byte = (state >> 24) as u8;
            }
        }
        let mut rest = &whole[..];
        let pieces = lens.iter().map(|&(len, pause)| {
            let (piece, after) = rest.split_at(len);
            rest = after;
            (piece.to_vec(), pause)
        });
        let pieces = Pieces(pieces.collect());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let back = runtime.block_on(async {
            let response = coded(coding, &[HTML], pieces).await;
            let fields = response.headers().clone();
            decoded(&fields, &stage::content(response.into_body()).await.unwrap())
        });
        prop_assert!(back == whole);
    }
}
