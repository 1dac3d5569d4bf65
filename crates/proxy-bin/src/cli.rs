//! The command line: what each command stands for, as a configuration.
//!
//! A one-line mode is a small configuration, so that `--print-config` can
//! print the file it stands for. An option is a key of that configuration
//! which the command line sets; what is wrong with it is reported the same
//! way as in a file.

mod ask;
mod audit;
mod ca;
mod config_file;
mod exec;
mod explain;
mod generated;
mod greeting;
mod health;
mod modes;
mod options;
mod policy_test;
mod purge;
mod top;

pub use ask::{AdminError, AdminListener};
pub use audit::{AuditCommand, AuditVerify, Verified, verify};
pub use ca::{CaCommand, CaError, CaInit, make_authority};
pub use config_file::{ConfigCommand, ConfigFile, ReadFile, RunFile};
pub use exec::ExecMode;
pub use explain::{Explain, ExplainError, ExplainOrder, explain};
pub use generated::{Completions, completions, manual};
pub use greeting::greeting;
pub use health::{Health, HealthOrder, health};
pub use modes::{ForwardMode, ReverseMode};
pub use options::{Asked, Options, ServeOptions};
pub use policy_test::{PolicyTest, TestError, TestOrder, Tested, test};
pub use purge::{Purge, PurgeOrder, purge};
pub use top::{Top, TopOrder, top};

use std::ffi::OsString;
use std::path::Path;

use clap::{Parser, Subcommand};
use serde_json::{Value, json};

use crate::config::{
    self, Argument, Diagnostic, Diagnostics, KeyPath, Loaded, Overrides, Place, show,
};
use crate::extensions::Extensions;

/// Where the forward proxy listens when nothing is said.
const FORWARD_ADDRESS: &str = "127.0.0.1:3128";
/// Where the gateway listens when nothing is said.
const REVERSE_ADDRESS: &str = "127.0.0.1:8080";
/// Where a program is answered with when nothing is said.
const EXEC_ADDRESS: &str = "127.0.0.1:8080";
/// Where the one-line modes have their admin listener when nothing is said.
const ADMIN_ADDRESS: &str = "127.0.0.1:9901";

const EXAMPLES: &str = "\
Examples:
  proxyd                                        a forward proxy for this machine on 127.0.0.1:3128
  proxyd forward --listen 10.0.0.1:3128 --allow-client 10.0.0.0/8
  proxyd reverse --listen 127.0.0.1:8080 --to http://127.0.0.1:3000
  proxyd exec --path /count --param last=integer:1..1000 -- seq '{query.last}'
  proxyd run --config proxyd.toml
  proxyd check --config proxyd.toml
  proxyd explain --config proxyd.toml GET http://127.0.0.1:8080/logo.svg
  proxyd test policy.toml
  proxyd purge http://127.0.0.1:8080/logo.svg
  proxyd reverse --to http://127.0.0.1:3000 --print-config > proxyd.toml";

/// An HTTP proxy: forward proxy and gateway.
#[derive(Clone, Debug, Parser)]
#[command(name = "proxyd", version, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do. Without a command: a forward proxy for this machine.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Options without a command, and before one that takes them.
    #[command(flatten)]
    pub serve: ServeOptions,
    /// The layers of others that this program knows.
    #[arg(skip)]
    pub extensions: Extensions,
}

impl Cli {
    /// Whether the command line says everything: no file is named.
    pub fn is_one_line(&self) -> bool {
        matches!(
            self.command,
            None | Some(Command::Forward(_) | Command::Reverse(_) | Command::Exec(_))
        )
    }
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Forward proxy: serves whatever its clients ask for
    Forward(ForwardMode),
    /// Gateway in front of origin servers
    Reverse(ReverseMode),
    /// One program as an HTTP resource: its output while it writes it
    Exec(Box<ExecMode>),
    /// Everything that a configuration file says
    Run(RunFile),
    /// Say what is wrong with a configuration file, all of it at once
    Check(ReadFile),
    /// Show what the layers would decide about a request, and why
    Explain(Explain),
    /// Hold what the layers decide against what files of tests expect
    Test(PolicyTest),
    /// Remove stored responses from the cache of a running proxy
    Purge(Purge),
    /// Check the files of an audit log
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Ask a running proxy whether it serves: the health check of containers
    Health(Health),
    /// Show what a running proxy is about: rates, times, routes, upstreams
    Top(Top),
    /// Make an authority for the interception of TLS
    #[command(subcommand)]
    Ca(CaCommand),
    /// Print a script that completes commands and options in a shell
    Completions(Completions),
    /// Print the pages of the manual
    Man,
    /// Show a configuration or the schema of its file
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Anything else: no command at all.
    #[command(external_subcommand)]
    Other(Vec<OsString>),
}

impl Command {
    /// The general options that it takes.
    const fn takes(&self) -> &'static [&'static str] {
        match self {
            Self::Forward(_) | Self::Reverse(_) | Self::Exec(_) | Self::Run(_) => {
                &["--admin", "--access-log", "--audit-log", "--workers", "--print-config"]
            }
            Self::Check(_) | Self::Config(ConfigCommand::Show(_)) => {
                &["--admin", "--access-log", "--audit-log", "--workers"]
            }
            Self::Explain(_) | Self::Purge(_) | Self::Health(_) | Self::Top(_) => &["--admin"],
            _ => &[],
        }
    }
}

/// What the program does after the command line is read.
#[derive(Debug)]
pub enum Action {
    /// Serve, until a signal ends it.
    Run(Box<Loaded>),
    /// Print this to standard output and end.
    Print(String),
    /// Ask a running process to remove stored responses.
    Purge(Box<PurgeOrder>),
    /// Check the files of an audit log.
    Verify(Box<AuditVerify>),
    /// Ask a running process whether it serves.
    Health(Box<HealthOrder>),
    /// Show what a running process is about.
    Top(Box<TopOrder>),
    /// Make an authority.
    MakeAuthority(Box<CaInit>),
    /// Explain a request, by a file or in a running process.
    Explain(Box<ExplainOrder>),
    /// Hold decisions against what is expected.
    Test(Box<TestOrder>),
}

/// Reads the configuration that the command line stands for or names, with
/// the environment of this process laid over it.
///
/// # Errors
///
/// Everything that is wrong: the exit status is 2.
pub fn prepare(cli: Cli) -> Result<Action, Diagnostics> {
    prepare_with(cli, &Overrides::from_environment().environment)
}

/// Loads once more what the command line of a process that serves stands for or names.
///
/// # Errors
///
/// Everything that is wrong.
pub fn load_again(cli: Cli) -> Result<Loaded, Diagnostics> {
    match prepare(cli)? {
        Action::Run(loaded) => Ok(*loaded),
        _ => Err(Diagnostics::message("the command line stands for nothing that serves")),
    }
}

/// The same with a given environment.
///
/// # Errors
///
/// Everything that is wrong: the exit status is 2.
pub fn prepare_with(cli: Cli, environment: &[(String, String)]) -> Result<Action, Diagnostics> {
    let Cli { command, serve: before, extensions } = cli;
    if let Some(command) = command.as_ref().filter(|own| !matches!(own, Command::Other(_))) {
        before.only(command.takes())?;
    }
    let read = |path: &Path, arguments: Vec<Argument>| {
        let (environment, extensions) = (environment.to_vec(), extensions.clone());
        config::load(path, &Overrides { environment, arguments, extensions })
    };
    let from_file = |file: ConfigFile, options: Options| {
        let loaded = read(file.path(), options.or(&before.options).arguments())?;
        Ok::<_, Diagnostics>((file, loaded))
    };
    let from_mode = |name: &'static str, base: Value, own: Vec<Argument>, serve: &ServeOptions| {
        let arguments = own.into_iter().chain(serve.options.arguments()).collect();
        let base = with_common(base, &serve.options);
        let (environment, extensions) = (environment.to_vec(), extensions.clone());
        config::from_raw(name, &base, &Overrides { environment, arguments, extensions })
    };
    let admin = before.options.admin.as_deref();
    let mut print_config = before.print_config;
    let mut serve = |own: ServeOptions| {
        print_config |= own.print_config;
        own.or(&before)
    };
    let loaded = match command {
        None => {
            let mode = ForwardMode::default();
            let mut base = forward_base(&mode);
            base["forward"] = json!({"cache": true});
            from_mode("proxyd", base, mode.arguments(), &before)?
        }
        Some(Command::Forward(mode)) => {
            let (base, own) = (forward_base(&mode), mode.arguments());
            from_mode("proxyd forward", base, own, &serve(mode.serve))?
        }
        Some(Command::Reverse(mode)) => {
            let (base, own) = (reverse_base(&mode), mode.arguments());
            from_mode("proxyd reverse", base, own, &serve(mode.serve))?
        }
        Some(Command::Exec(mode)) => {
            let (base, own) = (exec::base(&mode)?, mode.arguments());
            from_mode("proxyd exec", base, own, &serve(mode.serve))?
        }
        Some(Command::Run(RunFile { file, serve: own })) => from_file(file, serve(own).options)?.1,
        Some(Command::Check(ReadFile { file, options })) => {
            let (file, loaded) = from_file(file, options)?;
            return Ok(Action::Print(summary(file.path(), &loaded)));
        }
        Some(Command::Purge(order)) => {
            return Ok(Action::Purge(Box::new(PurgeOrder::new(&order, admin)?)));
        }
        Some(Command::Explain(order)) => {
            let order = ExplainOrder::new(&order, admin, |path| read(path, Vec::new()))?;
            return Ok(Action::Explain(Box::new(order)));
        }
        Some(Command::Test(order)) => {
            let order = TestOrder::new(&order, |path| read(path, Vec::new()))?;
            return Ok(Action::Test(Box::new(order)));
        }
        Some(Command::Top(order)) => return Ok(Action::Top(Box::new(order.order(admin)?))),
        Some(Command::Audit(AuditCommand::Verify(order))) => {
            return Ok(Action::Verify(Box::new(order)));
        }
        Some(Command::Health(order)) => {
            return Ok(Action::Health(Box::new(HealthOrder::new(&order, admin)?)));
        }
        Some(Command::Ca(CaCommand::Init(order))) => {
            return Ok(Action::MakeAuthority(Box::new(order)));
        }
        Some(Command::Completions(order)) => return Ok(Action::Print(completions(&order))),
        Some(Command::Man) => return Ok(Action::Print(manual())),
        Some(Command::Config(ConfigCommand::Show(ReadFile { file, options }))) => {
            return Ok(Action::Print(show::effective(&from_file(file, options)?.1)));
        }
        Some(Command::Config(ConfigCommand::Schema)) => {
            return Ok(Action::Print(show::json_schema(&extensions)));
        }
        Some(Command::Config(ConfigCommand::Keys)) => {
            return Ok(Action::Print(config::keys::page()));
        }
        Some(Command::Other(words)) => return Err(unknown_command(&words)),
    };
    if print_config {
        return Ok(Action::Print(show::written(&loaded)));
    }
    Ok(Action::Run(Box::new(loaded)))
}

/// What the one-line modes have in common. An option that is given is left
/// out: it is laid over as an argument and named in messages.
fn with_common(mut base: Value, options: &Options) -> Value {
    if options.admin.is_none() {
        base["admin"] = json!({"address": ADMIN_ADDRESS, "optional": true});
    }
    if options.access_log.is_none() {
        base["log"] = json!({"access": {"format": "json", "path": "-"}});
    }
    base
}

fn forward_base(mode: &ForwardMode) -> Value {
    let mut listener = json!({"role": "forward"});
    if mode.listen.is_none() {
        listener["address"] = FORWARD_ADDRESS.into();
    }
    json!({"listeners": {"forward": listener}})
}

fn reverse_base(mode: &ReverseMode) -> Value {
    let mut listener = json!({"role": "gateway"});
    if mode.listen.is_none() {
        listener["address"] = REVERSE_ADDRESS.into();
    }
    json!({
        "listeners": {"web": listener},
        "routes": [{"name": "all", "upstream": "origin"}],
    })
}

/// One line about a configuration that can be used, and its warnings.
fn summary(path: &Path, loaded: &Loaded) -> String {
    let count = |number: usize, what: &str| {
        format!("{number} {what}{}", if number == 1 { "" } else { "s" })
    };
    let resolved = &loaded.resolved;
    let mut text = format!(
        "{}: ok: {}, {}, {}, {}\n",
        path.display(),
        count(resolved.listeners.len(), "listener"),
        count(resolved.upstreams.len(), "upstream"),
        count(resolved.routes.len(), "route"),
        count(loaded.warnings.len(), "warning"),
    );
    for warning in loaded.warnings.iter() {
        text.push_str(&format!("{warning}\n"));
    }
    for (route, statement) in crate::exec::confinements(resolved) {
        text.push_str(&format!("exec `{route}`: confined by {statement}\n"));
    }
    text
}

fn unknown_command(words: &[OsString]) -> Diagnostics {
    let name = words.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
    let built = [
        "forward",
        "reverse",
        "exec",
        "run",
        "check",
        "config",
        "explain",
        "test",
        "purge",
        "audit",
        "health",
        "top",
        "ca",
        "completions",
        "man",
        "help",
    ];
    let message = match config::suggest::nearest(&name, built) {
        Some(near) => format!("no command is named `{name}`; did you mean `{near}`?"),
        None => format!("no command is named `{name}`; there are `{}`", built.join("`, `")),
    };
    let place = Place::CommandLine(name);
    vec![Diagnostic::error(&KeyPath::root(), message).at(place)].into()
}

#[cfg(test)]
mod tests;
