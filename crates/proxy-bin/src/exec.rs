//! Programs as routes: what the configuration says, as services in the place of an upstream.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use proxy_exec::{ExecConfig, ExecEntryLayer, ExecRunner, ExecService};
use proxy_upstream::Upstream;
use tower_layer::Layer as _;

use crate::cache::{CacheRole, Caches, MaybeCached};
use crate::compose::{Resources, around_route, has_access_rules};
use crate::config::raw;
use crate::config::resolved::{Listener, Resolved, Route};
use crate::config::units::Size;
use crate::gateway::RouteTarget;
use crate::inspection::Inspection;
use crate::rate_limits::MissLimited;
use crate::routes;
use crate::stack::{Erased, MaybeStacked};

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

/// The program of a route: below a cache where there is one, and above that what judges who asks
/// for what, so that a stored response passes the same judgement.
pub(crate) fn target(
    own: &Route,
    route: &routes::Route,
    listener: &Listener,
    caches: &mut Caches,
    runner: &ExecRunner,
    resources: &Resources,
) -> RouteTarget {
    let Some(config) = &own.exec else { return RouteTarget::default() };
    let mut config = config.clone();
    config.validators = own.cache.is_some();
    let hash = identity(&config);
    // It has been checked with the rest of the configuration.
    let Ok(program) = ExecService::new(config, runner) else { return RouteTarget::default() };
    let role = CacheRole::Program(Arc::clone(&route.name), hash);
    let cache = own.cache.as_ref().and_then(|policy| {
        let users = own.users.is_some();
        let personal = route.has_access_rules() || has_access_rules(listener) || users;
        // The last to leave ends the run, but where it is to be finished in any case.
        let mut policy = policy.clone();
        if policy.on_disconnect == raw::OnDisconnect::FinishIfShared {
            policy.on_disconnect = raw::OnDisconnect::Cancel;
        }
        let coder = own.compress.as_ref().and_then(|own| resources.coders.stored(own));
        caches.layer(&policy, &role, personal, coder, resources)
    });
    let entry = ExecEntryLayer::new(&program);
    let service = match cache {
        Some(cache) => Erased::new(entry.layer(cache.layer(program))),
        None => Erased::new(entry.layer(program)),
    };
    let body = match own.body {
        Some(own) => own.some().map(Size::bytes),
        None => listener.limits.body,
    };
    let stack = MaybeStacked::<MaybeCached<MissLimited<Upstream>>>::Stacked(service);
    let recorder = resources.recorder.as_ref();
    let inspect = Inspection::new(own.inspect.as_ref(), recorder, &route.name);
    RouteTarget {
        service: Some(around_route(stack, inspect, own.compress.as_ref(), &role, resources)),
        body_limit: body,
        total_timeout: own.total,
    }
}

/// What makes the output of a program another one: all that requests do not say.
fn identity(config: &ExecConfig) -> u64 {
    let mut hasher = DefaultHasher::new();
    let ExecConfig { program, args, env, directory, content_type, .. } = config;
    format!("{program:?} {args:?} {env:?} {directory:?} {content_type:?}").hash(&mut hasher);
    hasher.finish()
}
