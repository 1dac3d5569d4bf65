//! The `proxyd` program.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

use std::process::ExitCode;

use clap::Parser;
use proxyd::cli::{self, Action, Cli};
use proxyd::serve::serve;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Before anything else: a copy of this program may be what starts the programs of routes.
    let _ = proxy_exec::Warden::begin();
    let cli = Cli::parse();
    let one_line = cli.is_one_line();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("PROXYD_LOG")
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info")),
        )
        .with_target(false)
        .init();
    match cli::prepare(cli) {
        Ok(Action::Print(text)) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Ok(Action::Purge(order)) => match cli::purge(&order) {
            Ok(text) => {
                println!("{text}");
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("proxyd: {error}");
                ExitCode::from(if error.was_told_wrong() { 2 } else { 1 })
            }
        },
        Ok(Action::Verify(order)) => match cli::verify(&order) {
            Ok(verified) => {
                print!("{}", verified.text);
                ExitCode::from(u8::from(!verified.intact))
            }
            Err(error) => {
                eprintln!("proxyd: {error}");
                ExitCode::from(2)
            }
        },
        Ok(Action::Health(order)) => match cli::health(&order) {
            Ok(text) => {
                println!("{}", text.trim_end());
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("proxyd: {error}");
                ExitCode::FAILURE
            }
        },
        Ok(Action::MakeAuthority(order)) => match cli::make_authority(&order) {
            Ok(text) => {
                print!("{text}");
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("proxyd: {error}");
                ExitCode::from(if error.was_told_wrong() { 2 } else { 1 })
            }
        },
        Ok(Action::Explain(order)) => match cli::explain(&order) {
            Ok(text) => {
                print!("{text}");
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("proxyd: {error}");
                ExitCode::from(if error.was_told_wrong() { 2 } else { 1 })
            }
        },
        Ok(Action::Run(loaded)) => {
            for warning in loaded.warnings.iter() {
                eprintln!("{warning}");
            }
            let greeting = one_line.then(|| cli::greeting(&loaded));
            match serve(&loaded, greeting.as_deref()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    eprintln!("proxyd: {error}");
                    ExitCode::FAILURE
                }
            }
        }
        Err(problems) => {
            eprintln!("{problems}");
            ExitCode::from(2)
        }
    }
}
