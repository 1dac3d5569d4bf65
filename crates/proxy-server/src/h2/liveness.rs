//! Whether the peer is still there: where nothing comes it is asked.

use std::task::{Context, Poll};
use std::time::Duration;

use h2::{Ping, PingPong};
use proxy_core::deadline::Deadline;
use tokio::time::Instant;

use super::client_io::Socket;

/// A peer from which nothing has come for this long is asked, and has as long to answer.
const PING: Duration = Duration::from_secs(20);

pub(super) struct Liveness {
    ping: Option<PingPong>,
    asked: bool,
    seen: u64,
    deadline: Deadline,
}

impl Liveness {
    pub(super) fn new(ping: Option<PingPong>) -> Self {
        let mut deadline = Deadline::default();
        deadline.set(Instant::now() + PING);
        Self { ping, asked: false, seen: 0, deadline }
    }

    /// Ready once the peer is gone.
    pub(super) fn poll_dead(&mut self, cx: &mut Context<'_>, socket: &Socket) -> Poll<()> {
        let Some(ping) = &mut self.ping else { return Poll::Pending };
        let answered = self.asked && ping.poll_pong(cx).is_ready();
        // Whatever comes is a sign of life; a pong may be stuck behind it.
        if answered || socket.reads() != self.seen {
            self.asked &= !answered;
            self.seen = socket.reads();
            self.deadline.set(Instant::now() + PING);
        }
        while self.deadline.poll(cx).is_ready() {
            if self.asked {
                return Poll::Ready(());
            }
            // Only fails where the connection has: then whoever polls it learns that.
            self.asked = ping.send_ping(Ping::opaque()).is_ok();
            let _ = ping.poll_pong(cx);
            self.deadline.set(Instant::now() + PING);
        }
        Poll::Pending
    }
}
