//! The layers keep the contract of layers, whether they code or not.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::TryFutureExt as _;
use futures_util::future::MapOk;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body, Frame, SizeHint};
use proxy_compress::{
    Candidate, Coding, CompressConfig, CompressLayer, DecodeLayer, Eligibility, Skip, Unacceptable,
    decode::Decode,
};
use proxy_testkit::LayerContract;
use tower::{Layer, Service};

/// Everything is worth it.
struct Everything;

impl Eligibility for Everything {
    fn judge(&self, _: Candidate<'_>) -> Result<(), Skip> {
        Ok(())
    }
}

#[tokio::test]
async fn what_is_not_coded_passes_as_it_is() {
    let config = CompressConfig { unacceptable: Unacceptable::Refuse, ..CompressConfig::default() };
    let sizes = LayerContract::new(CompressLayer::new(config))
        .refuses(|| Request::get("/").header("accept-encoding", "*;q=0").body(()).unwrap())
        .run()
        .await;
    assert!(sizes.response_body.overhead() <= 64, "{sizes}");
}

#[tokio::test]
async fn what_is_coded_keeps_its_end_its_trailers_and_its_errors() {
    for coding in Coding::ALL {
        let config =
            CompressConfig { eligibility: Arc::new(Everything), ..CompressConfig::default() };
        let request = move || {
            let request = Request::get("/").header("host", "origin.test");
            request.header("accept-encoding", coding.token()).body(()).unwrap()
        };
        let sizes = LayerContract::new(CompressLayer::new(config))
            .request(request)
            .changes_response_content()
            .run()
            .await;
        assert!(sizes.response_body.overhead() <= 64, "{sizes}");
    }
}

#[tokio::test]
async fn decoding_keeps_it() {
    let request = || Request::get("/").header("accept-encoding", "br").body(()).unwrap();
    let sizes = LayerContract::new(DecodeLayer::default()).request(request).run().await;
    assert!(sizes.response_body.overhead() <= 64, "{sizes}");
}

/// The layer over answers that all come coded.
#[derive(Clone)]
struct OverCoded(DecodeLayer);

/// Codes what comes from inside: as deflate without compression, a block for each frame.
#[derive(Clone, Debug)]
struct Codes<S>(S);

impl<S> Layer<S> for OverCoded {
    type Service = Decode<Codes<S>>;
    fn layer(&self, inner: S) -> Self::Service {
        self.0.layer(Codes(inner))
    }
}

impl<S, ReqB, ResB> Service<Request<ReqB>> for Codes<S>
where
    S: Service<Request<ReqB>, Response = Response<ResB>>,
    S::Future: Send + 'static,
    ResB: Body<Data = Bytes> + 'static,
{
    type Response = Response<Blocks<ResB>>;
    type Error = S::Error;
    type Future = MapOk<S::Future, fn(Response<ResB>) -> Response<Blocks<ResB>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqB>) -> Self::Future {
        self.0.call(request).map_ok(|mut response| {
            response.headers_mut().remove("content-length");
            let coding = HeaderValue::from_static("deflate");
            response.headers_mut().insert("content-encoding", coding);
            response.map(|body| {
                let then = if body.is_end_stream() { Then::End } else { Then::Read };
                Blocks { body, then }
            })
        })
    }
}

pin_project_lite::pin_project! {
    struct Blocks<B> {
        #[pin]
        body: B,
        then: Then,
    }
}

enum Then {
    Read,
    Trailers(Box<HeaderMap>),
    End,
}

impl<B: Body<Data = Bytes>> Body for Blocks<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        const LAST: &[u8] = &[1, 0, 0, 0xFF, 0xFF];
        let mut this = self.project();
        match std::mem::replace(this.then, Then::Read) {
            Then::Read => {}
            Then::Trailers(trailers) => {
                *this.then = Then::End;
                return Poll::Ready(Some(Ok(Frame::trailers(*trailers))));
            }
            Then::End => {
                *this.then = Then::End;
                return Poll::Ready(None);
            }
        }
        let frame = match ready!(this.body.as_mut().poll_frame(cx)?) {
            None => {
                *this.then = Then::End;
                Bytes::from_static(LAST)
            }
            Some(frame) => match frame.into_data() {
                Ok(data) => {
                    let len = u16::try_from(data.len()).expect("a short frame").to_le_bytes();
                    [&[0, len[0], len[1], !len[0], !len[1]], &data[..]].concat().into()
                }
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    *this.then = Then::Trailers(Box::new(trailers));
                    Bytes::from_static(LAST)
                }
            },
        };
        Poll::Ready(Some(Ok(Frame::data(frame))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.then, Then::End)
    }

    fn size_hint(&self) -> SizeHint {
        if self.is_end_stream() { SizeHint::with_exact(0) } else { SizeHint::default() }
    }
}

#[tokio::test]
async fn what_is_decoded_keeps_its_end_its_trailers_and_its_errors() {
    let request = || {
        let request = Request::get("/").header("host", "origin.test");
        request.header("accept-encoding", "identity").body(()).unwrap()
    };
    let sizes = LayerContract::new(OverCoded(DecodeLayer::default()))
        .request(request)
        .changes_response_content()
        .run()
        .await;
    assert!(sizes.response_body.overhead() <= 64, "{sizes}");
}
