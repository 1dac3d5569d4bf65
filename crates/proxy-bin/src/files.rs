//! Files whose content is in use: read again when they change, and the last good one stays.

mod certificates;
mod lists;
mod sources;
mod upstreams;
mod users;

pub use sources::Sources;

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Key, KeyName, Label, Level, Metadata, Recorder, SharedString, Unit};
use proxy_core::Clock;

use crate::config::resolved::Resolved;
use crate::reload::Reloads;

/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_secs(2);

/// Where changes are counted.
type Registry<'r> = Option<&'r (dyn Recorder + Send + Sync)>;

/// What is read from a file, or from several that belong together.
pub trait Content: Send {
    /// Reads it, and takes it into use where it is good. Says what is in use now.
    ///
    /// # Errors
    /// Why what was in use stays.
    fn renew(&mut self) -> Result<String, Kept>;
}

/// Why what was in use stays.
#[derive(Debug, thiserror::Error)]
pub enum Kept {
    /// It could not be read: perhaps it can a moment later, without a change of the file.
    #[error("{0}")]
    Unreadable(String),
    /// It was read, and is not good.
    #[error("{0}")]
    Refused(String),
}

/// Which version of a file it is: its place on disk too, for whoever swaps a file or a link. `None`
/// where there is no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp(Option<(u64, u64, u64, i64, i64)>);

impl Stamp {
    /// As the file is now. Take it before the file is read: a change in between is then seen.
    pub fn of(path: &Path) -> Self {
        let data = fs::metadata(path).ok();
        Self(
            data.map(|data| (data.dev(), data.ino(), data.size(), data.mtime(), data.mtime_nsec())),
        )
    }
}

/// Watches files.
pub struct Watch {
    files: Vec<Watched>,
    clock: Arc<dyn Clock>,
}

/// Files that belong together, and what is read from them.
pub struct Watched {
    paths: Vec<PathBuf>,
    /// As they were when they were read.
    read: Vec<Stamp>,
    /// As they were at the last look: what is being written is left until it rests.
    seen: Vec<Stamp>,
    /// What is in the way of reading it, where that was said.
    said: Option<String>,
    content: Box<dyn Content>,
    counts: Option<Counts>,
}

/// How often it was read again, by what became of it.
struct Counts {
    swapped: Counter,
    kept: Counter,
}

impl Watch {
    /// Watches the files that a configuration names.
    pub fn of(config: &Resolved, clock: Arc<dyn Clock>, recorder: Registry<'_>) -> Self {
        let files: Vec<Watched> = lists::watched(config, recorder)
            .chain(users::watched(config, recorder))
            .chain(certificates::watched(config, recorder))
            .chain(upstreams::watched(config, recorder))
            .collect();
        Self { files, clock }
    }

    /// Watches the files of the configuration itself, too: a change orders a reload.
    pub fn add(&mut self, sources: Sources, reloads: &Reloads) {
        self.files.push(sources.watched(reloads.clone()));
    }

    /// Nothing, where there is no file to watch.
    pub fn some(self) -> Option<Self> {
        (!self.files.is_empty()).then_some(self)
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
                    tracing::error!(%error, "files are no longer watched");
                    return;
                }
            }
        }
    }
}

impl Watched {
    /// Content, with its files as they were before they were read.
    pub fn new(
        files: impl IntoIterator<Item = (PathBuf, Stamp)>,
        content: impl Content + 'static,
    ) -> Self {
        let (paths, read): (Vec<_>, Vec<_>) = files.into_iter().unzip();
        let content = Box::new(content);
        Self { paths, seen: read.clone(), read, said: None, content, counts: None }
    }

    /// Counts in `metric` how often it was read again; labels `label` and `outcome` (`swapped`,
    /// `kept`).
    #[must_use]
    pub fn counted(
        mut self,
        recorder: Registry<'_>,
        metric: &'static str,
        label: (&'static str, &str),
    ) -> Self {
        self.counts = recorder.map(|recorder| Counts::new(recorder, metric, label));
        self
    }

    fn look(&mut self) {
        let now: Vec<Stamp> = self.paths.iter().map(|path| Stamp::of(path)).collect();
        let rests = now == self.seen;
        self.seen.clone_from(&now);
        if !rests || now == self.read {
            return;
        }
        let result = self.content.renew();
        let paths = Paths(&self.paths);
        match &result {
            Ok(used) => tracing::info!("{paths} has changed and is in use: {used}"),
            // Tried again at each look, said once.
            Err(Kept::Unreadable(error)) if self.said.as_ref() == Some(error) => return,
            Err(error) => {
                tracing::warn!(
                    "{paths} has changed and is not used: {error}; the last good one stays"
                );
            }
        }
        self.said = match &result {
            Err(Kept::Unreadable(error)) => Some(error.clone()),
            _ => {
                self.read = now;
                None
            }
        };
        if let Some(counts) = &self.counts {
            if result.is_ok() { &counts.swapped } else { &counts.kept }.increment(1);
        }
    }
}

struct Paths<'p>(&'p [PathBuf]);

impl fmt::Display for Paths<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, path) in self.0.iter().enumerate() {
            write!(f, "{}{}", if index == 0 { "" } else { ", " }, path.display())?;
        }
        Ok(())
    }
}

impl Counts {
    fn new(
        recorder: &(dyn Recorder + Send + Sync),
        metric: &'static str,
        (label, value): (&'static str, &str),
    ) -> Self {
        let what =
            SharedString::const_str("Times that a file was read again, by what became of it.");
        recorder.describe_counter(KeyName::from_const_str(metric), Some(Unit::Count), what);
        let reloads = |outcome| {
            let labels = vec![
                Label::new(label, value.to_owned()),
                Label::from_static_parts("outcome", outcome),
            ];
            recorder.register_counter(&Key::from_parts(metric, labels), &METADATA)
        };
        Self { swapped: reloads("swapped"), kept: reloads("kept") }
    }
}

static METADATA: Metadata<'static> =
    Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

#[cfg(test)]
mod tests;
