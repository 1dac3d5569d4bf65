//! How often may be asked, how much at a time and how fast.

use proxy_filter::{bandwidth, concurrency, rate};

/// A rate limit, and for which requests it holds.
#[derive(Clone, Debug)]
pub struct RateLimit {
    /// What it says. It can be started.
    pub limit: rate::RateLimit,
    /// Whether only requests that go upstream are counted.
    pub misses: bool,
    /// Where it holds.
    pub holds: Holds,
}

/// A concurrency limit, and for which requests it holds.
#[derive(Clone, Debug)]
pub struct ConcurrencyLimit {
    /// What it says. It can be started.
    pub limit: concurrency::ConcurrencyLimit,
    /// Where it holds.
    pub holds: Holds,
}

/// A bandwidth limit, and for which requests it holds.
#[derive(Clone, Debug)]
pub struct BandwidthLimit {
    /// What it says. It can be started.
    pub limit: bandwidth::BandwidthLimit,
    /// Where it holds.
    pub holds: Holds,
}

/// Where a limit holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holds {
    /// For all requests.
    Everywhere,
    /// For these routes, and for the rules that name it.
    Routes(Vec<String>),
}
