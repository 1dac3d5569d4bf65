//! Programs as routes: what the configuration says, as services in the place of an upstream.

mod fetcher;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use proxy_exec::fetch::Fetcher;
use proxy_exec::{ExecConfig, ExecEntryLayer, ExecRunner, ExecService, Statement};
use proxy_filter::rate::RateLimitLayer;
use proxy_observe::traces::SpanLayer;
use tower_layer::Layer as _;

use crate::buffer::MaybeBuffered;
use crate::cache::{CacheRole, Caches, MaybeCached};
use crate::compose::{Parents, Resources, around_route, has_access_rules, parent};
use crate::config::resolved::{CacheQuery, Listener, Resolved, Route};
use crate::config::units::Size;
use crate::config::{KeyPath, raw};
use crate::extensions::Installed;
use crate::filter::Filters;
use crate::gateway::RouteTarget;
use crate::inspection::Inspection;
use crate::miss_limited::MissLimited;
use crate::names::Names;
use crate::routes;
use crate::stack::{Erased, MaybeStacked};
use crate::states::States;
use fetcher::GuardedFetcher;

/// What the programs of all routes share.
pub fn runner(config: &Resolved, resources: &Resources) -> ExecRunner {
    let mut runner = ExecRunner::new(resources.warden.clone());
    if let Some(runs) = config.exec_runs {
        runner = runner.runs(runs);
    }
    match &resources.recorder {
        Some(recorder) => runner.recorder(Arc::clone(recorder)),
        None => runner,
    }
}

/// What fetches for programs, where any has a URL fetched. Names are judged by `filters`.
pub(crate) fn fetcher(
    config: &Resolved,
    filters: &Filters,
    parents: &Parents,
    resources: &Resources,
) -> Option<Arc<dyn Fetcher>> {
    let own = config.exec_fetch.as_ref()?;
    let names = Names::of(filters).of_aliases();
    let parent = parent(parents, own.parent.as_deref());
    let ports = &config.forward.http_ports;
    Some(Arc::new(GuardedFetcher::new(own, parent, ports, names, resources)))
}

/// What of the limits and confinements of programs takes effect on this machine, by route.
pub fn confinements(config: &Resolved) -> impl Iterator<Item = (&str, Statement)> {
    config.routes.iter().filter_map(|route| {
        let confine = &route.exec.as_ref()?.confine;
        (!confine.is_empty()).then(|| (route.name.as_str(), confine.statement()))
    })
}

/// The programs of all routes by the names of these: listeners share them, so that a limit of a
/// route is one.
pub(crate) fn programs(
    config: &Resolved,
    runner: &ExecRunner,
    fetcher: Option<&Arc<dyn Fetcher>>,
    states: &mut States,
) -> HashMap<String, ExecService> {
    let shared = config.definitions.of(&KeyPath::of("exec"));
    let shown = config.definitions.of(&KeyPath::of("privacy"));
    let with_program = |route: &Route| {
        let mut exec = route.exec.clone()?;
        exec.validators = route.cache.is_some();
        // It has been checked with the rest of the configuration.
        let definition = format!("{shared} {shown} {exec:?}");
        let fetched = exec.params.fetched().and(fetcher).cloned();
        let make = || {
            let runner = runner.clone();
            let runner = fetched.iter().cloned().fold(runner, ExecRunner::fetcher);
            ExecService::new(exec, &runner).ok()
        };
        let kept = states.keep(&route.name, definition, make)?;
        // Where it may lead may have changed, though the program has not.
        let program = fetched.iter().cloned().fold(kept, ExecService::with_fetcher);
        Some((route.name.clone(), program))
    };
    config.routes.iter().filter_map(with_program).collect()
}

/// What all routes share.
pub(crate) struct Shared<'a> {
    pub(crate) caches: &'a mut Caches,
    pub(crate) resources: &'a Resources,
    pub(crate) states: &'a mut States,
    pub(crate) extensions: &'a Installed,
}

/// The program of a route: below limits of runs (`misses`), these below a cache where there is one,
/// and above that what judges who asks for what, so that a stored response passes the same
/// judgement.
pub(crate) fn target(
    own: &Route,
    route: &routes::Route,
    listener: &Listener,
    program: Option<&ExecService>,
    misses: Option<&RateLimitLayer>,
    shared: Shared<'_>,
) -> RouteTarget {
    let Shared { caches, resources, states, extensions } = shared;
    let Some((config, program)) = own.exec.as_ref().zip(program) else {
        return RouteTarget::default();
    };
    let (hash, program) = (identity(config), program.clone());
    let role = CacheRole::Program(Arc::clone(&route.name), hash);
    let cache = own.cache.as_ref().and_then(|policy| {
        let asks = own.asks_who();
        let personal = route.has_access_rules() || has_access_rules(listener) || asks;
        // The last to leave ends the run, but where it is to be finished in any case.
        let mut policy = policy.clone();
        if policy.on_disconnect == raw::OnDisconnect::FinishIfShared {
            policy.on_disconnect = raw::OnDisconnect::Cancel;
        }
        // Its words are made of the whole query, whatever is told apart elsewhere; and a part of an
        // output is not had without the rest.
        (policy.query, policy.slice) = (CacheQuery::All, None);
        caches.layer(&policy, &role, personal, own.compress.as_ref(), resources, states)
    });
    let entry = ExecEntryLayer::new(&program);
    let service = match (cache, misses) {
        (None, None) => Erased::new(entry.layer(program)),
        (None, Some(misses)) => Erased::new(entry.layer(misses.layer(program))),
        (Some(cache), None) => Erased::new(entry.layer(cache.layer(program))),
        (Some(cache), Some(misses)) => Erased::new(entry.layer(cache.layer(misses.layer(program)))),
    };
    let body = match own.body {
        Some(own) => own.some().map(Size::bytes),
        None => listener.limits.body,
    };
    let stack = MaybeStacked::<MaybeCached<MissLimited<MaybeBuffered>>>::Stacked(service);
    let stack = stack.wrap(resources.spans().name("exec").map(SpanLayer::new));
    let recorder = resources.recorder.as_ref();
    let inspect = Inspection::new(own.inspect.as_ref(), recorder, &route.name);
    RouteTarget {
        priority: None,
        service: Some(around_route(
            stack,
            inspect,
            own.compress.as_ref(),
            &role,
            resources,
            extensions,
        )),
        split: None,
        body_limit: body,
        total_timeout: own.total,
    }
}

/// What makes the output of a program another one: all that requests do not say, but for how long
/// and how often it may run.
fn identity(config: &ExecConfig) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut config = config.clone();
    (config.timeouts, config.limits) = Default::default();
    (config.origins, config.any_host) = Default::default();
    format!("{config:?}").hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proxy_exec::params::{Kind, Param, Source};

    #[test]
    fn another_program_is_another_identity() {
        let base = ExecConfig::new("tool").arg("{query.a}").unwrap();
        let range = |max| Param::new(Source::Query, Kind::Integer { min: 0, max });
        let first = base.clone().param("a", range(1));
        let mut shorter = first.clone();
        shorter.timeouts.total = None;
        shorter.limits.runs = 1;
        assert_eq!(identity(&first), identity(&shorter));
        let mut others = vec![base.clone().param("a", range(2)), first.clone().stdin()];
        for change in [
            (|config| config.umask = 0) as fn(&mut ExecConfig),
            |config| config.success = vec![0, 1],
            |config| config.uid = Some(1),
            |config| config.cgi = true,
            |config| config.stderr = proxy_exec::Stderr::Merge,
            |config| config.confine.no_network = true,
            |config| config.directory = proxy_exec::Directory::Fixed("/tmp".into()),
        ] {
            let mut other = first.clone();
            change(&mut other);
            others.push(other);
        }
        for other in others {
            assert_ne!(identity(&first), identity(&other), "{other:?}");
        }
    }
}
