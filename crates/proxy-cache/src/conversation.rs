//! A request that the store does not answer: it joins a flight, or leads one.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use http::header::{
    HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response};
use http_body::Body;
use http_body_util::{BodyExt as _, Collected};
use proxy_core::{BoxError, Exchange, Reply};
use tower_service::Service;

use crate::answer::{self, Asked};
use crate::body::CacheBody;
use crate::derive;
use crate::fetch::{Fetch, NotKept, Own, OwnSlot};
use crate::flight::{Arrival, Flight, Found, Member};
use crate::keying::FORWARDED_HOST;
use crate::look::{Go, Plan, Purpose};
use crate::metrics::Outcome;
use crate::parts;
use crate::rules::OnDisconnect;
use crate::semantics::cache_status::CacheStatus;
use crate::semantics::directives::RequestDirectives;
use crate::semantics::reuse::{Reuse, reuse};
use crate::semantics::{validation, vary};
use crate::service::note;
use crate::shared::Shared;
use crate::store::StoredHead;

/// Times that a request looks for another one's answer before it goes by itself.
const ROUNDS: usize = 8;

/// Fields that tell some frameworks another target or method than the key says. A stored response
/// must not depend on them, so they are not sent along with a request that may be stored.
pub(crate) const UNKEYED: [HeaderName; 13] = [
    HeaderName::from_static("front-end-https"),
    HeaderName::from_static("x-http-host-override"),
    HeaderName::from_static("x-original-uri"),
    HeaderName::from_static("x-url-scheme"),
    HeaderName::from_static("x-original-url"),
    HeaderName::from_static("x-rewrite-url"),
    HeaderName::from_static("x-original-host"),
    HeaderName::from_static("x-host"),
    HeaderName::from_static("x-forwarded-server"),
    HeaderName::from_static("x-forwarded-scheme"),
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-method-override"),
];

type Answer<B, E> = Result<Response<CacheBody<B>>, E>;

/// Answers a request that goes upstream, unless another one is there already. `content`: its whole
/// content, where that was read already.
pub(crate) async fn converse<S, ReqB, ResB>(
    shared: Arc<Shared>,
    inner: S,
    request: Request<Reply<ReqB>>,
    content: Bytes,
    mut go: Go,
) -> Answer<ResB, S::Error>
where
    S: Service<Request<Reply<ReqB>>, Response = Response<ResB>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    ReqB: Body<Data = Bytes> + Send + 'static,
    ReqB::Error: Into<BoxError>,
    ResB: Body<Data = Bytes> + Send + 'static,
    ResB::Error: Into<BoxError>,
{
    let exchange = Exchange::of(&request).cloned();
    let (method, fields) = (request.method().clone(), request.headers().clone());
    let asked = Asked { method: &method, fields: &fields, from_server: exchange.is_some() };
    let own = OwnSlot::new();
    let mut waiting = Some((inner, request));
    for _ in 0..ROUNDS {
        if !shared.rules.collapse || !go.may_join || shared.is_unshareable(&go.hash) {
            break;
        }
        let flights = shared.flights.of(&go.hash);
        match join(&shared, asked, &go, &flights).await {
            Joined::Answered(response) => {
                shared.metrics.count(Outcome::Collapsed, 1);
                note(exchange.as_ref(), "collapsed");
                return Ok(*response);
            }
            // What the other one got is its own; many who wait must not go one after the other.
            Joined::Unshared => break,
            Joined::Unfit => {}
            Joined::None => {
                // What has just been stored is no longer in flight.
                if let Some(response) = look_again(&shared, asked, &mut go) {
                    note(exchange.as_ref(), "hit");
                    return Ok(response);
                }
                if !go.may_lead {
                    break;
                }
                let retry = Retry::of(&go, &waiting, &content);
                let flight = shared.flights.add(go.hash, &flights, || {
                    let (inner, request) = waiting.take().expect("nobody has gone yet");
                    launch(&shared, &go, asked, (inner, request), &own, Start::Joinable)
                });
                if let Some(flight) = flight {
                    return lead(&shared, asked, &go, flight, own, retry, exchange.as_ref()).await;
                }
                continue;
            }
        }
        if let Some(response) = look_again(&shared, asked, &mut go) {
            note(exchange.as_ref(), "hit");
            return Ok(response);
        }
    }
    let retry = Retry::of(&go, &waiting, &content);
    let Some(going) = waiting.take() else { return Ok(answer::lost()) };
    let flight = launch(&shared, &go, asked, going, &own, Start::Alone);
    lead(&shared, asked, &go, flight, own, retry, exchange.as_ref()).await
}

/// Reads the content of a QUERY, and answers it.
pub(crate) async fn converse_by_content<S, ReqB, ResB>(
    shared: Arc<Shared>,
    mut inner: S,
    request: Request<ReqB>,
    directives: RequestDirectives,
) -> Answer<ResB, S::Error>
where
    S: Service<Request<Reply<ReqB>>, Response = Response<ResB>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    ReqB: Body<Data = Bytes> + Send + 'static,
    ReqB::Error: Into<BoxError>,
    ResB: Body<Data = Bytes> + Send + 'static,
    ResB::Error: Into<BoxError>,
{
    let (parts, body) = request.into_parts();
    // Its length is known, and small.
    let Ok(content) = body.collect().await.map(Collected::to_bytes) else {
        return Ok(answer::incomplete());
    };
    let request = Request::from_parts(parts, ());
    let plan = shared.look_for_query(&request, &content, directives);
    let exchange = Exchange::of(&request).cloned();
    let request = request.map(|()| Reply::made(content.clone()));
    match plan {
        Plan::Answer { response, .. } => {
            note(exchange.as_ref(), "hit");
            Ok(*response)
        }
        Plan::Go(go) => converse(shared, inner, request, content, *go).await,
        Plan::Pass(_) | Plan::Query(_) | Plan::Slices { .. } => {
            Ok(inner.call(request).await?.map(CacheBody::inner))
        }
    }
}

/// Something has happened meanwhile: perhaps the store knows more.
fn look_again<B>(
    shared: &Arc<Shared>,
    asked: Asked<'_>,
    go: &mut Go,
) -> Option<Response<CacheBody<B>>> {
    let key = Arc::clone(&go.key);
    let purpose = if go.slice { Purpose::Slice } else { Purpose::Query };
    let variants = shared.store.lookup(&go.hash);
    match shared.look_into(asked, go.hash, variants.as_ref(), go.directives, || key, purpose) {
        Plan::Answer { response, .. } => Some(*response),
        Plan::Go(next) => {
            *go = *next;
            None
        }
        Plan::Pass(_) | Plan::Query(_) | Plan::Slices { .. } => None,
    }
}

/// What came of joining others.
enum Joined<B> {
    Answered(Box<Response<CacheBody<B>>>),
    /// Their answer is nobody else's.
    Unshared,
    /// Their answer is to another variant.
    Unfit,
    None,
}

async fn join<B>(
    shared: &Arc<Shared>,
    asked: Asked<'_>,
    go: &Go,
    flights: &[Arc<Flight>],
) -> Joined<B> {
    let status = CacheStatus {
        cache: &shared.rules.name,
        fwd: Some(go.fwd),
        collapsed: true,
        ..CacheStatus::default()
    };
    let fits = |head: &StoredHead| {
        (head.part.is_none() || go.slice)
            && head.variant.as_ref().is_none_or(|variant| vary::matches(variant, asked.fields))
    };
    // Collapsing is reuse, and allowed where that is (RFC 9111 section 4).
    let may_reuse = |head: &StoredHead| {
        let now = shared.wall();
        matches!(reuse(&head.lifetime, &go.directives, now), Reuse::Fresh | Reuse::StaleAllowed)
    };
    for flight in flights {
        // What was asked for before it was made invalid is not what is asked for now.
        if !shared.is_current(flight.epoch, &go.hash) {
            continue;
        }
        let arrival = match flight.join() {
            Found::Filling(fill) => Arrival::Fill(fill),
            Found::Waiting(mut member) => {
                finish_if_abandoned(shared, &mut member);
                member.await
            }
            Found::Over => continue,
        };
        let found = match &arrival {
            Arrival::Fill(fill) => Some(&*fill.head),
            Arrival::Validated(stored) | Arrival::Stale(stored) => Some(&stored.head),
            Arrival::Own => None,
        };
        let Some(head) = found else { return Joined::Unshared };
        if !fits(head) {
            continue;
        }
        let response = match &arrival {
            Arrival::Fill(fill) if may_reuse(head) => {
                answer::from_fill(shared, asked, fill, status)
            }
            Arrival::Validated(stored) if may_reuse(head) => {
                answer::from_stored(shared, asked, stored, status)
            }
            Arrival::Stale(stored) if shared.may_stand_in(stored, &go.directives) => {
                answer::from_stored(shared, asked, stored, status)
            }
            _ => return Joined::Unshared,
        };
        return response.map_or(Joined::Unfit, |response| Joined::Answered(Box::new(response)));
    }
    Joined::None
}

/// How a flight begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// Others may join.
    Joinable,
    /// Nobody may.
    Alone,
    /// Others may join, and the service must be asked first whether it is ready.
    Background,
}

/// A flight that will call `inner` when it is first polled.
fn launch<S, ReqB, ResB>(
    shared: &Arc<Shared>,
    go: &Go,
    asked: Asked<'_>,
    (mut inner, mut request): (S, Request<Reply<ReqB>>),
    own: &Arc<OwnSlot<ResB, S::Error>>,
    start: Start,
) -> Arc<Flight>
where
    S: Service<Request<Reply<ReqB>>, Response = Response<ResB>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    ReqB: Send + 'static,
    ResB: Body<Data = Bytes> + Send + 'static,
    ResB::Error: Into<BoxError>,
{
    prepare(shared, &mut request, go);
    let fetch = Fetch {
        shared: Arc::clone(shared),
        hash: go.hash,
        key: Arc::clone(&go.key),
        method: asked.method.clone(),
        fields: asked.fields.clone(),
        directives: go.directives,
        candidates: go.candidates.clone(),
        selected: go.selected.clone(),
        beginning: go.beginning.clone(),
        unsafe_target: go.unsafe_target.clone(),
        slice: go.slice,
        joinable: start != Start::Alone,
    };
    let own = Arc::clone(own);
    Flight::new(&shared.flights, go.hash, shared.epoch(), |flight| {
        let flight = Weak::clone(flight);
        Box::pin(async move {
            let call = async {
                if start == Start::Background {
                    poll_fn(|cx| inner.poll_ready(cx)).await?;
                }
                inner.call(request).await
            };
            fetch.run(call, own, flight).await
        })
    })
}

/// Changes a request so that its response may be stored.
pub(crate) fn prepare<B>(shared: &Shared, request: &mut Request<B>, go: &Go) {
    if go.unsafe_target.is_some() {
        return;
    }
    let fields = request.headers_mut();
    for name in &UNKEYED {
        fields.remove(name);
    }
    if !go.from_server {
        fields.remove(FORWARDED_HOST);
    }
    if shared.coder.is_some() {
        derive::ask_for_identity(fields);
    }
    if let Some(beginning) = &go.beginning {
        parts::ask_for_rest(fields, beginning);
    } else if !go.candidates.is_empty() {
        for name in [IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_RANGE, RANGE] {
            fields.remove(name);
        }
        let stored: Vec<&HeaderMap> = go.candidates.iter().map(|s| &s.head.fields).collect();
        validation::add_validators(fields, &stored);
    }
}

/// What a second, unconditional request needs.
struct Retry<S> {
    inner: S,
    parts: Parts,
    content: Bytes,
}

impl<S: Clone> Retry<S> {
    fn of<B>(go: &Go, waiting: &Option<(S, Request<B>)>, content: &Bytes) -> Option<Self> {
        let changed = !go.candidates.is_empty() || go.beginning.is_some();
        let (inner, request) = waiting.as_ref().filter(|_| changed)?;
        Some(Self { inner: inner.clone(), parts: parts_of(request), content: content.clone() })
    }
}

fn parts_of<B>(request: &Request<B>) -> Parts {
    let mut copy = Request::new(());
    copy.method_mut().clone_from(request.method());
    copy.uri_mut().clone_from(request.uri());
    *copy.version_mut() = request.version();
    copy.headers_mut().clone_from(request.headers());
    copy.extensions_mut().clone_from(request.extensions());
    copy.into_parts().0
}

/// Sees a flight through for the one who began it.
async fn lead<S, ReqB, ResB>(
    shared: &Arc<Shared>,
    asked: Asked<'_>,
    go: &Go,
    flight: Arc<Flight>,
    own: Arc<OwnSlot<ResB, S::Error>>,
    retry: Option<Retry<S>>,
    exchange: Option<&Exchange>,
) -> Answer<ResB, S::Error>
where
    S: Service<Request<Reply<ReqB>>, Response = Response<ResB>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    ReqB: Body<Data = Bytes> + Send + 'static,
    ReqB::Error: Into<BoxError>,
    ResB: Body<Data = Bytes> + Send + 'static,
    ResB::Error: Into<BoxError>,
{
    let mut member = flight.leader();
    finish_if_abandoned(shared, &mut member);
    let mut arrival = (&mut member).await;
    let mut mine = own.take();
    if let Some(retry) = retry.filter(|_| matches!(mine, Some(Own::Mismatch))) {
        let mut go = go.clone();
        go.candidates.clear();
        go.beginning = None;
        let request = Request::from_parts(retry.parts, Reply::made(retry.content));
        let own = OwnSlot::new();
        let flight = launch(shared, &go, asked, (retry.inner, request), &own, Start::Background);
        arrival = flight.leader().await;
        mine = own.take();
    }
    let status =
        CacheStatus { cache: &shared.rules.name, fwd: Some(go.fwd), ..CacheStatus::default() };
    let (outcome, what) = match &arrival {
        Arrival::Validated(_) => (Outcome::Validated, "validated"),
        Arrival::Stale(_) => (Outcome::Stale, "stale"),
        Arrival::Fill(_) | Arrival::Own => (Outcome::Miss, "miss"),
    };
    shared.metrics.count(outcome, 1);
    note(exchange, what);
    let answered = match (arrival, mine) {
        (Arrival::Fill(fill), Some(Own::Head(parts, reader))) => {
            let status = CacheStatus { stored: true, fwd_status: Some(parts.status), ..status };
            // A range was not sent along where the whole was to be validated.
            if !go.candidates.is_empty() && asked.fields.contains_key(RANGE) {
                answer::from_fill(shared, asked, &fill, status)
            } else {
                let mut response = Response::from_parts(*parts, CacheBody::boxed(reader));
                let ttl = Some(fill.head.lifetime.ttl(shared.wall()));
                CacheStatus { ttl, ..status }.append_to(response.headers_mut());
                Some(response)
            }
        }
        (Arrival::Validated(stored), _) => {
            let fwd_status = Some(http::StatusCode::NOT_MODIFIED);
            answer::from_stored(shared, asked, &stored, CacheStatus { fwd_status, ..status })
        }
        (Arrival::Own, Some(Own::Confirmed(stored))) => {
            let fwd_status = Some(http::StatusCode::NOT_MODIFIED);
            answer::from_stored(shared, asked, &stored, CacheStatus { fwd_status, ..status })
        }
        (Arrival::Stale(stored), _) => {
            let status = CacheStatus { detail: Some("stale-if-error"), ..status };
            answer::from_stored(shared, asked, &stored, status)
        }
        (Arrival::Own, Some(Own::Response(response, why))) => {
            let mut response = response.map(CacheBody::inner);
            let fwd_status = Some(response.status());
            let detail = why.map(NotKept::token);
            let status = CacheStatus { fwd_status, detail, ..status };
            status.append_to(response.headers_mut());
            Some(response)
        }
        (_, Some(Own::Failed(error))) => return Err(error),
        _ => None,
    };
    drop(member);
    Ok(answered.unwrap_or_else(answer::lost))
}

/// A flight whose last member leaves goes on by itself, where the rules say so.
fn finish_if_abandoned(shared: &Arc<Shared>, member: &mut Member) {
    if shared.rules.on_disconnect != OnDisconnect::Finish {
        return;
    }
    let Some(spawn) = shared.spawn.clone() else { return };
    member.when_abandoned(Box::new(move |member| {
        spawn.spawn(Box::pin(async move {
            if let Arrival::Fill(fill) = member.await {
                let ticket = fill.ticket();
                poll_fn(|cx| fill.poll_finish(ticket, cx)).await;
            }
        }));
    }));
}

/// A task that validates a stored response; `None` where somebody is at it already.
pub(crate) fn refresh<S, ReqB, ResB>(
    shared: &Arc<Shared>,
    inner: S,
    parts: &Parts,
    go: &Go,
) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>>
where
    S: Service<Request<Reply<ReqB>>, Response = Response<ResB>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    ReqB: Body<Data = Bytes> + Send + 'static,
    ReqB::Error: Into<BoxError>,
    ResB: Body<Data = Bytes> + Send + 'static,
    ResB::Error: Into<BoxError>,
{
    let mut request = Request::new(Reply::made(Bytes::new()));
    request.uri_mut().clone_from(&parts.uri);
    let mut fields = parts.headers.clone();
    for name in [IF_MATCH, IF_UNMODIFIED_SINCE] {
        fields.remove(name);
    }
    request.headers_mut().clone_from(&fields);
    let asked = Asked { method: &Method::GET, fields: &fields, from_server: go.from_server };
    let own = OwnSlot::new();
    let flight = shared.flights.add(go.hash, &[], || {
        launch(shared, go, asked, (inner, request), &own, Start::Background)
    })?;
    let member = flight.leader();
    Some(Box::pin(async move {
        if let Arrival::Fill(fill) = member.await {
            let ticket = fill.ticket();
            poll_fn(|cx| fill.poll_finish(ticket, cx)).await;
        }
    }))
}
