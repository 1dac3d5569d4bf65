//! Message framing of HTTP/1.1 (RFC 9112), strict, without input or output of its own.
//!
//! The edges read through a [`MessageFramer`]: it finds where each head ends and says no to
//! everything about which two recipients could disagree. It notes where method, target and fields
//! stand as it goes, so that a whole head becomes a [`http::Request`] or [`http::Response`]
//! without being read again. A [`ContentFramer`] does the same for content. What they pass is
//! framed one way only; [`write_request_line`] and its like write it anew.
//!
//! Where each check lives is listed in `docs/framing.md`.

mod bytes;
mod content;
mod fields;
mod head;
mod request;
mod response;
mod write;

pub use content::{ContentFramer, ContentPiece, ContentScan};
pub use head::{ReasonPhrase, trailer_fields};
pub use request::{EMPTY_LINES, RequestHeadInfo, judge_target, sanitise_target};
pub use response::ResponseHeadInfo;
pub use write::{
    DATE_LENGTH, imf_fixdate, write_chunk_size, write_field, write_fields, write_last_chunk,
    write_request_line, write_status_line,
};

use http::StatusCode;

use crate::error::ErrorKind;

/// Sizes that a head may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes of the request line or status line. Default: 16 KiB.
    pub line: usize,
    /// Number of field lines. Default: 100.
    pub fields: usize,
    /// Bytes of all field lines together. Default: 64 KiB.
    pub fields_size: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self { line: 16 * 1024, fields: 100, fields_size: 64 * 1024 }
    }
}

/// Bytes that the chunk extensions of one message may have together.
pub const CHUNK_EXTENSIONS_LIMIT: usize = 4 * 1024;

/// Bytes that a trailer section may have.
pub const TRAILERS_LIMIT: usize = 16 * 1024;

/// How the content of a message is delimited (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No content.
    None,
    /// This many bytes.
    Length(u64),
    /// The chunked transfer coding.
    Chunked,
    /// Until the connection closes; responses only.
    UntilClose,
}

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// A line ends with LF alone.
    BareLf,
    /// CR without LF behind it.
    BareCr,
    /// More empty lines before the request line than a robust server skips.
    EmptyLines,
    /// Not `method SP target SP version`.
    RequestLine,
    /// The method is not a token.
    Method,
    /// The target has a byte that no form allows, or no valid form.
    Target,
    /// Not `HTTP/1.0` or `HTTP/1.1`, but a version of HTTP.
    Version,
    /// Not `HTTP/1.x SP status SP reason`.
    StatusLine,
    /// A line that starts with space or tab (obs-fold).
    Folding,
    /// A field name that is no token, is empty, or has space before the colon.
    FieldName,
    /// A control byte in a field value.
    FieldValue,
    /// `Content-Length` is not a plain number, or stands twice.
    ContentLength,
    /// `Transfer-Encoding` is not exactly `chunked`, stands twice, or comes with HTTP/1.0.
    TransferEncoding,
    /// `Content-Length` and `Transfer-Encoding` together.
    BothLengths,
    /// CONNECT with content.
    ConnectContent,
    /// A chunk size that is no hexadecimal number, or too large.
    ChunkSize,
    /// A chunk extension against the grammar, or too long.
    ChunkExtension,
    /// Chunk data that is not followed by CRLF.
    ChunkEnd,
    /// A broken or too large trailer section.
    Trailers,
    /// The first line is too long.
    LineTooLong,
    /// Too many fields.
    TooManyFields,
    /// The fields are too large together.
    FieldsTooLarge,
    /// 101 (Switching Protocols) that nobody asked for.
    UnaskedUpgrade,
}

impl Fault {
    /// The word in log, metric and page.
    pub const fn token(self) -> &'static str {
        match self {
            Self::BareLf => "bare_lf",
            Self::BareCr => "bare_cr",
            Self::EmptyLines => "empty_lines",
            Self::RequestLine => "request_line",
            Self::Method => "method",
            Self::Target => "target",
            Self::Version => "version",
            Self::StatusLine => "status_line",
            Self::Folding => "obs_fold",
            Self::FieldName => "field_name",
            Self::FieldValue => "field_value",
            Self::ContentLength => "content_length",
            Self::TransferEncoding => "transfer_encoding",
            Self::BothLengths => "content_length_and_transfer_encoding",
            Self::ConnectContent => "connect_with_content",
            Self::ChunkSize => "chunk_size",
            Self::ChunkExtension => "chunk_extension",
            Self::ChunkEnd => "chunk_end",
            Self::Trailers => "trailers",
            Self::LineTooLong => "line_too_long",
            Self::TooManyFields => "too_many_fields",
            Self::FieldsTooLarge => "fields_too_large",
            Self::UnaskedUpgrade => "unasked_upgrade",
        }
    }

    /// The status that answers a request with this fault.
    pub const fn request_status(self) -> StatusCode {
        match self {
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::LineTooLong => StatusCode::URI_TOO_LONG,
            Self::TooManyFields | Self::FieldsTooLarge => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The error of a response with this fault.
    pub const fn response_error(self) -> ErrorKind {
        match self {
            Self::LineTooLong | Self::TooManyFields | Self::FieldsTooLarge => {
                ErrorKind::HttpResponseHeaderSectionSize
            }
            Self::TransferEncoding
            | Self::BothLengths
            | Self::ChunkSize
            | Self::ChunkExtension
            | Self::ChunkEnd
            | Self::Trailers => ErrorKind::HttpResponseTransferCoding,
            Self::UnaskedUpgrade => ErrorKind::HttpUpgradeFailed,
            _ => ErrorKind::HttpProtocolError,
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.token())
    }
}

impl std::error::Error for Fault {}

/// Finds where heads end, resumably: each line is looked at once, however the bytes arrive.
#[derive(Clone, Debug, Default)]
pub struct MessageFramer {
    limits: HeadLimits,
    /// Bytes of the head looked at so far: whole lines.
    lines_end: usize,
    /// Bytes behind `lines_end` known to hold no LF.
    searched: usize,
    fields_start: usize,
    started: bool,
    empty_lines: usize,
    fields: fields::FramingFields,
    request: request::RequestLine,
    response: response::StatusLine,
    /// Where things stand in the head scanned last; kept until the next one begins.
    spans: head::HeadSpans,
}

/// What came of looking for a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadScan<T> {
    /// More bytes are needed.
    Partial,
    /// The head is whole.
    Complete(T),
}

impl MessageFramer {
    /// A framer for one side of a connection.
    pub fn new(limits: HeadLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Whether some byte of a head has been seen.
    pub fn is_within_head(&self) -> bool {
        self.started || self.searched > 0
    }

    /// Ready for the next head. The spans stay, so that this one can be taken apart.
    fn reset(&mut self) {
        self.lines_end = 0;
        self.searched = 0;
        self.fields_start = 0;
        self.started = false;
        self.empty_lines = 0;
        self.fields = fields::FramingFields::default();
        self.request = request::RequestLine::default();
        self.response = response::StatusLine::default();
    }

    /// The next whole line of `head` without its CRLF; `Ok(None)` asks for more bytes.
    fn next_line<'a>(&mut self, head: &'a [u8]) -> Result<Option<&'a [u8]>, Fault> {
        let rest = &head[self.lines_end..];
        let Some(lf) = memchr::memchr(b'\n', &rest[self.searched..]) else {
            self.searched = rest.len();
            self.check_size(rest.len())?;
            return Ok(None);
        };
        let lf = self.searched + lf;
        self.check_size(lf + 1)?;
        if lf == 0 || rest[lf - 1] != b'\r' {
            return Err(Fault::BareLf);
        }
        self.lines_end += lf + 1;
        self.searched = 0;
        Ok(Some(&rest[..lf - 1]))
    }

    /// Judges the line under way, `len` bytes of it, against the limits.
    fn check_size(&self, len: usize) -> Result<(), Fault> {
        if !self.started {
            if len > self.limits.line { Err(Fault::LineTooLong) } else { Ok(()) }
        } else if self.lines_end - self.fields_start + len > self.limits.fields_size {
            Err(Fault::FieldsTooLarge)
        } else {
            Ok(())
        }
    }

    /// Scans field lines up to the empty line. `Ok(true)`: the head is whole.
    fn scan_fields(&mut self, head: &[u8]) -> Result<bool, Fault> {
        loop {
            // Most lines are whole and sound. What was searched in vain is not looked at again.
            let start = self.lines_end;
            if self.searched == 0
                && let Some((name, value)) = fields::sound_line(&head[start..])
            {
                let line = name + 1 + value;
                self.check_size(line + 2)?;
                self.lines_end += line + 2;
                let line = &head[start..start + line];
                self.fields.note(&line[..name], &line[name + 1..])?;
                self.add_field(start, line, name)?;
                continue;
            }
            let Some(line) = self.next_line(head)? else { return Ok(false) };
            if line.is_empty() {
                return Ok(true);
            }
            let name = self.fields.add(line)?;
            self.add_field(start, line, name)?;
        }
    }

    fn add_field(&mut self, start: usize, line: &[u8], name: usize) -> Result<(), Fault> {
        if self.fields.count > self.limits.fields {
            return Err(Fault::TooManyFields);
        }
        self.spans.add_field(start, line, name);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
