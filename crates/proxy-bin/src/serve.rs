//! The running process: binds, serves, hears signals, reloads, drains.

mod audit_file;
#[cfg(feature = "http3")]
mod datagrams;
mod descriptors;
mod doors;
pub mod embedded;
mod handover;
#[cfg(feature = "http3")]
mod lingering;
mod logs;
mod made_token;
mod notify;
mod offered;
mod operators;
mod preparing;
#[cfg(feature = "http3")]
mod quic;
mod recorder;
mod reloading;
mod resources;
mod running;
mod signals;
mod sockets;
mod takeover;
mod tasks;
mod upgrade;
mod upgrading;
mod why_not;

use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use proxy_server::RuntimeKind;
use rustix::process::Signal;

use crate::admin::State;
use crate::compose::exporter;
use crate::config::resolved::Resolved;
use crate::config::{Loaded, plain, raw};
use crate::log_level::LogLevel;
use crate::reload::{Load, Reloads};
use offered::Offered;
use reloading::Reloading;
use running::Running;
use signals::{Asked, Signals};
use sockets::Sockets;
use takeover::Predecessor;
use upgrade::{Program, Successor};
use upgrading::Upgrading;

/// How often idle connections are swept and metrics are kept in order.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(2);
/// How long those who have connected before the end of accepting have to begin a request.
const LAST_CALL: Duration = Duration::from_millis(200);
/// How often a drain looks whether the last requests are sent.
const SETTLING_INTERVAL: Duration = Duration::from_millis(20);

/// How long what is read and written beside the work may take once all else has ended.
const FAREWELL: Duration = Duration::from_secs(2);

/// What ended the process before it served, or while it did; or kept it from serving by another
/// configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// A listener could not be bound.
    #[error("cannot listen on {address}: {}", why_not::why_not(.address, .source))]
    Bind {
        /// Where.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// An access log could not be opened.
    #[error("cannot write the access log {path}: {}", plain(.source))]
    Log {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The audit log could not be opened.
    #[error("cannot write the audit log {path}: {}", plain(.source))]
    Audit {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The folder of the cache can not be used.
    #[error("cannot keep responses in {path}: {}", plain(.source))]
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

/// What is said once at the start; it is told whether there is an admin listener.
pub type Greeting = fn(&Loaded, bool) -> String;

/// Serves a configuration until a signal ends it. `load` loads it again, when it is asked to.
///
/// # Errors
/// What kept it from serving.
pub fn serve(
    loaded: &Loaded,
    load: Load,
    greeting: Option<Greeting>,
    log_level: LogLevel,
) -> Result<(), ServeError> {
    let begun = Begun {
        program: Program::of_this_process(),
        // Before there are threads.
        inherited: takeover::begin()?,
    };
    if let Ok(descriptors) = rlimit::increase_nofile_limit(u64::MAX) {
        descriptors::compare(&loaded.resolved, descriptors);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(run(loaded, load, greeting, log_level, begun));
    // A file that does not answer keeps whoever reads it, and not the process.
    runtime.shutdown_timeout(FAREWELL);
    ended
}

/// What is known from the first moment on.
struct Begun {
    program: Program,
    inherited: (Offered, Option<Predecessor>),
}

async fn run(
    loaded: &Loaded,
    load: Load,
    greeting: Option<Greeting>,
    log_level: LogLevel,
    begun: Begun,
) -> Result<(), ServeError> {
    let mut signals = Signals::new()?;
    let Begun { program, inherited: (mut offered, predecessor) } = begun;
    let sockets = Sockets::of(&loaded.resolved, &Sockets::default(), &mut offered)?;
    offered.tell_unused();
    drop(offered);
    if let Some(predecessor) = &predecessor {
        predecessor.loaded()?;
    }
    let took_over = predecessor.is_some();
    let (reloads, mut orders) = Reloads::new();
    let mut running =
        Running::start(loaded, load, sockets, log_level, reloads, predecessor.as_ref())?;
    let upkeep = tokio::spawn(upkeep(running.state.clone()));
    let watchdog = tokio::spawn(notify::watchdog(Arc::clone(&running.workers), took_over));
    if let Some(greeting) = greeting {
        let text = greeting(loaded, running.sockets.has_admin());
        let _ = io::stderr().write_all(text.as_bytes());
    }
    running.state.ready(true);
    match predecessor {
        None => notify::ready(),
        Some(predecessor) => {
            tracing::info!("this process has taken over; the one before drains");
            // It tells the service manager which process is the main one.
            predecessor.ready()?;
        }
    }

    let state = running.state.clone();
    let (mut upgrading, mut reloading) = (Upgrading::default(), Reloading::default());
    let mut wanted = Wanted::default();
    let successor = loop {
        if wanted.upgrade && reloading.give_up() {
            // The new process loads what there is; should it not come to serving, this one does.
            wanted.reload = true;
        }
        let is_busy = upgrading.is_under_way() || reloading.is_under_way();
        if !is_busy && std::mem::take(&mut wanted.upgrade) {
            upgrading.begin(&running, &program);
            continue;
        }
        if !is_busy && std::mem::take(&mut wanted.reload) {
            reloading.begin(&running);
            continue;
        }
        tokio::select! {
            asked = signals.next() => match asked {
                Asked::End => break None,
                Asked::Reload => {
                    if is_busy {
                        tracing::info!("SIGHUP: what is under way is finished first");
                    }
                    wanted.reload = true;
                }
                Asked::Reopen => {
                    running.logs.reopen();
                    reloading.reopen();
                    wanted.reopen = upgrading.is_under_way();
                }
                Asked::Upgrade if upgrading.is_under_way() => {
                    tracing::warn!("SIGUSR2: an upgrade is under way");
                }
                Asked::Upgrade => wanted.upgrade = true,
            },
            Some(ordered) = orders.recv(), if !is_busy => reloading.follow(&running, ordered),
            prepared = reloading.prepared() => reloading.finish(&mut running, prepared),
            successor = upgrading.finished(&running) => {
                if successor.is_some() {
                    break successor;
                }
                wanted.reopen = false;
            }
            () = state.drain_asked() => break None,
        }
    };
    drop(orders);
    reloading.give_up();
    if successor.is_none() {
        upgrading.abandon();
    }
    match &successor {
        Some(successor) => {
            // The service manager learns of it first: this process may end at once, and with it
            // the service.
            notify::succeeded_by(successor.pid);
            // Nobody listens to this one any more.
            watchdog.abort();
            tracing::info!(pid = successor.pid, "another process serves; this one drains");
            running.stop_accepting();
            #[cfg(feature = "http3")]
            running.release(successor);
            if wanted.reload {
                // It may have read its files before they were changed.
                successor.tell(Signal::HUP);
            }
            if wanted.reopen {
                // It may have opened its logs before they were put away.
                successor.tell(Signal::USR1);
            }
        }
        None => notify::stopping(),
    }
    drain(&mut running, &mut signals, successor.as_ref()).await;
    upkeep.abort();
    watchdog.abort();
    let Running { loaded, resources, logs, tasks, .. } = running;
    tasks.end();
    if let Some(exporter) = exporter(&loaded.resolved, &resources) {
        exporter.finish().await;
    }
    // The observer has the logs, too.
    resources.observer.set_sinks([]);
    tokio::task::spawn_blocking(move || drop(logs)).await.ok();
    notify::farewell();
    Ok(())
}

/// What signals have asked for, and what is not begun yet.
#[derive(Default)]
struct Wanted {
    reload: bool,
    upgrade: bool,
    /// Of whoever is about to serve; this process has done it.
    reopen: bool,
}

/// Tells load balancers and clients, and waits until they have gone, or for so long as is said, or
/// until a second signal comes. Where another process serves on the same sockets there is nothing
/// for load balancers to notice.
async fn drain(running: &mut Running, signals: &mut Signals, successor: Option<&Successor>) {
    let server = &running.loaded.resolved.server;
    let (drain_timeout, lame_duck) = (server.drain_timeout, server.lame_duck_interval);
    let drain = running.resources.drain.clone();
    running.state.ready(false);
    drain.lame_duck();
    tracing::info!(open = drain.open(), "draining");
    // Load balancers learn from readiness first, while connections are still accepted. Clients
    // learn from their next answers.
    let logs = running.logs.clone();
    // Logs are written until the end. The rest is for whoever serves, and so is this: signals still
    // come here that were meant for it.
    let also = |asked| match (asked, successor) {
        (Asked::Reopen, successor) => {
            logs.reopen();
            if let Some(successor) = successor {
                successor.tell(Signal::USR1);
            }
        }
        (Asked::Reload, Some(successor)) => successor.tell(Signal::HUP),
        _ => {}
    };
    let wait = async {
        let patience = if successor.is_some() {
            doors::GRACE
        } else {
            tokio::time::sleep(lame_duck).await;
            running.last_call();
            LAST_CALL
        };
        let _ = tokio::time::timeout(patience, drain.emptied()).await;
    };
    let patient = tokio::select! {
        () = wait => true,
        () = signals.end(also) => false,
    };
    drain.drain();
    tokio::select! {
        () = std::future::ready(()), if !patient => {}
        () = settled(&running.state) => {}
        () = tokio::time::sleep(drain_timeout) => {
            tracing::warn!(open = drain.open(), "the drain timeout is over; closing what is open");
        }
        () = signals.end(also) => {}
    }
    drain.end();
    // What was told to end does so at its next poll; the log gets its last lines.
    let _ = tokio::time::timeout(Duration::from_secs(1), drain.emptied()).await;
}

/// Waits until no connection is open and no request is being sent whose client has its answer and
/// may be gone.
async fn settled(state: &State) {
    state.drain().emptied().await;
    while state.generation().unfinished() > 0 {
        tokio::time::sleep(SETTLING_INTERVAL).await;
    }
}

async fn upkeep(state: State) {
    let mut ticks = tokio::time::interval(UPKEEP_INTERVAL);
    loop {
        ticks.tick().await;
        state.upkeep();
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
