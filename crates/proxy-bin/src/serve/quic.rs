//! The UDP sockets of listeners that speak HTTP/3, beside those of TCP.

use std::sync::Arc;

use proxy_server::{BoundUdp, Limiter, QuicSettings, Workers, accept_quic};

use super::doors::{PredecessorGone, QuicDoor, Whole};
use crate::config::resolved::Listener;
use crate::live::Slot;

/// What serves behind a door.
pub(super) struct Serves<'s> {
    pub(super) service: &'s Slot<Whole>,
    pub(super) limiter: &'s Limiter,
    pub(super) workers: &'s Arc<Workers>,
    /// Until then another process has the packets.
    pub(super) after: PredecessorGone,
}

/// Accepts on the socket of a listener, with its limits, where nothing does yet.
pub(super) fn open(
    door: &mut QuicDoor<'_>,
    socket: &BoundUdp,
    listener: &Listener,
    serves: Serves<'_>,
) {
    let (Some(own), Some(tls)) = (&listener.quic, &listener.tls) else { return };
    if *door.is_open {
        return;
    }
    let socket = match socket.try_clone() {
        Ok(socket) => socket,
        Err(error) => {
            tracing::error!(%error, listener = listener.name, "no HTTP/3 is served");
            return;
        }
    };
    *door.is_open = true;
    let mut quic = QuicSettings::new(Arc::clone(&tls.edge));
    if own.always_retry {
        quic.retry_from = 0;
    }
    quic.secret.clone_from(&own.secret);
    let accepting = accept_quic(
        socket,
        quic,
        door.terms.clone(),
        serves.service.live(),
        Arc::clone(serves.workers),
        serves.limiter.clone(),
        door.stop.clone(),
    );
    let name = listener.name.clone();
    let after = serves.after;
    tokio::spawn(async move {
        if let Some(mut gone) = after {
            // Its other end goes with it, too.
            let _ = gone.wait_for(|gone| *gone).await;
        }
        if let Err(error) = accepting.await {
            tracing::error!(%error, listener = name, "no HTTP/3 is served");
        }
    });
}
