//! What the tests of the audit trail share: a folder, a log in it, records.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use proxy_core::{AuditEvent, AuditRecord, AuditSink, ClientAddr, Verdict};
use proxy_observe::audit::verify::{Fault, Report, Verifier};
use proxy_observe::audit::{AuditConfig, AuditLog, Head};
use proxy_testkit::ManualClock;

pub(crate) const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n";

/// A folder that is gone with the test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "proxy-observe-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::SeqCst)
        );
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("a file")
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("a file");
    }

    pub(crate) fn lines(&self, name: &str) -> Vec<String> {
        self.read(name).lines().map(str::to_owned).collect()
    }

    /// The files of these names.
    pub(crate) fn paths(&self, names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(|name| self.path(name)).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn config() -> AuditConfig {
    AuditConfig { aggregate_window: Duration::ZERO, ..AuditConfig::default() }
}

pub(crate) fn open(path: &Path, key: Option<PathBuf>) -> AuditLog {
    let mut builder = AuditLog::builder(config(), Arc::new(ManualClock::new()));
    if let Some(key) = key {
        builder = builder.key(key);
    }
    builder.open(path).expect("a log")
}

/// Records this many denials, by their number.
pub(crate) fn deny(log: &AuditLog, numbers: std::ops::Range<u32>) {
    for number in numbers {
        deny_by(&*log.sink(), number, &format!("rule-{number}"));
    }
    assert!(log.flush(Duration::from_secs(60)), "written");
}

pub(crate) fn deny_by(sink: &dyn AuditSink, client: u32, rule: &str) -> proxy_core::AuditAnswer {
    let mut record = AuditRecord::new(
        SystemTime::UNIX_EPOCH + Duration::from_secs(1),
        AuditEvent::Decision,
        "filter",
        Verdict::Deny,
        "blocked",
    );
    record.rule = Some(rule);
    record.client = Some(ClientAddr::new(std::net::Ipv4Addr::from(client).into()));
    sink.record(&record)
}

/// Checks files, with a key and heads where there are any.
pub(crate) fn verify(files: &[PathBuf], key: Option<&Path>, heads: &[Head]) -> Report {
    let mut verifier = Verifier::new();
    if let Some(key) = key {
        verifier = verifier.key(key).expect("a key");
    }
    for head in heads {
        verifier = verifier.expect(*head);
    }
    verifier.verify(files).expect("files that can be read")
}

/// Where and what is broken: line, sequence, fault.
pub(crate) fn broken(report: &Report) -> Option<(u64, Option<u64>, Fault)> {
    report.broken.as_ref().map(|broken| (broken.line, broken.sequence, broken.fault))
}
