//! From a configuration to services: the whole stack, in order, in one place.
//!
//! [`front`] is the canonical order of `docs/layer-order.md`, outermost first. Everything that
//! outlives a reload is in [`Resources`].

mod forward;
mod traffic;
mod upstreams;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use metrics::Recorder;
use proxy_cache::CacheStore;
use proxy_core::catch_panic::CatchPanic;
use proxy_core::error_pages::ErrorPages;
use proxy_core::hygiene::{Hygiene, HygieneLayer, Role};
use proxy_core::trust::{AddressSource, ClientAddrLayer, TrustedClient};
use proxy_core::{
    Body, CatchPanicLayer, ErrorPagesLayer, HeadLimits, IpSet, PathPolicy, SystemClock,
};
use proxy_filter::FilterLayer;
use proxy_filter::input::InputLayer;
use proxy_observe::audit::{AuditGate, Door};
use proxy_observe::traces::{SpanLayer, Spanned};
use proxy_observe::{AuditGateLayer, Observe, ObserveLayer, Observer};
use proxy_server::{
    Drain, Edge, EdgeSettings, EdgeTimeouts, Exchanges, ListenerSettings, TunnelSettings,
};
use proxy_upstream::balance::SeededRandom;
use proxy_upstream::dial::parent::Parent;
use proxy_upstream::guard::OwnListeners;
use proxy_upstream::resolve::Resolver;
use proxy_upstream::{Destinations, Endpoint, Means, Upstream, UpstreamConfig};
use tower::ServiceBuilder;
use tower_service::Service;

use crate::access::ListenerAccess;
use crate::buffer::{self, MaybeBuffered};
use crate::cache::{CacheRole, Caches, MaybeCached, MaybeCachedBody};
use crate::compress::{self, Coders};
use crate::config::resolved::{
    self, CompressPolicy, Limits, Listener, Resolved, Timeouts, UpstreamTimeouts,
};
use crate::config::units::Size;
use crate::config::{KeyPath, raw};
use crate::discovery;
use crate::exec;
use crate::extensions::{self, Installed};
use crate::filter::Filters;
use crate::forward::ForwardRole;
use crate::gateway::{Dispatch, Gateway, RouteTarget, SplitTarget};
use crate::inspection::Inspection;
use crate::live::Slot;
use crate::miss_limited::MissLimited;
use crate::request_limits::RequestLimits;
use crate::role::RoleService;
use crate::routes::Action;
use crate::severing::Severing;
use crate::stack::{MaybeStacked, Spans};
use crate::states::States;
use crate::traces::Exporter;

use forward::ForwardParts;
use upstreams::{
    destinations, forward_timeouts, in_use, operator_dialer, parents, upstream_config,
    upstream_definition,
};

pub(crate) use upstreams::{Parents, dial_config, parent};

/// The name in `Proxy-Status` and `Cache-Status`.
pub const PROXY_NAME: &str = "proxyd";

/// What lives as long as the process, whatever is configured.
#[derive(Clone)]
pub struct Resources {
    /// Resolves names.
    pub resolver: Arc<dyn Resolver>,
    /// Our own listeners, which nobody reaches through us.
    pub own: OwnListeners,
    /// Makes exchange records.
    pub exchanges: Exchanges,
    /// Sees every exchange and connection.
    pub observer: Observer,
    /// Stored responses, where any route keeps them.
    pub cache: Option<Arc<dyn CacheStore>>,
    /// What all that compress share.
    pub coders: Coders,
    /// What starts programs.
    pub warden: proxy_exec::Warden,
    /// Where metrics are counted, if they are.
    pub recorder: Option<Arc<dyn Recorder + Send + Sync>>,
    /// What is recorded for a collector, if anything is.
    pub traces: Option<proxy_observe::traces::Traces>,
    /// Who passes while the audit log can not be written.
    pub audit_door: Option<Door>,
    /// The name in `Via`.
    pub via_name: Arc<str>,
    /// Tells all connections when to end, those inside of tunnels too.
    pub drain: Drain,
    /// Judges tunnels again.
    pub severing: Severing,
    /// Where chance begins.
    pub seed: u64,
}

impl std::fmt::Debug for Resources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resources").field("via_name", &self.via_name).finish_non_exhaustive()
    }
}

impl Resources {
    /// Whether layers have spans.
    pub fn spans(&self) -> Spans {
        Spans::new(self.traces.is_some())
    }
}

/// The layers that every listener has, around what its role does, as a type: no box stands
/// between them.
pub type Front<S> = Observe<ErrorPages<CatchPanic<AuditGate<Spanned<Hygiene<TrustedClient<S>>>>>>>;

/// The layers that every listener has, around what its role does. Outermost first; what each is
/// and why it stands there: `docs/layer-order.md`.
pub fn front<S>(
    config: &Resolved,
    listener: &Listener,
    resources: &Resources,
    service: S,
) -> Front<S> {
    let (role, announce) = match listener.role {
        raw::Role::Gateway => (Role::Gateway, true),
        raw::Role::Forward => (Role::Forward, config.forward.forwarded),
    };
    ServiceBuilder::new()
        .layer(ObserveLayer::new(resources.observer.clone()))
        .layer(ErrorPagesLayer::new(PROXY_NAME).show_rules(role == Role::Forward))
        .layer(CatchPanicLayer)
        .layer(AuditGateLayer::new(resources.audit_door.clone()))
        .layer(SpanLayer::maybe(resources.spans().name("hygiene")))
        .layer(
            HygieneLayer::new(role, &resources.via_name)
                .path_policy(path_policy(config))
                .strict_transport(listener.tls.as_ref().and_then(|tls| tls.hsts.clone()))
                .http3_for(listener.quic.as_ref().and_then(|quic| quic.advertise)),
        )
        .layer(
            ClientAddrLayer::new(networks(&listener.trusted_proxies), source(listener))
                .announce(announce)
                .privacy(config.privacy.forwarded.clone()),
        )
        .service(service)
}

/// What metrics call the route of a forward listener.
const NO_ROUTE: &str = "none";

/// A composed proxy: a service for each listener, and what needs upkeep.
#[derive(Debug)]
pub struct Composed {
    /// What each listener does.
    pub listeners: Vec<(Listener, RoleService)>,
    /// What connections inside of intercepted tunnels are served by, those that stand too.
    pub insides: Vec<InsideOf>,
    /// The upstreams, for their upkeep and for the admin listener.
    pub upstreams: Vec<(Upstream, bool)>,
    /// The parent proxies, likewise.
    pub parents: Vec<Parent>,
    /// The layers that store responses, for the admin listener.
    pub caches: Caches,
    /// Connections to destinations that clients choose.
    pub destinations: Destinations,
    /// What starts the programs of routes, where there are any.
    pub runner: Option<proxy_exec::ExecRunner>,
}

/// What serves inside of the tunnels of a listener.
#[derive(Debug)]
pub struct InsideOf {
    /// The listener.
    pub listener: String,
    /// What it is served by: to be set once the composition takes effect.
    pub service: Front<ForwardRole>,
    /// Where it is to be set.
    pub slot: Slot<Front<ForwardRole>>,
    /// Tells the connections there when to end.
    pub drain: Drain,
}

/// Composes the services of a configuration. What `states` has from the composition before, and
/// what is defined as it was, is taken over.
pub fn compose(config: &Resolved, resources: &Resources, states: &mut States) -> Composed {
    let means = Means {
        clock: Arc::new(SystemClock),
        random: Arc::new(SeededRandom::new(resources.seed)),
        recorder: resources.recorder.as_deref().map(|recorder| recorder as &dyn Recorder),
    };
    let parents = parents(config, &means, states);
    let upstreams: Vec<_> = config
        .upstreams
        .values()
        .map(|own| {
            let definition = upstream_definition(config, own);
            let tls = own.tls.as_ref().map(|tls| in_use(tls, &own.name, &definition, states));
            let upstream = states.keep(&own.name, definition, || {
                let dialer = operator_dialer(resources);
                let dialer = match parent(&parents, own.parent.as_deref()) {
                    Some(parent) => dialer.with_parent(parent),
                    None => dialer,
                };
                let mut settings = upstream_config(own, &config.privacy);
                settings.tls = tls;
                settings.discovery = discovery::of(own, resources);
                settings.balance.zone.clone_from(&config.server.zone);
                Upstream::with(settings, dialer, &means)
            });
            (upstream, own.required)
        })
        .collect();
    let find = |name: &str| upstreams.iter().map(|(u, _)| u).find(|u| &**u.name() == name);
    let mut caches = Caches::new(resources.cache.clone());
    let limits = RequestLimits::new(config, resources.recorder.as_deref(), states);
    let misses = limits.misses();
    let filters = Filters::new(config, &limits);
    let defined = config.definitions.of(&KeyPath::of("exec"));
    let runner = states.keep("programs", defined, || exec::runner(config, resources));
    let fetcher = exec::fetcher(config, &filters, &parents, resources);
    let programs = exec::programs(config, &runner, fetcher.as_ref(), states);
    let destinations = destinations(config, states);
    let mirrors = traffic::mirrors(config, resources, states, find);
    let auth = traffic::forward_auth(config, resources, find);
    let targets = |listener: &Listener, caches: &mut Caches, states: &mut States| -> Vec<_> {
        config
            .table
            .routes()
            .iter()
            .map(|route| {
                let own = config.routes.iter().find(|own| own.name == *route.name);
                if let (Action::Exec, Some(own)) = (&route.action, own) {
                    let extensions = &config.extensions;
                    let shared = exec::Shared { caches, resources, states, extensions };
                    let program = programs.get(&own.name);
                    return exec::target(own, route, listener, program, misses.as_ref(), shared);
                }
                let Action::Upstream(name) = &route.action else { return RouteTarget::default() };
                let body = match own.and_then(|own| own.body) {
                    Some(own) => own.some().map(Size::bytes),
                    None => listener.limits.body,
                };
                let total = own.and_then(|own| own.total);
                let compress = own.and_then(|own| own.compress.as_ref());
                let mut service = |name: &str, timeouts: Option<&UpstreamTimeouts>, role| {
                    let upstream = match (find(name)?, timeouts) {
                        (own, Some(timeouts)) => own.with_timeouts(forward_timeouts(timeouts)),
                        (own, None) => own.clone(),
                    };
                    let cache = own.and_then(|own| own.cache.as_ref()).and_then(|policy| {
                        let asks = own.is_some_and(resolved::Route::asks_who);
                        let personal = route.has_access_rules() || has_access_rules(listener);
                        let personal = personal || asks;
                        caches.layer(policy, &role, personal, compress, resources, states)
                    });
                    let held = buffer::layer(config, own, resources, states);
                    let upstream = MaybeBuffered::new(upstream, held.as_ref());
                    let upstream = MissLimited::new(upstream, misses.as_ref());
                    let service = MaybeStacked::new(MaybeCached::new(upstream, cache.as_ref()));
                    let span = cache.and_then(|_| resources.spans().name("cache"));
                    let service = service.wrap(span.map(SpanLayer::new));
                    let service = service.wrap(mirrors.get(&*route.name).cloned());
                    let inspect = own.and_then(|own| own.inspect.as_ref());
                    let inspect =
                        Inspection::new(inspect, resources.recorder.as_ref(), &route.name);
                    let extensions = &config.extensions;
                    Some(around_route(service, inspect, compress, &role, resources, extensions))
                };
                let times = own.and_then(|own| own.timeouts.as_ref());
                let whole = service(name, times, CacheRole::Gateway(Arc::clone(&route.name)));
                let split = own.and_then(|own| own.split.as_ref()).map(|split| {
                    let arms = split.upstreams.iter().map(|(name, times)| {
                        let arm = name.as_str().into();
                        service(name, Some(times), CacheRole::Arm(Arc::clone(&route.name), arm))
                    });
                    let random = traffic::chance(resources.seed, "split", &route.name);
                    let random = Arc::new(random);
                    Arc::new(SplitTarget::new(split.rules.clone(), arms.collect(), random))
                });
                let priority = own.and_then(|own| own.priority.clone());
                let (body_limit, total_timeout) = (body, total);
                RouteTarget { service: whole, split, priority, body_limit, total_timeout }
            })
            .collect()
    };
    let (mut listeners, mut insides) = (Vec::new(), Vec::new());
    for listener in &config.listeners {
        match listener.role {
            raw::Role::Gateway => {
                let table = Arc::clone(&config.table);
                let dispatch = Dispatch::new(targets(listener, &mut caches, states))
                    .show_clients(config.privacy.forwarded.clone());
                let dispatch = MaybeStacked::new(dispatch);
                let filtered = before_dispatch(
                    resources.spans().wrap("forward_auth", dispatch, auth.clone()),
                    config,
                    filters.layer(listener),
                    &limits,
                    resources,
                );
                let gateway = Gateway::new(&listener.name, access(listener), table, filtered);
                let role = RoleService::Gateway(gateway).extended(&config.extensions);
                listeners.push((listener.clone(), role));
            }
            raw::Role::Forward => {
                let mut parts = ForwardParts {
                    config,
                    listener,
                    resources,
                    caches: &mut caches,
                    filters: &filters,
                    limits: &limits,
                    destinations: &destinations,
                    parents: &parents,
                    states,
                };
                let (role, inside) = parts.role();
                insides.extend(inside);
                let role = RoleService::Forward(Box::new(role)).extended(&config.extensions);
                listeners.push((listener.clone(), role));
            }
        }
    }
    let runner = (!programs.is_empty()).then_some(runner);
    let parents = parents.into_values().collect();
    Composed { listeners, insides, upstreams, parents, caches, destinations, runner }
}

/// What stands between the match of a route and its dispatch, in both roles: the filter. Each
/// layer is put around those above it in this text: the innermost comes first.
fn before_dispatch<S>(
    dispatch: MaybeStacked<S>,
    config: &Resolved,
    filter: Option<FilterLayer>,
    limits: &RequestLimits,
    resources: &Resources,
) -> MaybeStacked<S>
where
    S: Service<Request<Body>, Response = Response<MaybeCachedBody>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send,
{
    let input = config.input.as_ref().map(|input| {
        let routes = input.routes.iter().cloned();
        let all = InputLayer::new(input.all.clone());
        let all = match resources.recorder.as_deref() {
            Some(recorder) => all.metrics(recorder),
            None => all,
        };
        routes.fold(all, |layer, (name, rules)| layer.route(name, rules))
    });
    let spans = resources.spans();
    let dispatch = config.extensions.around(extensions::Slot::Permitted, dispatch);
    let inner = spans.wrap("input", dispatch, input);
    // The first of the file is the outermost.
    let inner = limits.bandwidth().rev().fold(inner, |inner, layer| inner.wrap(Some(layer)));
    let inner = limits
        .concurrency()
        .rev()
        .fold(inner, |inner, layer| spans.wrap("concurrency", inner, Some(layer)));
    let inner = spans.wrap("rate_limits", inner, limits.requests());
    spans.wrap("filter", inner, filter)
}

/// What stands around the service of a route, or of the forward role: above its cache, which is
/// in the service already. The innermost comes first.
pub(crate) fn around_route<S>(
    service: MaybeStacked<S>,
    inspect: Inspection,
    compress: Option<&CompressPolicy>,
    role: &CacheRole,
    resources: &Resources,
    installed: &Installed,
) -> MaybeStacked<S>
where
    S: Service<Request<Body>, Response = Response<MaybeCachedBody>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send,
{
    let coding = compress.map(|own| {
        let recorder = resources.recorder.as_deref().map(|recorder| recorder as &dyn Recorder);
        resources.coders.layer(own, role, recorder)
    });
    let spans = resources.spans();
    let service = installed.around(extensions::Slot::Content, service);
    let service = spans.wrap("inspect_response", service, inspect.responses);
    let service = spans.code(service, coding, compress.and_then(compress::decode));
    let service = installed.around(extensions::Slot::Delivered, service);
    spans.wrap("inspect", service, inspect.requests)
}

/// The edge and the gate of a listener.
pub fn listener_settings(
    config: &Resolved,
    listener: &Listener,
    resources: &Resources,
) -> ListenerSettings {
    let timeouts = &config.server.timeouts;
    ListenerSettings {
        name: listener.name.as_str().into(),
        trusted: networks(&listener.trusted_proxies),
        allow: access(listener).allow,
        deny: networks(&listener.deny_clients),
        proxy_protocol: listener.proxy_protocol,
        http1: listener.h1,
        http2: listener.h2,
        tls: listener.tls.as_ref().map(|tls| Arc::clone(&tls.edge)),
        edge: Arc::new(Edge {
            settings: edge_settings(&listener.limits, timeouts, listener.half_close),
            tunnels: TunnelSettings {
                idle: timeouts.tunnel_idle.unwrap_or(FOREVER),
                lifetime: timeouts.tunnel_lifetime.unwrap_or(FOREVER),
            },
            exchanges: resources.exchanges.clone(),
            events: Arc::new(resources.observer.clone()),
            proxy_name: PROXY_NAME.into(),
        }),
    }
}

/// As good as no limit, and no overflow.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

fn edge_settings(limits: &Limits, timeouts: &Timeouts, half_close: bool) -> EdgeSettings {
    EdgeSettings {
        head: HeadLimits {
            line: limits.request_line,
            fields: limits.fields,
            fields_size: limits.fields_size,
        },
        timeouts: EdgeTimeouts {
            first_byte: timeouts.silent,
            header: timeouts.header,
            keep_alive: timeouts.keep_alive,
            body_grace: timeouts.body_grace,
            write: timeouts.write,
            ..EdgeTimeouts::default()
        },
        min_rate: limits.body_min_rate.unwrap_or(0),
        half_close,
        h2_streams: limits.h2_streams,
        h2_resets: limits.h2_resets,
        h2_idle_frames: limits.h2_idle_frames,
    }
}

/// What sends spans to the collector of the configuration.
pub fn exporter(config: &Resolved, resources: &Resources) -> Option<Exporter> {
    let (own, traces) = (config.traces.as_ref()?, resources.traces.as_ref()?);
    let endpoint = Endpoint::new(own.host.as_str(), own.port);
    let settings = UpstreamConfig::new("traces", vec![endpoint]);
    let collector = Upstream::new(settings, operator_dialer(resources));
    Some(Exporter::new(traces.clone(), collector, own.clone()))
}

fn access(listener: &Listener) -> ListenerAccess {
    ListenerAccess {
        allow: (!listener.allow_clients.is_empty()).then(|| networks(&listener.allow_clients)),
        deny: networks(&listener.deny_clients),
    }
}

/// Whether the listener serves some clients only, or asks them who they are.
pub(crate) fn has_access_rules(listener: &Listener) -> bool {
    let asks = listener.tls.as_ref().is_some_and(|tls| tls.files.clients.is_some());
    asks || !listener.allow_clients.is_empty() || !listener.deny_clients.is_empty()
}

fn networks(networks: &[ipnet::IpNet]) -> IpSet {
    networks.iter().copied().collect()
}

pub(crate) fn source(listener: &Listener) -> AddressSource {
    match listener.client_address_from.as_str() {
        "x-forwarded-for" => AddressSource::XForwardedFor,
        "forwarded" => AddressSource::Forwarded,
        _ => AddressSource::Field(listener.client_address_from.clone()),
    }
}

pub(crate) fn path_policy(config: &Resolved) -> PathPolicy {
    PathPolicy {
        merge_slashes: config.server.merge_slashes,
        allow_encoded_slash: config.server.encoded_slash == raw::EncodedSlash::Keep,
    }
}

/// The addresses that nobody reaches through us.
pub fn own_addresses(bound: impl IntoIterator<Item = Option<SocketAddr>>) -> Vec<SocketAddr> {
    bound.into_iter().flatten().collect()
}
