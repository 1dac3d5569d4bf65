//! Endpoints that die, hang, slow down, flap and lie, in paused time and with seeded chance: what
//! clients notice of it, with each balancer.

mod simulated;

use std::time::Duration;

use simulated::{BALANCERS, Behaviour, World};

use Behaviour::{Answers, Hangs, Refuses, Well};

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
