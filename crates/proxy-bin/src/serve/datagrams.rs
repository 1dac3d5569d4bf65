//! UDP sockets on their way from one process to the next, which reads them once the one before has
//! stopped.

use std::io;

use proxy_server::{BoundUdp, HandedUdp, UdpPast};
use tokio::sync::watch;

use super::handover::{Message, Parcel};

/// What hands over a socket: itself, and the lines to those who may have connections there.
pub(super) fn parcels(socket: &BoundUdp) -> io::Result<Vec<Parcel>> {
    let HandedUdp { socket, before } = socket.to_hand_over()?;
    let past = before.into_iter().map(|own| {
        let message =
            Message::UdpPast { generation: own.generation, ids: own.ids, secret: own.secret };
        (message, own.line)
    });
    Ok(std::iter::once((Message::Udp, socket)).chain(past).collect())
}

/// What was handed over, one message after the other.
#[derive(Debug, Default)]
pub(super) struct Arriving(Vec<HandedUdp>);

impl Arriving {
    pub(super) fn socket(&mut self, socket: std::os::fd::OwnedFd) {
        self.0.push(HandedUdp { socket, before: Vec::new() });
    }

    /// Of the last socket.
    pub(super) fn past(&mut self, past: UdpPast) {
        if let Some(last) = self.0.last_mut() {
            last.before.push(past);
        }
    }

    pub(super) fn sockets(self) -> Vec<BoundUdp> {
        self.0.into_iter().map(BoundUdp::from).collect()
    }
}

/// Reads these sockets once the process before has let go of them.
pub(super) fn begin(sockets: Vec<BoundUdp>, mut released: watch::Receiver<bool>) {
    tokio::spawn(async move {
        // Its other end goes with it, too.
        let _ = released.wait_for(|released| *released).await;
        sockets.iter().for_each(BoundUdp::begin);
    });
}

/// Reads these sockets no more.
pub(super) fn pass_on(sockets: &[BoundUdp]) {
    for socket in sockets {
        if let Err(error) = socket.pass_on() {
            tracing::error!(%error, "HTTP/3 connections of this process get no packets any more");
        }
    }
}
