//! The `proxyd` program.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use proxyd::cli::{self, Action, Cli};
use proxyd::log_level::LogLevel;
use proxyd::reload::Load;
use proxyd::serve::serve;
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Before anything else: a copy of this program may be what starts the programs of routes.
    let _ = proxy_exec::Warden::begin();
    let cli = Cli::parse();
    let again = cli.clone();
    let one_line = cli.is_one_line();
    let log_level = log_level();
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
        Ok(Action::Top(order)) => match cli::top(&order) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("proxyd: {error}");
                ExitCode::FAILURE
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
        Ok(Action::Test(order)) => match cli::test(&order) {
            Ok(tested) => {
                print!("{}", tested.text);
                ExitCode::from(u8::from(!tested.holds))
            }
            Err(error) => {
                eprintln!("{error}");
                ExitCode::from(if matches!(error, cli::TestError::System(_)) { 1 } else { 2 })
            }
        },
        Ok(Action::Run(loaded)) => {
            for warning in loaded.warnings.iter() {
                eprintln!("{warning}");
            }
            let greeting = one_line.then(|| cli::greeting(&loaded));
            let load: Load = Arc::new(move || cli::load_again(again.clone()));
            match serve(&loaded, load, greeting.as_deref(), log_level) {
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

/// Begins to log, as `PROXYD_LOG` says, or else from `info` on.
fn log_level() -> LogLevel {
    let asked = std::env::var("PROXYD_LOG").unwrap_or_default();
    let (filter, text) = match EnvFilter::try_new(&asked) {
        Ok(filter) if !asked.is_empty() => (filter, asked.as_str()),
        _ => (EnvFilter::new("info"), "info"),
    };
    let subscriber = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(filter)
        .with_target(false)
        .with_filter_reloading();
    let log_level = LogLevel::new(text, subscriber.reload_handle());
    subscriber.init();
    log_level
}
