//! What coding needs while it goes on.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::HeaderMap;
use proxy_core::BoxError;

use crate::codings::Coding;
use crate::encoder::EncodeError;
use crate::pool::Lease;
use crate::service::Shared;

/// Coded bytes in one frame, at most.
const FRAME: usize = 16 * 1024;

/// Coded bytes that are copied out of the buffer instead of giving it away.
const SMALL: usize = 4 * 1024;

/// What one call of an encoder is given, at most.
const PIECE: usize = 16 * 1024;

/// Everything that coding needs.
pub(crate) struct Coded {
    /// Goes back as soon as the content is over.
    pub(super) lease: Option<Lease>,
    coding: Coding,
    has_dictionary: bool,
    shared: Arc<Shared>,
    /// Content that is not coded yet.
    pub(super) input: Bytes,
    pub(super) out: Vec<u8>,
    /// What was taken in since the last flush.
    pub(super) dirty: bool,
    /// A flush has begun: nothing else may be done before it is at its end.
    pub(super) flushing: bool,
    pub(super) then: Then,
    bytes_in: u64,
    bytes_out: u64,
    took: Duration,
}

/// What comes when the input is coded.
pub(super) enum Then {
    Read,
    /// The content is over.
    Finish(Option<HeaderMap>),
    /// It has broken off: what was there before still goes out.
    Break(BoxError),
    Trailers(HeaderMap),
    End,
}

impl Coded {
    pub(crate) fn new(lease: Lease, coding: Coding, shared: &Arc<Shared>) -> Self {
        Self {
            lease: Some(lease),
            coding,
            has_dictionary: false,
            shared: Arc::clone(shared),
            input: Bytes::new(),
            out: Vec::new(),
            dirty: false,
            flushing: false,
            then: Then::Read,
            bytes_in: 0,
            bytes_out: 0,
            took: Duration::ZERO,
        }
    }

    /// Puts this before all that is coded, which needs a dictionary.
    pub(crate) fn begin_with(&mut self, preamble: Vec<u8>) {
        self.has_dictionary = true;
        self.out.reserve_exact(FRAME);
        self.out.extend(preamble);
    }

    fn is_full(&self) -> bool {
        self.out.len() == self.out.capacity()
    }

    /// The coded bytes so far.
    pub(super) fn give(&mut self) -> Bytes {
        self.bytes_out += self.out.len() as u64;
        if self.out.len() > SMALL {
            return Bytes::from(std::mem::take(&mut self.out));
        }
        let given = Bytes::copy_from_slice(&self.out);
        self.out.clear();
        given
    }

    /// One call of the encoder, by the clock.
    fn encode<T>(
        &mut self,
        call: impl FnOnce(&mut crate::encoder::Encoder, &mut Vec<u8>, &Bytes) -> Result<T, EncodeError>,
    ) -> Result<T, EncodeError> {
        if self.out.capacity() == 0 {
            self.out.reserve_exact(FRAME);
        }
        let Self { lease, out, input, shared, .. } = self;
        let lease = lease.as_mut().ok_or(EncodeError(self.coding))?;
        let encoder = lease.encoder()?;
        let (result, took) = shared.guard.measure(|| call(encoder, out, input));
        self.took += took;
        if result.is_err() {
            lease.spoil();
        }
        result
    }

    /// Codes of the input what is due in this poll, or until a frame is full.
    pub(super) fn code_input(&mut self, budget: &mut usize) -> Result<(), EncodeError> {
        while !self.input.is_empty() && !self.is_full_frame() && *budget > 0 {
            let most = PIECE.min(*budget);
            let used = self.encode(|encoder, out, input| {
                encoder.write(&input[..input.len().min(most)], out)
            })?;
            self.input.advance(used);
            self.bytes_in += used as u64;
            self.dirty = true;
            *budget -= used;
            if used == 0 && !self.is_full() {
                return Err(EncodeError(self.coding));
            }
        }
        Ok(())
    }

    pub(super) fn is_full_frame(&self) -> bool {
        !self.out.is_empty() && self.is_full()
    }

    /// Goes on with a flush; true where it is at its end.
    pub(super) fn flush(&mut self) -> Result<bool, EncodeError> {
        let done = self.encode(|encoder, out, _| encoder.flush(out))?;
        self.flushing = !done;
        self.dirty = !done;
        Ok(done)
    }

    pub(super) fn finish(&mut self) -> Result<bool, EncodeError> {
        self.encode(|encoder, out, _| encoder.finish(out))
    }
}

/// What was coded is counted once, however it ends.
impl Drop for Coded {
    fn drop(&mut self) {
        self.bytes_out += self.out.len() as u64;
        let (coding, dictionary) = (self.coding, self.has_dictionary);
        let (bytes_in, bytes_out) = (self.bytes_in, self.bytes_out);
        self.shared.metrics.coded(coding, dictionary, bytes_in, bytes_out, self.took);
    }
}
