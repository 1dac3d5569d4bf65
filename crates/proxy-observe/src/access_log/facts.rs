//! What several formats read from a record.

use std::time::Duration;

use proxy_core::{Decision, Exchange};

/// What the cache did, in its last word on the matter; but that a request waited for another's
/// response says more than that it then was a hit.
pub(crate) fn cache(decisions: &[Decision]) -> Option<&str> {
    let mut words = decisions.iter().filter(|own| own.layer == "cache").map(|own| &*own.reason);
    words.clone().find(|word| *word == "collapsed").or_else(|| words.next_back())
}

/// The last refusal: what the client was refused for.
pub(super) fn refusal(decisions: &[Decision]) -> Option<&Decision> {
    decisions.iter().rfind(|own| own.verdict.is_refusal())
}

/// From the connection's acceptance to the complete request head.
pub(super) fn since_accept(exchange: &Exchange) -> Duration {
    exchange.started().saturating_duration_since(exchange.connection().accepted)
}
