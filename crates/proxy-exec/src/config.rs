//! What is run for a request, and how.

mod check;
mod variables;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use proxy_core::AddressPrivacy;

use crate::params::{Param, Params, Template, TemplateError};
use crate::process::Confinement;

/// One program as a resource.
///
/// ```
/// use proxy_exec::{ExecConfig, params::{Kind, Param, Source}};
///
/// let config = ExecConfig::new("seq")
///     .arg("{query.last}")?
///     .param("last", Param::new(Source::Query, Kind::Integer { min: 1, max: 1000 }).or("10"));
/// # Ok::<(), proxy_exec::params::TemplateError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ExecConfig {
    /// The name in logs and metrics. Default: the program's.
    pub name: Arc<str>,
    /// The program's path, or a name to look for in `PATH` of `env`.
    pub program: String,
    /// Its arguments.
    pub args: Vec<Template>,
    /// Its whole environment. Default: `PATH=/usr/local/bin:/usr/bin:/bin` and `LANG=C.UTF-8`.
    pub env: Vec<(String, Template)>,
    /// The parameters that requests may give.
    pub params: Params,
    /// The working directory. Default: `/`.
    pub directory: Directory,
    /// The mode bits that new files do not get. Default: 0o077.
    pub umask: u32,
    /// Added to its niceness. Default: 0.
    pub nice: i32,
    /// The user that it runs as. Default: the proxy's own.
    pub uid: Option<u32>,
    /// The group that it runs as. Default: the proxy's own.
    pub gid: Option<u32>,
    /// Limits and confinement. Default: none.
    pub confine: Confinement,
    /// Whether the content of a request is its standard input. Default: no, it gets none.
    pub stdin: bool,
    /// What becomes of standard errors. Default: the log.
    pub stderr: Stderr,
    /// The media type of its output. Default: `application/octet-stream`.
    pub content_type: HeaderValue,
    /// Whether its output begins with fields, and its environment has the meta-variables of
    /// RFC 3875. Default: no.
    pub cgi: bool,
    /// The form in which `REMOTE_ADDR` of RFC 3875 shows the client's address. Default: in full.
    pub client_address: AddressPrivacy,
    /// Exit statuses that mean that the output is whole. Default: 0.
    pub success: Vec<i32>,
    /// How long its steps may take.
    pub timeouts: Timeouts,
    /// How many and how much.
    pub limits: Limits,
    /// Which pages of other sites may ask. Default: none.
    pub origins: Origins,
    /// Whether it may be asked under any name where the connection came to a loopback address.
    /// Default: only under names of this machine, against rebinding of DNS names. Where no
    /// [`Exchange`](proxy_core::Exchange) says to which address it came, it counts as loopback.
    pub any_host: bool,
    /// Whether each run's output gets an entity tag: for a cache that keeps it. Default: no.
    pub validators: bool,
}

/// Where a program works.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Directory {
    /// Always here.
    Fixed(PathBuf),
    /// In a directory made for the run below this one, and removed after it.
    Fresh(PathBuf),
}

/// What becomes of standard errors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stderr {
    /// Lines in the log, 64 KiB of each run.
    #[default]
    Log,
    /// Part of the output.
    Merge,
    /// Frames, for clients that take them (`text/event-stream`, `application/x-ndjson`); the log
    /// for others.
    Frames,
    /// Nothing.
    Discard,
}

/// How long steps of a run may take. `None`: for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// Waiting for other runs to end. Default: 10 s.
    pub queue: Duration,
    /// Until the program runs. Default: 10 s.
    pub start: Duration,
    /// Waiting for what a URL names, its head and its content all in all; the time in which the
    /// program does not read does not count. Default: 30 s.
    pub fetch: Duration,
    /// Until its first byte. Default: 30 s.
    pub first_byte: Option<Duration>,
    /// Between bytes of its output, while the client takes them. Default: 60 s.
    pub read_idle: Option<Duration>,
    /// The whole run. Default: one hour.
    pub total: Option<Duration>,
    /// From SIGTERM to SIGKILL; and for whoever holds its output open after it has ended.
    /// Default: 2 s.
    pub kill_after: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            queue: Duration::from_secs(10),
            start: Duration::from_secs(10),
            fetch: Duration::from_secs(30),
            first_byte: Some(Duration::from_secs(30)),
            read_idle: Some(Duration::from_secs(60)),
            total: Some(Duration::from_secs(3600)),
            kill_after: Duration::from_secs(2),
        }
    }
}

/// How many runs, and how much output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Runs at a time. Default: 16.
    pub runs: usize,
    /// Requests that wait for a run to end. Default: 64.
    pub queue: usize,
    /// Bytes of output. Default: no limit.
    pub output: Option<u64>,
    /// Bytes of content that parameters are read from. Default: 64 KiB.
    pub params: u64,
    /// Bytes that are fetched for a run. Default: 64 MiB.
    pub fetch: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { runs: 16, queue: 64, output: None, params: 64 << 10, fetch: 64 << 20 }
    }
}

/// Which pages of other origins may have a browser ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origins {
    /// None.
    #[default]
    Same,
    /// Those of these origins, such as `https://app.example`.
    Listed(Vec<Box<str>>),
    /// All.
    Any,
}

impl ExecConfig {
    /// A program without arguments.
    pub fn new(program: &str) -> Self {
        let name = program.rsplit('/').next().unwrap_or(program);
        Self {
            name: name.into(),
            program: program.to_owned(),
            args: Vec::new(),
            env: vec![
                ("PATH".to_owned(), Template::literal("/usr/local/bin:/usr/bin:/bin")),
                ("LANG".to_owned(), Template::literal("C.UTF-8")),
            ],
            params: Params::default(),
            directory: Directory::Fixed("/".into()),
            umask: 0o077,
            nice: 0,
            uid: None,
            gid: None,
            confine: Confinement::default(),
            stdin: false,
            stderr: Stderr::default(),
            content_type: HeaderValue::from_static("application/octet-stream"),
            cgi: false,
            client_address: AddressPrivacy::default(),
            success: vec![0],
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            origins: Origins::default(),
            any_host: false,
            validators: false,
        }
    }

    /// One more argument, with placeholders.
    ///
    /// # Errors
    /// It is no template.
    pub fn arg(mut self, template: &str) -> Result<Self, TemplateError> {
        self.args.push(Template::parse(template)?);
        Ok(self)
    }

    /// One more parameter.
    #[must_use]
    pub fn param(mut self, name: &str, param: Param) -> Self {
        self.params.add(name, param);
        self
    }

    /// The media type of the output.
    #[must_use]
    pub fn content_type(mut self, content_type: HeaderValue) -> Self {
        self.content_type = content_type;
        self
    }

    /// Gives the content of a request to the program.
    #[must_use]
    pub fn stdin(mut self) -> Self {
        self.stdin = true;
        self
    }

    /// Says what becomes of standard errors.
    #[must_use]
    pub fn stderr(mut self, stderr: Stderr) -> Self {
        self.stderr = stderr;
        self
    }

    /// Answers under any name: it is reached from other machines, or asks who asks by itself.
    #[must_use]
    pub fn any_host(mut self) -> Self {
        self.any_host = true;
        self
    }
}
