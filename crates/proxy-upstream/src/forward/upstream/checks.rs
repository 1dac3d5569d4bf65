//! What checks the endpoints of an upstream.

use std::sync::Arc;

use http::HeaderValue;

use super::{Endpoint, HostPolicy, Upstream, UpstreamConfig};
use crate::forward::ForwardTimeouts;
use crate::health::{HealthCheckConfig, HealthChecks, HttpProbe, Probe, TcpProbe};
use crate::pool::PoolConfig;

impl Upstream {
    /// The checks of its endpoints, where it is configured to have some: run them beside the
    /// service, once.
    pub fn health_checks(&self) -> Option<HealthChecks> {
        let config = self.shared.config.health_check.clone()?;
        let endpoints = self.shared.config.endpoints.iter();
        let probes = endpoints.map(|endpoint| self.probe(endpoint, &config)).collect();
        Some(HealthChecks::new(Arc::clone(&self.cluster), probes, config))
    }

    fn probe(&self, endpoint: &Endpoint, config: &HealthCheckConfig) -> Box<dyn Probe> {
        let port = config.port.unwrap_or(endpoint.port);
        let dialer = self.shared.dialer.clone();
        let Some(check) = &config.http else {
            return Box::new(TcpProbe::new(dialer, &endpoint.host, port));
        };
        let own = &self.shared.config;
        let host = check.host.as_ref().and_then(|host| HeaderValue::try_from(host).ok());
        let only = UpstreamConfig {
            endpoints: vec![Endpoint { port, ..Endpoint::new(&*endpoint.host, port) }],
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
            circuit_breaker: None,
            outlier: None,
            retry: None,
            balance: Default::default(),
            ..own.clone()
        };
        Box::new(HttpProbe::new(Self::new(only, dialer), check.clone()))
    }
}
