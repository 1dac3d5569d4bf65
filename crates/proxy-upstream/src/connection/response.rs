//! The response of an exchange on its way in: read once, checked once, taken out of its coding.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http::{Response, StatusCode};
use http_body::Frame;
use proxy_core::fields::remove_forbidden_trailers;
use proxy_core::framing::{ContentFramer, ContentPiece, trailer_fields};
use proxy_core::{
    ErrorKind, Fault, Framing, HeadLimits, HeadScan, InterimSink, MessageFramer, ProxyError,
};
use tokio_util::io::poll_read_buf;

use super::OriginStream;

const READ_SIZE: usize = 8 * 1024;
const READ_SIZE_CONTENT: usize = 32 * 1024;
/// More interim responses to one request than this are an attack.
const MAX_INTERIM: u32 = 100;
/// Fields that layers above add to a response.
const ROOM: usize = 4;

/// See the [module](self). One for a connection: its buffer serves one response after the other.
pub(super) struct IncomingResponse {
    input: BytesMut,
    framer: MessageFramer,
    content: ContentFramer,
    /// The content is read to its end.
    whole: bool,
    /// The peer lets the connection be used again.
    keep_alive: bool,
    first_byte: bool,
    /// 100 (Continue) has come.
    continues: bool,
    interim: u32,
    last_read: usize,
    trailers: BytesMut,
}

/// Why a response can not be read.
pub(super) enum ReadError {
    /// The connection closed or broke too early.
    Closed,
    /// What came is unsound.
    Unsound(ProxyError),
}

/// What came along with a response's head.
pub(crate) enum Begun {
    /// All of the content, which had a known length.
    Whole(Bytes),
    /// Content of this length, if it is known; perhaps a first piece of it.
    Open(Option<u64>, Option<Frame<Bytes>>),
}

fn unsound(fault: Fault) -> ProxyError {
    ProxyError::new(fault.response_error()).detail(fault.token())
}

impl From<Fault> for ReadError {
    fn from(fault: Fault) -> Self {
        Self::Unsound(unsound(fault))
    }
}

impl IncomingResponse {
    pub(super) fn new(limits: HeadLimits) -> Self {
        Self {
            input: BytesMut::new(),
            framer: MessageFramer::new(limits),
            content: ContentFramer::new(Framing::None),
            whole: true,
            keep_alive: true,
            first_byte: false,
            continues: false,
            interim: 0,
            last_read: 0,
            trailers: BytesMut::new(),
        }
    }

    /// A further response is to come.
    pub(super) fn begin(&mut self) {
        self.whole = false;
        self.first_byte = false;
        self.continues = false;
        self.interim = 0;
    }

    /// Whether some byte of it has come.
    pub(super) fn has_first_byte(&self) -> bool {
        self.first_byte
    }

    /// Whether 100 (Continue) has come.
    pub(super) fn continues(&self) -> bool {
        self.continues
    }

    /// Whether all of it was read.
    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    /// Whether another may follow it: the peer agrees, and nothing stands behind it already.
    /// Whatever does, nobody asked for.
    pub(super) fn may_be_followed(&self) -> bool {
        self.whole && self.keep_alive && self.input.is_empty()
    }

    /// Gives back memory that an idle connection does not need.
    pub(super) fn shrink(&mut self) {
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
    }

    /// Reads up to the end of the final response's head. Interim responses go to `sink`.
    pub(super) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut OriginStream,
        to_head: bool,
        sink: Option<&dyn InterimSink>,
    ) -> Poll<Result<Response<()>, ReadError>> {
        loop {
            match ready!(self.poll_fill(cx, stream)) {
                Ok(n) if n > 0 => self.first_byte = true,
                _ => return Poll::Ready(Err(ReadError::Closed)),
            }
            if let Some(response) = self.scan_head(to_head, sink)? {
                return Poll::Ready(Ok(response));
            }
        }
    }

    fn scan_head(
        &mut self,
        to_head: bool,
        sink: Option<&dyn InterimSink>,
    ) -> Result<Option<Response<()>>, ReadError> {
        while !self.input.is_empty() {
            let HeadScan::Complete(info) = self.framer.scan_response(&self.input, to_head)? else {
                return Ok(None);
            };
            if (100..200).contains(&info.status) {
                self.interim += 1;
                if self.interim > MAX_INTERIM {
                    let error = ProxyError::new(ErrorKind::HttpProtocolError);
                    return Err(ReadError::Unsound(error.detail("too_many_interim_responses")));
                }
                if info.status == StatusCode::CONTINUE {
                    self.continues = true;
                } else if let Some(sink) = sink {
                    let head = Bytes::copy_from_slice(&self.input[..info.len]);
                    let response = self.framer.response(&head, 0)?;
                    sink.send(response.status(), response.headers());
                }
                self.input.advance(info.len);
                continue;
            }
            // Copied: fields that live on would take the whole buffer from the next response.
            let head = Bytes::copy_from_slice(&self.input[..info.len]);
            self.input.advance(info.len);
            let response = self.framer.response(&head, ROOM)?;
            self.content = ContentFramer::new(info.framing);
            self.whole = self.content.is_end();
            // A peer that speaks HTTP/1.0 is not kept: it may not know chunks, and the next
            // request may need them (RFC 9112 sections 7.1 and 9.3).
            self.keep_alive =
                info.keep_alive && !info.version_10 && info.framing != Framing::UntilClose;
            return Ok(Some(response));
        }
        Ok(None)
    }

    /// Content that came along with the head. A fault in any of it is found before the head goes
    /// on: the client gets an error then, and not half an answer.
    pub(super) fn begun(&mut self) -> Result<Begun, ProxyError> {
        let mut ahead = self.content;
        ahead.scan(&self.input).map_err(unsound)?;
        let length = self.content.remaining();
        let first = self.next_frame().map_err(unsound)?;
        Ok(match first.map(Frame::into_data) {
            None if self.whole => Begun::Whole(Bytes::new()),
            // Chunked content has no length for the client either, though it may be all here.
            Some(Ok(content)) if self.whole && length.is_some() => Begun::Whole(content),
            Some(Ok(content)) => Begun::Open(length, Some(Frame::data(content))),
            Some(Err(trailers)) => Begun::Open(length, Some(trailers)),
            None => Begun::Open(length, None),
        })
    }

    /// The next frame of what was read. `None`: more must be read, or the content
    /// [is whole](Self::is_whole).
    pub(super) fn next_frame(&mut self) -> Result<Option<Frame<Bytes>>, Fault> {
        loop {
            match self.content.next_piece(&self.input)? {
                ContentPiece::Framing(0) => return Ok(None),
                ContentPiece::Framing(n) => self.input.advance(n),
                ContentPiece::Data(n) => {
                    let data = self.input.split_to(n).freeze();
                    self.look_for_end();
                    return Ok(Some(Frame::data(data)));
                }
                ContentPiece::Trailers(n) => {
                    self.trailers.extend_from_slice(&self.input[..n]);
                    self.input.advance(n);
                }
                ContentPiece::End => {
                    self.whole = true;
                    let section = std::mem::take(&mut self.trailers);
                    if section.len() <= 2 {
                        return Ok(None);
                    }
                    let mut trailers = trailer_fields(&section.freeze())?;
                    remove_forbidden_trailers(&mut trailers);
                    return Ok((!trailers.is_empty()).then(|| Frame::trailers(trailers)));
                }
            }
        }
    }

    /// Takes the framing behind a piece of content, so that the last piece is known to be the
    /// last. A fault in it is left to the next look.
    fn look_for_end(&mut self) {
        let mut ahead = self.content;
        loop {
            match ahead.next_piece(&self.input) {
                Ok(ContentPiece::Framing(n)) if n > 0 => self.input.advance(n),
                Ok(ContentPiece::Trailers(n)) => {
                    self.trailers.extend_from_slice(&self.input[..n]);
                    self.input.advance(n);
                }
                Ok(ContentPiece::End) if self.trailers.len() <= 2 => {
                    self.trailers.clear();
                    self.whole = true;
                    return;
                }
                _ => return,
            }
            self.content = ahead;
        }
    }

    /// Reads more content. `Ok(false)`: none will come, and that is its end.
    pub(super) fn poll_more(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut OriginStream,
    ) -> Poll<Result<bool, ReadError>> {
        match ready!(self.poll_fill(cx, stream)) {
            Ok(n) if n > 0 => Poll::Ready(Ok(true)),
            // Only an orderly close ends content that has no other end (RFC 9112 section 8).
            Ok(_) if self.content.ends_at_close() => {
                self.whole = true;
                Poll::Ready(Ok(false))
            }
            _ => Poll::Ready(Err(ReadError::Closed)),
        }
    }

    fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut OriginStream,
    ) -> Poll<std::io::Result<usize>> {
        // Large content is read in large pieces, everything else in small ones.
        let size = if self.last_read >= READ_SIZE { READ_SIZE_CONTENT } else { READ_SIZE };
        self.input.reserve(size);
        let n = ready!(poll_read_buf(Pin::new(stream), cx, &mut self.input))?;
        self.last_read = n;
        Poll::Ready(Ok(n))
    }
}
