//! Service, tiers, ejection and return, with a clock that the test turns.

use std::sync::Arc;
use std::time::Duration;

use proxy_testkit::ManualClock;

use super::*;
use crate::balance::{LeastRequests, RoundRobin, SeededRandom};

struct Scene {
    clock: ManualClock,
    cluster: Arc<Cluster>,
}

impl Scene {
    fn new(count: usize, change: impl FnOnce(&mut ClusterConfig)) -> Self {
        Self::with(count, Box::new(RoundRobin::default()), change)
    }

    fn with(
        count: usize,
        balancer: Box<dyn Balancer>,
        change: impl FnOnce(&mut ClusterConfig),
    ) -> Self {
        let members = (0..count).map(|n| MemberConfig::new(&format!("endpoint-{n}"))).collect();
        let mut config = ClusterConfig::new("app", members);
        config.slow_start = Duration::ZERO;
        change(&mut config);
        let clock = ManualClock::new();
        let random = Arc::new(SeededRandom::new(7));
        let cluster = Cluster::new(config, balancer, Arc::new(clock.clone()), random, None);
        Self { clock, cluster: Arc::new(cluster) }
    }

    /// Where the next requests go, one after the other.
    fn next(&self, count: usize) -> Vec<usize> {
        (0..count).map(|_| self.admit(&[]).expect("an endpoint").index()).collect()
    }

    fn admit(&self, avoid: &[usize]) -> Result<Permit, Refused> {
        self.cluster.admit(None, None, avoid)
    }

    fn end(&self, index: usize, outcome: Outcome) {
        let others: Vec<_> = (0..self.cluster.len()).filter(|other| *other != index).collect();
        self.admit(&others).expect("the endpoint").report(outcome);
    }

    fn fail(&self, index: usize, times: usize) {
        let now = self.cluster.clock.now();
        (0..times).for_each(|_| self.cluster.judge(index, true, now));
    }

    fn check(&self, index: usize, result: Result<(), &str>) {
        self.cluster.checked(index, result.map_err(Into::into), 2, 2);
    }

    fn states(&self) -> Vec<&'static str> {
        self.cluster.report().iter().map(|own| own.state.token()).collect()
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

const DOWN: Result<(), &str> = Err("status 500");

fn outlier(config: &mut ClusterConfig) {
    config.outlier = Some(OutlierConfig::default());
}

#[test]
fn checks_take_an_endpoint_out_and_bring_it_back() {
    let scene = Scene::new(2, |_| {});
    assert_eq!(scene.states(), ["unchecked", "unchecked"]);
    scene.check(0, Ok(()));
    scene.check(1, DOWN);
    assert_eq!(scene.next(2), [0, 1], "one that failed says nothing");
    scene.check(1, DOWN);
    assert_eq!(scene.next(4), [0, 0, 0, 0]);
    assert_eq!(scene.states(), ["healthy", "unhealthy"]);
    assert_eq!(scene.cluster.report()[1].reason.as_deref(), Some("status 500"));
    scene.check(1, Ok(()));
    assert_eq!(scene.next(2), [0, 0], "one that passed says nothing");
    scene.check(1, Ok(()));
    let mut next = scene.next(2);
    next.sort_unstable();
    assert_eq!(next, [0, 1]);
}

#[test]
fn without_an_endpoint_in_service_requests_are_refused() {
    let scene = Scene::new(2, |_| {});
    for index in [0, 0, 1, 1] {
        scene.check(index, DOWN);
    }
    assert!(!scene.cluster.is_in_service());
    assert_eq!(scene.admit(&[]).unwrap_err(), Refused::NoneInService);
}

#[test]
fn in_a_panic_all_are_used() {
    let scene = Scene::new(4, |config| config.panic_threshold = 0.5);
    for index in [0, 0, 1, 1] {
        scene.check(index, DOWN);
    }
    let mut next = scene.next(4);
    next.sort_unstable();
    assert_eq!(next, [2, 2, 3, 3], "half are enough");
    scene.check(2, DOWN);
    scene.check(2, DOWN);
    let mut next = scene.next(4);
    next.sort_unstable();
    assert_eq!(next, [0, 1, 2, 3]);
    assert!(scene.cluster.is_in_service());
    for index in [3, 3] {
        scene.check(index, DOWN);
    }
    assert!(!scene.cluster.is_in_service() && scene.next(4).len() == 4);
}

#[test]
fn backups_stand_in() {
    let scene = Scene::new(3, |config| config.members[2].backup = true);
    assert_eq!(scene.next(4), [0, 1, 0, 1]);
    // For a request that the others failed they are there at once.
    assert_eq!(scene.admit(&[0, 1]).unwrap().index(), 2);
    assert_eq!(scene.admit(&[0]).unwrap().index(), 1);
    for index in [0, 0, 1, 1] {
        scene.check(index, DOWN);
    }
    assert_eq!(scene.next(2), [2, 2]);
    // Whoever was everywhere begins anew.
    assert_eq!(scene.admit(&[0, 1, 2]).unwrap().index(), 2);
}

#[test]
fn a_weight_of_0_takes_nothing() {
    let scene = Scene::new(2, |config| config.members[0].weight = 0);
    assert_eq!(scene.next(3), [1, 1, 1]);
    assert_eq!(scene.states(), ["drained", "unchecked"]);
}

#[test]
fn failures_in_a_row_eject_and_the_next_ejection_is_longer() {
    let scene = Scene::new(3, outlier);
    scene.fail(0, 4);
    scene.end(0, Outcome::Answered);
    scene.fail(0, 4);
    assert_eq!(scene.states(), ["unchecked"; 3], "not in a row");
    scene.fail(0, 1);
    assert_eq!(scene.states()[0], "ejected");
    let report = &scene.cluster.report()[0];
    assert_eq!(report.reason.as_deref(), Some("consecutive_failures"));
    assert_eq!(report.ejected_for, Some(Duration::from_secs(30)));
    assert!(!scene.next(6).contains(&0));
    scene.pass(30);
    assert!(scene.next(3).contains(&0));
    // It is on trial: one failure is enough, and it is gone for twice as long.
    scene.fail(0, 1);
    assert_eq!(scene.cluster.report()[0].ejected_for, Some(Duration::from_secs(60)));
    scene.pass(60);
    scene.end(0, Outcome::Answered);
    scene.fail(0, 4);
    assert_eq!(scene.states()[0], "unchecked", "an answer ends the trial");
}

#[test]
fn no_more_than_a_share_is_ejected_and_never_the_only_one() {
    let scene = Scene::new(4, outlier);
    (0..4).for_each(|index| scene.fail(index, 10));
    assert_eq!(scene.states().iter().filter(|state| **state == "ejected").count(), 2);
    let alone = Scene::new(1, outlier);
    alone.fail(0, 100);
    assert_eq!(alone.states(), ["unchecked"]);
}

#[test]
fn the_last_in_service_is_not_ejected() {
    let scene = Scene::new(3, |config| {
        outlier(config);
        config.members[2].weight = 0;
    });
    scene.check(1, DOWN);
    scene.check(1, DOWN);
    scene.fail(0, 10);
    assert_eq!(scene.states(), ["unchecked", "unhealthy", "drained"]);
    scene.check(1, Ok(()));
    scene.check(1, Ok(()));
    scene.fail(0, 1);
    assert_eq!(scene.states(), ["ejected", "healthy", "drained"]);
    // A first check that passes ends the ejection at once.
    scene.check(0, Ok(()));
    assert!(scene.next(4).contains(&0));
}

#[test]
fn a_share_of_failures_ejects() {
    let scene = Scene::new(2, |config| {
        config.outlier = Some(OutlierConfig {
            consecutive_failures: 0,
            failure_share: Some(0.5),
            ..OutlierConfig::default()
        });
    });
    for _ in 0..9 {
        scene.fail(1, 1);
        scene.end(1, Outcome::Answered);
    }
    scene.fail(1, 1);
    assert_eq!(scene.states()[1], "unchecked", "too few requests to say");
    scene.fail(1, 1);
    assert_eq!(scene.states()[1], "ejected");
}

#[test]
fn one_much_slower_than_the_others_is_ejected() {
    let scene = Scene::new(3, |config| {
        config.outlier = Some(OutlierConfig {
            latency_factor: Some(5.0),
            min_requests: 2,
            ..OutlierConfig::default()
        });
    });
    for (index, millis) in [(0, 20), (1, 20), (2, 110)] {
        let others: Vec<_> = (0..3).filter(|other| *other != index).collect();
        let permit = scene.admit(&others).unwrap();
        scene.clock.advance(Duration::from_millis(millis));
        permit.report(Outcome::Answered);
    }
    assert_eq!(scene.states(), ["unchecked"; 3], "one request says nothing");
    let permit = scene.admit(&[0, 1]).unwrap();
    scene.clock.advance(Duration::from_millis(110));
    permit.report(Outcome::Answered);
    assert_eq!(scene.states()[2], "ejected");
}

#[test]
fn what_returns_is_not_run_over() {
    let balancers: [Box<dyn Balancer>; 2] =
        [Box::new(RoundRobin::default()), Box::new(LeastRequests::default())];
    for balancer in balancers {
        let name = balancer.name();
        let scene = Scene::with(2, balancer, |config| config.slow_start = Duration::from_secs(10));
        scene.check(1, DOWN);
        scene.check(1, DOWN);
        // The other one has a lot to do.
        let busy: Vec<_> = (0..100).map(|_| scene.admit(&[]).unwrap()).collect();
        scene.check(1, Ok(()));
        scene.check(1, Ok(()));
        let held: Vec<_> = (0..100).map(|_| scene.admit(&[]).unwrap()).collect();
        let back = held.iter().filter(|permit| permit.index() == 1).count();
        assert!((1..=30).contains(&back), "{name}: {back} of 100 at once");
        drop((busy, held));
        scene.pass(10);
        let back = scene.next(100).iter().filter(|index| **index == 1).count();
        assert_eq!(back, 50, "{name}: all of its share");
    }
}

#[test]
fn a_full_endpoint_is_passed_over_and_two_full_ones_are_no_place() {
    let scene = Scene::new(2, |config| config.max_in_flight = Some(2));
    let mut held: Vec<_> = (0..4).map(|_| scene.admit(&[]).unwrap()).collect();
    assert_eq!(scene.admit(&[]).unwrap_err(), Refused::AllFull);
    assert_eq!(scene.cluster.report()[0].in_flight, 2);
    let freed = held.swap_remove(2).index();
    assert_eq!(scene.admit(&[]).unwrap().index(), freed);
}

#[test]
fn a_preferred_endpoint_is_taken_while_it_is_in_service() {
    let scene = Scene::new(3, |_| {});
    let prefer = |index| scene.cluster.admit(None, Some(index), &[]).unwrap().index();
    assert_eq!([prefer(2), prefer(2), prefer(0)], [2, 2, 0]);
    scene.check(2, DOWN);
    scene.check(2, DOWN);
    assert_ne!(prefer(2), 2);
}

#[test]
fn endpoints_of_our_zone_are_preferred_while_enough_of_them_are_well() {
    let zones = |config: &mut ClusterConfig| {
        config.zone = Some("here".into());
        for (member, zone) in config.members.iter_mut().zip(["here", "here", "there"]) {
            member.zone = Some(zone.into());
        }
        config.members[3].backup = true;
        config.max_in_flight = Some(2);
    };
    let scene = Scene::new(4, zones);
    let held: Vec<_> = (0..4).map(|_| scene.admit(&[]).unwrap()).collect();
    assert_eq!(held.iter().map(Permit::index).collect::<Vec<_>>(), [0, 1, 0, 1]);
    // They are full: the other zone helps, and the backup does not.
    let far: Vec<_> = (0..2).map(|_| scene.admit(&[]).unwrap()).collect();
    assert!(far.iter().all(|own| own.index() == 2));
    assert_eq!(scene.admit(&[]).unwrap_err(), Refused::AllFull);
    drop((held, far));
    // So it does for a request that was sent to all that are near.
    assert_eq!(scene.admit(&[0, 1]).unwrap().index(), 2);
    let half_down = |index| (0..2).for_each(|_| scene.check(index, DOWN));
    half_down(0);
    assert_eq!(scene.next(2), [1, 1], "half of them is enough");
    half_down(1);
    assert_eq!(scene.next(2), [2, 2]);
    // All of one zone, or nobody says where we are: there is nothing to tell apart.
    let scene = Scene::new(3, |config| config.members[0].zone = Some("there".into()));
    assert_eq!(scene.next(3), [0, 1, 2]);
    let scene = Scene::new(3, |config| config.zone = Some("here".into()));
    assert_eq!(scene.next(3), [0, 1, 2]);
}
