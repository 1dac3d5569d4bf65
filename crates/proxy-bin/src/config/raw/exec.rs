//! Programs as resources.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::units::{Limit, Period, Size};

/// `[exec]`: what the programs of all routes share.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExecShared {
    /// Runs at a time, of all routes together. Default 64.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub runs: Option<u64>,
    /// The folder of a control group of version 2 below which runs that ask for
    /// `cgroup` get groups of their own. Default: the proxy's own, or its
    /// parent where that was given to the proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<String>,
    /// Waivers from the destination guard for URLs that are fetched, by name
    /// (`files.test`: itself and all below it) or network (`10.20.0.0/16`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow_destinations: Vec<String>,
    /// The proxy of `[parents]` through which URLs are fetched. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
}

/// `exec` of a route: answer with the output of a program. There is no shell:
/// each argument is one word, and placeholders are typed parameters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exec {
    /// The program: a name to look for in `PATH`, or a path, relative to the
    /// configuration file.
    pub program: String,
    /// Its arguments, with placeholders such as `{query.NAME}`; a brace that is
    /// meant as itself is written twice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// The parameters that placeholders may name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, Param>,
    /// A path with parameters as segments, such as `/clips/{id}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// More of its environment, with placeholders. It has `PATH` and `LANG`,
    /// and nothing of the proxy's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Names that it gets from the environment of the proxy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pass_env: Vec<String>,
    /// Its working directory, or `"fresh"`: one of its own for each run,
    /// removed after it. Default: the folder of the configuration file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// Give it the content of the request. Default false.
    #[serde(default)]
    pub stdin: bool,
    /// What becomes of its standard errors. Default `"log"`.
    #[serde(default)]
    pub stderr: ExecStderr,
    /// The media type of its output. Default `application/octet-stream`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// Its output begins with fields, and its environment has the
    /// meta-variables of CGI (RFC 3875). Default false.
    #[serde(default)]
    pub cgi: bool,
    /// Exit statuses that mean that the output is whole. Default `[0]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success_statuses: Option<Vec<u8>>,
    /// Origins, such as `"https://app.example"`, whose pages may have a browser
    /// ask; `["*"]` for all. Default: none but its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<String>,
    /// The mode bits that new files do not get, in octal digits. Default
    /// `"077"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub umask: Option<String>,
    /// Its niceness, 0 to 19. Default 0.
    #[serde(default)]
    #[schemars(range(max = 19))]
    pub nice: u8,
    /// The number of the user that it runs as. Default: the proxy's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// The number of the group that it runs as. Default: the proxy's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
    /// How long its steps may take.
    #[serde(default)]
    pub timeouts: ExecTimeouts,
    /// How many runs, and how much each may take.
    #[serde(default)]
    pub limits: ExecLimits,
    /// What it may not do. Nothing of it is set by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<ExecSandbox>,
    /// A control group for each run, with limits of all its processes together.
    /// None by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<ExecCgroup>,
}

/// `cgroup` of `exec`: what all processes of a run have together. Without a key
/// it has no limit, and still nobody of a run escapes its end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExecCgroup {
    /// Memory; beyond it the run is killed. None by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Size>,
    /// Processes and threads. None by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub processes: Option<u64>,
    /// Processors' worth of time, such as 1.5. None by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.01, max = 4096))]
    pub cpus: Option<f64>,
}

/// What becomes of standard errors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExecStderr {
    /// Lines in the log.
    #[default]
    Log,
    /// Part of the output.
    Merge,
    /// Frames beside those of the output, for clients that accept
    /// `text/event-stream` or `application/x-ndjson`; the log for others.
    Frames,
    /// Nothing.
    Discard,
}

/// `timeouts` of `exec`; each but `queue`, `start`, `fetch` and `kill_after` may be `"none"`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExecTimeouts {
    /// Waiting for other runs to end. Default 10s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<Period>,
    /// Until the program runs. Default 10s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<Period>,
    /// Waiting for what a URL names, its head and its content all in all. Default 30s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fetch: Option<Period>,
    /// Until its first byte. Default 30s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_byte: Option<Limit<Period>>,
    /// Between bytes of its output. Default 60s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_idle: Option<Limit<Period>>,
    /// The whole run. Default 1h.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<Limit<Period>>,
    /// From SIGTERM to SIGKILL. Default 2s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kill_after: Option<Period>,
}

/// `limits` of `exec`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExecLimits {
    /// Runs at a time. Default 16.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub runs: Option<u64>,
    /// Requests that wait for a run to end; more get 503. Default 64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<u64>,
    /// Bytes of output. None by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Size>,
    /// Bytes of content that parameters are read from. Default 64KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub params: Option<Size>,
    /// Bytes that are fetched for a parameter with `fetch`. Default 64MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fetch: Option<Size>,
    /// Processor time of each process. None by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Period>,
    /// Address space of each process. None by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Size>,
    /// Open descriptors of each process. None by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_files: Option<u64>,
    /// The largest file that it may write. None by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_size: Option<Size>,
    /// Processes of the user that it runs as. None by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processes: Option<u64>,
}

/// `sandbox` of `exec`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExecSandbox {
    /// It can gain no rights by programs with the setuid bit. Default true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_new_privs: Option<bool>,
    /// Landlock: absolute paths below which it may read and start programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read: Option<Vec<String>>,
    /// Landlock: absolute paths below which it may write too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write: Option<Vec<String>>,
    /// Seccomp: refuse calls that only tools of an administrator need. Default
    /// true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seccomp: Option<bool>,
    /// It may use the network. Default true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<bool>,
    /// Refuse to run where the kernel does not have what was asked for. Default
    /// false: run without, with a warning.
    pub required: bool,
}

/// A parameter of a program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Param {
    /// Where it comes from.
    #[serde(rename = "in")]
    pub source: ParamSource,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: ParamType,
    /// What it is called there, where that is not its own name: for fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The least number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<Bound>,
    /// The greatest number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Bound>,
    /// What a string must match as a whole; it is always anchored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// The only strings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<Vec<String>>,
    /// The folder that a path stays in, relative to the configuration file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// The value of requests that have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<ParamDefault>,
    /// A request without it is refused. Default: where there is no `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required: Option<bool>,
    /// It stays out of log, audit and `explain`. Default false.
    #[serde(default)]
    pub secret: bool,
    /// It may begin with `-`. Default false.
    #[serde(default)]
    pub allow_dash: bool,
    /// The longest value, in bytes. Default 1024.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 65536))]
    pub max_length: Option<u64>,
    /// For a URL: the proxy fetches what it names, behind the destination guard,
    /// and gives it to the program as standard input. Default false.
    #[serde(default)]
    pub fetch: bool,
}

/// Where a parameter comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ParamSource {
    /// The query.
    Query,
    /// A segment of `path`.
    Path,
    /// A field of the request.
    Field,
    /// Content of a form.
    Form,
    /// A member of a JSON object.
    Json,
}

/// What a parameter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ParamType {
    /// A whole number, from `min` to `max`.
    Integer,
    /// A decimal number, from `min` to `max`.
    Number,
    /// `true` or `false`.
    Boolean,
    /// Text with a `pattern`, or one of `values`.
    String,
    /// One of `values`.
    Enum,
    /// The relative path of something below `root`.
    Path,
    /// An `http` or `https` URL.
    Url,
}

/// The least or the greatest number.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(extend("x-expected" = "a number"))]
pub enum Bound {
    /// A whole one.
    Integer(i64),
    /// Another.
    Number(f64),
}

impl Bound {
    /// As a number.
    pub const fn number(self) -> f64 {
        match self {
            Self::Integer(number) => number as f64,
            Self::Number(number) => number,
        }
    }

    /// As a whole number: itself, or what `round` makes of it.
    pub fn integer(self, round: fn(f64) -> f64) -> i64 {
        match self {
            Self::Integer(number) => number,
            Self::Number(number) => round(number) as i64,
        }
    }
}

/// The value of requests that have none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(extend("x-expected" = "a string, a number, true or false"))]
pub enum ParamDefault {
    /// A truth.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A number.
    Number(f64),
    /// Text.
    String(String),
}
