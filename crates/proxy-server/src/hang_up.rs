//! Seeing that a peer has left without reading what it has sent.
//!
//! A socket that is read tells its end by itself. One from which nothing is read, because enough
//! is waiting already, tells it only to who asks the poller for the close (`EPOLLRDHUP`), and for
//! nothing else: bytes that wait make it ready to be read all the time. Waiting for priority data,
//! which is never asked for, is tokio's way to wait for the close alone. That wait borrows the
//! socket, so a second descriptor of it is registered for as long as the case lasts.

use std::future::Future;
use std::io;
use std::net;
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::Interest;
use tokio::net::TcpStream;

pub(crate) struct HangUpWatch(Pin<Box<dyn Future<Output = ()> + Send>>);

impl HangUpWatch {
    /// `socket` is any stream socket: nothing is read from it or written to it here.
    pub(crate) fn new(socket: BorrowedFd<'_>) -> io::Result<Self> {
        let socket = net::TcpStream::from(socket.try_clone_to_owned()?);
        let socket = TcpStream::from_std(socket)?;
        Ok(Self(Box::pin(async move {
            // An error is an end too.
            let _ = socket.ready(Interest::PRIORITY).await;
        })))
    }

    /// Ready once the peer has closed its sending side, or the connection is gone. Not to be
    /// asked again then.
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::os::fd::AsFd as _;

    use tokio::io::AsyncWriteExt as _;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn a_close_behind_unread_bytes_is_seen() {
        for reset in [false, true] {
            seen(reset).await;
        }
    }

    async fn seen(reset: bool) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let mut client = TcpStream::connect(address).await.expect("connected");
        let (server, _) = listener.accept().await.expect("accepted");
        client.write_all(b"unread").await.expect("room");
        server.readable().await.expect("bytes");
        let mut watch = HangUpWatch::new(server.as_fd()).expect("a descriptor");
        for more in [&b""[..], b"more"] {
            client.write_all(more).await.expect("room");
            tokio::task::yield_now().await;
            server.readable().await.expect("bytes");
            let gone = poll_fn(|cx| Poll::Ready(watch.poll_gone(cx).is_ready())).await;
            assert!(!gone);
        }
        if reset {
            socket2::SockRef::from(&client)
                .set_linger(Some(std::time::Duration::ZERO))
                .expect("set");
            drop(client);
        } else {
            client.shutdown().await.expect("closed");
        }
        poll_fn(|cx| watch.poll_gone(cx)).await;
    }
}
