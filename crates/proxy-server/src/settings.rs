//! What an edge permits: sizes, times and rates, with safe defaults.

use std::time::Duration;

use proxy_core::HeadLimits;

/// Settings of a listener's edge.
#[derive(Clone, Copy, Debug)]
pub struct EdgeSettings {
    /// Sizes of heads.
    pub head: HeadLimits,
    /// Times.
    pub timeouts: EdgeTimeouts,
    /// Bytes a second that a client must send or take, on average, beyond the grace.
    /// Default: 256.
    pub min_rate: u64,
    /// A client that closes its sending side is still answered. Default: false, it counts as gone.
    pub half_close: bool,
    /// Streams that one HTTP/2 connection may have open. Default: 100.
    pub h2_streams: u32,
    /// Streams that an HTTP/2 client may break off before their answer begins, less those that
    /// were answered since; one more ends the connection. Default: 200.
    pub h2_resets: u32,
    /// Frames that an HTTP/2 client may send without moving anything: pings, settings, empty content
    /// and the like. Twenty a second come back, and some with each stream that it opens and with
    /// what it is sent; one more ends the connection. Default: 1,000.
    pub h2_idle_frames: u32,
}

/// Times of a listener's edge.
#[derive(Clone, Copy, Debug)]
pub struct EdgeTimeouts {
    /// From a new connection to its first byte. Default: 10 s.
    pub first_byte: Duration,
    /// From the first byte of a head to its last. Default: 10 s.
    pub header: Duration,
    /// From one message to the next. Default: 75 s.
    pub keep_alive: Duration,
    /// Waiting for content that is forgiven before the minimum rate counts. Default: 10 s.
    pub body_grace: Duration,
    /// Without progress while writing to the client. Default: 30 s.
    pub write: Duration,
    /// An idle connection is parked as a bare socket after this. Default: 1 s.
    pub park_after: Duration,
}

impl Default for EdgeTimeouts {
    fn default() -> Self {
        Self {
            first_byte: Duration::from_secs(10),
            header: Duration::from_secs(10),
            keep_alive: Duration::from_secs(75),
            body_grace: Duration::from_secs(10),
            write: Duration::from_secs(30),
            park_after: Duration::from_secs(1),
        }
    }
}

impl Default for EdgeSettings {
    fn default() -> Self {
        Self {
            head: HeadLimits::default(),
            timeouts: EdgeTimeouts::default(),
            min_rate: 256,
            half_close: false,
            h2_streams: 100,
            h2_resets: 200,
            h2_idle_frames: 1_000,
        }
    }
}
