//! The running process: binds, serves, hears signals, drains.

mod quic;

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use metrics::Recorder;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use proxy_cache::CacheStore;
use proxy_core::{Body, BoxError, Clock, SystemClock};
use proxy_observe::traces::{Traces, TracesConfig};
use proxy_observe::{AuditLog, Metrics, Observer, Sink};
use proxy_server::{Bound, Drain, Exchanges, Limiter, ListenAddress, RuntimeKind, Workers, accept};
use proxy_upstream::guard::OwnListeners;
use proxy_upstream::resolve::{HickoryConfig, HickoryResolver};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tower_service::Service;

use crate::access_log::AccessLogs;
use crate::admin::{self, State};
use crate::admin_token::AdminToken;
use crate::compose::{
    Composed, Resources, compose, exporter, front, listener_settings, path_policy,
};
use crate::compress::Coders;
use crate::config::resolved::{self, Address, CacheStores, Listener, LogTarget, Resolved};
use crate::config::{Loaded, raw};
use crate::explain::Explainer;
use crate::files::Watch;
use crate::log_level::LogLevel;
use crate::memory_guard::MemoryGuard;
use crate::metrics_page;
use crate::tls::Ageing;

/// How often idle connections are swept and metrics are kept in order.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(2);
/// How often a drain looks whether the last requests are sent.
const SETTLING_INTERVAL: Duration = Duration::from_millis(20);

/// What ended the process before it served, or while it did.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// A listener could not be bound.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// Where.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// An access log could not be opened.
    #[error("cannot write the access log {path}: {source}")]
    Log {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The audit log could not be opened.
    #[error("cannot write the audit log {path}: {source}")]
    Audit {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The folder of the cache can not be used.
    #[error("cannot keep responses in {path}: {source}")]
    Cache {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// Threads, runtimes or signals.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// Serves a configuration until a signal ends it.
///
/// # Errors
/// What kept it from serving.
pub fn serve(
    loaded: &Loaded,
    greeting: Option<&str>,
    log_level: LogLevel,
) -> Result<(), ServeError> {
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(loaded, greeting, log_level))
}

async fn run(
    loaded: &Loaded,
    greeting: Option<&str>,
    log_level: LogLevel,
) -> Result<(), ServeError> {
    let config = &loaded.resolved;
    let mut signals = Signals::new()?;
    let bound = bind(config)?;
    let (own, resources, logs, prometheus) = resources(config)?;
    if let Some(audit) = &logs.audit {
        crate::audit::configured(audit, loaded, 1, &SystemClock);
    }
    own.set(crate::compose::own_addresses(bound.addresses()));
    let composed = compose(config, &resources);
    if let Some(runner) = &composed.runner {
        // Now, while this process is small, and not within a request.
        runner.spawner().prepare()?;
        for (route, statement) in crate::exec::confinements(config) {
            tracing::info!(route, confined_by = %statement, "programs");
        }
    }
    let drain = resources.drain.clone();
    let token = config.admin.as_ref().filter(|_| bound.admin.is_some()).and_then(AdminToken::of);
    let upstreams = composed.upstreams.clone();
    let caches = composed.caches.clone();
    let explainer = Explainer::live(config, &resources, &composed);
    let checks = upstreams.iter().filter_map(|(upstream, _)| upstream.health_checks());
    let checks: Vec<_> = checks.map(|checks| tokio::spawn(checks.run())).collect();
    let workers =
        Arc::new(Workers::start(runtime_kind(config.server.runtime), worker_count(config))?);
    let prometheus = prometheus.map(|counted| (counted, metrics_page::watch(&workers)));
    let state = State::new(
        upstreams,
        caches,
        explainer,
        prometheus,
        drain.clone(),
        loaded,
        token,
        log_level,
    );
    start(config, &resources, composed, bound, &workers, &drain, &state)?;
    let sending = exporter(config, &resources).map(|exporter| tokio::spawn(exporter.run()));
    let guard = resources.cache.clone().and_then(MemoryGuard::new);
    let destinations = resources.destinations.clone();
    let coders = resources.coders.clone();
    let upkeep = tokio::spawn(upkeep(state.clone(), destinations.clone(), coders, guard));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let watch = Watch::of(config, Arc::clone(&clock), resources.recorder.as_deref());
    let watch = watch.map(|watch| tokio::spawn(watch.run()));
    let ageing = Ageing::of(config, clock).map(|ageing| tokio::spawn(ageing.run()));
    if let Some(greeting) = greeting {
        let _ = io::stderr().write_all(greeting.as_bytes());
    }
    state.ready(true);

    tokio::select! {
        () = signals.first(&logs, config) => {}
        () = state.drain_asked() => {}
    }
    state.ready(false);
    drain.lame_duck();
    tracing::info!(open = drain.open(), "draining");
    // Load balancers learn from readiness first, while connections are still accepted.
    let lame_duck = tokio::time::sleep(config.server.lame_duck_interval);
    let patient = tokio::select! {
        () = lame_duck => true,
        () = signals.second() => false,
    };
    drain.drain();
    tokio::select! {
        () = std::future::ready(()), if !patient => {}
        () = settled(&drain, &state, &destinations) => {}
        () = tokio::time::sleep(config.server.drain_timeout) => {
            tracing::warn!(open = drain.open(), "the drain timeout is over; closing what is open");
        }
        () = signals.second() => {}
    }
    drain.end();
    // What was told to end does so at its next poll; the log gets its last lines.
    let _ = tokio::time::timeout(Duration::from_secs(1), drain.emptied()).await;
    upkeep.abort();
    checks.iter().for_each(tokio::task::JoinHandle::abort);
    if let Some(sending) = sending {
        sending.abort();
    }
    if let Some(exporter) = exporter(config, &resources) {
        exporter.finish().await;
    }
    for watch in [watch, ageing].into_iter().flatten() {
        watch.abort();
    }
    tokio::task::spawn_blocking(move || drop(logs)).await.ok();
    Ok(())
}

/// Sockets, bound before anything else: what can not listen does not start.
struct Sockets {
    listeners: Vec<(String, Bound)>,
    udp: quic::Sockets,
    admin: Option<Bound>,
    probe: Option<Bound>,
}

impl Sockets {
    fn addresses(&self) -> impl Iterator<Item = Option<SocketAddr>> {
        let listeners = self.listeners.iter().map(|(_, bound)| bound.local_addr());
        listeners.chain(self.admin.iter().chain(&self.probe).map(Bound::local_addr))
    }
}

fn bind(config: &Resolved) -> Result<Sockets, ServeError> {
    let bind = |address: &Address| {
        let address = match address {
            Address::Tcp(address) => ListenAddress::Tcp(*address),
            Address::Unix(path) => ListenAddress::Unix(path.clone()),
        };
        Bound::bind(&address)
            .map_err(|source| ServeError::Bind { address: address.to_string(), source })
    };
    let mut listeners = Vec::new();
    let mut udp = quic::Sockets::default();
    for listener in &config.listeners {
        for address in &listener.addresses {
            let bound = bind(address)?;
            udp.bind(listener, &bound)?;
            listeners.push((listener.name.clone(), bound));
        }
    }
    let admin = match &config.admin {
        None => None,
        Some(admin) => match bind(&admin.address) {
            Ok(bound) => Some(bound),
            // A one-line mode opens it unasked: a second one beside it works without.
            Err(error) if admin.optional => {
                tracing::warn!(%error, "no admin listener");
                None
            }
            Err(error) => return Err(error),
        },
    };
    let probe = config.probe.as_ref().map(bind).transpose()?;
    Ok(Sockets { listeners, udp, admin, probe })
}

type Made = (OwnListeners, Resources, Logs, Option<PrometheusHandle>);

/// The logs; each ends with its drop.
struct Logs {
    access: AccessLogs,
    audit: Option<AuditLog>,
}

fn resources(config: &Resolved) -> Result<Made, ServeError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let seed = getrandom::u64().map_err(|e| io::Error::other(e.to_string()))?;
    let own = OwnListeners::new([]);
    let (metrics, prometheus, recorder) = match config.metrics {
        true => {
            let (sink, handle, recorder) = metrics(config);
            (Some(sink), Some(handle), Some(recorder))
        }
        false => (None, None, None),
    };
    let access = AccessLogs::open(config, metrics.as_ref(), &clock)
        .map_err(|log| ServeError::Log { path: log.target, source: log.source })?;
    let audit = audit_log(config, metrics.as_ref(), &clock)?;
    let traces = config.traces.as_ref().map(|own| {
        let counters = metrics.as_ref().map(|metrics| metrics.span_counters()).unwrap_or_default();
        Traces::counted(traces_config(config, own), Arc::clone(&clock), counters)
    });
    let mut sinks: Vec<Arc<dyn Sink>> = Vec::new();
    sinks.extend(traces.as_ref().map(Traces::sink));
    sinks.extend(access.sinks());
    let trail = audit.as_ref().map(|audit| crate::audit::trail(audit, config));
    sinks.extend(trail.map(|trail| Arc::new(trail) as Arc<dyn Sink>));
    sinks.extend(metrics.map(|m| m as Arc<dyn Sink>));
    let observer = Observer::new(Arc::clone(&clock), sinks);
    observer.set_server_timing(config.server.server_timing);
    let resources = Resources {
        // `main` begins by asking whether this copy of the program is the warden.
        warden: proxy_exec::Warden::program("/proc/self/exe"),
        resolver: Arc::new(HickoryResolver::start(HickoryConfig::default())?),
        own: own.clone(),
        exchanges: Exchanges::new(clock, seed),
        observer,
        destinations: Resources::destinations(),
        cache: config.cache.as_ref().map(cache).transpose()?,
        coders: Coders::new(config.compress, recorder.as_deref().map(|own| own as _)),
        recorder,
        traces,
        audit_door: audit.as_ref().and_then(AuditLog::door),
        via_name: match &config.server.via_name {
            Some(name) => name.as_str().into(),
            None => format!("proxyd-{:08x}", seed as u32).into(),
        },
        drain: Drain::default(),
        seed,
    };
    Ok((own, resources, Logs { access, audit }, prometheus))
}

fn audit_log(
    config: &Resolved,
    metrics: Option<&Arc<Metrics>>,
    clock: &Arc<dyn Clock>,
) -> Result<Option<AuditLog>, ServeError> {
    crate::audit::open(config, metrics, clock).map_err(|source| ServeError::Audit {
        path: config.audit_log.as_ref().map(|own| own.target.to_string()).unwrap_or_default(),
        source,
    })
}

fn cache(stores: &CacheStores) -> Result<Arc<dyn CacheStore>, ServeError> {
    let path = || stores.disk.as_ref().map(|disk| disk.path.display().to_string());
    crate::cache::store(stores)
        .map_err(|source| ServeError::Cache { path: path().unwrap_or_default(), source })
}

/// Upper bounds for distributions of sizes, in bytes: 64 KiB to 16 GiB.
const SIZE_BUCKETS: &[f64] = &[
    65_536.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
    268_435_456.0,
    1_073_741_824.0,
    4_294_967_296.0,
    17_179_869_184.0,
];

type SharedRecorder = Arc<dyn Recorder + Send + Sync>;

fn metrics(config: &Resolved) -> (Arc<Metrics>, PrometheusHandle, SharedRecorder) {
    let sizes = Matcher::Suffix("_bytes".to_owned());
    let recorder = PrometheusBuilder::new()
        .set_buckets(proxy_observe::DURATION_BUCKETS)
        .and_then(|builder| builder.set_buckets_for_metric(sizes, SIZE_BUCKETS))
        .unwrap_or_else(|_| PrometheusBuilder::new())
        .build_recorder();
    let handle = recorder.handle();
    let recorder: SharedRecorder = Arc::new(recorder);
    let metrics = Metrics::builder(Arc::clone(&recorder))
        .routes(config.routes.iter().map(|route| route.name.as_str()))
        .upstreams(config.upstreams.keys().map(String::as_str))
        .listeners(config.listeners.iter().map(|listener| listener.name.as_str()))
        .build();
    (Arc::new(metrics), handle, recorder)
}

fn traces_config(config: &Resolved, own: &resolved::Traces) -> TracesConfig {
    TracesConfig {
        service: Arc::clone(&own.service),
        share: own.share,
        parent: own.parent,
        queue: own.queue,
        privacy: config.privacy.log.clone(),
        redaction: config.privacy.redaction.clone(),
        path_policy: path_policy(config),
        ..TracesConfig::default()
    }
}

fn runtime_kind(runtime: raw::Runtime) -> RuntimeKind {
    match runtime {
        raw::Runtime::PerCore => RuntimeKind::PerCore,
        raw::Runtime::Shared => RuntimeKind::Shared,
    }
}

fn worker_count(config: &Resolved) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    config.server.workers.unwrap_or_else(cores)
}

/// Starts every listener.
fn start(
    config: &Resolved,
    resources: &Resources,
    composed: Composed,
    bound: Sockets,
    workers: &Arc<Workers>,
    drain: &Drain,
    state: &State,
) -> Result<(), ServeError> {
    let mut sockets = bound.listeners;
    let mut udp = bound.udp;
    let mut take = |name: &str| -> Vec<Bound> {
        let (own, rest) = std::mem::take(&mut sockets).into_iter().partition(|(n, _)| n == name);
        sockets = rest;
        let own: Vec<(String, Bound)> = own;
        own.into_iter().map(|(_, bound)| bound).collect()
    };
    let shared = Shared { config, resources, workers, drain };
    for (listener, gateway) in composed.gateways {
        let service = front(config, &listener, resources, gateway);
        shared.open(&listener, take(&listener.name), &mut udp, &service);
    }
    for (listener, forward) in composed.forwards {
        let service = front(config, &listener, resources, forward);
        shared.open(&listener, take(&listener.name), &mut udp, &service);
    }
    if let Some(socket) = bound.admin {
        admin::listen(socket, admin::admin_router(state.clone()))?;
    }
    if let Some(socket) = bound.probe {
        admin::listen(socket, admin::probe_router(state.clone()))?;
    }
    Ok(())
}

/// What all listeners share.
struct Shared<'a> {
    config: &'a Resolved,
    resources: &'a Resources,
    workers: &'a Arc<Workers>,
    drain: &'a Drain,
}

impl Shared<'_> {
    /// Accepts on every socket of a listener.
    fn open<S, B>(
        &self,
        listener: &Listener,
        sockets: Vec<Bound>,
        udp: &mut quic::Sockets,
        service: &S,
    ) where
        S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + Unpin + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let settings = Arc::new(listener_settings(self.config, listener, self.resources));
        let limits = &listener.limits;
        let limiter = Limiter::new(limits.connections, limits.connections_per_client);
        for socket in sockets {
            tokio::spawn(accept(
                socket,
                Arc::clone(&settings),
                service.clone(),
                Arc::clone(self.workers),
                limiter.clone(),
                self.drain.clone(),
            ));
        }
        udp.open(listener, self, &settings, &limiter, service);
    }
}

/// Waits until no connection is open and no request is being sent whose client has its answer and
/// may be gone.
async fn settled(drain: &Drain, state: &State, destinations: &proxy_upstream::Destinations) {
    drain.emptied().await;
    while state.unfinished() + destinations.unfinished() > 0 {
        tokio::time::sleep(SETTLING_INTERVAL).await;
    }
}

async fn upkeep(
    state: State,
    destinations: proxy_upstream::Destinations,
    coders: Coders,
    guard: Option<MemoryGuard>,
) {
    let mut ticks = tokio::time::interval(UPKEEP_INTERVAL);
    loop {
        ticks.tick().await;
        state.upkeep();
        destinations.sweep();
        coders.upkeep();
        if let Some(keep) = guard.as_ref().and_then(MemoryGuard::check) {
            tracing::warn!(keep, "memory is short: the cache has been shrunk");
        }
    }
}

/// The signals that the process hears.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    reopen: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            reopen: signal(SignalKind::user_defined1())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the signal to end; reopens the log meanwhile.
    async fn first(&mut self, logs: &Logs, config: &Resolved) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hang_up.recv() => {
                    tracing::warn!("SIGHUP: a reload is not built yet; nothing has changed");
                }
                _ = self.reopen.recv() => {
                    logs.access.reopen();
                    let target = config.audit_log.as_ref().map(|own| &own.target);
                    if let (Some(log), Some(LogTarget::File(path))) = (&logs.audit, target)
                        && let Err(error) = log.reopen(path)
                    {
                        tracing::error!(%error, "the audit log cannot be reopened");
                    }
                }
            }
        }
    }

    /// Waits for the signal to end at once.
    async fn second(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
