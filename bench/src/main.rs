//! Side-by-side measurements of proxyd, nginx, HAProxy, Varnish and a raw byte
//! relay.
//!
//! One command, `cargo run --release -p proxyd-bench`, puts each contender in
//! front of the same origin server, loads them one after the other in
//! interleaved rounds, and writes a table, a chart and the raw figures.
//! `bench/README.md` says what is measured and how to read it.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

mod accounting;
mod certificate;
mod chart;
mod command_line;
mod contenders;
mod environment;
mod failure;
mod load;
mod origin;
mod packages;
mod probe;
mod process;
mod relay;
mod report;
mod rounds;
mod scenario;
mod size;
mod template;
mod workdir;

use std::process::ExitCode;

use clap::Parser as _;

use command_line::{CommandLine, Mode};
use failure::Failure;

fn main() -> ExitCode {
    let command_line = CommandLine::parse();
    let outcome = match command_line.mode {
        Some(Mode::Relay(options)) => relay::run(&options),
        None => command_line.options.validate().and_then(|options| {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| Failure::io("starting the runtime", &error))?
                .block_on(until_interrupted(rounds::run(&options)))
        }),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("proxyd-bench: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Runs `work`, but drops it when a signal asks us to leave: what it started
/// ends with it.
async fn until_interrupted(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let watch = |kind| signal(kind).map_err(|error| Failure::io("watching for signals", &error));
    let mut interrupt = watch(SignalKind::interrupt())?;
    let mut terminate = watch(SignalKind::terminate())?;
    let mut hang_up = watch(SignalKind::hangup())?;
    tokio::select! {
        outcome = work => outcome,
        _ = interrupt.recv() => Err(Failure::Interrupted),
        _ = terminate.recv() => Err(Failure::Interrupted),
        _ = hang_up.recv() => Err(Failure::Interrupted),
    }
}
