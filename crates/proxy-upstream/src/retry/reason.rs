//! Why a request goes again, and when.

use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, Response};
use proxy_core::{Body, ErrorKind, ProxyError, Retry, Side};

use super::tried::Tried;
use super::{RetryConfig, Shared};

/// Why a request goes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Connect,
    Reset,
    Timeout,
    Status,
}

/// Why a request should go again, if it may.
pub(super) fn reason(
    result: &Result<Response<Body>, ProxyError>,
    config: &RetryConfig,
    idempotent: bool,
) -> Option<Reason> {
    let (reason, wanted) = match result {
        Ok(response) => {
            (Reason::Status, idempotent && config.statuses.contains(&response.status()))
        }
        Err(error) => match error_reason(error, idempotent)? {
            Reason::Connect => (Reason::Connect, config.on_connect),
            Reason::Timeout => (Reason::Timeout, config.on_timeout),
            reason => (reason, config.on_reset),
        },
    };
    wanted.then_some(reason)
}

fn error_reason(error: &ProxyError, idempotent: bool) -> Option<Reason> {
    use ErrorKind::{
        ConnectionReadTimeout, ConnectionTerminated, DestinationUnavailable, HttpProtocolError,
        HttpResponseIncomplete, HttpResponseTimeout,
    };
    if error.kind().side() != Side::Upstream {
        return None;
    }
    match (error.retry_safety(), error.kind()) {
        // There is nobody to send it to.
        (_, DestinationUnavailable) => None,
        (Retry::NothingSent, ConnectionTerminated | HttpProtocolError) => Some(Reason::Reset),
        (Retry::NothingSent, _) => Some(Reason::Connect),
        _ if !idempotent => None,
        (Retry::IfIdempotent, HttpResponseTimeout) => Some(Reason::Timeout),
        (Retry::IfIdempotent, _) | (Retry::Never, HttpResponseIncomplete) => Some(Reason::Reset),
        (Retry::Never, HttpResponseTimeout | ConnectionReadTimeout) => Some(Reason::Timeout),
        (Retry::Never, _) => None,
    }
}

/// How long to wait before the next attempt; `None` where the response asks for more.
pub(super) fn pause(
    shared: &Shared,
    result: &Result<Response<Body>, ProxyError>,
    retries: u32,
    moved: bool,
    tried: &Tried,
) -> Option<Duration> {
    let config = &shared.config;
    if moved {
        // Many may wait there, and all learn of it at once.
        return Some(config.max_backoff.mul_f64(shared.random.fraction()));
    }
    let asked = match result {
        Ok(response) => retry_after(response.headers())?,
        Err(_) => Duration::ZERO,
    };
    if asked > config.max_backoff {
        return None;
    }
    if retries == 0 && asked.is_zero() && tried.has_others() {
        return Some(Duration::ZERO);
    }
    let most = config.backoff.saturating_mul(1 << retries.min(16)).min(config.max_backoff);
    Some(asked + most.mul_f64(shared.random.fraction()))
}

/// What `Retry-After` asks for (RFC 9110 section 10.2.3), zero where it is not there; `None` where
/// it is a date or nonsense.
fn retry_after(fields: &HeaderMap) -> Option<Duration> {
    let Some(value) = fields.get(RETRY_AFTER) else { return Some(Duration::ZERO) };
    value.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}
