//! A response's content on its way to the client.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame};

use super::code::Code;
use super::content::Malformed;
use super::sender::{Sender, Unsent};

/// What woke whoever sends.
enum Next {
    Frame(Option<Result<Frame<Bytes>, ()>>),
    Malformed,
    Left,
}

/// Sends content until its end, or the client's. Content that breaks off, or is not as long as its
/// head says, breaks the stream off.
pub(super) async fn send<B>(
    content: B,
    mut left: Option<u64>,
    sender: &mut Sender,
    malformed: &Malformed,
) -> Result<(), Unsent>
where
    B: HttpBody<Data = Bytes>,
{
    let mut content = pin!(content);
    loop {
        let next = poll_fn(|cx| {
            // The client's leaving ends the content, whoever makes it.
            if sender.poll_stopped(cx).is_ready() {
                return Poll::Ready(Next::Left);
            }
            if malformed.poll(cx).is_ready() {
                return Poll::Ready(Next::Malformed);
            }
            content.as_mut().poll_frame(cx).map(|frame| Next::Frame(frame.map(|f| f.map_err(drop))))
        });
        let sent = match next.await {
            Next::Left => return Err(Unsent::Gone),
            Next::Malformed => {
                sender.reset(Code::MessageError);
                return Err(Unsent::Gone);
            }
            Next::Frame(None) if left.is_none_or(|left| left == 0) => {
                sender.finish();
                return Ok(());
            }
            Next::Frame(None | Some(Err(()))) => {
                sender.reset(Code::InternalError);
                return Err(Unsent::Gone);
            }
            Next::Frame(Some(Ok(frame))) => match Frame::into_data(frame) {
                Ok(data) => {
                    let length = data.len() as u64;
                    if left.is_some_and(|left| left < length) {
                        sender.reset(Code::InternalError);
                        return Err(Unsent::Gone);
                    }
                    left = left.map(|left| left - length);
                    sender.data(data).await
                }
                Err(frame) => match frame.into_trailers() {
                    Ok(trailers) => sender.trailers(&trailers).await,
                    // No frame of another kind exists today.
                    Err(_) => Ok(()),
                },
            },
        };
        match sent {
            Ok(()) => {}
            Err(unsent) => {
                if unsent == Unsent::Stalled {
                    sender.reset(Code::RequestCancelled);
                }
                return Err(unsent);
            }
        }
        // Not asked again where it knows that nothing follows.
        if content.is_end_stream() && left.is_none_or(|left| left == 0) {
            sender.finish();
            return Ok(());
        }
    }
}
