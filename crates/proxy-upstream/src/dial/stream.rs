//! What a dialled connection runs on: a socket, or TLS with a parent proxy over one.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::cluster::Permit;

/// A connection that was dialled. What is written may have to be flushed.
#[derive(Debug)]
pub struct DialedStream {
    pub(crate) way: Way,
    /// Its place at the parent that it leads through, where there are several.
    pub(crate) place: Option<Permit>,
}

/// How it leads there.
#[derive(Debug)]
pub(crate) enum Way {
    /// A socket, and nothing else.
    Plain(TcpStream),
    /// TLS with a parent proxy. Boxed: a session is large.
    Tls(Box<TlsStream<TcpStream>>),
}

impl DialedStream {
    /// The socket below.
    pub fn socket(&self) -> &TcpStream {
        match &self.way {
            Way::Plain(stream) => stream,
            Way::Tls(stream) => stream.get_ref().0,
        }
    }

    /// The socket, where there is nothing around it.
    ///
    /// # Errors
    /// The connection as it was: it leads through TLS with a parent proxy.
    pub fn into_socket(self) -> Result<TcpStream, Self> {
        match self.way {
            Way::Plain(stream) => Ok(stream),
            Way::Tls(_) => Err(self),
        }
    }

    /// The address of our end.
    ///
    /// # Errors
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket().local_addr()
    }
}

impl From<TcpStream> for DialedStream {
    fn from(stream: TcpStream) -> Self {
        Self { way: Way::Plain(stream), place: None }
    }
}

impl From<TlsStream<TcpStream>> for DialedStream {
    fn from(stream: TlsStream<TcpStream>) -> Self {
        Self { way: Way::Tls(Box::new(stream)), place: None }
    }
}

impl AsyncRead for DialedStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().way {
            Way::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Way::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for DialedStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().way {
            Way::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Way::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().way {
            Way::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Way::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }
    fn is_write_vectored(&self) -> bool {
        true
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().way {
            Way::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Way::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().way {
            Way::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Way::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
