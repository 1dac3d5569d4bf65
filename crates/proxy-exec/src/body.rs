//! The output of a program as content.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use proxy_core::{BoxError, Clock, ErrorKind, ProxyError, Sleep};

use crate::frames::{Format, Framer};
use crate::live::{Live, Piece};
use crate::metrics::Why;

/// The trailer field that has the exit status.
pub(crate) const EXIT_STATUS: HeaderName = HeaderName::from_static("exit-status");

/// Content that a program writes while it is read. Dropping it ends the program.
pub struct ExecBody<B>(Option<Box<Inner<B>>>);

struct Inner<B> {
    live: Live<B>,
    /// What was read before the head could be sent.
    first: Option<Bytes>,
    framer: Option<Framer>,
    trailers: Option<HeaderMap>,
    ended: bool,
    takes_trailers: bool,
    clock: Arc<dyn Clock>,
    /// When a client of server-sent events is told that the program is still there.
    quiet: Option<Sleep>,
}

/// How long server-sent events may be quiet before a comment says that there is nothing to say: so
/// long an idle connection is kept by whoever stands between.
const QUIET: Duration = Duration::from_secs(15);

impl<B> ExecBody<B> {
    /// Content that begins with `first`.
    pub(crate) fn new(
        live: Live<B>,
        first: Bytes,
        framer: Option<Framer>,
        takes_trailers: bool,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        let first = Some(first).filter(|first| !first.is_empty());
        let (trailers, ended, quiet) = (None, false, None);
        let clock = Arc::clone(clock);
        let inner = Inner { live, first, framer, trailers, ended, takes_trailers, clock, quiet };
        Self(Some(Box::new(inner)))
    }

    /// No content.
    pub const fn empty() -> Self {
        Self(None)
    }
}

impl<B> Body for ExecBody<B>
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
        let Some(inner) = &mut self.0 else { return Poll::Ready(None) };
        if let Some(first) = inner.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        let next = if inner.ended {
            inner.trailers.take().map(|trailers| Ok(Frame::trailers(trailers)))
        } else {
            ready!(inner.poll_next(cx))
        };
        if matches!(next, None | Some(Err(_))) {
            self.0 = None;
        }
        Poll::Ready(next)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.0 {
            Some(_) => SizeHint::default(),
            None => SizeHint::with_exact(0),
        }
    }
}

impl<B> Inner<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            let Poll::Ready(piece) = self.live.poll_piece(cx) else { return self.poll_quiet(cx) };
            self.quiet = None;
            let why = match piece {
                Piece::Data(stream, data) => {
                    let data = match &mut self.framer {
                        Some(framer) => framer.push(stream, &data),
                        None => data,
                    };
                    if data.is_empty() {
                        continue;
                    }
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Piece::End(why) => why,
            };
            if let Some(framer) = &mut self.framer {
                // The client has been told how it ended: the message is whole.
                self.ended = true;
                let exit = self.live.exit.unwrap_or_default();
                return Poll::Ready(Some(Ok(Frame::data(framer.finish(&exit, why.token())))));
            }
            if why != Why::Exit {
                return Poll::Ready(Some(Err(broken(why).into())));
            }
            let code = self.live.exit.and_then(|exit| exit.code).unwrap_or_default();
            self.ended = true;
            if self.takes_trailers {
                let mut trailers = HeaderMap::new();
                trailers.insert(EXIT_STATUS, HeaderValue::from(code));
                return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
            }
            return Poll::Ready(None);
        }
    }

    /// A comment, after a while without an event.
    fn poll_quiet(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.framer.as_ref().is_none_or(|framer| framer.format() != Format::Events) {
            return Poll::Pending;
        }
        let clock = &self.clock;
        let quiet = self.quiet.get_or_insert_with(|| clock.sleep_until(clock.now() + QUIET));
        ready!(quiet.as_mut().poll(cx));
        // The next one is waited for at the next poll.
        self.quiet = None;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b":\n\n")))))
    }
}

/// The error that ends a message that is not whole.
fn broken(why: Why) -> ProxyError {
    let kind = match why {
        Why::InputBroke => ErrorKind::HttpRequestError,
        Why::IdleTimeout | Why::TotalTimeout => ErrorKind::ConnectionReadTimeout,
        _ => ErrorKind::HttpResponseIncomplete,
    };
    ProxyError::new(kind).detail(why.token())
}

impl<B> fmt::Debug for ExecBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "ExecBody(running)" } else { "ExecBody(empty)" })
    }
}
