//! `FrameGate`: looks at the frames of a client before the h2 crate does.
//!
//! h2 answers each broken frame with PROTOCOL_ERROR, takes frames before SETTINGS, counts nothing
//! that is cheap to send, and drops pseudo-fields in trailers unseen. So the gate judges what can be
//! told from nine bytes of a frame and the values of SETTINGS (RFC 9113 sections 3.4, 4.2 and 6),
//! counts frames that move nothing, and marks trailers (see [`trailers`]). What follows a fault never
//! reaches h2.

pub(super) mod trailers;

use bytes::{BufMut as _, BytesMut};
use h2::Reason;
use tokio::time::Instant;

/// The client's connection preface (RFC 9113 section 3.4).
const PREFACE: usize = 24;
/// A frame's head (RFC 9113 section 4.1).
pub(super) const HEAD: usize = 9;
/// The largest payload, for we announce no other (RFC 9113 section 4.2).
pub(super) const LARGEST: usize = 16_384;
/// Frames without progress that come back with each second.
const BACK_A_SECOND: u32 = 20;
/// And with each stream that the client opens.
const BACK_A_STREAM: u32 = 5;
/// And with so many bytes that the client is sent.
const BACK_A_PIECE: usize = 1024;
/// The same for WINDOW_UPDATE: a client may open two windows for each frame of content, however
/// small, and all at once for what came while it was busy.
const WINDOWS_A_PIECE: usize = 4;
const WINDOWS: u32 = 8;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

const ACK: u8 = 0x1;
const END_STREAM: u8 = 0x1;
const PADDED: u8 = 0x8;
pub(super) const END_HEADERS: u8 = 0x4;

/// The length of one setting (RFC 9113 section 6.5.1).
const SETTING: usize = 6;
const INITIAL_WINDOW_SIZE: u16 = 4;
/// The largest window (RFC 9113 section 6.9.1).
const LARGEST_WINDOW: u32 = 0x7fff_ffff;

/// Why nothing more is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The frames are not as they must be.
    Broken(Reason),
    /// There are too many that move nothing.
    Flood,
}

impl Fault {
    pub(super) fn reason(self) -> Reason {
        match self {
            Self::Broken(reason) => reason,
            Self::Flood => Reason::ENHANCE_YOUR_CALM,
        }
    }
}

/// What is to be done with bytes of the client: so many of them may be read, and then this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// The rest is the beginning of a frame's head: it is shown again with what follows.
    Wait,
    /// A frame of trailers begins.
    Trailers(FrameHead),
    /// A frame of content without any stands there, which is left out: h2 takes 100 of them in a
    /// connection's life, however long.
    Empty,
    /// Nothing else is ever read.
    End(Fault),
}

/// A frame's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHead {
    pub(super) length: usize,
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

impl FrameHead {
    /// Reads a head, if it is there as a whole.
    fn read(bytes: &[u8]) -> Option<Self> {
        let [a, b, c, kind, flags, id @ ..] = *bytes.first_chunk::<HEAD>()?;
        Some(Self {
            length: u32::from_be_bytes([0, a, b, c]) as usize,
            kind,
            flags,
            stream: u32::from_be_bytes(id) & 0x7fff_ffff,
        })
    }

    /// Writes it.
    pub(super) fn write(self, out: &mut BytesMut) {
        debug_assert!(self.length <= LARGEST);
        out.put_uint(self.length as u64, 3);
        out.put_u8(self.kind);
        out.put_u8(self.flags);
        out.put_u32(self.stream);
    }
}

/// Where in the client's bytes the gate stands.
#[derive(Debug)]
enum At {
    /// A head.
    Head,
    /// So much of the preface or of a payload is left, which is of no interest.
    Payload(usize),
    /// So much of SETTINGS is left, and so much of one of them is there.
    Settings { left: usize, setting: [u8; SETTING], have: usize },
}

/// Looks at a client's frames.
#[derive(Debug)]
pub(super) struct FrameGate {
    at: At,
    begun: bool,
    last_stream: u32,
    open: Open,
    /// The stream whose header block has begun and not ended.
    block: Option<u32>,
    idle: Budget,
    windows: Budget,
    /// Bytes of acknowledgements that we owe: sending these lets the client send no more.
    owed: usize,
}

impl FrameGate {
    /// Takes at most so many frames that move nothing.
    pub(super) fn new(idle_frames: u32, now: Instant) -> Self {
        Self {
            at: At::Payload(PREFACE),
            begun: false,
            last_stream: 0,
            open: Open::default(),
            block: None,
            idle: Budget::new(idle_frames, idle_frames, BACK_A_PIECE, now),
            windows: Budget::new(
                idle_frames,
                idle_frames.saturating_mul(WINDOWS),
                WINDOWS_A_PIECE,
                now,
            ),
            owed: 0,
        }
    }

    /// How many bytes of the client may be read, and what then. `now` is asked only for frames that
    /// move nothing.
    pub(super) fn pass(&mut self, bytes: &[u8], now: impl Fn() -> Instant) -> (usize, Then) {
        let mut at = 0;
        loop {
            let rest = &bytes[at..];
            match &mut self.at {
                At::Head => {
                    let Some(frame) = FrameHead::read(rest) else { return (at, Then::Wait) };
                    match self.judge(frame, &now) {
                        Err(fault) => return (at, Then::End(fault)),
                        Ok(Some(apart)) => return (at, apart),
                        Ok(None) => {}
                    }
                    at += HEAD;
                    self.at = match frame.kind {
                        SETTINGS => {
                            At::Settings { left: frame.length, setting: [0; SETTING], have: 0 }
                        }
                        _ => At::Payload(frame.length),
                    };
                }
                At::Payload(left) => {
                    let n = rest.len().min(*left);
                    (at, *left) = (at + n, *left - n);
                    if *left > 0 {
                        return (at, Then::Wait);
                    }
                    self.at = At::Head;
                }
                At::Settings { left, setting, have } => {
                    let n = rest.len().min(*left).min(SETTING - *have);
                    setting[*have..*have + n].copy_from_slice(&rest[..n]);
                    (at, *left, *have) = (at + n, *left - n, *have + n);
                    if *have == SETTING {
                        *have = 0;
                        if let Err(fault) = judge_setting(*setting) {
                            // Its last byte stays here, so that it is never seen.
                            return (at - 1, Then::End(fault));
                        }
                    }
                    if *left == 0 {
                        self.at = At::Head;
                    } else if at == bytes.len() {
                        return (at, Then::Wait);
                    }
                }
            }
        }
    }

    /// The frame of trailers was taken as a whole. Each is counted: h2 drops those of streams that
    /// we broke off.
    pub(super) fn took_trailers(
        &mut self,
        head: FrameHead,
        now: impl Fn() -> Instant,
    ) -> Result<(), Fault> {
        self.at = At::Head;
        self.follow(head);
        self.idle.spend(now)
    }

    /// The client was sent so many bytes.
    pub(super) fn sent(&mut self, bytes: usize) {
        let acknowledging = bytes.min(self.owed);
        self.owed -= acknowledging;
        self.idle.sent(bytes - acknowledging);
        self.windows.sent(bytes - acknowledging);
    }

    /// Judges a frame by its head, and says what else is to be done than to pass it.
    fn judge(
        &mut self,
        frame: FrameHead,
        now: &impl Fn() -> Instant,
    ) -> Result<Option<Then>, Fault> {
        let FrameHead { length, kind, flags, stream } = frame;
        if !self.begun && (kind != SETTINGS || flags & ACK != 0) {
            return Err(Fault::Broken(Reason::PROTOCOL_ERROR));
        }
        self.begun = true;
        let right_size = length <= LARGEST
            && match kind {
                PRIORITY => length == 5,
                RST_STREAM | WINDOW_UPDATE => length == 4,
                SETTINGS if flags & ACK != 0 => length == 0,
                SETTINGS => length.is_multiple_of(SETTING),
                PING => length == 8,
                GOAWAY => length >= 8,
                _ => true,
            };
        if !right_size {
            return Err(Fault::Broken(Reason::FRAME_SIZE_ERROR));
        }
        let continues = kind == CONTINUATION && self.block == Some(stream);
        if continues != (kind == CONTINUATION || self.block.is_some()) {
            return Err(Fault::Broken(Reason::PROTOCOL_ERROR));
        }
        let known = stream <= self.last_stream;
        if matches!(kind, HEADERS | DATA) && known && stream != 0 && self.open.lacks(stream) {
            return Err(Fault::Broken(Reason::STREAM_CLOSED));
        }
        if kind == HEADERS && known {
            return Ok(Some(Then::Trailers(frame)));
        }
        self.follow(frame);
        match kind {
            HEADERS => {
                self.idle.refill(BACK_A_STREAM);
                self.windows.refill(BACK_A_STREAM);
            }
            DATA | CONTINUATION if length > 0 => {}
            WINDOW_UPDATE => self.windows.spend(now)?,
            _ => {
                if flags & ACK == 0 {
                    self.owed = self.owed.saturating_add(match kind {
                        PING => HEAD + 8,
                        SETTINGS => HEAD,
                        _ => 0,
                    });
                }
                self.idle.spend(now)?;
            }
        }
        let empty = kind == DATA && length == 0 && flags & (END_STREAM | PADDED) == 0;
        Ok((empty && stream != 0 && known).then_some(Then::Empty))
    }

    /// Keeps account of what streams and header blocks there are.
    fn follow(&mut self, FrameHead { kind, flags, stream, .. }: FrameHead) {
        if kind == HEADERS && stream > self.last_stream {
            self.last_stream = stream;
            self.open.begin(stream);
        }
        if flags & END_STREAM != 0 && matches!(kind, HEADERS | DATA) || kind == RST_STREAM {
            self.open.end(stream);
        }
        if matches!(kind, HEADERS | CONTINUATION) {
            self.block = (flags & END_HEADERS == 0).then_some(stream);
        }
    }
}

/// The values that h2 judges with another code.
fn judge_setting(setting: [u8; SETTING]) -> Result<(), Fault> {
    let [a, b, value @ ..] = setting;
    let too_large = u32::from_be_bytes(value) > LARGEST_WINDOW;
    match u16::from_be_bytes([a, b]) {
        INITIAL_WINDOW_SIZE if too_large => Err(Fault::Broken(Reason::FLOW_CONTROL_ERROR)),
        _ => Ok(()),
    }
}

/// The streams on which the client may still send, in order.
#[derive(Debug, Default)]
struct Open {
    streams: Vec<u32>,
    /// There were too many to remember: nothing is known any more.
    lost: bool,
}

impl Open {
    /// What is remembered. A stream that we broke off stays until the client ends it, which it need
    /// not.
    const MOST: usize = 1024;

    fn begin(&mut self, stream: u32) {
        if self.streams.len() == Self::MOST {
            *self = Self { streams: Vec::new(), lost: true };
        }
        if !self.lost {
            self.streams.push(stream);
        }
    }

    fn end(&mut self, stream: u32) {
        if let Ok(at) = self.streams.binary_search(&stream) {
            self.streams.remove(at);
        }
    }

    /// Whether the client has ended it, or never opened it.
    fn lacks(&self, stream: u32) -> bool {
        !self.lost && self.streams.binary_search(&stream).is_err()
    }
}

/// How many frames may yet come that move nothing: each costs us work, and the client nothing.
#[derive(Debug)]
struct Budget {
    left: u32,
    most: u32,
    refilled: Instant,
    /// One comes back with so many bytes that the client is sent.
    piece: usize,
    /// Bytes sent that are too few to count.
    odd: usize,
}

impl Budget {
    fn new(left: u32, most: u32, piece: usize, now: Instant) -> Self {
        Self { left, most, refilled: now, piece, odd: 0 }
    }

    fn spend(&mut self, now: impl Fn() -> Instant) -> Result<(), Fault> {
        if self.left == 0 {
            let now = now();
            let seconds = now.saturating_duration_since(self.refilled).as_secs();
            self.refilled = now;
            self.refill(u32::try_from(seconds).unwrap_or(u32::MAX).saturating_mul(BACK_A_SECOND));
        }
        self.left = self.left.checked_sub(1).ok_or(Fault::Flood)?;
        Ok(())
    }

    fn refill(&mut self, frames: u32) {
        self.left = self.left.saturating_add(frames).min(self.most);
    }

    fn sent(&mut self, bytes: usize) {
        self.odd += bytes;
        self.refill(u32::try_from(self.odd / self.piece).unwrap_or(u32::MAX));
        self.odd %= self.piece;
    }
}

#[cfg(test)]
mod tests;
