//! The client's part of a request stream: the order of its frames (RFC 9114 section 4.1), and its
//! field sections, gathered up to their limit.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};

use super::Connection;
use super::code::Code;
use super::frames::{FrameReader, Lost, Piece, kind};

/// Frames without content, one behind the other: those of unknown types, and empty DATA. They cost
/// a client two bytes each.
const IDLE_FRAMES: u32 = 256;

/// What a stream brings.
#[derive(Debug)]
pub(super) enum Event {
    /// A field section, encoded.
    Section(Bytes),
    /// Content.
    Data(Bytes),
    /// The end of the message.
    End,
}

/// Why it brings no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// A field section is larger than the limit.
    TooLarge,
    /// The stream ended without a request.
    Incomplete,
    /// The client broke it off, or the connection has gone or goes for what it did.
    Gone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Head,
    Content,
    /// Only frames of unknown types may follow the trailer section.
    Nothing,
}

enum Payload {
    Data,
    Section(BytesMut),
    Unknown,
}

pub(super) struct RequestStream {
    frames: FrameReader,
    connection: Arc<Connection>,
    expected: Expected,
    payload: Payload,
    /// Of the payload under way.
    left: u64,
    idle_frames: u32,
    /// Behind a CONNECT only DATA may follow (section 4.4).
    tunnel: bool,
}

impl RequestStream {
    pub(super) fn new(frames: FrameReader, connection: Arc<Connection>) -> Self {
        Self {
            frames,
            connection,
            expected: Expected::Head,
            payload: Payload::Unknown,
            left: 0,
            idle_frames: 0,
            tunnel: false,
        }
    }

    /// The request was CONNECT.
    pub(super) fn become_tunnel(&mut self) {
        self.tunnel = true;
    }

    /// No more is wanted.
    pub(super) fn stop(&mut self, code: Code) {
        self.frames.stop(code);
    }

    /// What comes next. What is against the order of frames ends the connection.
    pub(super) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, Broken>> {
        loop {
            let piece = match ready!(self.frames.poll_piece(cx)) {
                Ok(piece) => piece,
                Err(Lost::Truncated) => return self.fail(Code::FrameError, "truncated_frame"),
                Err(Lost::Reset | Lost::Connection) => return Poll::Ready(Err(Broken::Gone)),
            };
            match piece {
                Piece::End if self.expected == Expected::Head => {
                    return Poll::Ready(Err(Broken::Incomplete));
                }
                Piece::End => return Poll::Ready(Ok(Event::End)),
                Piece::Frame { kind, length } => {
                    if let Err((code, why)) = self.begin(kind, length) {
                        return self.fail(code, why);
                    }
                    if let Payload::Section(block) = &mut self.payload {
                        if length > self.connection.section_limit as u64 {
                            return Poll::Ready(Err(Broken::TooLarge));
                        }
                        if length == 0 {
                            return Poll::Ready(Ok(Event::Section(block.split().freeze())));
                        }
                    }
                }
                Piece::Payload(bytes) => {
                    self.left -= bytes.len() as u64;
                    match &mut self.payload {
                        Payload::Unknown => {}
                        Payload::Data => {
                            self.idle_frames = 0;
                            return Poll::Ready(Ok(Event::Data(bytes)));
                        }
                        Payload::Section(block) => {
                            block.extend_from_slice(&bytes);
                            if self.left == 0 {
                                let block = std::mem::take(block).freeze();
                                return Poll::Ready(Ok(Event::Section(block)));
                            }
                        }
                    }
                }
            }
        }
    }

    /// Judges a frame by its type and place.
    fn begin(&mut self, kind: u64, length: u64) -> Result<(), (Code, &'static str)> {
        self.left = length;
        let unexpected = Err((Code::FrameUnexpected, "frame_unexpected"));
        self.payload = match (kind, self.expected) {
            (kind::HEADERS, Expected::Head) => {
                self.expected = Expected::Content;
                Payload::Section(BytesMut::new())
            }
            (kind::HEADERS, Expected::Content) if !self.tunnel => {
                self.expected = Expected::Nothing;
                Payload::Section(BytesMut::new())
            }
            (kind::DATA, Expected::Content) => Payload::Data,
            (kind::HEADERS | kind::DATA, _) => return unexpected,
            // Those of the control stream, and a promise, which clients do not make.
            (
                kind::CANCEL_PUSH
                | kind::SETTINGS
                | kind::PUSH_PROMISE
                | kind::GOAWAY
                | kind::MAX_PUSH_ID
                | kind::PRIORITY_UPDATE
                | kind::PRIORITY_UPDATE_PUSH,
                _,
            ) => return unexpected,
            (kind, _) if kind::is_of_http2(kind) => return unexpected,
            _ => Payload::Unknown,
        };
        if matches!(self.payload, Payload::Unknown) || length == 0 {
            self.idle_frames += 1;
            if self.idle_frames > IDLE_FRAMES {
                return Err((Code::ExcessiveLoad, "idle_frames"));
            }
        }
        Ok(())
    }

    fn fail(&self, code: Code, why: &'static str) -> Poll<Result<Event, Broken>> {
        self.connection.fail(code, why);
        Poll::Ready(Err(Broken::Gone))
    }
}
