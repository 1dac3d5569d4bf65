//! From what is written to what the proxy works with. Nothing stops at the
//! first error: all are collected, each with the path of its value.

mod access_log;
mod adaptive;
mod address;
mod bandwidth_limit;
mod buffer;
mod cache;
mod compress;
mod concurrency_limit;
mod credentials;
mod discover;
mod exec;
mod exec_fetch;
mod failure;
mod filter;
mod forward;
mod input;
mod inspect;
mod intercept;
mod limit_key;
mod listener;
mod log;
mod named_limits;
mod parent;
mod priority;
mod privacy;
mod quic;
mod rate_limit;
mod route;
mod server;
mod tls;
mod traces;
mod traffic;
mod unkeyed;
mod upstream;

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use serde_json::Value;

use super::defaults;
use super::definitions::{self, Definitions, FileDigest};
use super::diagnostic::Diagnostic;
use super::origin::Origins;
use super::path::KeyPath;
use super::raw::{Config, Role, Route, Secret};
use super::resolved::{Admin, Resolved, Token};
use super::source::plain;
use super::suggest::nearest;
use super::units::Period;
use crate::extensions::Installed;

pub(crate) use discover::endpoints_of;

/// Reads addresses, networks, names, patterns and files, and checks what the
/// schema cannot. `written` is the configuration before anything wrong was
/// taken out of it: names that are declared there are not called unknown.
/// The result is of use only if no error is found.
pub(super) fn resolve(
    config: &Config,
    written: &Value,
    origins: &Origins,
) -> (Resolved, Vec<Diagnostic>) {
    let mut config = config.clone();
    defaults::fill_routes(&mut config);
    let mut resolver = Resolver { written, origins, found: Vec::new(), files: Vec::new() };
    let limits = resolver.limits(&KeyPath::of("server.limits"), &config.server.limits);
    let admin = resolver.admin(&config);
    let probe = config.probe.as_ref().and_then(|probe| {
        resolver.address(&KeyPath::of("probe.address"), probe.address.as_deref()?)
    });
    let listeners = resolver.listeners(&config);
    resolver.distinct_addresses(admin.as_ref(), probe.as_ref(), &listeners);
    let inspections = resolver.inspections(&config);
    let forward = resolver.forward(&config, &inspections);
    let exec_fetch = resolver.exec_fetch(&config);
    let parents = resolver.parents(&config);
    let upstreams = resolver.upstreams(&config);
    resolver.other_endpoints(&listeners, &upstreams);
    let table = resolver.route_table(&config);
    resolver.default_forward_auth(&config);
    let mut routes = resolver.routes(&config, &upstreams, &inspections);
    let used = forward.cache.is_some() || routes.iter().any(|route| route.cache.is_some());
    let cache = resolver.cache(&config, used);
    let buffer = resolver.buffer(&config, &routes);
    let rate_limits = resolver.rate_limits(&config);
    let used = forward.compress.is_some() || routes.iter().any(|route| route.compress.is_some());
    let compress = resolver.compress(&config, used);
    let filter = resolver.filter(&config);
    resolver.route_users(&config, &listeners);
    let concurrency_limits = resolver.concurrency_limits(&config);
    let bandwidth_limits = resolver.bandwidth_limits(&config);
    let input = resolver.input(&config);
    let access_log = resolver.access_log(&config);
    let more_logs = resolver.more_logs(&config);
    let audit_log = resolver.audit_log(&config);
    let traces = resolver.traces(&config);
    let privacy = resolver.privacy(&config);
    for exec in routes.iter_mut().filter_map(|route| route.exec.as_mut()) {
        exec.client_address = privacy.forwarded.clone();
    }
    let server = resolver.server(&config, limits);
    resolver.whole(&config);
    let definitions = Definitions::new(&config, std::mem::take(&mut resolver.files));
    let resolved = Resolved {
        admin,
        probe,
        listeners,
        forward,
        parents,
        upstreams,
        routes,
        table: Arc::new(table),
        exec_runs: config
            .exec
            .as_ref()
            .and_then(|exec| exec.runs)
            .map(|runs| usize::try_from(runs).unwrap_or(usize::MAX)),
        exec_fetch,
        cache,
        buffer,
        rate_limits,
        compress,
        filter,
        concurrency_limits,
        bandwidth_limits,
        input,
        access_log,
        more_logs,
        audit_log,
        privacy,
        metrics: config.metrics.enabled,
        traces,
        server,
        definitions,
        // Made where the extensions are known.
        extensions: Installed::default(),
    };
    (resolved, resolver.found)
}

/// What the parts have in common: somewhere to put what they find.
struct Resolver<'a> {
    written: &'a Value,
    origins: &'a Origins,
    found: Vec<Diagnostic>,
    /// What was in the files that values name.
    files: Vec<FileDigest>,
}

impl Resolver<'_> {
    fn error(&mut self, path: &KeyPath, message: impl Into<String>) {
        self.found.push(Diagnostic::error(path, message));
    }

    fn error_on_key(&mut self, path: &KeyPath, message: impl Into<String>) {
        self.found.push(Diagnostic::error(path, message).on_key());
    }

    fn warning(&mut self, path: &KeyPath, message: impl Into<String>) {
        self.found.push(Diagnostic::warning(path, message).on_key());
    }

    /// The value, or an error about the value at the path.
    fn take<T, E: ToString>(&mut self, path: &KeyPath, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.error(path, error.to_string())).ok()
    }

    /// Notes what is in the file that a value names: it is a part of what the value says.
    fn note_file(&mut self, path: &KeyPath, content: &[u8]) {
        self.files.push(definitions::digest(path, content));
    }

    /// What each item is read as; errors about those that cannot be read.
    fn list<T, E: ToString>(
        &mut self,
        path: &KeyPath,
        items: &[String],
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<T> {
        let items = items.iter().enumerate();
        items.filter_map(|(index, item)| self.take(&path.index(index), read(item))).collect()
    }

    /// Networks of clients or proxies.
    fn networks(&mut self, path: &KeyPath, items: &[String]) -> Vec<IpNet> {
        let networks = self.list(path, items, address::network);
        for (index, item) in items.iter().enumerate() {
            if let Ok(network) = item.parse::<IpNet>()
                && network != network.trunc()
            {
                let message = format!("`{item}` means {}", network.trunc());
                self.warning(&path.index(index), message);
            }
        }
        networks
    }

    /// A time that must not be 0.
    fn period(&mut self, path: &KeyPath, period: Period) -> Duration {
        if period.duration().is_zero() {
            self.error(path, "expected a time longer than 0s");
        }
        period.duration()
    }

    /// Work whose findings are told elsewhere.
    fn silently<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.found.len();
        let result = work(self);
        self.found.truncate(before);
        result
    }

    /// The names of a table, as they are written.
    fn declared(&self, table: &str) -> Vec<String> {
        let table = self.written.get(table).and_then(Value::as_object);
        table.into_iter().flatten().map(|(name, _)| name.clone()).collect()
    }

    /// A name for metrics and logs.
    fn name(&mut self, path: &KeyPath, name: &str) {
        let in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if name.is_empty() || name.len() > 64 || !name.bytes().all(in_name) {
            self.error_on_key(path, "a name has 1 to 64 of the characters A-Z a-z 0-9 . _ -");
        }
    }

    /// An error for a name that a table does not have.
    fn unknown(&mut self, path: &KeyPath, kind: &str, name: &str, known: &[String]) {
        let hint = match nearest(name, known.iter().map(String::as_str)) {
            Some(near) => format!("; did you mean `{near}`?"),
            None if known.is_empty() => "; there is none".to_owned(),
            None => format!("; there are `{}`", known.join("`, `")),
        };
        self.error(path, format!("no {kind} is named `{name}`{hint}"));
    }

    fn admin(&mut self, config: &Config) -> Option<Admin> {
        let admin = config.admin.as_ref()?;
        let path = KeyPath::of("admin");
        let token = admin.token.as_ref().and_then(|secret| self.secret(&path.key("token"), secret));
        let hosts = admin.hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
        let address = self.address(&path.key("address"), admin.address.as_deref()?)?;
        if !address.is_local() {
            let message = "whoever can connect to it can read the configuration and the metrics";
            self.warning(&path.key("address"), message);
        }
        Some(Admin { address, hosts, token, optional: admin.optional })
    }

    fn secret(&mut self, path: &KeyPath, secret: &Secret) -> Option<Token> {
        let path = path.key("file");
        let file = self.origins.folder(&path).join(&secret.file);
        match fs::read_to_string(&file) {
            Ok(text) if text.trim().is_empty() => {
                self.error(&path, format!("{} is empty", file.display()));
                None
            }
            Ok(text) => {
                self.note_file(&path, text.as_bytes());
                Some(Token::new(text.trim()))
            }
            Err(error) => {
                self.error(&path, format!("cannot read {}: {}", file.display(), plain(&error)));
                None
            }
        }
    }

    /// What only shows in the whole.
    fn whole(&mut self, config: &Config) {
        if config.listeners.is_empty() {
            let message = "nothing to listen on; expected a table such as [listeners.web]";
            self.error(&KeyPath::root(), message);
            return;
        }
        let (gateway, forward) = (Role::Gateway, Role::Forward);
        let has = |role| config.listeners.values().any(|listener| listener.role == role);
        if !config.routes.is_empty() && !has(gateway) {
            let message = "no listener has role = \"gateway\", so that no route applies";
            self.warning(&KeyPath::of("routes"), message);
        }
        if config.routes.is_empty() && has(gateway) {
            let first = config.listeners.iter().find(|(_, listener)| listener.role == gateway);
            if let Some((name, _)) = first {
                let path = KeyPath::of("listeners").key(name);
                self.warning(&path, "there are no routes: every request gets 404");
            }
        }
        if self.written.get("forward").is_some() && !has(forward) {
            let message = "no listener has role = \"forward\", so that it has no effect";
            self.warning(&KeyPath::of("forward"), message);
        }
        let default = config.defaults.upstream.as_deref();
        let used = |name: &str| {
            let named = |route: &Route| {
                route.upstream.as_deref() == Some(name)
                    || traffic::other_upstreams(route).any(|own| own == name)
            };
            let asked = traffic::asked(config.defaults.forward_auth.as_ref());
            default == Some(name) || asked == Some(name) || config.routes.iter().any(named)
        };
        let through = |name: &str| {
            let mut upstreams = config.upstreams.values();
            config.forward.parent.as_deref() == Some(name)
                || config.exec.as_ref().and_then(|own| own.parent.as_deref()) == Some(name)
                || upstreams.any(|own| own.parent.as_deref() == Some(name))
        };
        for name in config.parents.keys().filter(|name| !through(name)) {
            self.warning(&KeyPath::of("parents").key(name), "nothing is reached through it");
        }
        for name in config.upstreams.keys().filter(|name| !used(name)) {
            self.warning(&KeyPath::of("upstreams").key(name), "no route names it");
        }
    }
}
