//! What is said about overload and slow clients, and whether it has any effect.

use super::*;

const GATEWAY: &str = "address = \"127.0.0.1:8080\"\nrole = \"gateway\"\n";

/// A route with these keys, to an upstream with those.
fn text(listener: &str, upstream: &str, rest: &str, route: &str) -> String {
    format!(
        "[listeners.web]\n{GATEWAY}{listener}\n\
         [upstreams.app]\nendpoints = [\"http://a:1\"]\n{upstream}\n{rest}\n\
         [[routes]]\nname = \"all\"\n{route}\n"
    )
}

const QUEUES: &str = "circuit_breaker.max_requests = 5";
const ROUTE: &str = "upstream = \"app\"\n";

#[test]
fn a_class_without_effect_is_told() {
    let of = |upstream: &str, rest: &str, keys: &str| {
        warnings(&text("", upstream, rest, &format!("{ROUTE}{keys}")))
    };
    for queues in [QUEUES, "adaptive_concurrency = {}"] {
        assert_eq!(of(queues, "", "priority = \"high\""), [] as [&str; 0]);
        assert_eq!(of(queues, "[defaults]\npriority = \"high\"", ""), [] as [&str; 0]);
    }
    let found = of("", "", "priority = \"high\"");
    assert!(found.len() == 1 && found[0].contains("routes[0].priority"), "{found:?}");
    assert!(found[0].contains("requests to `app` never wait; give it a `circuit_breaker`"));
    let found = of("", "[defaults]\npriority = \"high\"", "");
    assert!(found.len() == 1 && found[0].contains("defaults.priority"), "{found:?}");
    // One that waits is enough.
    let split = "split = { to = [{ upstream = \"other\", share = \"5%\" }] }\npriority = \"low\"";
    let other = "[upstreams.other]\nendpoints = [\"http://b:1\"]\nadaptive_concurrency = {}";
    assert_eq!(of("", other, split), [] as [&str; 0]);
    // Nothing waits for what the proxy says itself.
    let found = errors(&text("", QUEUES, "", "respond = { status = 200 }\npriority = \"low\""));
    assert!(found.iter().any(|line| line.contains("needs an `upstream`")), "{found:?}");
}

#[test]
fn who_believes_balancers_is_told_whose_word_it_is() {
    let of = |listener: &str, field: &str| {
        let keys = format!("{ROUTE}priority = {{ field = \"{field}\" }}");
        warnings(&text(listener, QUEUES, "", &keys))
    };
    let trusting = "trusted_proxies = [\"10.0.0.1\"]";
    for field in ["priority", "Priority"] {
        let found = of(trusting, field);
        assert!(found.len() == 1 && found[0].contains("priority.field"), "{found:?}");
        assert!(found[0].contains("`trusted_proxies` of `web`"), "{found:?}");
        assert_eq!(of("", field), [] as [&str; 0]);
    }
    assert_eq!(of(trusting, "x-priority"), [] as [&str; 0]);
    let defaults = "[defaults]\npriority = { field = \"priority\" }";
    let found = warnings(&text(trusting, QUEUES, defaults, ROUTE));
    assert!(found.len() == 1 && found[0].contains("defaults.priority.field"), "{found:?}");
}

#[test]
fn what_responses_do_beyond_a_limit_is_not_to_be_chosen() {
    let of = |of: &str| {
        let keys = format!("{ROUTE}buffer = {{ of = \"{of}\", on_limit = \"stream\" }}");
        text("", "", "", &keys)
    };
    for held in ["request", "both"] {
        assert_eq!(warnings(&of(held)), [] as [&str; 0]);
    }
    let found = errors(&of("response"));
    assert!(found.iter().any(|line| line.contains("did you mean `of = \"both\"`?")), "{found:?}");
    let table = |of: &str| {
        let rest = "[buffer]\non_limit = \"stream\"\n";
        warnings(&text("", "", rest, &format!("{ROUTE}buffer = \"{of}\"")))
    };
    assert_eq!(table("request"), [] as [&str; 0]);
    let found = table("response");
    assert!(found.len() == 1 && found[0].contains("no route holds requests"), "{found:?}");
}

#[test]
fn files_are_made_beside_the_configuration() {
    let config =
        text("", "", "[buffer]\ndirectory = \"spill\"", &format!("{ROUTE}buffer = \"both\""));
    let folder = Folder::new(&[("etc/a.toml", &config), ("etc/spill/here", "")]);
    let loaded = folder.load("etc/a.toml").unwrap();
    assert_eq!(loaded.resolved.buffer.unwrap().directory, folder.path("etc/spill"));
    let folder = Folder::new(&[("a.toml", &config)]);
    let found = folder.errors("a.toml");
    assert!(found.iter().any(|line| line.contains("buffer.directory: expected a directory")));
}
