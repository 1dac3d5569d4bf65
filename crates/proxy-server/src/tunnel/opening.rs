//! What a tunnel begins with is read, and a policy asked, before any of it goes on.
//!
//! Bytes of the client are held, at most the size of a ClientHello and one read; bytes of the
//! destination flow meanwhile, so that protocols in which the server speaks first do not hang.
//! Silence is no way around: a client that may stay silent is judged by what it sends, whenever
//! that is.

use std::task::{Context, Poll};

use proxy_core::deadline::Deadline;
use proxy_core::{
    ClientHelloReader, ErrorKind, Exchange, HelloProgress, ServerName, TunnelCheck, TunnelEnd,
    TunnelOpening,
};
use tokio::io::AsyncRead;

use super::direction::{Direction, Failed};

/// The fatal alert `access_denied` (RFC 8446 section 6.2), in a record of TLS 1.2 as all versions
/// read it.
pub(super) const ACCESS_DENIED: &[u8] = &[21, 3, 3, 0, 2, 2, 49];

/// The name of this layer in decisions.
const LAYER: &str = "tunnel";

/// What becomes of the tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Relay,
    Close,
}

pub(super) struct Opening<'a> {
    check: &'a TunnelCheck,
    exchange: Option<&'a Exchange>,
    reader: ClientHelloReader,
    /// How much of what is held the reader has seen.
    read: usize,
    deadline: Deadline,
    upstream_spoke: bool,
    /// The client began as TLS does: it understands an alert.
    tls: bool,
}

impl<'a> Opening<'a> {
    pub(super) fn new(check: &'a TunnelCheck, exchange: Option<&'a Exchange>) -> Self {
        let mut deadline = Deadline::default();
        deadline.set_in(check.limits.timeout);
        Self {
            check,
            exchange,
            reader: ClientHelloReader::new(check.limits.size),
            read: 0,
            deadline,
            upstream_spoke: false,
            tls: false,
        }
    }

    /// Whether an alert is read as one: the client speaks TLS, and nothing was sent to it.
    pub(super) const fn takes_alert(&self) -> bool {
        self.tls && !self.upstream_spoke
    }

    /// Reads from the client until it is known what it begins with.
    pub(super) fn poll_client<C: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut C,
        sending: &mut Direction,
    ) -> Poll<Result<Answer, TunnelEnd>> {
        let answer = self.poll_opening(cx, client, sending);
        if answer.is_ready() {
            // A tunnel may last for a day, and this with it: no timer stays.
            self.deadline = Deadline::default();
        }
        answer
    }

    fn poll_opening<C: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut C,
        sending: &mut Direction,
    ) -> Poll<Result<Answer, TunnelEnd>> {
        loop {
            if sending.buffer.len() > self.read {
                if self.read == 0 {
                    self.deadline.set_in(self.check.limits.timeout);
                }
                self.reader.feed(&sending.buffer[self.read..]);
                self.read = sending.buffer.len();
            }
            let opening = match self.reader.progress() {
                HelloProgress::More => None,
                HelloProgress::NotTls => Some(TunnelOpening::NotTls),
                HelloProgress::Malformed(fault) => Some(TunnelOpening::Malformed(*fault)),
                HelloProgress::Hello(hello) => Some(TunnelOpening::Hello(hello)),
            };
            if let Some(opening) = opening {
                self.tls = opening != TunnelOpening::NotTls;
                self.note_server_name();
                return Poll::Ready(Ok(self.judge(&opening)));
            }
            match sending.poll_read(cx, client) {
                Poll::Ready(Ok(0)) => {
                    sending.ended = true;
                    return Poll::Ready(Ok(match self.read {
                        // It sends nothing: there is nothing to judge.
                        0 => Answer::Relay,
                        _ => self.incomplete(),
                    }));
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Failed::Reading.end(true))),
                Poll::Pending => break,
            }
        }
        if self.deadline.poll(cx).is_pending() {
            return Poll::Pending;
        }
        if self.read > 0 {
            return Poll::Ready(Ok(self.incomplete()));
        }
        self.deadline.clear();
        match self.judge(&TunnelOpening::Silent) {
            Answer::Close => Poll::Ready(Ok(Answer::Close)),
            // What it sends later is judged when it comes.
            Answer::Relay => Poll::Pending,
        }
    }

    /// Looks whether the destination speaks first. Ready: the policy does not want that.
    pub(super) fn poll_upstream<U: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        upstream: &mut U,
        receiving: &mut Direction,
    ) -> Poll<Result<Answer, TunnelEnd>> {
        if self.upstream_spoke || receiving.ended {
            return Poll::Pending;
        }
        match receiving.poll_read(cx, upstream) {
            Poll::Ready(Ok(0)) => receiving.ended = true,
            Poll::Ready(Ok(_)) => {
                if self.judge(&TunnelOpening::ServerFirst) == Answer::Close {
                    return Poll::Ready(Ok(Answer::Close));
                }
                self.upstream_spoke = true;
            }
            Poll::Ready(Err(_)) => return Poll::Ready(Err(Failed::Reading.end(false))),
            Poll::Pending => {}
        }
        Poll::Pending
    }

    /// For whoever keeps records.
    fn note_server_name(&self) {
        if let (Some(exchange), HelloProgress::Hello(hello)) =
            (self.exchange, self.reader.progress())
            && let Some(name) = &hello.server_name
        {
            exchange.insert(ServerName(name.as_ref().into()));
        }
    }

    fn incomplete(&mut self) -> Answer {
        // All there is began as a record of TLS.
        self.tls = true;
        self.judge(&TunnelOpening::Incomplete)
    }

    fn judge(&self, opening: &TunnelOpening<'_>) -> Answer {
        let TunnelCheck { policy, host, port, .. } = self.check;
        let mut answer = Answer::Relay;
        for finding in policy.judge_opening(host, *port, opening, self.exchange) {
            if finding.enforced {
                answer = Answer::Close;
            }
            if let Some(exchange) = self.exchange {
                exchange.decide(finding.decision(LAYER));
            }
        }
        if let Some(exchange) = self.exchange.filter(|_| answer == Answer::Close) {
            exchange.set_error(ErrorKind::HttpRequestDenied);
        }
        answer
    }
}
