//! A response's content on its way to the client: never more than its windows take, so that a
//! client which opens none is noticed and ended.

use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::{Body as HttpBody, Frame};
use proxy_core::deadline::Deadline;
use tokio::time::Instant;

use super::client_io::Socket;
use crate::patience::Patience;
use crate::settings::EdgeSettings;

/// Handed over at once: what a frame of default size holds, so that streams take turns.
const PIECE: usize = 16 * 1024;

/// How the sending of a response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// All of it is on its way.
    Whole,
    /// The content broke off; the client was told so.
    Broken,
    /// The client has gone, or its connection has.
    Gone,
    /// The client took nothing for too long, or too little.
    Stalled,
}

/// Sends content until its end, or the client's.
pub(super) async fn send<B>(
    content: B,
    mut stream: SendStream<Bytes>,
    settings: &EdgeSettings,
    socket: &Socket,
) -> Sent
where
    B: HttpBody<Data = Bytes>,
{
    let mut content = pin!(content);
    let mut client = Client {
        settings,
        socket,
        blocked: 0,
        patience: Patience::new(),
        deadline: Deadline::default(),
    };
    loop {
        let frame = poll_fn(|cx| {
            // The client's leaving ends the content, whoever makes it.
            if stream.poll_reset(cx).is_ready() {
                return Poll::Ready(Err(Sent::Gone));
            }
            content.as_mut().poll_frame(cx).map(|frame| Ok(frame.map(|f| f.map_err(drop))))
        });
        let outcome = match frame.await {
            Err(gone) => return gone,
            Ok(None) => return whole(&stream.send_data(Bytes::new(), true)),
            Ok(Some(Err(()))) => {
                stream.send_reset(Reason::INTERNAL_ERROR);
                return Sent::Broken;
            }
            Ok(Some(Ok(frame))) => match Frame::into_data(frame) {
                Ok(data) => {
                    let last = content.is_end_stream();
                    client.take(&mut stream, data, last).await.map(|()| last)
                }
                Err(frame) => match frame.into_trailers() {
                    Ok(trailers) => return whole(&stream.send_trailers(trailers)),
                    // No frame of another kind exists today.
                    Err(_) => Ok(false),
                },
            },
        };
        match outcome {
            Ok(false) => {}
            Ok(true) => return Sent::Whole,
            Err(sent) => {
                if sent == Sent::Stalled {
                    stream.send_reset(Reason::CANCEL);
                }
                return sent;
            }
        }
    }
}

fn whole(handed_over: &Result<(), h2::Error>) -> Sent {
    if handed_over.is_ok() { Sent::Whole } else { Sent::Gone }
}

/// The client, as one who takes content.
struct Client<'a> {
    settings: &'a EdgeSettings,
    socket: &'a Socket,
    /// How often the socket was full when waiting began.
    blocked: u64,
    patience: Patience,
    deadline: Deadline,
}

impl Client<'_> {
    async fn take(
        &mut self,
        stream: &mut SendStream<Bytes>,
        mut data: Bytes,
        last: bool,
    ) -> Result<(), Sent> {
        while !data.is_empty() {
            stream.reserve_capacity(data.len().min(PIECE));
            self.blocked = self.socket.blocked();
            let room = poll_fn(|cx| self.poll_room(cx, stream)).await?;
            let piece = data.split_to(data.len().min(room).min(PIECE));
            self.patience.progress(piece.len());
            let last = last && data.is_empty();
            stream.send_data(piece, last).map_err(|_| Sent::Gone)?;
            if last {
                return Ok(());
            }
        }
        if last {
            stream.send_data(Bytes::new(), true).map_err(|_| Sent::Gone)?;
        }
        Ok(())
    }

    /// Ready once the client's windows take something.
    fn poll_room(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut SendStream<Bytes>,
    ) -> Poll<Result<usize, Sent>> {
        if stream.poll_reset(cx).is_ready() {
            return Poll::Ready(Err(Sent::Gone));
        }
        loop {
            match stream.capacity() {
                0 => match stream.poll_capacity(cx) {
                    Poll::Ready(Some(Ok(_))) => {}
                    Poll::Ready(_) => return Poll::Ready(Err(Sent::Gone)),
                    Poll::Pending => break,
                },
                room => return Poll::Ready(Ok(room)),
            }
        }
        let write = self.settings.timeouts.write;
        loop {
            let by_rate = self.patience.wait(write, self.settings.min_rate);
            let since = self.patience.waiting_since().unwrap_or_else(Instant::now);
            self.deadline.set(by_rate.min(since + write));
            ready!(self.deadline.poll(cx));
            let blocked = self.socket.blocked();
            if self.blocked == blocked {
                return Poll::Ready(Err(Sent::Stalled));
            }
            // The socket was full: the line is slow, which is no fault of this stream, and whoever
            // writes to it judges how slow it may be.
            self.blocked = blocked;
            self.patience = Patience::new();
        }
    }
}
