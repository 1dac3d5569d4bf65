//! Compression of a route, or of the forward role: from a policy to layers, and to the coder of a
//! cache.

use std::sync::Arc;

use metrics::Recorder;
use proxy_cache::DerivingQueues;
use proxy_compress::{
    CompressConfig, CompressLayer, CompressMetrics, DecodeLayer, DictionaryLimits, DictionaryStore,
    EncoderLimits, EncoderPool, LoadGuard, LoadLimits, Rules, StoredCoder, StoredLimits,
    Unacceptable,
};
use proxy_core::{ContentCoder, SystemClock, TokioSpawn, WorkQueue};

use crate::cache::CacheRole;
use crate::config::resolved::{CompressLimits, CompressPolicy};

/// Coded forms that wait to be made for the cache, at most: as many first ones, and as many
/// thorough ones.
const QUEUED: usize = 64;

/// What all that compress share: they have one processor and one memory.
#[derive(Clone, Debug)]
pub struct Coders {
    pool: EncoderPool,
    guard: LoadGuard,
    queues: DerivingQueues,
    dictionaries: Option<DictionaryStore>,
    limits: CompressLimits,
}

impl Coders {
    /// Within these limits.
    pub fn new(limits: CompressLimits, recorder: Option<&dyn Recorder>) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let in_use = usize::try_from(limits.memory).unwrap_or(usize::MAX);
        let encoders = EncoderLimits { in_use, ..EncoderLimits::default() };
        let load = LoadLimits {
            share: limits.cpu_percent,
            processors: u16::try_from(processors).unwrap_or(u16::MAX),
        };
        let queue = || WorkQueue::new(Arc::new(TokioSpawn), 1, QUEUED);
        Self {
            limits,
            pool: EncoderPool::new(encoders, recorder),
            guard: LoadGuard::new(Arc::new(SystemClock), load, recorder),
            // One of a kind at a time: the rest of the machine is for those who wait.
            queues: DerivingQueues { quick: queue(), thorough: queue() },
            dictionaries: limits.dictionaries.map(|memory| {
                let memory = usize::try_from(memory).unwrap_or(usize::MAX);
                DictionaryStore::new(DictionaryLimits { memory, ..DictionaryLimits::default() })
            }),
        }
    }

    /// Its limits.
    pub const fn limits(&self) -> &CompressLimits {
        &self.limits
    }

    /// Where forms for the cache are made.
    pub const fn queues(&self) -> &DerivingQueues {
        &self.queues
    }

    /// Brings the gauge of the guard up to date: nothing else does while nothing is asked for.
    pub fn upkeep(&self) {
        self.guard.step();
    }

    /// The layer that codes.
    pub fn layer(
        &self,
        policy: &CompressPolicy,
        role: &CacheRole,
        recorder: Option<&dyn Recorder>,
    ) -> CompressLayer {
        let metrics = match recorder {
            Some(recorder) => CompressMetrics::new(recorder, role.route()),
            None => CompressMetrics::default(),
        };
        let builder = CompressLayer::builder(config(policy), Arc::new(SystemClock))
            .pool(self.pool.clone())
            .guard(self.guard.clone())
            .metrics(metrics);
        match &self.dictionaries {
            Some(store) => builder.dictionaries(store.clone()).build(),
            None => builder.build(),
        }
    }

    /// What makes coded forms for the cache of the same role; none where the upstream's are wanted.
    pub fn stored(&self, policy: &CompressPolicy) -> Option<Arc<dyn ContentCoder>> {
        if policy.from_upstream {
            return None;
        }
        let limits = StoredLimits { max_size: policy.max_stored, levels: policy.stored_levels };
        let coder = StoredCoder::new(&config(policy), limits, self.pool.clone());
        Some(Arc::new(coder.guard(self.guard.clone()).siblings(policy.precompressed)))
    }
}

/// The layer that takes codings off, where that is wanted.
pub fn decode(policy: &CompressPolicy) -> Option<DecodeLayer> {
    policy.decode.then(DecodeLayer::default)
}

fn config(policy: &CompressPolicy) -> CompressConfig {
    CompressConfig {
        codings: policy.codings.clone(),
        levels: policy.levels,
        from_inside: policy.from_upstream,
        eligibility: Arc::new(Rules {
            content_types: policy.content_types.clone(),
            min_size: policy.min_size,
            secrets: policy.secrets,
        }),
        unacceptable: match policy.refuse {
            true => Unacceptable::Refuse,
            false => Unacceptable::Identity,
        },
    }
}
