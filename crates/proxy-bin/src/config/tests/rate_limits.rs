//! `[[filter.rate_limits]]`, and the routes that name them.

use super::*;
use crate::config::resolved::Holds;

const ROUTE: &str = "[[routes]]\nname = \"all\"\nupstream = \"app\"\n";

fn gateway(more: &str) -> String {
    format!("{GATEWAY}{ROUTE}{more}")
}

#[test]
fn every_key_arrives() {
    let resolved = loaded(&gateway(
        r#"
[[filter.rate_limits]]
id = "per-client"
rate = "6000/min"

[[filter.rate_limits]]
id = "everything"
key = ["client", "user", "route", "listener", "connection", "host", "method", "field:X-Key"]
rate = "5/d"
burst = 50
cost = 2
count = "misses"
mode = "report"
fields = true
ipv4_prefix = 24
ipv6_prefix = 48
keys = 1000
"#,
    ))
    .resolved;
    let [first, second] = resolved.rate_limits.as_slice() else { panic!("two limits") };
    assert_eq!((first.limit.burst_in_force(), first.misses), (100, false));
    assert_eq!(first.holds, Holds::Everywhere);
    assert_eq!((second.limit.burst_in_force(), second.misses), (50, true));
    let shown = format!("{:?}", second.limit);
    assert!(shown.contains("Client { ipv4_prefix: 24, ipv6_prefix: 48 }"), "{shown}");
    assert!(shown.contains("Field(\"x-key\")") && shown.contains("Connection"), "{shown}");
}

#[test]
fn routes_and_rules_narrow_a_limit() {
    let limit = "[[filter.rate_limits]]\nid = \"a\"\nrate = \"1/s\"\n";
    let holds = |text: &str| loaded(text).resolved.rate_limits[0].holds.clone();
    assert_eq!(holds(&gateway(limit)), Holds::Everywhere);
    let routes = format!("{GATEWAY}{ROUTE}limits.rate = [\"a\"]\n{limit}");
    assert_eq!(holds(&routes), Holds::Routes(vec!["all".to_owned()]));
    let defaults = gateway(&format!("[defaults]\nlimits.rate = [\"a\"]\n{limit}"));
    assert_eq!(holds(&defaults), Holds::Routes(vec!["all".to_owned()]));
}

#[test]
fn what_can_not_be() {
    let limit = |keys: &str| gateway(&format!("[[filter.rate_limits]]\nid = \"a\"\n{keys}\n"));
    for (keys, expected) in [
        ("rate = \"100\"", "a rate such as"),
        ("rate = \"0/s\"", "expected a rate above 0"),
        ("rate = \"1/s\"\nburst = 2\ncost = 3", "expected a cost between 1 and the burst"),
        ("rate = \"1/d\"\nburst = 40000", "within 100 years"),
        ("rate = \"1/s\"\nkey = \"clint\"", "`clint` is no part of a key; did you mean `client`?"),
        ("rate = \"1/s\"\nkey = \"field:a b\"", "`a b` is no name of a field"),
        ("rate = \"1/s\"\nkey = [\"all\", \"user\"]", "\"all\" stands alone"),
        ("rate = \"1/s\"\nkey = []", "\"all\" stands alone"),
        ("rate = \"1/s\"\nipv4_prefix = 33", "32"),
        ("rate = \"1/s\"\ncount = \"hits\"", "misses"),
        ("rate = \"1/s\"\nburts = 1", "did you mean `burst`?"),
    ] {
        let found = errors(&limit(keys));
        assert!(found.iter().any(|line| line.contains(expected)), "{keys}: {found:?}");
    }
    let twice = "[[filter.rate_limits]]\nid = \"a\"\nrate = \"1/s\"\n".repeat(2);
    assert_eq!(
        errors(&gateway(&twice)),
        ["a.toml:11:6: error: filter.rate_limits[1].id: there is a rate limit `a` already"]
    );
    let unknown = format!(
        "{GATEWAY}{ROUTE}limits.rate = [\"b\"]\n[[filter.rate_limits]]\nid = \"a\"\nrate = \"1/s\"\n"
    );
    assert_eq!(
        errors(&unknown),
        [
            "a.toml:7:16: error: routes[0].limits.rate[0]: no rate limit is named `b`; did you mean `a`?"
        ]
    );
    let prefix = limit("rate = \"1/s\"\nkey = \"user\"\nipv6_prefix = 48");
    assert!(warnings(&prefix)[0].contains("has no effect"), "{:?}", warnings(&prefix));
}
