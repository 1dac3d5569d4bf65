//! The access logs: how their lines look, where they go, and which requests they have.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use proxy_observe::LogRoutes;
use proxy_observe::access_log::{Rotation, SyslogAddress};

use super::Resolver;
use super::log::{LEAST_QUEUE, MOST_QUEUE};
use crate::config::path::KeyPath;
use crate::config::raw::{self, Config, LogFormat, LogSwitch};
use crate::config::resolved::{AccessLog, LogTarget};

/// A smaller file is put away more often than anybody wants.
const LEAST_FILE: u64 = 4 << 10;

impl Resolver<'_> {
    pub(super) fn access_log(&mut self, config: &Config) -> Option<AccessLog> {
        let raw = config.log.access.as_ref()?;
        if raw.every_route {
            let path = KeyPath::of("log.access.every_route");
            self.error_on_key(&path, "`every_route` is for logs of `[log.more]`");
        }
        let elsewhere = config
            .routes
            .iter()
            .filter(|route| matches!(route.log, Some(LogSwitch::On(false) | LogSwitch::Named(_))));
        let elsewhere: Arc<[Arc<str>]> =
            elsewhere.map(|route| Arc::from(route.name.as_str())).collect();
        let routes = match elsewhere.is_empty() {
            true => LogRoutes::All,
            false => LogRoutes::Except(elsewhere),
        };
        Some(self.one_log(&KeyPath::of("log.access"), raw, routes))
    }

    pub(super) fn more_logs(&mut self, config: &Config) -> BTreeMap<String, AccessLog> {
        let more = self.written.pointer("/log/more").and_then(serde_json::Value::as_object);
        let declared: Vec<String> = more.into_iter().flatten().map(|(n, _)| n.clone()).collect();
        for (index, route) in config.routes.iter().enumerate() {
            if let Some(LogSwitch::Named(name)) = &route.log
                && !declared.contains(name)
            {
                let path = KeyPath::of("routes").index(index).key("log");
                self.unknown(&path, "log", name, &declared);
            }
        }
        let mut paths: Vec<&str> = config.log.access.iter().map(|own| own.path.as_str()).collect();
        let mut logs = BTreeMap::new();
        for (name, raw) in &config.log.more {
            let path = KeyPath::of("log.more").key(name);
            self.name(&path, name);
            if raw.path != "-" && paths.contains(&raw.path.as_str()) {
                self.error(&path.key("path"), "another access log is written there already");
            }
            paths.push(&raw.path);
            let own = config
                .routes
                .iter()
                .filter(|route| matches!(&route.log, Some(LogSwitch::Named(own)) if own == name));
            let own: Arc<[Arc<str>]> = own.map(|route| Arc::from(route.name.as_str())).collect();
            if own.is_empty() && !raw.every_route {
                self.warning(&path, "no route names this log: nothing is written");
            }
            let routes = if raw.every_route { LogRoutes::All } else { LogRoutes::Only(own) };
            logs.insert(name.clone(), self.one_log(&path, raw, routes));
        }
        logs
    }

    fn one_log(&mut self, path: &KeyPath, raw: &raw::AccessLog, routes: LogRoutes) -> AccessLog {
        let target = self.access_target(&path.key("path"), &raw.path);
        let template = match (raw.format, &raw.template) {
            (LogFormat::Template, Some(text)) => self.take(&path.key("template"), text.parse()),
            (LogFormat::Template, None) => {
                self.error(&path.key("format"), "this format needs a `template`");
                None
            }
            (_, Some(_)) => {
                let message = "expected `format = \"template\"` with a template";
                self.error_on_key(&path.key("template"), message);
                None
            }
            (_, None) => None,
        };
        if raw.rotate.is_some() && !matches!(target, LogTarget::File(_)) {
            self.error_on_key(&path.key("rotate"), "only a file can be put away");
        }
        let rotate = raw.rotate.as_ref().map(|raw| {
            let path = path.key("rotate");
            if raw.size.is_none() && raw.interval.is_none() {
                self.error_on_key(&path, "expected a `size`, an `interval`, or both");
            }
            if raw.size.is_some_and(|size| size.bytes() < LEAST_FILE) {
                self.error(&path.key("size"), "expected at least 4KiB");
            }
            let interval = raw.interval.map(|own| self.period(&path.key("interval"), own));
            if interval.is_some_and(|own| own.as_secs() == 0) {
                self.error(&path.key("interval"), "expected at least 1s");
            }
            let keep = usize::try_from(raw.keep).unwrap_or(usize::MAX);
            let size = raw.size.map(crate::config::units::Size::bytes);
            Rotation { size, interval, keep, compress: raw.compress }
        });
        let slow_threshold =
            raw.slow_threshold.map(|own| self.period(&path.key("slow_threshold"), own));
        let size = raw.queue_size.bytes();
        if !(LEAST_QUEUE..=MOST_QUEUE).contains(&size) {
            self.error(&path.key("queue_size"), "expected 64KiB to 1GiB");
        }
        AccessLog {
            format: raw.format,
            template,
            target,
            rotate,
            sample: raw.sample.fraction(),
            slow_threshold,
            on_full: raw.on_full,
            queue_size: usize::try_from(size).unwrap_or(usize::MAX),
            users: raw.users,
            routes,
        }
    }

    fn access_target(&mut self, path: &KeyPath, text: &str) -> LogTarget {
        if text == "journald:" {
            return LogTarget::Journal;
        }
        let Some(address) = text.strip_prefix("syslog:") else {
            return self.log_target(path, text);
        };
        if let Some(file) = address.strip_prefix("unix:")
            && file.starts_with('/')
        {
            return LogTarget::Syslog(SyslogAddress::Unix(PathBuf::from(file)));
        }
        match address.strip_prefix("udp:").and_then(|address| address.parse().ok()) {
            Some(address) => LogTarget::Syslog(SyslogAddress::Udp(address)),
            None => {
                let expected = "expected \"syslog:unix:/dev/log\" or \"syslog:udp:192.0.2.1:514\"";
                self.error(path, expected);
                LogTarget::Stdout
            }
        }
    }
}
