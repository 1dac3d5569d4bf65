//! Routes: compiled, and checked against the listeners and upstreams that
//! they name.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Resolver;
use super::inspect::Inspections;
use crate::config::path::KeyPath;
use crate::config::raw::{self, Config, Role};
use crate::config::resolved::{Route, Upstream, UpstreamTimeouts};
use crate::config::units::{Limit, Period};
use crate::routes::from_config::route_specs;
use crate::routes::{RouteError, RouteTable};

impl Resolver<'_> {
    /// The compiled routes; empty where one of them is wrong.
    pub(super) fn route_table(&mut self, config: &Config) -> RouteTable {
        let specs = route_specs(&config.routes, &config.defaults);
        let upstreams = self.declared("upstreams");
        let listeners = self.declared("listeners");
        for (index, spec) in specs.iter().enumerate() {
            let path = KeyPath::of("routes").index(index);
            if let Some(name) = spec.upstream.as_ref().filter(|name| !upstreams.contains(name)) {
                let default = spec.inherited.contains("upstream");
                let table = if default { KeyPath::of("defaults") } else { path.clone() };
                self.unknown(&table.key("upstream"), "upstream", name, &upstreams);
            }
            for (position, name) in spec.listeners.iter().flatten().enumerate() {
                let path = path.key("listeners").index(position);
                if !listeners.contains(name) {
                    self.unknown(&path, "listener", name, &listeners);
                } else if config.listeners.get(name).is_some_and(|l| l.role == Role::Forward) {
                    self.error(&path, format!("`{name}` is a forward listener: it has no routes"));
                }
            }
        }
        match RouteTable::compile(&specs) {
            Ok(table) => {
                if let Some((first, never)) = table.unreachable() {
                    for route in never {
                        let message = format!("never reached: `{}` matches everything", first.name);
                        self.warning(&KeyPath::of("routes").index(route.index), message);
                    }
                }
                table
            }
            Err(errors) => {
                errors.into_iter().for_each(|error| self.route_error(config, &error));
                RouteTable::default()
            }
        }
    }

    fn route_error(&mut self, config: &Config, error: &RouteError) {
        let route = KeyPath::of("routes").index(error.index);
        if error.key == "upstream" && config.routes[error.index].upstream.is_none() {
            // About what is not there.
            self.error_on_key(&route, error.message.clone());
            return;
        }
        let table = if error.inherited { KeyPath::of("defaults") } else { route };
        self.error(&table.within(&error.key), error.message.clone());
    }

    /// What the routes say beside what the table has.
    pub(super) fn routes(
        &mut self,
        config: &Config,
        upstreams: &BTreeMap<String, Upstream>,
        inspections: &Inspections,
    ) -> Vec<Route> {
        for (index, route) in config.routes.iter().enumerate() {
            let path = KeyPath::of("routes").index(index);
            self.route_timeouts(&path.key("timeouts"), &route.timeouts);
        }
        let server = config.server.timeouts.total;
        let default = config.defaults.upstream.as_ref();
        self.sticky_routes(config, upstreams);
        self.default_priority(config, upstreams);
        let route = |(index, route): (usize, &raw::Route)| {
            let answers =
                route.redirect.is_some() || route.respond.is_some() || route.exec.is_some();
            let upstream = route.upstream.as_ref().or(default).filter(|_| !answers);
            let upstream = upstream.and_then(|name| upstreams.get(name));
            Route {
                name: route.name.clone(),
                users: route.users.clone().or_else(|| config.defaults.users.clone()),
                body: route.limits.body,
                timeouts: upstream.map(|upstream| timeouts(&route.timeouts, &upstream.timeouts)),
                total: route.timeouts.total.unwrap_or(server).some().map(Period::duration),
                cache: self.route_cache(config, index),
                compress: self.route_compress(config, index),
                inspect: self.route_inspect(config, index, inspections),
                exec: self.route_exec(config, index),
                forward_auth: self.route_forward_auth(config, index),
                split: self.route_split(config, index, upstreams),
                mirror: self.route_mirror(config, index),
                buffer: self.route_buffer(config, index),
                priority: self.route_priority(config, index, upstreams),
            }
        };
        config.routes.iter().enumerate().map(route).collect()
    }

    /// A stored response would hand one client's cookie to all.
    fn sticky_routes(&mut self, config: &Config, upstreams: &BTreeMap<String, Upstream>) {
        for (index, route) in config.routes.iter().enumerate() {
            let name = route.upstream.as_deref().or(config.defaults.upstream.as_deref());
            let arms = route.split.iter().flat_map(|split| &split.to);
            let mut names = name.into_iter().chain(arms.map(|arm| arm.upstream.as_str()));
            let is_sticky = |own: &Upstream| own.balance.sticky.is_some();
            let sticky = names.any(|name| upstreams.get(name).is_some_and(is_sticky));
            if sticky && self.silently(|own| own.route_cache(config, index)).is_some() {
                let path = KeyPath::of("routes").index(index).key("cache");
                let message = "its upstream is `sticky`: a stored response would carry one \
                               client's cookie to all";
                self.error(&path, message);
            }
        }
    }

    fn route_timeouts(&mut self, path: &KeyPath, raw: &raw::RouteTimeouts) {
        let total = raw.total.and_then(Limit::some);
        for (key, period) in [
            ("connect", raw.connect),
            ("first_byte", raw.first_byte),
            ("read_idle", raw.read_idle),
            ("total", total),
        ] {
            if let Some(period) = period {
                self.period(&path.key(key), period);
            }
        }
    }
}

pub(super) fn timeouts(own: &raw::RouteTimeouts, upstream: &UpstreamTimeouts) -> UpstreamTimeouts {
    let or = |own: Option<Period>, upstream: Duration| own.map_or(upstream, Period::duration);
    UpstreamTimeouts {
        connect: or(own.connect, upstream.connect),
        first_byte: or(own.first_byte, upstream.first_byte),
        read_idle: or(own.read_idle, upstream.read_idle),
    }
}
