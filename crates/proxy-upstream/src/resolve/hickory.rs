//! DNS, by hickory-resolver.
//!
//! Runtimes: hickory opens its sockets and starts its tasks on the runtime that polls a lookup
//! first, and lets later lookups from anywhere share them. When that runtime ends, or its one
//! thread is busy, the others' lookups stall or fail. So all lookups run on one runtime here: the
//! resolver's own thread ([`HickoryResolver::start`]) or one that is given
//! ([`HickoryResolver::on`]). Callers on any number of runtimes share one resolver; an answer in
//! the cache is given without leaving the caller's thread.

mod answer;
mod config;

use std::io;
use std::str::FromStr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use futures_util::future::{self, Either};
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::{Hosts, TokioResolver};
use proxy_core::{ErrorKind, ProxyError};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};

use self::answer::{Failure, Family, combine};
use super::cache::Cache;
use super::{FindingServices, Resolved, Resolver, Resolving, Services, dns_error, special_use};

pub use self::config::{HickoryConfig, NameServers};

/// When one family has answered with addresses, how long the other is waited for (RFC 8305
/// section 3, "Resolution Delay").
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);

/// Lookups that may run at one time; each opens two sockets.
const MAX_LOOKUPS: usize = 256;

/// Asks DNS for A and AAAA at once, and keeps answers as long as they hold.
///
/// A failure to get an answer is kept for a second, so that a broken server is not asked once for
/// each request (RFC 9520 section 3.2). Clones share one resolver; it ends with the last of them.
#[derive(Clone)]
pub struct HickoryResolver {
    shared: Arc<Shared>,
    /// Ends the resolver's own thread when the last clone goes.
    _thread: Option<Arc<oneshot::Sender<()>>>,
}

struct Shared {
    config: HickoryConfig,
    hosts: Hosts,
    /// None where no name server is known.
    dns: Option<TokioResolver>,
    runtime: Handle,
    cache: Cache<Result<Arc<Resolved>, Failure>>,
    lookups: Semaphore,
}

impl HickoryResolver {
    /// A resolver with a thread of its own, for programs with several runtimes.
    ///
    /// # Errors
    ///
    /// The thread or its runtime could not be made.
    pub fn start(config: HickoryConfig) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (sender, ended) = oneshot::channel::<()>();
        thread::Builder::new().name("resolver".to_owned()).spawn(move || {
            // It is never sent to: it ends when the sender is dropped.
            let _ = runtime.block_on(ended);
        })?;
        Ok(Self { _thread: Some(Arc::new(sender)), ..Self::on(config, handle) })
    }

    /// A resolver whose lookups run on the given runtime, which must have time and IO enabled,
    /// and must be running for as long as the resolver is used.
    pub fn on(config: HickoryConfig, runtime: Handle) -> Self {
        let dns = config.dns();
        let hosts = config.hosts();
        let cache = Cache::new(config.cache_entries);
        let lookups = Semaphore::new(MAX_LOOKUPS);
        let shared = Shared { config, hosts, dns, runtime, cache, lookups };
        Self { shared: Arc::new(shared), _thread: None }
    }
}

impl std::fmt::Debug for HickoryResolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HickoryResolver").field("config", &self.shared.config).finish()
    }
}

impl Resolver for HickoryResolver {
    fn services<'a>(&'a self, name: &'a str) -> FindingServices<'a> {
        Box::pin(async move {
            let Ok(mut fqdn) = Name::from_str(name) else {
                return Err(dns_error(ErrorKind::DnsError, "the name can not be in DNS"));
            };
            fqdn.set_fqdn(true);
            let asking = Arc::clone(&self.shared).find_services(fqdn);
            let stopped = || dns_error(ErrorKind::DnsError, "the resolver has stopped");
            let found = self.shared.runtime.spawn(asking).await.map_err(|_| stopped())?;
            found.map_err(ProxyError::from)
        })
    }

    fn resolve<'a>(&'a self, name: &'a str) -> Resolving<'a> {
        Box::pin(async move {
            if let Some(answer) = special_use(name) {
                return answer;
            }
            if let Some(answer) = self.shared.cache.get(name, Instant::now()) {
                return finish(answer);
            }
            // A trailing dot: the name is complete, and gets no suffix (RFC 1034 section 3.1).
            let fqdn = Name::from_str(name).map(|mut name| {
                name.set_fqdn(true);
                name
            });
            let Ok(fqdn) = fqdn else {
                return Err(dns_error(ErrorKind::DnsError, "the name can not be in DNS"));
            };
            if let Some(answer) = self.shared.in_hosts_file(&fqdn) {
                return Ok(answer);
            }
            if self.shared.dns.is_none() {
                return Err(dns_error(ErrorKind::DnsError, "no name server is configured"));
            }
            let (sender, receiver) = oneshot::channel();
            let lookup = Arc::clone(&self.shared).look_up(name.to_owned(), fqdn, sender);
            self.shared.runtime.spawn(lookup);
            let stopped = || dns_error(ErrorKind::DnsError, "the resolver has stopped");
            receiver.await.map_err(|_| stopped()).and_then(finish)
        })
    }
}

impl Shared {
    /// Asks for the servers of a service. They are asked for seldom, and not kept here.
    async fn find_services(self: Arc<Self>, fqdn: Name) -> Result<Services, Failure> {
        let dns = self.dns.as_ref().ok_or(Failure::Server)?;
        let asking = async {
            let _permit = self.lookups.acquire().await.map_err(|_| Failure::Server)?;
            let found = dns.lookup(fqdn, RecordType::SRV).await;
            answer::services(found, Instant::now())
        };
        tokio::time::timeout(self.config.timeout, asking).await.unwrap_or(Err(Failure::Timeout))
    }
}

fn finish(answer: Result<Arc<Resolved>, Failure>) -> Result<Resolved, ProxyError> {
    answer.map(|answer| (*answer).clone()).map_err(ProxyError::from)
}

impl Shared {
    /// A name in the hosts file has the addresses that stand there, and no others.
    fn in_hosts_file(&self, name: &Name) -> Option<Resolved> {
        let addresses: Vec<_> = [RecordType::AAAA, RecordType::A]
            .into_iter()
            .filter_map(|of| self.hosts.lookup_static_host(&Query::query(name.clone(), of)))
            .flat_map(|found| {
                found
                    .answers()
                    .iter()
                    .filter_map(|record| record.data.ip_addr())
                    .collect::<Vec<_>>()
            })
            .collect();
        (!addresses.is_empty()).then(|| Resolved { addresses, ..Resolved::default() })
    }

    /// Asks for both families, answers as soon as one of them and a little patience allow, and
    /// goes on until both are known, for the cache. It ends by itself, also when nobody waits.
    async fn look_up(
        self: Arc<Self>,
        name: String,
        fqdn: Name,
        waiting: oneshot::Sender<Result<Arc<Resolved>, Failure>>,
    ) {
        let mut waiting = Some(waiting);
        let mut families = [None, None];
        let gathered = tokio::time::timeout(
            self.config.timeout,
            self.gather(&fqdn, &mut families, &mut waiting),
        );
        let _ = gathered.await;
        let now = Instant::now();
        let [v6, v4] = families.map(|family| family.unwrap_or(Err(Failure::Timeout)));
        let (answer, ttl) = combine(v6, v4, now, &self.config);
        self.cache.insert(&name, answer.clone(), now + ttl, now);
        if let Some(waiting) = waiting {
            let _ = waiting.send(answer);
        }
    }

    async fn gather(
        &self,
        fqdn: &Name,
        families: &mut [Option<Result<Family, Failure>>; 2],
        waiting: &mut Option<oneshot::Sender<Result<Arc<Resolved>, Failure>>>,
    ) {
        let Ok(_permit) = self.lookups.acquire().await else {
            return;
        };
        let v6 = std::pin::pin!(self.family(fqdn, RecordType::AAAA));
        let v4 = std::pin::pin!(self.family(fqdn, RecordType::A));
        let (first, other) = match future::select(v6, v4).await {
            Either::Left((v6, v4)) => (families[0].insert(v6), Either::Left(v4)),
            Either::Right((v4, v6)) => (families[1].insert(v4), Either::Right(v6)),
        };
        let early = first.as_ref().ok().filter(|found| !found.addresses.is_empty()).cloned();
        let other = async {
            match other {
                Either::Left(v4) => (1, v4.await),
                Either::Right(v6) => (0, v6.await),
            }
        };
        let mut other = std::pin::pin!(other);
        let (index, found) = match early {
            None => other.await,
            Some(early) => match tokio::time::timeout(RESOLUTION_DELAY, other.as_mut()).await {
                Ok(found) => found,
                Err(_) => {
                    if let Some(waiting) = waiting.take() {
                        let _ = waiting.send(Ok(Arc::new(early.into_resolved(Instant::now()))));
                    }
                    other.await
                }
            },
        };
        families[index] = Some(found);
    }

    async fn family(&self, fqdn: &Name, record_type: RecordType) -> Result<Family, Failure> {
        let dns = self.dns.as_ref().ok_or(Failure::Server)?;
        Family::from_lookup(dns.lookup(fqdn.clone(), record_type).await, fqdn)
    }
}

#[cfg(test)]
mod tests;
