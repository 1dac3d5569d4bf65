//! `Stack`: everything that a configuration composes, as a tower service of somebody else's program.
//!
//! ```no_run
//! use proxyd::embed::Stack;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let stack = Stack::builder().from_file("proxyd.toml")?;
//!     let gateway = stack.service("web").ok_or("there is no listener `web`")?;
//!     let app = axum::Router::new()
//!         .route("/own", axum::routing::get(|| async { "mine" }))
//!         .fallback_service(gateway);
//!     let socket = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//!     let app = app.into_make_service_with_connect_info::<std::net::SocketAddr>();
//!     axum::serve(socket, app).await?;
//!     Ok(())
//! }
//! ```
//!
//! A listener of the configuration says what its service does: its role, whom it trusts, its routes.
//! Its addresses are not listened on, its `tls`, `proxy_protocol`, limits of connections and heads
//! have no effect: those belong to the server that is there. `[admin]`, `[probe]`, `[server]
//! workers` and the drain neither.

mod service;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use metrics_exporter_prometheus::PrometheusHandle;
use proxy_core::{Body, BoxError, Clock, SystemClock};
use tower_layer::Layer;
use tower_service::Service;

use super::logs::Logs;
use super::recorder::{self, SharedRecorder};
use super::resources;
use super::tasks::Tasks;
use super::{ServeError, UPKEEP_INTERVAL};
use crate::compose::{Composed, Resources, compose, front};
use crate::config::resolved::Listener;
use crate::config::{self, Diagnostics, Loaded, Overrides};
use crate::extensions::{Extension, ExtensionLayer, Extensions, Slot};
use crate::files::Sources;
use crate::generation::Generation;
use crate::reload::{Reloads, adopt, needs_restart};
use crate::stack::Erased;
use crate::states::States;

pub use service::StackService;

/// Why there is no stack, or why the one that is there stays.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StackError {
    /// The configuration can not be used, or not without a new process.
    #[error("{0}")]
    Configuration(Diagnostics),
    /// Routes run programs, and nobody has said what starts them.
    #[error("routes with `exec` need `StackBuilder::programs(Warden::begin())`, first in `main`")]
    Programs,
    /// A log or a folder can not be opened.
    #[error(transparent)]
    Serve(#[from] ServeError),
}

/// The stack of a configuration. A clone is the same; tasks that it needs end with the last one.
#[derive(Clone)]
pub struct Stack {
    shared: Arc<Shared>,
}

struct Shared {
    services: ArcSwap<BTreeMap<String, Entry>>,
    generation: ArcSwap<Generation>,
    prometheus: Option<PrometheusHandle>,
    /// What a change begins from. One at a time.
    current: Mutex<Current>,
}

/// What is served for a listener.
struct Entry {
    listener: Listener,
    service: Erased,
    resources: Resources,
}

struct Current {
    loaded: Arc<Loaded>,
    resources: Resources,
    states: States,
    logs: Logs,
    recorder: Option<SharedRecorder>,
    tasks: Tasks,
    reloads: Reloads,
    /// Whether programs can be started.
    programs: bool,
}

/// Makes a [`Stack`] with layers of others in it.
#[derive(Default)]
pub struct StackBuilder {
    extensions: Vec<Extension>,
    layers: Vec<(Slot, ExtensionLayer)>,
    warden: Option<proxy_exec::Warden>,
}

impl StackBuilder {
    /// What starts the programs of routes with `exec`: [`Warden::begin`](proxy_exec::Warden::begin),
    /// called first of all in `main`.
    #[must_use]
    pub fn programs(mut self, warden: proxy_exec::Warden) -> Self {
        self.warden = Some(warden);
        self
    }

    /// A layer that `[extensions.NAME]` of the configuration asks for and configures.
    #[must_use]
    pub fn extension(mut self, extension: Extension) -> Self {
        self.extensions.push(extension);
        self
    }

    /// A layer that stands in the stack whatever the configuration says, inside of the extensions
    /// of its [`Slot`]; the first one outermost.
    #[must_use]
    pub fn layer<L, B>(mut self, slot: Slot, layer: L) -> Self
    where
        L: Layer<Erased> + Send + Sync + 'static,
        L::Service:
            Service<Request<Body>, Response = Response<B>, Error = std::convert::Infallible>,
        L::Service: Clone + Send + Sync + 'static,
        <L::Service as Service<Request<Body>>>::Future: Send,
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        self.layers.push((slot, ExtensionLayer::new(layer)));
        self
    }

    /// Reads a configuration, with the extensions and layers of this builder. The environment and
    /// the command line of the program have no say.
    ///
    /// # Errors
    /// Everything that is wrong with the file, with its place.
    pub fn load(&self, path: impl AsRef<Path>) -> Result<Loaded, Diagnostics> {
        let extensions = Extensions::new(self.extensions.iter().cloned());
        let overrides = Overrides { extensions, ..Overrides::default() };
        let mut loaded = config::load(path.as_ref(), &overrides)?;
        for (slot, layer) in &self.layers {
            loaded.resolved.extensions.push(*slot, layer.clone());
        }
        Ok(loaded)
    }

    /// The stack of a file. See [`Stack::from_config`].
    ///
    /// # Errors
    /// Everything that is wrong with the file, with its place; or what can not be opened.
    pub fn from_file(&self, path: impl AsRef<Path>) -> Result<Stack, StackError> {
        let loaded = self.load(path).map_err(StackError::Configuration)?;
        Stack::start(loaded, self.warden.clone())
    }
}

impl Stack {
    /// To be made with layers of others.
    pub fn builder() -> StackBuilder {
        StackBuilder::default()
    }

    /// The stack of a configuration, as [`config::load`] or [`StackBuilder::load`] gives it.
    ///
    /// To be called within a tokio runtime: health checks, watches over files and upkeep run there.
    ///
    /// # Errors
    /// What can not be opened: logs, the folder of a cache. Routes with `exec`, which need a
    /// [builder](StackBuilder::programs).
    pub fn from_config(loaded: Loaded) -> Result<Self, StackError> {
        Self::start(loaded, None)
    }

    fn start(loaded: Loaded, warden: Option<proxy_exec::Warden>) -> Result<Self, StackError> {
        let config = &loaded.resolved;
        let recording = config.metrics.then(recorder::recorder);
        let (prometheus, recorder): (Option<PrometheusHandle>, _) = recording.unzip();
        let metrics = recorder.as_ref().map(|own| recorder::exchanges(config, own));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let logs = Logs::open(config, None, metrics.as_ref(), &clock)?;
        let audit = logs.audit.as_deref();
        let mut resources =
            resources::first(config, metrics.as_ref(), recorder.clone(), audit, false)?;
        let programs = warden.is_some();
        resources.warden = warden.unwrap_or(resources.warden);
        let mut states = States::default();
        let composed = compose(config, &resources, &mut states);
        if composed.runner.is_some() && !programs {
            return Err(StackError::Programs);
        }
        let sinks = logs.sinks(config, resources.traces.as_ref(), metrics);
        resources.observer.set_sinks(sinks);
        let loaded = Arc::new(loaded);
        let sources = Sources::of(&loaded);
        let generation = Generation::new(1, &loaded, &resources, &composed, None);
        // Nobody orders a reload here: that is what `swap` is for.
        let (reloads, _) = Reloads::new();
        let mut tasks = Tasks::default();
        tasks.set(&loaded, &composed.upstreams, &resources, sources, &reloads);
        states.settle();
        let services = services(&loaded, &resources, &composed);
        let current =
            Current { loaded, resources, states, logs, recorder, tasks, reloads, programs };
        let shared = Arc::new(Shared {
            services: ArcSwap::from_pointee(services),
            generation: ArcSwap::from_pointee(generation),
            prometheus,
            current: Mutex::new(current),
        });
        let kept = Arc::downgrade(&shared);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(UPKEEP_INTERVAL).await;
                let Some(shared) = kept.upgrade() else { return };
                shared.generation.load().upkeep();
                if let Some(prometheus) = &shared.prometheus {
                    prometheus.run_upkeep();
                }
            }
        });
        Ok(Self { shared })
    }

    /// The service of a listener of the configuration, also after [`swap`](Self::swap). None where
    /// there is no such listener.
    pub fn service(&self, listener: &str) -> Option<StackService> {
        let there = self.shared.services.load().contains_key(listener);
        there.then(|| StackService::new(self, listener))
    }

    /// The names of the listeners.
    pub fn listeners(&self) -> Vec<String> {
        self.shared.services.load().keys().cloned().collect()
    }

    /// Serves by another configuration from the next request on. Requests under way go on in the
    /// stack that they began in. What is defined as before stays: connections to upstreams, what
    /// they are known to be like, counts of limits, stored responses, logs.
    ///
    /// It may read and open files, and so take a while: in a task that serves, call it by
    /// `spawn_blocking`.
    ///
    /// # Errors
    /// What can not be opened, or needs a new process. Everything stays as it is then.
    pub fn swap(&self, mut loaded: Loaded) -> Result<(), StackError> {
        let mut current = self.shared.current.lock().unwrap_or_else(PoisonError::into_inner);
        let restart = needs_restart(&current.loaded, &loaded);
        if !restart.is_empty() {
            return Err(StackError::Configuration(restart));
        }
        let (pending, _) = adopt(&current.loaded, &mut loaded);
        let config = &loaded.resolved;
        let metrics = current.recorder.as_ref().map(|own| recorder::exchanges(config, own));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let logs = Logs::open(config, Some(&current.logs), metrics.as_ref(), &clock)?;
        let resources = resources::next(
            &current.loaded.resolved,
            config,
            &current.resources,
            metrics.as_ref(),
        )?;
        let mut states = current.states.successor();
        let composed = compose(config, &resources, &mut states);
        if composed.runner.is_some() && !current.programs {
            return Err(StackError::Programs);
        }
        // Nothing can fail from here on.
        pending.into_iter().for_each(|last| last());
        let sinks = logs.sinks(config, resources.traces.as_ref(), metrics);
        resources.observer.set_sinks(sinks);
        for inside in &composed.insides {
            inside.slot.set(inside.service.clone());
        }
        let loaded = Arc::new(loaded);
        let sources = Sources::of(&loaded);
        let number = self.shared.generation.load().number + 1;
        let generation = Generation::new(number, &loaded, &resources, &composed, None);
        self.shared.services.store(Arc::new(services(&loaded, &resources, &composed)));
        self.shared.generation.store(Arc::new(generation));
        let reloads = current.reloads.clone();
        current.tasks.set(&loaded, &composed.upstreams, &resources, sources, &reloads);
        states.settle();
        current.loaded = loaded;
        current.resources = resources;
        current.states = states;
        current.logs = logs;
        Ok(())
    }

    /// What has been counted, in the text format of Prometheus; none with `[metrics] enabled =
    /// false`.
    pub fn metrics(&self) -> Option<String> {
        self.shared.prometheus.as_ref().map(PrometheusHandle::render)
    }
}

impl std::fmt::Debug for Stack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stack").field("listeners", &self.listeners()).finish_non_exhaustive()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let current = self.current.get_mut().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut current.tasks).end();
        current.resources.observer.set_sinks([]);
    }
}

fn services(
    loaded: &Loaded,
    resources: &Resources,
    composed: &Composed,
) -> BTreeMap<String, Entry> {
    let entry = |(listener, role): &(Listener, crate::role::RoleService)| {
        let service = front(&loaded.resolved, listener, resources, role.clone());
        let entry = Entry {
            listener: listener.clone(),
            service: Erased::new(service),
            resources: resources.clone(),
        };
        (listener.name.clone(), entry)
    };
    composed.listeners.iter().map(entry).collect()
}
