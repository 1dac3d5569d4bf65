//! What runs beside the work, for a configuration: checks of endpoints, watches over files, spans
//! on their way to a collector.

use std::sync::Arc;

use proxy_core::{Clock, SystemClock};
use proxy_upstream::Upstream;
use tokio::task::JoinHandle;

use crate::compose::{Resources, exporter};
use crate::config::{KeyPath, Loaded};
use crate::files::{Sources, Watch};
use crate::reload::Reloads;
use crate::tls::Ageing;

/// What runs for the configuration in effect.
#[derive(Default)]
pub(super) struct Tasks {
    upkeep: Vec<(Upstream, JoinHandle<()>)>,
    files: Vec<JoinHandle<()>>,
    /// With what defines the collector.
    spans: Option<(String, JoinHandle<()>)>,
}

impl Tasks {
    /// Runs what this configuration asks for from now on, and ends what it does not ask for.
    /// Endpoints that are the same are found and checked as before.
    pub(super) fn set(
        &mut self,
        loaded: &Loaded,
        upstreams: &[(Upstream, bool)],
        resources: &Resources,
        sources: Sources,
        reloads: &Reloads,
    ) {
        self.upkeep.retain(|(upstream, task)| {
            let stays = upstreams.iter().any(|(own, _)| own.is_same(upstream));
            if !stays {
                task.abort();
            }
            stays
        });
        for (upstream, _) in upstreams {
            if self.upkeep.iter().any(|(own, _)| own.is_same(upstream)) {
                continue;
            }
            let Some(upkeep) = upstream.upkeep() else { continue };
            self.upkeep.push((upstream.clone(), tokio::spawn(upkeep)));
        }
        self.watch(loaded, resources, sources, reloads);
        self.export(loaded, resources);
    }

    fn watch(
        &mut self,
        loaded: &Loaded,
        resources: &Resources,
        sources: Sources,
        reloads: &Reloads,
    ) {
        self.files.drain(..).for_each(|task| task.abort());
        let (config, clock) = (&loaded.resolved, || Arc::new(SystemClock) as Arc<dyn Clock>);
        let mut watch = Watch::of(config, clock(), resources.recorder.as_deref());
        if config.server.watch {
            watch.add(sources, reloads);
        }
        self.files.extend(watch.some().map(|watch| tokio::spawn(watch.run())));
        self.files.extend(Ageing::of(config, clock()).map(|ageing| tokio::spawn(ageing.run())));
    }

    /// Spans that the collector before did not get yet are in the same queue, where the traces are
    /// defined as before; else they are sent there.
    fn export(&mut self, loaded: &Loaded, resources: &Resources) {
        let config = &loaded.resolved;
        let defined = ["traces", "privacy", "server.path"];
        let defined = defined.map(|path| config.definitions.of(&KeyPath::of(path))).join(" ");
        if self.spans.as_ref().is_some_and(|(own, _)| *own == defined) {
            return;
        }
        if let Some((_, task)) = self.spans.take() {
            task.abort();
        }
        let exporter = exporter(config, resources);
        self.spans = exporter.map(|exporter| (defined, tokio::spawn(exporter.run())));
    }

    /// Ends all of it.
    pub(super) fn end(self) {
        self.upkeep.iter().for_each(|(_, task)| task.abort());
        self.files.iter().for_each(JoinHandle::abort);
        if let Some((_, task)) = self.spans {
            task.abort();
        }
    }
}
