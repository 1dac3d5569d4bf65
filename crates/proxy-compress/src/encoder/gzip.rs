//! gzip, by zlib-rs.

use flate2::{Compress, Compression, FlushCompress, Status};

use super::{EncodeError, Settings};
use crate::codings::Coding;

/// What one encoder holds: a window and the tables over it.
pub(super) const SIZE: usize = 320 * 1024;

/// Its window, as a power of two: the largest there is.
const WINDOW: u8 = 15;

pub(crate) struct Gzip {
    inner: Compress,
    level: u8,
}

impl Gzip {
    pub(super) fn new(settings: Settings) -> Self {
        let level = Compression::new(u32::from(settings.level));
        let inner = Compress::new_gzip(level, WINDOW);
        Self { inner, level: settings.level }
    }

    pub(super) fn renew(&mut self, settings: Settings) -> bool {
        self.inner.reset();
        if self.level == settings.level {
            return true;
        }
        self.level = settings.level;
        self.inner.set_level(Compression::new(u32::from(settings.level))).is_ok()
    }

    pub(super) fn write(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, EncodeError> {
        let before = self.inner.total_in();
        self.run(input, out, FlushCompress::None)?;
        Ok((self.inner.total_in() - before) as usize)
    }

    pub(super) fn flush(&mut self, out: &mut Vec<u8>) -> Result<bool, EncodeError> {
        // Once more with room left would write another empty block.
        if out.len() == out.capacity() {
            return Ok(false);
        }
        self.run(&[], out, FlushCompress::Sync)?;
        Ok(out.len() < out.capacity())
    }

    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> Result<bool, EncodeError> {
        Ok(self.run(&[], out, FlushCompress::Finish)? == Status::StreamEnd)
    }

    fn run(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        flush: FlushCompress,
    ) -> Result<Status, EncodeError> {
        self.inner.compress_vec(input, out, flush).map_err(|_| EncodeError(Coding::Gzip))
    }
}
