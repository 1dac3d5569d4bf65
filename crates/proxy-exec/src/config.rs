//! What is run for a request, and how.

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

    /// What is wrong with it: what part, and how. Empty where it can be used.
    pub fn check(&self) -> Vec<(String, String)> {
        let mut found: Vec<_> = self
            .params
            .check()
            .into_iter()
            .map(|(name, text)| (format!("params.{name}"), text))
            .collect();
        let words = self.args.iter().enumerate().map(|(at, word)| (format!("args[{at}]"), word));
        let env = self.env.iter().map(|(name, word)| (format!("env.{name}"), word));
        for (at, word) in words.chain(env) {
            for (source, name) in word.names() {
                if self.params.get(name).is_none_or(|param| param.source != source) {
                    let word = source.word();
                    found.push((
                        at.clone(),
                        format!("no parameter `{name}` with in = \"{word}\" is declared"),
                    ));
                }
            }
        }
        for at in crate::params::code_arguments(&self.program, &self.args) {
            let text = "a placeholder where the program reads code: a client could write it";
            found.push((format!("args[{at}]"), text.to_owned()));
        }
        let (Directory::Fixed(path) | Directory::Fresh(path)) = &self.directory;
        if path.to_str().is_none() {
            found.push(("directory".to_owned(), "the path is no UTF-8".to_owned()));
        }
        if self.uid.is_some() != self.gid.is_some() {
            let (there, missing) = if self.uid.is_some() { ("uid", "gid") } else { ("gid", "uid") };
            let text = format!(
                "`{missing}` is missing: with one of them alone the program would keep rights of the proxy"
            );
            found.push((there.to_owned(), text));
        }
        for (name, word) in &self.env {
            if word.has_placeholder() && is_read_as_code(name) {
                let text = "programs read this variable as code, or for where code is";
                found.push((format!("env.{name}"), text.to_owned()));
            }
        }
        if self.stdin && crate::params::reads_code_from_stdin(&self.program, &self.args) {
            let text = "the program would read the content as code: give it a script";
            found.push(("stdin".to_owned(), text.to_owned()));
        }
        if self.stdin && self.params.content().is_some() {
            let text = "the content is read for parameters, and can not be standard input too";
            found.push(("stdin".to_owned(), text.to_owned()));
        }
        if let Some(name) = self.params.fetched() {
            let place = format!("params.{name}.fetch");
            if self.stdin {
                let text = "what the URL names is standard input: `stdin` can not be, too";
                found.push((place.clone(), text.to_owned()));
            }
            if crate::params::reads_code_from_stdin(&self.program, &self.args) {
                let text = "the program would read what the URL names as code: give it a script";
                found.push((place, text.to_owned()));
            }
        }
        if self.cgi && self.stderr == Stderr::Frames {
            found.push(("stderr".to_owned(), "frames have no fields as CGI has".to_owned()));
        }
        found
    }
}

/// Whether a variable is one by which whoever sets it has his own code run.
fn is_read_as_code(name: &str) -> bool {
    let starts =
        ["LD_", "DYLD_", "PYTHON", "PERL5", "RUBY", "NODE_", "GIT_", "BASH_", "LUA_", "JAVA"];
    let names = [
        "PATH",
        "ENV",
        "IFS",
        "SHELL",
        "SHELLOPTS",
        "HOME",
        "CDPATH",
        "PS1",
        "PS4",
        "PROMPT_COMMAND",
        "EDITOR",
        "VISUAL",
        "PAGER",
        "MANPAGER",
        "LESSOPEN",
        "LESSCLOSE",
        "BROWSER",
        "CLASSPATH",
        "PERLLIB",
        "PHPRC",
        "PHP_INI_SCAN_DIR",
        "AWKPATH",
        "AWKLIBPATH",
        "R_PROFILE",
        "R_ENVIRON",
        "TCLLIBPATH",
        "GCONV_PATH",
        "LOCPATH",
        "NLSPATH",
        "TERMINFO",
        "MAKEFLAGS",
        "RSYNC_RSH",
        "TAR_OPTIONS",
        "SSH_ASKPASS",
        "OPENSSL_CONF",
        "XDG_CONFIG_HOME",
        "_JAVA_OPTIONS",
        "JDK_JAVA_OPTIONS",
        "MAGICK_CONFIGURE_PATH",
        "FREI0R_PATH",
        "LADSPA_PATH",
    ];
    let name = name.to_ascii_uppercase();
    names.contains(&name.as_str()) || starts.iter().any(|start| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::{Kind, Source};

    #[test]
    fn no_variable_carries_code_of_a_client() {
        for (name, expected) in [
            ("LD_PRELOAD", 1),
            ("PATH", 1),
            ("BASH_ENV", 1),
            ("PYTHONPATH", 1),
            ("GIT_SSH_COMMAND", 1),
            ("ENV", 1),
            ("QUALITY", 0),
            ("WORD", 0),
        ] {
            let mut config = ExecConfig::new("tool")
                .param("a", Param::new(Source::Query, Kind::Integer { min: 0, max: 9 }));
            config.env.retain(|(known, _)| known != name);
            config.env.push((name.to_owned(), Template::parse("x{query.a}").unwrap()));
            assert_eq!(config.check().len(), expected, "{name}: {:?}", config.check());
        }
    }

    #[test]
    fn content_is_no_script() {
        assert_eq!(ExecConfig::new("bash").stdin().check()[0].0, "stdin");
        assert!(ExecConfig::new("cat").stdin().check().is_empty());
        let script = ExecConfig::new("bash").arg("script.sh").unwrap().stdin();
        assert!(script.check().is_empty());
    }
}
