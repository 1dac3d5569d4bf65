//! Large content, fetched and stored in slices of one size (`CacheRules::slice`).
//!
//! A request for any part of it asks upstream for whole slices only, each stored and collapsed by
//! itself, so that the middle of a film is there without its beginning, and a client that leaves
//! after a minute has cost a minute. All slices of an answer are of one representation: they have
//! the same strong validator, or the answer breaks off.

use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{
    CONTENT_LENGTH, CONTENT_RANGE, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use proxy_core::{BoxError, Exchange, Reply};
use tower_service::Service;

use crate::answer::Asked;
use crate::body::CacheBody;
use crate::conversation::converse;
use crate::fill::BrokenContent;
use crate::look::{Plan, Purpose};
use crate::semantics::directives::RequestDirectives;
use crate::semantics::range::{self, may_combine};
use crate::shared::Shared;

/// What of a representation is wanted: from a first byte on, to a last one or to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    first: u64,
    /// The byte behind the last one.
    end: Option<u64>,
    /// The client asked for a range.
    ranged: bool,
}

/// Whether a request is answered by slices: a GET for the whole or for one range that begins
/// somewhere, without conditions.
pub(crate) fn wanted(method: &Method, fields: &HeaderMap) -> Option<Wanted> {
    let conditional = [IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_RANGE];
    if *method != Method::GET || conditional.iter().any(|name| fields.contains_key(name)) {
        return None;
    }
    if !fields.contains_key(RANGE) {
        return Some(Wanted { first: 0, end: None, ranged: false });
    }
    let (first, last) = range::parse(fields)?.single()?;
    Some(Wanted { first, end: last.map(|last| last.saturating_add(1)), ranged: true })
}

/// Asks for slices, one after the other.
struct Slicer<S> {
    shared: Arc<Shared>,
    inner: S,
    parts: Arc<Parts>,
    directives: RequestDirectives,
    size: u64,
}

type Fetched<B, E> = Result<Response<CacheBody<B>>, E>;
type Fetching<B, E> = Pin<Box<dyn Future<Output = Fetched<B, E>> + Send>>;

impl<S> Slicer<S> {
    /// Asks for the slice of this number.
    fn fetch<ReqB, B>(&self, number: u64) -> Fetching<B, S::Error>
    where
        S: Service<Request<Reply<ReqB>>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Send + 'static,
        ReqB: Body<Data = Bytes> + Send + 'static,
        ReqB::Error: Into<BoxError>,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (shared, inner, size) = (Arc::clone(&self.shared), self.inner.clone(), self.size);
        let mut request = Request::new(Reply::made(Bytes::new()));
        request.uri_mut().clone_from(&self.parts.uri);
        request.headers_mut().clone_from(&self.parts.headers);
        request.extensions_mut().clone_from(&self.parts.extensions);
        let first = number * size;
        let range = HeaderValue::try_from(format!("bytes={first}-{}", first + size - 1));
        if let Ok(range) = range {
            request.headers_mut().insert(RANGE, range);
        }
        let directives = self.directives;
        Box::pin(async move {
            let exchange = Exchange::of(&request).cloned();
            let scheme = exchange.as_ref().map(|exchange| exchange.connection().scheme);
            let plan = {
                let (uri, fields) = (request.uri(), request.headers());
                let parts = shared.keying.parts(uri, fields, scheme).map(|mut parts| {
                    parts.extra = format!("{}slice {size} {number}", parts.extra).into();
                    parts
                });
                let from_server = exchange.is_some();
                let asked = Asked { method: &Method::GET, fields, from_server };
                parts.map(|parts| shared.look_for(asked, &parts, directives, Purpose::Slice))
            };
            match plan {
                Some(Plan::Answer { response, .. }) => Ok(*response),
                Some(Plan::Go(go)) => {
                    let inner = NotReady(inner);
                    converse(shared, inner, request, Bytes::new(), *go).await
                }
                _ => {
                    let response = NotReady(inner).call(request).await?;
                    Ok(response.map(CacheBody::inner))
                }
            }
        })
    }
}

/// Polls its service ready before each call: a slice is asked for long after the layer was called.
#[derive(Clone)]
struct NotReady<S>(S);

impl<S, R> Service<R> for NotReady<S>
where
    S: Service<R> + Clone + Send + 'static,
    S::Future: Send + 'static,
    R: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        let mut service = self.0.clone();
        Box::pin(async move {
            std::future::poll_fn(|cx| service.poll_ready(cx)).await?;
            service.call(request).await
        })
    }
}

/// Answers a request by slices.
pub(crate) async fn answer<S, ReqB, B>(
    shared: Arc<Shared>,
    inner: S,
    parts: Parts,
    directives: RequestDirectives,
    size: u64,
    wanted: Wanted,
) -> Fetched<B, S::Error>
where
    S: Service<Request<Reply<ReqB>>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    ReqB: Body<Data = Bytes> + Send + 'static,
    ReqB::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let slicer = Slicer { shared, inner, parts: Arc::new(parts), directives, size };
    let number = wanted.first / size;
    let first = slicer.fetch::<ReqB, B>(number).await?;
    let told = range::parse_content_range(first.headers());
    let expected = number * size;
    let (complete, range) = match told.map(|told| (told.complete, told.range)) {
        Some((Some(complete), range))
            if first.status() == StatusCode::PARTIAL_CONTENT
                && range.start == expected
                && range.end == (expected + size).min(complete) =>
        {
            (complete, range)
        }
        // Not in slices: an error, or the whole from an origin that knows no ranges.
        _ => return Ok(first),
    };
    let end = wanted.end.map_or(complete, |end| end.min(complete));
    if wanted.first >= end {
        return Ok(unsatisfiable(complete));
    }
    let (mut head, content) = first.into_parts();
    let validators = head.headers.clone();
    head.headers.insert(CONTENT_LENGTH, HeaderValue::from(end - wanted.first));
    if wanted.ranged {
        let sent = wanted.first..end;
        head.headers.insert(CONTENT_RANGE, range::content_range(&sent, complete));
    } else {
        head.status = StatusCode::OK;
        head.headers.remove(CONTENT_RANGE);
    }
    let fetch = move |number| slicer.fetch::<ReqB, B>(number);
    let body = Sliced {
        fetch: Box::new(fetch),
        size,
        complete,
        validators,
        content: Some(Box::pin(content)),
        fetching: None,
        skip: wanted.first - range.start,
        next: range.end,
        left: end - wanted.first,
    };
    Ok(Response::from_parts(head, CacheBody::boxed(body)))
}

fn unsatisfiable<B>(complete: u64) -> Response<CacheBody<B>> {
    let mut response = Response::new(CacheBody::empty());
    *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
    response.headers_mut().insert(CONTENT_RANGE, range::unsatisfied(complete));
    response
}

/// The content of slices, one after the other; the next is asked for when the last one has ended.
struct Sliced<B, E> {
    fetch: Box<dyn Fn(u64) -> Fetching<B, E> + Send>,
    size: u64,
    complete: u64,
    /// The fields of the first slice: all must be of the same representation.
    validators: HeaderMap,
    content: Option<Pin<Box<CacheBody<B>>>>,
    fetching: Option<Fetching<B, E>>,
    /// Bytes of the current slice that are not wanted.
    skip: u64,
    /// The first byte of the next slice.
    next: u64,
    /// Bytes to be given.
    left: u64,
}

impl<B, E> Sliced<B, E> {
    /// Whether a further slice belongs to the first.
    fn fits(&self, response: &Response<CacheBody<B>>, range: &Range<u64>) -> bool {
        let told = range::parse_content_range(response.headers());
        response.status() == StatusCode::PARTIAL_CONTENT
            && told.is_some_and(|told| told.complete == Some(self.complete) && told.range == *range)
            && may_combine(&self.validators, response.headers())
    }

    fn broken(&mut self) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        (self.left, self.content, self.fetching) = (0, None, None);
        Poll::Ready(Some(Err(BrokenContent.into())))
    }
}

impl<B, E> Body for Sliced<B, E>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        loop {
            if this.left == 0 {
                return Poll::Ready(None);
            }
            if let Some(content) = &mut this.content {
                let Some(frame) = ready!(content.as_mut().poll_frame(cx)) else {
                    this.content = None;
                    continue;
                };
                let Ok(mut data) = frame?.into_data() else { continue };
                let skipped = this.skip.min(data.len() as u64);
                this.skip -= skipped;
                data = data.slice(usize::try_from(skipped).unwrap_or(0)..);
                let given = this.left.min(data.len() as u64);
                data.truncate(usize::try_from(given).unwrap_or(usize::MAX));
                this.left -= given;
                if data.is_empty() {
                    continue;
                }
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            // A slice that ended early would leave a hole.
            if this.skip > 0 || this.next >= this.complete {
                return this.broken();
            }
            let number = this.next / this.size;
            let fetching = this.fetching.get_or_insert_with(|| (this.fetch)(number));
            let Ok(response) = ready!(fetching.as_mut().poll(cx)) else { return this.broken() };
            this.fetching = None;
            let range = this.next..(this.next + this.size).min(this.complete);
            if !this.fits(&response, &range) {
                return this.broken();
            }
            this.next = range.end;
            this.content = Some(Box::pin(response.into_body()));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
