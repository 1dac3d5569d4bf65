//! A limit of bandwidth: what it says, and what counts it.

use std::fmt;
use std::sync::Arc;

use metrics::Recorder;
use proxy_core::{Clock, Decision, Exchange, RequestHead, Verdict};

use super::metrics::BandwidthMetrics;
use super::pace::{ByteRate, DEFAULT_KEYS, Pace};
use super::pacer::Pacer;
use crate::rate::KeyPart;
use crate::rate::key::{Scope, scope_methods};

/// What a limit says: how much, in which direction, for whom.
#[derive(Clone)]
#[must_use]
pub struct BandwidthLimit {
    id: Arc<str>,
    upload: Option<ByteRate>,
    download: Option<ByteRate>,
    burst: Option<u64>,
    keys: usize,
    scope: Scope,
}

/// Why there is no such limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BandwidthError {
    /// It limits nothing.
    #[error("expected a rate of `upload`, of `download`, or of both")]
    NoRate,
    /// Nothing would ever pass.
    #[error("expected a burst of at least 1 byte")]
    NoBurst,
    /// The burst takes longer to pay for than anybody waits.
    #[error("expected a burst that the rate gives within 30 years")]
    TooLong,
}

impl BandwidthLimit {
    scope_methods!();

    /// Its id.
    pub const fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// A limit for each connection, with no rate yet. The id is the label of metrics.
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        Self {
            id: id.into(),
            upload: None,
            download: None,
            burst: None,
            keys: DEFAULT_KEYS,
            scope: Scope::of(vec![KeyPart::Connection]),
        }
    }

    /// How fast the content of requests may come. Default: as fast as it does.
    pub fn upload(mut self, rate: ByteRate) -> Self {
        self.upload = Some(rate);
        self
    }

    /// How fast the content of responses may go. Default: as fast as it does.
    pub fn download(mut self, rate: ByteRate) -> Self {
        self.download = Some(rate);
        self
    }

    /// Bytes that pass at once after a pause, in each direction. Default: what the rate gives in a
    /// second.
    pub fn burst(mut self, bytes: u64) -> Self {
        self.burst = Some(bytes);
        self
    }

    /// Keys that are kept apart at a time, in each direction: 32 bytes each. Default 16384. Where
    /// there are more that owe, some share a rate.
    pub fn keys(mut self, keys: usize) -> Self {
        self.keys = keys;
        self
    }

    /// Begins to count.
    ///
    /// # Errors
    /// [`BandwidthError`].
    pub fn start(self, clock: Arc<dyn Clock>) -> Result<BandwidthLimiter, BandwidthError> {
        if self.upload.is_none() && self.download.is_none() {
            return Err(BandwidthError::NoRate);
        }
        let pace = |rate: Option<ByteRate>| {
            rate.map(|rate| Pace::new(rate, self.burst, self.keys, clock.now())).transpose()
        };
        let paces = [pace(self.upload)?, pace(self.download)?];
        Ok(BandwidthLimiter { limit: self, paces, clock, metrics: BandwidthMetrics::default() })
    }
}

impl fmt::Debug for BandwidthLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BandwidthLimit")
            .field("id", &self.id)
            .field("upload", &self.upload)
            .field("download", &self.download)
            .field("burst", &self.burst)
            .field("key", &self.scope)
            .finish_non_exhaustive()
    }
}

/// Which content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Upload,
    Download,
}

/// A limit that counts. Shared by all layers that name it.
pub struct BandwidthLimiter {
    limit: BandwidthLimit,
    paces: [Option<Pace>; 2],
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: BandwidthMetrics,
}

impl BandwidthLimiter {
    /// Counts in this recorder, too.
    #[must_use]
    pub fn metrics(mut self, recorder: &dyn Recorder) -> Self {
        self.metrics = BandwidthMetrics::new(recorder, &self.limit.id);
        self
    }

    /// What it says.
    pub const fn limit(&self) -> &BandwidthLimit {
        &self.limit
    }

    pub(super) const fn pace(&self, direction: Direction) -> Option<&Pace> {
        self.paces[direction as usize].as_ref()
    }

    /// What paces the content of a request, and that of its response; or, for a tunnel, what the
    /// client sends and what it gets. None where there is no rate, or it does not hold.
    pub fn pacers(self: &Arc<Self>, head: &RequestHead<'_>) -> [Option<Pacer>; 2] {
        [Direction::Upload, Direction::Download].map(|direction| {
            let pace = self.pace(direction)?;
            let key = pace.hash(self.limit.scope.key(head, None)?);
            Some(Pacer::new(Arc::clone(self), direction, key))
        })
    }

    /// Said only to who asks what would be: it is decided of every request alike.
    pub(super) fn note(&self, exchange: &Exchange) {
        let said = [("up", self.limit.upload), ("down", self.limit.download)];
        let said = said.iter().filter_map(|(way, rate)| Some((way, (*rate)?.bytes())));
        let said: Vec<_> = said.map(|(way, bytes)| format!("{bytes} bytes/s {way}")).collect();
        exchange.decide(Decision {
            layer: "bandwidth",
            rule: Some(Arc::clone(&self.limit.id)),
            verdict: Verdict::Allow,
            reason: format!("at most {}", said.join(", ")).into(),
        });
    }
}

impl fmt::Debug for BandwidthLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BandwidthLimiter").field("limit", &self.limit).finish_non_exhaustive()
    }
}
