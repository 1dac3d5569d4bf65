//! Destinations that are reached through a parent proxy.

use std::borrow::Cow;
use std::time::Duration;

use proxy_core::{Decision, ErrorKind, Exchange, ProxyError, Verdict};
use tokio::time::{Instant, timeout};

use super::attempt::failed;
use super::parent::{self, Beyond, Parent, ParentPlace, PassedVia, Search};
use super::{DialTarget, Dialed, Dialer, Trust};
use crate::cluster::Outcome;
use crate::guard::HostKind;
use crate::resolve::special_use;
use crate::tls::UpstreamTls;

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

    /// A connection to a parent at one of its places, for no longer than `patience`.
    pub(crate) async fn dial_place(
        &self,
        parent: &Parent,
        place: usize,
        patience: Duration,
    ) -> Result<Dialed, ProxyError> {
        let ParentPlace { host, port, .. } = &parent.config().places[place];
        let target = DialTarget { host, port: *port, trust: Trust::Operator, exchange: None };
        let dialing = async {
            let dialed = self.dial_direct(&target, Self::host(&target)?).await?;
            match &parent.config().tls {
                Some(tls) => dialed.secured(tls, host).await,
                None => Ok(dialed),
            }
        };
        timeout(patience, dialing).await.unwrap_or_else(|_| Err(too_late()))
    }

    /// A connection through a parent.
    pub(super) async fn dial_beyond(
        &self,
        parent: &Parent,
        target: &DialTarget<'_>,
        host: HostKind<'_>,
        deadline: Instant,
    ) -> Result<Dialed, ProxyError> {
        let mut search = Search::new(parent, &host, deadline);
        let (destinations, dns) = self.destinations(parent, target, host.clone()).await?;
        let via = target.exchange.and_then(Exchange::get::<PassedVia>);
        let mut last = None;
        let mut is_there = false;
        'places: while let Some(place) = search.next() {
            for beyond in &destinations {
                let dialed = self.dial_place(parent, place.index(), search.patience()).await;
                let mut dialed = match dialed {
                    Ok(dialed) => dialed,
                    Err(error) if parent::is_final(&error) => return Err(error),
                    Err(error) => {
                        place.report(Outcome::of_error(&error));
                        last = Some(error);
                        continue 'places;
                    }
                };
                is_there = true;
                let started = Instant::now();
                let via = via.as_ref().map(|own| &own.0);
                let asking = parent.ask(&mut dialed.stream, beyond, via);
                let Ok(asked) = timeout(search.patience_for_answer(), asking).await else {
                    parent.broke_off(&place);
                    last = Some(too_late());
                    continue 'places;
                };
                if !asked.as_ref().is_err_and(parent::has_broken_off) {
                    parent.reached(place.index());
                }
                match asked {
                    Ok(()) => {
                        place.report(Outcome::Answered);
                        dialed.stream.place = Some(place);
                        dialed.dns += dns;
                        dialed.connect += started.elapsed();
                        if let Some(exchange) = target.exchange {
                            note(parent, exchange, "tunnel");
                        }
                        return Ok(dialed);
                    }
                    // Another may do better. It is not left alone for it: that may have been about
                    // this destination.
                    Err(error) if parent::has_broken_off(&error) => {
                        last = Some(error);
                        continue 'places;
                    }
                    Err(error) => last = Some(error),
                }
            }
            break;
        }
        if !is_there {
            parent.failed(&search);
            if parent.config().direct {
                if let Some(exchange) = target.exchange {
                    note(parent, exchange, "direct");
                }
                let dialed = self.dial_direct(target, host).await?;
                return Ok(Dialed { around: true, ..dialed });
            }
        }
        Err(last.unwrap_or_else(parent::nobody))
    }

    /// A connection without the parent.
    pub(crate) async fn dial_around(&self, target: &DialTarget<'_>) -> Result<Dialed, ProxyError> {
        self.dial_direct(target, Self::host(target)?).await
    }

    /// The places of a parent for this target.
    pub(crate) fn search(
        parent: &Parent,
        target: &DialTarget<'_>,
        deadline: Instant,
    ) -> Result<Search, ProxyError> {
        Ok(Search::new(parent, &Self::host(target)?, deadline))
    }

    /// The place of the parent that would be asked for a target, and why, where there are several.
    pub fn foresee_place(&self, target: &DialTarget<'_>) -> Option<String> {
        let host = Self::host(target).ok()?;
        self.parent_for(&host)?.choice(&host)
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

impl Dialed {
    /// The same over TLS with the parent at this host.
    async fn secured(self, tls: &UpstreamTls, host: &str) -> Result<Self, ProxyError> {
        let started = Instant::now();
        let stream = match self.stream.into_socket() {
            Ok(socket) => tls.connect(host, socket, false).await?,
            Err(_) => return Err(ErrorKind::ProxyInternalError.into()),
        };
        Ok(Self { stream: stream.into(), connect: self.connect + started.elapsed(), ..self })
    }
}

fn too_late() -> ProxyError {
    failed(ErrorKind::ConnectionTimeout, "the parent did not answer in time")
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
