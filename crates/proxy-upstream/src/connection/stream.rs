//! What a connection runs on: a socket, TLS over one, or TLS within TLS with a parent proxy.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustls::ClientConnection;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;

use crate::dial::Way;

/// A socket, TLS over one, or TLS within that.
pub(crate) enum OriginStream {
    /// In clear text.
    Plain(TcpStream),
    /// In clear text, on this machine.
    Unix(UnixStream),
    /// Boxed: a session is large, and most origins of a gateway are near.
    Tls(Box<TlsStream<TcpStream>>),
    /// Within TLS with a parent proxy.
    Nested(Box<TlsStream<TlsStream<TcpStream>>>),
}

impl From<TcpStream> for OriginStream {
    fn from(stream: TcpStream) -> Self {
        Self::Plain(stream)
    }
}

impl From<UnixStream> for OriginStream {
    fn from(stream: UnixStream) -> Self {
        Self::Unix(stream)
    }
}

impl From<TlsStream<TcpStream>> for OriginStream {
    fn from(stream: TlsStream<TcpStream>) -> Self {
        Self::Tls(Box::new(stream))
    }
}

impl From<TlsStream<TlsStream<TcpStream>>> for OriginStream {
    fn from(stream: TlsStream<TlsStream<TcpStream>>) -> Self {
        Self::Nested(Box::new(stream))
    }
}

impl From<Way> for OriginStream {
    fn from(way: Way) -> Self {
        match way {
            Way::Plain(stream) => Self::Plain(stream),
            Way::Tls(stream) => Self::Tls(stream),
        }
    }
}

impl OriginStream {
    /// Whether nothing waits to be read, and the peer has not closed. `by_word`: the reactor's
    /// word is taken, which costs no system call.
    pub(super) fn is_silent(&mut self, by_word: bool) -> bool {
        match self {
            Self::Plain(stream) if by_word => would_block(&stream.try_read(&mut [0])),
            Self::Plain(stream) => would_block(&peek(&*stream)),
            Self::Unix(stream) if by_word => would_block(&stream.try_read(&mut [0])),
            Self::Unix(stream) => would_block(&peek(&*stream)),
            Self::Tls(stream) => {
                let (socket, session) = stream.get_mut();
                is_session_silent(&mut Records { socket, by_word }, session)
            }
            Self::Nested(stream) => {
                let (outer, session) = stream.get_mut();
                let (socket, outer) = outer.get_mut();
                let records = Records { socket, by_word };
                is_session_silent(&mut Within { records, session: outer }, session)
            }
        }
    }

    /// Waits until the reactor has noticed something to read.
    #[cfg(test)]
    pub(super) async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.readable().await,
            Self::Unix(stream) => stream.readable().await,
            Self::Tls(stream) => stream.get_ref().0.readable().await,
            Self::Nested(stream) => stream.get_ref().0.get_ref().0.readable().await,
        }
    }

    /// Whether there is something to be read already.
    pub(super) fn has_spoken(&mut self) -> bool {
        match self {
            Self::Plain(stream) => matches!(peek(&*stream), Ok(1..)),
            Self::Unix(stream) => matches!(peek(&*stream), Ok(1..)),
            Self::Tls(stream) => plaintext(stream.get_mut().1) > 0,
            Self::Nested(stream) => plaintext(stream.get_mut().1) > 0,
        }
    }
}

fn peek<'a>(stream: impl Into<SockRef<'a>>) -> io::Result<usize> {
    stream.into().peek(&mut [MaybeUninit::uninit()])
}

fn would_block(look: &io::Result<usize>) -> bool {
    matches!(look, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// Content that was decrypted and not read. A session that can not go on counts as speaking.
fn plaintext(session: &mut ClientConnection) -> usize {
    session.process_new_packets().map_or(1, |state| state.plaintext_bytes_to_read())
}

/// An idle session may hear of new tickets and keys: they are taken in here. Content, an alert and
/// a close are the end of its silence.
fn is_session_silent(records: &mut impl io::Read, session: &mut ClientConnection) -> bool {
    if plaintext(session) > 0 {
        return false;
    }
    loop {
        match session.read_tls(records) {
            Ok(1..) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
            _ => return false,
        }
        match session.process_new_packets() {
            Ok(state) if state.plaintext_bytes_to_read() == 0 && !state.peer_has_closed() => {}
            _ => return false,
        }
    }
}

/// What is there on a socket, without waiting.
struct Records<'a> {
    socket: &'a TcpStream,
    by_word: bool,
}

impl io::Read for Records<'_> {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        let read = |space: &mut [u8]| (&*SockRef::from(self.socket)).read(space);
        match self.by_word {
            true => self.socket.try_io(Interest::READABLE, || read(space)),
            false => read(space),
        }
    }
}

/// The same of what comes through another session.
struct Within<'a> {
    records: Records<'a>,
    session: &'a mut ClientConnection,
}

impl io::Read for Within<'_> {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(space) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            if self.session.read_tls(&mut self.records)? == 0 {
                return Ok(0);
            }
            self.session
                .process_new_packets()
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
    }
}

impl AsyncRead for OriginStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Nested(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for OriginStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Nested(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Nested(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }
    fn is_write_vectored(&self) -> bool {
        true
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Self::Nested(stream) => Pin::new(stream).poll_flush(cx),
        }
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Nested(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
