//! The options, and the keys that they set.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::config::{Argument, KeyPath};

const FORWARD_EXAMPLES: &str = "\
Examples:
  proxyd forward
  curl -x http://127.0.0.1:3128 https://example.com/
  proxyd forward --listen 10.0.0.1:3128 --allow-client 10.0.0.0/8 --connect-port 443 --connect-port 8443
  proxyd forward --allow-private --cache=1GiB --access-log access.jsonl
  proxyd forward --block-list blocked.txt";

const REVERSE_EXAMPLES: &str = "\
Examples:
  proxyd reverse --to http://127.0.0.1:3000 --cache=256MiB
  proxyd reverse --listen 0.0.0.0:8080 --to http://10.0.0.5:3000 --to http://10.0.0.6:3000
  proxyd reverse --listen 0.0.0.0:443 --tls-cert edge.pem --tls-key edge.key --to https://app.internal";

/// Options that every command takes.
#[derive(Args, Clone, Debug, Default)]
pub struct Options {
    /// Address of the admin listener, or `off` [default: 127.0.0.1:9901 without a file]
    #[arg(long, global = true, value_name = "ADDR|off")]
    pub admin: Option<String>,
    /// File of the access log, `-` for standard output, or `off` [default: - without a file]
    #[arg(long, global = true, value_name = "PATH|-|off")]
    pub access_log: Option<String>,
    /// File of the audit log, `-` for standard output, or `off` [default: off without a file]
    #[arg(long, global = true, value_name = "PATH|-|off")]
    pub audit_log: Option<String>,
    /// Worker threads; 0 for one on each core
    #[arg(long, global = true, value_name = "N")]
    pub workers: Option<u64>,
    /// Print the configuration file that the command stands for, and end
    #[arg(long, global = true)]
    pub print_config: bool,
}

impl Options {
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

/// `proxyd forward`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = FORWARD_EXAMPLES)]
pub struct ForwardMode {
    /// Address to listen on [default: 127.0.0.1:3128]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// Port that CONNECT may name, or a range; repeatable [default: 443]
    #[arg(long, value_name = "N")]
    pub connect_port: Vec<String>,
    /// Let clients reach loopback and private destinations
    #[arg(long)]
    pub allow_private: bool,
    /// Network of clients that are served; repeatable
    #[arg(long, value_name = "CIDR")]
    pub allow_client: Vec<String>,
    /// Serve everyone who can reach it
    #[arg(long)]
    pub open: bool,
    /// File of names to block; repeatable
    #[arg(long, value_name = "FILE")]
    pub block_list: Vec<String>,
    /// Store responses, in this much memory [default: 64MiB]
    #[arg(long, value_name = "SIZE", num_args = 0..=1, require_equals = true)]
    pub cache: Option<Option<String>>,
    /// Compress responses
    #[arg(long)]
    pub compress: bool,
    /// Certificate of the authority that signs for intercepted names (`proxyd ca init`)
    #[arg(long, value_name = "FILE")]
    pub intercept_ca_cert: Option<String>,
    /// Its key
    #[arg(long, value_name = "FILE")]
    pub intercept_ca_key: Option<String>,
    /// Host to intercept, with all below it; repeatable. Without one nothing is
    #[arg(long, value_name = "NAME")]
    pub intercept: Vec<String>,
}

impl ForwardMode {
    pub(super) fn arguments(&self) -> Vec<Argument> {
        let mut list = Vec::new();
        let listen = self.listen.as_deref();
        list.extend(listen.map(|a| argument("--listen", "listeners.forward.address", a)));
        if !self.connect_port.is_empty() {
            let port = |text: &String| text.parse::<u16>().map_or(json!(text), Value::from);
            let ports: Vec<Value> = self.connect_port.iter().map(port).collect();
            list.push(argument("--connect-port", "forward.connect_ports", ports));
        }
        if self.allow_private {
            let key = "forward.allow_private_destinations";
            list.push(argument("--allow-private", key, true));
        }
        if !self.allow_client.is_empty() {
            let key = "listeners.forward.allow_clients";
            list.push(argument("--allow-client", key, self.allow_client.clone()));
        }
        if self.open {
            list.push(argument("--open", "listeners.forward.open", true));
        }
        if !self.block_list.is_empty() {
            let files: Vec<String> =
                self.block_list.iter().map(|file| format!("@{file}")).collect();
            list.push(argument("--block-list", "filter.block_domains", files));
        }
        list.extend(cache(self.cache.as_ref(), "forward.cache"));
        if self.compress {
            list.push(argument("--compress", "forward.compress", true));
        }
        for (option, key, file) in [
            ("--intercept-ca-cert", "forward.intercept.ca_cert", &self.intercept_ca_cert),
            ("--intercept-ca-key", "forward.intercept.ca_key", &self.intercept_ca_key),
        ] {
            list.extend(file.as_deref().map(|file| argument(option, key, file)));
        }
        if !self.intercept.is_empty() {
            let names = self.intercept.clone();
            list.push(argument("--intercept", "forward.intercept.names", names));
        }
        list
    }
}

/// `proxyd reverse`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = REVERSE_EXAMPLES)]
pub struct ReverseMode {
    /// Address to listen on [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// URL of an origin server; repeatable
    #[arg(long, value_name = "URL", required = true)]
    pub to: Vec<String>,
    /// Store responses, in this much memory [default: 64MiB]
    #[arg(long, value_name = "SIZE", num_args = 0..=1, require_equals = true)]
    pub cache: Option<Option<String>>,
    /// Compress responses
    #[arg(long)]
    pub compress: bool,
    /// Inspect requests: report or enforce
    #[arg(long, value_name = "MODE", require_equals = true)]
    pub inspect: Option<String>,
    /// Certificate file in PEM form, the chain behind it: HTTPS is spoken; needs `--tls-key`
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<String>,
    /// File of its key, in PEM form
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<String>,
    /// Speak HTTP/3 too, on the same port of UDP; needs `--tls-cert`
    #[arg(long, requires = "tls_cert")]
    pub h3: bool,
}

impl ReverseMode {
    pub(super) fn arguments(&self) -> Vec<Argument> {
        let mut list = Vec::new();
        let listen = self.listen.as_deref();
        list.extend(listen.map(|a| argument("--listen", "listeners.web.address", a)));
        list.push(argument("--to", "upstreams.origin.endpoints", self.to.clone()));
        list.extend(cache(self.cache.as_ref(), "defaults.cache"));
        if self.compress {
            list.push(argument("--compress", "defaults.compress", true));
        }
        let mode = self.inspect.as_deref();
        list.extend(mode.map(|mode| argument("--inspect", "filter.inspect.mode", mode)));
        if let (Some(cert), Some(key)) = (&self.tls_cert, &self.tls_key) {
            let pair = json!([{ "cert": cert, "key": key }]);
            list.push(argument("--tls-cert", "listeners.web.tls.certificates", pair));
        }
        if self.h3 {
            list.push(argument(
                "--h3",
                "listeners.web.protocols",
                ["h1", "h2", "h3"].map(String::from).to_vec(),
            ));
        }
        list
    }
}

const PURGE_EXAMPLES: &str = "\
Examples:
  proxyd purge http://www.example.com/logo.svg
  proxyd purge --prefix http://www.example.com/static/ --dry-run
  proxyd purge --tag product-17 --soft";

const EXEC_EXAMPLES: &str = "\
Examples:
  proxyd exec --path /now -- date -u
  proxyd exec --path /upper --stdin --content-type text/plain -- tr a-z A-Z
  proxyd exec --path /count --param last=integer:1..1000 --default last=10 -- seq '{query.last}'
  proxyd exec --path /log --stderr frames -- tail -n 20 -F app.log
      curl -N -H 'Accept: text/event-stream' http://127.0.0.1:8080/log
  proxyd exec --listen 127.0.0.1:8081 --path '/thumbs/{file}' --content-type image/png \\
      --param file=path:/srv/pictures -- convert '{path.file}' -resize 320x png:-
  proxyd exec --path /clip --content-type video/mp2t --cache-ttl 10m \\
      --param 'size=string:[0-9]{2,4}x[0-9]{2,4}' --default size=640x360 -- \\
      ffmpeg -loglevel warning -f lavfi -i 'testsrc2=duration=5:size={query.size}' -f mpegts pipe:1

A parameter is NAME=TYPE or NAME=TYPE:RULE, and where it comes from is said by its placeholder:
{query.NAME}, {path.NAME}, {field.NAME}, {form.NAME} or {json.NAME}.
  integer:1..60  number:0..1.5  a range; each end may be left out
  string:PATTERN                a regular expression for the whole value
  enum:a,b,c                    one of these
  path:FOLDER                   something that exists below it
  boolean, url
  NAME='{ type = \"string\", pattern = \"...\", secret = true }'   all keys of a configuration file
There is no shell: each ARG is one word. A brace that is meant as itself is written twice.";

/// `proxyd exec`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = EXEC_EXAMPLES)]
pub struct ExecMode {
    /// Address to listen on [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// The path that runs the program; a segment in braces is a parameter [default: /]
    #[arg(long, value_name = "PATH")]
    pub path: Option<String>,
    /// A parameter, and what its values are; repeatable
    #[arg(long, value_name = "NAME=TYPE[:RULE]")]
    pub param: Vec<String>,
    /// The value of a parameter that a request does not give; repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    pub default: Vec<String>,
    /// Give the content of the request, a POST, to the program
    #[arg(long)]
    pub stdin: bool,
    /// Media type of the output [default: application/octet-stream]
    #[arg(long, value_name = "TYPE")]
    pub content_type: Option<String>,
    /// Standard errors: log, merge, frames or discard [default: log]
    #[arg(long, value_name = "WHERE")]
    pub stderr: Option<String>,
    /// Variable of this environment that the program gets; repeatable
    #[arg(long, value_name = "NAME")]
    pub pass_env: Vec<String>,
    /// Runs at a time [default: 16]
    #[arg(long, value_name = "N")]
    pub runs: Option<u64>,
    /// Keep the output for this long; equal requests share a run
    #[arg(long, value_name = "TIME")]
    pub cache_ttl: Option<String>,
    /// Compress the output
    #[arg(long)]
    pub compress: bool,
    /// The program and its arguments
    #[arg(last = true, required = true, num_args = 1.., value_names = ["PROGRAM", "ARG"])]
    pub command: Vec<String>,
}

/// `proxyd purge`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = PURGE_EXAMPLES)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["url", "prefix", "tag", "host", "all"]))]
pub struct Purge {
    /// Every response stored for this URL
    #[arg(value_name = "URL")]
    pub url: Option<String>,
    /// What is stored for URLs that begin so: http://HOST/PATH...
    #[arg(long, value_name = "URL")]
    pub prefix: Option<String>,
    /// What the origin server has given this tag
    #[arg(long, value_name = "TAG")]
    pub tag: Option<String>,
    /// What is stored for a host, or for HOST:PORT
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,
    /// Everything
    #[arg(long)]
    pub all: bool,
    /// Mark it stale instead of removing it: it is validated before its next use
    #[arg(long)]
    pub soft: bool,
    /// Only count it
    #[arg(long)]
    pub dry_run: bool,
    /// File with the token of the admin listener [default: the one that it made at start]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  proxyd explain --config proxyd.toml GET http://www.example.com/a?b=c
  proxyd explain --config proxyd.toml GET http://a.test/ --from 192.0.2.7 -H 'Cookie: a=b'
  proxyd explain --config forward.toml CONNECT 10.0.0.1:443
  proxyd explain --admin 127.0.0.1:9901 GET http://www.example.com/logo.svg --json";

/// `proxyd explain`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = EXPLAIN_EXAMPLES)]
pub struct Explain {
    /// The file whose layers are asked; with `--admin` only its token is used
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The method
    #[arg(value_name = "METHOD")]
    pub method: String,
    /// The URL as a client has it; HOST:PORT for CONNECT
    #[arg(value_name = "URL")]
    pub url: String,
    /// The listener [default: the only one, or the first that fits]
    #[arg(long, value_name = "NAME")]
    pub listener: Option<String>,
    /// Who connects [default: 127.0.0.1]
    #[arg(long, value_name = "IP")]
    pub peer: Option<IpAddr>,
    /// The client in whose name the peer, or the first trusted proxy, asks
    #[arg(long, value_name = "IP")]
    pub from: Option<IpAddr>,
    /// A field of the request; repeatable
    #[arg(long, short = 'H', value_name = "Name: value")]
    pub field: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// File with the token of the admin listener [default: the one that it made at start]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

const TEST_EXAMPLES: &str = "\
Examples:
  proxyd test policy.toml
  proxyd test --config new.toml tests/*.toml

policy.toml:
  config = \"proxyd.toml\"

  [[tests]]
  name = \"uploads are refused\"
  request = \"PUT http://share.test/file\"
  from = \"192.0.2.7\"
  expect = { verdict = \"deny\", status = 403, rule = \"no-uploads\" }

The exit status is 0 where all is as expected, 1 where something is not, 2 where a file is wrong.";

/// `proxyd test`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = TEST_EXAMPLES)]
pub struct PolicyTest {
    /// The files of tests: TOML, or JSON by their ending
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// The configuration to test [default: the one that each file names]
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON: an object for each test, with everything that was decided
    #[arg(long)]
    pub json: bool,
}

/// A configuration file.
#[derive(Args, Clone, Debug)]
pub struct ConfigFile {
    /// The file: TOML, or JSON by its ending
    #[arg(long, short, value_name = "FILE")]
    pub config: PathBuf,
}

/// `proxyd config`.
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Every key with its value and where that came from; secrets redacted
    Show(ConfigFile),
    /// The JSON Schema of the configuration file, for editors
    Schema,
    /// A page of Markdown about every key: what it may be, its default, what it does
    Keys,
}

pub(super) fn argument(option: &str, path: &str, value: impl Into<Value>) -> Argument {
    let (option, path) = (option.to_owned(), KeyPath::of(path));
    Argument { option, path, value: Some(value.into()) }
}

fn removal(option: &str, path: &str) -> Argument {
    Argument { option: option.to_owned(), path: KeyPath::of(path), value: None }
}

/// `--cache`: whether, and with a size how much of it.
fn cache(cache: Option<&Option<String>>, whether: &str) -> Vec<Argument> {
    let Some(size) = cache else { return Vec::new() };
    let size = size.as_deref().map(|size| argument("--cache", "cache.memory", size));
    [Some(argument("--cache", whether, true)), size].into_iter().flatten().collect()
}
