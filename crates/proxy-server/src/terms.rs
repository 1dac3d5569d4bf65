//! What the next connection of a socket is served by; it may change while the socket accepts.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::drain::Drain;
use crate::listener::ListenerSettings;

/// The settings of connections, and the drain that tells them when to end. A connection keeps those
/// that it was accepted by. A clone is the same terms.
#[derive(Clone, Debug)]
pub struct Terms(Arc<ArcSwap<Current>>);

#[derive(Debug)]
pub(crate) struct Current {
    pub(crate) settings: Arc<ListenerSettings>,
    pub(crate) drain: Drain,
}

impl Terms {
    /// Terms to begin with.
    pub fn new(settings: Arc<ListenerSettings>, drain: Drain) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(Current { settings, drain })))
    }

    /// Other settings for those that come; those that are there go on, and are told to end with
    /// those that come.
    pub fn set_settings(&self, settings: Arc<ListenerSettings>) {
        let drain = self.drain();
        self.0.store(Arc::new(Current { settings, drain }));
    }

    /// Other settings for those that come, which are told to end by another drain: the one before,
    /// which is returned, ends those that are there and no others.
    pub fn replace(&self, settings: Arc<ListenerSettings>, drain: Drain) -> Drain {
        self.0.swap(Arc::new(Current { settings, drain })).drain.clone()
    }

    /// What tells those that come now to end.
    pub fn drain(&self) -> Drain {
        self.0.load().drain.clone()
    }

    pub(crate) fn current(&self) -> Arc<Current> {
        self.0.load_full()
    }
}
