//! The command line and its checks.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::contenders::Contender;
use crate::failure::Failure;
use crate::scenario::{FRESH_SECONDS, Scenario};
use crate::size::Size;

/// Measures proxyd side by side with nginx, HAProxy and a raw byte relay, or its
/// cache with those of nginx and Varnish.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub(crate) struct CommandLine {
    /// Something else than the measurement.
    #[command(subcommand)]
    pub(crate) mode: Option<Mode>,
    /// How to measure.
    #[command(flatten)]
    pub(crate) options: Options,
}

/// What the program does when it does not measure.
#[derive(Debug, Subcommand)]
pub(crate) enum Mode {
    /// Relays bytes both ways without reading them: the floor of the comparison
    Relay(RelayOptions),
}

/// The relay's options.
#[derive(Debug, Args)]
pub(crate) struct RelayOptions {
    /// Where to accept connections
    #[arg(long)]
    pub(crate) listen: SocketAddr,
    /// Where to relay them to
    #[arg(long)]
    pub(crate) to: SocketAddr,
    /// Threads that relay
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) workers: u16,
}

/// How to measure.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// What is measured
    #[arg(long, value_enum, default_value_t = Scenario::Proxy)]
    pub(crate) scenario: Scenario,
    /// Rounds; each runs every contender once
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// How long each contender is loaded in a round, in seconds
    #[arg(long, default_value = "4s", value_parser = seconds)]
    pub(crate) duration: u64,
    /// Connections that the load keeps open
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) connections: u32,
    /// Threads of the load generator
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) threads: u32,
    /// Worker threads or processes of each contender and of the origin
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) workers: u16,
    /// Measure these only (ratios need nginx among them)
    #[arg(long, value_enum, value_delimiter = ',', value_name = "NAMES")]
    pub(crate) only: Vec<Contender>,
    /// Turn every access log off (default: on in all but the relay)
    #[arg(long)]
    pub(crate) no_log: bool,
    /// Measure this binary instead of building proxyd
    #[arg(long, value_name = "PATH")]
    pub(crate) proxyd: Option<PathBuf>,
    /// Length of the response's content, like 1024 or 100KiB
    #[arg(long, visible_alias = "body-size", default_value = "1KiB")]
    pub(crate) size: Size,
    /// Where the report goes [default: bench/out]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

impl Options {
    /// Rejects what would fail later.
    pub(crate) fn validate(self) -> Result<Self, Failure> {
        if self.connections < self.threads {
            return Err(Failure::invalid(format!(
                "--connections {} is less than --threads {}: each thread needs one",
                self.connections, self.threads
            )));
        }
        let all = self.scenario.contenders();
        if let Some(other) = self.only.iter().find(|&contender| !all.contains(contender)) {
            return Err(Failure::invalid(format!(
                "--only: {} takes no part in the scenario {}",
                other.name(),
                self.scenario.name()
            )));
        }
        let loaded = u64::from(self.rounds)
            .saturating_mul(self.duration)
            .saturating_mul(self.contenders().len() as u64);
        if self.scenario == Scenario::CacheHit && loaded > FRESH_SECONDS / 2 {
            return Err(Failure::invalid(format!(
                "{loaded} s of load: what is stored is fresh for {FRESH_SECONDS} s and might not \
                 outlast it; take fewer --rounds or a shorter --duration"
            )));
        }
        Ok(self)
    }

    /// The contenders to measure, in the order of the table.
    pub(crate) fn contenders(&self) -> Vec<Contender> {
        self.scenario
            .contenders()
            .iter()
            .copied()
            .filter(|contender| self.only.is_empty() || self.only.contains(contender))
            .collect()
    }

    /// The directory that receives the report.
    pub(crate) fn out(&self) -> PathBuf {
        self.out
            .clone()
            .unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/out")))
    }
}

fn seconds(text: &str) -> Result<u64, String> {
    match text.strip_suffix('s').unwrap_or(text).parse() {
        Ok(0) | Err(_) => Err("expected whole seconds, like 4s".to_owned()),
        Ok(seconds) => Ok(seconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_are_consistent() {
        use clap::CommandFactory as _;
        CommandLine::command().debug_assert();
    }

    #[test]
    fn durations_are_whole_seconds() {
        assert_eq!(seconds("4s"), Ok(4));
        assert_eq!(seconds("12"), Ok(12));
        for wrong in ["0", "0s", "1.5s", "4ms", "", "s"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_narrows_and_keeps_the_order_of_the_table() {
        let parse = |arguments: &[&str]| {
            CommandLine::parse_from(["proxyd-bench"].iter().chain(arguments)).options.contenders()
        };
        assert_eq!(parse(&[]), Scenario::Proxy.contenders());
        assert_eq!(parse(&["--scenario", "cache-hit"]), Scenario::CacheHit.contenders());
        assert_eq!(parse(&["--only", "relay,nginx"]), [Contender::Nginx, Contender::Relay]);
    }

    fn valid(arguments: &[&str]) -> bool {
        let arguments = ["proxyd-bench"].iter().chain(arguments);
        CommandLine::parse_from(arguments).options.validate().is_ok()
    }

    #[test]
    fn only_those_of_the_scenario_take_part() {
        assert!(valid(&["--only", "haproxy"]));
        assert!(!valid(&["--only", "varnish"]));
        assert!(valid(&["--scenario", "cache-hit", "--only", "nginx,varnish"]));
        assert!(!valid(&["--scenario", "cache-hit", "--only", "nginx,relay"]));
    }

    #[test]
    fn what_is_stored_outlasts_the_measurement() {
        assert!(valid(&["--rounds", "1000"]));
        assert!(!valid(&["--rounds", "1000", "--scenario", "cache-hit"]));
        assert!(valid(&["--rounds", "20", "--duration", "10", "--scenario", "cache-hit"]));
    }

    #[test]
    fn each_thread_of_the_load_needs_a_connection() {
        assert!(!valid(&["--connections", "1", "--threads", "2"]));
    }
}
