//! The audit log: where it goes, and what happens when it can not.

use std::path::PathBuf;

use proxy_observe::audit::{Fsync, HeadsTo, OnFull};

use super::Resolver;
use crate::config::path::KeyPath;
use crate::config::raw::{AuditFsync, AuditOnFull, Config};
use crate::config::resolved::{AuditLog, LogTarget};

/// One record and its reserve have room in it.
pub(super) const LEAST_QUEUE: u64 = 64 << 10;
/// More is no queue.
pub(super) const MOST_QUEUE: u64 = 1 << 30;

impl Resolver<'_> {
    pub(super) fn audit_log(&mut self, config: &Config) -> Option<AuditLog> {
        let raw = config.log.audit.as_ref()?;
        let path = KeyPath::of("log.audit");
        let target = self.log_target(&path.key("path"), &raw.path);
        let mut access = config.log.access.iter().chain(config.log.more.values());
        if access.any(|access| access.path == raw.path) {
            self.error(&path.key("path"), "the access log is written there already");
        }
        let timeout = self.period(&path.key("block_timeout"), raw.block_timeout);
        let key = raw.key.as_ref().and_then(|secret| {
            // It is read when the log is opened: it moves on.
            self.secret(&path.key("key"), secret)?;
            let file = path.key("key").key("file");
            Some(self.origins.folder(&file).join(&secret.file))
        });
        let heads = raw.heads.iter().enumerate().map(|(index, to)| {
            let path = path.key("heads").index(index);
            match to.as_str() {
                "stderr" => HeadsTo::Stderr,
                file => match self.log_target(&path, file) {
                    LogTarget::File(file) => HeadsTo::File(file),
                    _ => {
                        self.error(&path, "expected a file, or \"stderr\"");
                        HeadsTo::Stderr
                    }
                },
            }
        });
        let heads = heads.collect();
        let size = raw.queue_size.bytes();
        if !(LEAST_QUEUE..=MOST_QUEUE).contains(&size) {
            self.error(&path.key("queue_size"), "expected 64KiB to 1GiB");
        }
        let window = raw.aggregate_window.some();
        Some(AuditLog {
            target,
            on_full: match raw.on_full {
                AuditOnFull::Block => OnFull::Block { timeout },
                AuditOnFull::DropAndCount => OnFull::DropAndCount,
                AuditOnFull::RefuseRequests => OnFull::RefuseRequests,
            },
            key,
            heads,
            head_interval: self.period(&path.key("head_interval"), raw.head_interval),
            fsync: match raw.fsync {
                AuditFsync::Never => Fsync::Never,
                AuditFsync::EverySecond => Fsync::EverySecond,
                AuditFsync::EveryWrite => Fsync::EveryWrite,
            },
            queue_size: usize::try_from(size).unwrap_or(usize::MAX),
            aggregate_window: window
                .map(|window| self.period(&path.key("aggregate_window"), window))
                .unwrap_or_default(),
            aggregate_entries: usize::try_from(raw.aggregate_entries).unwrap_or(usize::MAX),
        })
    }

    pub(super) fn log_target(&mut self, path: &KeyPath, text: &str) -> LogTarget {
        match text {
            "-" => LogTarget::Stdout,
            "" => {
                self.error(path, "expected a file, or \"-\" for standard output");
                LogTarget::Stdout
            }
            file => {
                let file: PathBuf = self.origins.folder(path).join(file);
                if file.is_dir() {
                    self.error(path, format!("{} is a folder", file.display()));
                } else if let Some(folder) = file.parent()
                    && !folder.as_os_str().is_empty()
                    && !folder.is_dir()
                {
                    let message = format!("there is no folder {} for it", folder.display());
                    self.error(path, message);
                }
                LogTarget::File(file)
            }
        }
    }
}
