//! What lives as long as the process, or as long as what defines it stays the same.

use std::io;
use std::sync::Arc;

use proxy_cache::CacheStore;
use proxy_core::{Clock, SystemClock};
use proxy_observe::traces::{Traces, TracesConfig};
use proxy_observe::{AuditLog, Metrics, Observer};
use proxy_server::{Drain, Exchanges};
use proxy_upstream::guard::OwnListeners;
use proxy_upstream::resolve::{HickoryConfig, HickoryResolver};

use super::ServeError;
use super::recorder::SharedRecorder;
use crate::compose::{Resources, path_policy};
use crate::compress::Coders;
use crate::config::KeyPath;
use crate::config::resolved::{CacheStores, Resolved};
use crate::severing::Severing;

/// Those of the configuration that a process begins with. Its observer tells nobody yet.
/// `took_over`: the process before may still have what only one can have.
pub(super) fn first(
    config: &Resolved,
    metrics: Option<&Arc<Metrics>>,
    recorder: Option<SharedRecorder>,
    audit: Option<&AuditLog>,
    took_over: bool,
) -> Result<Resources, ServeError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let seed = getrandom::u64().map_err(|e| io::Error::other(e.to_string()))?;
    Ok(Resources {
        // `main` begins by asking whether this copy of the program is the warden.
        warden: proxy_exec::Warden::program("/proc/self/exe"),
        resolver: Arc::new(HickoryResolver::start(HickoryConfig::default())?),
        own: OwnListeners::new([]),
        exchanges: Exchanges::new(Arc::clone(&clock), seed),
        observer: Observer::new(clock, []),
        cache: config.cache.as_ref().map(|own| cache(own, took_over)).transpose()?,
        coders: Coders::new(config.compress, recorder.as_deref().map(|own| own as _)),
        recorder,
        traces: traces(config, metrics),
        audit_door: audit.and_then(AuditLog::door),
        via_name: via_name(config, seed),
        drain: Drain::default(),
        severing: Severing::default(),
        seed,
    })
}

/// Those of another configuration: what it says as before is the same.
pub(super) fn next(
    old: &Resolved,
    new: &Resolved,
    resources: &Resources,
    metrics: Option<&Arc<Metrics>>,
) -> Result<Resources, ServeError> {
    let same = |path: &str| {
        let path = KeyPath::of(path);
        old.definitions.of(&path) == new.definitions.of(&path)
    };
    let recorder = resources.recorder.as_deref();
    Ok(Resources {
        cache: match old.cache == new.cache {
            true => resources.cache.clone(),
            false => new.cache.as_ref().map(|own| cache(own, false)).transpose()?,
        },
        coders: match *resources.coders.limits() == new.compress {
            true => resources.coders.clone(),
            false => Coders::new(new.compress, recorder.map(|own| own as _)),
        },
        traces: match same("traces") && same("privacy") && same("server.path") {
            true => resources.traces.clone(),
            false => traces(new, metrics),
        },
        via_name: via_name(new, resources.seed),
        ..resources.clone()
    })
}

fn via_name(config: &Resolved, seed: u64) -> Arc<str> {
    match &config.server.via_name {
        Some(name) => name.as_str().into(),
        None => format!("proxyd-{:08x}", seed as u32).into(),
    }
}

fn traces(config: &Resolved, metrics: Option<&Arc<Metrics>>) -> Option<Traces> {
    let own = config.traces.as_ref()?;
    let counters = metrics.map(|metrics| metrics.span_counters()).unwrap_or_default();
    let settings = TracesConfig {
        service: Arc::clone(&own.service),
        share: own.share,
        parent: own.parent,
        queue: own.queue,
        privacy: config.privacy.log.clone(),
        redaction: config.privacy.redaction.clone(),
        path_policy: path_policy(config),
        ..TracesConfig::default()
    };
    Some(Traces::counted(settings, Arc::new(SystemClock), counters))
}

fn cache(stores: &CacheStores, waits: bool) -> Result<Arc<dyn CacheStore>, ServeError> {
    let path = || stores.disk.as_ref().map(|disk| disk.path.display().to_string());
    crate::cache::store(stores, waits)
        .map_err(|source| ServeError::Cache { path: path().unwrap_or_default(), source })
}
