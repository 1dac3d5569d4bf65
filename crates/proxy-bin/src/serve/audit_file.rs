//! The file of the audit log. It has one writer: a chain of records is broken where two write.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::Duration;

use proxy_observe::AuditLog;

use crate::reopening::is_at_once;

/// How long the log may take to write what it has.
const WRITING: Duration = Duration::from_secs(5);

/// An audit log with the file where it is at the moment.
pub(super) struct AuditFile {
    log: Arc<AuditLog>,
    path: PathBuf,
    current: Mutex<PathBuf>,
}

impl AuditFile {
    pub(super) fn new(log: &Arc<AuditLog>, path: &Path) -> Self {
        let current = Mutex::new(path.to_owned());
        Self { log: Arc::clone(log), path: path.to_owned(), current }
    }

    /// Goes on in the file of the same name, as after a rotation by somebody else. Where it passes
    /// to another file at this moment, it was just opened.
    pub(super) fn reopen(&self) {
        let current = match self.current.try_lock() {
            Ok(current) => current,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        self.open(&current);
    }

    fn open(&self, path: &Path) {
        if let Err(error) = is_at_once(path).and_then(|()| self.log.reopen(path)) {
            tracing::error!(%error, "the audit log cannot be reopened");
        }
    }

    /// Leaves the file to the process that takes over: what this one records until its end goes to
    /// another one beside it, chained to what is in the first.
    pub(super) fn step_aside(&self) -> io::Result<()> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let aside = self.path.with_file_name(format!("draining-{}.{name}", std::process::id()));
        self.log.flush(WRITING);
        self.log.reopen(&aside)?;
        *current = aside;
        // The file before is whole once the writer has come to the order.
        self.log.flush(WRITING);
        Ok(())
    }

    /// Goes on in the first file: nobody has taken over.
    pub(super) fn step_back(&self) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if *current != self.path {
            current.clone_from(&self.path);
            self.open(&current);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use proxy_core::{AuditEvent, AuditRecord, SystemClock, Verdict};
    use proxy_observe::AuditConfig;

    use super::*;

    /// The other process writes to the file of this name, whatever an operator sends to this one.
    #[test]
    fn a_file_that_was_left_is_opened_again_only_when_nobody_takes_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let builder = AuditLog::builder(AuditConfig::default(), Arc::new(SystemClock));
        let log = Arc::new(builder.open(&path).unwrap());
        let file = AuditFile::new(&log, &path);
        let write = |reason| {
            let event = AuditEvent::Configuration;
            let record = AuditRecord::new(SystemTime::now(), event, "test", Verdict::Allow, reason);
            let _ = log.sink().record(&record);
            assert!(log.flush(WRITING));
        };
        write("first");
        file.step_aside().unwrap();
        file.reopen();
        write("aside");
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        assert!(!read(&path).contains("aside"));
        let aside = format!("draining-{}.audit.jsonl", std::process::id());
        assert!(read(&folder.path().join(aside)).contains("aside"));
        file.step_back();
        file.reopen();
        write("back");
        assert!(read(&path).contains("back"));
    }
}
