//! HTTP/2 to an endpoint, agreed upon by TLS or known before: one connection, shared by all.
//!
//! A request that the origin can not have processed is sent once more, over a fresh connection:
//! it was refused (REFUSED_STREAM), is behind the last stream that a GOAWAY names, or its head had
//! not left when the connection died (RFC 9113 section 8.7). [`wire`] looks at the frames for the
//! latter two.

mod connection;
mod content;
mod exchange;
mod head;
mod outgoing;
mod replay;
mod upload;
mod wire;

use std::sync::{Arc, Mutex, PoisonError};

use http::{Request, Response};
use proxy_core::{Body, ErrorKind, ProxyError, Retry};
use tokio::time::timeout;

use super::{Connected, Destination};
use connection::Connection;
use outgoing::Outgoing;

/// The connection of one endpoint.
#[derive(Clone, Default)]
pub(super) struct H2Endpoint {
    current: Arc<Mutex<Option<Arc<Connection>>>>,
    /// One connects, the others wait for what it brings.
    connecting: Arc<tokio::sync::Mutex<()>>,
}

impl H2Endpoint {
    /// Makes a request one of HTTP/2, as it is sent.
    pub(super) fn complete(request: &mut Request<Body>, secure: bool) -> Result<(), ProxyError> {
        head::complete(request, secure)
    }

    pub(super) async fn send(
        &self,
        destination: &Destination<'_>,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, ProxyError> {
        head::complete(&mut request, destination.tls.is_some())?;
        let mut outgoing = Outgoing::new(request);
        let mut avoided = None;
        loop {
            outgoing.attempt(|| destination.attempt());
            let (result, connection) = self.attempt(destination, &mut outgoing, &avoided).await;
            outgoing.note(|attempt| match &result {
                Ok(response) => attempt.status = Some(response.status()),
                Err(error) => attempt.error = Some(error.kind()),
            });
            match (result, connection) {
                (Err(error), Some((connection, reused)))
                    if avoided.is_none() && may_go_again(&error, &outgoing, reused) =>
                {
                    avoided = Some(connection);
                }
                (result, _) => return result,
            }
        }
    }

    /// One attempt, and over which connection, and whether that was there before.
    async fn attempt(
        &self,
        destination: &Destination<'_>,
        outgoing: &mut Outgoing,
        avoided: &Option<Arc<Connection>>,
    ) -> (Result<Response<Body>, ProxyError>, Option<(Arc<Connection>, bool)>) {
        // Whoever waits for another's connecting waits no longer than for its own.
        let connecting = self.connection(destination, outgoing, avoided);
        let connected =
            timeout(destination.timeouts.connect, connecting).await.unwrap_or_else(|_| {
                Err(ProxyError::new(ErrorKind::ConnectionTimeout).retry(Retry::NothingSent))
            });
        let (connection, reused) = match connected {
            Ok(connected) => connected,
            Err(error) => return (Err(error), None),
        };
        let result = exchange::exchange(&connection, destination, outgoing).await;
        (result, Some((connection, reused)))
    }

    async fn connection(
        &self,
        destination: &Destination<'_>,
        outgoing: &mut Outgoing,
        avoided: &Option<Arc<Connection>>,
    ) -> Result<(Arc<Connection>, bool), ProxyError> {
        if let Some(connection) = self.open(avoided) {
            outgoing.note(|attempt| attempt.reused = true);
            return Ok((connection, true));
        }
        let _connecting = self.connecting.lock().await;
        if let Some(connection) = self.open(avoided) {
            outgoing.note(|attempt| attempt.reused = true);
            return Ok((connection, true));
        }
        let exchange = outgoing.exchange.as_ref();
        let Connected { stream, beyond, around, .. } =
            Box::pin(destination.stream(exchange, true)).await?;
        let connection = Connection::begin(stream, &destination.limits, beyond).await?;
        let connection = Arc::new(connection);
        if !around {
            *self.lock() = Some(Arc::clone(&connection));
        }
        Ok((connection, false))
    }

    /// The connection of the moment, if it takes requests. One that has refused a request goes on
    /// with those that it has, and gets no further ones.
    fn open(&self, avoided: &Option<Arc<Connection>>) -> Option<Arc<Connection>> {
        let mut current = self.lock();
        let is_avoided = |connection: &Arc<Connection>| {
            avoided.as_ref().is_some_and(|avoided| Arc::ptr_eq(avoided, connection))
        };
        if current.as_ref().is_some_and(|c| is_avoided(c) || !c.takes_requests()) {
            *current = None;
        }
        current.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<Connection>>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a failed request may be sent once more. It is still there only if its content is.
fn may_go_again(error: &ProxyError, outgoing: &Outgoing, reused: bool) -> bool {
    if outgoing.request.is_none() {
        return false;
    }
    match error.retry_safety() {
        Retry::NothingSent => true,
        // As with HTTP/1.1: a connection that was kept may have been dying already.
        Retry::IfIdempotent => reused && outgoing.is_repeatable(),
        Retry::Never => false,
    }
}
