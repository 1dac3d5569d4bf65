//! `OriginIo`: what hyper's client reads and writes instead of the socket.
//!
//! The same strictness as towards clients: a response head with a fault never reaches hyper, and
//! bytes beyond a response poison the connection instead of becoming the next client's answer.
//! Interim (1xx) responses end here: they go to the exchange's sink.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use proxy_core::{
    ContentFramer, ErrorKind, Fault, Framing, HeadLimits, HeadScan, MessageFramer, ProxyError,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::io::poll_read_buf;

use crate::origin_link::OriginLink;

const READ_SIZE: usize = 8 * 1024;
const READ_SIZE_CONTENT: usize = 32 * 1024;
/// More interim responses to one request than this are an attack.
const MAX_INTERIM: u32 = 100;

pub(crate) struct OriginIo<T> {
    io: T,
    link: Arc<OriginLink>,
    buffer: BytesMut,
    cleared: usize,
    phase: Phase,
    framer: MessageFramer,
    interim: u32,
    last_read: usize,
}

#[derive(Debug)]
enum Phase {
    Head,
    Content(ContentFramer),
    Broken,
}

impl<T> OriginIo<T> {
    pub(crate) fn new(io: T, link: Arc<OriginLink>, limits: HeadLimits) -> Self {
        Self {
            io,
            link,
            buffer: BytesMut::new(),
            cleared: 0,
            phase: Phase::Head,
            framer: MessageFramer::new(limits),
            interim: 0,
            last_read: 0,
        }
    }

    fn broken(&mut self, kind: ErrorKind, detail: &'static str) -> io::Error {
        self.phase = Phase::Broken;
        self.link.set_faulty();
        let error = ProxyError::new(kind).detail(detail);
        io::Error::new(io::ErrorKind::InvalidData, error)
    }

    fn fault(&mut self, fault: Fault) -> io::Error {
        self.broken(fault.response_error(), fault.token())
    }

    /// Looks for the head of the final response; takes interim ones out.
    fn scan_head(&mut self) -> io::Result<bool> {
        while !self.buffer.is_empty() {
            if !self.link.is_answering() {
                // The answer before them was whole; no further one is believed.
                self.phase = Phase::Broken;
                self.link.poison();
                let error =
                    ProxyError::new(ErrorKind::HttpProtocolError).detail("unsolicited_bytes");
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
            self.link.first_byte();
            let info = match self.framer.scan_response(&self.buffer, self.link.is_to_head()) {
                Ok(HeadScan::Complete(info)) => info,
                Ok(HeadScan::Partial) => return Ok(false),
                Err(fault) => return Err(self.fault(fault)),
            };
            if (100..200).contains(&info.status) {
                self.interim += 1;
                if self.interim > MAX_INTERIM {
                    return Err(
                        self.broken(ErrorKind::HttpProtocolError, "too_many_interim_responses")
                    );
                }
                let head = self.buffer.split_to(info.len);
                self.relay(info.status, &head);
                continue;
            }
            self.interim = 0;
            self.cleared = info.len;
            self.begin_content(info.framing);
            return Ok(true);
        }
        Ok(false)
    }

    fn begin_content(&mut self, framing: Framing) {
        let content = ContentFramer::new(framing);
        self.link.final_head();
        if content.is_end() {
            self.end_content();
        } else {
            self.phase = Phase::Content(content);
        }
    }

    /// The response is whole. Whatever stands behind it nobody asked for.
    fn end_content(&mut self) {
        self.phase = Phase::Head;
        self.link.answered();
        if self.buffer.len() > self.cleared {
            self.link.poison();
        }
    }

    fn scan_content(&mut self) -> io::Result<()> {
        let Phase::Content(framer) = &mut self.phase else { return Ok(()) };
        match framer.scan(&self.buffer) {
            Ok(scan) => {
                self.cleared = scan.len;
                if scan.end {
                    self.end_content();
                }
                Ok(())
            }
            Err(fault) => Err(self.fault(fault)),
        }
    }

    fn relay(&self, status: u16, head: &[u8]) {
        let Ok(status) = StatusCode::from_u16(status) else { return };
        if status == StatusCode::CONTINUE {
            return self.link.continues();
        }
        let Some(sink) = self.link.interim() else { return };
        let mut space = [httparse::EMPTY_HEADER; 128];
        let mut parsed = httparse::Response::new(&mut space);
        if !matches!(parsed.parse(head), Ok(httparse::Status::Complete(_))) {
            return;
        }
        let mut fields = HeaderMap::with_capacity(parsed.headers.len());
        for field in parsed.headers.iter() {
            if let (Ok(name), Ok(value)) = (
                HeaderName::from_bytes(field.name.as_bytes()),
                HeaderValue::from_bytes(field.value),
            ) {
                fields.append(name, value);
            }
        }
        sink.send(status, &fields);
    }
}

impl<T: AsyncRead + Unpin> OriginIo<T> {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // Large content is read in large pieces, everything else in small ones.
        let size = if self.last_read >= READ_SIZE { READ_SIZE_CONTENT } else { READ_SIZE };
        self.buffer.reserve(size);
        let n = ready!(poll_read_buf(Pin::new(&mut self.io), cx, &mut self.buffer))?;
        self.last_read = n;
        Poll::Ready(Ok(n))
    }
}

impl<T: AsyncRead + Unpin> hyper::rt::Read for OriginIo<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut out: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.cleared == 0 {
            match this.phase {
                Phase::Broken => return Poll::Ready(Ok(())),
                Phase::Head => {
                    if this.scan_head()? {
                        break;
                    }
                }
                Phase::Content(_) => {
                    if !this.buffer.is_empty() {
                        this.scan_content()?;
                        continue;
                    }
                }
            }
            if ready!(this.poll_fill(cx))? == 0 {
                match &this.phase {
                    Phase::Content(content) if !content.ends_at_close() => this.link.set_faulty(),
                    _ => this.link.poison(),
                }
                return Poll::Ready(Ok(()));
            }
        }
        let n = this.cleared.min(out.remaining());
        out.put_slice(&this.buffer[..n]);
        this.buffer.advance(n);
        this.cleared -= n;
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> OriginIo<T> {
    fn written(&self, poll: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &poll {
            Poll::Ready(Ok(n)) => self.link.wrote(*n),
            Poll::Pending => self.link.write_blocked(),
            Poll::Ready(Err(_)) => self.link.poison(),
        }
        poll
    }
}

impl<T: AsyncWrite + Unpin> hyper::rt::Write for OriginIo<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.io).poll_write(cx, buf);
        this.written(poll)
    }
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        this.written(poll)
    }
    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}
