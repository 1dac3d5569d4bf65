//! `StoredCoder`: coded forms of what a cache has stored.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use proxy_core::{ContentCoder, Effort};

use crate::codings::{Coding, Levels};
use crate::config::CompressConfig;
use crate::eligibility::{self, Candidate, Eligibility};
use crate::encoder::Settings;
use crate::pool::EncoderPool;

/// How far coding for a cache goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredLimits {
    /// The largest content that is coded to be stored, in bytes. What is larger is coded for each
    /// client as it is sent. Default: 8 MiB.
    pub max_size: u64,
    /// The levels of [`Effort::Thorough`]. Default: zstd 19, br 11, gzip 9. Content of more than 256
    /// KiB gets at most br 9, of more than 1 MiB at most zstd 12 and br 6: beyond that, seconds of
    /// work win a percent.
    pub levels: Levels,
}

impl Default for StoredLimits {
    fn default() -> Self {
        Self { max_size: 8 << 20, levels: Levels::STORED }
    }
}

/// Codes what a cache has stored ([`ContentCoder`]): quickly at first, thoroughly in the background.
pub struct StoredCoder {
    codings: Box<[&'static str]>,
    eligibility: Arc<dyn Eligibility>,
    quick: Levels,
    limits: StoredLimits,
    pool: EncoderPool,
}

impl StoredCoder {
    /// A coder that agrees with a [`CompressLayer`](crate::CompressLayer) of this configuration.
    pub fn new(config: &CompressConfig, limits: StoredLimits, pool: EncoderPool) -> Self {
        let codings = crate::ask::Codings::new(&config.codings);
        Self {
            codings: codings.tokens().into(),
            eligibility: Arc::clone(&config.eligibility),
            quick: config.levels,
            limits,
            pool,
        }
    }

    fn level(&self, coding: Coding, len: u64, effort: Effort) -> u8 {
        let quick = self.quick.of(coding);
        if effort == Effort::Quick {
            return quick;
        }
        let most = match len {
            0..=0x4_0000 => Levels { zstd: 22, br: 11, gzip: 9 },
            0x4_0001..=0x10_0000 => Levels { zstd: 19, br: 9, gzip: 9 },
            _ => Levels { zstd: 12, br: 6, gzip: 9 },
        };
        self.limits.levels.at_most(most).of(coding).max(quick)
    }
}

impl ContentCoder for StoredCoder {
    fn codings(&self) -> &[&'static str] {
        &self.codings
    }

    fn is_eligible(&self, response: &HeaderMap, len: u64) -> bool {
        // What the cache asks of content that is still coming, whose length nobody knows.
        let len = (len != u64::MAX).then_some(len);
        let candidate =
            Candidate { status: StatusCode::OK, fields: response, len, authorized: false };
        len.is_none_or(|len| len <= self.limits.max_size)
            && eligibility::can_be_coded(StatusCode::OK, response).is_ok()
            && self.eligibility.judge(candidate).is_ok()
    }

    fn code(&self, coding: &str, content: &[Bytes], effort: Effort) -> Option<Bytes> {
        let coding = Coding::parse(coding)?;
        let len: usize = content.iter().map(Bytes::len).sum();
        let level = self.level(coding, len as u64, effort);
        let settings = Settings { level, len: Some(len as u64), live: false };
        let mut lease = self.pool.take(coding, settings).ok()?;
        let encoder = lease.encoder().ok()?;
        // What is no smaller than the original is of no use: there is no more room than that.
        let mut out = Vec::with_capacity(len);
        for piece in content {
            let mut piece = &piece[..];
            while !piece.is_empty() {
                let used = encoder.write(piece, &mut out).ok()?;
                piece = &piece[used..];
                if used == 0 {
                    return None;
                }
            }
        }
        while !encoder.finish(&mut out).ok()? {
            if out.len() == out.capacity() {
                return None;
            }
        }
        out.shrink_to_fit();
        (out.len() < len).then(|| Bytes::from(out))
    }

    fn has_thorough(&self, coding: &str, len: u64) -> bool {
        Coding::parse(coding).is_some_and(|coding| {
            self.level(coding, len, Effort::Thorough) > self.level(coding, len, Effort::Quick)
        })
    }
}

impl std::fmt::Debug for StoredCoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredCoder").field("codings", &self.codings).finish_non_exhaustive()
    }
}
