//! A configuration on its way into effect: loaded, judged and composed on a thread of its own.
//!
//! Files may take as long as they like: a folder of a network that is gone, a pipe in the place of a
//! list. Meanwhile the process hears signals and serves by what it has; and it ends when it is told
//! to, whatever such a thread waits for.

use std::sync::Arc;

use proxy_core::{Clock, SystemClock};
use proxy_observe::Metrics;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::ServeError;
use super::logs::Logs;
use super::recorder::{self, SharedRecorder};
use super::resources;
use crate::compose::{Composed, Resources, compose};
use crate::config::Loaded;
use crate::files::Sources;
use crate::reload::adopt::Pending;
use crate::reload::{Load, ReloadError, Reloaded, adopt, needs_restart};
use crate::states::States;

/// A configuration that can take effect, with all that it needs but sockets.
pub(super) struct Ready {
    pub(super) loaded: Arc<Loaded>,
    pub(super) pending: Pending,
    pub(super) resources: Resources,
    pub(super) states: States,
    pub(super) composed: Composed,
    pub(super) logs: Logs,
    pub(super) metrics: Option<Arc<Metrics>>,
    pub(super) sources: Sources,
}

/// What an order comes to.
pub(super) enum Prepared {
    /// It was only asked what would change.
    Shown(Reloaded),
    /// It can take effect.
    Ready(Box<Ready>, Reloaded),
}

/// What is in effect, of which something is taken over.
pub(super) struct Basis {
    pub(super) load: Load,
    pub(super) loaded: Arc<Loaded>,
    pub(super) resources: Resources,
    pub(super) states: States,
    pub(super) logs: Logs,
    pub(super) recorder: Option<SharedRecorder>,
}

/// What comes of it. It can be waited for, or be given up.
pub(super) type Preparing = oneshot::Receiver<Result<Prepared, ReloadError>>;

impl Basis {
    /// Prepares on a thread of its own. Nothing has changed when it is done.
    pub(super) fn prepare(self, dry_run: bool) -> Preparing {
        let (told, preparing) = oneshot::channel();
        let runtime = Handle::current();
        let work = move || {
            let _entered = runtime.enter();
            let prepared = self.work(dry_run, || told.is_closed());
            // Nobody waits any more where it took too long.
            let _ = told.send(prepared);
        };
        if let Err(error) = std::thread::Builder::new().name("reload".into()).spawn(work) {
            // Whoever waits hears that nothing comes.
            tracing::error!(%error, "no thread for a reload");
        }
        preparing
    }

    /// Where it is given up meanwhile, nothing more is opened or started.
    fn work(self, dry_run: bool, given_up: impl Fn() -> bool) -> Result<Prepared, ReloadError> {
        let go_on = || if given_up() { Err(ReloadError::Ending) } else { Ok(()) };
        let Self { load, loaded: old, resources, mut states, logs, recorder } = self;
        let begun = Sources::of(&old);
        let mut loaded = load().map_err(ReloadError::Configuration)?;
        let restart = needs_restart(&old, &loaded);
        if !restart.is_empty() {
            return Err(ReloadError::Configuration(restart));
        }
        let differences = old.resolved.definitions.differences(&loaded.resolved.definitions);
        let (pending, kept) = adopt(&old, &mut loaded);
        let warnings = loaded.warnings.iter().map(ToString::to_string).chain(kept).collect();
        let done = Reloaded { differences, warnings, ..Reloaded::default() };
        if dry_run {
            return Ok(Prepared::Shown(Reloaded { dry_run, ..done }));
        }
        let sources = Sources::of(&loaded).as_known(&begun);
        let config = &loaded.resolved;
        let metrics = recorder.as_ref().map(|own| recorder::exchanges(config, own));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        go_on()?;
        let logs = Logs::open(config, Some(&logs), metrics.as_ref(), &clock)?;
        let resources = resources::next(&old.resolved, config, &resources, metrics.as_ref())?;
        let composed = compose(config, &resources, &mut states);
        go_on()?;
        prepare_programs(&loaded, &composed)?;
        let loaded = Arc::new(loaded);
        let ready = Ready { loaded, pending, resources, states, composed, logs, metrics, sources };
        Ok(Prepared::Ready(Box::new(ready), done))
    }
}

/// What starts programs is started now, while this process is small, and not within a request.
pub(super) fn prepare_programs(loaded: &Loaded, composed: &Composed) -> Result<(), ServeError> {
    let Some(runner) = &composed.runner else { return Ok(()) };
    runner.spawner().prepare()?;
    for (route, statement) in crate::exec::confinements(&loaded.resolved) {
        tracing::info!(route, confined_by = %statement, "programs");
    }
    Ok(())
}
