//! An upgrade in place, seen from the process that is to be replaced, which serves meanwhile.

use std::future::pending;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use proxy_observe::AuditLog;
use tokio::sync::oneshot;

use super::running::Running;
use super::upgrade::{Newcomer, Program, Successor, UpgradeError, hand_over};
use crate::config::resolved::LogTarget;

/// How long the audit log may take to write what it has.
const WRITING: Duration = Duration::from_secs(5);

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
        let (program, audit) = (program.clone(), audit_file(running));
        let (told, outcome) = oneshot::channel();
        self.newcomer = Newcomer::default();
        let newcomer = self.newcomer.clone();
        // A thread of its own: the process does not wait for it when it ends.
        let conversation = move || {
            let let_go = || match &audit {
                Some((log, path)) => step_aside(log, path),
                None => Ok(()),
            };
            let outcome = hand_over(&program, &handed, &newcomer, let_go);
            if let (Err(_), Some((log, path))) = (&outcome, &audit)
                && let Err(error) = log.reopen(path)
            {
                tracing::error!(%error, "the audit log cannot be reopened");
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

fn audit_file(running: &Running) -> Option<(Arc<AuditLog>, PathBuf)> {
    let log = running.logs.audit.as_ref()?;
    match &running.loaded.resolved.audit_log.as_ref()?.target {
        LogTarget::File(path) => Some((Arc::clone(log), path.clone())),
        _ => None,
    }
}

/// A file has one writer: what this process records until its end goes to another one beside it,
/// chained to what is in the first.
fn step_aside(log: &AuditLog, path: &Path) -> std::io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let aside = format!("draining-{}.{name}", std::process::id());
    log.flush(WRITING);
    log.reopen(path.with_file_name(aside))?;
    // The file before is whole once the writer has come to the order.
    log.flush(WRITING);
    Ok(())
}
