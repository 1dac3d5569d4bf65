//! Unidirectional streams of the client (RFC 9114 section 6.2): its control stream, and those of
//! QPACK, on which nothing may come that needs a dynamic table.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Buf;
use quinn::RecvStream;

use super::Connection;
use super::code::Code;
use super::frames::{FrameReader, Lost, Piece, kind};
use super::varint;

/// The payload of a frame on the control stream that is looked at.
const FRAME_LIMIT: u64 = 4096;
/// Frames without meaning to us, without a request stream in between: a browser may say anew how
/// urgent each of its requests is.
const IDLE_FRAMES: u32 = 256;
/// Streams of types that we do not know, in the life of a connection.
const UNKNOWN_STREAMS: u64 = 256;

/// What a client has said there so far.
#[derive(Debug, Default)]
pub(super) struct Critical {
    control: AtomicBool,
    encoder: AtomicBool,
    decoder: AtomicBool,
    unknown: AtomicU64,
}

/// Why a connection ends.
type Ended = (Code, &'static str);

const CLOSED: Ended = (Code::ClosedCriticalStream, "critical_stream_closed");

/// Reads one of them until its end or the connection's.
pub(super) async fn receive(stream: RecvStream, connection: Arc<Connection>) {
    let mut frames = FrameReader::new(stream);
    let ended = match stream_type(&mut frames).await {
        // It may end before it says what it is.
        None => Ok(()),
        Some(kind) => read(kind, &mut frames, &connection).await,
    };
    if let Err((code, why)) = ended {
        connection.fail(code, why);
    }
}

async fn read(kind: u64, frames: &mut FrameReader, connection: &Connection) -> Result<(), Ended> {
    let critical = &connection.critical;
    let second = (Code::StreamCreationError, "second_critical_stream");
    let first = |seen: &AtomicBool| match seen.swap(true, Ordering::AcqRel) {
        true => Err(second),
        false => Ok(()),
    };
    match kind {
        0x0 => {
            first(&critical.control)?;
            Control::default().read(frames, connection).await
        }
        // Only servers push.
        0x1 => Err((Code::StreamCreationError, "push_stream")),
        0x2 => {
            first(&critical.encoder)?;
            encoder(frames).await
        }
        0x3 => {
            first(&critical.decoder)?;
            decoder(frames).await
        }
        _ => {
            frames.stop(Code::StreamCreationError);
            match critical.unknown.fetch_add(1, Ordering::AcqRel) {
                0..UNKNOWN_STREAMS => Ok(()),
                _ => Err((Code::ExcessiveLoad, "unknown_streams")),
            }
        }
    }
}

async fn stream_type(frames: &mut FrameReader) -> Option<u64> {
    let mut bytes = Vec::with_capacity(8);
    loop {
        bytes.push(poll_fn(|cx| frames.poll_byte(cx)).await.ok()??);
        if let Some((kind, _)) = varint::read(&bytes) {
            return Some(kind);
        }
    }
}

/// The client's control stream (section 6.2.1).
#[derive(Default)]
struct Control {
    has_settings: bool,
    /// The largest push that it takes.
    max_push: Option<u64>,
    /// The push that it will not take any more.
    goaway: Option<u64>,
    idle_frames: u32,
    /// Request streams that were taken when the last frame was counted.
    taken: u64,
}

impl Control {
    async fn read(
        &mut self,
        frames: &mut FrameReader,
        connection: &Connection,
    ) -> Result<(), Ended> {
        let mut payload = Vec::new();
        // The frame under way, and how much of it is to come.
        let (mut under_way, mut left) = (None, 0);
        loop {
            match poll_fn(|cx| frames.poll_piece(cx)).await {
                Ok(Piece::Frame { kind, length }) => {
                    payload.clear();
                    under_way = self.begin(kind, length, connection)?;
                    left = length;
                }
                Ok(Piece::Payload(bytes)) => {
                    left -= bytes.len() as u64;
                    if under_way.is_some() {
                        payload.extend_from_slice(&bytes);
                    }
                }
                Ok(Piece::End) | Err(Lost::Reset) => return Err(CLOSED),
                Err(Lost::Truncated) => return Err(CLOSED),
                Err(Lost::Connection) => return Ok(()),
            }
            if left == 0
                && let Some(kind) = under_way.take()
            {
                self.take(kind, &payload, connection)?;
            }
        }
    }

    /// Judges a frame by its type; gives it back where its payload matters.
    fn begin(
        &mut self,
        kind: u64,
        length: u64,
        connection: &Connection,
    ) -> Result<Option<u64>, Ended> {
        if !self.has_settings && kind != kind::SETTINGS {
            return Err((Code::MissingSettings, "missing_settings"));
        }
        let unexpected = Err((Code::FrameUnexpected, "frame_unexpected"));
        match kind {
            kind::SETTINGS if self.has_settings => unexpected,
            kind::DATA | kind::HEADERS | kind::PUSH_PROMISE => unexpected,
            _ if kind::is_of_http2(kind) => unexpected,
            kind::SETTINGS
            | kind::CANCEL_PUSH
            | kind::GOAWAY
            | kind::MAX_PUSH_ID
            | kind::PRIORITY_UPDATE
            | kind::PRIORITY_UPDATE_PUSH => {
                if kind != kind::SETTINGS {
                    self.count_idle(connection)?;
                }
                match length {
                    0..=FRAME_LIMIT => Ok(Some(kind)),
                    _ => Err((Code::ExcessiveLoad, "control_frame_too_large")),
                }
            }
            _ => self.count_idle(connection).map(|()| None),
        }
    }

    fn count_idle(&mut self, connection: &Connection) -> Result<(), Ended> {
        let taken = connection.taken.load(Ordering::Acquire);
        if self.taken != taken {
            (self.taken, self.idle_frames) = (taken, 0);
        }
        self.idle_frames += 1;
        match self.idle_frames {
            0..=IDLE_FRAMES => Ok(()),
            _ => Err((Code::ExcessiveLoad, "idle_frames")),
        }
    }

    /// Takes a whole frame.
    fn take(&mut self, kind: u64, payload: &[u8], connection: &Connection) -> Result<(), Ended> {
        let malformed = (Code::FrameError, "malformed_frame");
        let wrong_id = (Code::IdError, "push_id");
        // All but two hold one number and nothing else.
        let id = || match varint::read(payload) {
            Some((id, length)) if length == payload.len() => Ok(id),
            _ => Err(malformed),
        };
        match kind {
            kind::SETTINGS => {
                self.has_settings = true;
                return settings(payload, connection);
            }
            // We promise nothing that could be cancelled.
            kind::CANCEL_PUSH => {
                id()?;
                return Err(wrong_id);
            }
            kind::MAX_PUSH_ID => {
                let id = id()?;
                if self.max_push.is_some_and(|before| id < before) {
                    return Err(wrong_id);
                }
                self.max_push = Some(id);
            }
            kind::GOAWAY => {
                let id = id()?;
                if self.goaway.is_some_and(|before| id > before) {
                    return Err(wrong_id);
                }
                self.goaway = Some(id);
            }
            // RFC 9218 section 7.2. Priorities are taken from requests; what is wrong is wrong.
            kind::PRIORITY_UPDATE => {
                let (id, _) = varint::read(payload).ok_or(malformed)?;
                if id % 4 != 0 {
                    return Err((Code::IdError, "prioritized_stream"));
                }
            }
            _ => {
                let (id, _) = varint::read(payload).ok_or(malformed)?;
                if self.max_push.is_none_or(|most| id > most) {
                    return Err(wrong_id);
                }
            }
        }
        Ok(())
    }
}

/// SETTINGS (section 7.2.4).
fn settings(mut payload: &[u8], connection: &Connection) -> Result<(), Ended> {
    let malformed = (Code::FrameError, "malformed_frame");
    let wrong = (Code::SettingsError, "settings");
    let mut seen = Vec::new();
    while !payload.is_empty() {
        let (id, length) = varint::read(payload).ok_or(malformed)?;
        payload.advance(length);
        let (value, length) = varint::read(payload).ok_or(malformed)?;
        payload.advance(length);
        if seen.contains(&id) {
            return Err(wrong);
        }
        seen.push(id);
        if seen.len() > 64 {
            return Err((Code::ExcessiveLoad, "settings"));
        }
        match id {
            // Of HTTP/2 (section 7.2.4.1).
            0x0 | 0x2..=0x5 => return Err(wrong),
            0x6 => connection.set_peer_limit(value),
            // Extended CONNECT (RFC 9220), datagrams (RFC 9297): yes or no.
            0x8 | 0x33 if value > 1 => return Err(wrong),
            _ => {}
        }
    }
    Ok(())
}

/// The client's encoder stream: as the table holds nothing, all it may do is to say so.
async fn encoder(frames: &mut FrameReader) -> Result<(), Ended> {
    loop {
        match poll_fn(|cx| frames.poll_byte(cx)).await {
            // Set Dynamic Table Capacity, to 0.
            Ok(Some(0b0010_0000)) => {}
            Ok(Some(_)) => return Err((Code::QpackEncoderStreamError, "qpack_encoder_stream")),
            Ok(None) | Err(Lost::Reset | Lost::Truncated) => return Err(CLOSED),
            Err(Lost::Connection) => return Ok(()),
        }
    }
}

/// The client's decoder stream: as we insert nothing, it has nothing to acknowledge. It may say
/// that it gave streams up (RFC 9204 section 4.4.2).
async fn decoder(frames: &mut FrameReader) -> Result<(), Ended> {
    let wrong = (Code::QpackDecoderStreamError, "qpack_decoder_stream");
    // Bytes of the stream's number that may still come.
    let mut number = None;
    loop {
        let byte = match poll_fn(|cx| frames.poll_byte(cx)).await {
            Ok(Some(byte)) => byte,
            Ok(None) | Err(Lost::Reset | Lost::Truncated) => return Err(CLOSED),
            Err(Lost::Connection) => return Ok(()),
        };
        number = match (number, byte) {
            (None, 0b0111_1111) => Some(9),
            (None, 0b0100_0000..=0b0111_1110) => None,
            (None, _) | (Some(0), _) => return Err(wrong),
            (Some(_), 0..0x80) => None,
            (Some(left), _) => Some(left - 1),
        };
    }
}
