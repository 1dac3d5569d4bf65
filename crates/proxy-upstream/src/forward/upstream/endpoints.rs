//! The endpoints, each with its connections.

use std::future::ready;
use std::sync::Arc;

use http::header::HOST;
use http::{HeaderValue, Request, Response};
use proxy_core::{Body, ErrorKind, Exchange, ProxyError, Sending};

use super::super::h1::{Outgoing, Unsent};
use super::super::h2::H2Endpoint;
use super::super::through_parent::{Leg, ThroughParent};
use super::super::{Destination, ForwardFuture, ForwardTimeouts, Way, prepare};
use super::{Endpoint, Generation, HostPolicy, Protocol, Upstream, UpstreamConfig};
use crate::dial::parent::Parent;
use crate::dial::{DialTarget, Dialer, Trust};
use crate::dispatch::Dispatch;
use crate::pool::{Pool, PoolConfig};
use crate::retry::{Tried, copy_of_head};

/// What all clones of an upstream share.
pub(super) struct Shared {
    pub(super) config: UpstreamConfig,
    pub(super) dialer: Dialer,
    endpoints: Vec<ReadyEndpoint>,
}

struct ReadyEndpoint {
    endpoint: Endpoint,
    host: Option<HeaderValue>,
    /// What stands in where an HTTP/1.0 client sent no `Host`.
    authority: Option<HeaderValue>,
    pool: Pool,
    /// To further places of a parent proxy, and around it, for requests in absolute-form.
    further: Arc<[Pool]>,
    h2: Option<H2Endpoint>,
}

impl ReadyEndpoint {
    fn new(endpoint: &Endpoint, config: &UpstreamConfig, parent: Option<&Parent>) -> Self {
        let authority = HeaderValue::try_from(endpoint.authority(config.tls.is_some())).ok();
        Self {
            host: match &config.host {
                HostPolicy::Client => None,
                HostPolicy::Endpoint => authority.clone(),
                HostPolicy::Fixed(host) => Some(host.clone()),
            },
            authority,
            pool: Pool::new(match config.announce {
                // A connection is for the one client that it names.
                Some(_) => PoolConfig { max_idle: 0, ..config.pool },
                None => config.pool,
            }),
            further: match parent.map(Parent::config) {
                Some(own) => (usize::from(!own.direct)..own.places.len())
                    .map(|_| Pool::new(config.pool))
                    .collect(),
                None => Arc::default(),
            },
            h2: (config.protocol == Protocol::Http2).then(H2Endpoint::default),
            endpoint: endpoint.clone(),
        }
    }

    /// Its connections, wherever they lead.
    fn pools(&self) -> impl Iterator<Item = &Pool> {
        std::iter::once(&self.pool).chain(self.further.iter())
    }

    fn leg(&self, leg: Leg) -> &Pool {
        let further = match leg {
            Leg::Place(0) => None,
            Leg::Place(place) => self.further.get(place - 1),
            Leg::Around => self.further.last(),
        };
        further.unwrap_or(&self.pool)
    }

    fn host_for(&self, request: &Request<Body>) -> Option<&HeaderValue> {
        match request.headers().contains_key(HOST) {
            true => self.host.as_ref(),
            false => self.host.as_ref().or(self.authority.as_ref()),
        }
    }
}

impl Shared {
    pub(super) fn new(config: UpstreamConfig, dialer: Dialer) -> Self {
        let endpoints = config.endpoints.iter();
        let parent = dialer.parent();
        let endpoints = endpoints.map(|own| ReadyEndpoint::new(own, &config, parent)).collect();
        Self { config, dialer, endpoints }
    }

    /// The same with other endpoints; those that stay keep their connections.
    pub(super) fn succeed(&self, endpoints: Vec<Endpoint>) -> Self {
        let config = UpstreamConfig { endpoints, ..self.config.clone() };
        let ready = config.endpoints.iter().map(|own| {
            let mut ready = ReadyEndpoint::new(own, &config, self.dialer.parent());
            let known = self.endpoints.iter().find(|known| known.endpoint.name() == own.name());
            if let Some(known) = known {
                (ready.pool, ready.h2) = (known.pool.clone(), known.h2.clone());
                ready.further = Arc::clone(&known.further);
            }
            ready
        });
        let endpoints = ready.collect();
        Self { endpoints, config, dialer: self.dialer.clone() }
    }

    /// Each endpoint with its pools.
    pub(super) fn pools(&self) -> impl Iterator<Item = (&Endpoint, impl Iterator<Item = &Pool>)> {
        self.endpoints.iter().map(|ready| (&ready.endpoint, ready.pools()))
    }

    /// The parent that requests to an endpoint go to in absolute-form.
    fn parent<'a>(&'a self, endpoint: &ReadyEndpoint) -> Option<&'a Parent> {
        let plain = self.config.tls.is_none()
            && self.config.announce.is_none()
            && endpoint.h2.is_none()
            && endpoint.endpoint.socket.is_none();
        let parent = self.dialer.parent().filter(|parent| plain && parent.takes_requests());
        parent.and_then(|_| self.dialer.parent_of(&endpoint.endpoint.target()))
    }

    fn destination<'a>(
        &'a self,
        endpoint: &'a ReadyEndpoint,
        timeouts: ForwardTimeouts,
    ) -> Destination<'a> {
        Destination {
            upstream: Some(&self.config.name),
            target: DialTarget {
                host: &endpoint.endpoint.host,
                port: endpoint.endpoint.port,
                trust: Trust::Operator,
                exchange: None,
            },
            pool: &endpoint.pool,
            dialer: &self.dialer,
            way: Way::Dialed,
            socket: endpoint.endpoint.socket.as_deref(),
            announce: self.config.announce.as_ref(),
            tls: self.config.tls.as_ref(),
            timeouts,
            limits: self.config.limits,
        }
    }
}

/// The endpoints under the timeouts of a route.
#[derive(Clone)]
pub(super) struct Endpoints {
    shared: Arc<Shared>,
    timeouts: ForwardTimeouts,
}

impl Endpoints {
    pub(super) const fn new(shared: Arc<Shared>, timeouts: ForwardTimeouts) -> Self {
        Self { shared, timeouts }
    }
}

impl Dispatch for Endpoints {
    type Future = ForwardFuture;

    fn dispatch(&self, index: usize, request: Request<Body>) -> ForwardFuture {
        self.send(index, request, None)
    }

    fn dispatch_attempt(
        &self,
        index: usize,
        request: Request<Body>,
        tried: &Tried,
    ) -> ForwardFuture {
        self.send(index, request, tried.wants_head().then(|| tried.clone()))
    }
}

impl Endpoints {
    /// Sends a request, of which `tried` is given the head back.
    fn send(
        &self,
        index: usize,
        mut request: Request<Body>,
        tried: Option<Tried>,
    ) -> ForwardFuture {
        let (shared, timeouts) = (Arc::clone(&self.shared), self.timeouts);
        let endpoint = &shared.endpoints[index];
        let host = endpoint.host_for(&request);
        let parent = shared.parent(endpoint);
        // What is made of it then is for this endpoint alone.
        let alters = parent.is_some() || endpoint.h2.is_some() || lacks_host(&request);
        let keep = match tried {
            Some(tried) if alters => {
                tried.give_back(copy_of_head(&request));
                None
            }
            tried => tried,
        };
        prepare(&mut request, host);
        if let Some(parent) = parent {
            let (target, time) = (endpoint.endpoint.target(), timeouts.connect);
            let pool_of = |leg| endpoint.leg(leg).clone();
            return match ThroughParent::new(request, parent, &target, time, pool_of) {
                Ok(through) => Box::pin(async move {
                    let endpoint = &shared.endpoints[index];
                    let destination = shared.destination(endpoint, timeouts);
                    through.send(destination, |leg| endpoint.leg(leg).clone()).await
                }),
                Err(error) => Box::pin(ready(Err(error))),
            };
        }
        if endpoint.h2.is_some() {
            return Box::pin(async move {
                let endpoint = &shared.endpoints[index];
                let destination = shared.destination(endpoint, timeouts);
                match &endpoint.h2 {
                    Some(h2) => h2.send(&destination, request).await,
                    None => Err(ErrorKind::ProxyInternalError.into()),
                }
            });
        }
        // Before there is a future: it need not have room for a whole request.
        let keep = keep.map(|tried| move |head| tried.give_back(head));
        match Outgoing::new(request, &endpoint.pool, keep) {
            Ok(outgoing) => Box::pin(async move {
                let destination = shared.destination(&shared.endpoints[index], timeouts);
                destination.send(outgoing).await.map_err(Unsent::error)
            }),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }
}

/// Whether the client, of HTTP/1.0, sent no `Host`: it gets the endpoint's own.
fn lacks_host(request: &Request<Body>) -> bool {
    !request.headers().contains_key(HOST)
}

impl Upstream {
    /// Writes down what would be sent, and where to, and answers with nothing.
    pub(super) fn rehearse(
        &self,
        mut request: Request<Body>,
        exchange: &Exchange,
    ) -> Result<Response<Body>, ProxyError> {
        let generation = self.generation();
        let Generation { shared, cluster, .. } = &*generation;
        let index = generation.stack(self.timeouts).foresee(&request);
        let index = index.ok_or_else(crate::dispatch::none_in_service)?;
        let ready = &shared.endpoints[index];
        let host = ready.host_for(&request);
        prepare(&mut request, host);
        if ready.h2.is_some() {
            H2Endpoint::complete(&mut request, shared.config.tls.is_some())?;
        }
        let Endpoint { host, port, .. } = &ready.endpoint;
        let mut sending = Sending::new(&request, host, *port);
        sending.secure = shared.config.tls.is_some();
        sending.upstream = Some(Arc::clone(&shared.config.name));
        match &ready.endpoint.socket {
            Some(path) => sending.socket = Some(path.display().to_string().into()),
            None => {
                let target = ready.endpoint.target();
                sending.addresses = shared.dialer.foresee(target)?;
                sending.parent = shared.dialer.parent_of(&target).map(Parent::name);
                sending.parent_choice = shared.dialer.foresee_place(&target);
            }
        }
        sending.protocol = if ready.h2.is_some() { "h2" } else { "h1" };
        sending.host_policy = match &shared.config.host {
            HostPolicy::Client => "client",
            HostPolicy::Endpoint => "upstream",
            HostPolicy::Fixed(_) => "fixed",
        };
        if cluster.len() > 1 {
            let report = cluster.report();
            let well = report.iter().filter(|own| own.state.is_in_service()).count();
            let (name, all) = (cluster.balancer(), report.len());
            sending.choice = Some(format!("{name}, {well} of {all} in service"));
        }
        sending.record(exchange);
        Ok(Response::new(Body::empty()))
    }
}
