//! A decoder for each coding.

use ::brotli::enc::StandardAlloc;
use ::brotli::{BrotliDecompressStream, BrotliResult, BrotliState};
use ::zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};
use flate2::{Decompress, FlushDecompress, Status};

use super::DecodeError;

/// Takes one coding off, piece by piece.
pub trait ContentDecoder: Send {
    /// Decodes some of `input` to the free capacity of `out`, never beyond it, and gives how much of
    /// the input was used. When nothing is used and nothing comes out although there is room, more
    /// input is needed.
    ///
    /// # Errors
    /// Where the input is not of this coding.
    fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, DecodeError>;

    /// Whether the content may end here.
    fn is_ended(&self) -> bool;
}

/// Makes a decoder; none where there is no memory for it.
type Make = fn() -> Option<Box<dyn ContentDecoder>>;

/// What makes decoders, by the names of codings.
const MAKERS: [(&str, Make); 5] = [
    ("gzip", || Some(Box::new(Gzip::default()))),
    ("x-gzip", || Some(Box::new(Gzip::default()))),
    ("br", || Some(Box::new(Brotli::default()))),
    ("zstd", || Zstd::new().map(|zstd| Box::new(zstd) as _)),
    ("deflate", || Some(Box::new(Deflate::default()))),
];

fn maker(name: &str) -> Option<Make> {
    MAKERS.iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|(_, make)| *make)
}

/// Whether there is a decoder of the coding of this name.
pub(super) fn is_known(name: &str) -> bool {
    maker(name).is_some()
}

/// A decoder of the coding of this name, in any case: `gzip`, `deflate`, `br`, `zstd`.
pub fn decoder(name: &str) -> Option<Box<dyn ContentDecoder>> {
    maker(name)?()
}

/// The first bytes of every gzip member (RFC 1952 section 2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1F, 0x8B];

/// gzip: one member or several (RFC 1952 section 2.2). What follows them and is none is ignored.
#[derive(Default)]
struct Gzip {
    member: Option<Box<Decompress>>,
    ended: bool,
    garbage: bool,
    /// The first byte of the magic number has come after a member, and nothing else yet.
    has_first: bool,
}

impl ContentDecoder for Gzip {
    fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, DecodeError> {
        if self.garbage {
            return Ok(input.len());
        }
        if self.member.is_none() {
            let Some(&first) = input.first() else { return Ok(0) };
            if self.ended && !self.has_first {
                self.has_first = first == GZIP_MAGIC[0];
                self.garbage = !self.has_first;
                return Ok(if self.garbage { input.len() } else { 1 });
            }
            if self.ended && first != GZIP_MAGIC[1] {
                self.garbage = true;
                return Ok(input.len());
            }
            let mut member = Box::new(Decompress::new_gzip(15));
            if std::mem::take(&mut self.has_first) {
                inflate(&mut member, &GZIP_MAGIC[..1], out)
                    .map_err(|()| DecodeError::Malformed("gzip"))?;
            }
            self.member = Some(member);
            self.ended = false;
        }
        let Some(member) = &mut self.member else { return Ok(0) };
        let before = member.total_in();
        let status = inflate(member, input, out).map_err(|()| DecodeError::Malformed("gzip"))?;
        let used = (member.total_in() - before) as usize;
        if status == Status::StreamEnd {
            self.member = None;
            self.ended = true;
        }
        Ok(used)
    }

    fn is_ended(&self) -> bool {
        self.ended
    }
}

/// deflate in its zlib wrapper, or without, which some send (RFC 9110 section 8.4.1.2).
#[derive(Default)]
struct Deflate {
    inner: Option<Box<Decompress>>,
    ended: bool,
}

impl ContentDecoder for Deflate {
    fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, DecodeError> {
        if self.ended {
            return Ok(input.len());
        }
        if self.inner.is_none() {
            let Some(&first) = input.first() else { return Ok(0) };
            // A zlib wrapper begins with a method of 8.
            self.inner = Some(Box::new(Decompress::new(first & 0x0F == 8)));
        }
        let Some(inner) = &mut self.inner else { return Ok(0) };
        let before = inner.total_in();
        let status = inflate(inner, input, out).map_err(|()| DecodeError::Malformed("deflate"))?;
        self.ended = status == Status::StreamEnd;
        Ok((inner.total_in() - before) as usize)
    }

    fn is_ended(&self) -> bool {
        self.ended
    }
}

fn inflate(inner: &mut Decompress, input: &[u8], out: &mut Vec<u8>) -> Result<Status, ()> {
    inner.decompress_vec(input, out, FlushDecompress::None).map_err(|_| ())
}

/// br.
struct Brotli {
    state: Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>,
    ended: bool,
}

impl Default for Brotli {
    fn default() -> Self {
        let alloc = StandardAlloc::default;
        // Strict: windows beyond RFC 7932 are refused.
        Self { state: Box::new(BrotliState::new_strict(alloc(), alloc(), alloc())), ended: false }
    }
}

impl ContentDecoder for Brotli {
    fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, DecodeError> {
        if self.ended {
            return Ok(input.len());
        }
        let from = out.len();
        out.resize(out.capacity(), 0);
        let (mut available, mut used) = (input.len(), 0);
        let (mut room, mut written) = (out.len() - from, from);
        let result = BrotliDecompressStream(
            &mut available,
            &mut used,
            input,
            &mut room,
            &mut written,
            out,
            &mut 0,
            &mut self.state,
        );
        out.truncate(written);
        match result {
            BrotliResult::ResultFailure => return Err(DecodeError::Malformed("br")),
            BrotliResult::ResultSuccess => self.ended = true,
            BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {}
        }
        Ok(used)
    }

    fn is_ended(&self) -> bool {
        self.ended
    }
}

/// zstd: one frame or several, and zero bytes after them, which some pad with.
struct Zstd {
    context: DCtx<'static>,
    ended: bool,
    padding: bool,
}

impl Zstd {
    fn new() -> Option<Self> {
        let mut context = DCtx::try_create()?;
        // RFC 9659: 8 MiB is what a sender may ask for.
        context.set_parameter(DParameter::WindowLogMax(23)).ok()?;
        Some(Self { context, ended: false, padding: false })
    }
}

impl ContentDecoder for Zstd {
    fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, DecodeError> {
        let from = out.len();
        if self.ended && (self.padding || input.first() == Some(&0)) {
            // No frame begins so.
            self.padding = true;
            return Ok(input.len());
        }
        if out.capacity() == from || (self.ended && input.is_empty()) {
            return Ok(0);
        }
        let mut input = InBuffer::around(input);
        let mut output = OutBuffer::around_pos(out, from);
        let hint = self.context.decompress_stream(&mut output, &mut input);
        let hint = hint.map_err(|_| DecodeError::Malformed("zstd"))?;
        // Nothing moved: the frame before is still the last.
        if input.pos() > 0 || output.pos() > from {
            self.ended = hint == 0;
        }
        Ok(input.pos())
    }

    fn is_ended(&self) -> bool {
        self.ended
    }
}
