//! The command line and its checks.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::contenders::Contender;
use crate::failure::Failure;

/// Measures proxyd, nginx, HAProxy and a raw byte relay side by side.
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
    /// Turn every access log off (default: on in nginx, HAProxy and proxyd)
    #[arg(long)]
    pub(crate) no_log: bool,
    /// Measure this binary instead of building proxyd
    #[arg(long, value_name = "PATH")]
    pub(crate) proxyd: Option<PathBuf>,
    /// Length of the response's content in bytes
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) body_size: u32,
    /// Where the report goes [default: bench/out]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

impl Options {
    /// Rejects what the load generator would reject later.
    pub(crate) fn validate(self) -> Result<Self, Failure> {
        if self.connections < self.threads {
            return Err(Failure::invalid(format!(
                "--connections {} is less than --threads {}: each thread needs one",
                self.connections, self.threads
            )));
        }
        Ok(self)
    }

    /// The contenders to measure, in the order of the table.
    pub(crate) fn contenders(&self) -> Vec<Contender> {
        Contender::ALL
            .into_iter()
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
        assert_eq!(parse(&[]), Contender::ALL);
        assert_eq!(parse(&["--only", "relay,nginx"]), [Contender::Nginx, Contender::Relay]);
    }

    #[test]
    fn each_thread_of_the_load_needs_a_connection() {
        let options =
            CommandLine::parse_from(["proxyd-bench", "--connections", "1", "--threads", "2"]);
        assert!(options.options.validate().is_err());
    }
}
