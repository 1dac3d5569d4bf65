//! What systemd is told (`sd_notify`), where it asks: that the process serves, reloads, drains, and
//! that it is alive. Without `NOTIFY_SOCKET` in the environment nothing is.

use std::sync::Arc;
use std::time::Duration;

use proxy_server::Workers;
use sd_notify::NotifyState;
use tokio::sync::mpsc;

/// The process serves, by this number; what it was told before is over.
pub(super) fn ready(took_over: bool) {
    let pid = NotifyState::MainPid(std::process::id());
    // Of a process that took over systemd does not know yet that it is the one.
    let first = took_over.then_some(pid);
    let states: Vec<_> = first.into_iter().chain([NotifyState::Ready]).collect();
    tell(&states);
}

/// A configuration is being loaded; [`ready`] follows.
pub(super) fn reloading() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
}

/// The process is about to end.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("draining")]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd cannot be told");
    }
}

/// How often the watchdog wants to hear something, where there is one.
fn interval(took_over: bool) -> Option<Duration> {
    if !took_over {
        return sd_notify::watchdog_enabled();
    }
    // It is set for the process that was there before.
    let usec = std::env::var("WATCHDOG_USEC").ok()?.parse().ok()?;
    Some(Duration::from_micros(usec)).filter(|time| !time.is_zero())
}

/// Tells the watchdog that the process is alive as long as every worker is: each has to answer
/// before it is told the next time. Goes on for ever; ends at once where nobody asks.
pub(super) async fn watchdog(workers: Arc<Workers>, took_over: bool) {
    let Some(interval) = interval(took_over) else { return };
    let mut ticks = tokio::time::interval(interval / 3);
    loop {
        ticks.tick().await;
        let (answers, mut answered) = mpsc::unbounded_channel();
        let asked = workers.on_each(move || {
            let _ = answers.send(());
            async {}
        });
        for _ in 0..asked {
            if answered.recv().await.is_none() {
                tracing::error!("a worker has ended");
                return;
            }
        }
        tell(&[NotifyState::Watchdog]);
    }
}
