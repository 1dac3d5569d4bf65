//! What systemd is told (`sd_notify`), where it asks: that the process serves, reloads, drains, and
//! that it is alive. Without `NOTIFY_SOCKET` in the environment nothing is.
//!
//! It is told by a thread of its own, in order: where nobody reads, telling waits, and nothing else
//! may. Only what the main process of the unit says counts (`NotifyAccess=main`), so that programs of
//! routes are not heard: a process that is taken over from says which one is the main one from then
//! on.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use proxy_server::Workers;
use sd_notify::NotifyState;
use tokio::sync::mpsc;

/// What waits to be told; more is lost, which only matters where nobody has read for minutes.
const WAITING: usize = 64;
/// How long the end of the process waits for what is still to be told.
const FAREWELL: Duration = Duration::from_secs(1);

enum Word {
    States(Vec<NotifyState<'static>>),
    /// Everything before it was told.
    Told(SyncSender<()>),
}

/// The process serves; what it was told before is over.
pub(super) fn ready() {
    tell(vec![NotifyState::Ready]);
}

/// A configuration is being loaded; [`ready`] follows.
pub(super) fn reloading() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(vec![NotifyState::Reloading, now]);
    }
}

/// Another process is the main one from now on.
pub(super) fn succeeded_by(pid: u32) {
    tell(vec![NotifyState::MainPid(pid)]);
}

/// The process is about to end.
pub(super) fn stopping() {
    tell(vec![NotifyState::Stopping, NotifyState::Status("draining")]);
}

/// Waits until everything was told, for a moment. Blocks.
pub(super) fn farewell() {
    let (told, all) = sync_channel(1);
    if let Some(words) = words()
        && words.try_send(Word::Told(told)).is_ok()
    {
        let _ = all.recv_timeout(FAREWELL);
    }
}

fn tell(states: Vec<NotifyState<'static>>) {
    let Some(words) = words() else { return };
    if let Err(TrySendError::Full(_)) = words.try_send(Word::States(states)) {
        tracing::warn!("systemd does not read what it is told");
    }
}

/// Where words go, if anybody listens.
fn words() -> Option<&'static SyncSender<Word>> {
    static WORDS: OnceLock<Option<SyncSender<Word>>> = OnceLock::new();
    WORDS
        .get_or_init(|| {
            std::env::var_os("NOTIFY_SOCKET")?;
            let (words, heard) = sync_channel(WAITING);
            let thread = std::thread::Builder::new().name("systemd".into());
            thread.spawn(move || speak(&heard)).ok().map(|_| words)
        })
        .as_ref()
}

fn speak(heard: &Receiver<Word>) {
    while let Ok(word) = heard.recv() {
        match word {
            Word::States(states) => {
                if let Err(error) = sd_notify::notify(&states) {
                    tracing::warn!(%error, "systemd cannot be told");
                }
            }
            Word::Told(told) => drop(told.send(())),
        }
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
    // Not at once: whoever took over is heard when the one before has said that it is the main one.
    let first = tokio::time::Instant::now() + interval / 3;
    let mut ticks = tokio::time::interval_at(first, interval / 3);
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
        tell(vec![NotifyState::Watchdog]);
    }
}
