//! Codings over each other, taken off one after the other, within caps.

use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use proxy_core::fields;

use super::stages::is_known;
use super::{ContentDecoder, DecodeError, decoder};

/// How far decoding goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Decoded bytes; also of what comes out of the inner ones of nested codings. Default: 1 GiB.
    pub size: u64,
    /// How many times its coded size content may have, once it is larger than
    /// [`grace`](Self::grace). Default: 200. Deflate can reach about 1030, zstd and br much more.
    pub ratio: u32,
    /// Decoded bytes that are not looked at for their ratio. Default: 8 MiB.
    pub grace: u64,
    /// Codings over each other. Default: 2.
    pub nesting: usize,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self { size: 1 << 30, ratio: 200, grace: 8 << 20, nesting: 2 }
    }
}

/// Room for what passes between two stages.
const BETWEEN: usize = 8 * 1024;

/// Decodes content with one coding or several. Its memory is that of its decoders, each at most a
/// window of 8 MiB (16 MiB with br), and 8 KiB between two of them.
pub struct Unpacker {
    /// The outermost coding first.
    stages: Vec<Stage>,
    limits: DecodeLimits,
    taken: u64,
    stalled: bool,
}

struct Stage {
    decoder: Box<dyn ContentDecoder>,
    /// What the stage before gave, from `at` on.
    input: Vec<u8>,
    at: usize,
    /// How much went through here: caps are for every stage.
    given: u64,
}

impl Unpacker {
    /// For content with these fields. `None` where it has no coding.
    ///
    /// # Errors
    /// Where a coding is unknown, or there are too many.
    pub fn new(response: &HeaderMap, limits: DecodeLimits) -> Result<Option<Self>, DecodeError> {
        let mut stages = Vec::with_capacity(Self::check(response, limits)?);
        for name in names(response) {
            let decoder = decoder(name).ok_or(DecodeError::Unknown)?;
            stages.push(Stage { decoder, input: Vec::new(), at: 0, given: 0 });
        }
        // They are listed in the order in which they were applied (RFC 9110 section 8.4).
        stages.reverse();
        Ok((!stages.is_empty()).then_some(Self { stages, limits, taken: 0, stalled: false }))
    }

    /// How many codings there are, all known: nothing is made for them yet.
    pub(super) fn check(response: &HeaderMap, limits: DecodeLimits) -> Result<usize, DecodeError> {
        let mut stages = 0;
        for name in names(response) {
            if stages == limits.nesting {
                return Err(DecodeError::Nested(limits.nesting));
            }
            if !is_known(name) {
                return Err(DecodeError::Unknown);
            }
            stages += 1;
        }
        Ok(stages)
    }

    /// Decodes some of `input` to the free capacity of `out`; how much of the input was used. To be
    /// called again until it [`wants_input`](Self::wants_input) or `out` is full.
    ///
    /// # Errors
    /// Where the content is malformed, or goes beyond the limits.
    pub fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, DecodeError> {
        let mut moved = false;
        let mut used = 0;
        // What waits farthest inside goes first: it makes room for what is before it.
        for index in (0..self.stages.len()).rev() {
            let (these, next) = self.stages.split_at_mut(index + 1);
            let stage = &mut these[index];
            let out = match next.first_mut() {
                Some(next) if next.at < next.input.len() => continue,
                Some(next) => {
                    next.input.clear();
                    next.at = 0;
                    next.input.reserve_exact(BETWEEN);
                    &mut next.input
                }
                None => &mut *out,
            };
            let before = out.len();
            let waiting = if index == 0 { input } else { &stage.input[stage.at..] };
            let taken = stage.decoder.decode(waiting, out)?;
            let given = out.len() - before;
            stage.given += given as u64;
            moved |= taken > 0 || given > 0;
            if index == 0 {
                used = taken;
                self.taken += taken as u64;
            } else {
                stage.at += taken;
            }
            self.limits.judge(self.taken, stage.given)?;
        }
        self.stalled = !moved;
        Ok(used)
    }

    /// Whether nothing more comes out of what it was given.
    pub fn wants_input(&self) -> bool {
        self.stalled
    }

    /// Whether the content may end here.
    pub fn is_ended(&self) -> bool {
        let is_ended = |stage: &Stage| stage.decoder.is_ended() && stage.at == stage.input.len();
        self.taken == 0 || self.stages.iter().all(is_ended)
    }

    /// Coded bytes so far.
    pub const fn taken(&self) -> u64 {
        self.taken
    }

    /// Decoded bytes so far.
    pub fn given(&self) -> u64 {
        self.stages.last().map_or(0, |stage| stage.given)
    }
}

/// The codings of a response, in the order in which they were applied.
fn names(response: &HeaderMap) -> impl Iterator<Item = &str> {
    fields::list(response, &CONTENT_ENCODING).filter(|name| !name.eq_ignore_ascii_case("identity"))
}

impl DecodeLimits {
    /// Judges what one stage gave for what was taken in all.
    fn judge(self, taken: u64, given: u64) -> Result<(), DecodeError> {
        if given > self.size {
            return Err(DecodeError::TooLarge(self.size));
        }
        if given > self.grace && given > taken.saturating_mul(self.ratio.into()) {
            return Err(DecodeError::Bomb(self.ratio));
        }
        Ok(())
    }
}

impl std::fmt::Debug for Unpacker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unpacker").field("stages", &self.stages.len()).finish_non_exhaustive()
    }
}
