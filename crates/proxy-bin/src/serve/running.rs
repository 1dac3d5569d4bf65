//! The running process: what it serves by, and how that changes.

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use metrics_exporter_prometheus::PrometheusHandle;
use proxy_core::{Clock, SystemClock};
use proxy_observe::Metrics;
use proxy_server::Workers;
#[cfg(feature = "http3")]
use tokio::sync::watch;

use super::doors::{Doors, Serving};
use super::logs::Logs;
use super::offered::Offered;
use super::operators::Operators;
use super::recorder::{self, SharedRecorder};
use super::resources;
use super::sockets::Sockets;
use super::takeover::Predecessor;
use super::tasks::Tasks;
use super::upgrade::Handed;
use super::{ServeError, runtime_kind, worker_count};
#[cfg(feature = "http3")]
use super::{datagrams, handover::Message, upgrade::Successor};
use crate::admin::State;
use crate::admin_token::AdminToken;
use crate::compose::{Composed, Resources, compose};
use crate::config::resolved::Resolved;
use crate::config::{KeyPath, Loaded};
use crate::files::Sources;
use crate::generation::Generation;
use crate::log_level::LogLevel;
use crate::metrics_page;
use crate::reload::adopt::Pending;
use crate::reload::{
    Load, ReloadError, ReloadOrder, ReloadResult, Reloaded, Reloads, adopt, needs_restart,
};
use crate::sever;
use crate::states::States;

/// The process while it serves.
pub(super) struct Running {
    load: Load,
    pub(super) loaded: Arc<Loaded>,
    pub(super) resources: Resources,
    states: States,
    pub(super) logs: Logs,
    pub(super) sockets: Sockets,
    doors: Doors,
    operators: Operators,
    pub(super) workers: Arc<Workers>,
    recorder: Option<SharedRecorder>,
    pub(super) state: State,
    pub(super) reloads: Reloads,
    pub(super) tasks: Tasks,
    /// Becomes true when the process before this one reads no UDP socket any more.
    #[cfg(feature = "http3")]
    released: Option<watch::Receiver<bool>>,
}

/// A configuration that can take effect, with all that it needs.
struct Ready {
    loaded: Arc<Loaded>,
    pending: Pending,
    resources: Resources,
    states: States,
    composed: Composed,
    logs: Logs,
    metrics: Option<Arc<Metrics>>,
    sockets: Sockets,
    token: Option<AdminToken>,
}

/// What was found out about a configuration before anything was made of it.
struct Looked {
    loaded: Loaded,
    pending: Pending,
    done: Reloaded,
    sources: Sources,
}

impl Running {
    /// Starts to serve a configuration.
    pub(super) fn start(
        loaded: &Loaded,
        load: Load,
        sockets: Sockets,
        log_level: LogLevel,
        reloads: Reloads,
        predecessor: Option<&Predecessor>,
    ) -> Result<Self, ServeError> {
        let config = &loaded.resolved;
        let loaded = Arc::new(loaded.clone());
        let recording = config.metrics.then(recorder::recorder);
        let (prometheus, recorder): (Option<PrometheusHandle>, _) = recording.unzip();
        let metrics = recorder.as_ref().map(|own| recorder::exchanges(config, own));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let logs = Logs::open(config, None, metrics.as_ref(), &clock)?;
        let resources = {
            let (audit, took_over) = (logs.audit.as_deref(), predecessor.is_some());
            resources::first(config, metrics.as_ref(), recorder.clone(), audit, took_over)?
        };
        let mut states = States::default();
        resources.own.set(sockets.addresses());
        let composed = compose(config, &resources, &mut states);
        prepare_programs(config, &composed)?;
        let workers =
            Arc::new(Workers::start(runtime_kind(config.server.runtime), worker_count(config))?);
        let token = config.admin.as_ref().and_then(|admin| {
            sockets.get(super::sockets::ADMIN, &admin.address)?;
            let made = predecessor.and_then(|own| own.token.as_ref());
            let made = made.filter(|(address, _)| *address == admin.address.to_string());
            match made.filter(|_| admin.token.is_none()) {
                Some((_, token)) => Some(AdminToken::known(token)),
                None => AdminToken::of(admin),
            }
        });
        let generation = Generation::new(1, &loaded, &resources, &composed, token.clone());
        let prometheus = prometheus.map(|counted| (counted, metrics_page::watch(&workers)));
        let drain = resources.drain.clone();
        let state = State::new(generation, prometheus, drain, log_level, reloads.clone());
        let sources = Sources::of(&loaded);
        let ready = Ready {
            pending: Pending::new(),
            resources: resources.clone(),
            states,
            composed,
            logs: logs.clone(),
            metrics,
            sockets,
            token,
            loaded: Arc::clone(&loaded),
        };
        let mut running = Self {
            load,
            loaded,
            resources,
            states: States::default(),
            logs,
            sockets: Sockets::default(),
            doors: Doors::default(),
            operators: Operators::default(),
            workers,
            recorder,
            state,
            reloads,
            tasks: Tasks::default(),
            #[cfg(feature = "http3")]
            released: predecessor.map(Predecessor::released),
        };
        running.put(ready, 1, sources);
        #[cfg(feature = "http3")]
        if let Some(released) = &running.released {
            datagrams::begin(running.sockets.datagrams(), released.clone());
        }
        Ok(running)
    }

    /// Does what an order says, and tells what came of it.
    pub(super) async fn reload(&mut self, order: ReloadOrder) -> ReloadResult {
        let result = self.try_reload(order).await;
        self.reloads.count(&result);
        match &result {
            Ok(done) if done.dry_run => {}
            Ok(done) => {
                let (generation, differences) = (done.generation, done.differences.len());
                tracing::info!(generation, differences, "the configuration was reloaded");
                done.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
            }
            Err(ReloadError::Configuration(wrong)) => {
                let generation = self.state.generation().number;
                tracing::error!(
                    generation,
                    "the configuration was not reloaded: it stays as it was"
                );
                wrong.iter().for_each(|wrong| tracing::error!("{wrong}"));
            }
            Err(error) => {
                let generation = self.state.generation().number;
                tracing::error!(%error, generation, "the configuration was not reloaded: it stays as it was");
            }
        }
        result
    }

    async fn try_reload(&mut self, order: ReloadOrder) -> ReloadResult {
        let (load, old) = (Arc::clone(&self.load), Arc::clone(&self.loaded));
        let looked = on_the_side(move || look(&load, &old)).await??;
        let Looked { loaded, pending, mut done, sources } = looked;
        let number = self.state.generation().number;
        if order.dry_run {
            return Ok(Reloaded { generation: number, dry_run: true, ..done });
        }
        let mut offered = Offered::default();
        let sockets = Sockets::of(&loaded.resolved, &self.sockets, &mut offered)?;
        (done.opened, done.closed) = (sockets.beside(&self.sockets), self.sockets.beside(&sockets));
        let (old, loaded) = (Arc::clone(&self.loaded), Arc::new(loaded));
        let (resources, logs) = (self.resources.clone(), self.logs.clone());
        let (states, recorder) = (self.states.successor(), self.recorder.clone());
        let token = self.state.generation().token.clone();
        let ready = on_the_side(move || {
            let made = make(&old, &loaded, &resources, &logs, states, recorder.as_ref())?;
            let token = match same(&old, &loaded, "admin") {
                true => token,
                false => loaded.resolved.admin.as_ref().and_then(AdminToken::of),
            };
            let (resources, logs, metrics, states, composed) = made;
            Ok(Ready {
                loaded,
                pending,
                resources,
                states,
                composed,
                logs,
                metrics,
                sockets,
                token,
            })
        });
        let ready: Ready = ready.await?.map_err(ReloadError::Serve)?;
        prepare_programs(&ready.loaded.resolved, &ready.composed).map_err(ReloadError::Serve)?;
        done.generation = number + 1;
        self.put(ready, number + 1, sources);
        if order.sever {
            done.severed =
                Some(sever::judge_again(&self.state.generation(), &self.resources.drain).await);
        }
        Ok(done)
    }

    /// What a process that takes over needs.
    pub(super) fn handed(&self) -> io::Result<Handed> {
        let mut handed = Handed { sockets: self.sockets.to_hand_over()?, token: None };
        let generation = self.state.generation();
        if let (Some(admin), Some(token)) = (&self.loaded.resolved.admin, &generation.token)
            && admin.token.is_none()
        {
            handed.token = Some((admin.address.to_string(), token.reveal().to_owned()));
        }
        Ok(handed)
    }

    /// Another process serves: accepts nothing more, for clients and for operators.
    pub(super) fn stop_accepting(&mut self) {
        self.doors.stop_accepting();
        self.operators.stop_accepting();
    }

    /// Leaves the UDP sockets to the process that serves now, which hears of it.
    #[cfg(feature = "http3")]
    pub(super) fn release(&self, successor: &Successor) {
        datagrams::pass_on(&self.sockets.datagrams());
        let (line, released) = (Arc::clone(&successor.line), self.released.clone());
        tokio::spawn(async move {
            if let Some(mut released) = released {
                // One before this one may read them still.
                let _ = released.wait_for(|released| *released).await;
            }
            if let Err(error) = line.say(&Message::Released) {
                tracing::debug!(%error, "the new process reads datagrams once this one is gone");
            }
        });
    }

    /// Puts a configuration into effect. Nothing in here can fail.
    fn put(&mut self, ready: Ready, number: u64, sources: Sources) {
        let Ready {
            loaded,
            pending,
            resources,
            mut states,
            composed,
            logs,
            metrics,
            sockets,
            token,
        } = ready;
        let config = &loaded.resolved;
        pending.into_iter().for_each(|last| last());
        let sinks = logs.sinks(config, resources.traces.as_ref(), metrics);
        resources.observer.set_sinks(sinks);
        resources.observer.set_server_timing(config.server.server_timing);
        resources.own.set(sockets.addresses());
        for (slot, inside) in &composed.insides {
            slot.set(inside.clone());
        }
        let workers = Arc::clone(&self.workers);
        let (resources_of, sockets_of) = (&resources, &sockets);
        let serving =
            Serving { config, resources: resources_of, workers: &workers, sockets: sockets_of };
        self.doors.set(&composed.listeners, &serving);
        if let Some(audit) = &logs.audit {
            crate::audit::configured(audit, &loaded, number, &SystemClock);
        }
        let mut generation = Generation::new(number, &loaded, &resources, &composed, token);
        generation.since = SystemTime::now();
        self.state.set_generation(generation);
        self.operators.set(config, &sockets, &self.state);
        self.tasks.set(&loaded, &composed.upstreams, &resources, sources, &self.reloads);
        states.settle();
        let before = (
            std::mem::replace(&mut self.logs, logs),
            std::mem::replace(&mut self.resources, resources),
            std::mem::replace(&mut self.states, states),
            std::mem::replace(&mut self.loaded, Arc::clone(&loaded)),
            std::mem::replace(&mut self.sockets, sockets),
        );
        // A log writes its last lines as it goes; a large list takes a while to be taken apart.
        drop(tokio::task::spawn_blocking(move || drop(before)));
    }
}

/// Loads and judges. Blocks.
fn look(load: &Load, old: &Loaded) -> Result<Looked, ReloadError> {
    let begun = Sources::of(old);
    let mut loaded = load().map_err(ReloadError::Configuration)?;
    let restart = needs_restart(old, &loaded);
    if !restart.is_empty() {
        return Err(ReloadError::Configuration(restart));
    }
    let differences = old.resolved.definitions.differences(&loaded.resolved.definitions);
    let (pending, kept) = adopt(old, &mut loaded);
    let warnings = loaded.warnings.iter().map(ToString::to_string).chain(kept).collect();
    let sources = Sources::of(&loaded).as_known(&begun);
    let done = Reloaded { differences, warnings, ..Reloaded::default() };
    Ok(Looked { loaded, pending, done, sources })
}

type Made = (Resources, Logs, Option<Arc<Metrics>>, States, Composed);

/// Opens and composes. Blocks.
fn make(
    old: &Loaded,
    loaded: &Loaded,
    resources: &Resources,
    logs: &Logs,
    mut states: States,
    recorder: Option<&SharedRecorder>,
) -> Result<Made, ServeError> {
    let config = &loaded.resolved;
    let metrics = recorder.map(|own| recorder::exchanges(config, own));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let logs = Logs::open(config, Some(logs), metrics.as_ref(), &clock)?;
    let resources = resources::next(&old.resolved, config, resources, metrics.as_ref())?;
    let composed = compose(config, &resources, &mut states);
    Ok((resources, logs, metrics, states, composed))
}

fn same(old: &Loaded, new: &Loaded, path: &str) -> bool {
    let path = KeyPath::of(path);
    old.resolved.definitions.of(&path) == new.resolved.definitions.of(&path)
}

/// What starts programs is started now, while this process is small, and not within a request.
fn prepare_programs(config: &Resolved, composed: &Composed) -> Result<(), ServeError> {
    let Some(runner) = &composed.runner else { return Ok(()) };
    runner.spawner().prepare()?;
    for (route, statement) in crate::exec::confinements(config) {
        tracing::info!(route, confined_by = %statement, "programs");
    }
    Ok(())
}

/// What takes a while is not done where connections are accepted.
async fn on_the_side<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ReloadError> {
    // It panics, or the process ends.
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "a reload broke off");
        ReloadError::Ending
    })
}
