//! Traffic of a route.

use proxy_filter::forward_auth::ForwardAuth as Asks;
use proxy_upstream::mirror::MirrorConfig;

use super::UpstreamTimeouts;
use crate::gateway::SplitRules;

/// Another service that says whether requests may pass.
#[derive(Clone, Debug)]
pub struct ForwardAuth {
    /// The upstream that is asked.
    pub upstream: String,
    /// What it is asked, and what of its answer is passed on.
    pub asks: Asks,
}

/// Requests of a route that go elsewhere.
#[derive(Clone, Debug)]
pub struct Split {
    /// Which go where.
    pub rules: SplitRules,
    /// The upstreams, by the places that the rules name, each with the times towards it.
    pub upstreams: Vec<(String, UpstreamTimeouts)>,
}

/// Who gets copies of requests.
#[derive(Clone, Debug)]
pub struct Mirror {
    /// The upstream.
    pub upstream: String,
    /// What is copied.
    pub config: MirrorConfig,
}
