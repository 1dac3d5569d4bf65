//! Options that several commands have, and the keys that they set.

use clap::Args;
use serde_json::Value;

use crate::config::{Argument, Change, Diagnostic, Diagnostics, KeyPath, Place};

/// Options that are keys of whatever configuration a command reads.
#[derive(Args, Clone, Debug, Default)]
pub struct Options {
    /// Address of the admin listener, or `off` [default: 127.0.0.1:9901 without a file]
    #[arg(long, value_name = "ADDR|off")]
    pub admin: Option<String>,
    /// File of the access log, `-` for standard output, or `off` [default: - without a file]
    #[arg(long, value_name = "PATH|-|off")]
    pub access_log: Option<String>,
    /// File of the audit log, `-` for standard output, or `off` [default: off without a file]
    #[arg(long, value_name = "PATH|-|off")]
    pub audit_log: Option<String>,
    /// Worker threads; 0 for one on each core
    #[arg(long, value_name = "N")]
    pub workers: Option<u64>,
}

/// Options of the commands that serve.
#[derive(Args, Clone, Debug, Default)]
pub struct ServeOptions {
    /// What they set.
    #[command(flatten)]
    pub options: Options,
    /// Print the configuration file that the command stands for, and end
    #[arg(long)]
    pub print_config: bool,
}

/// The option of the commands that ask a running process.
#[derive(Args, Clone, Debug, Default)]
pub struct Asked {
    /// Address of the admin listener to ask [default: 127.0.0.1:9901]
    #[arg(long, value_name = "ADDR")]
    pub admin: Option<String>,
}

impl Options {
    /// These, and what was said before the command where they say nothing.
    #[must_use]
    pub(super) fn or(self, before: &Self) -> Self {
        Self {
            admin: self.admin.or_else(|| before.admin.clone()),
            access_log: self.access_log.or_else(|| before.access_log.clone()),
            audit_log: self.audit_log.or_else(|| before.audit_log.clone()),
            workers: self.workers.or(before.workers),
        }
    }

    pub(super) fn arguments(&self) -> Vec<Argument> {
        let mut list = Vec::new();
        match self.admin.as_deref() {
            Some("off") => list.push(removal("--admin", "admin")),
            Some(address) => list.push(argument("--admin", "admin.address", address)),
            None => {}
        }
        match self.access_log.as_deref() {
            Some("off") => list.push(removal("--access-log", "log.access")),
            Some(path) => list.push(argument("--access-log", "log.access.path", path)),
            None => {}
        }
        match self.audit_log.as_deref() {
            Some("off") => list.push(removal("--audit-log", "log.audit")),
            Some(path) => list.push(argument("--audit-log", "log.audit.path", path)),
            None => {}
        }
        list.extend(self.workers.map(|count| argument("--workers", "server.workers", count)));
        list
    }
}

impl ServeOptions {
    /// These, and what was said before the command where they say nothing.
    #[must_use]
    pub(super) fn or(self, before: &Self) -> Self {
        let print_config = self.print_config || before.print_config;
        Self { options: self.options.or(&before.options), print_config }
    }

    /// Whether only these are given, before a command that knows no others.
    ///
    /// # Errors
    /// Those that would do nothing.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Diagnostics> {
        let Options { admin, access_log, audit_log, workers } = &self.options;
        let given = [
            ("--admin", admin.is_some()),
            ("--access-log", access_log.is_some()),
            ("--audit-log", audit_log.is_some()),
            ("--workers", workers.is_some()),
            ("--print-config", self.print_config),
        ];
        let idle = given.iter().filter(|(option, given)| *given && !known.contains(option));
        let wrong: Vec<_> =
            idle.map(|(option, _)| wrong(option, "no option of this command")).collect();
        if wrong.is_empty() { Ok(()) } else { Err(wrong.into()) }
    }
}

/// What is wrong with an option itself.
pub(super) fn wrong(option: &str, message: impl Into<String>) -> Diagnostic {
    Diagnostic::error(&KeyPath::root(), message).at(Place::CommandLine(option.to_owned()))
}

/// An option that sets a key.
pub(super) fn argument(option: &str, path: &str, value: impl Into<Value>) -> Argument {
    change(option, path, Change::Set(value.into()))
}

/// An option whose value stands there already, in what another one or the mode says.
pub(super) fn told(option: &str, path: &str) -> Argument {
    change(option, path, Change::Told)
}

fn removal(option: &str, path: &str) -> Argument {
    change(option, path, Change::Remove)
}

fn change(option: &str, path: &str, change: Change) -> Argument {
    Argument { option: option.to_owned(), path: KeyPath::root().within(path), change }
}
