//! `proxyd run`, `proxyd check` and `proxyd config`: what is about a configuration file.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::options::{Options, ServeOptions};

/// A configuration file: named with `--config`, or without.
#[derive(Args, Clone, Debug, Default)]
#[group(required = true, multiple = false)]
pub struct ConfigFile {
    /// The file: TOML, or JSON by its ending
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The same, without `--config`
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
}

impl ConfigFile {
    /// The one that is named.
    pub(super) fn path(&self) -> &Path {
        let named = self.config.as_deref().or(self.file.as_deref());
        named.expect("one of the group's arguments is required, and clap sees to it")
    }
}

/// `proxyd run`.
#[derive(Args, Clone, Debug, Default)]
pub struct RunFile {
    /// Which.
    #[command(flatten)]
    pub file: ConfigFile,
    /// What is laid over it.
    #[command(flatten)]
    pub serve: ServeOptions,
}

/// `proxyd check` and `proxyd config show`.
#[derive(Args, Clone, Debug, Default)]
pub struct ReadFile {
    /// Which.
    #[command(flatten)]
    pub file: ConfigFile,
    /// What is laid over it.
    #[command(flatten)]
    pub options: Options,
}

/// `proxyd config`.
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Every key with its value and where that came from; secrets redacted
    Show(ReadFile),
    /// The JSON Schema of the configuration file, for editors
    Schema,
    /// A page of Markdown about every key: what it may be, its default, what it does
    Keys,
}
