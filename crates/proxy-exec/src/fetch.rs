//! What a URL names as standard input: fetched by the proxy, and never by the program.
//!
//! To look at a URL and then let a program fetch it is no protection: the name may stand for
//! another address by then, and the answer may send the program elsewhere. Whoever fetches must be
//! who judges. So a parameter with [`fetch`](crate::params::Param::fetch) is asked for by a
//! [`Fetcher`], and the program reads its content and sees no URL.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::CONTENT_ENCODING;
use http::{HeaderValue, Response, StatusCode, Uri};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::Limited;
use pin_project_lite::pin_project;
use proxy_core::clock::later;
use proxy_core::{Body, BoxError, Clock, ErrorKind, Exchange, ProxyError, Refusal, Sleep};

/// The response to a request for what a URL names, once its head is there.
pub type Fetching = Pin<Box<dyn Future<Output = Result<Response<Body>, ProxyError>> + Send>>;

/// Fetches what a URL names.
///
/// One GET, without content coding. It follows no redirect, and the address that it judges is the
/// one that it connects to. A closure is a fetcher.
pub trait Fetcher: Send + Sync + 'static {
    /// Begins to fetch. `url` is `http` or `https`, without user information or fragment;
    /// `exchange` is the record of the request on whose behalf it is done.
    fn fetch(&self, url: Uri, exchange: Option<&Exchange>) -> Fetching;
}

impl<F> Fetcher for F
where
    F: Fn(Uri, Option<&Exchange>) -> Fetching + Send + Sync + 'static,
{
    fn fetch(&self, url: Uri, exchange: Option<&Exchange>) -> Fetching {
        self(url, exchange)
    }
}

/// What was fetched, as far as `most` bytes of it, as long as it is waited for no longer than `left`
/// all in all; a refusal where a program has no use for it.
pub(crate) fn content(
    response: Response<Body>,
    most: u64,
    clock: Arc<dyn Clock>,
    left: Duration,
) -> Result<Box<Fetched>, Refusal> {
    let refused = |reason, error| {
        let mut refusal = Refusal::new(StatusCode::BAD_GATEWAY, reason);
        refusal.error = error;
        refusal
    };
    // A redirect would be another URL, and the page of an error is not what was asked for.
    if response.status() != StatusCode::OK {
        return Err(refused("url_status", ErrorKind::HttpProtocolError));
    }
    let plain = HeaderValue::from_static("identity");
    if response.headers().get_all(CONTENT_ENCODING).iter().any(|coding| coding != plain) {
        return Err(refused("url_coding", ErrorKind::HttpResponseContentCoding));
    }
    if response.body().size_hint().lower() > most {
        return Err(refused("url_too_large", ErrorKind::HttpProtocolError));
    }
    let body = Limited::new(response.into_body(), usize::try_from(most).unwrap_or(usize::MAX));
    Ok(Box::new(Fetched { body, clock, left, waiting: None }))
}

/// The content of what a URL names. The time in which it is waited for has an end; that in which the
/// program does not read has none here.
pub(crate) struct Fetched {
    body: Limited<Body>,
    clock: Arc<dyn Clock>,
    left: Duration,
    /// Since when, and until when at most.
    waiting: Option<(Instant, Sleep)>,
}

/// The server takes longer than it may.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("what a URL names comes too slowly")]
struct TooSlow;

impl Fetched {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if frame.is_ready() {
            if let Some((since, _)) = self.waiting.take() {
                let waited = self.clock.now().saturating_duration_since(since);
                self.left = self.left.saturating_sub(waited);
            }
            return frame;
        }
        let (clock, left) = (&self.clock, self.left);
        let (_, end) = self.waiting.get_or_insert_with(|| {
            let now = clock.now();
            (now, clock.sleep_until(later(now, left)))
        });
        end.as_mut().poll(cx).map(|()| Some(Err(TooSlow.into())))
    }
}

pin_project! {
    /// What a program reads.
    #[project = ContentProj]
    pub(crate) enum Content<B> {
        /// The content of the request.
        Client { #[pin] body: B },
        /// What a URL names.
        Fetched { body: Box<Fetched> },
    }
}

impl<B> Content<B> {
    pub(crate) const fn is_fetched(&self) -> bool {
        matches!(self, Self::Fetched { .. })
    }
}

impl<B> http_body::Body for Content<B>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project() {
            ContentProj::Client { body } => {
                body.poll_frame(cx).map(|next| next.map(|frame| frame.map_err(Into::into)))
            }
            ContentProj::Fetched { body } => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Client { body } => body.is_end_stream(),
            Self::Fetched { body } => body.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Client { body } => body.size_hint(),
            Self::Fetched { body } => body.body.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::poll_fn;
    use std::pin::pin;

    use futures_util::Stream;
    use http_body_util::StreamBody;
    use proxy_testkit::ManualClock;
    use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

    use super::*;

    #[tokio::test]
    async fn what_is_waited_for_has_an_end_and_the_program_has_its_time() {
        let clock = ManualClock::new();
        let (sent, frames) = channel();
        let response = Response::new(Body::new(StreamBody::new(frames)));
        let seconds = Duration::from_secs;
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let body = content(response, 1000, shared, seconds(10)).unwrap_or_else(|_| panic!("200"));
        let mut body = pin!(Content::<Body>::Fetched { body });
        for _ in 0..3 {
            // The program is slow.
            clock.advance(seconds(100));
            let mut next = pin!(poll_fn(|cx| body.as_mut().poll_frame(cx)));
            assert!(proxy_testkit::poll_once(next.as_mut()).is_pending());
            clock.advance(seconds(3));
            sent.send(Ok(Frame::data(Bytes::from_static(b"x")))).expect("taken");
            assert!(next.await.is_some_and(|frame| frame.is_ok()));
        }
        let mut next = pin!(poll_fn(|cx| body.as_mut().poll_frame(cx)));
        assert!(proxy_testkit::poll_once(next.as_mut()).is_pending());
        clock.advance(seconds(2));
        let error = next.await.expect("an error").expect_err("an error");
        assert_eq!(error.to_string(), "what a URL names comes too slowly");
    }

    type Sent = Result<Frame<Bytes>, Infallible>;

    /// Frames as they are sent.
    fn channel() -> (UnboundedSender<Sent>, impl Stream<Item = Sent>) {
        let (sent, mut frames) = unbounded_channel();
        (sent, futures_util::stream::poll_fn(move |cx| frames.poll_recv(cx)))
    }
}
