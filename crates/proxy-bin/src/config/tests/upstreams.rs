//! `[upstreams.NAME]`: how endpoints share requests, and what is done about those that fail.

use std::time::Duration;

use proxy_upstream::BalanceKind;

use super::*;
use crate::config::resolved::Upstream;

fn text(upstream: &str) -> String {
    format!(
        "listeners.web = {{ address = \"127.0.0.1:8080\", role = \"gateway\" }}\n\
         [upstreams.app]\n{upstream}\n[[routes]]\nname = \"all\"\nupstream = \"app\"\n"
    )
}

fn upstream(keys: &str) -> Upstream {
    loaded(&text(keys)).resolved.upstreams["app"].clone()
}

const TWO: &str = "endpoints = [\"http://a:1\", \"http://b:1\"]\n";

#[test]
fn several_endpoints_are_careful_by_default_and_one_is_not() {
    let two = upstream(TWO);
    let (retry, outlier) = (two.retry.unwrap(), two.outlier.unwrap());
    assert!(retry.on_connect && !retry.on_reset && retry.statuses.is_empty());
    assert_eq!((retry.retries, outlier.consecutive_failures), (1, 5));
    assert!(two.health_check.is_none() && two.circuit_breaker.is_none());
    let one = upstream("endpoints = [\"http://a:1\"]\n");
    assert!(one.retry.is_none() && one.outlier.is_none());
}

#[test]
fn every_key_arrives() {
    let own = upstream(
        r#"
endpoints = ["http://a:1", { url = "http://b:1", weight = 3 }, { url = "http://c:1", backup = true }]
balance = "hash"
hash = { by = "cookie:sid", above_mean = "50%" }
sticky = { cookie = "place", max_age = "1h" }
slow_start = "0s"
panic_threshold = "30%"
health_check = { path = "/up", method = "HEAD", host = "x.test", port = 81, interval = "3s", timeout = "1s", healthy_after = 4, unhealthy_after = 5, statuses = [204], field = { name = "X-Up", contains = "yes" }, content = "ok" }
outlier = { consecutive_failures = 7, failure_share = "40%", window = "20s", min_requests = 30, latency_factor = 4, eject_for = "10s", max_eject_for = "1m", max_ejected = "25%", statuses = [500] }
retry = { retries = 3, on = ["timeout"], statuses = [502], attempt_timeout = "2s", backoff = "10ms", max_backoff = "2s", budget = "10%", body = "1KiB" }
circuit_breaker = { max_connections = 5, max_requests = 6, max_pending = 7, pending_timeout = "3s" }
"#,
    );
    let weights: Vec<_> = own.endpoints.iter().map(|own| (own.weight, own.backup)).collect();
    assert_eq!(weights, [(1, false), (3, false), (1, true)]);
    assert!(matches!(own.balance.kind, BalanceKind::Hash { above, .. } if above == 0.5));
    assert!(own.balance.sticky.is_some() && own.balance.slow_start.is_zero());
    let check = own.health_check.unwrap();
    let http = check.http.unwrap();
    assert_eq!((http.target.as_str(), http.method.as_str()), ("/up", "HEAD"));
    assert_eq!((check.port, check.healthy_after, check.unhealthy_after), (Some(81), 4, 5));
    assert_eq!(http.field.unwrap().1, "yes");
    let outlier = own.outlier.unwrap();
    assert_eq!((outlier.failure_share, outlier.latency_factor), (Some(0.4), Some(4.0)));
    assert_eq!(outlier.max_eject_for, Duration::from_secs(60));
    let retry = own.retry.unwrap();
    assert!(retry.on_timeout && !retry.on_connect && !retry.on_reset);
    assert_eq!((retry.retries, retry.budget, retry.body), (3, 0.1, 1024));
    let breaker = own.circuit_breaker.unwrap();
    assert_eq!((breaker.max_requests, breaker.max_pending), (Some(6), 7));
}

#[test]
fn what_can_not_be() {
    for (keys, expected) in [
        ("balance = \"least_request\"", "did you mean"),
        ("balance = \"hash\"\nhash.by = \"cookie\"", "did you mean `cookie:NAME`?"),
        ("balance = \"hash\"\nhash.by = \"pth\"", "did you mean `path`?"),
        ("balance = \"hash\"\nhash.by = \"field:a b\"", "`a b` is no name of a field"),
        ("sticky.cookie = \"a;b\"", "`a;b` is no name of a cookie"),
        ("health_check.path = \"healthz\"", "expected a path such as \"/healthz\""),
        ("health_check.method = \"POST\"\nhealth_check.path = \"/\"", "expected \"GET\""),
        ("health_check.content = \"ok\"", "without `path` nothing is asked"),
        ("health_check = { path = \"/\", statuses = [99] }", "a status from 200 to 599"),
        ("health_check.interval = \"0s\"", "longer than 0s"),
        ("outlier.failure_share = \"0%\"", "above 0%"),
        ("outlier = { eject_for = \"1m\", max_eject_for = \"30s\" }", "at least `eject_for`"),
        ("retry.on = [\"conect\"]", "did you mean"),
        ("retry.retries = 8", "7"),
        ("circuit_breaker.max_connections = 0", "1"),
    ] {
        let found = errors(&text(&format!("{TWO}{keys}\n")));
        assert!(found.iter().any(|line| line.contains(expected)), "{keys}: {found:?}");
    }
    let weight = |weight: &str| format!("endpoints = [{{ url = \"http://a:1\", {weight} }}]\n");
    for (keys, expected) in [
        ("weight = 257", "256"),
        ("weight = 0", "at least one endpoint that is no backup"),
        ("backup = true", "at least one endpoint that is no backup"),
    ] {
        let found = errors(&text(&weight(keys)));
        assert!(found.iter().any(|line| line.contains(expected)), "{keys}: {found:?}");
    }
    let idle = text(&format!("{TWO}hash.by = \"client\"\n"));
    assert!(warnings(&idle)[0].contains("`balance` is not \"hash\""), "{:?}", warnings(&idle));
}

#[test]
fn a_cached_route_hands_out_no_cookies() {
    let cached = format!("{}cache = true\n", text(&format!("{TWO}sticky.cookie = \"place\"\n")));
    let found = errors(&cached);
    assert!(found.iter().any(|line| line.contains("routes[0].cache")), "{found:?}");
}
