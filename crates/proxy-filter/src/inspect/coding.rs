//! Content codings, taken off so that what is under them can be looked at.
//!
//! The content itself is passed on as it came; only the inspection sees it decoded.

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::{Decompress, FlushDecompress, Status};

/// Bytes that one step gives at most.
const STEP: usize = 32 * 1024;

/// Takes one coding off, piece by piece.
pub trait ContentDecoder: Send {
    /// Decodes some of `input` to the end of `output`, at most a bounded amount, and gives how
    /// much of the input was used. When nothing is used and nothing comes out, more input is
    /// needed.
    ///
    /// # Errors
    /// Where the input is not of this coding.
    fn decode(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<usize, CodingError>;

    /// Whether what was decoded is whole: the coding says itself where it ends.
    fn is_complete(&mut self) -> bool;
}

/// Content that is not in the coding it is said to be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the content is not {0:?}")]
pub struct CodingError(pub Coding);

/// A content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Coding {
    /// RFC 1952.
    Gzip,
    /// RFC 1950, or RFC 1951 without its wrapper, which some send.
    Deflate,
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
    Zstd,
}

/// A decoder of the coding of this name.
pub(super) fn decoder(name: &[u8]) -> Option<Box<dyn ContentDecoder>> {
    let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
    if is(b"gzip") || is(b"x-gzip") {
        return Some(Box::new(Flate::gzip()));
    }
    if is(b"deflate") {
        return Some(Box::new(Flate::deflate()));
    }
    if is(b"br") {
        return Some(Box::new(Brotli::default()));
    }
    if is(b"zstd") {
        return Zstd::new().map(|z| Box::new(z) as Box<dyn ContentDecoder>);
    }
    None
}

/// gzip and deflate.
struct Flate {
    inner: flate2::write::MultiGzDecoder<Vec<u8>>,
    raw: Option<Decompress>,
    coding: Coding,
    started: bool,
    /// Deflate has come to its end.
    ended: bool,
}

impl Flate {
    fn gzip() -> Self {
        Self {
            inner: flate2::write::MultiGzDecoder::new(Vec::new()),
            raw: None,
            coding: Coding::Gzip,
            started: false,
            ended: false,
        }
    }

    fn deflate() -> Self {
        Self { coding: Coding::Deflate, ..Self::gzip() }
    }

    fn deflated(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<usize, CodingError> {
        let error = CodingError(Coding::Deflate);
        if !self.started {
            let Some(&first) = input.first() else { return Ok(0) };
            // A zlib wrapper begins with a method of 8.
            self.raw = Some(Decompress::new(first & 0x0F == 8));
            self.started = true;
        }
        if self.ended && !input.is_empty() {
            return Err(error);
        }
        let raw = self.raw.as_mut().ok_or(error)?;
        let before = raw.total_in();
        output.reserve(STEP);
        match raw.decompress_vec(input, output, FlushDecompress::None) {
            Ok(status) => {
                self.ended |= status == Status::StreamEnd;
                Ok((raw.total_in() - before) as usize)
            }
            Err(_) => Err(error),
        }
    }
}

impl ContentDecoder for Flate {
    fn decode(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<usize, CodingError> {
        use std::io::Write;
        if self.coding == Coding::Deflate {
            return self.deflated(input, output);
        }
        // A piece small enough that what comes out of it is bounded: deflate inflates at most
        // about a thousandfold.
        let piece = &input[..input.len().min(256)];
        let error = CodingError(Coding::Gzip);
        let used = match piece.is_empty() {
            true => 0,
            false => self.inner.write(piece).map_err(|_| error)?,
        };
        self.inner.flush().map_err(|_| error)?;
        output.append(self.inner.get_mut());
        Ok(used)
    }

    fn is_complete(&mut self) -> bool {
        match self.coding {
            Coding::Deflate => self.ended,
            _ => self.inner.try_finish().is_ok(),
        }
    }
}

/// br. Without the large windows that RFC 7932 does not know.
struct Brotli {
    state: BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    ended: bool,
}

impl Default for Brotli {
    fn default() -> Self {
        let alloc = StandardAlloc::default;
        Self { state: BrotliState::new_strict(alloc(), alloc(), alloc()), ended: false }
    }
}

impl ContentDecoder for Brotli {
    fn decode(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<usize, CodingError> {
        let error = CodingError(Coding::Brotli);
        if self.ended {
            return if input.is_empty() { Ok(0) } else { Err(error) };
        }
        let from = output.len();
        // What does not fit waits in the decoder for the next call.
        output.resize(from + STEP, 0);
        let (mut more, mut used) = (input.len(), 0);
        let (mut room, mut made, mut total) = (STEP, 0, 0);
        let result = BrotliDecompressStream(
            &mut more,
            &mut used,
            input,
            &mut room,
            &mut made,
            &mut output[from..],
            &mut total,
            &mut self.state,
        );
        output.truncate(from + made);
        match result {
            BrotliResult::ResultFailure => Err(error),
            result => {
                self.ended = matches!(result, BrotliResult::ResultSuccess);
                Ok(used)
            }
        }
    }

    fn is_complete(&mut self) -> bool {
        self.ended
    }
}

/// zstd.
struct Zstd {
    decoder: zstd::stream::raw::Decoder<'static>,
    ended: bool,
}

impl Zstd {
    fn new() -> Option<Self> {
        let mut decoder = zstd::stream::raw::Decoder::new().ok()?;
        // RFC 9659: 8 MiB is what a sender may ask for.
        decoder.set_parameter(zstd::zstd_safe::DParameter::WindowLogMax(23)).ok()?;
        Some(Self { decoder, ended: false })
    }
}

impl ContentDecoder for Zstd {
    fn decode(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<usize, CodingError> {
        use zstd::stream::raw::Operation;
        let from = output.len();
        output.resize(from + STEP, 0);
        let status = self.decoder.run_on_buffers(input, &mut output[from..]);
        match status {
            Ok(status) => {
                output.truncate(from + status.bytes_written);
                if status.bytes_read > 0 || status.bytes_written > 0 {
                    self.ended = status.remaining == 0;
                }
                Ok(status.bytes_read)
            }
            Err(_) => {
                output.truncate(from);
                Err(CodingError(Coding::Zstd))
            }
        }
    }
    fn is_complete(&mut self) -> bool {
        self.ended
    }
}
