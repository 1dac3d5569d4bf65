//! `Termination`: who ended an exchange, and in which phase, in two letters.

use std::fmt;

use http::StatusCode;
use proxy_core::{Ending, ErrorKind, Exchange, TunnelEnd, Verdict};

use crate::record::Record;

/// Who ended an exchange and in which phase: two letters, in the manner of HAProxy.
///
/// | first | who ended it |
/// |---|---|
/// | `-` | nobody: it is complete |
/// | `C` | the client left |
/// | `c` | the client was too slow |
/// | `S` | the upstream refused, failed or broke off |
/// | `s` | the upstream was too slow |
/// | `P` | the proxy refused it, by a rule or because it is no sound request |
/// | `R` | the proxy refused it because there was too much: a rate, a number, its own load |
/// | `I` | the proxy failed |
/// | `K` | the proxy ended the tunnel: idle, at its lifetime, or drained |
///
/// | second | in which phase |
/// |---|---|
/// | `-` | none: it is complete |
/// | `R` | the request was still coming, or was judged |
/// | `Q` | it waited within the proxy; no upstream was tried |
/// | `N` | the upstream's name was resolved |
/// | `C` | the upstream was connected to |
/// | `H` | the upstream was asked; its response head had not been passed on |
/// | `D` | the response's content was passed on |
/// | `T` | the tunnel stood |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Termination([u8; 2]);

impl Termination {
    /// Complete: `--`.
    pub const COMPLETE: Self = Self(*b"--");

    /// The two letters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("??")
    }

    /// Whether nothing cut it short.
    pub fn is_complete(self) -> bool {
        self == Self::COMPLETE
    }

    pub(crate) fn of(record: &Record<'_>) -> Self {
        let exchange = record.exchange;
        if let Some(tunnel) = record.tunnel {
            return Self::of_tunnel(tunnel.end);
        }
        match record.ending {
            Ending::Complete => Self::of_answer(exchange, record.status),
            Ending::Tunnel => Self(*b"-T"),
            Ending::ClientLeft => match (record.status, exchange.error()) {
                // A rule cut the content off: the client merely saw it end.
                (Some(_), Some(ErrorKind::HttpRequestDenied)) => Self(*b"PD"),
                (Some(_), _) => Self(*b"CD"),
                (None, _) => Self([b'C', phase(exchange)]),
            },
            Ending::UpstreamBroke => {
                let later = if record.status.is_some() { b'D' } else { phase(exchange) };
                match exchange.error() {
                    Some(kind) => Self([who(kind, None), later]),
                    None => Self([b'S', later]),
                }
            }
            Ending::Open => Self([b'-', phase(exchange)]),
        }
    }

    /// The edge refused a head.
    pub(crate) fn of_refused_head(status: StatusCode) -> Self {
        Self(if status == StatusCode::REQUEST_TIMEOUT { *b"cR" } else { *b"PR" })
    }

    const fn of_tunnel(end: TunnelEnd) -> Self {
        Self(match end {
            TunnelEnd::ClientError => *b"CT",
            TunnelEnd::UpstreamError => *b"ST",
            TunnelEnd::Refused => *b"PT",
            TunnelEnd::Idle | TunnelEnd::Lifetime | TunnelEnd::Drained | TunnelEnd::Severed => {
                *b"KT"
            }
            _ => *b"--",
        })
    }

    /// Of an answer that the client got whole.
    fn of_answer(exchange: &Exchange, status: Option<StatusCode>) -> Self {
        let Some(kind) = exchange.error() else { return Self::COMPLETE };
        let (refusal, left) = exchange.with_decisions(|decisions| {
            let last = decisions.iter().rfind(|own| own.verdict.is_refusal());
            (last.map(|own| own.verdict), last.is_some_and(|own| own.reason == INCOMPLETE))
        });
        // What was answered nobody read.
        if left && kind == ErrorKind::HttpRequestError {
            return Self(*b"CR");
        }
        // A stored response stood in for the one that failed.
        if refusal.is_none() && status.is_some_and(|status| status.as_u16() < 400) {
            return Self::COMPLETE;
        }
        if status == Some(StatusCode::REQUEST_TIMEOUT) {
            return Self(*b"cR");
        }
        let tried = exchange.with_attempts(|attempts| !attempts.is_empty());
        let who = match refusal {
            Some(Verdict::Limit) => b'R',
            _ => who(kind, status),
        };
        let phase = match kind {
            ErrorKind::DnsTimeout | ErrorKind::DnsError => b'N',
            ErrorKind::DestinationIpUnroutable
            | ErrorKind::DestinationIpProhibited
            | ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionTimeout => b'C',
            _ if tried && kind == ErrorKind::ConnectionLimitReached => b'C',
            // It was still coming when it was found to be none.
            ErrorKind::HttpRequestError => b'R',
            _ if tried => b'H',
            _ => match who {
                b'P' => b'R',
                _ => b'Q',
            },
        };
        Self([who, phase])
    }
}

/// The reason of a refusal for content that broke off.
const INCOMPLETE: &str = "content_incomplete";

/// Who is to blame for an error.
fn who(kind: ErrorKind, status: Option<StatusCode>) -> u8 {
    match kind {
        ErrorKind::DnsTimeout
        | ErrorKind::ConnectionTimeout
        | ErrorKind::ConnectionReadTimeout
        | ErrorKind::ConnectionWriteTimeout
        | ErrorKind::HttpResponseTimeout => b's',
        ErrorKind::ConnectionLimitReached => b'R',
        ErrorKind::HttpRequestDenied
            if matches!(status.map(|own| own.as_u16()), Some(429 | 503)) =>
        {
            b'R'
        }
        ErrorKind::HttpRequestDenied
        | ErrorKind::HttpRequestError
        | ErrorKind::ProxyLoopDetected
        | ErrorKind::DestinationIpProhibited => b'P',
        ErrorKind::ProxyInternalError
        | ErrorKind::ProxyConfigurationError
        | ErrorKind::DestinationNotFound => b'I',
        _ => b'S',
    }
}

/// How far an exchange without a response had come.
fn phase(exchange: &Exchange) -> u8 {
    let (asked, resolving) = exchange.with_attempts(|attempts| {
        let last = attempts.last();
        let asked = last.map(|last| last.reused || last.address.is_some());
        (asked, last.is_some_and(|last| last.resolving))
    });
    match asked {
        Some(false) if resolving => b'N',
        Some(false) => b'C',
        Some(true) if exchange.is_request_whole() => b'H',
        None if exchange.is_request_whole() => b'Q',
        Some(true) | None => b'R',
    }
}

impl fmt::Display for Termination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
