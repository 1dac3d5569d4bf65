//! How a conversation ended, and what is left of it.

use bytes::BytesMut;
use http::StatusCode;

use crate::tunnel::TunnelUpstream;

/// The reason of a peer that does not take what is written.
pub(super) const WRITE_TIMEOUT: &str = "write";

/// How a conversation ended.
#[derive(Debug)]
pub(super) enum End {
    /// In good order, or the peer is gone.
    Closed,
    /// The answer broke off, and only a reset tells its reader so.
    Broken,
    /// It is idle and may wait as a bare socket.
    Parked,
    /// A head was refused; the page is still to be written.
    Refused(Refused),
    /// A timer ended it without an answer.
    TimedOut(&'static str),
    /// It is a tunnel now.
    Tunnel(Box<TunnelUpstream>),
}

/// A head that the edge answers itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    pub(super) reason: &'static str,
}

/// What is left of a conversation.
pub(super) struct Finished<T> {
    pub(super) io: T,
    /// Bytes read and not used: a tunnel's first ones.
    pub(super) buffer: BytesMut,
    /// The peer was still sending: closing at once could destroy our last answer.
    pub(super) unread: bool,
    pub(super) end: End,
}
