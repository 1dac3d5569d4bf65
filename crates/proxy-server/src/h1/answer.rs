//! Answering: the head, the content and what is left of the request behind them.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Response, StatusCode};
use http_body::{Body as HttpBody, Frame};
use proxy_core::{Ending, Exchange};

use super::connection::Conversation;
use super::end::End;
use super::response_head::{self, Asked, Coding, Content};
use super::wire::lock;
use crate::drain::DrainPhase;
use crate::transport::Transport;
use crate::tunnel::TunnelUpstream;

impl<T: Transport> Conversation<'_, T> {
    /// Writes the answer, and brings the exchange to its end.
    pub(super) async fn answer<B>(
        &mut self,
        mut response: Response<B>,
        mut asked: Asked,
        exchange: Exchange,
    ) -> Result<(), End>
    where
        B: HttpBody<Data = Bytes>,
    {
        self.interim.close();
        self.interim.take(self.out.tail());
        let mut tunnel = None;
        if asked.connect {
            tunnel = response.extensions_mut().remove::<TunnelUpstream>();
            // Bytes behind a refused CONNECT are no request.
            if tunnel.is_none() || !response.status().is_success() {
                (tunnel, asked.keep_alive) = (None, false);
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
        }
        if self.guard.phase() != DrainPhase::Serving && tunnel.is_none() {
            asked.keep_alive = false;
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        match &mut tunnel {
            Some(tunnel) => {
                exchange.set_ending(Ending::Tunnel);
                tunnel.exchange = Some(exchange);
            }
            None => drop(exchange),
        }
        let keep_alive = self.write(response, asked).await?;
        if let Some(tunnel) = tunnel {
            return Err(End::Tunnel(Box::new(tunnel)));
        }
        poll_fn(|cx| self.poll_request_end(cx)).await?;
        if keep_alive { Ok(()) } else { Err(End::Closed) }
    }

    /// Writes head and content. Gives whether the connection may be used again.
    async fn write<B>(&mut self, response: Response<B>, asked: Asked) -> Result<bool, End>
    where
        B: HttpBody<Data = Bytes>,
    {
        let (mut head, body) = response.into_parts();
        if head.status.is_informational() {
            // No final response: nothing of it can go out.
            (head.status, head.headers) = (StatusCode::INTERNAL_SERVER_ERROR, Default::default());
        }
        let content = match body.size_hint().exact() {
            _ if body.is_end_stream() => Content::None,
            Some(length) => Content::Known(length),
            None => Content::Unknown,
        };
        let written = response_head::write(self.out.tail(), &head, content, asked)
            .map_err(|_| End::Closed)?;
        drop(head);
        let mut coding = written.coding;
        let mut body = pin!(Some(body));
        // Nothing of it would go out: the answer has no content, or says that it has none.
        if coding == Coding::Length(0) {
            body.set(None);
        }
        let mut broken = false;
        poll_fn(|cx| self.poll_content(cx, body.as_mut(), &mut coding, &mut broken)).await?;
        // For an HTTP/1.0 client the end of the connection is the end of the answer.
        match broken {
            true if asked.version_10 => Err(End::Broken),
            true => Err(End::Closed),
            false => Ok(written.keep_alive),
        }
    }

    /// Writes content until there is no more of it, and everything is written.
    fn poll_content<B>(
        &mut self,
        cx: &mut Context<'_>,
        mut body: Pin<&mut Option<B>>,
        coding: &mut Coding,
        broken: &mut bool,
    ) -> Poll<Result<(), End>>
    where
        B: HttpBody<Data = Bytes>,
    {
        if self.guard.poll_phase(cx) == DrainPhase::Ending {
            return Poll::Ready(Err(End::Closed));
        }
        lock(&self.wire).awake();
        loop {
            let waits = self.gather(cx, body.as_mut(), coding, broken);
            let flushed = {
                let mut wire = lock(&self.wire);
                // Who has an answer needs no 100 (Continue) any more.
                (wire.expects_continue, wire.continue_wanted) = (false, false);
                let Some(io) = wire.io() else { return Poll::Ready(Err(End::Closed)) };
                self.out.poll_flush(cx, io, &self.edge.settings)?
            };
            if body.is_none() {
                return flushed.map(Ok);
            }
            if waits || flushed.is_pending() {
                return self.poll_client(cx).map(Err);
            }
        }
    }

    /// Takes what there is of the content, up to what is written at once. True: there is no more
    /// for now. Behind its end the body is gone, and with it the exchange's record is finished.
    fn gather<B>(
        &mut self,
        cx: &mut Context<'_>,
        mut body: Pin<&mut Option<B>>,
        coding: &mut Coding,
        broken: &mut bool,
    ) -> bool
    where
        B: HttpBody<Data = Bytes>,
    {
        while let Some(mut content) = body.as_mut().as_pin_mut() {
            if !self.out.has_room() {
                return false;
            }
            let Poll::Ready(frame) = content.as_mut().poll_frame(cx) else { return true };
            let whole = match frame {
                Some(Ok(frame)) => match self.frame(coding, frame) {
                    None if !content.is_end_stream() => continue,
                    None => self.out.end(coding, None).is_ok(),
                    Some(whole) => whole,
                },
                Some(Err(_)) => false,
                None => self.out.end(coding, None).is_ok(),
            };
            *broken = !whole;
            body.set(None);
        }
        false
    }

    /// Adds a frame of content. `Some`: that was the last one, and whether the content is whole.
    fn frame(&mut self, coding: &mut Coding, frame: Frame<Bytes>) -> Option<bool> {
        match frame.into_data() {
            Ok(data) => {
                self.out.data(coding, data);
                // All that was announced.
                (*coding == Coding::Length(0)).then_some(true)
            }
            Err(frame) => {
                let trailers = frame.into_trailers().ok()?;
                Some(self.out.end(coding, Some(trailers)).is_ok())
            }
        }
    }

    /// Behind the answer: the rest of the request's content, if somebody still reads it. Content
    /// that nobody reads ends the connection, unless it is there already.
    fn poll_request_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        if self.guard.poll_phase(cx) == DrainPhase::Ending {
            return Poll::Ready(Err(End::Closed));
        }
        let mut wire = lock(&self.wire);
        wire.stop_watching();
        if wire.has_content() && wire.abandoned {
            wire.drain_content(cx);
            if wire.has_content() {
                return Poll::Ready(Err(End::Closed));
            }
        }
        if wire.has_content() {
            wire.asleep(cx);
            return Poll::Pending;
        }
        Poll::Ready(if wire.is_over() { Err(End::Closed) } else { Ok(()) })
    }
}
