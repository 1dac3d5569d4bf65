//! One endpoint and what is known of it.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::LEAST_WARMTH;
use super::adaptive::{Adaptive, AdaptiveConfig};
use super::latency::Latency;
use super::outlier::{Failure, Window};
use super::watchers::Watchers;
use crate::balance::hash_of;

/// An endpoint, as a cluster knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberConfig {
    /// Its name, such as `127.0.0.1:3000`: what it is hashed by, and called in metrics.
    pub name: Arc<str>,
    /// Its share beside the others'. 0 to 256; 0 takes nothing new. Default: 1.
    pub weight: u32,
    /// Whether it is used only while no other is in service. Default: no.
    pub backup: bool,
    /// Where it stands, such as a zone of a data centre. Default: nobody says.
    pub zone: Option<Arc<str>>,
}

impl MemberConfig {
    /// An endpoint of weight 1, in the first tier.
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), weight: 1, backup: false, zone: None }
    }
}

/// What active checks say of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum CheckState {
    /// Nothing so far: it is used.
    #[default]
    Unknown,
    /// It is well.
    Healthy,
    /// It is down.
    Unhealthy,
}

pub(super) struct Member {
    pub(super) config: MemberConfig,
    pub(super) identity: u64,
    pub(super) in_flight: AtomicUsize,
    pub(super) latency: Latency,
    /// Failures since the last success.
    pub(super) consecutive: AtomicU32,
    pub(super) window: Window,
    /// Since when it warms up, in nanoseconds of the cluster; 0: it does not.
    pub(super) warm_since: AtomicU64,
    /// Its own limit of requests at a time, where that follows from its latency.
    pub(super) adaptive: Option<Adaptive>,
    /// Those who wait for an answer; they are told when no check is answered any more.
    pub(super) watchers: Watchers,
    condition: Mutex<Condition>,
}

/// What takes an endpoint out of service, and brings it back.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    pub(super) check: CheckState,
    /// What the last check that failed said.
    pub(super) check_reason: Option<Box<str>>,
    /// Checks in a row that passed, or failed.
    pub(super) passed: u32,
    pub(super) failed: u32,
    pub(super) last_check: Option<Instant>,
    pub(super) ejected_until: Option<Instant>,
    pub(super) ejected_for: Option<Failure>,
    /// Ejections in a row; counted anew once it was well for longer than an ejection may last.
    pub(super) ejections: u32,
    /// When it last came or went.
    pub(super) changed: Instant,
}

impl Member {
    pub(super) fn new(
        config: &MemberConfig,
        adaptive: Option<AdaptiveConfig>,
        now: Instant,
    ) -> Self {
        Self {
            identity: hash_of(config.name.as_bytes()),
            in_flight: AtomicUsize::new(0),
            latency: Latency::default(),
            consecutive: AtomicU32::new(0),
            window: Window::default(),
            warm_since: AtomicU64::new(0),
            watchers: Watchers::default(),
            condition: Mutex::new(Condition {
                check: CheckState::Unknown,
                check_reason: None,
                passed: 0,
                failed: 0,
                last_check: None,
                ejected_until: None,
                ejected_for: None,
                ejections: 0,
                changed: now,
            }),
            adaptive: adaptive.map(|adaptive| Adaptive::new(adaptive, now)),
            config: config.clone(),
        }
    }

    /// Requests that it may have at a time, where `most` is what any may have.
    pub(super) fn limit(&self, most: usize) -> usize {
        self.adaptive.as_ref().map_or(most, |own| own.limit().min(most))
    }

    pub(super) fn condition(&self) -> MutexGuard<'_, Condition> {
        self.condition.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_in_service(&self, now: Instant) -> bool {
        let condition = self.condition();
        self.config.weight > 0
            && condition.check != CheckState::Unhealthy
            && condition.ejected_until.is_none_or(|until| until <= now)
    }

    /// The share of its weight that it has now, where slow start takes so long.
    pub(super) fn warmth(&self, now: u64, slow_start: Duration) -> f64 {
        match self.warm_since.load(Ordering::Relaxed) {
            0 => 1.0,
            since => {
                let for_so_long = now.saturating_sub(since) as f64;
                let whole = (slow_start.as_nanos() as f64).max(1.0);
                (for_so_long / whole).clamp(LEAST_WARMTH, 1.0)
            }
        }
    }
}
