//! The state of a cluster, for operators.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Cluster;
use super::adaptive::Adaptive;
use super::member::CheckState;

/// Why an endpoint gets requests, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndpointState {
    /// In service, and nobody checks it.
    Unchecked,
    /// In service, and its checks pass.
    Healthy,
    /// Its checks fail.
    Unhealthy,
    /// It answered badly.
    Ejected,
    /// Its weight is 0.
    Drained,
}

impl EndpointState {
    /// The word in reports.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Unchecked => "unchecked",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Ejected => "ejected",
            Self::Drained => "drained",
        }
    }

    /// Whether it may get requests.
    pub const fn is_in_service(self) -> bool {
        matches!(self, Self::Unchecked | Self::Healthy)
    }
}

/// One endpoint now.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EndpointReport {
    /// Its name.
    pub name: Arc<str>,
    /// Its weight.
    pub weight: u32,
    /// Whether it is a backup.
    pub backup: bool,
    /// Whether it gets requests.
    pub state: EndpointState,
    /// Why it is in that state: what the last failed check said, or what it was ejected for.
    pub reason: Option<Box<str>>,
    /// For how long it has been in that state.
    pub since: Duration,
    /// When its ejection ends.
    pub ejected_for: Option<Duration>,
    /// How often it was ejected of late.
    pub ejections: u32,
    /// Requests whose response is not whole.
    pub in_flight: usize,
    /// Requests that it may have at a time, where that is limited.
    pub limit: Option<usize>,
    /// What it takes when it has little to do, where its limit follows from that.
    pub least_latency: Option<Duration>,
    /// Failures in a row.
    pub failures: u32,
    /// The share of its weight that it has while it warms up; 1 otherwise.
    pub warmth: f64,
    /// The time to a response's head, where anybody measures it.
    pub latency: Option<Duration>,
    /// How long ago it was last checked.
    pub last_check: Option<Duration>,
}

impl Cluster {
    /// Every endpoint now, in the order of the configuration.
    pub fn report(&self) -> Vec<EndpointReport> {
        let now = self.clock.now();
        let _ = self.eligible_at(now);
        let most = self.config.most_in_flight();
        let ago = |at| now.saturating_duration_since(at);
        let members = self.members.iter();
        members
            .map(|member| {
                let condition = member.condition().clone();
                let ejected_for = condition
                    .ejected_until
                    .map(|until| until.saturating_duration_since(now))
                    .filter(|left| !left.is_zero());
                let (state, reason) = if member.config.weight == 0 {
                    (EndpointState::Drained, None)
                } else if condition.check == CheckState::Unhealthy {
                    (EndpointState::Unhealthy, condition.check_reason)
                } else if ejected_for.is_some() {
                    (EndpointState::Ejected, condition.ejected_for.map(|why| why.token().into()))
                } else if condition.check == CheckState::Healthy {
                    // A check that failed and has not counted so far is worth knowing.
                    (EndpointState::Healthy, condition.check_reason)
                } else {
                    (EndpointState::Unchecked, condition.check_reason)
                };
                EndpointReport {
                    name: Arc::clone(&member.config.name),
                    weight: member.config.weight,
                    backup: member.config.backup,
                    state,
                    reason,
                    since: ago(condition.changed),
                    ejected_for,
                    ejections: condition.ejections,
                    in_flight: member.in_flight.load(Ordering::Relaxed),
                    limit: Some(member.limit(most)).filter(|limit| *limit < usize::MAX),
                    least_latency: member.adaptive.as_ref().and_then(Adaptive::least),
                    failures: member.consecutive.load(Ordering::Relaxed),
                    warmth: member.warmth(self.nanos(now), self.config.slow_start),
                    latency: member.latency.mean(),
                    last_check: condition.last_check.map(ago),
                }
            })
            .collect()
    }

    /// Requests that wait for a place.
    pub fn pending(&self) -> usize {
        self.queue.len()
    }

    /// Writes the gauges. Call it every few seconds.
    pub fn measure(&self) {
        self.meters.measure(&self.report(), self.pending());
    }
}
