//! Certificates are read again when their files change, and watched as they grow old.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use metrics::{Counter, Gauge, Key, KeyName, Label, Level, Metadata, Recorder, SharedString, Unit};
use proxy_core::Clock;
use proxy_server::tls::TlsEdge;

use super::TlsFiles;
use crate::config::resolved::Listener;

/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_secs(2);
/// How often it is said that a certificate grows old.
const REMINDER: Duration = Duration::from_secs(24 * 3600);

/// When the first of a listener's certificates ends, in seconds since 1970; label `listener`.
const EXPIRY: &str = "proxy_server_certificate_expiry_timestamp_seconds";
/// Times that the files of a listener's TLS were read again; labels `listener` and `outcome`
/// (`swapped`, `kept`).
const RELOADS: &str = "proxy_server_certificate_reloads_total";

/// Watches the files of every listener's TLS. They are followed through links, so that a mounted
/// Kubernetes secret, which swaps a link, is seen too.
pub struct TlsWatch {
    listeners: Vec<Watched>,
    clock: Arc<dyn Clock>,
}

struct Watched {
    name: String,
    files: TlsFiles,
    edge: Arc<TlsEdge>,
    /// As they were when they were read.
    read: Vec<Option<Stamp>>,
    /// As they were at the last look: what is being written is left until it rests.
    seen: Vec<Option<Stamp>>,
    /// Looks until the next reminder.
    until_reminder: u32,
    counts: Option<Counts>,
}

/// What changes when a file does: its place on disk too, for whoever swaps a file or a link.
type Stamp = (u64, u64, u64, i64, i64);

struct Counts {
    expiry: Gauge,
    swapped: Counter,
    kept: Counter,
}

impl TlsWatch {
    /// Watches these listeners' files; none where none speaks TLS. What was read at start is taken
    /// for what stands there now: call it soon after.
    pub fn new(
        listeners: &[Listener],
        clock: Arc<dyn Clock>,
        recorder: Option<&(dyn Recorder + Send + Sync)>,
    ) -> Option<Self> {
        let watched = listeners.iter().filter_map(|listener| {
            let tls = listener.tls.as_ref()?;
            let stamps = stamps(&tls.files);
            let watched = Watched {
                name: listener.name.clone(),
                files: tls.files.clone(),
                edge: Arc::clone(&tls.edge),
                read: stamps.clone(),
                seen: stamps,
                until_reminder: 0,
                counts: recorder.map(|recorder| Counts::new(recorder, &listener.name)),
            };
            watched.show();
            Some(watched)
        });
        let listeners: Vec<_> = watched.collect();
        (!listeners.is_empty()).then_some(Self { listeners, clock })
    }

    /// Goes on for ever.
    pub async fn run(mut self) {
        loop {
            self.clock.sleep_until(self.clock.now() + INTERVAL).await;
            let looked = tokio::task::spawn_blocking(move || {
                for listener in &mut self.listeners {
                    listener.look(&*self.clock);
                }
                self
            });
            match looked.await {
                Ok(own) => self = own,
                Err(error) => {
                    tracing::error!(%error, "certificates are no longer watched");
                    return;
                }
            }
        }
    }
}

impl Watched {
    fn look(&mut self, clock: &dyn Clock) {
        self.remind(clock);
        let now = stamps(&self.files);
        let rests = now == self.seen;
        self.seen.clone_from(&now);
        if !rests || now == self.read {
            return;
        }
        self.read = now;
        let listener = &self.name;
        let result = match self.files.load() {
            Ok(material) => self.edge.renew(material).map_err(|error| error.to_string()),
            Err(faults) => {
                let faults: Vec<String> = faults.into_iter().map(|fault| fault.message).collect();
                Err(faults.join("; "))
            }
        };
        match &result {
            Ok(()) => tracing::info!(%listener, "certificates have changed and are in use"),
            Err(error) => tracing::warn!(
                %listener,
                "certificates have changed and are not used: {error}; the last good ones stay"
            ),
        }
        if let Some(counts) = &self.counts {
            if result.is_ok() { &counts.swapped } else { &counts.kept }.increment(1);
        }
        self.until_reminder = 0;
        self.show();
    }

    /// Once a day, and after each change.
    fn remind(&mut self, clock: &dyn Clock) {
        if self.until_reminder > 0 {
            self.until_reminder -= 1;
            return;
        }
        self.until_reminder = (REMINDER.as_secs() / INTERVAL.as_secs()) as u32;
        for certificate in self.edge.certificates().certificates() {
            for doubt in certificate.doubts(clock.wall()) {
                use proxy_server::tls::CertificateDoubt as D;
                if matches!(doubt, D::Expired(_) | D::ExpiresSoon(_) | D::NotYet(_)) {
                    let (listener, names) = (&self.name, certificate.names());
                    tracing::warn!(%listener, "the certificate for {names} {doubt}");
                }
            }
        }
    }

    fn show(&self) {
        let store = self.edge.certificates();
        let first = store.certificates().iter().map(|own| own.not_after()).min();
        let first = first.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        if let (Some(counts), Some(first)) = (&self.counts, first) {
            counts.expiry.set(first.as_secs() as f64);
        }
    }
}

impl Counts {
    fn new(recorder: &(dyn Recorder + Send + Sync), listener: &str) -> Self {
        let text = SharedString::const_str;
        let name = KeyName::from_const_str;
        let what = text("When the first of a listener's certificates ends, in Unix time.");
        recorder.describe_gauge(name(EXPIRY), Some(Unit::Seconds), what);
        let what = text("Times that a listener's certificates were read again, by the outcome.");
        recorder.describe_counter(name(RELOADS), Some(Unit::Count), what);
        let metadata = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));
        let label = || Label::new("listener", listener.to_owned());
        let reloads = |outcome| {
            let labels = vec![label(), Label::from_static_parts("outcome", outcome)];
            recorder.register_counter(&Key::from_parts(RELOADS, labels), &metadata)
        };
        Self {
            expiry: recorder.register_gauge(&Key::from_parts(EXPIRY, vec![label()]), &metadata),
            swapped: reloads("swapped"),
            kept: reloads("kept"),
        }
    }
}

fn stamps(files: &TlsFiles) -> Vec<Option<Stamp>> {
    files.paths().map(stamp).collect()
}

fn stamp(path: &Path) -> Option<Stamp> {
    let data = fs::metadata(path).ok()?;
    Some((data.dev(), data.ino(), data.size(), data.mtime(), data.mtime_nsec()))
}
