//! Destinations that are reached through a parent proxy.

use std::borrow::Cow;
use std::time::Duration;

use proxy_core::{Decision, ErrorKind, Exchange, ProxyError, Verdict};
use tokio::time::{Instant, timeout};

use super::attempt::failed;
use super::parent::{self, Beyond, Parent, PassedVia};
use super::{DialTarget, Dialed, Dialer, Trust};
use crate::guard::HostKind;
use crate::resolve::special_use;

impl Dialer {
    /// Reaches destinations through a parent proxy, but for those that it is not for.
    #[must_use]
    pub fn with_parent(mut self, parent: Parent) -> Self {
        std::sync::Arc::make_mut(&mut self.shared).parent = Some(parent);
        self
    }

    /// The parent proxy, if there is one.
    pub fn parent(&self) -> Option<&Parent> {
        self.shared.parent.as_ref()
    }

    /// The parent through which a target is reached, if it is.
    pub fn parent_of(&self, target: &DialTarget<'_>) -> Option<&Parent> {
        self.parent()?;
        self.parent_for(&Self::host(target).ok()?)
    }

    pub(super) fn parent_for(&self, host: &HostKind<'_>) -> Option<&Parent> {
        self.parent().filter(|parent| parent.is_for(host))
    }

    /// A connection to a parent, for requests in absolute-form; the caller waits until `deadline`.
    pub(crate) async fn dial_parent(
        &self,
        parent: &Parent,
        deadline: Instant,
    ) -> Result<Dialed, ProxyError> {
        let places = parent.places();
        let mut last = None;
        for (tried, (place, host, port)) in places.iter().enumerate() {
            let trust = Trust::Operator;
            let target = DialTarget { host, port: *port, trust, exchange: None };
            let dialing = self.dial_direct(&target, Self::host(&target)?);
            let dialed = match tried + 1 < places.len() {
                // The caller's time is for all of them: nobody is to use up what others need.
                true => timeout(share(deadline, places.len() - tried), dialing)
                    .await
                    .unwrap_or_else(|_| {
                        let detail = "the parent did not answer in time";
                        Err(failed(ErrorKind::ConnectionTimeout, detail))
                    }),
                false => dialing.await,
            };
            if places.len() > 1 {
                parent.looked(*place, dialed.is_ok());
            }
            match dialed {
                Ok(dialed) => return Ok(dialed),
                Err(error) => last = Some(error),
            }
        }
        parent.failed();
        Err(last.unwrap_or_else(parent::nonsense))
    }

    /// A connection through a parent.
    pub(super) async fn dial_beyond(
        &self,
        parent: &Parent,
        target: &DialTarget<'_>,
        host: HostKind<'_>,
        deadline: Instant,
    ) -> Result<Dialed, ProxyError> {
        let (destinations, dns) = self.destinations(parent, target, host).await?;
        let via = target.exchange.and_then(Exchange::get::<PassedVia>);
        let mut last = None;
        for beyond in &destinations {
            // One that can not be reached itself is not asked again.
            let mut dialed = self.dial_parent(parent, deadline).await?;
            let started = Instant::now();
            match parent.ask(&mut dialed.stream, beyond, via.as_ref().map(|own| &own.0)).await {
                Ok(()) => {
                    dialed.dns += dns;
                    dialed.connect += started.elapsed();
                    if let Some(exchange) = target.exchange {
                        note(parent, exchange, "tunnel");
                    }
                    return Ok(dialed);
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(parent::nonsense))
    }

    /// What the parent is asked for, one after the other, and how long resolution took.
    async fn destinations<'a>(
        &self,
        parent: &Parent,
        target: &DialTarget<'a>,
        host: HostKind<'a>,
    ) -> Result<(Vec<Beyond<'a>>, Duration), ProxyError> {
        let port = target.port;
        let name = match host {
            HostKind::Address(ip) => {
                self.permitted(target, None, &[ip])?;
                // As what it is: an IPv4 address within an IPv6 one has one spelling.
                let host = HostKind::Address(ip.to_canonical());
                return Ok((vec![Beyond { host, port }], Duration::ZERO));
            }
            HostKind::Name(name) if parent.config().resolve => name,
            HostKind::Name(name) => {
                let host = HostKind::Name(name);
                return Ok((vec![Beyond { host, port }], Duration::ZERO));
            }
        };
        let started = Instant::now();
        let resolved = self.resolved(target, &name).await?;
        let addresses = self.permitted(target, Some(&name), &resolved.addresses)?;
        let beyond = addresses.iter().map(|own| Beyond { host: HostKind::Address(own.ip()), port });
        Ok((beyond.collect(), started.elapsed()))
    }

    /// Whether a target may be asked of a parent, as far as that is known here.
    pub(crate) fn judge_beyond(&self, target: &DialTarget<'_>) -> Result<(), ProxyError> {
        match Self::host(target)? {
            HostKind::Address(ip) => self.permitted(target, None, &[ip]).map(drop),
            HostKind::Name(name) => match special_use(&name) {
                Some(resolved) => {
                    self.permitted(target, Some(&name), &resolved?.addresses).map(drop)
                }
                None => Ok(()),
            },
        }
    }
}

/// How long one of so many places is tried, of which all have to do until the deadline.
fn share(deadline: Instant, places: usize) -> Duration {
    let left = deadline.saturating_duration_since(Instant::now());
    let parts = u32::try_from(places).unwrap_or(u32::MAX).max(1);
    parent::PATIENCE.min(left / parts)
}

/// Writes down that a request goes through a parent, and how.
pub(crate) fn note(parent: &Parent, exchange: &Exchange, how: &'static str) {
    exchange.decide(Decision {
        layer: parent::LAYER,
        rule: Some(std::sync::Arc::clone(&parent.config().name)),
        verdict: Verdict::Allow,
        reason: Cow::Borrowed(how),
    });
}
