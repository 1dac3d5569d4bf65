//! From a host and a port to a TCP connection: resolve, judge, connect.
//!
//! Every address of an answer is judged by the [guard](crate::guard), the permitted ones are tried
//! by happy eyeballs (RFC 8305), and what was judged is what is dialled: nothing is resolved twice.
//! Whatever fails, nothing was sent, and the errors say so. With a [parent] proxy destinations are
//! reached through that.

mod attempt;
pub(crate) mod beyond;
mod eyeballs;
mod judge;
pub(crate) mod local;
pub mod parent;
mod stream;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proxy_core::deadline::from_now;
use proxy_core::{Attempt, ErrorKind, Exchange, NamePolicy, ProxyError, Retry};
use tokio::time::{Instant, timeout};

use self::attempt::{best, connect, failed};
use self::eyeballs::race;
use self::parent::Parent;
use crate::guard::{Guard, HostKind, parse_host};
use crate::resolve::{Resolved, Resolver, special_use};

pub use stream::DialedStream;
pub(crate) use stream::Way;

/// Who chose a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trust {
    /// A client: the guard judges it.
    Client,
    /// The operator's configuration: only our own listeners are refused.
    Operator,
}

/// What to dial.
#[derive(Clone, Copy, Debug)]
pub struct DialTarget<'a> {
    /// A name or an address in any spelling; an IPv6 address in brackets.
    pub host: &'a str,
    /// The port. Whether a client may use it is for the
    /// [port policy](crate::guard::PortPolicy), which is not asked here.
    pub port: u16,
    /// Who chose it.
    pub trust: Trust,
    /// On whose behalf: what is reported, and not refused, is written there.
    pub exchange: Option<&'a Exchange>,
}

/// A connection that stands.
#[derive(Debug)]
pub struct Dialed {
    /// The connection, with `TCP_NODELAY` and keep-alive set.
    pub stream: DialedStream,
    /// The address that was judged and dialled. Not for clients to see.
    pub address: SocketAddr,
    /// How long resolution took; zero where the host is an address.
    pub dns: Duration,
    /// How long connecting took, failed attempts included.
    pub connect: Duration,
    /// Whether it leads around a parent proxy that was not there: for what it was dialled for, and
    /// not to be kept.
    pub around: bool,
}

impl Dialed {
    /// Writes what was dialled, and how long it took, into the record of an attempt.
    pub fn note(&self, attempt: &mut Attempt) {
        attempt.address = Some(self.address);
        attempt.dns = Some(self.dns);
        attempt.connect = Some(self.connect);
    }
}

/// How a [`Dialer`] connects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialConfig {
    /// For connecting, all attempts together, after resolution. Default: 10 s.
    pub connect_timeout: Duration,
    /// Between the starts of two attempts (RFC 8305 section 5, "Connection Attempt Delay").
    /// Default: 250 ms.
    pub attempt_delay: Duration,
    /// How many addresses of an answer are tried at most, so that an answer can not make us
    /// knock on a hundred doors. Default: 16.
    pub max_addresses: usize,
    /// The idle time after which the system asks whether the peer is still there, and again every
    /// quarter of it, four times. Default: 60 s. `None`: never.
    pub keepalive: Option<Duration>,
}

impl Default for DialConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            attempt_delay: Duration::from_millis(250),
            max_addresses: 16,
            keepalive: Some(Duration::from_secs(60)),
        }
    }
}

/// Dials. Cheap to clone; it holds no connection and belongs to no runtime.
#[derive(Clone)]
pub struct Dialer {
    shared: Arc<Shared>,
}

#[derive(Clone)]
struct Shared {
    resolver: Arc<dyn Resolver>,
    guard: Guard,
    trusted: Guard,
    config: DialConfig,
    names: Option<Arc<dyn NamePolicy>>,
    parent: Option<Parent>,
}

impl Dialer {
    /// A dialer over a resolver and the guard for clients' destinations; the operator's are
    /// judged by its [`trusted`](Guard::trusted) form.
    pub fn new(resolver: Arc<dyn Resolver>, guard: Guard, config: DialConfig) -> Self {
        let trusted = guard.trusted();
        let shared = Shared { resolver, guard, trusted, config, names: None, parent: None };
        Self { shared: Arc::new(shared) }
    }

    /// Asks `policy` about every alias that leads to the addresses of a name which a client chose
    /// ([`Resolved::names`], the chain of CNAME records), so that lists of names hold for those
    /// too. The name itself is judged before it comes here.
    #[must_use]
    pub fn with_name_policy(mut self, policy: Arc<dyn NamePolicy>) -> Self {
        Arc::make_mut(&mut self.shared).names = Some(policy);
        self
    }

    /// Resolves, judges and connects.
    ///
    /// # Errors
    ///
    /// `dns_error` and `dns_timeout` from the resolver; `http_request_denied` when the policy of
    /// names refuses an alias; `destination_ip_prohibited` when no address is permitted; then what the best of the attempts came to: `connection_refused`,
    /// `connection_timeout`, `destination_ip_unroutable`. A host that is none is
    /// `http_request_error`, or `proxy_configuration_error` where the operator wrote it. Nothing
    /// was sent in any of these cases. Through a parent also what it comes to there; see
    /// [`parent`].
    pub async fn dial(&self, target: DialTarget<'_>) -> Result<Dialed, ProxyError> {
        let deadline = from_now(self.shared.config.connect_timeout);
        self.dial_until(target, deadline).await
    }

    /// The same within a time for all of it. The places where a parent may be share that time: a
    /// place where nobody answers leaves some of it for the next.
    ///
    /// # Errors
    ///
    /// Those of [`dial`](Self::dial), and `connection_timeout`.
    pub async fn dial_within(
        &self,
        target: DialTarget<'_>,
        time: Duration,
    ) -> Result<Dialed, ProxyError> {
        let dialing = self.dial_until(target, from_now(time));
        timeout(time, dialing).await.unwrap_or_else(|_| {
            Err(ProxyError::new(ErrorKind::ConnectionTimeout).retry(Retry::NothingSent))
        })
    }

    /// The same, where the caller waits until then.
    pub(crate) async fn dial_until(
        &self,
        target: DialTarget<'_>,
        deadline: Instant,
    ) -> Result<Dialed, ProxyError> {
        let host = Self::host(&target)?;
        match self.parent_for(&host) {
            None => self.dial_direct(&target, host).await,
            // Boxed: hardly anybody has one.
            Some(parent) => Box::pin(self.dial_beyond(parent, &target, host, deadline)).await,
        }
    }

    async fn dial_direct(
        &self,
        target: &DialTarget<'_>,
        host: HostKind<'_>,
    ) -> Result<Dialed, ProxyError> {
        let started = Instant::now();
        let (addresses, dns) = match host {
            HostKind::Address(address) => {
                (self.permitted(target, None, &[address])?, Duration::ZERO)
            }
            HostKind::Name(name) => {
                let resolved = self.resolved(target, &name).await?;
                let addresses = self.permitted(target, Some(&name), &resolved.addresses)?;
                (addresses, started.elapsed())
            }
        };
        let started = Instant::now();
        let config = &self.shared.config;
        let attempts = race(&addresses, config.attempt_delay, |address| connect(address, config));
        let (address, stream) = match timeout(config.connect_timeout, attempts).await {
            Ok(Ok(connected)) => connected,
            Ok(Err(errors)) => return Err(best(errors)),
            Err(_) => {
                let detail = "no address of the destination answered in time";
                return Err(failed(ErrorKind::ConnectionTimeout, detail));
            }
        };
        let (stream, connect) = (stream.into(), started.elapsed());
        Ok(Dialed { stream, address, dns, connect, around: false })
    }

    /// The addresses of a name, still to be judged.
    async fn resolved(&self, target: &DialTarget<'_>, name: &str) -> Result<Resolved, ProxyError> {
        let unsent = |error: ProxyError| error.retry(Retry::NothingSent);
        let note = |resolving| {
            if let Some(exchange) = target.exchange {
                let write = |last: &mut Attempt| last.resolving = resolving;
                exchange.with_attempts(|attempts| attempts.last_mut().map(write));
            }
        };
        // Where nobody waits for it any more, it stays so in the record.
        note(true);
        let resolved = self.shared.resolver.resolve(name).await.map_err(unsent);
        note(false);
        let resolved = resolved?;
        self.judge_aliases(target, &resolved)?;
        Ok(resolved)
    }

    /// The host, read.
    fn host<'a>(target: &DialTarget<'a>) -> Result<HostKind<'a>, ProxyError> {
        parse_host(target.host).map_err(|error| {
            let kind = match target.trust {
                Trust::Client => ErrorKind::HttpRequestError,
                Trust::Operator => ErrorKind::ProxyConfigurationError,
            };
            failed(kind, "the host is neither an address nor a name").source(error)
        })
    }

    /// What [`dial`](Self::dial) would try, as far as that is known without asking anybody: the
    /// addresses of a host that is one, or whose name is not in DNS. Other names give none.
    ///
    /// # Errors
    ///
    /// What [`dial`](Self::dial) would fail with, as far as that is known.
    pub fn foresee(&self, target: DialTarget<'_>) -> Result<Vec<SocketAddr>, ProxyError> {
        match Self::host(&target)? {
            HostKind::Address(address) => self.permitted(&target, None, &[address]),
            HostKind::Name(name) => match special_use(&name) {
                Some(resolved) => self.permitted(&target, Some(&name), &resolved?.addresses),
                None => Ok(Vec::new()),
            },
        }
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer")
            .field("guard", &self.shared.guard)
            .field("config", &self.shared.config)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
