//! The endpoints of an upstream, as one: which are in service, how busy each is, and who is next.
//!
//! A [`Cluster`] does no IO and owns no task. Requests [ask it](Cluster::admit) for a [`Permit`],
//! which names an endpoint and holds a place there until it is dropped; how the attempt ended is
//! [told](Permit::report) to the permit. Results of active checks are told by whoever
//! [checks](crate::health). Time and chance are handed in.
//!
//! **In service** is an endpoint that no check has found down, that is not ejected, and whose
//! weight is not 0. Requests go to those of the first tier; to backups while the first tier has
//! none. Where fewer than [`panic_threshold`](ClusterConfig::panic_threshold) of the first tier
//! are in service, checks and ejections are not believed any more and all of it is used.
//!
//! **Zones.** Where a [zone](ClusterConfig::zone) is ours, requests go to the endpoints of it, while at
//! least half of them are in service; to those of other zones while they are full, and where a request
//! was sent to all of them.
//!
//! **Return.** An endpoint that comes back gets its share step by step, within
//! [`slow_start`](ClusterConfig::slow_start). One that was ejected is ejected again by its next
//! failure, for longer.

mod adaptive;
mod checks;
mod eligible;
mod latency;
mod member;
mod meters;
mod outlier;
mod permit;
mod queue;
mod report;
mod succession;
mod watchers;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use metrics::Recorder;
use proxy_core::Clock;

use crate::balance::{Balancer, Candidates, HashKey, Random};
use crate::priority::Priority;
use eligible::{Eligible, Offer};
use member::Member;
use meters::Meters;
use queue::Queue;

pub use adaptive::AdaptiveConfig;
pub use member::{CheckState, MemberConfig};
pub use outlier::{Failure, OutlierConfig};
pub use permit::{Outcome, Permit};
pub use report::{EndpointReport, EndpointState};

pub(crate) use meters::Overflow;
pub(crate) use queue::{Call, Waiting};
pub(crate) use watchers::Watcher;

/// The least share of its weight that an endpoint has while it warms up.
const LEAST_WARMTH: f64 = 0.1;

/// How the endpoints of an upstream share its requests.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// Its name in metrics.
    pub name: Arc<str>,
    /// The endpoints; at most 65,535.
    pub members: Vec<MemberConfig>,
    /// What requests are hashed by; for balancers that want a key.
    pub hash_key: Option<HashKey>,
    /// When an endpoint is ejected for how it answers; `None`: never.
    pub outlier: Option<OutlierConfig>,
    /// Requests an endpoint may have at a time. Default: none.
    pub max_in_flight: Option<usize>,
    /// How that limit follows from how long an endpoint takes; `max_in_flight` still is the
    /// largest. Default: it does not.
    pub adaptive: Option<AdaptiveConfig>,
    /// Requests that may wait while all endpoints are at their limit, for each endpoint.
    /// Default: 1024.
    pub max_pending: usize,
    /// How long a request may wait then. Default: 1 s.
    pub pending_timeout: Duration,
    /// In what time an endpoint that comes back gets its full share; zero: at once.
    /// Default: 10 s.
    pub slow_start: Duration,
    /// Where we stand: endpoints of the same zone are preferred, while at least half of them are in
    /// service. Default: none are.
    pub zone: Option<Arc<str>>,
    /// Where less than this share of the first tier is in service, all of it is used. Default: 0,
    /// never.
    pub panic_threshold: f64,
}

impl ClusterConfig {
    /// These endpoints, and all defaults.
    pub fn new(name: &str, members: Vec<MemberConfig>) -> Self {
        Self {
            name: name.into(),
            members,
            hash_key: None,
            outlier: None,
            max_in_flight: None,
            adaptive: None,
            max_pending: 1024,
            pending_timeout: Duration::from_secs(1),
            slow_start: Duration::from_secs(10),
            zone: None,
            panic_threshold: 0.0,
        }
    }
}

impl ClusterConfig {
    /// Requests that an endpoint may have at a time, whatever it takes for them.
    fn most_in_flight(&self) -> usize {
        self.max_in_flight.unwrap_or(usize::MAX)
    }

    fn most_pending(&self) -> usize {
        self.max_pending.saturating_mul(self.members.len().max(1))
    }
}

/// See the [module](self).
pub struct Cluster {
    config: ClusterConfig,
    members: Box<[Arc<Member>]>,
    balancer: Arc<dyn Balancer>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    eligible: ArcSwap<Eligible>,
    /// Held while [`Eligible`] is made anew.
    deciding: Mutex<()>,
    queue: Arc<Queue>,
    meters: Meters,
    begun: Instant,
    /// Whether anybody looks at how long endpoints take.
    wants_latency: bool,
    /// Whether active checks tell what they find.
    checked: AtomicBool,
    /// What took its place when its endpoints changed, and learns what is still told here.
    successor: OnceLock<Arc<Self>>,
}

/// Why no endpoint takes a request now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// None is in service.
    NoneInService,
    /// All that are in service are at their limit.
    AllFull,
}

impl Cluster {
    /// All endpoints are in service at first.
    pub fn new(
        config: ClusterConfig,
        balancer: Box<dyn Balancer>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        recorder: Option<&dyn Recorder>,
    ) -> Self {
        let begun = clock.now();
        let member = |own: &MemberConfig| Arc::new(Member::new(own, config.adaptive, begun));
        let members: Box<[_]> = config.members.iter().map(member).collect();
        let meters = Meters::new(&config, recorder);
        let queue = Queue::new(config.most_pending(), Arc::clone(&clock));
        let balancer: Arc<dyn Balancer> = Arc::from(balancer);
        let outlier = config.outlier.as_ref();
        let by_latency = outlier.is_some_and(|own| own.latency_factor.is_some());
        let cluster = Self {
            queue: Arc::new(queue),
            eligible: ArcSwap::from_pointee(Eligible::default()),
            deciding: Mutex::default(),
            checked: AtomicBool::new(false),
            successor: OnceLock::new(),
            wants_latency: by_latency || balancer.wants_latency(),
            members,
            balancer,
            clock,
            random,
            meters,
            begun,
            config,
        };
        cluster.refresh(begun);
        cluster.measure();
        cluster
    }

    /// How many endpoints there are, in service or not.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is no endpoint at all.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// What it was made of.
    pub fn config(&self) -> &ClusterConfig {
        &self.config
    }

    /// The name of the balancer.
    pub fn balancer(&self) -> &'static str {
        self.balancer.name()
    }

    /// Whether at least one endpoint is in service. In a panic requests are served even if none is.
    pub fn is_in_service(&self) -> bool {
        self.has_others(&[])
    }

    /// Whether an endpoint beside these is in service.
    pub(crate) fn has_others(&self, these: &[usize]) -> bool {
        let now = self.clock.now();
        let mut others = self.members.iter().enumerate().filter(|(at, _)| !these.contains(at));
        others.any(|(_, member)| member.is_in_service(now))
    }

    /// An endpoint for a request, with a place there. `avoid` are those that the request was sent
    /// to before: they are taken only where there is no other. `prefer` is taken if it is in
    /// service and has room.
    ///
    /// # Errors
    /// Why there is none.
    pub fn admit(
        self: &Arc<Self>,
        key: Option<u64>,
        prefer: Option<usize>,
        avoid: &[usize],
    ) -> Result<Permit, Refused> {
        let now = self.clock.now();
        let eligible = self.eligible_at(now);
        // Between the choice and the place another may come first: then the choice is made again,
        // and sooner or later all are full.
        for _ in 0..=self.members.len() {
            let Some(index) = self.choose(&eligible, now, key, prefer, avoid) else { break };
            if let Some(permit) = Permit::take(self, index, now) {
                return Ok(permit);
            }
        }
        let none = eligible.positions.is_empty();
        Err(if none { Refused::NoneInService } else { Refused::AllFull })
    }

    /// A place at an endpoint that is not among these, in their order, whether it is in service or
    /// not: where every other was tried, one that was left alone may do after all.
    pub(crate) fn admit_left_out(self: &Arc<Self>, these: &[usize]) -> Option<Permit> {
        let now = self.clock.now();
        let takes = |index: &usize| self.members[*index].config.weight > 0;
        let mut others = (0..self.len()).filter(|index| !these.contains(index)).filter(takes);
        others.find_map(|index| Permit::take(self, index, now))
    }

    /// The endpoint that would be chosen, without a trace: no turn passes.
    pub fn foresee(&self, key: Option<u64>) -> Option<usize> {
        let now = self.clock.now();
        let eligible = self.eligible_at(now);
        if let [only] = &*eligible.positions {
            return Some(usize::from(*only));
        }
        // A balancer with a cursor would move it.
        match key {
            Some(_) => self.choose(&eligible, now, key, None, &[]),
            None => eligible.positions.first().map(|index| usize::from(*index)),
        }
    }

    fn choose(
        &self,
        eligible: &Eligible,
        now: Instant,
        key: Option<u64>,
        prefer: Option<usize>,
        avoid: &[usize],
    ) -> Option<usize> {
        let limit = self.config.most_in_flight();
        let (members, warming) = (&self.members, eligible.warming);
        let nanos = if warming || self.compares_latencies() { self.nanos(now) } else { 0 };
        let offer = |indices, avoid| Offer {
            members,
            indices,
            avoid,
            limit,
            now: nanos,
            slow_start: warming.then_some(self.config.slow_start),
        };
        let first = offer(&eligible.positions, avoid);
        if let Some(index) = prefer.filter(|index| first.takes(*index)) {
            return Some(index);
        }
        let choose = |offer: &Offer<'_>, schedule: &[u16]| {
            let candidates = Candidates { view: offer, schedule, len: offer.indices.len() };
            let position = self.balancer.choose(&candidates, key, &*self.random)?;
            let position = match warming {
                // By load they are judged with their present weight; by turn or by chance the
                // turn of one that warms up goes to others now and then.
                true => self.pass_on(&candidates, position, key),
                false => position,
            };
            offer.indices.get(position).map(|index| usize::from(*index))
        };
        let found = choose(&first, &eligible.schedule);
        if found.is_some() || (avoid.is_empty() && !eligible.is_local) {
            return found;
        }
        // All of the tier were tried, or those of our zone are full: the others, and then once more
        // those that were tried.
        let reserve = offer(&eligible.reserve, avoid);
        choose(&reserve, &eligible.reserve_schedule)
            .or_else(|| choose(&offer(&eligible.positions, &[]), &eligible.schedule))
    }

    /// Whose turn it is instead, where the chosen one is warming up.
    fn pass_on(&self, candidates: &Candidates<'_>, chosen: usize, key: Option<u64>) -> usize {
        let Candidates { view, .. } = candidates;
        let warmth = view.warmth(chosen);
        if key.is_some() || warmth >= 1.0 || self.random.fraction() < warmth {
            return chosen;
        }
        let start = self.random.below(candidates.schedule().len());
        candidates
            .turns(start)
            .find(|other| view.is_open(*other) && view.warmth(*other) >= 1.0)
            .unwrap_or(chosen)
    }

    /// Nanoseconds since the beginning, from 1 on.
    fn nanos(&self, now: Instant) -> u64 {
        let passed = now.saturating_duration_since(self.begun);
        let whole = passed.as_secs().saturating_mul(1_000_000_000);
        whole.saturating_add(u64::from(passed.subsec_nanos()) + 1)
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.deciding.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place, within the limits of the queue.
    pub(crate) fn wait(&self, class: Priority) -> Option<Waiting<'_>> {
        let waiting = self.queue.enter(class)?;
        // What became free before it was in the queue called nobody. It is for whoever has waited
        // longest, so that nobody passes those who wait.
        self.call_those_who_fit();
        Some(waiting)
    }

    /// The clock that it goes by.
    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The chance that it goes by.
    pub(crate) fn random(&self) -> &Arc<dyn Random> {
        &self.random
    }

    /// Whether an active check found the endpoint down since the last look; the first look is the
    /// beginning. With the next time the task is woken.
    pub(crate) fn watch(&self, index: usize, own: &mut Option<Watcher>, task: &Waker) -> bool {
        self.members[index].watchers.look(own, task)
    }

    /// Nobody looks any more.
    pub(crate) fn unwatch(&self, index: usize, watcher: &Watcher) {
        self.members[index].watchers.leave(watcher);
    }

    /// Whether active checks may find an endpoint down.
    pub(crate) fn is_checked(&self) -> bool {
        self.checked.load(Ordering::Relaxed)
    }

    /// Active checks begin to tell what they find.
    pub(crate) fn set_checked(&self) {
        self.checked.store(true, Ordering::Relaxed);
    }

    pub(crate) fn identity(&self, index: usize) -> u64 {
        self.members[index].identity
    }
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster")
            .field("name", &self.config.name)
            .field("members", &self.members.len())
            .field("balancer", &self.balancer)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
