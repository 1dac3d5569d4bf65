//! The endpoints, each with its connections.

use std::future::ready;
use std::sync::Arc;

use http::header::HOST;
use http::{HeaderValue, Request, Response};
use proxy_core::{Body, ErrorKind, Exchange, ProxyError, Sending};

use super::super::h1::Outgoing;
use super::super::h2::H2Endpoint;
use super::super::{Destination, ForwardFuture, ForwardTimeouts, prepare};
use super::{Endpoint, HostPolicy, Protocol, Stack, Upstream, UpstreamConfig};
use crate::dial::{DialTarget, Dialer, Trust};
use crate::dispatch::Dispatch;
use crate::pool::Pool;

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
    h2: Option<H2Endpoint>,
}

impl ReadyEndpoint {
    fn host_for(&self, request: &Request<Body>) -> Option<&HeaderValue> {
        match request.headers().contains_key(HOST) {
            true => self.host.as_ref(),
            false => self.host.as_ref().or(self.authority.as_ref()),
        }
    }
}

impl Shared {
    pub(super) fn new(config: UpstreamConfig, dialer: Dialer) -> Self {
        let endpoints = config
            .endpoints
            .iter()
            .map(|endpoint| ReadyEndpoint {
                authority: HeaderValue::try_from(endpoint.authority(config.tls.is_some())).ok(),
                host: match &config.host {
                    HostPolicy::Client => None,
                    HostPolicy::Endpoint => {
                        HeaderValue::try_from(endpoint.authority(config.tls.is_some())).ok()
                    }
                    HostPolicy::Fixed(host) => Some(host.clone()),
                },
                pool: Pool::new(config.pool),
                h2: (config.protocol == Protocol::Http2).then(H2Endpoint::default),
                endpoint: endpoint.clone(),
            })
            .collect();
        Self { config, dialer, endpoints }
    }

    pub(super) fn pools(&self) -> impl Iterator<Item = (&Endpoint, &Pool)> {
        self.endpoints.iter().map(|ready| (&ready.endpoint, &ready.pool))
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

    fn dispatch(&self, index: usize, mut request: Request<Body>) -> ForwardFuture {
        let (shared, timeouts) = (Arc::clone(&self.shared), self.timeouts);
        let endpoint = &shared.endpoints[index];
        let host = endpoint.host_for(&request);
        prepare(&mut request, host);
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
        match Outgoing::new(request, &endpoint.pool) {
            Ok(outgoing) => Box::pin(async move {
                shared.destination(&shared.endpoints[index], timeouts).send(outgoing).await
            }),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }
}

impl Upstream {
    /// Writes down what would be sent, and where to, and answers with nothing.
    pub(super) fn rehearse(
        &self,
        mut request: Request<Body>,
        exchange: &Exchange,
    ) -> Result<Response<Body>, ProxyError> {
        let (shared, cluster) = (&self.shared, self.cluster());
        let index = match &self.stack {
            Stack::Plain(_) => Some(0),
            Stack::Balanced(balanced) => balanced.foresee(&request),
            Stack::Retrying(retrying) => retrying.inner().foresee(&request),
        };
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
        sending.addresses = shared.dialer.foresee(ready.endpoint.target())?;
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
