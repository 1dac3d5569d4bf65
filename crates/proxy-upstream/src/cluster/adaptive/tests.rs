//! Endpoints that do what they can, and limits that follow.

use super::*;

const BASE: Duration = Duration::from_millis(10);

struct Endpoint {
    adaptive: Adaptive,
    now: Instant,
    /// Requests that it answers in `BASE`; more wait in it.
    capacity: usize,
}

impl Endpoint {
    fn new(config: AdaptiveConfig, capacity: usize) -> Self {
        let now = Instant::now();
        Self { adaptive: Adaptive::new(config, now), now, capacity }
    }

    /// Answers of one kind, one every 10 ms, with the limit made use of.
    fn answers(&mut self, kind: Kind, took: Duration, count: usize) -> usize {
        for _ in 0..count {
            self.now += Duration::from_millis(10);
            let (now, in_flight) = (self.now, self.adaptive.limit());
            let sample = Sample { started: now - took, took, kind, in_flight, now };
            self.adaptive.observe(&sample, || false, || 0.5);
        }
        self.adaptive.limit()
    }

    /// A window in which as many requests as it lets are under way, but no more than these.
    fn window(&mut self, offered: usize) -> usize {
        let in_flight = offered.min(self.adaptive.limit());
        let load = in_flight as f64 / self.capacity as f64;
        let took = BASE.mul_f64(load.max(1.0));
        let answers = (in_flight * 10).clamp(1, 30);
        let pause = Duration::from_millis(100) / u32::try_from(answers).unwrap();
        for _ in 0..=answers {
            self.now += pause;
            let (started, now) = (self.now, self.now);
            let sample = Sample { started, took, kind: Kind::Full, in_flight, now };
            self.adaptive.observe(&sample, || true, || 0.5);
        }
        self.adaptive.limit()
    }
}

/// An endpoint that is asked nothing but uploads is not held at the limit of a measurement.
#[test]
fn a_measurement_without_anything_to_measure_ends() {
    let config = AdaptiveConfig::default();
    let (start, least) = (Instant::now(), config.min_limit);
    let adaptive = Adaptive::new(config, start);
    assert!(!adaptive.give_up_probe(start + PROBE_TIME / 2));
    assert_eq!(adaptive.limit(), least);
    assert!(adaptive.give_up_probe(start + PROBE_TIME));
    assert_eq!((adaptive.limit(), adaptive.is_probing()), (INITIAL, false));
    assert!(!adaptive.give_up_probe(start + PROBE_TIME * 2), "it is over");
}

#[test]
fn the_limit_comes_to_what_the_endpoint_can_do() {
    let mut endpoint = Endpoint::new(AdaptiveConfig::default(), 40);
    let limits: Vec<_> = (0..200).map(|_| endpoint.window(10_000)).collect();
    assert!(limits[20..].iter().all(|limit| (40..=120).contains(limit)), "{limits:?}");
    assert_eq!(endpoint.adaptive.least(), Some(BASE));
    // It can do less: the limit follows, and again when it can do more.
    endpoint.capacity = 10;
    let limits: Vec<_> = (0..50).map(|_| endpoint.window(10_000)).collect();
    assert!(limits[20..].iter().all(|limit| (10..=35).contains(limit)), "{limits:?}");
    endpoint.capacity = 40;
    (0..50).for_each(|_| {
        endpoint.window(10_000);
    });
    assert!(endpoint.adaptive.limit() >= 40);
}

#[test]
fn bounds_hold_and_a_limit_that_is_not_used_does_not_grow() {
    let config = AdaptiveConfig { min_limit: 5, max_limit: 30, ..AdaptiveConfig::default() };
    let mut fast = Endpoint::new(config, 1_000_000);
    (0..50).for_each(|_| {
        fast.window(10_000);
    });
    assert_eq!(fast.adaptive.limit(), 30);
    let mut slow = Endpoint::new(config, 1);
    // It was never seen with little to do but at the beginning.
    (0..50).for_each(|_| assert!(slow.window(10_000) >= 5));
    let mut idle = Endpoint::new(AdaptiveConfig::default(), 1_000);
    (0..50).for_each(|_| {
        idle.window(4);
    });
    assert_eq!(idle.adaptive.limit(), INITIAL);
}

/// A broken deployment, or a client that asks for what is not there: fast, and no reason to take
/// all that comes after it for slow.
#[test]
fn answers_that_cost_nothing_do_not_make_others_slow() {
    let mut endpoint = Endpoint::new(AdaptiveConfig::default(), 1_000);
    (0..20).for_each(|_| {
        endpoint.window(10_000);
    });
    let (before, brief) = (endpoint.adaptive.limit(), BASE / 100);
    assert!(endpoint.answers(Kind::Brief, brief, 60) >= before);
    assert_eq!(endpoint.adaptive.least(), Some(BASE));
    assert!(endpoint.answers(Kind::Full, BASE, 60) >= before);
    // They have a pace of their own.
    let before = endpoint.answers(Kind::Brief, brief, 60);
    assert!(endpoint.answers(Kind::Brief, brief * 4, 60) < before);
}

#[test]
fn an_endpoint_that_has_only_brief_answers_is_judged_by_them() {
    let mut endpoint = Endpoint::new(AdaptiveConfig::default(), 1_000);
    let after = endpoint.answers(Kind::Brief, BASE, 200);
    assert!(after > INITIAL, "{after}");
    assert_eq!(endpoint.adaptive.least(), Some(BASE));
    assert!(endpoint.answers(Kind::Brief, BASE * 4, 60) < after);
}

/// Pages that are in memory, say, for a while: what others take is no more than before.
#[test]
fn cheap_answers_under_load_are_no_measurement() {
    let mut endpoint = Endpoint::new(AdaptiveConfig::default(), 1_000);
    (0..20).for_each(|_| {
        endpoint.window(10_000);
    });
    let before = endpoint.adaptive.limit();
    assert!(endpoint.answers(Kind::Full, BASE / 100, 60) >= before);
    assert_eq!(endpoint.adaptive.least(), Some(BASE));
    assert!(endpoint.answers(Kind::Full, BASE, 60) >= before);
}

/// A night with nothing but somebody who looks whether it is there, and then the day.
#[test]
fn a_limit_that_falls_in_vain_is_measured_anew() {
    let config = AdaptiveConfig::default();
    for cheaper in [2, 5, 100] {
        let mut endpoint = Endpoint::new(config, 1_000);
        (0..20).for_each(|_| {
            endpoint.window(10_000);
        });
        for _ in 0..200 {
            endpoint.now += Duration::from_millis(50);
            let (now, took) = (endpoint.now, BASE / cheaper);
            let sample = Sample { started: now - took, took, kind: Kind::Full, in_flight: 1, now };
            endpoint.adaptive.observe(&sample, || false, || 0.5);
        }
        assert_eq!(endpoint.adaptive.least(), Some(BASE / cheaper));
        let limits: Vec<_> = (0..60).map(|_| endpoint.window(10_000)).collect();
        assert_eq!(endpoint.adaptive.least(), Some(BASE), "{cheaper}: {limits:?}");
        assert!(limits[59] > 50, "{cheaper}: {limits:?}");
    }
    // Where it helps nothing is measured but when it is time to.
    let mut full = Endpoint::new(config, 40);
    let mut probes = 0;
    for _ in 0..500 {
        let was = full.adaptive.is_probing();
        full.window(10_000);
        probes += usize::from(full.adaptive.is_probing() && !was);
    }
    assert_eq!(probes, 0, "in some 50 s");
}

/// An endpoint that answers nobody any more has no answers to be judged by.
#[test]
fn what_was_given_up_on_counts_where_it_was_slow() {
    let mut endpoint = Endpoint::new(AdaptiveConfig::default(), 1_000);
    (0..20).for_each(|_| {
        endpoint.window(10_000);
    });
    let before = endpoint.adaptive.limit();
    assert_eq!(endpoint.answers(Kind::Unanswered, BASE, 60), before, "too early to tell");
    assert!(endpoint.answers(Kind::Unanswered, BASE * 20, 60) < before);
}

#[test]
fn what_an_endpoint_takes_at_least_is_measured_again() {
    let config = AdaptiveConfig::default();
    let mut endpoint = Endpoint::new(config, 40);
    let mut probes = 0;
    let mut was = true;
    for _ in 0..2_000 {
        endpoint.window(10_000);
        let is = endpoint.adaptive.is_probing();
        if is {
            assert_eq!(endpoint.adaptive.limit(), config.min_limit);
        }
        probes += usize::from(is && !was);
        was = is;
    }
    assert!((2..=4).contains(&probes), "{probes} in some 200 s");
}

#[test]
fn failures_count_as_slow_and_old_requests_not_at_all() {
    let mut endpoint = Endpoint::new(AdaptiveConfig::default(), 1_000);
    (0..20).for_each(|_| {
        endpoint.window(10_000);
    });
    let before = endpoint.adaptive.limit();
    for _ in 0..60 {
        endpoint.now += Duration::from_millis(10);
        let now = endpoint.now;
        let (took, in_flight) = (Duration::from_micros(1), before);
        let sample = Sample { started: now, took, kind: Kind::Failed, in_flight, now };
        endpoint.adaptive.observe(&sample, || true, || 0.5);
    }
    assert!(endpoint.adaptive.limit() < before, "{before}");
    let fresh = Endpoint::new(AdaptiveConfig::default(), 1);
    let (started, now) = (fresh.now - BASE, fresh.now + BASE);
    let sample = Sample { started, took: BASE, kind: Kind::Full, in_flight: 100, now };
    (0..100).for_each(|_| assert!(!fresh.adaptive.observe(&sample, || true, || 0.5)));
    assert!(fresh.adaptive.is_probing());
}

/// Failures under little load: what an endpoint takes at least is not what was assumed for them.
#[test]
fn failures_measure_nothing() {
    let mut endpoint = Endpoint::new(AdaptiveConfig::default(), 1_000);
    (0..20).for_each(|_| {
        endpoint.window(10_000);
    });
    for kind in [Kind::Failed, Kind::Unanswered] {
        for _ in 0..2_000 {
            endpoint.now += Duration::from_millis(10);
            let (now, took) = (endpoint.now, BASE * 2);
            let sample = Sample { started: now - took, took, kind, in_flight: 1, now };
            endpoint.adaptive.observe(&sample, || false, || 0.5);
        }
        assert_eq!(endpoint.adaptive.least(), Some(BASE), "{kind:?}");
    }
}
