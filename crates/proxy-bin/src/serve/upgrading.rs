//! An upgrade in place, seen from the process that is to be replaced, which serves meanwhile.

use std::future::pending;

use tokio::sync::oneshot;

use super::running::Running;
use super::upgrade::{Newcomer, Program, Successor, UpgradeError, hand_over};

type Outcome = Result<Successor, UpgradeError>;

/// The upgrade that is under way, if one is.
#[derive(Default)]
pub(super) struct Upgrading {
    outcome: Option<oneshot::Receiver<Outcome>>,
    newcomer: Newcomer,
}

impl Upgrading {
    pub(super) fn is_under_way(&self) -> bool {
        self.outcome.is_some()
    }

    /// Ends what is under way: this process ends, and nobody is to serve in its place.
    pub(super) fn abandon(&mut self) {
        if self.outcome.take().is_some() {
            self.newcomer.end();
            tracing::warn!("the upgrade that was under way is given up");
        }
    }

    /// Begins one. Why it can not begin is in the log.
    pub(super) fn begin(&mut self, running: &Running, program: &Program) {
        match self.try_begin(running, program) {
            Ok(()) => tracing::info!("a new process is started to take over"),
            Err(error) => tracing::error!(%error, "no upgrade: this process goes on"),
        }
    }

    fn try_begin(&mut self, running: &Running, program: &Program) -> Result<(), UpgradeError> {
        if self.is_under_way() {
            return Err(UpgradeError::UnderWay);
        }
        if std::process::id() == 1 {
            return Err(UpgradeError::FirstProcess);
        }
        let audit = running.loaded.resolved.audit_log.as_ref();
        if audit.is_some_and(|own| own.key.is_some()) {
            return Err(UpgradeError::AuditKey);
        }
        let handed = running.handed().map_err(UpgradeError::Start)?;
        let (program, audit) = (program.clone(), running.logs.audit_file.clone());
        let (told, outcome) = oneshot::channel();
        self.newcomer = Newcomer::default();
        let newcomer = self.newcomer.clone();
        // A thread of its own: the process does not wait for it when it ends.
        let conversation = move || {
            let let_go = || audit.as_ref().map_or(Ok(()), |file| file.step_aside());
            let outcome = hand_over(&program, handed, &newcomer, let_go);
            if let (Err(_), Some(file)) = (&outcome, &audit) {
                file.step_back();
            }
            let _ = told.send(outcome);
        };
        let thread = std::thread::Builder::new().name("upgrade".into()).spawn(conversation);
        thread.map_err(UpgradeError::Start)?;
        self.outcome = Some(outcome);
        Ok(())
    }

    /// Waits for the end of the one that is under way; for ever where none is. `None`: it has
    /// failed, which is in the log.
    pub(super) async fn finished(&mut self, running: &Running) -> Option<Successor> {
        let Some(outcome) = &mut self.outcome else { return pending().await };
        let outcome = outcome.await;
        self.outcome = None;
        match outcome {
            Ok(Ok(successor)) => Some(successor),
            Ok(Err(error)) => {
                let generation = running.state.generation().number;
                tracing::error!(%error, generation, "the upgrade failed: this process goes on");
                None
            }
            Err(_) => {
                tracing::error!("the upgrade broke off: this process goes on");
                None
            }
        }
    }
}
