//! The page at `/metrics`: what is counted, and what is read when it is asked for.
//!
//! The recorder counts whole numbers, so what takes time counts microseconds; the page shows
//! seconds, as readers of Prometheus expect.

mod lag;
mod process;

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use metrics_exporter_prometheus::PrometheusHandle;
use proxy_upstream::Upstream;

pub use lag::{Lag, watch};

use crate::cache::Caches;

/// What the page reads.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    /// What is counted.
    pub counted: &'a PrometheusHandle,
    /// The upstreams.
    pub upstreams: &'a [(Upstream, bool)],
    /// The caches.
    pub caches: &'a Caches,
    /// How late the workers are.
    pub lag: &'a Lag,
    /// The number of the configuration, and when it took effect.
    pub configuration: (u64, SystemTime),
    /// Reloads that took effect, and that were refused.
    pub reloads: (u64, u64),
    /// Whether the last one was refused.
    pub reload_failed: bool,
}

/// The page.
pub fn page(sources: &Sources<'_>) -> String {
    let mut page = Page { text: in_seconds(&sources.counted.render()) };
    page.pools(sources.upstreams);
    page.stores(sources.caches);
    page.gauge(
        "proxy_runtime_lag_seconds",
        "The longest that a timer of a worker was late, of the last 16 seconds.",
        &[("", sources.lag.seconds())],
    );
    let (generation, since) = sources.configuration;
    page.gauge(
        "proxy_config_generation",
        "The number of the configuration in effect.",
        &[("", generation as f64)],
    );
    page.gauge(
        "proxy_config_loaded_timestamp_seconds",
        "When it took effect.",
        &[("", since.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64())],
    );
    let (applied, refused) = sources.reloads;
    page.counter(
        "proxy_config_reloads_total",
        "Reloads of the configuration, by what became of them.",
        &[("{outcome=\"applied\"}", applied as f64), ("{outcome=\"refused\"}", refused as f64)],
    );
    page.gauge(
        "proxy_config_last_reload_successful",
        "Whether the last reload took effect; 1 before the first.",
        &[("", f64::from(u8::from(!sources.reload_failed)))],
    );
    let version = format!("{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    page.gauge("proxy_build_info", "Which build it is; always 1.", &[(&version, 1.0)]);
    process::write(&mut page);
    page.text
}

struct Page {
    text: String,
}

impl Page {
    fn gauge(&mut self, name: &str, help: &str, series: &[(&str, f64)]) {
        self.family(name, "gauge", help, series);
    }

    fn counter(&mut self, name: &str, help: &str, series: &[(&str, f64)]) {
        self.family(name, "counter", help, series);
    }

    /// `series` are labels, with their braces, and values.
    fn family(&mut self, name: &str, kind: &str, help: &str, series: &[(&str, f64)]) {
        if series.is_empty() {
            return;
        }
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in series {
            let _ = writeln!(self.text, "{name}{labels} {value}");
        }
        self.text.push('\n');
    }

    fn pools(&mut self, upstreams: &[(Upstream, bool)]) {
        let mut series = Vec::new();
        for (upstream, _) in upstreams {
            let (mut idle, mut open) = (0, 0);
            for (_, own_idle, own_open) in upstream.pools() {
                idle += own_idle;
                open += own_open;
            }
            let name = upstream.name();
            // Counted apart, so one may be ahead of the other.
            let active = open.saturating_sub(idle);
            for (state, n) in [("idle", idle), ("active", active)] {
                series.push((format!("{{upstream=\"{name}\",state=\"{state}\"}}"), n as f64));
            }
        }
        let series: Vec<_> = series.iter().map(|(labels, n)| (labels.as_str(), *n)).collect();
        let help = "Connections to upstreams of the configuration: kept for reuse, and in use.";
        self.gauge("proxy_upstream_connections", help, &series);
    }

    fn stores(&mut self, caches: &Caches) {
        let Some(store) = caches.store() else { return };
        let mut tiers = store.tiers();
        if tiers.is_empty() {
            tiers.push(("memory", store.usage()));
        }
        let labels: Vec<_> = tiers.iter().map(|(name, _)| format!("{{tier=\"{name}\"}}")).collect();
        let series = |of: fn(&proxy_cache::store::Usage) -> u64| -> Vec<(&str, f64)> {
            let tiers = labels.iter().zip(&tiers);
            tiers.map(|(labels, (_, usage))| (labels.as_str(), of(usage) as f64)).collect()
        };
        self.gauge(
            "proxy_cache_stored_responses",
            "Stored responses, by where they are.",
            &series(|usage| usage.responses),
        );
        self.gauge(
            "proxy_cache_stored_bytes",
            "Bytes of stored responses.",
            &series(|usage| usage.bytes),
        );
        self.gauge(
            "proxy_cache_capacity_bytes",
            "Bytes that may be stored.",
            &series(|usage| usage.capacity),
        );
        self.counter(
            "proxy_cache_evictions_total",
            "Stored responses that had to go for others.",
            &series(|usage| usage.evicted),
        );
        self.counter(
            "proxy_cache_store_faults_total",
            "Stored responses that could not be read or written.",
            &series(|usage| usage.faults),
        );
        let in_flight: usize = caches.iter().map(|(_, layer)| layer.in_flight()).sum();
        self.gauge(
            "proxy_cache_fills",
            "Requests to upstreams whose response is being stored, or waited for by others.",
            &[("", in_flight as f64)],
        );
    }
}

/// How names of counted times end; and on the page.
const MICROSECONDS: &str = "_microseconds_total";
const SECONDS: &str = "_seconds_total";

/// Turns counters of microseconds into such of seconds.
fn in_seconds(text: &str) -> String {
    let mut page = String::with_capacity(text.len() + 4096);
    for line in text.lines() {
        let (head, rest) = match line.strip_prefix("# ") {
            // `# HELP name text`, `# TYPE name kind`.
            Some(comment) => {
                let name = comment.find(' ').map_or(comment.len(), |at| at + 1);
                let end = comment[name..].find(' ').map_or(comment.len(), |at| name + at);
                line.split_at(2 + end)
            }
            None => line.split_at(line.find(['{', ' ']).unwrap_or(line.len())),
        };
        let Some(name) = head.strip_suffix(MICROSECONDS) else {
            page.push_str(line);
            page.push('\n');
            continue;
        };
        let _ = match rest.rsplit_once(' ').map(|(labels, n)| (labels, n.parse::<f64>())) {
            Some((labels, Ok(micros))) if !line.starts_with('#') => {
                writeln!(page, "{name}{SECONDS}{labels} {}", micros / 1e6)
            }
            _ => writeln!(page, "{name}{SECONDS}{rest}"),
        };
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_in_seconds() {
        let counted = "# HELP a_microseconds_total What took 5 long.\n\
                       # TYPE a_microseconds_total counter\n\
                       a_microseconds_total{b=\"c d\"} 2500000\n\
                       a_microseconds_total 1\n\
                       # TYPE b_total counter\nb_total{x=\"_microseconds_total\"} 7\n\n";
        let shown = "# HELP a_seconds_total What took 5 long.\n\
                     # TYPE a_seconds_total counter\n\
                     a_seconds_total{b=\"c d\"} 2.5\n\
                     a_seconds_total 0.000001\n\
                     # TYPE b_total counter\nb_total{x=\"_microseconds_total\"} 7\n\n";
        assert_eq!(in_seconds(counted), shown);
    }
}
