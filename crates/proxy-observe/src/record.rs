//! `Record`: what sinks see of a finished exchange; and `Open`, the guard that finishes it.

use std::thread;
use std::time::Duration;

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HOST, REFERER, USER_AGENT};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use proxy_core::{
    Decision, Ending, ErrorKind, Exchange, ProxyError, RequestHead, Side, TunnelOutcome,
};

use crate::observer::Observer;
use crate::server_timing::{self, SERVER_TIMING};
use crate::termination::Termination;

/// A finished exchange, as a [`Sink`](crate::Sink) sees it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Record<'a> {
    /// The exchange's own record: id, client, route, decisions, attempts, error.
    pub exchange: &'a Exchange,
    /// The request as the client sent it.
    pub request: &'a RequestLine,
    /// The response's status; none where no response was made before the client left.
    pub status: Option<StatusCode>,
    /// How it ended.
    pub ending: Ending,
    /// From the complete request head to the end.
    pub duration: Duration,
    /// From the complete request head to the response head; none where there was no response.
    pub answered_after: Option<Duration>,
    /// `Content-Encoding` of the response. None where no sink reads heads.
    pub coding: Option<&'a HeaderValue>,
    /// What became of the tunnel, where the exchange was one and its end was reported.
    pub tunnel: Option<TunnelOutcome>,
}

impl Record<'_> {
    /// Bytes from the client: content, or what a tunnel carried.
    pub fn request_bytes(&self) -> u64 {
        self.tunnel.map_or_else(|| self.exchange.request_bytes(), |tunnel| tunnel.sent)
    }

    /// Bytes to the client: content, or what a tunnel carried.
    pub fn response_bytes(&self) -> u64 {
        self.tunnel.map_or_else(|| self.exchange.response_bytes(), |tunnel| tunnel.received)
    }

    /// Who ended it, and in which phase.
    pub fn termination(&self) -> Termination {
        Termination::of(self)
    }
}

/// What is kept of a request's head until its record is finished. Cheap clones of what arrived;
/// of hostile content, so a sink escapes all of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RequestLine {
    /// The method.
    pub method: Method,
    /// The target. `/` where no sink reads heads.
    pub target: Uri,
    /// The client's version.
    pub version: Version,
    /// `Host`, where the target has no authority.
    pub host: Option<HeaderValue>,
    /// `User-Agent`.
    pub user_agent: Option<HeaderValue>,
    /// `Referer`.
    pub referer: Option<HeaderValue>,
}

impl RequestLine {
    fn of<B>(request: &Request<B>, whole: bool) -> Self {
        let mut line = Self {
            method: request.method().clone(),
            target: Uri::default(),
            version: request.version(),
            host: None,
            user_agent: None,
            referer: None,
        };
        if whole {
            line.target = request.uri().clone();
            let names_host = line.target.authority().is_none();
            // One walk over them is cheaper than three look-ups. The first of a name is taken.
            for (name, value) in request.headers() {
                let place = match *name {
                    HOST if names_host => &mut line.host,
                    USER_AGENT => &mut line.user_agent,
                    REFERER => &mut line.referer,
                    _ => continue,
                };
                if place.is_none() {
                    *place = Some(value.clone());
                }
            }
        }
        line
    }
}

/// The record while the exchange is under way. Its drop, and nothing else, finishes the record:
/// so there is exactly one, whatever becomes of future and body.
#[derive(Debug)]
pub(crate) struct Open {
    observer: Observer,
    exchange: Exchange,
    request: RequestLine,
    status: Option<StatusCode>,
    /// What `Content-Length` announced: a server stops there, and never asks for the end.
    announced: Option<u64>,
    sent: u64,
    /// Whether nothing more has to come: a drop from here on is the regular end.
    whole: bool,
    /// How it ended, where that is known before the drop.
    ending: Option<Ending>,
    answered_after: Option<Duration>,
    reads_heads: bool,
    coding: Option<HeaderValue>,
    tunnel: Option<TunnelOutcome>,
    /// How many decisions the sinks were told of.
    told: usize,
}

impl Open {
    pub(crate) fn begin<B>(
        observer: &Observer,
        exchange: &Exchange,
        request: &Request<B>,
    ) -> Box<Self> {
        let reads_heads = observer.started(exchange, RequestHead::of(request));
        Box::new(Self {
            observer: observer.clone(),
            exchange: exchange.clone(),
            request: RequestLine::of(request, reads_heads),
            status: None,
            announced: None,
            sent: 0,
            whole: false,
            ending: None,
            answered_after: None,
            reads_heads,
            coding: None,
            tunnel: None,
            told: 0,
        })
    }

    pub(crate) const fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    /// The response head is there. Gives the guard back, except to a tunnel that waits for its end.
    pub(crate) fn answered<B: http_body::Body>(
        mut self: Box<Self>,
        response: &mut Response<B>,
    ) -> Option<Box<Self>> {
        let status = response.status();
        self.status = Some(status);
        let took = self.observer.since(self.exchange.started());
        self.answered_after = Some(took);
        if self.reads_heads {
            self.coding = response.headers().get(CONTENT_ENCODING).cloned();
        }
        self.tell_decisions();
        if self.request.method == Method::CONNECT && status.is_success() {
            self.exchange.set_ending(Ending::Tunnel);
            return self.observer.clone().keep_tunnel(self);
        }
        // A trusted peer that speaks for somebody else would pass it on.
        let connection = self.exchange.connection();
        if connection.peer_trusted
            && self.exchange.client() == connection.peer
            && self.observer.tells_timing()
            && let Some(value) = server_timing::value(&self.exchange, took)
        {
            response.headers_mut().append(SERVER_TIMING, value);
        }
        // No content is sent here, whatever the body holds (RFC 9110 sections 9.3.2 and 15).
        let no_content = self.request.method == Method::HEAD
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if !no_content && let Some(length) = response.headers().get(CONTENT_LENGTH) {
            self.announced = length.to_str().ok().and_then(|length| length.parse().ok());
        }
        self.whole = no_content || self.announced == Some(0) || response.body().is_end_stream();
        Some(self)
    }

    /// Tells the sinks what was decided since they were told last. Where nothing was that is for
    /// the audit, this is one branch.
    fn tell_decisions(&mut self) {
        if !self.exchange.is_audited() {
            return;
        }
        let told = self.told;
        let (fresh, told) = self.exchange.with_decisions(|all| {
            let fresh = all.iter().skip(told).filter(|decision| decision.verdict.is_audited());
            (fresh.cloned().collect::<Vec<Decision>>(), all.len())
        });
        self.told = told;
        if !fresh.is_empty() {
            self.observer.decided(&self.record(), &fresh);
        }
    }

    fn record(&self) -> Record<'_> {
        Record {
            exchange: &self.exchange,
            request: &self.request,
            status: self.status,
            ending: self.exchange.ending(),
            duration: self.observer.since(self.exchange.started()),
            answered_after: self.answered_after,
            coding: self.coding.as_ref(),
            tunnel: self.tunnel,
        }
    }

    /// A frame was handed to the server.
    pub(crate) fn sent(&mut self, bytes: u64, was_last: bool) {
        if bytes > 0 {
            self.sent += bytes;
            self.exchange.add_response_bytes(bytes);
        }
        self.whole |= was_last || self.announced.is_some_and(|announced| self.sent >= announced);
    }

    /// The service failed instead of answering.
    pub(crate) fn failed(mut self: Box<Self>) {
        self.ending = Some(Ending::UpstreamBroke);
    }

    /// The response's content broke off.
    pub(crate) fn broke(mut self: Box<Self>, error: &(dyn std::error::Error + 'static)) {
        let kind = ProxyError::find(error).map(ProxyError::kind);
        self.exchange.set_error(kind.unwrap_or(ErrorKind::HttpResponseIncomplete));
        self.ending = Some(match kind.map(ErrorKind::side) {
            Some(Side::Client) => Ending::ClientLeft,
            _ => Ending::UpstreamBroke,
        });
    }

    /// The response's content ended as it should.
    pub(crate) fn ended(mut self: Box<Self>) {
        self.ending = Some(Ending::Complete);
    }

    /// The tunnel ended.
    pub(crate) fn tunnel_ended(mut self: Box<Self>, outcome: TunnelOutcome) {
        self.tunnel = Some(outcome);
    }

    /// How it ended, for a guard that is dropped.
    fn ending(&self) -> Ending {
        if let Some(ending) = self.ending {
            return ending;
        }
        if thread::panicking() && !self.whole {
            self.exchange.set_error(ErrorKind::ProxyInternalError);
            return Ending::UpstreamBroke;
        }
        if self.whole { Ending::Complete } else { Ending::ClientLeft }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // Of two endings the first one stays: that of a tunnel, or one that the server knew.
        self.exchange.set_ending(self.ending());
        self.tell_decisions();
        self.observer.finished(&self.record());
    }
}
