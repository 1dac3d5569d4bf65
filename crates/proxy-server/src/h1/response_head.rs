//! Writing a response's head, and choosing how its content is framed (RFC 9112 section 6).

use std::time::SystemTime;

use bytes::{BufMut, BytesMut};
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, DATE, HOST, MAX_FORWARDS, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, response};
use proxy_core::framing::{ReasonPhrase, write_status_line};

use super::date;

/// What the request says about its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) head: bool,
    pub(super) connect: bool,
    pub(super) version_10: bool,
    pub(super) keep_alive: bool,
    pub(super) takes_trailers: bool,
}

/// How the content of a response goes out.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// So many bytes are still to come; nothing where there is no content.
    Length(u64),
    /// In chunks; these trailer fields were announced.
    Chunked(Vec<HeaderName>),
    /// Until the connection closes.
    UntilClose,
}

/// A head that was written.
pub(super) struct Written {
    pub(super) coding: Coding,
    /// The connection may be used again.
    pub(super) keep_alive: bool,
}

/// Fields can not be written: two lengths that differ, or one that is no number.
#[derive(Debug)]
pub(super) struct Unsound;

/// What a body says about its length.
#[derive(Clone, Copy, Debug)]
pub(super) enum Content {
    None,
    Known(u64),
    Unknown,
}

/// Writes the head. Where it can not be written, nothing is.
pub(super) fn write(
    out: &mut BytesMut,
    head: &response::Parts,
    content: Content,
    asked: Asked,
) -> Result<Written, Unsound> {
    let start = out.len();
    let written = Writing { out, status: head.status, content, asked }.head(head);
    if written.is_err() {
        out.truncate(start);
    }
    written
}

struct Writing<'a> {
    out: &'a mut BytesMut,
    status: StatusCode,
    content: Content,
    asked: Asked,
}

impl Writing<'_> {
    fn head(mut self, head: &response::Parts) -> Result<Written, Unsound> {
        let version = if self.asked.version_10 { Version::HTTP_10 } else { Version::HTTP_11 };
        let reason = head.extensions.get::<ReasonPhrase>().map(|r| &*r.0);
        self.out.reserve(64 + head.headers.len() * 48);
        write_status_line(self.out, version, head.status, reason);
        let accepted = self.asked.connect && head.status.is_success();
        let mut length = None;
        let mut dated = false;
        let mut joined = Joined::default();
        for (name, value) in &head.headers {
            match *name {
                CONTENT_LENGTH => {
                    self.length(&mut length, value)?;
                    continue;
                }
                // The coding of this hop is chosen here, and nowhere else.
                TRANSFER_ENCODING => continue,
                CONNECTION => {
                    joined.connection = true;
                    continue;
                }
                TRAILER => {
                    joined.trailer = true;
                    continue;
                }
                DATE => dated = true,
                _ => {}
            }
            self.line(name.as_str(), value.as_bytes());
        }
        // Its end is the end of the connection.
        let until_close = self.has_content()
            && self.asked.version_10
            && !self.asked.head
            && length.is_none()
            && matches!(self.content, Content::Unknown);
        self.asked.keep_alive &= !until_close;
        let keep_alive = self.connection(&head.headers, joined.connection);
        let announced = match joined.trailer && self.may_chunk() {
            true => self.trailer(&head.headers),
            false => Vec::new(),
        };
        let coding = if accepted { Coding::Length(0) } else { self.coding(length, announced) };
        if !dated {
            self.line("date", &date::of(SystemTime::now()));
        }
        self.out.put_slice(b"\r\n");
        Ok(Written { coding, keep_alive })
    }

    fn line(&mut self, name: &str, value: &[u8]) {
        self.out.reserve(name.len() + value.len() + 4);
        self.out.put_slice(name.as_bytes());
        self.out.put_slice(b": ");
        self.out.put_slice(value);
        self.out.put_slice(b"\r\n");
    }

    /// Responses that have content, if not the one to a HEAD request (RFC 9110 section 6.4.1).
    fn has_content(&self) -> bool {
        match self.status {
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => false,
            status if status.is_success() => !self.asked.connect,
            status => !status.is_informational(),
        }
    }

    fn may_chunk(&self) -> bool {
        self.has_content() && !self.asked.head && !self.asked.version_10
    }

    /// A `Content-Length` of the response: kept where it tells something, that is of content that
    /// comes, or would come if this were no answer to HEAD.
    fn length(&mut self, seen: &mut Option<u64>, value: &HeaderValue) -> Result<(), Unsound> {
        let digits = value.as_bytes();
        let known: Option<u64> = match digits {
            [] => None,
            _ => digits.iter().try_fold(0u64, |n, b| {
                let digit = u64::from(b.checked_sub(b'0').filter(|d| *d < 10)?);
                n.checked_mul(10)?.checked_add(digit)
            }),
        };
        let known = known.ok_or(Unsound)?;
        if seen.is_some_and(|n| n != known) {
            return Err(Unsound);
        }
        // Two framings, or one that is not kept, would be a message that two readers end at
        // different places.
        let kept = match self.content {
            _ if self.asked.head => self.has_content() || self.status == StatusCode::NOT_MODIFIED,
            Content::None => false,
            Content::Known(_) | Content::Unknown => self.has_content(),
        };
        if kept && seen.is_none() {
            self.line("content-length", digits);
            *seen = Some(known);
        }
        Ok(())
    }

    /// `Connection`, in one line. Gives whether the connection may be used again (RFC 9112
    /// section 9.3).
    fn connection(&mut self, fields: &HeaderMap, present: bool) -> bool {
        let mut close = false;
        let mut keeps = false;
        let mut options = Vec::new();
        if present {
            for option in proxy_core::fields::list(fields, &CONNECTION) {
                close |= option.eq_ignore_ascii_case("close");
                keeps |= option.eq_ignore_ascii_case("keep-alive");
                options.push(option);
            }
        }
        if !close && !self.asked.keep_alive && !self.asked.version_10 {
            options.push("close");
        }
        // HTTP/1.0 closes where nothing is said.
        if !close && self.asked.keep_alive && self.asked.version_10 && !keeps {
            options.push("keep-alive");
        }
        if !options.is_empty() {
            self.line("connection", options.join(", ").as_bytes());
        }
        self.asked.keep_alive && !close
    }

    /// `Trailer`, in one line. Gives the names that it announces.
    fn trailer(&mut self, fields: &HeaderMap) -> Vec<HeaderName> {
        let mut names = Vec::new();
        let mut line = Vec::new();
        for value in fields.get_all(TRAILER) {
            if !line.is_empty() {
                line.extend_from_slice(b", ");
            }
            line.extend_from_slice(value.as_bytes());
        }
        self.line("trailer", &line);
        for name in proxy_core::fields::list(fields, &TRAILER) {
            names.extend(HeaderName::from_bytes(name.as_bytes()));
        }
        names.retain(|name| self.asked.takes_trailers && may_trail(name));
        names
    }

    /// The framing, and the field that tells it where none does yet.
    fn coding(&mut self, length: Option<u64>, announced: Vec<HeaderName>) -> Coding {
        if !self.has_content() {
            return Coding::Length(0);
        }
        match (length, self.content) {
            (Some(length), _) if !self.asked.head => Coding::Length(length),
            (Some(_), _) => Coding::Length(0),
            (None, Content::None | Content::Known(0)) => {
                if !self.asked.head {
                    self.line("content-length", b"0");
                }
                Coding::Length(0)
            }
            (None, Content::Known(length)) => {
                self.line("content-length", itoa::Buffer::new().format(length).as_bytes());
                Coding::Length(if self.asked.head { 0 } else { length })
            }
            (None, Content::Unknown) if self.asked.head => Coding::Length(0),
            (None, Content::Unknown) if self.asked.version_10 => Coding::UntilClose,
            (None, Content::Unknown) => {
                self.line("transfer-encoding", b"chunked");
                Coding::Chunked(announced)
            }
        }
    }
}

/// Fields that are written in one line, however many they came in.
#[derive(Default)]
struct Joined {
    connection: bool,
    trailer: bool,
}

/// Whether a field may stand in a trailer section (RFC 9110 section 6.5.1).
fn may_trail(name: &HeaderName) -> bool {
    !matches!(
        *name,
        AUTHORIZATION
            | CACHE_CONTROL
            | CONTENT_ENCODING
            | CONTENT_LENGTH
            | CONTENT_RANGE
            | CONTENT_TYPE
            | HOST
            | MAX_FORWARDS
            | SET_COOKIE
            | TRAILER
            | TRANSFER_ENCODING
            | TE
    )
}

#[cfg(test)]
mod tests;
