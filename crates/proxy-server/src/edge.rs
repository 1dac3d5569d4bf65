//! What every connection of a listener shares.

use std::sync::Arc;

use proxy_core::{ConnectionEvents, Exchanges};

use crate::settings::EdgeSettings;
use crate::tunnel::TunnelSettings;

/// What every connection of a listener shares.
#[derive(Clone)]
pub struct Edge {
    /// Sizes, times and rates.
    pub settings: EdgeSettings,
    /// Limits of tunnels.
    pub tunnels: TunnelSettings,
    /// Makes exchange records.
    pub exchanges: Exchanges,
    /// Hears what never becomes a request.
    pub events: Arc<dyn ConnectionEvents>,
    /// The name in `Proxy-Status`.
    pub proxy_name: Arc<str>,
}

impl std::fmt::Debug for Edge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Edge").field("settings", &self.settings).finish_non_exhaustive()
    }
}
