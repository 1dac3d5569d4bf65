//! One view: what happened between two looks.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Look;

const REQUESTS: &str = "http_server_request_duration_seconds_count";
const DURATIONS: &str = "http_server_request_duration_seconds_bucket";
const ANSWERS: &str = "http_client_request_duration_seconds_bucket";
const ATTEMPTS: &str = "proxy_upstream_attempts_total";
const CACHE: &str = "proxy_cache_requests_total";
/// Routes and upstreams that are shown.
const SHOWN: usize = 15;

type Labels<'a> = &'a [(&'a str, &'a str)];

/// What was counted between two looks.
struct Between<'a> {
    before: &'a Look,
    now: &'a Look,
    seconds: f64,
}

impl Between<'_> {
    fn count(&self, name: &str, labels: Labels<'_>) -> f64 {
        (self.now.page.sum(name, labels) - self.before.page.sum(name, labels)).max(0.0)
    }

    fn rate(&self, name: &str, labels: Labels<'_>) -> f64 {
        self.count(name, labels) / self.seconds
    }

    /// Requests with a status of this class, by their labels.
    fn server_errors(&self, labels: Labels<'_>) -> f64 {
        let by = |look: &Look| -> f64 {
            let by = look.page.by(REQUESTS, "status", labels);
            by.iter().filter(|(status, _)| status.starts_with('5')).map(|(_, n)| n).sum()
        };
        (by(self.now) - by(self.before)).max(0.0)
    }

    /// The upper bound of the bucket in which this share lies.
    fn quantile(&self, name: &str, share: f64, labels: Labels<'_>) -> Option<f64> {
        let before = self.before.page.by(name, "le", labels);
        let counts = self.now.page.by(name, "le", labels).into_iter().filter_map(|(bound, n)| {
            let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().ok()? };
            Some((bound, n))
        });
        let mut counts: Vec<(f64, f64)> = counts.collect();
        for (bound, n) in &mut counts {
            let was = before.iter().find(|(own, _)| own.parse::<f64>().ok() == Some(*bound));
            *n -= match was {
                Some((_, n)) => *n,
                None if bound.is_infinite() => before.get("+Inf").copied().unwrap_or(0.0),
                None => 0.0,
            };
        }
        counts.sort_by(|a, b| a.0.total_cmp(&b.0));
        let all = counts.last()?.1;
        if all <= 0.0 {
            return None;
        }
        counts.iter().find(|(_, n)| *n >= share * all).map(|(bound, _)| *bound)
    }
}

pub(super) fn frame(before: &Look, now: &Look) -> String {
    let seconds = (now.at - before.at).as_secs_f64().max(0.001);
    let between = Between { before, now, seconds };
    let page = &now.page;
    let mut text = String::new();
    let requests = between.count(REQUESTS, &[]);
    let _ = writeln!(
        text,
        "requests {:.1}/s   5xx {}   p50 {}   p99 {}   under way {:.0}   connections {:.0}   tunnels {:.0}",
        requests / seconds,
        share(between.server_errors(&[]), requests),
        time(between.quantile(DURATIONS, 0.5, &[])),
        time(between.quantile(DURATIONS, 0.99, &[])),
        page.sum("http_server_active_requests", &[]),
        page.sum("proxy_server_connections", &[]),
        page.sum("proxy_tunnels", &[]),
    );
    let hits: f64 = ["hit", "stale", "collapsed"]
        .iter()
        .map(|outcome| between.count(CACHE, &[("outcome", outcome)]))
        .sum();
    let _ = writeln!(
        text,
        "in {}/s   out {}/s   cache hits {}   stored {}   cpu {:.0}%   memory {}   lag {}",
        bytes(between.rate("http_server_request_body_bytes_total", &[])),
        bytes(between.rate("http_server_response_body_bytes_total", &[])),
        share(hits, between.count(CACHE, &[])),
        bytes(page.sum("proxy_cache_stored_bytes", &[])),
        100.0 * between.rate("process_cpu_seconds_total", &[]),
        bytes(page.sum("process_resident_memory_bytes", &[])),
        time(Some(page.sum("proxy_runtime_lag_seconds", &[]))),
    );
    let _ =
        writeln!(text, "\n{:<32} {:>10} {:>8} {:>9} {:>9}", "ROUTE", "REQ/S", "5XX", "P50", "P99");
    for (route, n) in busiest(&between, REQUESTS, "route") {
        let labels = [("route", route.as_str())];
        let _ = writeln!(
            text,
            "{:<32} {:>10.1} {:>8} {:>9} {:>9}",
            cut(&route),
            n / seconds,
            share(between.server_errors(&labels), n),
            time(between.quantile(DURATIONS, 0.5, &labels)),
            time(between.quantile(DURATIONS, 0.99, &labels)),
        );
    }
    let _ = writeln!(
        text,
        "\n{:<32} {:>10} {:>8} {:>9} {:>9} {:>6} {:>6}",
        "UPSTREAM", "TRIES/S", "FAILED", "P99", "REUSED", "IDLE", "ACTIVE"
    );
    for (upstream, n) in busiest(&between, ATTEMPTS, "upstream") {
        let labels = [("upstream", upstream.as_str())];
        let of = |key, value| [("upstream", upstream.as_str()), (key, value)];
        let _ = writeln!(
            text,
            "{:<32} {:>10.1} {:>8} {:>9} {:>9} {:>6.0} {:>6.0}",
            cut(&upstream),
            n / seconds,
            share(between.count("proxy_upstream_attempt_errors_total", &labels), n),
            time(between.quantile(ANSWERS, 0.99, &labels)),
            share(between.count(ATTEMPTS, &of("connection", "reused")), n),
            page.sum("proxy_upstream_connections", &of("state", "idle")),
            page.sum("proxy_upstream_connections", &of("state", "active")),
        );
    }
    text
}

/// The names with the most of a metric, and how much; those that never had any are not shown.
fn busiest(between: &Between<'_>, metric: &str, label: &str) -> Vec<(String, f64)> {
    let before = between.before.page.by(metric, label, &[]);
    let now: BTreeMap<&str, f64> = between.now.page.by(metric, label, &[]);
    let mut all: Vec<(String, f64)> = now
        .into_iter()
        .filter(|(_, n)| *n > 0.0)
        .map(|(name, n)| {
            let was = before.get(name).copied().unwrap_or(0.0);
            (name.to_owned(), (n - was).max(0.0))
        })
        .collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    all.truncate(SHOWN);
    all
}

fn cut(name: &str) -> &str {
    &name[..name.floor_char_boundary(32)]
}

fn share(part: f64, whole: f64) -> String {
    if whole > 0.0 { format!("{:.1}%", 100.0 * part / whole) } else { "-".to_owned() }
}

/// The bound of a bucket: at most so long.
fn time(seconds: Option<f64>) -> String {
    match seconds {
        None => "-".to_owned(),
        Some(bound) if bound.is_infinite() => "longer".to_owned(),
        Some(bound) if bound < 1.0 => format!("{:.1}ms", bound * 1000.0),
        Some(bound) => format!("{bound:.1}s"),
    }
}

fn bytes(n: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut n, mut unit) = (n, 0);
    while n >= 1024.0 && unit + 1 < units.len() {
        n /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{n:.0}B") } else { format!("{n:.1}{}", units[unit]) }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::page::Page;
    use super::*;

    fn look(text: &str, after: u64) -> Look {
        let start = Instant::now();
        Look { page: Page::read(text), at: start + Duration::from_secs(after) }
    }

    #[test]
    fn a_view_is_of_what_happened_since_the_last_look() {
        let text = |n: u64, errors: u64, slow: u64| {
            format!(
                "http_server_request_duration_seconds_count{{route=\"api\",status=\"200\"}} {n}\n\
                 http_server_request_duration_seconds_count{{route=\"api\",status=\"502\"}} {errors}\n\
                 http_server_request_duration_seconds_bucket{{route=\"api\",le=\"0.005\"}} {n}\n\
                 http_server_request_duration_seconds_bucket{{route=\"api\",le=\"2.5\"}} {slow}\n\
                 http_server_request_duration_seconds_bucket{{route=\"api\",le=\"+Inf\"}} {slow}\n\
                 proxy_upstream_attempts_total{{upstream=\"app\",connection=\"reused\"}} {n}\n\
                 proxy_upstream_connections{{upstream=\"app\",state=\"idle\"}} 3\n\
                 proxy_cache_requests_total{{route=\"api\",outcome=\"hit\"}} {n}\n\
                 process_resident_memory_bytes 3145728\n"
            )
        };
        let (before, now) = (look(&text(1_000, 5, 1_005), 0), look(&text(1_090, 15, 1_105), 10));
        let view = frame(&before, &now);
        let lines: Vec<&str> = view.lines().collect();
        assert!(
            lines[0].starts_with("requests 10.0/s   5xx 10.0%   p50 5.0ms   p99 2.5s"),
            "{view}"
        );
        assert!(
            lines[1].contains("cache hits 100.0%") && lines[1].contains("memory 3.0MiB"),
            "{view}"
        );
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(lines[4]), ["api", "10.0", "10.0%", "5.0ms", "2.5s"]);
        assert_eq!(words(lines[7]), ["app", "9.0", "0.0%", "-", "100.0%", "3", "0"]);
    }

    #[test]
    fn a_process_without_traffic_is_shown_too() {
        let view = frame(&look("", 0), &look("", 1));
        assert!(view.starts_with("requests 0.0/s   5xx -   p50 -   p99 -"), "{view}");
    }
}
