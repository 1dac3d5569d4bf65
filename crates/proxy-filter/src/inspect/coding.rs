//! Content codings, taken off so that what is under them can be looked at.
//!
//! The content itself is passed on as it came; only the inspection sees it decoded.

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
}

impl Flate {
    fn gzip() -> Self {
        Self {
            inner: flate2::write::MultiGzDecoder::new(Vec::new()),
            raw: None,
            coding: Coding::Gzip,
            started: false,
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
        let raw = self.raw.as_mut().ok_or(error)?;
        let before = raw.total_in();
        output.reserve(STEP);
        match raw.decompress_vec(input, output, FlushDecompress::None) {
            Ok(Status::StreamEnd) => Ok(input.len()),
            Ok(_) => Ok((raw.total_in() - before) as usize),
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
}

/// br.
struct Brotli(brotli_decompressor::DecompressorWriter<Vec<u8>>);

impl Default for Brotli {
    fn default() -> Self {
        Self(brotli_decompressor::DecompressorWriter::new(Vec::new(), 4096))
    }
}

impl ContentDecoder for Brotli {
    fn decode(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<usize, CodingError> {
        use std::io::Write;
        let piece = &input[..input.len().min(16)];
        let used = match piece.is_empty() {
            true => 0,
            false => self.0.write(piece).map_err(|_| CodingError(Coding::Brotli))?,
        };
        output.append(self.0.get_mut());
        Ok(used)
    }
}

/// zstd.
struct Zstd(zstd::stream::raw::Decoder<'static>);

impl Zstd {
    fn new() -> Option<Self> {
        let mut decoder = zstd::stream::raw::Decoder::new().ok()?;
        // RFC 9659: 8 MiB is what a sender may ask for.
        decoder.set_parameter(zstd::zstd_safe::DParameter::WindowLogMax(23)).ok()?;
        Some(Self(decoder))
    }
}

impl ContentDecoder for Zstd {
    fn decode(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<usize, CodingError> {
        use zstd::stream::raw::Operation;
        let from = output.len();
        output.resize(from + STEP, 0);
        let status = self.0.run_on_buffers(input, &mut output[from..]);
        match status {
            Ok(status) => {
                output.truncate(from + status.bytes_written);
                Ok(status.bytes_read)
            }
            Err(_) => {
                output.truncate(from);
                Err(CodingError(Coding::Zstd))
            }
        }
    }
}
