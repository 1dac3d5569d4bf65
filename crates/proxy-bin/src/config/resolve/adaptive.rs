//! How many requests an endpoint gets at a time.

use proxy_upstream::cluster::AdaptiveConfig;

use super::Resolver;
use crate::config::path::KeyPath;
use crate::config::raw;

impl Resolver<'_> {
    pub(super) fn adaptive(
        &mut self,
        path: &KeyPath,
        raw: Option<&raw::AdaptiveConcurrency>,
    ) -> Option<AdaptiveConfig> {
        let own = raw?;
        let count = |n| usize::try_from(n).unwrap_or(usize::MAX);
        if own.max_limit < own.min_limit {
            let message = format!("expected at least `min_limit`, {}", own.min_limit);
            self.error(&path.key("max_limit"), message);
        }
        Some(AdaptiveConfig {
            min_limit: count(own.min_limit),
            max_limit: count(own.max_limit),
            tolerance: 1.0 + own.tolerance.fraction(),
            window: self.period(&path.key("window"), own.window),
            probe_interval: self.period(&path.key("probe_interval"), own.probe_interval),
            probe_requests: count(own.probe_requests),
        })
    }
}
