//! Response heads (RFC 9112 section 4).

use super::{Fault, Framing, HeadScan, MessageFramer, bytes};

/// What the edge must know of a response head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseHeadInfo {
    /// Bytes of the head, with its last CRLF.
    pub len: usize,
    /// The status code, 100 to 599.
    pub status: u16,
    /// How the content is delimited, the request's method taken into account.
    pub framing: Framing,
    /// The peer speaks HTTP/1.0.
    pub version_10: bool,
    /// The peer lets the connection be used again.
    pub keep_alive: bool,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StatusLine {
    status: u16,
    version_10: bool,
}

impl MessageFramer {
    /// Looks for a response head at the start of `head`. `to_head`: it answers a HEAD request.
    ///
    /// # Errors
    /// The first [`Fault`] found.
    pub fn scan_response(
        &mut self,
        head: &[u8],
        to_head: bool,
    ) -> Result<HeadScan<ResponseHeadInfo>, Fault> {
        if !self.started {
            // A peer that does not speak HTTP is found out by its first byte, not by its first LF.
            if head.iter().zip(b"HTTP/1.").any(|(a, b)| a != b) {
                return Err(Fault::StatusLine);
            }
            let Some(line) = self.next_line(head)? else { return Ok(HeadScan::Partial) };
            self.response = StatusLine::read(line)?;
            self.started = true;
            self.fields_start = self.lines_end;
            self.spans.begin(0);
            self.spans.set_status_line(line);
        }
        if !self.scan_fields(head)? {
            return Ok(HeadScan::Partial);
        }
        let line = self.response;
        if line.status == 101 {
            return Err(Fault::UnaskedUpgrade);
        }
        // A senseless coding is read like none: to the end of the connection (RFC 9112 section 6.3,
        // the fourth rule). Nothing can follow it there, so nobody reads it differently.
        let fields = &mut self.fields;
        if !line.version_10 && fields.content_length.is_none() {
            fields.unknown_coding = false;
        }
        let framing = match self.fields.framing(line.version_10)? {
            _ if to_head || matches!(line.status, 100..=199 | 204 | 304) => Framing::None,
            Some(framing) => framing,
            None => Framing::UntilClose,
        };
        let info = ResponseHeadInfo {
            len: self.lines_end,
            status: line.status,
            framing,
            version_10: line.version_10,
            keep_alive: self.fields.persists(line.version_10),
        };
        self.reset();
        Ok(HeadScan::Complete(info))
    }
}

impl StatusLine {
    fn read(line: &[u8]) -> Result<Self, Fault> {
        let [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor, b' ', a, b, c, rest @ ..] = line
        else {
            return Err(Fault::StatusLine);
        };
        let version_10 = match minor {
            b'0' => true,
            b'1' => false,
            _ => return Err(Fault::StatusLine),
        };
        // 600 and above are no status codes (RFC 9110 section 15).
        if !(b'1'..=b'5').contains(a) || !b.is_ascii_digit() || !c.is_ascii_digit() {
            return Err(Fault::StatusLine);
        }
        // The space before an empty reason is required by the grammar and often forgotten;
        // nothing hangs on it.
        match rest {
            [] => {}
            [b' ', reason @ ..] if bytes::all_field(reason) => {}
            _ if rest.contains(&b'\r') => return Err(Fault::BareCr),
            _ => return Err(Fault::StatusLine),
        }
        let digit = |b: &u8| u16::from(b - b'0');
        Ok(Self { status: digit(a) * 100 + digit(b) * 10 + digit(c), version_10 })
    }
}
