//! What is measured: requests that pass through, in the clear or over TLS, or hits in a cache.

use clap::ValueEnum;

use crate::contenders::Contender;
use crate::failure::Failure;
use crate::origin::Seen;
use crate::size::Size;

/// How long the origin says that its answer is fresh, in seconds.
pub(crate) const FRESH_SECONDS: u64 = 3600;

/// What the contenders are asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// Every request passes through to the origin
    Proxy,
    /// Every request is answered from the contender's cache
    CacheHit,
    /// Every request passes through, over TLS connections that are kept
    Tls,
    /// Every request passes through, over a TLS connection of its own
    TlsHandshake,
    /// Every request passes through, as a stream of HTTP/2 over TLS
    Http2,
}

impl Scenario {
    /// Who takes part, in the order of the table.
    pub(crate) fn contenders(self) -> &'static [Contender] {
        use Contender::{Haproxy, Nginx, NginxAgain, NginxTuned, Proxyd, Relay, Varnish};
        match self {
            Self::Proxy => &[Nginx, NginxAgain, Haproxy, Proxyd, Relay],
            Self::CacheHit => &[Nginx, NginxAgain, NginxTuned, Varnish, Proxyd],
            Self::Tls | Self::TlsHandshake | Self::Http2 => &[Nginx, NginxAgain, Haproxy, Proxyd],
        }
    }

    /// Whether the contenders speak TLS.
    pub(crate) fn is_over_tls(self) -> bool {
        matches!(self, Self::Tls | Self::TlsHandshake | Self::Http2)
    }

    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Proxy => "proxy",
            Self::CacheHit => "cache-hit",
            Self::Tls => "tls",
            Self::TlsHandshake => "tls-handshake",
            Self::Http2 => "http2",
        }
    }

    /// The heading of the report.
    pub(crate) fn heading(self) -> &'static str {
        match self {
            Self::Proxy => "Side by side",
            Self::CacheHit => "Cache hits, side by side",
            Self::Tls => "Over TLS, side by side",
            Self::TlsHandshake => "TLS handshakes, side by side",
            Self::Http2 => "HTTP/2, side by side",
        }
    }

    /// The title of the chart.
    pub(crate) fn chart_title(self) -> &'static str {
        match self {
            Self::Proxy => "One request through each proxy, side by side",
            Self::CacheHit => "One hit in each cache, side by side",
            Self::Tls => "One request over TLS, side by side",
            Self::TlsHandshake => "One TLS handshake and one request, side by side",
            Self::Http2 => "One stream of HTTP/2 over TLS, side by side",
        }
    }

    /// What the report's files are called, without their extensions.
    pub(crate) fn file_stem(self, size: Size) -> String {
        match self {
            Self::Proxy => "report".to_owned(),
            _ => format!("{}-{}", self.name(), size.to_string().replace(' ', "")),
        }
    }

    /// What the origin is counted for, as the last column of the table.
    pub(crate) fn upstream_title(self) -> &'static str {
        match self {
            Self::CacheHit => "requests at the origin",
            _ => "upstream connections opened",
        }
    }

    /// The figure of the last column.
    pub(crate) fn upstream_count(self, seen: Seen) -> u64 {
        match self {
            Self::CacheHit => seen.requests,
            _ => seen.connections,
        }
    }

    /// Whether the contender did what it was asked to: an error when it
    /// answered from a store, or when it did not.
    pub(crate) fn verify(self, name: &str, answered: u64, seen: Seen) -> Result<(), Failure> {
        match self {
            Self::CacheHit if seen.requests > 0 => Err(Failure::invalid(format!(
                "{name} answered {answered} requests, and {} of them reached the origin: these \
                 were not hits",
                seen.requests
            ))),
            Self::CacheHit => Ok(()),
            _ if seen.requests < answered => Err(Failure::invalid(format!(
                "{name} answered {answered} requests, but the origin saw only {}",
                seen.requests
            ))),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_through_reaches_the_origin_and_a_hit_does_not() {
        for (scenario, requests, right) in [
            (Scenario::Proxy, 1000, true),
            (Scenario::Proxy, 1001, true),
            (Scenario::Proxy, 999, false),
            (Scenario::Http2, 1000, true),
            (Scenario::Http2, 999, false),
            (Scenario::CacheHit, 0, true),
            (Scenario::CacheHit, 1, false),
        ] {
            let seen = Seen { connections: 1, requests };
            assert_eq!(scenario.verify("nginx", 1000, seen).is_ok(), right, "{requests}");
        }
    }

    #[test]
    fn each_scenario_and_size_has_files_of_its_own() {
        let size = |text: &str| text.parse().unwrap();
        assert_eq!(Scenario::Proxy.file_stem(size("1KiB")), "report");
        assert_eq!(Scenario::CacheHit.file_stem(size("100KiB")), "cache-hit-100KiB");
        assert_eq!(Scenario::CacheHit.file_stem(size("1000")), "cache-hit-1000bytes");
        assert_eq!(Scenario::TlsHandshake.file_stem(size("1KiB")), "tls-handshake-1KiB");
    }

    #[test]
    fn the_reference_takes_part_everywhere() {
        for scenario in Scenario::value_variants() {
            assert!(scenario.contenders().contains(&Contender::Nginx));
            let value = scenario.to_possible_value().unwrap();
            assert_eq!(value.get_name(), scenario.name());
        }
    }
}
