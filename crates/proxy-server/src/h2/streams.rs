//! How many streams of a connection are open, and whose content lies unread.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;

use futures_util::task::AtomicWaker;

use super::Connection;

#[derive(Debug, Default)]
pub(super) struct Streams {
    open: AtomicUsize,
    unread: AtomicUsize,
    /// The connection's task, which counts the time without streams.
    waker: AtomicWaker,
}

impl Streams {
    /// Requests, responses and tunnels under way.
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    /// Contents for which nobody asks at the moment. What came of them takes room in the window
    /// that all streams share, so that a client may be unable to send for another.
    pub(super) fn unread(&self) -> usize {
        self.unread.load(Ordering::Acquire)
    }

    /// Somebody asks for a stream's content now, or no longer does.
    pub(super) fn set_unread(&self, unread: bool) {
        if unread {
            self.unread.fetch_add(1, Ordering::AcqRel);
        } else {
            self.unread.fetch_sub(1, Ordering::AcqRel);
        }
    }

    pub(super) fn set_waker(&self, waker: &Waker) {
        self.waker.register(waker);
    }
}

/// A stream counts as open while this lives.
pub(super) struct Open(Arc<Connection>);

impl Open {
    pub(super) fn begin(connection: &Arc<Connection>) -> Self {
        connection.streams.open.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(connection))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let streams = &self.0.streams;
        if streams.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            streams.waker.wake();
        }
    }
}
