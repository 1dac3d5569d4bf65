//! Requests in absolute-form, to whichever place of a parent proxy is due, and to the next one where
//! that can not be connected to.
//!
//! A connection belongs to the place that it leads to, so each place has a pool of its own. Where
//! no new connection can be made nothing goes out at that place any more, so the request may go to
//! the next. (It may have gone out before on a kept connection that was dead, where that is safe: an
//! idempotent request.)

use http::request::Parts;
use http::{Request, Response};
use proxy_core::deadline::from_now;
use proxy_core::{Body, ErrorKind, Exchange, ProxyError};

use super::h1::{Outgoing, Unsent};
use super::{Destination, Way, address_to};
use crate::cluster::{Outcome, Permit};
use crate::dial::parent::{self, Parent, Search};
use crate::dial::{DialTarget, Dialer, beyond};
use crate::dispatch::{Lasting, hold};
use crate::pool::Pool;
use crate::retry::copy_of_head;

/// Whose connections are in a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leg {
    /// Those to a place of the parent.
    Place(usize),
    /// Those to the destination, around the parent.
    Around,
}

/// A request on its way to a parent.
pub(super) struct ThroughParent {
    parent: Parent,
    search: Search,
    /// None where it is left alone, and the request goes directly.
    place: Option<Permit>,
    pool: Pool,
    outgoing: Outgoing,
    /// As it would be sent directly, where that may be.
    direct: Option<Parts>,
}

impl ThroughParent {
    /// Chooses a place for a request to this target, which is in origin-form and lacks nothing else,
    /// and takes a connection to it out of the pool, if there is one.
    pub(super) fn new(
        mut request: Request<Body>,
        parent: &Parent,
        target: &DialTarget<'_>,
        connect_timeout: std::time::Duration,
        pool_of: impl Fn(Leg) -> Pool,
    ) -> Result<Self, ProxyError> {
        let mut search = Dialer::search(parent, target, from_now(connect_timeout))?;
        let Some(place) = search.next() else {
            if !parent.config().direct {
                return Err(parent::nobody());
            }
            if let Some(exchange) = Exchange::of(&request) {
                beyond::note(parent, exchange, "direct");
            }
            let (parent, pool) = (parent.clone(), pool_of(Leg::Around));
            let outgoing = Outgoing::new(request, &pool, None::<fn(Parts)>)?;
            return Ok(Self { parent, search, place: None, pool, outgoing, direct: None });
        };
        let pool = pool_of(Leg::Place(place.index()));
        let direct = parent.config().direct.then(|| copy_of_head(&request));
        address_to(&mut request, parent, target.host, target.port)?;
        let outgoing = Outgoing::new(request, &pool, None::<fn(Parts)>)?;
        let (parent, place) = (parent.clone(), Some(place));
        Ok(Self { parent, search, place, pool, outgoing, direct })
    }

    /// The connections to the place that was chosen.
    pub(super) fn pool(&self) -> Pool {
        self.pool.clone()
    }

    /// Sends it. `base` says all but the place.
    pub(super) async fn send(
        self,
        base: Destination<'_>,
        pool_of: impl Fn(Leg) -> Pool,
    ) -> Result<Response<Body>, ProxyError> {
        let Self { parent, mut search, place, mut pool, mut outgoing, direct } = self;
        let Some(mut place) = place else {
            parent.failed(&search);
            let around = Destination { way: Way::Around, pool: &pool, ..base };
            return around.send(outgoing).await.map_err(Unsent::error);
        };
        let (error, outgoing) = loop {
            let way = Way::Parent(&parent, place.index(), search.patience());
            let sent = Destination { way, pool: &pool, ..base }.send(outgoing).await;
            let Unsent { error, outgoing: unsent, fresh } = match sent {
                Ok(response) => {
                    parent.reached(place.index());
                    return Ok(held(response, place));
                }
                Err(unsent) => unsent,
            };
            let Some(unsent) = unsent else {
                // One that was kept may have ended of old age.
                if fresh && error.kind() == ErrorKind::ConnectionTerminated {
                    parent.broke_off(&place);
                }
                return Err(error);
            };
            if parent::is_final(&error) {
                return Err(error);
            }
            place.report(Outcome::of_error(&error));
            let Some(next) = search.next() else { break (error, unsent) };
            place = next;
            pool = pool_of(Leg::Place(place.index()));
            outgoing = unsent.again(&pool);
        };
        parent.failed(&search);
        let (exchange, content) = outgoing.into_content();
        let (Some(head), Some(content)) = (direct, content) else { return Err(error) };
        drop(place);
        let mut request = Request::from_parts(head, content);
        if let Some(exchange) = exchange {
            beyond::note(&parent, &exchange, "direct");
            request.extensions_mut().insert::<Exchange>(exchange);
        }
        let pool = pool_of(Leg::Around);
        let outgoing = Outgoing::new(request, &pool, None::<fn(Parts)>)?;
        let around = Destination { way: Way::Around, pool: &pool, ..base };
        around.send(outgoing).await.map_err(Unsent::error)
    }
}

/// The response, which holds the place for as long as its connection is busy.
fn held(mut response: Response<Body>, place: Permit) -> Response<Body> {
    place.report(Outcome::Answered);
    // Whoever else has a place looks for it there.
    match response.extensions().get::<Lasting>() {
        Some(lasting) => lasting.keep(place),
        None => hold(response.body_mut(), place),
    }
    response
}
