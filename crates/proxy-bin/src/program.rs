//! `Program`: the whole of proxyd as a program, with layers of others in it if there are any.
//!
//! ```no_run
//! fn main() -> std::process::ExitCode {
//!     proxyd::Program::new().main()
//! }
//! ```

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use crate::cli::{self, Action, Cli, TestError};
use crate::config::Loaded;
use crate::extensions::{Extension, Extensions};
use crate::log_level::LogLevel;
use crate::reload::Load;
use crate::serve::{Greeting, ServeError, serve};
use crate::standard_error::StandardError;

/// The program. Its command line, its configuration and its signals are those of proxyd.
#[derive(Debug, Default)]
pub struct Program {
    extensions: Vec<Extension>,
}

impl Program {
    /// Begins. To be called first of all in `main`: where this process is the copy of the program
    /// that starts the programs of routes, it does that and does not come back.
    pub fn new() -> Self {
        let _ = proxy_exec::Warden::begin();
        Self::default()
    }

    /// Knows a layer more, which `[extensions.NAME]` of a configuration asks for. The first one
    /// stands outermost in its slot.
    #[must_use]
    pub fn extension(mut self, extension: Extension) -> Self {
        self.extensions.push(extension);
        self
    }

    /// Does what the command line of this process says. The exit status is 0, 1 (it failed while
    /// running) or 2 (it was told something wrong).
    pub fn main(self) -> ExitCode {
        let mut cli = Cli::parse();
        cli.extensions = Extensions::new(self.extensions);
        run(cli)
    }

    /// Serves this configuration until a signal ends it, whatever the command line is. A reload
    /// finds it unchanged.
    ///
    /// # Errors
    /// What kept it from serving.
    pub fn serve(self, loaded: &Loaded) -> Result<(), ServeError> {
        let same = loaded.clone();
        let (log_level, stderr) = log();
        let served = serve(loaded, Arc::new(move || Ok(same.clone())), None, log_level);
        flush(stderr);
        served
    }
}

fn run(cli: Cli) -> ExitCode {
    let (log_level, stderr) = log();
    let status = act(cli, log_level);
    flush(stderr);
    status
}

fn act(cli: Cli, log_level: LogLevel) -> ExitCode {
    let again = cli.clone();
    let one_line = cli.is_one_line();
    match cli::prepare(cli) {
        Ok(Action::Print(text)) => printed::<ServeError>(Ok(text), 1),
        Ok(Action::Purge(order)) => {
            let purged = cli::purge(&order);
            let status = status(purged.as_ref().is_err_and(cli::AdminError::was_told_wrong));
            printed(purged.map(|text| text + "\n"), status)
        }
        Ok(Action::Top(order)) => printed(cli::top(&order).map(|()| String::new()), 1),
        Ok(Action::Verify(order)) => match cli::verify(&order) {
            Ok(verified) => shown(&verified.text, u8::from(!verified.intact)),
            Err(error) => failed(&error, 2),
        },
        Ok(Action::Health(order)) => {
            printed(cli::health(&order).map(|text| text.trim_end().to_owned() + "\n"), 1)
        }
        Ok(Action::MakeAuthority(order)) => {
            let made = cli::make_authority(&order);
            let status = status(made.as_ref().is_err_and(cli::CaError::was_told_wrong));
            printed(made, status)
        }
        Ok(Action::Explain(order)) => {
            let explained = cli::explain(&order);
            let status = status(explained.as_ref().is_err_and(cli::ExplainError::was_told_wrong));
            printed(explained, status)
        }
        Ok(Action::Test(order)) => match cli::test(&order) {
            Ok(tested) => shown(&tested.text, u8::from(!tested.holds)),
            Err(TestError::Question(wrong)) => {
                complain(&wrong);
                ExitCode::from(2)
            }
            Err(error) => failed(&error, 1),
        },
        Ok(Action::Run(loaded)) => {
            loaded.warnings.iter().for_each(|warning| complain(warning));
            let greeting = one_line.then_some(cli::greeting as Greeting);
            let load: Load = Arc::new(move || cli::load_again(again.clone()));
            match serve(&loaded, load, greeting, log_level) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => failed(&error, 1),
            }
        }
        Err(problems) => {
            complain(&problems);
            ExitCode::from(2)
        }
    }
}

/// Prints what came of it, or what kept it from coming.
fn printed<E: Display>(text: Result<String, E>, status: u8) -> ExitCode {
    match text {
        Ok(text) => shown(&text, 0),
        Err(error) => failed(&error, status),
    }
}

/// Prints what was asked for. Who reads only the beginning, as `head` does, has what they want.
fn shown(text: &str, status: u8) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            failed(&format_args!("cannot write to standard output: {error}"), 1)
        }
        _ => ExitCode::from(status),
    }
}

fn failed(error: &dyn Display, status: u8) -> ExitCode {
    complain(&format_args!("proxyd: {error}"));
    ExitCode::from(status)
}

/// Writes to standard error, if anybody reads it.
fn complain(text: &dyn Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

fn status(told_wrong: bool) -> u8 {
    if told_wrong { 2 } else { 1 }
}

/// How long the end of the process waits for the last lines of its log.
const LAST_LINES: Duration = Duration::from_secs(1);

fn flush(stderr: Option<StandardError>) {
    if let Some(stderr) = stderr {
        stderr.flush(LAST_LINES);
    }
}

/// Begins to log, as `PROXYD_LOG` says, or else from `info` on.
fn log() -> (LogLevel, Option<StandardError>) {
    let stderr = StandardError::start().ok();
    let writer = match &stderr {
        Some(stderr) => BoxMakeWriter::new(stderr.clone()),
        None => BoxMakeWriter::new(std::io::stderr),
    };
    let asked = std::env::var("PROXYD_LOG").unwrap_or_default();
    let (filter, text) = match EnvFilter::try_new(&asked) {
        Ok(filter) if !asked.is_empty() => (filter, asked.as_str()),
        _ => (EnvFilter::new("info"), "info"),
    };
    // Colours are for terminals whose user wants them (no-color.org): not for files and journals.
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let subscriber = tracing_subscriber::fmt()
        .with_writer(writer)
        .with_ansi(!plain && std::io::stderr().is_terminal())
        .with_env_filter(filter)
        .with_target(false)
        .with_filter_reloading();
    let log_level = LogLevel::new(text, subscriber.reload_handle());
    // Where somebody else logs already, that stays.
    let _ = subscriber.try_init();
    (log_level, stderr)
}
