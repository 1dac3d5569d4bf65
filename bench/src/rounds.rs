//! The measurement: interleaved rounds, each contender once in each.
//!
//! What else the machine does changes from minute to minute. So no contender is
//! measured in one go: a round loads all of them one after the other, the order
//! changes from round to round, and ratios are taken within a round.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::accounting::{self, CpuSample};
use crate::certificate::Certificate;
use crate::command_line::Options;
use crate::contenders::{Around, Contender, Running};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::load::{self, Load};
use crate::origin::{Origin, Seen};
use crate::packages;
use crate::report::{self, Logged, Report};
use crate::scenario::Scenario;
use crate::workdir::Workdir;

const WARM_UP_SECONDS: u64 = 1;

/// For connections to close and threads to go to sleep.
const SETTLE: Duration = Duration::from_millis(100);

/// A contender that used less than this within [`SETTLE`] has finished, its log
/// included.
const AT_REST: Duration = Duration::from_millis(2);

/// How long a contender may take to finish. One that never rests loses nothing:
/// what it used until then counts.
const REST_TIMEOUT: Duration = Duration::from_secs(5);

/// Longer than any contender keeps log lines to itself.
const LOG_FLUSH: Duration = Duration::from_millis(1500);

/// What one contender did in one round.
#[derive(Debug, Clone)]
pub(crate) struct Measurement {
    /// The round, from 0.
    pub(crate) round: u32,
    /// Who.
    pub(crate) contender: Contender,
    /// What the load generator saw.
    pub(crate) load: Load,
    /// Processor time of the contender's processes.
    pub(crate) cpu: Duration,
    /// Sum of the processes' peaks of resident memory, in bytes.
    pub(crate) peak_memory: u64,
    /// What the origin saw of it.
    pub(crate) seen: Seen,
}

/// Measures and writes the report.
pub(crate) async fn run(options: &Options) -> Result<(), Failure> {
    if cfg!(debug_assertions) {
        eprintln!("warning: not a release build, the relay will be slow; use --release");
    }
    let programs = packages::find(options).await?;
    let environment = Environment::look(&programs).await;
    let workdir = Workdir::create("proxyd-bench")?;
    let store = match options.scenario {
        Scenario::CacheHit => Some(Workdir::create_in_memory("proxyd-bench")?),
        _ => None,
    };
    let certificate =
        options.scenario.is_over_tls().then(|| Certificate::make(&workdir)).transpose()?;
    let around = Around {
        options,
        programs: &programs,
        workdir: &workdir,
        store: store.as_ref(),
        certificate: certificate.as_ref(),
    };
    let mut origin = Origin::start(options, &workdir, &programs.nginx).await?;
    let mut contenders = Vec::new();
    for contender in options.contenders() {
        contenders.push(contender.start(&around, &origin).await?);
    }

    let mut requests = vec![0; contenders.len()];
    for (contender, requests) in contenders.iter_mut().zip(&mut requests) {
        let warmed = measure(0, contender, &mut origin, &around, WARM_UP_SECONDS).await?;
        *requests += warmed.load.requests;
    }
    let mut measurements = Vec::new();
    for round in 0..options.rounds {
        for index in order(contenders.len(), round) {
            let contender = &mut contenders[index];
            contender.logged()?;
            let measurement =
                measure(round, contender, &mut origin, &around, options.duration).await?;
            options.scenario.verify(
                measurement.contender.name(),
                measurement.load.requests,
                measurement.seen,
            )?;
            eprintln!(
                "round {}/{}  {:<11}  {}",
                round + 1,
                options.rounds,
                measurement.contender.name(),
                report::one_line(&measurement),
            );
            requests[index] += measurement.load.requests;
            measurements.push(measurement);
        }
    }
    if !options.no_log {
        sleep(LOG_FLUSH).await;
    }
    let mut logs = Vec::new();
    for (contender, requests) in contenders.iter_mut().zip(requests) {
        if let Some(lines) = contender.logged()? {
            logs.push(Logged { contender: contender.contender, lines, requests });
        }
    }
    Report::new(options, environment, measurements, logs).publish(&options.out())
}

async fn measure(
    round: u32,
    contender: &mut Running,
    origin: &mut Origin,
    around: &Around<'_>,
    seconds: u64,
) -> Result<Measurement, Failure> {
    sleep(SETTLE).await;
    let name = contender.contender.name();
    let groups = contender.groups();
    accounting::reset_peak_memory(&groups);
    let seen = origin.seen().await?;
    let cpu = CpuSample::read(&groups);
    let outcome = load::run(around.options, around.workdir, seconds, contender.address).await;
    contender.check()?;
    let load = outcome.map_err(|failure| {
        Failure::invalid(format!("{name}: {failure}{}", contender.complaints()))
    })?;
    let cpu = at_rest(&groups).await.since(&cpu);
    let seen = origin.seen().await?.since(seen);
    Ok(Measurement {
        round,
        contender: contender.contender,
        load,
        cpu,
        peak_memory: accounting::peak_memory(&groups),
        seen,
    })
}

/// Waits until the processes have nothing left to do, a log that lags behind
/// for one, and reads what they used.
async fn at_rest(groups: &[u32]) -> CpuSample {
    let deadline = Instant::now() + REST_TIMEOUT;
    let mut before = CpuSample::read(groups);
    loop {
        sleep(SETTLE).await;
        let now = CpuSample::read(groups);
        if now.since(&before) < AT_REST || Instant::now() >= deadline {
            return now;
        }
        before = now;
    }
}

/// Each round begins with another contender, and every second one runs
/// backwards, so that none always follows the same neighbour.
fn order(count: usize, round: u32) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    if count > 0 {
        order.rotate_left(round as usize % count);
    }
    if round % 2 == 1 {
        order.reverse();
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_round_has_everyone_once() {
        for round in 0..12 {
            let mut order = order(5, round);
            order.sort_unstable();
            assert_eq!(order, [0, 1, 2, 3, 4]);
        }
        assert!(order(0, 3).is_empty());
    }

    #[test]
    fn everyone_comes_first_equally_often() {
        let first: Vec<usize> = (0..10).map(|round| order(5, round)[0]).collect();
        for contender in 0..5 {
            assert_eq!(first.iter().filter(|&&index| index == contender).count(), 2);
        }
        assert_ne!(order(5, 0), order(5, 5));
    }
}
