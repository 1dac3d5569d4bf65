//! Endpoints that die, hang, slow down, flap and lie, in paused time and with seeded chance: what
//! clients notice of it, with each balancer.

mod simulated;

use std::time::Duration;

use simulated::{BALANCERS, Behaviour, World};

use Behaviour::{Answers, Busy, Hangs, Refuses, Well};

const SECOND: Duration = Duration::from_secs(1);
const WELL: Behaviour = Well(10);

/// Requests in a second.
const RATE: u64 = 200;

/// The share of requests that got what they asked for.
const ENOUGH: f64 = 0.9999;

#[tokio::test(start_paused = true)]
async fn healthy_endpoints_share_the_load_evenly() {
    for balancer in BALANCERS {
        let world = World::new(balancer, 3);
        let run = world.run(RATE, 30 * SECOND, |_, _| {}).await;
        assert_eq!(run.succeeded, run.requests, "{balancer}");
        for (endpoint, attempts) in run.attempts.iter().enumerate() {
            let share = *attempts as f64 * 3.0 / run.requests as f64;
            assert!((share - 1.0).abs() <= 0.05, "{balancer}: {endpoint} has {share} of its share");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_of_three_is_dead() {
    for balancer in BALANCERS {
        let world = World::new(balancer, 3);
        world.set(1, Refuses);
        let run = world.run(RATE, 20 * SECOND, |_, _| {}).await;
        assert!(run.success() >= ENOUGH, "{balancer}: {run:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_of_three_dies_under_load() {
    for balancer in BALANCERS {
        let world = World::new(balancer, 3);
        let run = world
            .run(RATE, 20 * SECOND, |world, second| {
                if second == 10 {
                    world.set(0, Refuses);
                }
            })
            .await;
        assert!(run.success() >= ENOUGH, "{balancer}: {run:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_of_three_hangs_and_those_who_wait_there_are_moved() {
    for balancer in BALANCERS {
        let world = World::new(balancer, 3);
        let run = world
            .run(RATE, 30 * SECOND, |world, second| {
                if second == 5 {
                    world.set(2, Hangs);
                }
            })
            .await;
        assert!(run.success() >= ENOUGH, "{balancer}: {run:?}");
        // Two checks found it: after that nobody waits.
        assert!(run.slowest_after(15) < SECOND, "{balancer}: {:?}", run.slowest_after(15));
    }
}

#[tokio::test(start_paused = true)]
async fn one_flaps() {
    for balancer in BALANCERS {
        let world = World::new(balancer, 3);
        let run = world
            .run(RATE, 30 * SECOND, |world, second| {
                world.set(1, if second / 3 % 2 == 0 { WELL } else { Refuses });
            })
            .await;
        assert!(run.success() >= ENOUGH, "{balancer}: {run:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_says_it_is_well_and_is_not() {
    for balancer in BALANCERS {
        let world = World::new(balancer, 3);
        world.set(1, Answers(503));
        let run = world.run(RATE, 30 * SECOND, |_, _| {}).await;
        assert!(run.success() >= ENOUGH, "{balancer}: {run:?}");
        assert!(run.attempts[1] < 100, "{balancer}: it is left alone: {run:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn half_of_them_are_dead() {
    for balancer in BALANCERS {
        let world = World::new(balancer, 6);
        (0..3).for_each(|index| world.set(index, Refuses));
        let run = world.run(RATE, 20 * SECOND, |_, _| {}).await;
        // Until they are ejected, the one retry may come to a dead one as well.
        let failed = run.requests - run.succeeded;
        assert!(failed <= 3 * 5, "{balancer}: {run:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn half_of_them_fail_under_load_and_come_back() {
    for balancer in BALANCERS {
        let world = World::new(balancer, 6);
        let run = world
            .run(RATE, 50 * SECOND, |world, second| match second {
                5 => (0..3).for_each(|index| world.set(index, Refuses)),
                20 => (0..3).for_each(|index| world.set(index, WELL)),
                _ => {}
            })
            .await;
        // As above, and those that they had when they died.
        let failed = run.requests - run.succeeded;
        assert!(failed <= 3 * 5 + 10, "{balancer}: {failed} {run:?}");
        let amplification = run.all_attempts() as f64 / run.requests as f64;
        assert!(amplification <= 1.2, "{balancer}: {amplification} {run:?}");
        let fair = RATE as f64 / 6.0;
        for index in 0..3 {
            let most = run.by_second(index).skip(20).max().unwrap_or(0) as f64;
            assert!(most <= fair * 1.5, "{balancer}: {most} in a second, {fair} are its share");
            let last = run.by_second(index).last().unwrap_or(0) as f64;
            assert!(last >= fair * 0.6, "{balancer}: {last} in the end");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn endpoints_come_and_go_in_dns() {
    for balancer in BALANCERS {
        let world = World::new(balancer, 5);
        world.name(&[0, 1, 2]);
        let run = world
            .run(RATE, 40 * SECOND, |world, second| match second {
                // A rolling change: what is gone from DNS is stopped after it.
                5 => world.name(&[1, 2, 3]),
                8 => world.set(0, Refuses),
                10 => world.name(&[2, 3, 4]),
                13 => world.set(1, Refuses),
                // One of those that it names is dead.
                25 => world.set(3, Refuses),
                _ => {}
            })
            .await;
        assert!(run.success() >= ENOUGH, "{balancer}: {run:?}");
        for (index, last) in [(0, 5), (1, 10)] {
            let late: usize = run.by_second(index).skip(last + 1).sum();
            assert_eq!(late, 0, "{balancer}: {index} gets nothing once it is gone");
        }
        // Who is new begins little by little, and has its share in the end.
        let fair = RATE as f64 / 3.0;
        let first = run.by_second(4).nth(10).unwrap_or(0) as f64;
        assert!(first <= fair * 0.6, "{balancer}: {first} in its first second");
        let later = run.by_second(4).nth(24).unwrap_or(0) as f64;
        assert!(later >= fair * 0.7, "{balancer}: {later} after 14 s");
    }
}

/// Three that can do 100 requests a second each, in 50 ms, get 500 together.
#[tokio::test(start_paused = true)]
async fn overload_is_bounded_where_limits_follow_latency() {
    let overload = |world: &World| (0..3).for_each(|index| world.set(index, Busy(50, 5)));
    for balancer in ["round_robin", "least_requests", "two_choices", "peak_ewma"] {
        let world = World::new(balancer, 3).adaptive();
        let run = world
            .run(500, 30 * SECOND, |world, second| match second {
                0 => overload(world),
                // They can do ten times as much.
                20 => (0..3).for_each(|index| world.set(index, Busy(50, 50))),
                _ => {}
            })
            .await;
        let took = run.took_in(3..20);
        assert!(took <= Duration::from_millis(200), "{balancer}: {took:?}");
        let served = run.succeeded_in(3..20);
        assert!(served as f64 >= 0.9 * 17.0 * 300.0, "{balancer}: {served} {run:?}");
        let recovered = run.succeeded_in(25..30);
        assert!(recovered as f64 >= 0.99 * 5.0 * 500.0, "{balancer}: {recovered} {run:?}");
        let took = run.took_in(25..30);
        assert!(took <= Duration::from_millis(100), "{balancer}: {took:?}");
    }
    // Without: each waits longer than the one before.
    let world = World::new("round_robin", 3);
    overload(&world);
    let run = world.run(500, 20 * SECOND, |_, _| {}).await;
    assert!(run.took_in(15..20) > SECOND, "{:?}", run.took_in(15..20));
}

#[tokio::test(start_paused = true)]
async fn a_slow_one_gets_less_where_anybody_looks() {
    for balancer in ["least_requests", "two_choices", "peak_ewma"] {
        let world = World::new(balancer, 3);
        world.set(0, Well(200));
        let run = world.run(RATE, 20 * SECOND, |_, _| {}).await;
        let share = run.attempts[0] as f64 * 3.0 / run.requests as f64;
        assert!(share < 0.5, "{balancer}: the slow one has {share} of its share");
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_outage_is_not_made_worse() {
    for checked in [true, false] {
        for balancer in BALANCERS {
            let mut world = World::new(balancer, 3);
            if !checked {
                world = world.unchecked();
            }
            let run = world
                .run(RATE, 25 * SECOND, |world, second| {
                    if second == 10 {
                        (0..3).for_each(|index| world.set(index, Refuses));
                        world.count_anew();
                    }
                })
                .await;
            let amplification = run.all_attempts() as f64 / run.requests as f64;
            assert!(amplification <= 1.2, "{balancer}: {amplification} {run:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_returns_is_not_run_over() {
    for balancer in BALANCERS {
        let world = World::new(balancer, 3);
        let run = world
            .run(RATE, 45 * SECOND, |world, second| match second {
                5 => world.set(1, Refuses),
                20 => world.set(1, WELL),
                _ => {}
            })
            .await;
        assert!(run.success() >= ENOUGH, "{balancer}: {run:?}");
        let fair = RATE as f64 / 3.0;
        let most = run.by_second(1).skip(20).max().unwrap_or(0) as f64;
        assert!(most <= fair * 1.25, "{balancer}: {most} in a second, {fair} are its share");
        let first = run.by_second(1).skip(20).find(|attempts| *attempts > 0).unwrap_or(0) as f64;
        assert!(first <= fair * 0.6, "{balancer}: {first} in its first second");
        let last = run.by_second(1).last().unwrap_or(0) as f64;
        assert!(last >= fair * 0.7, "{balancer}: {last} in the end");
    }
}
