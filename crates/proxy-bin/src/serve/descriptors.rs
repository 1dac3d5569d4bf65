//! Whether there are descriptors enough for the connections that are permitted.

use crate::config::resolved::{Limits, Listener, Resolved};

/// What the process has open beside connections: logs, listeners, reactors, files of a cache.
const BESIDE: u64 = 100;

/// Says so where the limit of the process is below what its clients alone may take. Connections that
/// find none wait to be accepted.
pub(super) fn compare(config: &Resolved, descriptors: u64) {
    let connections = permitted(config.listeners.iter().map(|own: &Listener| &own.limits));
    if let Some(lacking) = lacking(connections, descriptors) {
        tracing::warn!(
            descriptors,
            connections,
            lacking,
            "there are fewer descriptors than `limits.connections` permits connections: raise the one \
             (`LimitNOFILE`, `ulimit -n`) or lower the other"
        );
    }
}

/// The connections of all listeners.
fn permitted<'a>(limits: impl Iterator<Item = &'a Limits>) -> u64 {
    limits
        .fold(0, |sum, own| sum.saturating_add(u64::try_from(own.connections).unwrap_or(u64::MAX)))
}

fn lacking(connections: u64, descriptors: u64) -> Option<u64> {
    let lacking = connections.saturating_add(BESIDE).saturating_sub(descriptors);
    (lacking > 0).then_some(lacking)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_alone_may_take_all() {
        for (connections, descriptors, expected) in
            [(10_000, 1024, Some(9076)), (10_000, 10_100, None), (900, 1024, None)]
        {
            assert_eq!(lacking(connections, descriptors), expected, "{connections} {descriptors}");
        }
    }
}
