//! Encoders in use and at rest, both bounded.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ::metrics::{Gauge, Recorder};

use crate::codings::Coding;
use crate::dictionary::Dictionary;
use crate::encoder::{self, EncodeError, Encoder, Settings};
use crate::metrics;

/// How much memory encoders may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncoderLimits {
    /// Memory of the encoders in use, in bytes, as counted by coding, level and window: a response
    /// that would go beyond it is not coded. What comes in drops, and may do so for hours, gets no
    /// encoder beyond half of it. Default: 256 MiB.
    pub in_use: usize,
    /// Memory of encoders at rest, in bytes: those beyond it are dropped. Default: 16 MiB.
    pub idle: usize,
}

impl Default for EncoderLimits {
    fn default() -> Self {
        Self { in_use: 256 << 20, idle: 16 << 20 }
    }
}

/// Encoders at rest. A clone is the same pool; one serves all layers of a process.
///
/// gzip and zstd encoders are used again; those of br can not be, and go when they are done.
#[derive(Clone, Default)]
pub struct EncoderPool(Arc<Inner>);

#[derive(Default)]
struct Inner {
    limits: EncoderLimits,
    in_use: AtomicUsize,
    /// Of it, of encoders of what comes in drops.
    live: AtomicUsize,
    encoders: AtomicUsize,
    idle: Mutex<Idle>,
    exported: Option<Gauge>,
}

#[derive(Default)]
struct Idle {
    /// By [`Coding::index`]; the one that was used last, last: it is warm.
    encoders: [Vec<Encoder>; 3],
    size: usize,
}

/// An encoder on loan: it goes back when this is dropped.
pub(crate) struct Lease {
    encoder: Option<Encoder>,
    coding: Coding,
    weight: usize,
    live: bool,
    pool: Arc<Inner>,
}

/// No encoder to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoEncoder {
    /// Too many are in use.
    Full,
    /// It can not be made.
    Failed,
}

impl From<EncodeError> for NoEncoder {
    fn from(_: EncodeError) -> Self {
        Self::Failed
    }
}

impl EncoderPool {
    /// An empty pool with these limits; where there is a recorder, it exports how many encoders are
    /// in use ([`metrics::ENCODERS`]).
    pub fn new(limits: EncoderLimits, recorder: Option<&dyn Recorder>) -> Self {
        let exported = recorder
            .map(|recorder| metrics::gauge(recorder, metrics::ENCODERS, "Encoders in use."));
        Self(Arc::new(Inner { limits, exported, ..Inner::default() }))
    }

    /// Encoders in use.
    pub fn in_use(&self) -> usize {
        self.0.encoders.load(Ordering::Relaxed)
    }

    /// Encoders at rest.
    pub fn idle(&self) -> usize {
        self.0.idle().encoders.iter().map(Vec::len).sum()
    }

    /// Memory of the encoders at rest, in bytes.
    pub fn idle_size(&self) -> usize {
        self.0.idle().size
    }

    /// Whether its memory is more than there ever is.
    pub(crate) fn never_fits(&self, coding: Coding, settings: Settings) -> bool {
        encoder::weight(coding, settings, None) > self.0.limits.in_use
    }

    pub(crate) fn take(&self, coding: Coding, settings: Settings) -> Result<Lease, NoEncoder> {
        self.take_with(coding, settings, None)
    }

    pub(crate) fn take_with(
        &self,
        coding: Coding,
        settings: Settings,
        dictionary: Option<&Dictionary>,
    ) -> Result<Lease, NoEncoder> {
        let weight = encoder::weight(coding, settings, dictionary);
        let Inner { in_use, live, limits, .. } = &*self.0;
        charge(in_use, weight, limits.in_use)?;
        // Many who listen for long must not keep the pages of all others from being coded.
        if settings.live
            && let Err(full) = charge(live, weight, limits.in_use / 2)
        {
            in_use.fetch_sub(weight, Ordering::Relaxed);
            return Err(full);
        }
        self.0.encoders.fetch_add(1, Ordering::Relaxed);
        if let Some(exported) = &self.0.exported {
            exported.increment(1.0);
        }
        // From here on it is given back whatever comes.
        let mut lease =
            Lease { encoder: None, coding, weight, live: settings.live, pool: Arc::clone(&self.0) };
        if let Some(dictionary) = dictionary {
            lease.encoder = Some(Encoder::with_dictionary(coding, settings, dictionary)?);
            return Ok(lease);
        }
        while let Some(mut used) = self.0.rested(coding, weight) {
            if used.renew(settings) {
                lease.encoder = Some(used);
                return Ok(lease);
            }
        }
        lease.encoder = Some(Encoder::new(coding, settings)?);
        Ok(lease)
    }
}

/// Adds to what is used, up to a limit.
fn charge(used: &AtomicUsize, weight: usize, limit: usize) -> Result<(), NoEncoder> {
    let charged = used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
        used.checked_add(weight).filter(|&sum| sum <= limit)
    });
    charged.map(|_| ()).map_err(|_| NoEncoder::Full)
}

impl Inner {
    fn idle(&self) -> std::sync::MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one that was used last of those that hold no more than is counted for it.
    fn rested(&self, coding: Coding, most: usize) -> Option<Encoder> {
        let mut idle = self.idle();
        let fits = |encoder: &Encoder| encoder.idle_size().is_some_and(|size| size <= most);
        let index = idle.encoders[coding.index()].iter().rposition(fits)?;
        let encoder = idle.encoders[coding.index()].remove(index);
        idle.size -= encoder.idle_size().unwrap_or(0);
        Some(encoder)
    }
}

impl Lease {
    pub(crate) fn encoder(&mut self) -> Result<&mut Encoder, EncodeError> {
        self.encoder.as_mut().ok_or(EncodeError(self.coding))
    }

    /// What can not go back: it broke.
    pub(crate) fn spoil(&mut self) {
        self.encoder = None;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.pool.in_use.fetch_sub(self.weight, Ordering::Relaxed);
        if self.live {
            self.pool.live.fetch_sub(self.weight, Ordering::Relaxed);
        }
        self.pool.encoders.fetch_sub(1, Ordering::Relaxed);
        if let Some(exported) = &self.pool.exported {
            exported.decrement(1.0);
        }
        let Some(encoder) = self.encoder.take() else { return };
        if std::thread::panicking() {
            // Nobody knows what state it is in.
            return;
        }
        let Some(size) = encoder.idle_size() else { return };
        let mut idle = self.pool.idle();
        if idle.size + size <= self.pool.limits.idle {
            idle.size += size;
            idle.encoders[self.coding.index()].push(encoder);
        }
    }
}

impl std::fmt::Debug for EncoderPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EncoderPool").field("in_use", &self.in_use()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
