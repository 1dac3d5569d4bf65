//! Ejection: an endpoint that answers badly is left alone for a while.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::StatusCode;
use proxy_core::clock::later;

use super::Cluster;
use super::member::Member;

/// When an endpoint is ejected, and for how long.
#[derive(Clone, Debug, PartialEq)]
pub struct OutlierConfig {
    /// Failures in a row that eject; 0: they never do. Default: 5.
    pub consecutive_failures: u32,
    /// The share of requests within [`window`](Self::window) that eject where so many failed;
    /// `None`: it never does. Default: none.
    pub failure_share: Option<f64>,
    /// In what time requests are counted for `failure_share` and `latency_factor`. Default: 10 s.
    pub window: Duration,
    /// Requests in a window before its share, or the latency, says anything. Default: 20.
    pub min_requests: u32,
    /// An endpoint whose latency is this many times the median of the others in service is
    /// ejected, after `min_requests` in a window; `None`: never. Default: none.
    pub latency_factor: Option<f64>,
    /// How long the first ejection lasts; each further one as much longer. Default: 30 s.
    pub eject_for: Duration,
    /// How long an ejection may last. Default: 5 min.
    pub max_eject_for: Duration,
    /// The share of endpoints that may be ejected at a time; at least one may be, but never the
    /// last one in service. Default: 0.5.
    pub max_ejected: f64,
    /// Statuses that count as a failure, beside attempts without an answer. Default: 502, 503,
    /// 504.
    pub statuses: Vec<StatusCode>,
}

impl Default for OutlierConfig {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            failure_share: None,
            window: Duration::from_secs(10),
            min_requests: 20,
            latency_factor: None,
            eject_for: Duration::from_secs(30),
            max_eject_for: Duration::from_secs(300),
            max_ejected: 0.5,
            statuses: vec![
                StatusCode::BAD_GATEWAY,
                StatusCode::SERVICE_UNAVAILABLE,
                StatusCode::GATEWAY_TIMEOUT,
            ],
        }
    }
}

/// Why an endpoint was ejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// Too many failures in a row.
    Consecutive,
    /// Too large a share of failures.
    Share,
    /// Much slower than the others.
    Latency,
}

impl Failure {
    /// The word in metrics and reports.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Consecutive => "consecutive_failures",
            Self::Share => "failure_share",
            Self::Latency => "latency",
        }
    }

    pub(super) const ALL: [Self; 3] = [Self::Consecutive, Self::Share, Self::Latency];
}

/// Successes and failures since the beginning of a window.
#[derive(Debug, Default)]
pub(super) struct Window {
    begun: AtomicU64,
    all: AtomicU32,
    failed: AtomicU32,
}

impl Window {
    pub(super) fn clear(&self) {
        self.begun.store(0, Ordering::Relaxed);
        self.all.store(0, Ordering::Relaxed);
        self.failed.store(0, Ordering::Relaxed);
    }

    /// Counts one, and gives how many there were and how many of them failed. Near the turn of a
    /// window one may count in the other: the share hardly changes by it.
    fn count(&self, failed: bool, now: u64, window: Duration) -> (u32, u32) {
        let begun = self.begun.load(Ordering::Relaxed);
        let window = u64::try_from(window.as_nanos()).unwrap_or(u64::MAX);
        if begun == 0 || now.saturating_sub(begun) > window {
            self.clear();
            self.begun.store(now, Ordering::Relaxed);
        }
        let failures = match failed {
            true => self.failed.fetch_add(1, Ordering::Relaxed) + 1,
            false => self.failed.load(Ordering::Relaxed),
        };
        (self.all.fetch_add(1, Ordering::Relaxed) + 1, failures)
    }
}

impl OutlierConfig {
    /// Whether requests are counted, and not failures alone.
    pub(super) const fn counts(&self) -> bool {
        self.failure_share.is_some() || self.latency_factor.is_some()
    }
}

impl Member {
    /// Its failures in a row are over.
    pub(super) fn is_well(&self) {
        // Most often there were none, and a store would cost the others their caches.
        if self.consecutive.load(Ordering::Relaxed) > 0 {
            self.consecutive.store(0, Ordering::Relaxed);
        }
    }
}

impl Cluster {
    /// A member was found to be there: if it was ejected, it need not wait.
    pub(crate) fn found(&self, index: usize) {
        let (member, now) = (&self.members[index], self.clock.now());
        {
            let _deciding = self.lock();
            let mut condition = member.condition();
            if condition.ejected_until.take().is_none() {
                return;
            }
            condition.changed = now;
        }
        self.welcome(member, now);
        self.refresh(now);
    }

    /// An attempt at a member has succeeded or failed.
    pub(super) fn judge(&self, index: usize, failed: bool, now: Instant) {
        let Some(config) = &self.config.outlier else { return };
        let member = &self.members[index];
        let in_a_row = match failed {
            true => member.consecutive.fetch_add(1, Ordering::Relaxed).saturating_add(1),
            false => {
                member.is_well();
                0
            }
        };
        let (all, failures) = match config.counts() {
            true => member.window.count(failed, self.nanos(now), config.window),
            false => (0, 0),
        };
        let enough = all >= config.min_requests;
        let too_many = |share| f64::from(failures) >= f64::from(all) * share;
        if enough && config.failure_share.is_some_and(too_many) {
            return self.eject(member, Failure::Share, now);
        }
        if failed && config.consecutive_failures > 0 && in_a_row >= config.consecutive_failures {
            return self.eject(member, Failure::Consecutive, now);
        }
        let is_slow = |factor| self.is_slow(index, factor, now);
        if enough && !failed && config.latency_factor.is_some_and(is_slow) {
            self.eject(member, Failure::Latency, now);
        }
    }

    /// Whether a member takes so many times the median of the others in service.
    fn is_slow(&self, index: usize, factor: f64, now: Instant) -> bool {
        let own = self.members[index].latency.mean();
        let others = self.members.iter().enumerate().filter(|(other, _)| *other != index);
        let others = others.filter(|(_, member)| member.is_in_service(now));
        let mut others: Vec<_> = others.filter_map(|(_, member)| member.latency.mean()).collect();
        others.sort_unstable();
        let (Some(own), Some(median)) = (own, others.get(others.len() / 2)) else { return false };
        // Below a millisecond everything is noise.
        own > Duration::from_millis(1) && own.as_secs_f64() > median.as_secs_f64() * factor
    }

    fn eject(&self, member: &Member, why: Failure, now: Instant) {
        let Some(config) = &self.config.outlier else { return };
        {
            let _deciding = self.lock();
            let ejected =
                |member: &Member| member.condition().ejected_until.is_some_and(|until| until > now);
            let all = self.members.len();
            let most = ((all as f64 * config.max_ejected) as usize).max(1);
            if all < 2
                || ejected(member)
                || self.members.iter().filter(|own| ejected(own)).count() >= most
            {
                return;
            }
            // Checks and weights take endpoints out too: the last one stays.
            let mut others = self.members.iter().filter(|other| !std::ptr::eq(&***other, member));
            if !others.any(|other| other.is_in_service(now)) {
                return;
            }
            let mut condition = member.condition();
            // Who was well for long enough begins anew.
            if now.saturating_duration_since(condition.changed) > config.max_eject_for {
                condition.ejections = 0;
            }
            condition.ejections = condition.ejections.saturating_add(1);
            let lasts = config.eject_for.saturating_mul(condition.ejections);
            let lasts = lasts.min(config.max_eject_for);
            condition.ejected_until = Some(later(now, lasts));
            condition.ejected_for = Some(why);
            condition.changed = now;
            tracing::warn!(
                upstream = &*self.config.name,
                endpoint = &*member.config.name,
                reason = why.token(),
                seconds = lasts.as_secs(),
                "an endpoint is ejected"
            );
        }
        self.meters.ejected(&self.members, member, why);
        self.refresh(now);
    }
}
