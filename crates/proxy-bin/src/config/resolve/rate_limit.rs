//! Rate limits: what they say, and for which routes.

use std::sync::Arc;

use proxy_core::SystemClock;
use proxy_filter::rate;
use serde_json::Value;

use super::Resolver;
use super::named_limits::RATE;
use crate::config::path::KeyPath;
use crate::config::raw::{self, Config, LimitCount, LimitMode};
use crate::config::resolved::{Holds, RateLimit};

impl Resolver<'_> {
    /// The rate limits, in the order of the file.
    pub(super) fn rate_limits(&mut self, config: &Config) -> Vec<RateLimit> {
        let limits = &config.filter.rate_limits;
        self.limit_ids(config, &RATE, limits.iter().map(|own| &*own.id));
        let mut resolved = Vec::new();
        for (index, raw) in limits.iter().enumerate() {
            let path = RATE.path(index);
            let Some(limit) = self.rate_limit(&path, raw) else { continue };
            let by_rule = self.is_named_by_a_rule(&raw.id);
            let misses = raw.count.unwrap_or_default() == LimitCount::Misses;
            if misses && by_rule {
                let message = "a rule judges before it is known what the cache has";
                self.error(&path.key("count"), message);
            }
            let holds = match RATE.holds(config, &raw.id) {
                Holds::Everywhere if by_rule => Holds::Routes(Vec::new()),
                holds => holds,
            };
            resolved.push(RateLimit { limit, misses, holds });
        }
        resolved
    }

    fn rate_limit(&mut self, path: &KeyPath, raw: &raw::RateLimit) -> Option<rate::RateLimit> {
        let (count, per) = raw.rate.parts();
        let rate = self.take(&path.key("rate"), rate::Rate::new(count, per));
        let key =
            self.limit_key(path, raw.key.as_ref(), "client", raw.ipv4_prefix, raw.ipv6_prefix);
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

    /// Whether a rule has `limit = ID`.
    fn is_named_by_a_rule(&self, id: &str) -> bool {
        let rules = self.written.get("filter").and_then(|filter| filter.get("rules"));
        let mut rules = rules.and_then(Value::as_array).into_iter().flatten();
        rules.any(|rule| rule.get("limit").and_then(Value::as_str) == Some(id))
    }
}
