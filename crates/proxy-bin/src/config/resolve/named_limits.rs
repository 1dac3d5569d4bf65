//! What the kinds of limits of `[filter]` have in common: their ids, and the routes that name them.

use super::Resolver;
use crate::config::path::KeyPath;
use crate::config::raw::{Config, RouteLimits};
use crate::config::resolved::Holds;

/// A kind of limits.
pub(super) struct Kind {
    /// Where they stand.
    table: &'static str,
    /// The key in `limits` of a route.
    key: &'static str,
    noun: &'static str,
    named: fn(&RouteLimits) -> Option<&Vec<String>>,
}

pub(super) const RATE: Kind = Kind {
    table: "filter.rate_limits",
    key: "rate",
    noun: "rate limit",
    named: |limits| limits.rate.as_ref(),
};

pub(super) const CONCURRENCY: Kind = Kind {
    table: "filter.concurrency_limits",
    key: "concurrency",
    noun: "concurrency limit",
    named: |limits| limits.concurrency.as_ref(),
};

pub(super) const BANDWIDTH: Kind = Kind {
    table: "filter.bandwidth_limits",
    key: "bandwidth",
    noun: "bandwidth limit",
    named: |limits| limits.bandwidth.as_ref(),
};

impl Kind {
    /// Where the limit of this number stands.
    pub(super) fn path(&self, index: usize) -> KeyPath {
        KeyPath::of(self.table).index(index)
    }

    /// For what a limit holds: the routes that name it, or everything.
    pub(super) fn holds(&self, config: &Config, id: &str) -> Holds {
        let names = |limits: &RouteLimits| {
            (self.named)(limits).is_some_and(|ids| ids.iter().any(|own| own == id))
        };
        let routes = config.routes.iter().filter(|route| names(&route.limits));
        let routes: Vec<_> = routes.map(|route| route.name.clone()).collect();
        if routes.is_empty() { Holds::Everywhere } else { Holds::Routes(routes) }
    }
}

impl Resolver<'_> {
    /// Judges the ids of a kind, and those that routes name.
    pub(super) fn limit_ids<'a>(
        &mut self,
        config: &Config,
        kind: &Kind,
        ids: impl Iterator<Item = &'a str>,
    ) {
        let known: Vec<String> = ids.map(str::to_owned).collect();
        for (index, id) in known.iter().enumerate() {
            let path = kind.path(index).key("id");
            self.name(&path, id);
            if known[..index].contains(id) {
                self.error(&path, format!("there is a {} `{id}` already", kind.noun));
            }
        }
        let default = (kind.named)(&config.defaults.limits);
        let routes = config.routes.iter().enumerate();
        // What a route has from `[defaults]` is said once.
        let routes = routes
            .map(|(n, route)| (KeyPath::of("routes").index(n), (kind.named)(&route.limits)))
            .filter(|(_, own)| own.is_some() && *own != default);
        let all: Vec<_> =
            std::iter::once((KeyPath::of("defaults"), default)).chain(routes).collect();
        for (path, ids) in all {
            let path = path.key("limits").key(kind.key);
            for (index, id) in ids.into_iter().flatten().enumerate() {
                if !known.contains(id) {
                    self.unknown(&path.index(index), kind.noun, id, &known);
                }
            }
        }
    }
}
