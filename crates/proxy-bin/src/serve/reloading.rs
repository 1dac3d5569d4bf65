//! A reload, seen from the process that serves meanwhile.

use std::future::pending;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::notify;
use super::preparing::{Prepared, Preparing};
use super::running::Running;
use crate::reload::{Ordered, ReloadError, ReloadOrder, ReloadResult};

/// How long a configuration may take to be loaded and composed.
const PATIENCE: Duration = Duration::from_secs(60);

/// The reload that is under way, if one is.
#[derive(Default)]
pub(super) struct Reloading(Option<UnderWay>);

struct UnderWay {
    order: ReloadOrder,
    /// Who waits for the answer; nobody, where a signal has ordered it.
    answer: Option<oneshot::Sender<ReloadResult>>,
    preparing: Preparing,
    until: Instant,
    /// The logs that it has opened by now may have been put away since.
    reopen: bool,
}

impl Reloading {
    pub(super) fn is_under_way(&self) -> bool {
        self.0.is_some()
    }

    /// Begins what a signal asks for.
    pub(super) fn begin(&mut self, running: &Running) {
        self.start(running, ReloadOrder::default(), None);
    }

    /// Begins what is ordered.
    pub(super) fn follow(&mut self, running: &Running, Ordered { order, answer }: Ordered) {
        self.start(running, order, Some(answer));
    }

    fn start(
        &mut self,
        running: &Running,
        order: ReloadOrder,
        answer: Option<oneshot::Sender<ReloadResult>>,
    ) {
        notify::reloading();
        let preparing = running.basis().prepare(order.dry_run);
        let until = Instant::now() + PATIENCE;
        self.0 = Some(UnderWay { order, answer, preparing, until, reopen: false });
    }

    /// The logs are to be opened again, those too that are opened for the one that is under way.
    pub(super) fn reopen(&mut self) {
        if let Some(own) = &mut self.0 {
            own.reopen = true;
        }
    }

    /// Waits until the one that is under way can take effect, or can not; for ever where none is.
    pub(super) async fn prepared(&mut self) -> Result<Prepared, ReloadError> {
        let Some(own) = &mut self.0 else { return pending().await };
        tokio::select! {
            prepared = &mut own.preparing => match prepared {
                Ok(prepared) => prepared,
                // It has panicked.
                Err(_) => Err(ReloadError::BrokeOff),
            },
            () = sleep_until(own.until) => Err(ReloadError::TooSlow),
        }
    }

    /// Gives it up: whoever waits hears so. Whether there was one that nobody waits for, and that
    /// is still to be done by whoever goes on.
    pub(super) fn give_up(&mut self) -> bool {
        let Some(UnderWay { answer, .. }) = self.0.take() else { return false };
        notify::ready();
        let is_awaited = answer.is_some();
        if let Some(answer) = answer {
            let _ = answer.send(Err(ReloadError::Ending));
        }
        !is_awaited
    }

    /// Lets it take effect, and tells what came of it.
    pub(super) fn finish(
        &mut self,
        running: &mut Running,
        prepared: Result<Prepared, ReloadError>,
    ) {
        let Some(UnderWay { order, answer, reopen, .. }) = self.0.take() else { return };
        let result = running.reload(prepared);
        if reopen && result.as_ref().is_ok_and(|done| !done.dry_run) {
            running.logs.reopen();
        }
        notify::ready();
        match result {
            Ok(mut done) if order.sever && !done.dry_run => {
                let severing = running.severing();
                tokio::spawn(async move {
                    done.severed = Some(severing.judge_again().await);
                    tell(answer, Ok(done));
                });
            }
            result => tell(answer, result),
        }
    }
}

fn tell(answer: Option<oneshot::Sender<ReloadResult>>, result: ReloadResult) {
    if let Some(answer) = answer {
        // Whoever asked may be gone.
        let _ = answer.send(result);
    }
}
