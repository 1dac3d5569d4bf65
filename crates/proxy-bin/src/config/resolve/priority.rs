//! Whose requests come first where an upstream has too much to do.

use std::collections::BTreeMap;

use http::HeaderName;
use proxy_upstream::priority::{Priority, PriorityRules};

use super::Resolver;
use crate::config::path::KeyPath;
use crate::config::raw::{self, Config, Role, Route};
use crate::config::resolved::Upstream;

impl Resolver<'_> {
    /// The class of the requests of a route, where anything is said about it.
    pub(super) fn route_priority(
        &mut self,
        config: &Config,
        index: usize,
        upstreams: &BTreeMap<String, Upstream>,
    ) -> Option<PriorityRules> {
        let route = &config.routes[index];
        let path = KeyPath::of("routes").index(index);
        let Some(own) = &route.priority else {
            let default = config.defaults.priority.as_ref().filter(|_| !answers(route))?;
            // What is wrong with it is told once.
            return self.silently(|this| this.priority(&KeyPath::of("defaults"), default));
        };
        if answers(route) {
            let message = "needs an `upstream`: requests wait for nothing else";
            self.error_on_key(&path.key("priority"), message);
            return None;
        }
        let known: Vec<_> = upstreams_of(config, route).collect();
        let waits = known.iter().any(|name| upstreams.get(*name).is_none_or(waits_for));
        if let Some(name) = known.first().filter(|_| !waits) {
            let message = format!(
                "has no effect: requests to `{name}` never wait; give it a `circuit_breaker` or \
                 `adaptive_concurrency`"
            );
            self.warning(&path.key("priority"), message);
        }
        self.passed_on(config, &path, own, route.listeners.as_deref());
        self.priority(&path, own)
    }

    /// The class where a route does not say, whether there is such a route or not.
    pub(super) fn default_priority(
        &mut self,
        config: &Config,
        upstreams: &BTreeMap<String, Upstream>,
    ) {
        let Some(own) = &config.defaults.priority else { return };
        let path = KeyPath::of("defaults");
        let mut routes = config.routes.iter().filter(|own| own.priority.is_none() && !answers(own));
        let waits = |name: &str| upstreams.get(name).is_none_or(waits_for);
        if !routes.any(|route| upstreams_of(config, route).any(waits)) {
            let message = "has no effect: no route that takes it has an upstream with a \
                           `circuit_breaker` or `adaptive_concurrency`, and requests wait for no \
                           other";
            self.warning(&path.key("priority"), message);
        }
        self.passed_on(config, &path, own, None);
        self.priority(&path, own);
    }

    /// Balancers in front of us pass the word of their clients on, and are believed.
    fn passed_on(
        &mut self,
        config: &Config,
        table: &KeyPath,
        raw: &raw::PrioritySwitch,
        listeners: Option<&[String]>,
    ) {
        let raw::PrioritySwitch::Table(own) = raw else { return };
        let is_standard = |name: &String| name.eq_ignore_ascii_case("priority");
        if !own.field.as_ref().is_some_and(is_standard) {
            return;
        }
        let serves = |name: &String| listeners.is_none_or(|own| own.contains(name));
        let mut listeners = config.listeners.iter().filter(|(name, _)| serves(name));
        let trusts =
            |own: &raw::Listener| own.role == Role::Gateway && !own.trusted_proxies.is_empty();
        if let Some((name, _)) = listeners.find(|(_, own)| trusts(own)) {
            let message = format!(
                "browsers send `Priority`, and the `trusted_proxies` of `{name}` get what it asks \
                 for: if they pass it on, every client may be the most urgent; let them remove it, \
                 or name a field of your own, such as \"x-priority\""
            );
            self.warning(&table.key("priority").key("field"), message);
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

/// Whether it answers without an upstream.
fn answers(route: &Route) -> bool {
    route.redirect.is_some() || route.respond.is_some() || route.exec.is_some()
}

/// The upstreams that its requests go to.
fn upstreams_of<'a>(config: &'a Config, route: &'a Route) -> impl Iterator<Item = &'a str> {
    let own = route.upstream.as_deref().or(config.defaults.upstream.as_deref());
    let arms = route.split.iter().flat_map(|split| &split.to);
    own.into_iter().chain(arms.map(|arm| arm.upstream.as_str()))
}

/// Whether requests wait where it has too much to do.
fn waits_for(upstream: &Upstream) -> bool {
    upstream.circuit_breaker.is_some() || upstream.adaptive.is_some()
}
