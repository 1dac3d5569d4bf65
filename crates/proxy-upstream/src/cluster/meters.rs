//! What a cluster counts.

use std::sync::Arc;

use metrics::{Counter, Gauge, Key, KeyName, Label, Level, Metadata, Recorder, SharedString, Unit};

use super::ClusterConfig;
use super::member::Member;
use super::outlier::Failure;
use super::report::EndpointReport;
use crate::priority::Priority;

/// 1 while an endpoint is in service; labels `upstream`, `endpoint`.
pub(super) const IN_SERVICE: &str = "proxy_upstream_endpoint_in_service";
/// Requests under way at an endpoint; labels `upstream`, `endpoint`.
pub(super) const IN_FLIGHT: &str = "proxy_upstream_endpoint_requests_in_flight";
/// Ejections; labels `upstream`, `endpoint`, `reason`.
pub(super) const EJECTIONS: &str = "proxy_upstream_ejections_total";
/// Active checks; labels `upstream`, `endpoint`, `outcome` (`passed`, `failed`).
pub(super) const CHECKS: &str = "proxy_upstream_health_checks_total";
/// Requests that wait for a place; label `upstream`.
pub(super) const PENDING: &str = "proxy_upstream_requests_pending";
/// Requests that an endpoint may have at a time, where that follows from its latency; labels
/// `upstream`, `endpoint`.
pub(super) const LIMIT: &str = "proxy_upstream_endpoint_concurrency_limit";
/// Requests that found no place; labels `upstream`, `reason` (`queue_full`, `queue_timeout`,
/// `none_in_service`, `shed`).
pub(super) const OVERFLOWS: &str = "proxy_upstream_overflows_total";

/// Why a request found no place.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Overflow {
    QueueFull,
    QueueTimeout,
    NoneInService,
    /// It waited, and one of a higher class has its place.
    Shed,
}

const OVERFLOW_REASONS: [&str; 4] = ["queue_full", "queue_timeout", "none_in_service", "shed"];

/// Requests of a class that were refused because an upstream was overloaded; labels `upstream`,
/// `priority` (`low`, `normal`, `high`).
pub(super) const SHED: &str = "proxy_upstream_requests_shed_total";

pub(super) struct Meters {
    exported: Option<Exported>,
}

struct Exported {
    endpoints: Box<[Endpoint]>,
    pending: Gauge,
    overflows: [Counter; 4],
    /// By class.
    shed: [Counter; 3],
}

struct Endpoint {
    in_service: Gauge,
    in_flight: Gauge,
    limit: Option<Gauge>,
    ejections: [Counter; 3],
    checks: [Counter; 2],
}

impl Meters {
    pub(super) fn new(config: &ClusterConfig, recorder: Option<&dyn Recorder>) -> Self {
        let Some(recorder) = recorder else { return Self { exported: None } };
        describe(recorder);
        let metadata = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));
        let upstream = || Label::new("upstream", config.name.to_string());
        let counter = |name: &'static str, labels: Vec<Label>| {
            recorder.register_counter(&Key::from_parts(name, labels), &metadata)
        };
        let gauge = |name: &'static str, labels: Vec<Label>| {
            recorder.register_gauge(&Key::from_parts(name, labels), &metadata)
        };
        let endpoints = config.members.iter().map(|member| {
            let labels = || vec![upstream(), Label::new("endpoint", member.name.to_string())];
            let with =
                |name, value| [labels(), vec![Label::from_static_parts(name, value)]].concat();
            Endpoint {
                in_service: gauge(IN_SERVICE, labels()),
                in_flight: gauge(IN_FLIGHT, labels()),
                limit: config.adaptive.map(|_| gauge(LIMIT, labels())),
                ejections: Failure::ALL.map(|why| counter(EJECTIONS, with("reason", why.token()))),
                checks: ["passed", "failed"].map(|own| counter(CHECKS, with("outcome", own))),
            }
        });
        let overflows = OVERFLOW_REASONS.map(|reason| {
            counter(OVERFLOWS, vec![upstream(), Label::from_static_parts("reason", reason)])
        });
        let shed = Priority::ALL.map(|class| {
            counter(SHED, vec![upstream(), Label::from_static_parts("priority", class.token())])
        });
        let endpoints = endpoints.collect();
        let pending = gauge(PENDING, vec![upstream()]);
        Self { exported: Some(Exported { endpoints, pending, overflows, shed }) }
    }

    pub(super) fn ejected(&self, members: &[Arc<Member>], member: &Member, why: Failure) {
        let index = members.iter().position(|own| std::ptr::eq(&**own, member));
        if let (Some(exported), Some(index)) = (&self.exported, index) {
            exported.endpoints[index].ejections[why as usize].increment(1);
        }
    }

    pub(super) fn checked(&self, index: usize, passed: bool) {
        if let Some(exported) = &self.exported {
            exported.endpoints[index].checks[usize::from(!passed)].increment(1);
        }
    }

    pub(super) fn overflow(&self, why: Overflow, class: Priority) {
        if let Some(exported) = &self.exported {
            exported.overflows[why as usize].increment(1);
            if !matches!(why, Overflow::NoneInService) {
                exported.shed[class as usize].increment(1);
            }
        }
    }

    /// Those that are not there any more are in service no more.
    pub(super) fn retire(&self, members: &[Arc<Member>], next: &[Arc<Member>]) {
        let Some(exported) = &self.exported else { return };
        for (meter, member) in exported.endpoints.iter().zip(members) {
            if !next.iter().any(|own| own.config.name == member.config.name) {
                meter.in_service.set(0.0);
                meter.in_flight.set(0.0);
                if let Some(limit) = &meter.limit {
                    limit.set(0.0);
                }
            }
        }
    }

    pub(super) fn measure(&self, endpoints: &[EndpointReport], pending: usize) {
        let Some(exported) = &self.exported else { return };
        exported.pending.set(pending as f64);
        for (meter, endpoint) in exported.endpoints.iter().zip(endpoints) {
            meter.in_service.set(f64::from(u8::from(endpoint.state.is_in_service())));
            meter.in_flight.set(endpoint.in_flight as f64);
            if let (Some(meter), Some(limit)) = (&meter.limit, endpoint.limit) {
                meter.set(limit as f64);
            }
        }
    }
}

impl super::Cluster {
    /// A request found no place.
    pub(crate) fn overflowed(&self, why: Overflow, class: Priority) {
        self.meters.overflow(why, class);
    }
}

fn describe(recorder: &dyn Recorder) {
    let text = SharedString::const_str;
    let name = KeyName::from_const_str;
    let count = Some(Unit::Count);
    let gauges = [
        (IN_SERVICE, "1 while an endpoint of an upstream is in service."),
        (IN_FLIGHT, "Requests under way at an endpoint."),
        (LIMIT, "Requests that an endpoint may have at a time, by its latency."),
        (PENDING, "Requests that wait for a place at an upstream."),
    ];
    for (gauge, what) in gauges {
        recorder.describe_gauge(name(gauge), count, text(what));
    }
    let counters = [
        (EJECTIONS, "Ejections of an endpoint, by reason."),
        (CHECKS, "Active checks of an endpoint, by outcome."),
        (OVERFLOWS, "Requests that found no place at an upstream, by reason."),
        (SHED, "Requests refused by an overloaded upstream, by their class."),
    ];
    for (counter, what) in counters {
        recorder.describe_counter(name(counter), count, text(what));
    }
}
