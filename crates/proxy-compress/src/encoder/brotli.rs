//! br, by the `brotli` crate.

use ::brotli::enc::StandardAlloc;
use ::brotli::enc::encode::BrotliEncoderParameter as Parameter;
use ::brotli::enc::encode::{BrotliEncoderOperation, BrotliEncoderStateStruct};

use super::{EncodeError, Settings};
use crate::codings::Coding;

/// Windows of streams whose length nobody knows: 64 KiB for drops, 512 KiB for floods.
const LIVE_WINDOW: u32 = 16;
const STREAM_WINDOW: u32 = 19;
/// The largest, where the length is known: 4 MiB.
const MAX_WINDOW: u32 = 22;

pub(crate) struct Brotli {
    state: BrotliEncoderStateStruct<StandardAlloc>,
}

impl Brotli {
    pub(super) fn new(settings: Settings) -> Self {
        let mut state = BrotliEncoderStateStruct::new(StandardAlloc::default());
        state.set_parameter(Parameter::BROTLI_PARAM_QUALITY, u32::from(settings.level));
        state.set_parameter(Parameter::BROTLI_PARAM_LGWIN, window(settings));
        if let Some(len) = settings.len {
            let hint = u32::try_from(len).unwrap_or(u32::MAX);
            state.set_parameter(Parameter::BROTLI_PARAM_SIZE_HINT, hint);
        }
        Self { state }
    }

    pub(super) fn weight(settings: Settings) -> usize {
        let window = 1usize << window(settings);
        let tables = match settings.level {
            0..=4 => 512 << 10,
            5..=9 => 2 << 20,
            _ => 8 << 20,
        };
        2 * window + tables
    }

    pub(super) fn write(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, EncodeError> {
        if !self.take(out) {
            return Ok(0);
        }
        let used = self.run(BrotliEncoderOperation::BROTLI_OPERATION_PROCESS, input)?;
        self.take(out);
        Ok(used)
    }

    pub(super) fn flush(&mut self, out: &mut Vec<u8>) -> Result<bool, EncodeError> {
        self.drive(BrotliEncoderOperation::BROTLI_OPERATION_FLUSH, out)
    }

    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> Result<bool, EncodeError> {
        let done = self.drive(BrotliEncoderOperation::BROTLI_OPERATION_FINISH, out)?;
        Ok(done && self.state.is_finished())
    }

    fn drive(
        &mut self,
        operation: BrotliEncoderOperation,
        out: &mut Vec<u8>,
    ) -> Result<bool, EncodeError> {
        // What is left of an operation comes before it is asked for again.
        if !self.take(out) {
            return Ok(false);
        }
        self.run(operation, &[])?;
        Ok(self.take(out))
    }

    /// One operation; what comes of it stays inside, for [`take`](Self::take).
    fn run(
        &mut self,
        operation: BrotliEncoderOperation,
        input: &[u8],
    ) -> Result<usize, EncodeError> {
        let (mut available, mut used) = (input.len(), 0);
        let done = self.state.compress_stream(
            operation,
            &mut available,
            input,
            &mut used,
            &mut 0,
            &mut [],
            &mut 0,
            &mut None,
            &mut |_, _, _, _| (),
        );
        done.then_some(used).ok_or(EncodeError(Coding::Brotli))
    }

    /// Moves finished bytes out as far as there is room; whether nothing is left.
    fn take(&mut self, out: &mut Vec<u8>) -> bool {
        while self.state.has_more_output() {
            let mut room = out.capacity() - out.len();
            if room == 0 {
                return false;
            }
            let taken = self.state.take_output(&mut room);
            // The slice may be longer than what was asked for.
            out.extend_from_slice(&taken[..room]);
        }
        true
    }
}

fn window(settings: Settings) -> u32 {
    match settings.len {
        _ if settings.live => LIVE_WINDOW,
        None => STREAM_WINDOW,
        // A window has 16 bytes less than its power of two.
        Some(len) => (len + 16).next_power_of_two().ilog2().clamp(LIVE_WINDOW, MAX_WINDOW),
    }
}
