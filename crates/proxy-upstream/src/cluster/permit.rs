//! A place at an endpoint, held as long as a request is under way there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http::StatusCode;
use proxy_core::{ProxyError, Side};

use super::Cluster;
use super::adaptive::{Adaptive, Kind, Sample};
use super::member::Member;
use super::outlier::OutlierConfig;

/// How an attempt ended, as far as the endpoint is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It answered.
    Answered,
    /// It did not, or said itself that it can not.
    Failed,
    /// Nothing is known: the client left, or the error was not the endpoint's.
    Unknown,
}

impl Outcome {
    /// What an error says of the endpoint.
    pub fn of_error(error: &ProxyError) -> Self {
        match error.kind().side() {
            Side::Upstream => Self::Failed,
            _ => Self::Unknown,
        }
    }
}

/// Dropping it gives the place to the next that waits.
#[must_use]
pub struct Permit {
    cluster: Arc<Cluster>,
    index: usize,
    started: Instant,
    /// How long it takes says something about the endpoint.
    is_measured: bool,
    /// It is known how the attempt ended, or there was none.
    is_over: AtomicBool,
}

impl Permit {
    pub(super) fn take(cluster: &Arc<Cluster>, index: usize, now: Instant) -> Option<Self> {
        let member = &cluster.members[index];
        let limit = member.limit(cluster.config.most_in_flight());
        let taken = member.in_flight.fetch_add(1, Ordering::AcqRel);
        let granted = taken < limit;
        let permit = Self {
            cluster: Arc::clone(cluster),
            index,
            started: now,
            is_measured: true,
            is_over: AtomicBool::new(!granted),
        };
        granted.then_some(permit)
    }

    /// The endpoint, by its place in the configuration.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The cluster that it belongs to.
    pub fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    /// The request's content comes little by little: how long it takes is up to the client, and
    /// says nothing about how much an endpoint can do.
    pub fn depends_on_client(&mut self) {
        self.is_measured = false;
    }

    /// Whether how long it takes depends on the endpoint alone.
    pub(crate) fn is_measured(&self) -> bool {
        self.is_measured
    }

    /// When it was given.
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// Says how the attempt ended: with the head of a response, or without one.
    pub fn report(&self, outcome: Outcome) {
        match outcome {
            Outcome::Answered => self.ended(Kind::Full),
            Outcome::Failed => self.ended(Kind::Failed),
            Outcome::Unknown => self.is_over.store(true, Ordering::Relaxed),
        }
    }

    /// Says that the attempt ended with the head of a response of this status.
    pub fn answered(&self, status: StatusCode) {
        let outlier = self.cluster.config.outlier.as_ref();
        let failed = outlier.is_some_and(|own| own.statuses.contains(&status));
        let is_full = status.is_success()
            || (status.is_redirection() && status != StatusCode::NOT_MODIFIED)
            || status == StatusCode::SWITCHING_PROTOCOLS;
        self.ended(match (failed, is_full) {
            (true, _) => Kind::Failed,
            (false, true) => Kind::Full,
            (false, false) => Kind::Brief,
        });
    }

    /// Somebody gave up on it, after which an endpoint that had so long is to blame.
    pub(crate) fn gave_up(&self, after: Duration) {
        let now = self.cluster.clock.now();
        let took = now.saturating_duration_since(self.started);
        if took < after {
            return;
        }
        if self.cluster.compares_latencies() {
            let member = &self.cluster.members[self.index];
            member.latency.failed(took, self.cluster.nanos(now));
        }
        self.cluster.judge(self.index, true, now);
    }

    fn ended(&self, kind: Kind) {
        self.is_over.store(true, Ordering::Relaxed);
        if kind != Kind::Failed && !self.cluster.keeps_time() {
            return self.cluster.members[self.index].is_well();
        }
        let now = self.cluster.clock.now();
        self.observe(kind, now.saturating_duration_since(self.started), now);
    }

    fn observe(&self, kind: Kind, took: Duration, now: Instant) {
        let member = &self.cluster.members[self.index];
        let failed = kind == Kind::Failed;
        if self.cluster.compares_latencies() {
            let now = self.cluster.nanos(now);
            match failed {
                true => member.latency.failed(took, now),
                false => member.latency.observe(took, now),
            }
        }
        self.measure(kind, took, now);
        self.cluster.judge(self.index, failed, now);
    }

    /// What the limit of the endpoint learns from it.
    fn measure(&self, kind: Kind, took: Duration, now: Instant) {
        let member = &self.cluster.members[self.index];
        let adaptive = member.adaptive.as_ref();
        if adaptive.is_some_and(|own| !self.is_measured && own.give_up_probe(now)) {
            self.cluster.call_those_who_fit();
        }
        if let Some(adaptive) = adaptive.filter(|_| self.is_measured) {
            let in_flight = member.in_flight.load(Ordering::Relaxed);
            let sample = Sample { started: self.started, took, kind, in_flight, now };
            let probes = |other: &Arc<Member>| {
                !std::ptr::eq(&**other, &**member)
                    && other.adaptive.as_ref().is_some_and(Adaptive::is_probing)
                    // One that is asked nothing, a backup say, would be measured for ever.
                    && other.in_flight.load(Ordering::Relaxed) > 0
            };
            // One at a time: the others take what it does not.
            let may_probe = || !self.cluster.members.iter().any(probes);
            if adaptive.observe(&sample, may_probe, || self.cluster.random.fraction()) {
                self.cluster.call_those_who_fit();
            }
        }
    }
}

impl Cluster {
    /// Whether anybody looks at how long endpoints take, and there is more than one.
    pub(super) fn compares_latencies(&self) -> bool {
        self.wants_latency && self.members.len() > 1
    }

    /// Whether it matters when a request was answered. Most often it does not, and nobody looks at the
    /// clock.
    fn keeps_time(&self) -> bool {
        self.compares_latencies()
            || self.config.adaptive.is_some()
            || self.config.outlier.as_ref().is_some_and(OutlierConfig::counts)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let member = &self.cluster.members[self.index];
        if !*self.is_over.get_mut() && member.adaptive.is_some() {
            // Somebody gave up on it: a limit of time, another attempt that was faster, the client.
            let now = self.cluster.clock.now();
            let took = now.saturating_duration_since(self.started);
            self.measure(Kind::Unanswered, took, now);
        }
        // Before the look at the queue, in the one order of all threads: whoever enters it later
        // sees the place (see `Waiting::enter`).
        let before = member.in_flight.fetch_sub(1, Ordering::SeqCst);
        // Where the limit has shrunk below what is under way no place is free by this. Whoever raises
        // it meanwhile sees that we have left.
        if before <= member.limit(self.cluster.config.most_in_flight()) {
            self.cluster.queue.next();
        }
    }
}

impl std::fmt::Debug for Permit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Permit").field("index", &self.index).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proxy_testkit::ManualClock;

    use super::*;
    use crate::balance::{RoundRobin, SeededRandom};
    use crate::cluster::{AdaptiveConfig, ClusterConfig, MemberConfig};

    const USUAL: Duration = Duration::from_millis(20);

    /// Requests that end like this after so long, one after the other, with the limit made use of;
    /// and the limit then.
    fn ended(
        cluster: &Arc<Cluster>,
        clock: &ManualClock,
        took: Duration,
        end: fn(Permit),
    ) -> usize {
        for _ in 0..100 {
            let admit = || cluster.admit(None, None, &[]).ok();
            let permits: Vec<_> = std::iter::from_fn(admit).collect();
            clock.advance(took);
            permits.into_iter().for_each(end);
        }
        cluster.report()[0].limit.expect("it has one")
    }

    #[test]
    fn a_limit_follows_from_answers_and_from_what_never_was_one() {
        let clock = ManualClock::new();
        let config = ClusterConfig {
            adaptive: Some(AdaptiveConfig { max_limit: 50, ..AdaptiveConfig::default() }),
            ..ClusterConfig::new("app", vec![MemberConfig::new("a")])
        };
        let random = Arc::new(SeededRandom::new(1));
        let balancer = Box::new(RoundRobin::default());
        let cluster = Cluster::new(config, balancer, Arc::new(clock.clone()), random, None);
        let cluster = Arc::new(cluster);
        assert_eq!(ended(&cluster, &clock, USUAL, |own| own.answered(StatusCode::OK)), 50);
        // Somebody asks for what is not there: fast answers, after which others are not slow.
        let missing = |own: Permit| own.answered(StatusCode::NOT_FOUND);
        assert_eq!(ended(&cluster, &clock, USUAL / 10, missing), 50);
        assert_eq!(ended(&cluster, &clock, USUAL, |own| own.answered(StatusCode::OK)), 50);
        // Clients that leave early say nothing.
        assert_eq!(ended(&cluster, &clock, USUAL / 10, drop), 50);
        // It answers nobody, and all are given up on after a while.
        assert!(ended(&cluster, &clock, USUAL * 50, drop) < 10);
    }
}
