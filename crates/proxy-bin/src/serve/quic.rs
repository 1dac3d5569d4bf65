//! The UDP sockets of listeners that speak HTTP/3, beside those of TCP.

use std::sync::Arc;

use proxy_server::{BoundUdp, Drain, Limiter, QuicDoor, QuicSettings, Terms, Workers};

use super::doors::Whole;
use crate::config::resolved::Listener;
use crate::live::Slot;

/// What serves behind a door.
pub(super) struct Serves<'s> {
    pub(super) terms: &'s Terms,
    pub(super) service: &'s Slot<Whole>,
    pub(super) limiter: &'s Limiter,
    pub(super) workers: &'s Arc<Workers>,
    pub(super) drain: &'s Drain,
}

/// Serves on the socket of a listener, with its limits, instead of whoever did; nobody, where it
/// speaks no HTTP/3.
pub(super) fn open(
    socket: Option<&BoundUdp>,
    listener: &Listener,
    serves: &Serves<'_>,
) -> Option<QuicDoor> {
    let (own, tls) = (listener.quic.as_ref()?, listener.tls.as_ref()?);
    let mut quic = QuicSettings::new(Arc::clone(&tls.edge));
    if own.always_retry {
        quic.retry_from = 0;
    }
    quic.secret.clone_from(&own.secret);
    let door = socket?.serve(
        &quic,
        serves.terms.clone(),
        serves.service.live(),
        Arc::clone(serves.workers),
        serves.limiter.clone(),
        serves.drain,
    );
    match door {
        Ok(door) => Some(door),
        Err(error) => {
            tracing::error!(%error, listener = listener.name, "no HTTP/3 is served");
            None
        }
    }
}
