//! Frames of HTTP/2 (RFC 9113), as they are: one end of a connection that a test drives by hand.
//!
//! Nothing is sent that a test has not asked for, but for acknowledgements of SETTINGS and PING:
//! no window is opened, no stream is reset.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::hpack::{self, Decoder, FieldLines};
use crate::waiting::PATIENCE;

/// What a client sends first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Kinds of frames.
#[allow(missing_docs, reason = "their names are those of RFC 9113 section 6")]
pub mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// Error codes.
#[allow(missing_docs, reason = "their names are those of RFC 9113 section 7")]
pub mod code {
    pub const NO_ERROR: u32 = 0;
    pub const PROTOCOL_ERROR: u32 = 1;
    pub const REFUSED_STREAM: u32 = 7;
    pub const CANCEL: u32 = 8;
    pub const ENHANCE_YOUR_CALM: u32 = 11;
}

/// The setting that says how much content a stream may carry unasked.
pub const INITIAL_WINDOW: u16 = 4;

/// The largest frame that a peer takes unasked.
const FRAME: usize = 16_384;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// What the other end did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say what they are")]
pub enum Event {
    /// A header section: a request's, a response's, or trailers.
    Fields { stream: u32, fields: FieldLines, end: bool },
    /// Content.
    Data { stream: u32, content: Vec<u8>, end: bool },
    /// A stream was broken off.
    Reset { stream: u32, code: u32 },
    /// No further streams are taken.
    GoAway { last: u32, code: u32 },
    /// The connection has ended.
    Closed,
    /// Nothing came in time.
    Silence,
}

/// One end of a connection.
#[derive(Debug)]
pub struct Link {
    stream: TcpStream,
    received: Vec<u8>,
    decoder: Decoder,
}

impl Link {
    /// Begins with whatever was agreed on before: nothing is sent or read.
    #[must_use]
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, received: Vec::new(), decoder: Decoder::default() }
    }

    /// The socket itself.
    #[must_use]
    pub fn socket(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends bytes; that the other end has gone is seen when reading.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Sends a frame.
    pub fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).expect("a frame's length");
        let mut frame = length.to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.send_raw(&frame);
    }

    /// Sends SETTINGS.
    pub fn send_settings(&mut self, settings: &[(u16, u32)]) {
        let mut payload = Vec::new();
        for (name, value) in settings {
            payload.extend(name.to_be_bytes());
            payload.extend(value.to_be_bytes());
        }
        self.send(kind::SETTINGS, 0, 0, &payload);
    }

    /// Sends a header section, in as many frames as it needs.
    pub fn send_fields<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        &mut self,
        stream: u32,
        fields: &[(N, V)],
        end: bool,
    ) {
        let block = hpack::encode(fields);
        let pieces: Vec<&[u8]> = block.chunks(FRAME).collect();
        for (n, piece) in pieces.iter().enumerate() {
            let last = if n + 1 == pieces.len() { END_HEADERS } else { 0 };
            let (kind, flags) = match n {
                0 => (kind::HEADERS, last | if end { END_STREAM } else { 0 }),
                _ => (kind::CONTINUATION, last),
            };
            self.send(kind, flags, stream, piece);
        }
    }

    /// Sends content, in as many frames as it needs; whether there is room for it is not asked.
    pub fn send_data(&mut self, stream: u32, content: &[u8], end: bool) {
        let (mut rest, flags) = (content, if end { END_STREAM } else { 0 });
        while rest.len() > FRAME {
            let (piece, tail) = rest.split_at(FRAME);
            self.send(kind::DATA, 0, stream, piece);
            rest = tail;
        }
        self.send(kind::DATA, flags, stream, rest);
    }

    /// Breaks a stream off.
    pub fn send_reset(&mut self, stream: u32, code: u32) {
        self.send(kind::RST_STREAM, 0, stream, &code.to_be_bytes());
    }

    /// Says that no streams behind `last` are, or were, taken.
    pub fn send_goaway(&mut self, last: u32, code: u32) {
        let payload = [last.to_be_bytes(), code.to_be_bytes()].concat();
        self.send(kind::GOAWAY, 0, 0, &payload);
    }

    /// Opens a window; stream 0 is the connection.
    pub fn send_window(&mut self, stream: u32, more: u32) {
        self.send(kind::WINDOW_UPDATE, 0, stream, &more.to_be_bytes());
    }

    /// Ends the connection.
    pub fn close(&self) {
        // Already closed by the other end is as good.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }

    /// The next thing that the other end does.
    pub fn event(&mut self) -> Event {
        self.event_within(PATIENCE)
    }

    /// The same, if it comes in time.
    pub fn event_within(&mut self, limit: Duration) -> Event {
        let deadline = Instant::now() + limit;
        let mut block = Vec::new();
        let mut ends = false;
        loop {
            let (kind, flags, stream, payload) = match self.frame(deadline) {
                Ok(frame) => frame,
                Err(event) => return event,
            };
            let word =
                |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().expect("four bytes"));
            match kind {
                kind::SETTINGS if flags & ACK == 0 => self.send(kind::SETTINGS, ACK, 0, &[]),
                kind::PING if flags & ACK == 0 => self.send(kind::PING, ACK, 0, &payload),
                kind::HEADERS | kind::CONTINUATION => {
                    ends |= kind == kind::HEADERS && flags & END_STREAM != 0;
                    block.extend(payload);
                    if flags & END_HEADERS != 0 {
                        let fields = self.decoder.decode(&block);
                        return Event::Fields { stream, fields, end: ends };
                    }
                }
                kind::DATA => {
                    return Event::Data { stream, content: payload, end: flags & END_STREAM != 0 };
                }
                kind::RST_STREAM => return Event::Reset { stream, code: word(0) },
                kind::GOAWAY => return Event::GoAway { last: word(0), code: word(4) },
                _ => {}
            }
        }
    }

    /// Reads exactly these bytes: a client's preface.
    #[must_use]
    pub fn expect_raw(&mut self, bytes: &[u8]) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while self.received.len() < bytes.len() {
            if self.fill(deadline).is_err() {
                return false;
            }
        }
        let rest = self.received.split_off(bytes.len());
        std::mem::replace(&mut self.received, rest) == bytes
    }

    fn frame(&mut self, deadline: Instant) -> Result<(u8, u8, u32, Vec<u8>), Event> {
        loop {
            if let [a, b, c, kind, flags, id @ ..] = &self.received[..]
                && id.len() >= 4
            {
                let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
                let stream = u32::from_be_bytes(id[..4].try_into().expect("four bytes"));
                if self.received.len() >= 9 + length {
                    let (kind, flags) = (*kind, *flags);
                    let payload = self.received[9..9 + length].to_vec();
                    self.received.drain(..9 + length);
                    return Ok((kind, flags, stream & 0x7fff_ffff, payload));
                }
            }
            self.fill(deadline)?;
        }
    }

    fn fill(&mut self, deadline: Instant) -> Result<(), Event> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Event::Silence);
        }
        self.stream.set_read_timeout(Some(left)).expect("a read timeout");
        let mut piece = [0; 65_536];
        match self.stream.read(&mut piece) {
            Ok(0) => Err(Event::Closed),
            Ok(n) => {
                self.received.extend_from_slice(&piece[..n]);
                Ok(())
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Err(Event::Silence)
            }
            Err(_) => Err(Event::Closed),
        }
    }
}
