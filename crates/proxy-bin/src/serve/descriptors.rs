//! Whether there are descriptors enough for the connections that are permitted.

use proxy_upstream::PoolConfig;

use crate::config::raw::Role;
use crate::config::resolved::{Resolved, Upstream};

/// What the process has open beside connections: logs, listeners, reactors, files of a cache.
const BESIDE: u64 = 100;

/// Says so where the limit of the process is below what the permitted connections may take. Clients
/// that find none wait to be accepted, and requests that find none fail.
pub(super) fn compare(config: &Resolved, descriptors: u64) {
    let permitted = Permitted::of(config);
    if let Some(lacking) = permitted.lacking(descriptors) {
        let (clients, servers) = (permitted.clients(), permitted.servers());
        tracing::warn!(
            descriptors,
            clients,
            servers,
            lacking,
            "there are fewer descriptors than the permitted connections may take, with clients and \
             with servers: raise the one (`LimitNOFILE`, `ulimit -n`) or lower the other \
             (`limits.connections`)"
        );
    }
}

/// Connections at a time, by what is behind them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Permitted {
    /// Clients of forward listeners: each may have a destination of its own.
    forward: u64,
    /// Clients of gateways: each may have an upstream's connection.
    gateway: u64,
    /// What the upstreams of all gateways take together.
    upstreams: u64,
}

impl Permitted {
    fn of(config: &Resolved) -> Self {
        let of_role = |role| {
            let own = config.listeners.iter().filter(|own| own.role == role);
            sum(own.map(|own| wide(own.limits.connections)))
        };
        Self {
            forward: of_role(Role::Forward),
            gateway: of_role(Role::Gateway),
            upstreams: sum(config.upstreams.values().map(taken_by)),
        }
    }

    fn clients(self) -> u64 {
        self.forward.saturating_add(self.gateway)
    }

    fn servers(self) -> u64 {
        self.forward.saturating_add(self.gateway.min(self.upstreams))
    }

    fn lacking(self, descriptors: u64) -> Option<u64> {
        let needed = sum([self.clients(), self.servers(), BESIDE].into_iter());
        needed.checked_sub(descriptors).filter(|lacking| *lacking > 0)
    }
}

/// The connections that an upstream takes; how many endpoints are found is not known before.
fn taken_by(own: &Upstream) -> u64 {
    if own.discover.is_some() {
        return u64::MAX;
    }
    let each = match own.circuit_breaker {
        Some(breaker) => breaker.max_connections,
        None => PoolConfig::default().max_connections,
    };
    wide(each).saturating_mul(wide(own.endpoints.len()))
}

fn wide(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn sum(numbers: impl Iterator<Item = u64>) -> u64 {
    numbers.fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::Folder;
    use crate::config::{self, Overrides};

    #[test]
    fn both_sides_count() {
        for (listeners, upstreams, descriptors, expected) in [
            ("gateway", "", 10_100, None),
            ("gateway", "", 1024, Some(9076)),
            ("forward", "", 10_100, Some(10_000)),
            ("forward", "", 20_100, None),
            // As many as the endpoints take, which is less than there may be clients.
            ("gateway", r#"endpoints = ["http://127.0.0.1:3000"]"#, 10_100, Some(4096)),
            (
                "gateway",
                r#"endpoints = ["http://127.0.0.1:1", "http://127.0.0.1:2"]
                   circuit_breaker = { max_connections = 50 }"#,
                10_100,
                Some(100),
            ),
            // No more than there may be clients.
            (
                "gateway",
                r#"endpoints = ["http://127.0.0.1:3000"]
                   circuit_breaker = { max_connections = 50000 }"#,
                10_100,
                Some(10_000),
            ),
            ("gateway", r#"discover.dns = "http://a.test:80""#, 20_099, Some(1)),
        ] {
            let upstream = match upstreams {
                "" => String::new(),
                keys => format!("[upstreams.app]\n{keys}\n"),
            };
            let text = format!(
                "listeners.a = {{ address = \"127.0.0.1:80\", role = \"{listeners}\", \
                 limits.connections = 10000 }}\n{upstream}"
            );
            let folder = Folder::new(&[("a.toml", &text)]);
            let loaded = config::load(&folder.path("a.toml"), &Overrides::default());
            let permitted = Permitted::of(&loaded.expect("valid").resolved);
            assert_eq!(permitted.lacking(descriptors), expected, "{text} {descriptors}");
        }
    }
}
