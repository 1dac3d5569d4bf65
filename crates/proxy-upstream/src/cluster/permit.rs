//! A place at an endpoint, held as long as a request is under way there.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use proxy_core::{ProxyError, Side};

use super::Cluster;
use super::adaptive::{Adaptive, Sample};
use super::member::Member;

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
}

impl Permit {
    pub(super) fn take(cluster: &Arc<Cluster>, index: usize, now: Instant) -> Option<Self> {
        let member = &cluster.members[index];
        let limit = member.limit(cluster.config.most_in_flight());
        let taken = member.in_flight.fetch_add(1, Ordering::AcqRel);
        let permit = Self { cluster: Arc::clone(cluster), index, started: now, is_measured: true };
        (taken < limit).then_some(permit)
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

    /// Says how the attempt ended: with the head of a response, or without one.
    pub fn report(&self, outcome: Outcome) {
        if outcome == Outcome::Unknown {
            return;
        }
        let now = self.cluster.clock.now();
        self.observe(outcome, now.saturating_duration_since(self.started), now);
    }

    fn observe(&self, outcome: Outcome, took: Duration, now: Instant) {
        let member = &self.cluster.members[self.index];
        let failed = outcome == Outcome::Failed;
        if self.cluster.wants_latency() {
            // Who fails at once must not look fast.
            let known = member.latency.mean().unwrap_or_default();
            member.latency.observe(if failed { took.max(known * 2) } else { took }, now);
        }
        let adaptive = member.adaptive.as_ref();
        if adaptive.is_some_and(|own| !self.is_measured && own.give_up_probe(now)) {
            self.cluster.call_those_who_fit();
        }
        if let Some(adaptive) = adaptive.filter(|_| self.is_measured) {
            let in_flight = member.in_flight.load(Ordering::Relaxed);
            let sample = Sample { started: self.started, took, failed, in_flight, now };
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
        self.cluster.judge(self.index, failed, now);
    }
}

impl Cluster {
    /// Whether anybody asks how long endpoints take.
    fn wants_latency(&self) -> bool {
        self.members.len() > 1
            && (self.balancer.name() == "peak_ewma"
                || self.config.outlier.as_ref().is_some_and(|own| own.latency_factor.is_some()))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        // Before the look at the queue, in the one order of all threads: whoever enters it later
        // sees the place (see `Waiting::again`).
        self.cluster.members[self.index].in_flight.fetch_sub(1, Ordering::SeqCst);
        self.cluster.queue.next();
    }
}

impl std::fmt::Debug for Permit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Permit").field("index", &self.index).finish_non_exhaustive()
    }
}
