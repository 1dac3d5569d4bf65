//! `StoredCoder`: coded forms of what a cache has stored.

mod form;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use proxy_core::{ContentCoder, Effort, NotCoded};

use crate::codings::{Coding, Levels};
use crate::config::CompressConfig;
use crate::eligibility::{self, Candidate, Eligibility};
use crate::encoder::{Encoder, Settings};
use crate::load::{LoadGuard, LoadStep};
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
    guard: Option<LoadGuard>,
    has_siblings: bool,
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
            guard: None,
            has_siblings: false,
        }
    }

    /// Under the eye of this guard: what is coded here counts, quick forms are made at the levels
    /// that it leaves, and thorough ones only where it leaves all. Default: none.
    #[must_use]
    pub fn guard(mut self, guard: LoadGuard) -> Self {
        self.guard = Some(guard);
        self
    }

    /// Has the cache ask for files that stand beside the original and are coded already: with
    /// [`Coding::file_ending`] behind its name. What they are is used if it decodes to the original.
    /// Default: none are asked for.
    #[must_use]
    pub const fn siblings(mut self, has_siblings: bool) -> Self {
        self.has_siblings = has_siblings;
        self
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

    /// The level at which there is time and memory for it.
    fn level_now(&self, coding: Coding, len: u64, effort: Effort) -> Result<u8, NotCoded> {
        let mut level = self.level(coding, len, effort);
        let step = self.guard.as_ref().map_or(LoadStep::Full, LoadGuard::step);
        match effort {
            Effort::Thorough if step > LoadStep::Full => return Err(NotCoded::NotNow),
            Effort::Thorough => {}
            Effort::Quick => {
                let left = step
                    .lower(self.quick)
                    .ok_or(NotCoded::NotNow)?
                    .at_most(Levels::MOST_ON_THE_FLY);
                level = level.min(left.of(coding));
            }
        }
        // Where an encoder of this level would never get its memory, a lower one does.
        let is_too_heavy =
            |level| self.pool.never_fits(coding, Settings { level, len: Some(len), live: false });
        while level > *coding.levels().start() && is_too_heavy(level) {
            level -= 1;
        }
        if is_too_heavy(level) {
            return Err(NotCoded::Useless);
        }
        Ok(level)
    }
}

impl ContentCoder for StoredCoder {
    fn codings(&self) -> &[&'static str] {
        &self.codings
    }

    fn is_eligible(&self, response: &HeaderMap, len: Option<u64>) -> bool {
        let candidate =
            Candidate { status: StatusCode::OK, fields: response, len, authorized: false };
        len.is_none_or(|len| len <= self.limits.max_size)
            && eligibility::can_be_coded(StatusCode::OK, response).is_ok()
            && self.eligibility.judge(candidate).is_ok()
    }

    fn code(&self, coding: &str, content: &[Bytes], effort: Effort) -> Result<Bytes, NotCoded> {
        let coding = Coding::parse(coding).ok_or(NotCoded::Useless)?;
        let len: usize = content.iter().map(Bytes::len).sum();
        let level = self.level_now(coding, len as u64, effort)?;
        let settings = Settings { level, len: Some(len as u64), live: false };
        let mut lease = self.pool.take(coding, settings).map_err(|_| NotCoded::NotNow)?;
        let encoder = lease.encoder().map_err(|_| NotCoded::Useless)?;
        let coded = match &self.guard {
            Some(guard) => guard.measure(|| smaller(encoder, content, len)).0,
            None => smaller(encoder, content, len),
        };
        coded.ok_or(NotCoded::Useless)
    }

    fn sibling(&self, coding: &str) -> Option<&'static str> {
        self.has_siblings.then(|| Coding::parse(coding).map(Coding::file_ending)).flatten()
    }

    fn is_form_of(&self, coding: &str, coded: &[u8], content: &[Bytes]) -> bool {
        let is_it = || form::is_form_of(coding, coded, content);
        self.guard.as_ref().map_or_else(is_it, |guard| guard.measure(is_it).0)
    }

    fn has_thorough(&self, coding: &str, len: u64) -> bool {
        Coding::parse(coding).is_some_and(|coding| {
            self.level(coding, len, Effort::Thorough) > self.level(coding, len, Effort::Quick)
        })
    }
}

/// The coded content, where it is smaller.
fn smaller(encoder: &mut Encoder, content: &[Bytes], len: usize) -> Option<Bytes> {
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

impl std::fmt::Debug for StoredCoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredCoder").field("codings", &self.codings).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proxy_testkit::ManualClock;

    use super::*;
    use crate::load::LoadLimits;
    use crate::pool::EncoderLimits;

    fn text(len: usize) -> [Bytes; 1] {
        let text = (0..).flat_map(|n: u32| format!("line {n} of some text; ").into_bytes());
        [text.take(len).collect()]
    }

    fn coder(in_use: usize) -> StoredCoder {
        let pool = EncoderPool::new(EncoderLimits { in_use, idle: 0 }, None);
        StoredCoder::new(&CompressConfig::default(), StoredLimits::default(), pool)
    }

    #[test]
    fn without_memory_it_says_not_now() {
        let coder = coder(8 << 20);
        let content = text(100_000);
        let settings = Settings { level: 1, len: None, live: false };
        let mut leases = Vec::new();
        while let Ok(lease) = coder.pool.take(Coding::Gzip, settings) {
            leases.push(lease);
        }
        for coding in Coding::ALL {
            let code = || coder.code(coding.token(), &content, Effort::Quick);
            assert_eq!(code(), Err(NotCoded::NotNow), "{coding}");
        }
        drop(leases);
        for coding in Coding::ALL {
            assert!(coder.code(coding.token(), &content, Effort::Quick).is_ok(), "{coding}");
        }
        assert_eq!(
            coder.code("br", &[Bytes::from_static(b"abc")], Effort::Quick),
            Err(NotCoded::Useless)
        );
    }

    #[test]
    fn a_level_that_never_gets_its_memory_gives_way_to_a_lower_one() {
        let coder = coder(8 << 20);
        let content = text(1 << 20);
        for coding in Coding::ALL {
            assert!(coder.code(coding.token(), &content, Effort::Thorough).is_ok(), "{coding}");
        }
    }

    #[test]
    fn under_load_there_is_no_thorough_form_and_then_none() {
        let clock = ManualClock::new();
        let guard = LoadGuard::new(Arc::new(clock.clone()), LoadLimits::default(), None);
        let coder = coder(64 << 20).guard(guard.clone());
        let content = text(100_000);
        let code = |effort| coder.code("gzip", &content, effort).map(|_| ());
        assert_eq!((code(Effort::Quick), code(Effort::Thorough)), (Ok(()), Ok(())));
        let window = Duration::from_millis(500);
        guard.measure(|| clock.advance(window));
        assert_eq!((code(Effort::Quick), code(Effort::Thorough)), (Ok(()), Err(NotCoded::NotNow)));
        for _ in 0..2 {
            guard.measure(|| clock.advance(window));
        }
        assert_eq!(code(Effort::Quick), Err(NotCoded::NotNow));
    }
}
