//! What a URL names as standard input: fetched by the proxy, and never by the program.
//!
//! To look at a URL and then let a program fetch it is no protection: the name may stand for
//! another address by then, and the answer may send the program elsewhere. Whoever fetches must be
//! who judges. So a parameter with [`fetch`](crate::params::Param::fetch) is asked for by a
//! [`Fetcher`], and the program reads its content and sees no URL.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONTENT_ENCODING;
use http::{HeaderValue, Response, StatusCode, Uri};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::Limited;
use pin_project_lite::pin_project;
use proxy_core::{Body, BoxError, ErrorKind, Exchange, ProxyError, Refusal};

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

/// What was fetched, as far as `most` bytes of it; a refusal where a program has no use for it.
pub(crate) fn content(response: Response<Body>, most: u64) -> Result<Limited<Body>, Refusal> {
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
    Ok(Limited::new(response.into_body(), usize::try_from(most).unwrap_or(usize::MAX)))
}

pin_project! {
    /// What a program reads.
    #[project = ContentProj]
    pub(crate) enum Content<B> {
        /// The content of the request.
        Client { #[pin] body: B },
        /// What a URL names.
        Fetched { #[pin] body: Limited<Body> },
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
            Self::Fetched { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Client { body } => body.size_hint(),
            Self::Fetched { body } => body.size_hint(),
        }
    }
}
