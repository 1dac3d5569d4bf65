//! zstd, by the reference implementation.

use ::zstd::zstd_safe::zstd_sys::ZSTD_EndDirective as Directive;
use ::zstd::zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer, ResetDirective};

use super::{EncodeError, Settings};
use crate::codings::Coding;

const ERROR: EncodeError = EncodeError(Coding::Zstd);

/// Windows of streams whose length nobody knows: 128 KiB for drops, 512 KiB for floods.
const LIVE_WINDOW: u32 = 17;
const STREAM_WINDOW: u32 = 19;
/// What a receiver has to support (RFC 9659): 8 MiB.
const MAX_WINDOW: u32 = 23;

pub(crate) struct Zstd {
    context: CCtx<'static>,
    has_dictionary: bool,
}

impl Zstd {
    pub(super) fn new(settings: Settings) -> Result<Self, EncodeError> {
        let mut zstd = Self { context: CCtx::try_create().ok_or(ERROR)?, has_dictionary: false };
        zstd.renew(settings).then_some(zstd).ok_or(ERROR)
    }

    /// With content that both sides have, and a window over both.
    pub(super) fn with_dictionary(
        settings: Settings,
        dictionary: &[u8],
    ) -> Result<Self, EncodeError> {
        let mut zstd = Self::new(Settings { live: false, ..settings })?;
        let whole = super::beside(settings, dictionary.len()).len.unwrap_or(u64::MAX);
        let log = whole.next_power_of_two().ilog2().clamp(LIVE_WINDOW, MAX_WINDOW);
        zstd.context.set_parameter(CParameter::WindowLog(log)).map_err(|_| ERROR)?;
        zstd.context.load_dictionary(dictionary).map_err(|_| ERROR)?;
        zstd.has_dictionary = true;
        Ok(zstd)
    }

    /// It is not used again: it would keep the dictionary.
    pub(super) const fn has_dictionary(&self) -> bool {
        self.has_dictionary
    }

    pub(super) fn renew(&mut self, settings: Settings) -> bool {
        let level = CParameter::CompressionLevel(i32::from(settings.level));
        let window = match settings.len {
            _ if settings.live => Some(LIVE_WINDOW),
            None => Some(STREAM_WINDOW),
            // The level's own, made smaller for small content.
            Some(_) if settings.level < 20 => None,
            Some(_) => Some(MAX_WINDOW),
        };
        let context = &mut self.context;
        context.reset(ResetDirective::SessionAndParameters).is_ok()
            && context.set_parameter(level).is_ok()
            && window.is_none_or(|log| context.set_parameter(CParameter::WindowLog(log)).is_ok())
            && (!settings.live || Self::keep_small(context))
            && context.set_pledged_src_size(settings.len).is_ok()
    }

    /// Tables that fit a small window.
    fn keep_small(context: &mut CCtx<'_>) -> bool {
        let table = LIVE_WINDOW - 2;
        context.set_parameter(CParameter::HashLog(table)).is_ok()
            && context.set_parameter(CParameter::ChainLog(table)).is_ok()
    }

    pub(super) fn size(&self) -> usize {
        self.context.sizeof()
    }

    pub(super) fn weight(settings: Settings) -> usize {
        // As measured by `ZSTD_sizeof_CCtx`, rounded up.
        let whole = match settings.level {
            0..=2 => 3 << 19,
            3..=4 => 4 << 20,
            5..=9 => 12 << 20,
            10..=15 => 48 << 20,
            16..=19 => 96 << 20,
            _ if settings.len.is_none() => 704 << 20,
            _ => 144 << 20,
        };
        match settings.len {
            _ if settings.live && settings.level > 12 => 2 << 20,
            _ if settings.live => 1 << 20,
            None => whole,
            Some(len) => {
                let len = usize::try_from(len).unwrap_or(usize::MAX);
                let each = if settings.level < 5 { 16 } else { 32 };
                whole.min(len.saturating_mul(each).max(512 << 10))
            }
        }
    }

    pub(super) fn write(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, EncodeError> {
        self.run(input, out, Directive::ZSTD_e_continue).map(|(used, _)| used)
    }

    pub(super) fn flush(&mut self, out: &mut Vec<u8>) -> Result<bool, EncodeError> {
        self.run(&[], out, Directive::ZSTD_e_flush).map(|(_, left)| left == 0)
    }

    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> Result<bool, EncodeError> {
        self.run(&[], out, Directive::ZSTD_e_end).map(|(_, left)| left == 0)
    }

    fn run(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        directive: Directive,
    ) -> Result<(usize, usize), EncodeError> {
        let from = out.len();
        let mut input = InBuffer::around(input);
        let mut output = OutBuffer::around_pos(out, from);
        let left = self.context.compress_stream2(&mut output, &mut input, directive);
        Ok((input.pos(), left.map_err(|_| ERROR)?))
    }
}
