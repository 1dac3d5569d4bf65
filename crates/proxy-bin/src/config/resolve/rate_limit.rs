//! Rate limits: what they say, and for which routes.

use std::sync::Arc;

use http::HeaderName;
use proxy_core::SystemClock;
use proxy_filter::concurrency;
use proxy_filter::rate::{self, KeyPart};
use serde_json::Value;

use super::Resolver;
use crate::config::path::KeyPath;
use crate::config::raw::{self, Config, LimitCount, LimitKey, LimitMode};
use crate::config::resolved::{ConcurrencyLimit, Holds, RateLimit};
use crate::config::suggest::nearest;

/// The words of `key`.
const WORDS: [&str; 8] =
    ["client", "user", "route", "listener", "connection", "host", "method", "all"];

impl Resolver<'_> {
    /// The rate limits, in the order of the file.
    pub(super) fn rate_limits(&mut self, config: &Config) -> Vec<RateLimit> {
        let limits = &config.filter.rate_limits;
        let all = KeyPath::of("filter.rate_limits");
        let known: Vec<_> = limits.iter().map(|own| own.id.clone()).collect();
        self.named_by_routes(config, "rate", "rate limit", &known, |limits| limits.rate.as_ref());
        let mut resolved = Vec::new();
        for (index, raw) in limits.iter().enumerate() {
            let path = all.index(index);
            self.name(&path.key("id"), &raw.id);
            if limits[..index].iter().any(|other| other.id == raw.id) {
                let message = format!("there is a rate limit `{}` already", raw.id);
                self.error(&path.key("id"), message);
            }
            let Some(limit) = self.rate_limit(&path, raw) else { continue };
            let named = |route: &&raw::Route| {
                route.limits.rate.as_ref().is_some_and(|ids| ids.contains(&raw.id))
            };
            let routes: Vec<_> =
                config.routes.iter().filter(named).map(|route| route.name.clone()).collect();
            let by_rule = self.is_named_by_a_rule(&raw.id);
            let misses = raw.count.unwrap_or_default() == LimitCount::Misses;
            if misses && by_rule {
                let message = "a rule judges before it is known what the cache has";
                self.error(&path.key("count"), message);
            }
            let holds = match routes.is_empty() && !by_rule {
                true => Holds::Everywhere,
                false => Holds::Routes(routes),
            };
            resolved.push(RateLimit { limit, misses, holds });
        }
        resolved
    }

    fn rate_limit(&mut self, path: &KeyPath, raw: &raw::RateLimit) -> Option<rate::RateLimit> {
        let (count, per) = raw.rate.parts();
        let rate = self.take(&path.key("rate"), rate::Rate::new(count, per));
        let key = self.limit_key(path, raw.key.as_ref(), raw.ipv4_prefix, raw.ipv6_prefix);
        let mut limit = rate::RateLimit::new(raw.id.as_str(), rate?)
            .cost(raw.cost.unwrap_or(1))
            .key(key?)
            .report(raw.mode.unwrap_or_default() == LimitMode::Report)
            .fields(raw.fields.unwrap_or(false));
        if let Some(burst) = raw.burst {
            limit = limit.burst(burst);
        }
        if let Some(keys) = raw.keys {
            limit = limit.keys(usize::try_from(keys).unwrap_or(usize::MAX));
        }
        // What can not be started is said here, and not at start.
        match limit.clone().keys(1).start(Arc::new(SystemClock)) {
            Ok(_) => Some(limit),
            Err(error) => {
                let key = match error {
                    rate::RateError::Cost => "cost",
                    _ => "burst",
                };
                self.error(&path.key(key), error.to_string());
                None
            }
        }
    }

    /// The limits of what is under way, in the order of the file.
    pub(super) fn concurrency_limits(&mut self, config: &Config) -> Vec<ConcurrencyLimit> {
        let limits = &config.filter.concurrency_limits;
        let all = KeyPath::of("filter.concurrency_limits");
        let known: Vec<_> = limits.iter().map(|own| own.id.clone()).collect();
        let (key, kind) = ("concurrency", "concurrency limit");
        self.named_by_routes(config, key, kind, &known, |limits| limits.concurrency.as_ref());
        let mut resolved = Vec::new();
        for (index, raw) in limits.iter().enumerate() {
            let path = all.index(index);
            self.name(&path.key("id"), &raw.id);
            if known[..index].contains(&raw.id) {
                let message = format!("there is a concurrency limit `{}` already", raw.id);
                self.error(&path.key("id"), message);
            }
            let key = self.limit_key(&path, raw.key.as_ref(), raw.ipv4_prefix, raw.ipv6_prefix);
            let Some(key) = key else { continue };
            let number = |given: u64| usize::try_from(given).unwrap_or(usize::MAX);
            let mut limit = concurrency::ConcurrencyLimit::new(raw.id.as_str(), number(raw.max))
                .key(key)
                .report(raw.mode.unwrap_or_default() == LimitMode::Report);
            if let Some(queue) = raw.queue {
                limit = limit.queue(number(queue));
            }
            if let Some(timeout) = raw.queue_timeout {
                limit = limit.queue_timeout(self.period(&path.key("queue_timeout"), timeout));
            }
            let named = |route: &&raw::Route| {
                route.limits.concurrency.as_ref().is_some_and(|ids| ids.contains(&raw.id))
            };
            let routes: Vec<_> =
                config.routes.iter().filter(named).map(|route| route.name.clone()).collect();
            let holds = match routes.is_empty() {
                true => Holds::Everywhere,
                false => Holds::Routes(routes),
            };
            resolved.push(ConcurrencyLimit { limit, holds });
        }
        resolved
    }

    fn limit_key(
        &mut self,
        path: &KeyPath,
        raw_key: Option<&LimitKey>,
        ipv4_prefix: Option<u64>,
        ipv6_prefix: Option<u64>,
    ) -> Option<Vec<KeyPart>> {
        let prefix = |given: Option<u64>, default| {
            given.map_or(default, |bits| u8::try_from(bits).unwrap_or(u8::MAX))
        };
        let client = KeyPart::Client {
            ipv4_prefix: prefix(ipv4_prefix, 32),
            ipv6_prefix: prefix(ipv6_prefix, 64),
        };
        let at = path.key("key");
        let parts = match raw_key {
            None => vec![client.clone()],
            Some(LimitKey::One(word)) if word == "all" => Vec::new(),
            Some(LimitKey::One(word)) => vec![self.key_part(&at, word, &client)?],
            Some(LimitKey::Several(words)) => {
                if words.is_empty() || words.iter().any(|word| word == "all") {
                    let message = "\"all\" stands alone; an array names what tells requests apart";
                    self.error(&at, message);
                    return None;
                }
                let words = words.iter().enumerate();
                let parts = words.map(|(n, word)| self.key_part(&at.index(n), word, &client));
                // All of them, so that each wrong word is named.
                parts.collect::<Vec<_>>().into_iter().collect::<Option<_>>()?
            }
        };
        for (key, given) in [("ipv4_prefix", ipv4_prefix), ("ipv6_prefix", ipv6_prefix)] {
            if given.is_some() && !parts.contains(&client) {
                self.warning(&path.key(key), "has no effect: the client is not part of `key`");
            }
        }
        Some(parts)
    }

    fn key_part(&mut self, path: &KeyPath, word: &str, client: &KeyPart) -> Option<KeyPart> {
        if let Some(name) = word.strip_prefix("field:") {
            let message = || format!("`{name}` is no name of a field");
            let name = name.parse::<HeaderName>().map_err(|_| message());
            return self.take(path, name).map(KeyPart::Field);
        }
        Some(match word {
            "client" => client.clone(),
            "user" => KeyPart::User,
            "route" => KeyPart::Route,
            "listener" => KeyPart::Listener,
            "connection" => KeyPart::Connection,
            "host" => KeyPart::Host,
            "method" => KeyPart::Method,
            _ => {
                let hint = match nearest(word, WORDS) {
                    Some(near) => format!("; did you mean `{near}`?"),
                    None => format!("; there are `{}` and `field:NAME`", WORDS.join("`, `")),
                };
                self.error(path, format!("`{word}` is no part of a key{hint}"));
                return None;
            }
        })
    }

    /// Errors for ids that routes name and no limit has.
    fn named_by_routes(
        &mut self,
        config: &Config,
        key: &str,
        kind: &str,
        known: &[String],
        ids: impl Fn(&raw::RouteLimits) -> Option<&Vec<String>>,
    ) {
        let default = ids(&config.defaults.limits);
        let routes = config.routes.iter().enumerate();
        // What a route has from `[defaults]` is said once.
        let routes = routes
            .map(|(n, route)| (KeyPath::of("routes").index(n), ids(&route.limits)))
            .filter(|(_, own)| own.is_some() && *own != default);
        let all: Vec<_> =
            std::iter::once((KeyPath::of("defaults"), default)).chain(routes).collect();
        for (path, ids) in all {
            let path = path.key("limits").key(key);
            for (index, id) in ids.into_iter().flatten().enumerate() {
                if !known.contains(id) {
                    self.unknown(&path.index(index), kind, id, known);
                }
            }
        }
    }

    /// Whether a rule has `limit = ID`.
    fn is_named_by_a_rule(&self, id: &str) -> bool {
        let rules = self.written.get("filter").and_then(|filter| filter.get("rules"));
        let mut rules = rules.and_then(Value::as_array).into_iter().flatten();
        rules.any(|rule| rule.get("limit").and_then(Value::as_str) == Some(id))
    }
}
