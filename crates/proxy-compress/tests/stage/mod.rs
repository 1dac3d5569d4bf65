//! A layer, a scripted answer behind it, and what a client makes of it.

#![allow(dead_code, unreachable_pub, reason = "not every test uses all of it")]

pub mod bomb;

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Body;
use http_body_util::BodyExt as _;
use proxy_compress::decode::{DecodeLimits, Unpacker};
use proxy_core::BoxError;
use tower::{Layer, Service, ServiceExt as _};

/// Answers each request with one response, and keeps the request's fields.
#[derive(Clone)]
pub struct Origin<B> {
    answer: Arc<Mutex<Option<Response<B>>>>,
    asked: Arc<Mutex<Option<HeaderMap>>>,
}

impl<B> Origin<B> {
    pub fn new(answer: Response<B>) -> Self {
        Self { answer: Arc::new(Mutex::new(Some(answer))), asked: Arc::default() }
    }

    pub fn asked(&self) -> Option<HeaderMap> {
        self.asked.lock().unwrap().clone()
    }
}

impl<B, R> Service<Request<R>> for Origin<B> {
    type Response = Response<B>;
    type Error = Infallible;
    type Future = Ready<Result<Response<B>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<R>) -> Self::Future {
        *self.asked.lock().unwrap() = Some(request.headers().clone());
        ready(Ok(self.answer.lock().unwrap().take().expect("one request")))
    }
}

/// A response with these fields.
pub fn response<B>(fields: &[(&str, &str)], body: B) -> Response<B> {
    let mut response = Response::builder();
    for (name, value) in fields {
        response = response.header(*name, *value);
    }
    response.body(body).unwrap()
}

/// A request with these fields.
pub fn get(fields: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::get("/");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

/// What comes through the layer.
pub async fn through<L, B, Out>(
    layer: &L,
    request: Request<()>,
    answer: Response<B>,
) -> Response<Out>
where
    L: Layer<Origin<B>>,
    L::Service: Service<Request<()>, Response = Response<Out>, Error = Infallible>,
{
    layer.layer(Origin::new(answer)).oneshot(request).await.unwrap()
}

/// The whole content.
pub async fn content<B>(body: B) -> Result<Bytes, BoxError>
where
    B: Body<Data = Bytes, Error = BoxError>,
{
    Ok(body.collect().await?.to_bytes())
}

/// Decodes content that is whole.
pub fn decoded(fields: &HeaderMap, content: &[u8]) -> Vec<u8> {
    let unpacker = Unpacker::new(fields, DecodeLimits::default()).unwrap();
    let Some(mut unpacker) = unpacker else { return content.to_vec() };
    let all = feed(&mut unpacker, content);
    assert!(unpacker.is_ended(), "the content breaks off");
    all
}

/// What comes out of this piece.
pub fn feed(unpacker: &mut Unpacker, mut input: &[u8]) -> Vec<u8> {
    let (mut all, mut out) = (Vec::new(), Vec::with_capacity(4096));
    loop {
        let used = unpacker.decode(input, &mut out).unwrap();
        input = &input[used..];
        all.append(&mut out);
        if unpacker.wants_input() {
            assert!(input.is_empty());
            return all;
        }
    }
}

/// Some text that compresses.
pub fn text(len: usize) -> Vec<u8> {
    (0..).flat_map(|n: u32| format!("line {n} of {}; ", n % 17).into_bytes()).take(len).collect()
}
