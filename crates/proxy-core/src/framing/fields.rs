//! Field lines, as far as they frame the message.

use super::{Fault, Framing, bytes};

/// What the field lines of a head say about its content.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FramingFields {
    pub(super) count: usize,
    pub(super) content_length: Option<u64>,
    pub(super) chunked: bool,
    /// One transfer coding, of a name that means nothing to anybody.
    pub(super) unknown_coding: bool,
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) expects_continue: bool,
    pub(super) takes_trailers: bool,
}

impl FramingFields {
    /// Judges one line, without its CRLF. Gives the length of its name.
    pub(super) fn add(&mut self, line: &[u8]) -> Result<usize, Fault> {
        let colon = bytes::token_prefix(line);
        match line.get(colon) {
            Some(b':') if colon > 0 => {}
            _ => {
                return Err(match line[0] {
                    b' ' | b'\t' => Fault::Folding,
                    _ if line.contains(&b'\r') => Fault::BareCr,
                    _ => Fault::FieldName,
                });
            }
        }
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if !bytes::all_field(value) {
            return Err(if value.contains(&b'\r') { Fault::BareCr } else { Fault::FieldValue });
        }
        self.note(name, value)?;
        Ok(colon)
    }

    /// Takes note of a sound field.
    #[inline]
    pub(super) fn note(&mut self, name: &[u8], value: &[u8]) -> Result<(), Fault> {
        self.count += 1;
        // Mostly the length alone tells that it is none of those that frame the message.
        match name.len() {
            2 | 6 | 10 | 14 | 17 => self.note_framing(name, value),
            // A name that the field map can not hold.
            65_536.. => Err(Fault::FieldsTooLarge),
            _ => Ok(()),
        }
    }

    fn note_framing(&mut self, name: &[u8], value: &[u8]) -> Result<(), Fault> {
        match name.len() {
            2 if is(name, b"TE") => {
                self.takes_trailers |= members(value).any(|m| m.eq_ignore_ascii_case(b"trailers"));
            }
            6 if is(name, b"Expect") => {
                self.expects_continue = trim(value).eq_ignore_ascii_case(b"100-continue");
            }
            10 if is(name, b"Connection") => {
                for option in members(value) {
                    self.close |= is(option, b"close");
                    self.keep_alive |= is(option, b"keep-alive");
                }
            }
            14 if is(name, b"Content-Length") => self.content_length(value)?,
            17 if is(name, b"Transfer-Encoding") => {
                self.transfer_encoding(value)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether the connection may be used again (RFC 9112 section 9.3): HTTP/1.0 says that it
    /// wants to, HTTP/1.1 that it does not.
    pub(super) fn persists(&self, version_10: bool) -> bool {
        !self.close && (!version_10 || self.keep_alive)
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), Fault> {
        let digits = trim(value);
        if digits.is_empty() || self.content_length.is_some() {
            return Err(Fault::ContentLength);
        }
        let mut length = 0u64;
        for &b in digits {
            if !b.is_ascii_digit() {
                return Err(Fault::ContentLength);
            }
            length = length
                .checked_mul(10)
                .and_then(|n| n.checked_add(u64::from(b - b'0')))
                .ok_or(Fault::ContentLength)?;
        }
        // The largest two values mean something else to some parsers, hyper's HTTP/2 among them.
        if length >= u64::MAX - 2 {
            return Err(Fault::ContentLength);
        }
        self.content_length = Some(length);
        Ok(())
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Fault> {
        let coding = trim(value);
        if self.chunked || self.unknown_coding {
            return Err(Fault::TransferEncoding);
        }
        if is(coding, b"chunked") {
            self.chunked = true;
        } else if means_nothing(coding) {
            self.unknown_coding = true;
        } else {
            return Err(Fault::TransferEncoding);
        }
        Ok(())
    }

    /// RFC 9112 section 6.3, without its tolerance. `None` where neither field stands.
    pub(super) fn framing(&self, version_10: bool) -> Result<Option<Framing>, Fault> {
        if self.unknown_coding {
            return Err(Fault::TransferEncoding);
        }
        match (self.chunked, self.content_length) {
            (true, Some(_)) => Err(Fault::BothLengths),
            (true, None) if version_10 => Err(Fault::TransferEncoding),
            (true, None) => Ok(Some(Framing::Chunked)),
            (false, Some(0)) => Ok(Some(Framing::None)),
            (false, Some(n)) => Ok(Some(Framing::Length(n))),
            (false, None) => Ok(None),
        }
    }
}

/// Whether this is a transfer coding that nobody can have applied: one word, neither registered nor
/// like `chunked`.
fn means_nothing(coding: &[u8]) -> bool {
    const CODINGS: [&[u8]; 9] = [
        b"identity",
        b"gzip",
        b"x-gzip",
        b"compress",
        b"x-compress",
        b"deflate",
        b"br",
        b"zstd",
        b"trailers",
    ];
    !coding.is_empty()
        && bytes::token_prefix(coding) == coding.len()
        && !CODINGS.iter().any(|known| coding.eq_ignore_ascii_case(known))
        && !coding.windows(5).any(|part| part.eq_ignore_ascii_case(b"chunk"))
}

/// The lengths of name and value of the line that `rest` begins with, if it is whole and sound:
/// one pass over its bytes. What is neither is for the slower look that says why.
#[inline]
pub(super) fn sound_line(rest: &[u8]) -> Option<(usize, usize)> {
    let name = bytes::token_prefix(rest);
    if name == 0 || rest.get(name) != Some(&b':') {
        return None;
    }
    let value = bytes::field_prefix(&rest[name + 1..]);
    rest[name + 1 + value..].starts_with(b"\r\n").then_some((name, value))
}

/// Whether it is this word in any case: mostly it is in the usual one, which is seen at a glance.
fn is(word: &[u8], usual: &[u8]) -> bool {
    word == usual || word.eq_ignore_ascii_case(usual)
}

/// The members of a comma-separated list.
fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&b| b == b',').map(trim)
}

/// Without optional whitespace (RFC 9110 section 5.6.3) at both ends.
pub(super) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}
