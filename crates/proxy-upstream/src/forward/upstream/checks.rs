//! What checks the endpoints of an upstream.

use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderValue, Request, Response};
use proxy_core::{Body, ProxyError};
use tower_service::Service;

use super::{Endpoint, Generation, HostPolicy, Protocol, Upstream, UpstreamConfig};
use crate::dial::Dialer;
use crate::forward::{ForwardFuture, ForwardTimeouts};
use crate::health::{HealthCheckConfig, HealthChecks, HttpProbe, LocalProbe, Probe, TcpProbe};
use crate::pool::PoolConfig;

impl Generation {
    /// The checks of its endpoints, where it is configured to have some.
    pub(super) fn health_checks(&self) -> Option<HealthChecks> {
        let config = self.shared.config.health_check.clone()?;
        let endpoints = self.shared.config.endpoints.iter();
        let probes = endpoints.map(|endpoint| self.probe(endpoint, &config)).collect();
        Some(HealthChecks::new(Arc::clone(&self.cluster), probes, config))
    }

    fn probe(&self, endpoint: &Endpoint, config: &HealthCheckConfig) -> Box<dyn Probe> {
        let port = config.port.unwrap_or(endpoint.port);
        let dialer = self.shared.dialer.clone();
        let Some(check) = &config.http else {
            return match &endpoint.socket {
                Some(path) => Box::new(LocalProbe::new(path)),
                None => {
                    Box::new(TcpProbe::new(dialer, &endpoint.host, port).within(config.timeout))
                }
            };
        };
        let own = &self.shared.config;
        let host = check.host.as_ref().and_then(|host| HeaderValue::try_from(host).ok());
        let only = UpstreamConfig {
            endpoints: vec![Endpoint {
                socket: endpoint.socket.clone(),
                ..Endpoint::new(&*endpoint.host, port)
            }],
            host: match (host, &own.host) {
                (Some(host), _) => HostPolicy::Fixed(host),
                // No client, no name of its own.
                (None, HostPolicy::Client) => HostPolicy::Endpoint,
                (None, host) => host.clone(),
            },
            // The check as a whole has its limit.
            timeouts: ForwardTimeouts {
                connect: config.timeout,
                first_byte: config.timeout,
                read_idle: config.timeout,
            },
            // What is asked must be whether it takes connections, and not whether it took one.
            pool: PoolConfig { max_idle: 0, ..own.pool },
            health_check: None,
            discovery: None,
            circuit_breaker: None,
            adaptive: None,
            outlier: None,
            retry: None,
            hedge: None,
            balance: Default::default(),
            ..own.clone()
        };
        match only.protocol {
            Protocol::Http1 => Box::new(HttpProbe::new(Upstream::new(only, dialer), check.clone())),
            Protocol::Http2 => Box::new(HttpProbe::new(Anew { only, dialer }, check.clone())),
        }
    }
}

/// An upstream that is made for each request: one of HTTP/2 would ask over the connection that it
/// has, and not find out whether it could make another.
#[derive(Clone)]
struct Anew {
    only: UpstreamConfig,
    dialer: Dialer,
}

impl Service<Request<Body>> for Anew {
    type Response = Response<Body>;
    type Error = ProxyError;
    type Future = ForwardFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> ForwardFuture {
        Upstream::new(self.only.clone(), self.dialer.clone()).call(request)
    }
}
