//! HTTP/2 with prior knowledge to an endpoint: one connection, shared by all.

use std::sync::{Arc, Mutex, PoisonError};

use http::header::{CONNECTION, HOST, TE};
use http::uri::{Authority, Scheme, Uri};
use http::{Request, Response};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use proxy_core::{Body, ErrorKind, Exchange, ProxyError, Retry};
use tokio::time::{Instant, timeout};

use super::{Destination, note, take_exchange};

/// A connection on which the peer answers no ping for this long is dead.
const PING: std::time::Duration = std::time::Duration::from_secs(20);

/// The connection of one endpoint.
#[derive(Clone, Default)]
pub(super) struct H2Endpoint {
    sender: Arc<Mutex<Option<http2::SendRequest<Body>>>>,
    /// One connects, the others wait for what it brings.
    connecting: Arc<tokio::sync::Mutex<()>>,
}

impl H2Endpoint {
    pub(super) async fn send(
        &self,
        destination: &Destination<'_>,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, ProxyError> {
        let exchange = take_exchange(&mut request);
        let exchange = exchange.as_ref();
        if let Some(exchange) = exchange {
            exchange.with_attempts(|attempts| attempts.push(destination.attempt()));
        }
        let result = self.attempt(destination, request, exchange).await;
        note(exchange, |attempt| match &result {
            Ok(response) => attempt.status = Some(response.status()),
            Err(error) => attempt.error = Some(error.kind()),
        });
        result
    }

    async fn attempt(
        &self,
        destination: &Destination<'_>,
        mut request: Request<Body>,
        exchange: Option<&Exchange>,
    ) -> Result<Response<Body>, ProxyError> {
        let started = Instant::now();
        absolute(&mut request)?;
        // Whoever waits for another's connecting waits no longer than for its own.
        let connecting = self.sender(destination, exchange);
        let mut sender =
            timeout(destination.timeouts.connect, connecting).await.unwrap_or_else(|_| {
                Err(ProxyError::new(ErrorKind::ConnectionTimeout).retry(Retry::NothingSent))
            })?;
        let terminated = |error: hyper::Error| match ProxyError::find(&error) {
            Some(found) => ProxyError::new(found.kind()).with_status(found.status()),
            None => ProxyError::new(ErrorKind::ConnectionTerminated).source(error),
        };
        sender.ready().await.map_err(|e| terminated(e).retry(Retry::NothingSent))?;
        let response = timeout(destination.timeouts.first_byte, sender.send_request(request))
            .await
            .map_err(|_| ProxyError::new(ErrorKind::HttpResponseTimeout).detail("first_byte"))?
            .map_err(terminated)?;
        note(exchange, |attempt| attempt.first_byte = Some(started.elapsed()));
        Ok(response.map(Body::from))
    }

    async fn sender(
        &self,
        destination: &Destination<'_>,
        exchange: Option<&Exchange>,
    ) -> Result<http2::SendRequest<Body>, ProxyError> {
        if let Some(sender) = self.open() {
            note(exchange, |attempt| attempt.reused = true);
            return Ok(sender);
        }
        let _connecting = self.connecting.lock().await;
        if let Some(sender) = self.open() {
            note(exchange, |attempt| attempt.reused = true);
            return Ok(sender);
        }
        let dialed = Box::pin(destination.dial()).await?;
        note(exchange, |attempt| dialed.note(attempt));
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .handshake(TokioIo::new(dialed.stream))
            .await
            .map_err(|e| {
                ProxyError::new(ErrorKind::HttpProtocolError).source(e).retry(Retry::NothingSent)
            })?;
        // Many requests share it, so that none of them can drive it; it ends with its sender.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "HTTP/2 connection to an upstream ended");
            }
        });
        *self.sender.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender.clone());
        Ok(sender)
    }

    fn open(&self) -> Option<http2::SendRequest<Body>> {
        let mut sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        if sender.as_ref().is_some_and(http2::SendRequest::is_closed) {
            *sender = None;
        }
        sender.clone()
    }
}

/// HTTP/2 names scheme and authority in the target, and has no fields of a connection.
fn absolute(request: &mut Request<Body>) -> Result<(), ProxyError> {
    let host = request.headers_mut().remove(HOST);
    request.headers_mut().remove(CONNECTION);
    let trailers = request.headers_mut().remove(TE);
    if let Some(trailers) = trailers {
        request.headers_mut().insert(TE, trailers);
    }
    let mut parts = request.uri().clone().into_parts();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = host.and_then(|h| Authority::try_from(h.as_bytes()).ok());
    *request.uri_mut() = Uri::from_parts(parts)
        .map_err(|e| ProxyError::new(ErrorKind::HttpRequestError).source(e))?;
    *request.version_mut() = http::Version::HTTP_2;
    Ok(())
}
