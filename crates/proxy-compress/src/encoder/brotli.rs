//! br, by the `brotli` crate.

use ::brotli::enc::encode::BrotliEncoderParameter as Parameter;
use ::brotli::enc::encode::{BrotliEncoderOperation, BrotliEncoderStateStruct};
use ::brotli::enc::{BrotliAlloc, StandardAlloc};

use super::{EncodeError, Settings};
use crate::codings::Coding;

/// Windows of streams whose length nobody knows: 64 KiB for drops, 512 KiB for floods.
const LIVE_WINDOW: u32 = 16;
const STREAM_WINDOW: u32 = 19;
/// With less than this, levels 5 to 9 take a table of 32 MiB.
const TABLE_WINDOW: u32 = 17;
/// The largest, where the length is known: 4 MiB.
const MAX_WINDOW: u32 = 22;

pub(crate) struct Brotli {
    state: BrotliEncoderStateStruct<StandardAlloc>,
}

impl Brotli {
    pub(super) fn new(settings: Settings) -> Self {
        let mut state = BrotliEncoderStateStruct::new(StandardAlloc::default());
        set_up(&mut state, settings);
        Self { state }
    }

    /// With content that both sides have, as if it had just gone through. Its static dictionary is
    /// not used then, and its lowest levels know no other.
    pub(super) fn with_dictionary(settings: Settings, dictionary: &[u8]) -> Self {
        let settings = Settings { level: settings.level.max(2), ..settings };
        let mut state = BrotliEncoderStateStruct::new(StandardAlloc::default());
        set_up(&mut state, super::beside(settings, dictionary.len()));
        state.set_custom_dictionary(dictionary.len(), dictionary);
        Self { state }
    }

    pub(super) fn weight(settings: Settings) -> usize {
        let window = 1usize << window(settings);
        // The hashers' tables, most of them of one size for content of any size; commands and
        // literals of a block; from 10 on the tree over the window, and what is laid out over it.
        let tables = match settings.level {
            0..=3 => 1 << 20,
            4..=5 => 5 << 20,
            6 => 7 << 20,
            7 => 12 << 20,
            8 => 20 << 20,
            9 => 36 << 20,
            _ => 8 * window + (24 << 20),
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

fn set_up<A: BrotliAlloc>(state: &mut BrotliEncoderStateStruct<A>, settings: Settings) {
    state.set_parameter(Parameter::BROTLI_PARAM_QUALITY, u32::from(settings.level));
    state.set_parameter(Parameter::BROTLI_PARAM_LGWIN, window(settings));
    if let Some(len) = settings.len {
        let hint = u32::try_from(len).unwrap_or(u32::MAX);
        state.set_parameter(Parameter::BROTLI_PARAM_SIZE_HINT, hint);
    }
}

fn window(settings: Settings) -> u32 {
    let least = if (5..10).contains(&settings.level) { TABLE_WINDOW } else { LIVE_WINDOW };
    match settings.len {
        _ if settings.live => least,
        None => STREAM_WINDOW,
        // A window has 16 bytes less than its power of two.
        Some(len) => (len + 16).next_power_of_two().ilog2().clamp(least, MAX_WINDOW),
    }
}

/// Codes all of it, with memory of this allocator.
#[cfg(test)]
pub(super) fn code_with<A: BrotliAlloc>(alloc: A, settings: Settings, mut content: &[u8]) {
    let mut state = BrotliEncoderStateStruct::new(alloc);
    set_up(&mut state, settings);
    while !state.is_finished() {
        let (mut available, mut used) = (content.len(), 0);
        let operation = match available {
            0 => BrotliEncoderOperation::BROTLI_OPERATION_FINISH,
            _ => BrotliEncoderOperation::BROTLI_OPERATION_PROCESS,
        };
        let done = state.compress_stream(
            operation,
            &mut available,
            content,
            &mut used,
            &mut 0,
            &mut [],
            &mut 0,
            &mut None,
            &mut |_, _, _, _| (),
        );
        assert!(done);
        content = &content[used..];
        while state.has_more_output() {
            state.take_output(&mut 0);
        }
    }
}
