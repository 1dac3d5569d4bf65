//! Limits of what is under way: what they say, and for which routes.

use proxy_filter::concurrency;

use super::Resolver;
use super::named_limits::CONCURRENCY;
use crate::config::raw::{Config, LimitMode};
use crate::config::resolved::ConcurrencyLimit;

impl Resolver<'_> {
    /// The limits of what is under way, in the order of the file.
    pub(super) fn concurrency_limits(&mut self, config: &Config) -> Vec<ConcurrencyLimit> {
        let limits = &config.filter.concurrency_limits;
        self.limit_ids(config, &CONCURRENCY, limits.iter().map(|own| &*own.id));
        let mut resolved = Vec::new();
        for (index, raw) in limits.iter().enumerate() {
            let path = CONCURRENCY.path(index);
            let (v4, v6) = (raw.ipv4_prefix, raw.ipv6_prefix);
            let key = self.limit_key(&path, raw.key.as_ref(), "client", v4, v6);
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
            resolved.push(ConcurrencyLimit { limit, holds: CONCURRENCY.holds(config, &raw.id) });
        }
        resolved
    }
}
