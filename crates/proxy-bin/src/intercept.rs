//! Interception: which tunnels are opened, and by what certificate.
//!
//! A tunnel to a listed host ends here. The origin server is asked for its certificate first, and
//! verified; ours is like it. What the client then says goes through the same layers as any other
//! request of the forward role, and to the origin server over a connection of ours, which is
//! verified like any other. Where the origin server can not be verified, the client finds that out
//! by an error page, and never by a certificate that hides it.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use proxy_core::{
    ClientCertificate, ConnectionInfo, Decision, ErrorKind, Exchange, Finding, FoundName,
    NamePolicy, NameSource, ParentTunnel, ProxyError, Verdict,
};
use proxy_server::TunnelUpstream;
use proxy_server::intercept::{Found, Inside, Opened};
use proxy_server::tls::TlsEdge;
use proxy_upstream::dial::{DialTarget, Dialer};
use proxy_upstream::tls::UpstreamTls;
use quick_cache::sync::Cache;
use tokio::time::timeout;

use crate::compose::Front;
use crate::config::resolved::Intercept;
use crate::forward::{self, ForwardRole};
use crate::live::Live;

/// How many origin servers' certificates are remembered.
const REMEMBERED: usize = 4096;
/// For how long.
const REMEMBER: Duration = Duration::from_secs(600);
/// How long an origin server may take to show its certificate.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// What serves inside of tunnels: the forward role in effect at the moment.
pub type InsideOfTunnels = Inside<Live<Front<ForwardRole>>>;

/// What opens tunnels. A clone is the same.
#[derive(Clone, Debug)]
pub struct Interceptor(Arc<Shared>);

struct Shared {
    config: Intercept,
    inside: InsideOfTunnels,
    dialer: Dialer,
    tls: UpstreamTls,
    /// By host and port; nothing is known of those that could not be verified.
    found: Cache<(Box<str>, u16), (Found, Instant)>,
}

impl Interceptor {
    /// Opens what the configuration lists; what is inside is served by `inside`. Origin servers
    /// are reached by `dialer` and verified by `tls`.
    pub fn new(
        config: Intercept,
        inside: InsideOfTunnels,
        dialer: Dialer,
        tls: UpstreamTls,
    ) -> Self {
        let found = Cache::new(REMEMBERED);
        Self(Arc::new(Shared { config, inside, dialer, tls, found }))
    }

    /// Whether a tunnel to this host is opened: the name that says so.
    pub fn asks_for<'h>(&self, host: &'h str) -> Option<&'h str> {
        self.0.config.asks_for(bare(host))
    }

    /// Writes down that it is.
    pub fn note(name: &str, exchange: &Exchange) {
        exchange.insert(Decrypted);
        exchange.decide(Decision {
            layer: "intercept",
            rule: Some(name.into()),
            verdict: Verdict::Intercept,
            reason: "decrypted".into(),
        });
    }

    /// Opens a tunnel: the end for the client, once the origin server was reached.
    ///
    /// # Errors
    /// The origin server is prohibited or can not be reached, or no certificate can be made.
    pub async fn open(
        &self,
        target: DialTarget<'_>,
        connect_timeout: Duration,
    ) -> Result<TunnelUpstream, ProxyError> {
        let (host, port) = (bare(target.host).to_ascii_lowercase(), target.port);
        let exchange = target.exchange;
        let found = self.found(target, &host, connect_timeout).await?;
        let edge = self.edge(&host, &found)?;
        let Some(exchange) = exchange else {
            return Err(ErrorKind::ProxyInternalError.into());
        };
        let parent = ParentTunnel {
            host: host.into(),
            port,
            id: exchange.id().to_string().into(),
            user: exchange.user().cloned(),
            certificate: certificate(exchange),
        };
        let info = ConnectionInfo {
            // Who the client is was found out for the tunnel, and is taken from nothing inside.
            peer: exchange.client(),
            peer_trusted: false,
            parent: Some(Arc::new(parent)),
            accepted: Instant::now(),
            activity: Arc::default(),
            ..(**exchange.connection()).clone()
        };
        let Opened { upstream, serving } = self.0.inside.open(edge, info);
        tokio::spawn(serving);
        Ok(upstream)
    }

    /// What the origin server shows. Empty where that can not be verified: each request inside
    /// finds out the same, and its client is told.
    async fn found(
        &self,
        target: DialTarget<'_>,
        host: &str,
        connect_timeout: Duration,
    ) -> Result<Found, ProxyError> {
        let Shared { dialer, tls, found, .. } = &*self.0;
        let (key, now) = ((Box::from(host), target.port), Instant::now());
        if let Some((known, until)) = found.get(&key)
            && now < until
        {
            return Ok(known);
        }
        let stream = forward::dial(dialer, target, connect_timeout).await?;
        match timeout(HANDSHAKE, tls.certificate_of(host, stream)).await {
            Ok(Ok(certificate)) => {
                let own = Found::of(&certificate);
                found.insert(key, (own.clone(), now + REMEMBER));
                Ok(own)
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, host, "no certificate to be like");
                Ok(Found::default())
            }
            Err(_) => Ok(Found::default()),
        }
    }

    fn edge(&self, host: &str, found: &Found) -> Result<Arc<TlsEdge>, ProxyError> {
        let minter = &self.0.config.minter;
        minter.edge(host, found, SystemTime::now()).map_err(|error| {
            tracing::error!(%error, host, "no certificate could be made");
            ProxyError::new(ErrorKind::ProxyInternalError).source(error)
        })
    }
}

/// In the exchange of a tunnel that is opened.
#[derive(Clone, Copy)]
struct Decrypted;

/// Refuses a tunnel whose server name is listed where its host was not: that would be a way around.
#[derive(Debug)]
pub struct NoWayAround(pub Intercept);

impl NamePolicy for NoWayAround {
    fn judge_name(&self, found: &FoundName<'_>, exchange: Option<&Exchange>) -> Vec<Finding> {
        let opened = exchange.is_some_and(|exchange| exchange.get::<Decrypted>().is_some());
        let asked = found.source == NameSource::ServerName && self.0.asks_for(found.name).is_some();
        match asked && !opened {
            true => vec![Finding::refuse("intercept", "server_name_intercepted")],
            false => Vec::new(),
        }
    }
}

/// The certificate by which the client of a tunnel is known.
fn certificate(exchange: &Exchange) -> Option<Arc<ClientCertificate>> {
    exchange.connection().tls.as_deref()?.client.clone()
}

/// A host without the brackets of an IPv6 address.
fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.')
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Interceptor").field("config", &self.config).finish_non_exhaustive()
    }
}
