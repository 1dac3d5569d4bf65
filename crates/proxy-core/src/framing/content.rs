//! Content: where it ends, and whether its coding is sound (RFC 9112 sections 6 and 7).

use super::{CHUNK_EXTENSIONS_LIMIT, Fault, Framing, TRAILERS_LIMIT, bytes};

/// Follows the content of one message.
#[derive(Clone, Copy, Debug)]
pub struct ContentFramer(State);

#[derive(Clone, Copy, Debug)]
enum State {
    Length(u64),
    UntilClose,
    Chunked(Chunked),
    End,
}

/// What came of looking at a piece of content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentScan {
    /// So many bytes from the start belong to this message and are sound.
    pub len: usize,
    /// The message ends behind them.
    pub end: bool,
}

/// What stands at the front of the input, for a reader that takes content out of its coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentPiece {
    /// So many bytes of framing, to be skipped. Zero: more input is needed.
    Framing(usize),
    /// So many bytes of content.
    Data(usize),
    /// So many bytes of the trailer section; its last, empty line is among them.
    Trailers(usize),
    /// The message is complete; what follows is not part of it.
    End,
}

impl ContentFramer {
    /// For content that is delimited like this.
    pub const fn new(framing: Framing) -> Self {
        Self(match framing {
            Framing::None | Framing::Length(0) => State::End,
            Framing::Length(n) => State::Length(n),
            Framing::Chunked => State::Chunked(Chunked {
                phase: Phase::SizeStart,
                size: 0,
                extensions: 0,
                trailers: 0,
            }),
            Framing::UntilClose => State::UntilClose,
        })
    }

    /// Whether the message is complete.
    pub const fn is_end(&self) -> bool {
        matches!(self.0, State::End)
    }

    /// Whether the peer's closing the connection completes the message.
    pub const fn ends_at_close(&self) -> bool {
        matches!(self.0, State::End | State::UntilClose)
    }

    /// Follows the next bytes of the connection.
    ///
    /// # Errors
    /// The first [`Fault`]; the message must then never be completed.
    pub fn scan(&mut self, input: &[u8]) -> Result<ContentScan, Fault> {
        let len = match &mut self.0 {
            State::End => 0,
            State::UntilClose => input.len(),
            State::Length(left) => {
                let n = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                *left -= n as u64;
                if *left == 0 {
                    self.0 = State::End;
                }
                n
            }
            State::Chunked(chunked) => {
                let n = chunked.scan(input)?;
                if matches!(chunked.phase, Phase::End) {
                    self.0 = State::End;
                }
                n
            }
        };
        Ok(ContentScan { len, end: self.is_end() })
    }
}

impl ContentFramer {
    /// Content bytes that are still to come, where that is known.
    pub const fn remaining(&self) -> Option<u64> {
        match self.0 {
            State::Length(left) => Some(left),
            State::End => Some(0),
            State::UntilClose | State::Chunked(_) => None,
        }
    }

    /// The next piece of `input`; the one after it is asked for with the input behind it.
    ///
    /// # Errors
    /// The first [`Fault`]; the message must then never be completed.
    pub fn next_piece(&mut self, input: &[u8]) -> Result<ContentPiece, Fault> {
        let State::Chunked(chunked) = &mut self.0 else {
            let scan = self.scan(input)?;
            return Ok(match scan.len {
                0 if scan.end => ContentPiece::End,
                0 => ContentPiece::Framing(0),
                n => ContentPiece::Data(n),
            });
        };
        if chunked.phase == Phase::Data && !input.is_empty() {
            return Ok(ContentPiece::Data(chunked.data(input.len())));
        }
        let trailers = chunked.is_in_trailers();
        let mut at = 0;
        while at < input.len() && chunked.phase != Phase::Data {
            chunked.phase = chunked.step(input[at])?;
            at += 1;
            if chunked.phase == Phase::End {
                self.0 = State::End;
                break;
            }
            if chunked.is_in_trailers() != trailers {
                break;
            }
        }
        Ok(if trailers && at > 0 { ContentPiece::Trailers(at) } else { ContentPiece::Framing(at) })
    }
}

#[derive(Clone, Copy, Debug)]
struct Chunked {
    phase: Phase,
    size: u64,
    extensions: usize,
    trailers: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The first digit of a size must come.
    SizeStart,
    /// Digits, then an extension or CR.
    Size,
    /// Whitespace behind a size or an extension: only `;` or, behind an extension, `=` may follow.
    SizeSpace,
    /// Behind `;`.
    ExtensionStart,
    ExtensionName,
    /// Whitespace behind a name.
    ExtensionNameSpace,
    /// Behind `=`.
    ExtensionValueStart,
    ExtensionToken,
    ExtensionQuoted,
    ExtensionEscape,
    /// Behind a closing quote.
    ExtensionQuotedEnd,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// The start of a trailer line, or of the last, empty one.
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    End,
}

impl Chunked {
    fn scan(&mut self, input: &[u8]) -> Result<usize, Fault> {
        let mut at = 0;
        while at < input.len() {
            if self.phase == Phase::Data {
                at += self.data(input.len() - at);
                continue;
            }
            self.phase = self.step(input[at])?;
            at += 1;
            if self.phase == Phase::End {
                break;
            }
        }
        Ok(at)
    }

    /// How much of so many bytes is data of this chunk.
    fn data(&mut self, len: usize) -> usize {
        let n = usize::try_from(self.size).unwrap_or(usize::MAX).min(len);
        self.size -= n as u64;
        if self.size == 0 {
            self.phase = Phase::DataCr;
        }
        n
    }

    /// Behind the last chunk's line.
    const fn is_in_trailers(&self) -> bool {
        use Phase::*;
        matches!(self.phase, TrailerStart | TrailerName | TrailerValue | TrailerLf | EndLf | End)
    }

    fn step(&mut self, b: u8) -> Result<Phase, Fault> {
        use Phase::*;
        Ok(match self.phase {
            SizeStart | Size => match b {
                b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F' => {
                    // Four bits stay free: no size overflows, in us or in who reads behind us.
                    if self.size >> 56 != 0 {
                        return Err(Fault::ChunkSize);
                    }
                    let digit = (b as char).to_digit(16).unwrap_or(0);
                    self.size = self.size << 4 | u64::from(digit);
                    Size
                }
                _ if self.phase == SizeStart => return Err(Fault::ChunkSize),
                b'\r' => SizeLf,
                b';' => ExtensionStart,
                b' ' | b'\t' => SizeSpace,
                b'\n' => return Err(Fault::BareLf),
                _ => return Err(Fault::ChunkSize),
            },
            SizeSpace | ExtensionStart | ExtensionName | ExtensionNameSpace
            | ExtensionValueStart | ExtensionToken | ExtensionQuoted | ExtensionEscape
            | ExtensionQuotedEnd => {
                self.extensions += 1;
                if self.extensions > CHUNK_EXTENSIONS_LIMIT {
                    return Err(Fault::ChunkExtension);
                }
                self.extension(b)?
            }
            SizeLf if b == b'\n' => {
                if self.size == 0 {
                    TrailerStart
                } else {
                    Data
                }
            }
            SizeLf => return Err(Fault::BareCr),
            DataCr if b == b'\r' => DataLf,
            DataLf if b == b'\n' => SizeStart,
            DataCr | DataLf => return Err(Fault::ChunkEnd),
            TrailerStart | TrailerName | TrailerValue | TrailerLf => {
                self.trailers += 1;
                if self.trailers > TRAILERS_LIMIT {
                    return Err(Fault::Trailers);
                }
                self.trailer(b)?
            }
            EndLf if b == b'\n' => End,
            EndLf => return Err(Fault::BareCr),
            Data | End => return Err(Fault::ChunkEnd),
        })
    }

    /// `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )`, RFC 9112 section 7.1.1.
    fn extension(&self, b: u8) -> Result<Phase, Fault> {
        use Phase::*;
        Ok(match (self.phase, b) {
            (_, b'\n') => return Err(Fault::BareLf),
            (SizeSpace, b' ' | b'\t') => SizeSpace,
            (
                SizeSpace | ExtensionName | ExtensionNameSpace | ExtensionToken
                | ExtensionQuotedEnd,
                b';',
            ) => ExtensionStart,
            (ExtensionName | ExtensionToken | ExtensionQuotedEnd, b'\r') => SizeLf,
            (ExtensionStart, b' ' | b'\t') => ExtensionStart,
            (ExtensionStart | ExtensionName, b) if bytes::is_token(b) => ExtensionName,
            (ExtensionName | ExtensionNameSpace, b' ' | b'\t') => ExtensionNameSpace,
            (ExtensionName | ExtensionNameSpace, b'=') => ExtensionValueStart,
            (ExtensionValueStart, b' ' | b'\t') => ExtensionValueStart,
            (ExtensionValueStart, b'"') => ExtensionQuoted,
            (ExtensionValueStart | ExtensionToken, b) if bytes::is_token(b) => ExtensionToken,
            (ExtensionToken | ExtensionQuotedEnd, b' ' | b'\t') => SizeSpace,
            (ExtensionQuoted, b'"') => ExtensionQuotedEnd,
            (ExtensionQuoted, b'\\') => ExtensionEscape,
            (ExtensionQuoted | ExtensionEscape, b) if bytes::is_field(b) => ExtensionQuoted,
            _ => return Err(Fault::ChunkExtension),
        })
    }

    fn trailer(&self, b: u8) -> Result<Phase, Fault> {
        use Phase::*;
        Ok(match (self.phase, b) {
            (TrailerStart, b'\r') => EndLf,
            (TrailerStart | TrailerName, b) if bytes::is_token(b) => TrailerName,
            (TrailerName, b':') => TrailerValue,
            (TrailerValue, b'\r') => TrailerLf,
            (TrailerValue, b) if bytes::is_field(b) => TrailerValue,
            (TrailerLf, b'\n') => TrailerStart,
            (_, b'\n') => return Err(Fault::BareLf),
            _ => return Err(Fault::Trailers),
        })
    }
}
