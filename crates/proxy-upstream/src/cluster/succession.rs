//! From one set of endpoints to the next.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock};

use arc_swap::ArcSwap;
use metrics::Recorder;

use super::eligible::Eligible;
use super::member::{Member, MemberConfig};
use super::meters::Meters;
use super::{Cluster, ClusterConfig};

impl Cluster {
    /// The same cluster with other endpoints. Those that stay as they are keep their state, new
    /// ones begin little by little. What is under way goes on; what is told of it to this cluster
    /// the other one learns.
    ///
    /// It happens once: a cluster that has a successor has it for good.
    pub fn succeed(
        &self,
        members: Vec<MemberConfig>,
        recorder: Option<&dyn Recorder>,
    ) -> Arc<Self> {
        let now = self.clock.now();
        let was_empty = self.members.is_empty();
        let mut new = Vec::new();
        let kept = members.iter().map(|own| {
            let known = self.members.iter().find(|member| member.config == *own);
            known.cloned().unwrap_or_else(|| {
                let member = Arc::new(Member::new(own, self.config.adaptive, now));
                new.push(Arc::clone(&member));
                member
            })
        });
        let kept: Box<[_]> = kept.collect();
        let config = ClusterConfig { members, ..self.config.clone() };
        self.queue.set_most(config.most_pending());
        let next = Arc::new(Self {
            meters: Meters::new(&config, recorder),
            members: kept,
            balancer: Arc::clone(&self.balancer),
            clock: Arc::clone(&self.clock),
            random: Arc::clone(&self.random),
            eligible: ArcSwap::from_pointee(Eligible::default()),
            deciding: Mutex::default(),
            queue: Arc::clone(&self.queue),
            begun: self.begun,
            wants_latency: self.wants_latency,
            checked: AtomicBool::new(self.is_checked()),
            successor: OnceLock::new(),
            config,
        });
        if !was_empty {
            new.iter().for_each(|member| next.welcome(member, now));
        }
        // Gone from the page of metrics they can not be; but they serve nobody.
        self.meters.retire(&self.members, &next.members);
        let _ = self.successor.set(Arc::clone(&next));
        next.refresh(now);
        // A gauge that nobody has set says 0: as if those that are new were out of service.
        next.measure();
        next
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proxy_testkit::ManualClock;

    use super::*;
    use crate::balance::{RoundRobin, SeededRandom};
    use crate::cluster::{EndpointState, Outcome, OutlierConfig, Refused};

    fn members(names: &[&str]) -> Vec<MemberConfig> {
        names.iter().map(|name| MemberConfig::new(name)).collect()
    }

    fn cluster(names: &[&str], clock: &ManualClock) -> Arc<Cluster> {
        let config = ClusterConfig {
            outlier: Some(OutlierConfig { consecutive_failures: 1, ..OutlierConfig::default() }),
            max_in_flight: Some(1),
            slow_start: Duration::ZERO,
            ..ClusterConfig::new("app", members(names))
        };
        let random = Arc::new(SeededRandom::new(1));
        let balancer = Box::new(RoundRobin::default());
        Arc::new(Cluster::new(config, balancer, Arc::new(clock.clone()), random, None))
    }

    fn states(cluster: &Cluster) -> Vec<(String, EndpointState, usize)> {
        let report = cluster.report().into_iter();
        report.map(|own| (own.name.to_string(), own.state, own.in_flight)).collect()
    }

    #[test]
    fn who_stays_keeps_its_state_and_who_comes_is_used() {
        let clock = ManualClock::new();
        let first = cluster(&["a", "b"], &clock);
        let (held, failed) = (first.admit(None, Some(0), &[]), first.admit(None, Some(1), &[]));
        let (held, failed) = (held.unwrap(), failed.unwrap());
        failed.report(Outcome::Failed);
        drop(failed);
        let next = first.succeed(members(&["b", "a", "c"]), None);
        use EndpointState::{Ejected, Unchecked};
        let expected =
            [("b".into(), Ejected, 0), ("a".into(), Unchecked, 1), ("c".into(), Unchecked, 0)];
        assert_eq!(states(&next), expected);
        // `a` is full, `b` ejected.
        let only = next.admit(None, None, &[]).unwrap();
        assert_eq!(only.index(), 2);
        assert_eq!(next.admit(None, None, &[]).unwrap_err(), Refused::AllFull);
        drop(held);
        assert_eq!(next.admit(None, None, &[]).unwrap().index(), 1);
    }

    #[test]
    fn what_an_old_request_finds_out_is_known_to_the_new_cluster() {
        let clock = ManualClock::new();
        let first = cluster(&["a", "b"], &clock);
        let old = first.admit(None, Some(0), &[]).unwrap();
        let next = first.succeed(members(&["a", "c"]), None);
        old.report(Outcome::Failed);
        drop(old);
        assert_eq!(states(&next)[0].1, EndpointState::Ejected);
        for _ in 0..3 {
            assert_eq!(next.admit(None, None, &[]).unwrap().index(), 1);
        }
    }

    #[test]
    fn from_none_to_some_and_back() {
        let clock = ManualClock::new();
        let none = cluster(&[], &clock);
        assert_eq!(none.admit(None, None, &[]).unwrap_err(), Refused::NoneInService);
        assert!(none.foresee(None).is_none() && !none.is_in_service());
        let some = none.succeed(members(&["a"]), None);
        assert_eq!(some.admit(None, None, &[]).unwrap().index(), 0);
        assert!(some.is_in_service());
    }
}
