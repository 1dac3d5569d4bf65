//! A copy: what it is made of, and how it is sent.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use bytes::BytesMut;
use http::header::{CONTENT_LENGTH, EXPECT, PROXY_AUTHORIZATION, TRAILER};
use http::{Request, Response};
use http_body::Body as _;
use proxy_core::clock::later;
use proxy_core::fields::remove_hop_by_hop;
use proxy_core::{Body, BoxError};
use tower_service::Service;

use super::Shared;
use super::meters::Outcome;

/// Bytes of an answer's content that are read, so that its connection can be used again.
pub const MAX_ANSWER: usize = 256 * 1024;

/// A place among the copies; given back when it is dropped.
pub(super) struct Place(Arc<Shared>);

impl Place {
    pub(super) fn take(shared: &Arc<Shared>) -> Option<Self> {
        let taken = shared.copies.fetch_add(1, Ordering::AcqRel);
        let place = Self(Arc::clone(shared));
        (taken < shared.config.max_requests).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.copies.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The copy of a request, as far as it has passed.
pub(super) struct Copy {
    head: Request<()>,
    content: BytesMut,
    /// The length of the content, where it was told.
    length: Option<u64>,
    place: Place,
}

impl Copy {
    /// The head of this request. What belongs to an exchange stays there.
    pub(super) fn new<B: http_body::Body>(request: &Request<B>, place: Place) -> Self {
        let announced = || request.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok();
        let length = request.body().size_hint().exact().or_else(announced);
        let mut head = Request::new(());
        *head.method_mut() = request.method().clone();
        *head.uri_mut() = request.uri().clone();
        let mut fields = request.headers().clone();
        remove_hop_by_hop(&mut fields);
        // Its framing is its own, and it waits for nothing.
        for name in [CONTENT_LENGTH, EXPECT, PROXY_AUTHORIZATION, TRAILER] {
            fields.remove(name);
        }
        for name in &place.0.config.remove {
            fields.remove(name);
        }
        *head.headers_mut() = fields;
        Self { head, content: BytesMut::new(), length, place }
    }

    /// Takes content in; `false` where it is too much.
    pub(super) fn extend(&mut self, data: &[u8]) -> bool {
        if self.content.len() + data.len() > self.place.0.config.body {
            return false;
        }
        self.content.extend_from_slice(data);
        true
    }

    /// Whether it has all the content that was announced.
    pub(super) fn is_whole(&self) -> bool {
        self.length == Some(self.content.len() as u64)
    }

    /// Counts it as one that is not sent.
    pub(super) fn give_up(self, why: Outcome) {
        self.place.0.meters.count(why);
    }

    /// Sends it, and waits for nothing.
    pub(super) fn send(self) {
        let Self { head, content, place, .. } = self;
        let request = head.map(|()| match content.is_empty() {
            true => Body::empty(),
            false => Body::full(content.freeze()),
        });
        let shared = Arc::clone(&place.0);
        let spawn = Arc::clone(&shared.spawn);
        spawn.spawn(Box::pin(async move {
            // Held until the answer has ended.
            let _place = place;
            let mut sending = shared.service.send(request);
            let until = later(shared.clock.now(), shared.config.timeout);
            let mut patience = shared.clock.sleep_until(until);
            let outcome = poll_fn(|cx| match sending.as_mut().poll(cx) {
                Poll::Pending => patience.as_mut().poll(cx).map(|()| Outcome::Timeout),
                ended => ended,
            });
            shared.meters.count(outcome.await);
        }));
    }
}

/// Ends with the answer.
pub(super) type Sending = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// Sends copies to a service, whose type is nobody's business.
pub(super) trait Recipient: Send + Sync {
    fn send(&self, request: Request<Body>) -> Sending;
}

impl<M> Recipient for M
where
    M: Service<Request<Body>, Response = Response<Body>>,
    M: Clone + Send + Sync + 'static,
    M::Future: Send,
    M::Error: Into<BoxError>,
{
    fn send(&self, request: Request<Body>) -> Sending {
        let mut service = self.clone();
        Box::pin(async move {
            if poll_fn(|cx| service.poll_ready(cx)).await.is_err() {
                return Outcome::Failed;
            }
            let response = service.call(request).await.ok();
            match response {
                Some(response) => drain(response.into_body()).await,
                None => Outcome::Failed,
            }
        })
    }
}

async fn drain(mut body: Body) -> Outcome {
    let mut read = 0;
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        match frame {
            Ok(frame) => read += frame.data_ref().map_or(0, bytes::Bytes::len),
            Err(_) => return Outcome::Failed,
        }
        if read > MAX_ANSWER {
            break;
        }
    }
    Outcome::Answered
}
