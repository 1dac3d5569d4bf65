//! What the other service answered, and what becomes of the request.

use std::borrow::Cow;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_SECURITY_POLICY,
    CONTENT_SECURITY_POLICY_REPORT_ONLY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, RETRY_AFTER,
    SET_COOKIE, VARY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body as _;
use proxy_core::clock::later;
use proxy_core::{
    Body, BoxError, Clock, Decision, ErrorKind, Exchange, ProxyError, Refusal, Reply, Verdict,
};
use tower_service::Service;

use super::layer::Authority;
use super::metrics::Outcome;
use super::question::{chosen, remove_where};
use super::{ForwardAuth, LAYER};

/// Bytes of content that a client gets of an answer that does not let it pass; where there are
/// more it gets none.
pub const MAX_CONTENT: usize = 64 * 1024;

/// Bytes of content of an answer that lets pass that are read, so that its connection can be used
/// again. Nobody gets them.
const MAX_UNUSED: usize = 16 * 1024;

/// A request that may pass does not wait longer for them.
const UNUSED_TIMEOUT: Duration = Duration::from_millis(100);

/// Fields of such an answer that a client gets, beside those of CORS: what it needs to go on, and
/// what the page says of how it is to be treated.
const SHOWN: [HeaderName; 14] = [
    CACHE_CONTROL,
    CONTENT_ENCODING,
    CONTENT_LANGUAGE,
    CONTENT_SECURITY_POLICY,
    CONTENT_SECURITY_POLICY_REPORT_ONLY,
    CONTENT_TYPE,
    LOCATION,
    REFERRER_POLICY,
    RETRY_AFTER,
    SET_COOKIE,
    VARY,
    WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
];

/// What becomes of the request.
pub(super) enum Answer {
    /// It passes.
    Pass(Passed),
    /// The client gets this.
    Refuse(Response<Bytes>),
    /// There is no decision, for this reason.
    None(Why),
}

/// Why there is no decision, for the record.
pub(super) type Why = Cow<'static, str>;

/// What comes along with a request that passes.
#[derive(Default)]
pub(super) struct Passed {
    /// Fields for the request.
    pub(super) request: HeaderMap,
    /// Fields for its response.
    pub(super) response: HeaderMap,
    /// Who asks.
    user: Option<Arc<str>>,
}

/// Asks, within the time there is. Without a question there is no decision.
pub(super) async fn ask<A>(authority: Arc<Authority<A>>, question: Option<Request<Body>>) -> Answer
where
    A: Service<Request<Body>, Response = Response<Body>> + Clone,
    A::Error: Into<BoxError>,
{
    let clock = &authority.clock;
    let started = clock.now();
    let Some(question) = question else {
        authority.metrics.count(Outcome::Unavailable, Duration::ZERO);
        return Answer::None("target".into());
    };
    let mut asking = Box::pin(answer(&authority, question));
    let mut patience = clock.sleep_until(later(started, authority.asks.timeout));
    let (answer, unused) = poll_fn(|cx| match asking.as_mut().poll(cx) {
        Poll::Pending => patience.as_mut().poll(cx).map(|()| none("no_answer_in_time")),
        answered => answered,
    })
    .await;
    let outcome = match &answer {
        Answer::Pass(_) => Outcome::Allowed,
        Answer::Refuse(_) => Outcome::Refused,
        Answer::None(_) => Outcome::Unavailable,
    };
    authority.metrics.count(outcome, clock.now().saturating_duration_since(started));
    if let Some(unused) = unused {
        read_unused(unused, &**clock).await;
    }
    answer
}

/// The answer, and content of it that nobody gets.
type Answered = (Answer, Option<Body>);

fn none(why: impl Into<Why>) -> Answered {
    (Answer::None(why.into()), None)
}

async fn answer<A>(authority: &Authority<A>, question: Request<Body>) -> Answered
where
    A: Service<Request<Body>, Response = Response<Body>> + Clone,
    A::Error: Into<BoxError>,
{
    let mut service = authority.service.clone();
    if let Err(error) = poll_fn(|cx| service.poll_ready(cx)).await {
        return unanswered(&*error.into());
    }
    let response = match service.call(question).await {
        Ok(response) => response,
        Err(error) => return unanswered(&*error.into()),
    };
    match response.status() {
        status if status.is_success() => {
            let passed = passed(response.headers(), &authority.asks);
            let unused = response.into_body();
            (Answer::Pass(passed), (!unused.is_empty()).then_some(unused))
        }
        StatusCode::UNAUTHORIZED
        | StatusCode::FORBIDDEN
        | StatusCode::TOO_MANY_REQUESTS
        | StatusCode::MOVED_PERMANENTLY
        | StatusCode::FOUND
        | StatusCode::SEE_OTHER
        | StatusCode::TEMPORARY_REDIRECT
        | StatusCode::PERMANENT_REDIRECT => (Answer::Refuse(shown(response).await), None),
        other => none(format!("unexpected_status: {}", other.as_u16())),
    }
}

fn unanswered(error: &(dyn std::error::Error + 'static)) -> Answered {
    match ProxyError::find(error) {
        Some(error) => none(format!("no_answer: {}", error.kind().token())),
        None => none("no_answer"),
    }
}

/// Reads what is left unread of an answer, within bounds.
async fn read_unused(mut body: Body, clock: &dyn Clock) {
    let mut patience = clock.sleep_until(clock.now() + UNUSED_TIMEOUT);
    let mut read = 0;
    poll_fn(|cx| {
        loop {
            match Pin::new(&mut body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => read += frame.data_ref().map_or(0, Bytes::len),
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return patience.as_mut().poll(cx),
            }
            if read > MAX_UNUSED {
                return Poll::Ready(());
            }
        }
    })
    .await;
}

fn passed(fields: &HeaderMap, asks: &ForwardAuth) -> Passed {
    let user = asks.user.as_ref().and_then(|name| fields.get(name)?.to_str().ok());
    Passed {
        request: chosen(fields, &asks.copies),
        response: chosen(fields, &asks.returns),
        user: user.filter(|user| !user.is_empty()).map(Arc::from),
    }
}

/// The answer as the client gets it.
async fn shown(response: Response<Body>) -> Response<Bytes> {
    let (parts, body) = response.into_parts();
    let content = content(body).await;
    let mut fields = parts.headers;
    remove_where(&mut fields, |name| {
        !SHOWN.contains(name) && !name.as_str().starts_with("access-control-")
    });
    // It is about one client: where it does not say who may keep it, nobody may.
    fields.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if content.is_none() {
        fields.remove(CONTENT_ENCODING);
    }
    let mut shown = Response::new(content.unwrap_or_default());
    *shown.status_mut() = parts.status;
    *shown.headers_mut() = fields;
    shown
}

/// All of it; `None` where it is too much or breaks off.
async fn content(mut body: Body) -> Option<Bytes> {
    let most = MAX_CONTENT as u64;
    if body.size_hint().lower() > most {
        return None;
    }
    let mut content = BytesMut::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let Ok(data) = frame.ok()?.into_data() else { continue };
        if content.len() + data.len() > MAX_CONTENT {
            return None;
        }
        content.extend_from_slice(&data);
    }
    Some(content.freeze())
}

impl Passed {
    /// Writes down that the request passes, and who asks.
    pub(super) fn record(&self, exchange: Option<&Exchange>, asks: &ForwardAuth) {
        let Some(exchange) = exchange else { return };
        if let Some(user) = &self.user {
            exchange.set_user(Arc::clone(user));
        }
        decide(exchange, asks, Verdict::Allow, "authorized");
    }
}

/// What a client gets instead of the inner service's response.
pub(super) fn refused<B>(
    mut response: Response<Bytes>,
    method: &Method,
    exchange: Option<&Exchange>,
    asks: &ForwardAuth,
) -> Response<Reply<B>> {
    if let Some(exchange) = exchange {
        let (verdict, reason) = match response.status() {
            StatusCode::UNAUTHORIZED => (Verdict::Challenge, "authorization_required"),
            StatusCode::FORBIDDEN => (Verdict::Deny, "not_authorized"),
            StatusCode::TOO_MANY_REQUESTS => (Verdict::Limit, "too_many_questions"),
            _ => (Verdict::Redirect, "authorization_required"),
        };
        decide(exchange, asks, verdict, reason);
    }
    if method == Method::HEAD {
        let length = HeaderValue::from(response.body().len());
        response.headers_mut().insert(CONTENT_LENGTH, length);
        *response.body_mut() = Bytes::new();
    }
    response.map(Reply::made)
}

/// The answer where nobody decided.
pub(super) fn undecided<B>(
    why: Why,
    exchange: Option<&Exchange>,
    asks: &ForwardAuth,
) -> Response<Reply<B>> {
    if let Some(exchange) = exchange {
        decide(exchange, asks, Verdict::Fail, why);
    }
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let mut refusal = Refusal::new(status, "authorization_unavailable")
        .rule(Arc::clone(&asks.service))
        .retry_after(Duration::from_secs(1));
    refusal.error = ErrorKind::DestinationUnavailable;
    refusal.recorded(exchange, LAYER).into_response()
}

/// It is not asked in a rehearsal.
pub(super) fn rehearsed(exchange: &Exchange, asks: &ForwardAuth) {
    let reason = format!("so far: it is asked for {} when the request is sent", asks.target);
    decide(exchange, asks, Verdict::Allow, reason);
}

fn decide(
    exchange: &Exchange,
    asks: &ForwardAuth,
    verdict: Verdict,
    reason: impl Into<Cow<'static, str>>,
) {
    let rule = Some(Arc::clone(&asks.service));
    exchange.decide(Decision { layer: LAYER, rule, verdict, reason: reason.into() });
}
