//! Lists that come from files are read again when the files change.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Gauge, Key, KeyName, Label, Level, Metadata, Recorder, SharedString, Unit};
use proxy_core::Clock;
use proxy_filter::domains::DomainList;

use crate::config::resolved::ListFile;

/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_secs(2);

/// Names in a list that comes from a file; label `list`.
const NAMES: &str = "proxy_filter_list_names";
/// Times that a list was read again; labels `list` and `outcome` (`swapped`, `kept`).
const RELOADS: &str = "proxy_filter_list_reloads_total";

/// Watches the files of lists.
pub struct Watch {
    files: Vec<Watched>,
    clock: Arc<dyn Clock>,
}

struct Watched {
    file: ListFile,
    /// As it was when it was read.
    read: Option<Stamp>,
    /// As it was at the last look: what is being written is left until it rests.
    seen: Option<Stamp>,
    counts: Option<Counts>,
}

/// What changes when a file does: its place on disk too, for whoever swaps a file or a link.
type Stamp = (u64, u64, u64, i64, i64);

struct Counts {
    names: Gauge,
    swapped: Counter,
    kept: Counter,
}

impl Watch {
    /// Watches these; none where there is none. What was read at start is taken for what stands
    /// there now: call it soon after.
    pub fn new(
        files: &[ListFile],
        clock: Arc<dyn Clock>,
        recorder: Option<&(dyn Recorder + Send + Sync)>,
    ) -> Option<Self> {
        let watched = |file: &ListFile| {
            let stamp = stamp(&file.path);
            let counts = recorder.map(|recorder| Counts::new(recorder, file.list.name()));
            if let Some(counts) = &counts {
                counts.names.set(file.list.current().len() as f64);
            }
            Watched { file: file.clone(), read: stamp, seen: stamp, counts }
        };
        (!files.is_empty()).then(|| Self { files: files.iter().map(watched).collect(), clock })
    }

    /// Goes on for ever.
    pub async fn run(mut self) {
        loop {
            self.clock.sleep_until(self.clock.now() + INTERVAL).await;
            // Reading a million names takes a second: not on the runtime's thread.
            let looked = tokio::task::spawn_blocking(move || {
                self.files.iter_mut().for_each(Watched::look);
                self
            });
            match looked.await {
                Ok(own) => self = own,
                Err(error) => {
                    tracing::error!(%error, "lists are no longer watched");
                    return;
                }
            }
        }
    }
}

impl Watched {
    fn look(&mut self) {
        let now = stamp(&self.file.path);
        let rests = now == self.seen;
        self.seen = now;
        if !rests || now == self.read {
            return;
        }
        self.read = now;
        let (list, path) = (&self.file.list, self.file.path.display());
        let result = DomainList::open(&self.file.path).map_err(|error| error.to_string());
        let (bad, result) = match result {
            Ok(new) => {
                let bad = new.bad_lines;
                for mistake in &new.mistakes {
                    tracing::warn!("{path}:{}: skipped: {}", mistake.line, mistake.error);
                }
                (bad, list.renew(new).map_err(|error| error.to_string()))
            }
            Err(error) => (0, Err(error)),
        };
        let names = list.current().len();
        match &result {
            Ok(()) => tracing::info!(names, bad_lines = bad, "{path} has changed and is in use"),
            Err(error) => {
                tracing::warn!(
                    names,
                    "{path} has changed and is not used: {error}; the last good one stays"
                );
            }
        }
        if let Some(counts) = &self.counts {
            counts.names.set(names as f64);
            if result.is_ok() { &counts.swapped } else { &counts.kept }.increment(1);
        }
    }
}

impl Counts {
    fn new(recorder: &(dyn Recorder + Send + Sync), list: &str) -> Self {
        let text = SharedString::const_str;
        let name = KeyName::from_const_str;
        let count = Some(Unit::Count);
        recorder.describe_gauge(
            name(NAMES),
            count,
            text("Names in a list that comes from a file."),
        );
        let what = text("Times that a list was read again, by what became of it.");
        recorder.describe_counter(name(RELOADS), count, what);
        let metadata = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));
        let label = || Label::new("list", list.to_owned());
        let reloads = |outcome| {
            let labels = vec![label(), Label::from_static_parts("outcome", outcome)];
            recorder.register_counter(&Key::from_parts(RELOADS, labels), &metadata)
        };
        Self {
            names: recorder.register_gauge(&Key::from_parts(NAMES, vec![label()]), &metadata),
            swapped: reloads("swapped"),
            kept: reloads("kept"),
        }
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let data = fs::metadata(path).ok()?;
    Some((data.dev(), data.ino(), data.size(), data.mtime(), data.mtime_nsec()))
}
