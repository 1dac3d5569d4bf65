//! Takes the codings off content, one after the other, within a bound for each.

use http::HeaderMap;
use http::header::CONTENT_ENCODING;

use crate::inspect::coding::{self, ContentDecoder};

/// The most codings that are taken off.
const CODINGS: usize = 2;

/// What comes out of any content without being too much of it.
const SMALL: u64 = 64 * 1024;

/// The codings of one message.
#[derive(Default)]
pub(in crate::inspect) struct Decoding {
    stages: Vec<Stage>,
    ratio: u64,
    raw: u64,
}

struct Stage {
    decoder: Box<dyn ContentDecoder>,
    buffer: Vec<u8>,
    made: u64,
}

/// Why content can not be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::inspect) enum Undecodable {
    /// It is not in the coding that it is said to be in, or in one that nobody here knows.
    False,
    /// It becomes too large by it.
    TooLarge,
}

impl Decoding {
    /// The codings that a head names. What comes out of each may be `ratio` times as large as what
    /// came in.
    pub(in crate::inspect) fn of(fields: &HeaderMap, ratio: u32) -> Result<Self, Undecodable> {
        let codings: Vec<&[u8]> = fields
            .get_all(&CONTENT_ENCODING)
            .iter()
            .flat_map(|value| value.as_bytes().split(|&b| b == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|name| !is_none(name))
            .collect();
        if codings.len() > CODINGS {
            return Err(Undecodable::False);
        }
        // The last coding was applied last.
        let stages = codings.iter().rev().map(|name| {
            let decoder = coding::decoder(name).ok_or(Undecodable::False)?;
            Ok(Stage { decoder, buffer: Vec::new(), made: 0 })
        });
        Ok(Self { stages: stages.collect::<Result<_, _>>()?, ratio: u64::from(ratio), raw: 0 })
    }

    pub(in crate::inspect) fn is_none(&self) -> bool {
        self.stages.is_empty()
    }

    /// Whether all that was decoded is whole.
    pub(in crate::inspect) fn is_complete(&mut self) -> bool {
        self.raw == 0 || self.stages.iter_mut().all(|stage| stage.decoder.is_complete())
    }

    /// Decodes a chunk and shows what comes out, piece by piece, until `show` gives false.
    pub(in crate::inspect) fn decode(
        &mut self,
        chunk: &[u8],
        show: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<(), Undecodable> {
        self.raw += chunk.len() as u64;
        let most = self.raw.saturating_mul(self.ratio).max(SMALL);
        decode(&mut self.stages, chunk, most, show).map(|_| ())
    }
}

/// Whether a name stands for no coding: `identity`, the pieces in which stores of objects take
/// signed uploads, and a charset, which some write into this field by mistake.
fn is_none(name: &[u8]) -> bool {
    name.is_empty()
        || [&b"identity"[..], b"aws-chunked", b"utf-8", b"utf8"]
            .iter()
            .any(|none| name.eq_ignore_ascii_case(none))
}

/// Gives whether more is wanted.
fn decode(
    stages: &mut [Stage],
    mut input: &[u8],
    most: u64,
    show: &mut dyn FnMut(&[u8]) -> bool,
) -> Result<bool, Undecodable> {
    let Some((stage, rest)) = stages.split_first_mut() else { return Ok(show(input)) };
    loop {
        stage.buffer.clear();
        let used =
            stage.decoder.decode(input, &mut stage.buffer).map_err(|_| Undecodable::False)?;
        input = &input[used..];
        stage.made += stage.buffer.len() as u64;
        if stage.made > most {
            return Err(Undecodable::TooLarge);
        }
        if stage.buffer.is_empty() {
            if used == 0 || input.is_empty() {
                return Ok(true);
            }
            continue;
        }
        if !decode(rest, &stage.buffer, most, show)? {
            return Ok(false);
        }
    }
}
