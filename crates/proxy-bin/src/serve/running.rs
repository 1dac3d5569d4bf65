//! The running process: what it serves by, and how that changes.

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use metrics_exporter_prometheus::PrometheusHandle;
use proxy_core::{Clock, SystemClock};
use proxy_server::{Drain, Workers};
#[cfg(feature = "http3")]
use tokio::sync::watch;

use super::doors::{Doors, Serving};
use super::logs::Logs;
use super::made_token::MadeToken;
use super::offered::Offered;
use super::operators::Operators;
use super::preparing::{Basis, Prepared, Ready, prepare_programs};
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
use crate::config::Loaded;
use crate::files::Sources;
use crate::generation::Generation;
use crate::log_level::LogLevel;
use crate::metrics_page;
use crate::reload::adopt::Pending;
use crate::reload::{Load, ReloadError, ReloadResult, Reloaded, Reloads};
use crate::severing::Severing;
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
    /// What serves inside of intercepted tunnels, by listener.
    insides: Vec<(String, Drain)>,
    pub(super) workers: Arc<Workers>,
    recorder: Option<SharedRecorder>,
    pub(super) state: State,
    pub(super) reloads: Reloads,
    pub(super) tasks: Tasks,
    made_token: MadeToken,
    /// Becomes true when the process before this one reads no UDP socket any more.
    #[cfg(feature = "http3")]
    released: Option<watch::Receiver<bool>>,
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
        prepare_programs(&loaded, &composed)?;
        let workers =
            Arc::new(Workers::start(runtime_kind(config.server.runtime), worker_count(config))?);
        let mut made_token = MadeToken::of(predecessor.and_then(|own| own.token.as_ref()));
        let token = made_token.of_listener(config, &sockets);
        let generation = Generation::new(1, &loaded, &resources, &composed, token.clone());
        let prometheus = prometheus.map(|counted| (counted, metrics_page::watch(&workers)));
        let drain = resources.drain.clone();
        let state = State::new(generation, prometheus, drain, log_level, reloads.clone());
        let ready = Ready {
            pending: Pending::new(),
            resources: resources.clone(),
            states,
            composed,
            logs: logs.clone(),
            metrics,
            sources: Sources::of(&loaded),
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
            insides: Vec::new(),
            workers,
            recorder,
            state,
            reloads,
            tasks: Tasks::default(),
            made_token,
            #[cfg(feature = "http3")]
            released: predecessor.map(Predecessor::released),
        };
        running.put(ready, sockets, token, 1);
        #[cfg(feature = "http3")]
        if let Some(released) = &running.released {
            datagrams::begin(running.sockets.datagrams(), released.clone());
        }
        Ok(running)
    }

    /// What a configuration that follows may take over.
    pub(super) fn basis(&self) -> Basis {
        Basis {
            load: Arc::clone(&self.load),
            loaded: Arc::clone(&self.loaded),
            resources: self.resources.clone(),
            states: self.states.successor(),
            logs: self.logs.clone(),
            recorder: self.recorder.clone(),
        }
    }

    /// Lets what was prepared take effect, counts it, and says so in the log.
    pub(super) fn reload(&mut self, prepared: Result<Prepared, ReloadError>) -> ReloadResult {
        let result = prepared.and_then(|prepared| self.take_effect(prepared));
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

    fn take_effect(&mut self, prepared: Prepared) -> ReloadResult {
        let number = self.state.generation().number;
        let (ready, mut done) = match prepared {
            Prepared::Shown(done) => return Ok(Reloaded { generation: number, ..done }),
            Prepared::Ready(ready, done) => (ready, done),
        };
        // The last that can fail: whoever finds a new socket open is served.
        let config = &ready.loaded.resolved;
        let sockets = Sockets::of(config, &self.sockets, &mut Offered::default())?;
        (done.opened, done.closed) = (sockets.beside(&self.sockets), self.sockets.beside(&sockets));
        done.generation = number + 1;
        let token = self.made_token.of_listener(config, &sockets);
        self.put(*ready, sockets, token, done.generation);
        Ok(done)
    }

    /// What judges open tunnels.
    pub(super) fn severing(&self) -> Severing {
        self.resources.severing.clone()
    }

    /// What a process that takes over needs.
    pub(super) fn handed(&self) -> io::Result<Handed> {
        let token = self.loaded.resolved.admin.as_ref().filter(|admin| admin.token.is_none());
        let token = token.and_then(|_| self.made_token.to_hand_over());
        Ok(Handed { sockets: self.sockets.to_hand_over()?, token })
    }

    /// Another process serves: accepts nothing more, for clients and for operators.
    pub(super) fn stop_accepting(&mut self) {
        self.doors.stop_accepting();
        self.operators.stop_accepting();
    }

    /// Accepts who waits in the queues of the sockets, and nobody after: whoever comes then is refused
    /// at once, instead of waiting in a queue that nobody serves.
    pub(super) fn last_call(&mut self) {
        self.doors.last_call();
        self.sockets = Sockets::default();
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
    fn put(&mut self, ready: Ready, mut sockets: Sockets, token: Option<AdminToken>, number: u64) {
        let Ready { loaded, pending, resources, mut states, composed, logs, metrics, sources } =
            ready;
        let config = &loaded.resolved;
        pending.into_iter().for_each(|last| last());
        let sinks = logs.sinks(config, resources.traces.as_ref(), metrics);
        resources.observer.set_sinks(sinks);
        resources.observer.set_server_timing(config.server.server_timing);
        resources.own.set(sockets.addresses());
        self.set_insides(&composed);
        let (workers, resources_of) = (Arc::clone(&self.workers), &resources);
        let serving =
            Serving { config, resources: resources_of, workers: &workers, sockets: &sockets };
        self.doors.set(&composed.listeners, &serving);
        if let Some(audit) = &logs.audit {
            crate::audit::configured(audit, &loaded, number, &SystemClock);
        }
        let mut generation = Generation::new(number, &loaded, &resources, &composed, token);
        generation.since = SystemTime::now();
        resources.severing.judge_by(&self.state.set_generation(generation), &resources.drain);
        self.operators.set(config, &sockets, &self.state);
        sockets.forget_spares();
        self.tasks.set(&loaded, &composed.upstreams, &resources, sources, &self.reloads);
        states.settle();
        let before = (
            std::mem::replace(&mut self.logs, logs),
            std::mem::replace(&mut self.resources, resources),
            std::mem::replace(&mut self.states, states),
            std::mem::replace(&mut self.loaded, Arc::clone(&loaded)),
        );
        // A socket that nobody serves any more is closed at once.
        self.sockets = sockets;
        // A log writes its last lines as it goes; a large list takes a while to be taken apart.
        drop(tokio::task::spawn_blocking(move || drop(before)));
    }

    /// What is inside of intercepted tunnels is served by this composition. Where it opens none any
    /// more, what is under way there is finished and nothing new begins: nobody would judge it.
    fn set_insides(&mut self, composed: &Composed) {
        for inside in &composed.insides {
            inside.slot.set(inside.service.clone());
        }
        let stays = |name: &String| composed.insides.iter().any(|own| own.listener == *name);
        for (_, drain) in self.insides.extract_if(.., |(name, _)| !stays(name)) {
            drain.drain();
        }
        self.insides =
            composed.insides.iter().map(|own| (own.listener.clone(), own.drain.clone())).collect();
    }
}
