//! How many requests an endpoint gets, and whose come first.

use http::HeaderName;
use proxy_upstream::cluster::AdaptiveConfig;
use proxy_upstream::priority::{Priority, PriorityRules};

use super::Resolver;
use crate::config::path::KeyPath;
use crate::config::raw::{self, Config};

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

    /// The class of the requests of a route, where anything is said about it.
    pub(super) fn route_priority(
        &mut self,
        config: &Config,
        index: usize,
    ) -> Option<PriorityRules> {
        match (&config.routes[index].priority, &config.defaults.priority) {
            (Some(own), _) => self.priority(&KeyPath::of("routes").index(index), own),
            // What is wrong with it is told once.
            (None, Some(own)) => self.silently(|this| this.priority(&KeyPath::of("defaults"), own)),
            (None, None) => None,
        }
    }

    /// The class where a route does not say, whether there is such a route or not.
    pub(super) fn default_priority(&mut self, config: &Config) {
        if let Some(own) = &config.defaults.priority {
            self.priority(&KeyPath::of("defaults"), own);
        }
    }

    fn priority(&mut self, table: &KeyPath, raw: &raw::PrioritySwitch) -> Option<PriorityRules> {
        let path = table.key("priority");
        let (class, field) = match raw {
            raw::PrioritySwitch::Class(class) => (*class, None),
            raw::PrioritySwitch::Table(own) => (own.class, own.field.as_deref()),
        };
        let class = match class {
            raw::PriorityClass::Low => Priority::Low,
            raw::PriorityClass::Normal => Priority::Normal,
            raw::PriorityClass::High => Priority::High,
        };
        let field = field.and_then(|name| {
            let found = name.parse::<HeaderName>();
            let found = found.map_err(|_| format!("`{name}` is no name of a field"));
            self.take(&path.key("field"), found)
        });
        Some(PriorityRules { class, field })
    }
}
