//! How many streams of a connection are open, whose content lies unread, and how many the client
//! broke off.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::task::Waker;

use futures_util::task::AtomicWaker;

#[derive(Debug)]
pub(crate) struct Streams {
    open: AtomicUsize,
    unread: AtomicUsize,
    /// Streams that the client may yet break off, and the most that it may.
    resets_left: AtomicU32,
    resets: u32,
    /// It broke off more.
    overdone: AtomicBool,
    /// The connection's task, which counts the time without streams.
    waker: AtomicWaker,
}

impl Streams {
    /// None is open, and so many may be broken off.
    pub(crate) fn new(resets: u32) -> Self {
        Self {
            open: AtomicUsize::new(0),
            unread: AtomicUsize::new(0),
            resets_left: AtomicU32::new(resets),
            resets,
            overdone: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        }
    }

    /// Whether the client breaks off more than it may.
    pub(crate) fn has_overdone(&self) -> bool {
        self.overdone.load(Ordering::Acquire)
    }

    /// A stream ended before its answer began. Opening streams only to break them off costs a
    /// client next to nothing, and whoever answers all the work (CVE-2023-44487).
    fn broken_off(&self) {
        let (change, order) = (|left: u32| left.checked_sub(1), Ordering::AcqRel);
        if self.resets_left.fetch_update(order, Ordering::Acquire, change).is_err() {
            self.overdone.store(true, Ordering::Release);
            self.waker.wake();
        }
    }

    /// A stream was answered: one more may be broken off.
    fn answered(&self) {
        let change = |left: u32| (left < self.resets).then(|| left + 1);
        let _ = self.resets_left.fetch_update(Ordering::AcqRel, Ordering::Acquire, change);
    }

    /// Requests, responses and tunnels under way.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    /// Contents for which nobody asks at the moment. What came of them takes room in the window
    /// that all streams share, so that a client may be unable to send for another.
    pub(crate) fn unread(&self) -> usize {
        self.unread.load(Ordering::Acquire)
    }

    /// Somebody asks for a stream's content now, or no longer does.
    pub(crate) fn set_unread(&self, unread: bool) {
        if unread {
            self.unread.fetch_add(1, Ordering::AcqRel);
        } else {
            self.unread.fetch_sub(1, Ordering::AcqRel);
        }
    }

    pub(crate) fn set_waker(&self, waker: &Waker) {
        self.waker.register(waker);
    }
}

/// A stream counts as open while this lives.
pub(crate) struct Open(Arc<Streams>);

impl Open {
    pub(crate) fn begin(streams: &Arc<Streams>) -> Self {
        streams.open.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(streams))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let streams = &self.0;
        if streams.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            streams.waker.wake();
        }
    }
}

/// A request whose answer has not begun. Dropped like that, the client broke it off.
pub(crate) struct Unanswered {
    streams: Arc<Streams>,
    answered: bool,
}

impl Unanswered {
    pub(crate) fn new(streams: &Arc<Streams>) -> Self {
        Self { streams: Arc::clone(streams), answered: false }
    }

    /// Its answer begins, or we break it off.
    pub(crate) fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        let streams = &self.streams;
        if self.answered {
            streams.answered();
        } else {
            streams.broken_off();
        }
    }
}
