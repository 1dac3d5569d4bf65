//! Takes the codings off content, one after the other, within a bound for each.

use http::HeaderMap;
use http::header::CONTENT_ENCODING;

use crate::inspect::coding::{self, ContentDecoder};

/// The most codings that are taken off.
const CODINGS: usize = 2;

/// What comes out of any content without being too much of it: text that repeats itself shrinks
/// more than any ratio would allow, and so much does no harm.
const SMALL: u64 = 1024 * 1024;

/// The codings of one message.
#[derive(Default)]
pub(in crate::inspect) struct Decoding {
    stages: Vec<Stage>,
    ratio: u64,
    raw: u64,
}

struct Stage {
    decoder: Box<dyn ContentDecoder>,
    /// What came out last.
    buffer: Vec<u8>,
    /// How much of it the next stage has taken.
    taken: usize,
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
            Ok(Stage { decoder, buffer: Vec::new(), taken: 0, made: 0 })
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
        self.begin(chunk.len());
        let mut rest = chunk;
        while let Some(content) = self.next(&mut rest)? {
            if !show(content) {
                break;
            }
        }
        Ok(())
    }

    /// So many bytes are about to be decoded.
    pub(in crate::inspect) fn begin(&mut self, bytes: usize) {
        self.raw += bytes as u64;
    }

    /// Decodes some of a chunk: gives the next piece that comes out, at most some 256 KiB, or `None`
    /// where nothing more does before the next chunk.
    pub(in crate::inspect) fn next(
        &mut self,
        chunk: &mut &[u8],
    ) -> Result<Option<&[u8]>, Undecodable> {
        let most = self.raw.saturating_mul(self.ratio).max(SMALL);
        if !fill(&mut self.stages, chunk, most)? {
            return Ok(None);
        }
        Ok(self.stages.last().map(|last| &last.buffer[..]))
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

/// Lets the last stage give something; gives whether it does.
fn fill(stages: &mut [Stage], chunk: &mut &[u8], most: u64) -> Result<bool, Undecodable> {
    let Some((stage, before)) = stages.split_last_mut() else { return Ok(false) };
    loop {
        stage.buffer.clear();
        stage.taken = 0;
        let input = match before.last() {
            Some(before) => &before.buffer[before.taken..],
            None => chunk,
        };
        let used =
            stage.decoder.decode(input, &mut stage.buffer).map_err(|_| Undecodable::False)?;
        let is_dry = used == 0 || used == input.len();
        match before.last_mut() {
            Some(before) => before.taken += used,
            None => *chunk = &chunk[used..],
        }
        stage.made += stage.buffer.len() as u64;
        if stage.made > most {
            return Err(Undecodable::TooLarge);
        }
        if !stage.buffer.is_empty() {
            return Ok(true);
        }
        if is_dry && (before.is_empty() || !fill(before, chunk, most)?) {
            return Ok(false);
        }
    }
}
