//! The UDP sockets of listeners that speak HTTP/3, beside those of TCP.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use proxy_core::{Body, BoxError};
use proxy_server::{Bound, Limiter, ListenerSettings};
#[cfg(feature = "http3")]
use proxy_server::{BoundUdp, QuicSettings, accept_quic};
use tower_service::Service;

use super::{ServeError, Shared};
use crate::config::resolved::Listener;

/// Bound sockets by the name of their listener.
#[derive(Default)]
pub(super) struct Sockets {
    #[cfg(feature = "http3")]
    bound: Vec<(String, BoundUdp)>,
}

#[cfg(feature = "http3")]
impl Sockets {
    /// Binds the port that a listener has on TCP, if it speaks HTTP/3.
    pub(super) fn bind(&mut self, listener: &Listener, tcp: &Bound) -> Result<(), ServeError> {
        let (Some(_), Some(address)) = (&listener.quic, tcp.local_addr()) else { return Ok(()) };
        let bound = BoundUdp::bind(address)
            .map_err(|source| ServeError::Bind { address: format!("{address} (UDP)"), source })?;
        self.bound.push((listener.name.clone(), bound));
        Ok(())
    }

    /// Accepts on those of a listener, with its limits.
    pub(super) fn open<S, B>(
        &mut self,
        listener: &Listener,
        shared: &Shared<'_>,
        settings: &Arc<ListenerSettings>,
        limiter: &Limiter,
        service: &S,
    ) where
        S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + Unpin + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (Some(own), Some(tls)) = (&listener.quic, &listener.tls) else { return };
        let mut quic = QuicSettings::new(Arc::clone(&tls.edge));
        if own.always_retry {
            quic.retry_from = 0;
        }
        quic.secret.clone_from(&own.secret);
        for (_, socket) in self.bound.extract_if(.., |(name, _)| *name == listener.name) {
            let accepting = accept_quic(
                socket,
                quic.clone(),
                Arc::clone(settings),
                service.clone(),
                Arc::clone(shared.workers),
                limiter.clone(),
                shared.drain.clone(),
            );
            let name = listener.name.clone();
            tokio::spawn(async move {
                if let Err(error) = accepting.await {
                    tracing::error!(%error, listener = name, "no HTTP/3 is served");
                }
            });
        }
    }
}

#[cfg(not(feature = "http3"))]
#[allow(clippy::unnecessary_wraps, reason = "as with the feature")]
impl Sockets {
    pub(super) fn bind(&mut self, _: &Listener, _: &Bound) -> Result<(), ServeError> {
        Ok(())
    }

    pub(super) fn open<S, B>(
        &mut self,
        _: &Listener,
        _: &Shared<'_>,
        _: &Arc<ListenerSettings>,
        _: &Limiter,
        _: &S,
    ) where
        S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + Unpin + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
    }
}
