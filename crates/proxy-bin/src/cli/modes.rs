//! `proxyd forward` and `proxyd reverse`: their options, and the keys that they set.

use clap::Args;
use serde_json::{Value, json};

use super::options::{ServeOptions, argument, told};
use crate::config::Argument;

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
    #[arg(long, value_name = "FILE", requires = "intercept_ca_key")]
    pub intercept_ca_cert: Option<String>,
    /// Its key
    #[arg(long, value_name = "FILE", requires = "intercept_ca_cert")]
    pub intercept_ca_key: Option<String>,
    /// Host to intercept, with all below it; repeatable. Without one nothing is
    #[arg(long, value_name = "NAME", requires = "intercept_ca_cert")]
    pub intercept: Vec<String>,
    /// What every command that serves takes.
    #[command(flatten)]
    pub serve: ServeOptions,
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
    #[arg(long, value_name = "MODE")]
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
    /// What every command that serves takes.
    #[command(flatten)]
    pub serve: ServeOptions,
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
            list.push(told("--tls-key", "listeners.web.tls.certificates[0].key"));
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

/// `--cache`: whether, and with a size how much of it.
fn cache(cache: Option<&Option<String>>, whether: &str) -> Vec<Argument> {
    let Some(size) = cache else { return Vec::new() };
    let size = size.as_deref().map(|size| argument("--cache", "cache.memory", size));
    [Some(argument("--cache", whether, true)), size].into_iter().flatten().collect()
}
