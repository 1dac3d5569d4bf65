//! Both directions of a tunnel, and the limits of both.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use bytes::BytesMut;
use proxy_core::deadline::{Deadline, from_now};
use proxy_core::{TunnelEnd, TunnelOutcome};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};

use super::TunnelSettings;
use super::direction::Direction;
use super::opening::{Answer, Opening};
use crate::drain::{DrainGuard, DrainPhase};

/// Relays until the tunnel ends. Where there is an `opening`, nothing of the client goes on before
/// it says so.
pub(super) async fn relay<C, U>(
    client: &mut C,
    mut upstream: U,
    early: BytesMut,
    settings: TunnelSettings,
    mut opening: Option<&mut Opening<'_>>,
    guard: &mut DrainGuard,
) -> TunnelOutcome
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    let start = Instant::now();
    let mut lifetime = pin!(sleep_until(from_now(settings.lifetime)));
    let mut idle = Deadline::default();
    idle.set_in(settings.idle);
    let mut sending = Direction::holding(early);
    let mut receiving = Direction::default();
    let end = poll_fn(|cx| {
        if guard.poll_phase(cx) == DrainPhase::Ending {
            let severed = guard.is_severed();
            return Poll::Ready(if severed { TunnelEnd::Severed } else { TunnelEnd::Drained });
        }
        if lifetime.as_mut().poll(cx).is_ready() {
            return Poll::Ready(TunnelEnd::Lifetime);
        }
        let before = sending.moved + receiving.moved;
        let mut sent = Poll::Pending;
        if let Some(gate) = &mut opening {
            let mut answer = gate.poll_client(cx, client, &mut sending);
            if answer.is_pending() {
                answer = gate.poll_upstream(cx, &mut upstream, &mut receiving);
            }
            match answer {
                Poll::Ready(Ok(Answer::Relay)) => opening = None,
                Poll::Ready(Ok(Answer::Close)) => return Poll::Ready(TunnelEnd::Refused),
                Poll::Ready(Err(end)) => return Poll::Ready(end),
                Poll::Pending => {}
            }
        }
        if opening.is_none() {
            sent = sending.poll(cx, client, &mut upstream);
        }
        let received = receiving.poll(cx, &mut upstream, client);
        match (&sent, &received) {
            (Poll::Ready(Err(side)), _) => return Poll::Ready(side.end(true)),
            (_, Poll::Ready(Err(side))) => return Poll::Ready(side.end(false)),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(TunnelEnd::Closed),
            _ => {}
        }
        if sending.moved + receiving.moved != before {
            if let Some(tunnel) = guard.tunnel() {
                tunnel.set_moved(sending.moved, receiving.moved);
            }
            idle.set_in(settings.idle);
        }
        idle.poll(cx).map(|()| TunnelEnd::Idle)
    })
    .await;
    TunnelOutcome { end, sent: sending.moved, received: receiving.moved, duration: start.elapsed() }
}
