//! Coded forms that the upstream has beside the original: `app.js.br` beside `app.js`.
//!
//! They are asked for once for each stored original and coding, in the background, where a form that
//! was made here is used again; where there is none, the thorough form is made. A file is used only if
//! it decodes to the stored content, byte for byte: whatever its validators say, a file that was left
//! behind by an older version is none. It is asked for without anything that tells who has asked, and
//! only beside what anybody may have.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, ETAG, HOST, LAST_MODIFIED, SET_COOKIE, VIA};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri};
use http_body::Body;
use http_body_util::BodyExt as _;
use proxy_core::{BoxError, Reply, fields};
use tower_service::Service;

use super::Useless;
use super::attempt::Attempt;
use crate::keying::{FORWARDED_HOST, FORWARDED_PROTO};
use crate::semantics::directives::ResponseDirectives;
use crate::shared::Shared;
use crate::store::Stored;

/// When the upstream is asked again that had no answer.
const AGAIN: Duration = Duration::from_secs(60);

/// Asked for at a time, of one layer.
const MAX_ASKED: usize = 16;

/// What the upstream is to be asked for. Dropping it asks for nothing, and somebody later may.
pub(crate) struct Sibling {
    attempt: Attempt,
    /// How its name ends.
    ending: &'static str,
    content: Weak<[Bytes]>,
    /// The length of the form that there is.
    kept: u64,
}

/// What came of asking.
enum Answered {
    Content(Bytes),
    /// There is none, or none that could be of use.
    None,
    /// The upstream is not well.
    Later,
}

impl Shared {
    /// Whether a stored response is a file that anybody may have, as far as one can tell.
    pub(super) fn may_have_siblings(&self, original: &Stored) -> bool {
        let head = &original.head;
        let path = head.key.target.split('?').next().unwrap_or_default();
        self.spawn.is_some()
            && !self.rules.personal
            && head.status == StatusCode::OK
            && head.variant.is_none()
            && head.key.extra.is_empty()
            && !path.ends_with('/')
            && (head.fields.contains_key(LAST_MODIFIED) || head.fields.contains_key(ETAG))
    }
}

impl Sibling {
    pub(super) const fn new(
        attempt: Attempt,
        ending: &'static str,
        content: Weak<[Bytes]>,
        kept: u64,
    ) -> Self {
        Self { attempt, ending, content, kept }
    }

    /// A task that asks for it; `None` where too many are asked for, or it has no name.
    pub(crate) fn ask<S, ReqB, ResB>(
        self,
        inner: S,
        parts: &Parts,
    ) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>>
    where
        S: Service<Request<Reply<ReqB>>, Response = Response<ResB>> + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Send + 'static,
        ReqB: Send + 'static,
        ResB: Body<Data = Bytes> + Send + 'static,
        ResB::Error: Into<BoxError>,
    {
        let shared = Arc::clone(&self.attempt.shared);
        let place = Arc::clone(&shared.coder.as_ref()?.asked);
        if Arc::strong_count(&place) > MAX_ASKED {
            return None;
        }
        let request = request(parts, self.ending)?;
        Some(Box::pin(async move {
            let answered = self.fetch(inner, request).await;
            drop(place);
            self.judge(answered);
        }))
    }

    async fn fetch<S, ReqB, ResB>(&self, mut inner: S, request: Request<Reply<ReqB>>) -> Answered
    where
        S: Service<Request<Reply<ReqB>>, Response = Response<ResB>>,
        ResB: Body<Data = Bytes>,
    {
        if poll_fn(|cx| inner.poll_ready(cx)).await.is_err() {
            return Answered::Later;
        }
        let Ok(response) = inner.call(request).await else { return Answered::Later };
        if response.status().is_server_error() {
            return Answered::Later;
        }
        if response.status() != StatusCode::OK
            || !is_for_anybody(response.headers())
            || !is_as_named(response.headers(), self.attempt.form.coding)
        {
            return Answered::None;
        }
        let mut body = pin!(response.into_body());
        let mut content = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return Answered::Later };
            if let Ok(data) = frame.into_data() {
                // What is no smaller than what there is is of no use.
                if (content.len() + data.len()) as u64 >= self.kept {
                    return Answered::None;
                }
                content.extend_from_slice(&data);
            }
        }
        Answered::Content(content.freeze())
    }

    /// Has it compared with the original, away from those who wait, and stored.
    fn judge(self, answered: Answered) {
        let Self { mut attempt, content, kept, .. } = self;
        let shared = Arc::clone(&attempt.shared);
        let Some(coder) = &shared.coder else { return };
        match answered {
            Answered::None => attempt.useless = Some(Useless::Ever),
            Answered::Later => attempt.useless = Some(Useless::Until(shared.clock.now() + AGAIN)),
            Answered::Content(coded) => {
                let form = attempt.form;
                let taken = coder.queues.thorough.push(Box::new(move || {
                    let shared = Arc::clone(&attempt.shared);
                    let (Some(coder), Some(chunks)) = (&shared.coder, content.upgrade()) else {
                        return;
                    };
                    // Also where the coder panics.
                    attempt.useless = Some(Useless::Ever);
                    if coder.coder.is_form_of(form.coding, &coded, &chunks) {
                        attempt.keep(coded, &chunks, None, kept);
                    }
                }));
                if !taken {
                    let later = Useless::Until(shared.clock.now() + AGAIN);
                    coder.useless.insert(form, later);
                }
            }
        }
    }
}

/// Asks for what stands beside the target, as nobody in particular.
fn request<B>(parts: &Parts, ending: &str) -> Option<Request<Reply<B>>> {
    let path = parts.uri.path();
    let target = match parts.uri.query() {
        Some(query) => format!("{path}{ending}?{query}"),
        None => format!("{path}{ending}"),
    };
    let mut uri = parts.uri.clone().into_parts();
    uri.path_and_query = Some(PathAndQuery::try_from(target).ok()?);
    let mut request = Request::new(Reply::made(Bytes::new()));
    *request.uri_mut() = Uri::from_parts(uri).ok()?;
    for name in [HOST, VIA, FORWARDED_PROTO, FORWARDED_HOST] {
        for value in parts.headers.get_all(&name) {
            request.headers_mut().append(&name, value.clone());
        }
    }
    request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    Some(request)
}

fn is_for_anybody(response: &HeaderMap) -> bool {
    let said = ResponseDirectives::parse(response);
    !said.no_store && !said.private.is_all() && !response.contains_key(SET_COOKIE)
}

/// Such a file may well be said to be the original in that coding; it is not in another one.
fn is_as_named(response: &HeaderMap, coding: &str) -> bool {
    let is_it = |name: &str| name.eq_ignore_ascii_case(coding) || name == "identity";
    fields::list(response, &CONTENT_ENCODING)
        .all(|name| is_it(name) || (coding == "gzip" && name.eq_ignore_ascii_case("x-gzip")))
}
