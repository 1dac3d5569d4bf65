//! The cache: how by `[cache]`, whether by routes and `[forward]`.

use std::time::Duration;

use super::*;
use crate::config::raw::{OnDisconnect, RequestDirectives};
use crate::config::resolved::{CachePolicy, CacheQuery, CacheTtl};

fn gateway(more: &str) -> String {
    format!("{GATEWAY}{more}")
}

fn route(cache: &str) -> String {
    gateway(&format!("[[routes]]\nname = \"all\"\nupstream = \"app\"\n{cache}\n"))
}

#[test]
fn without_a_word_nothing_is_cached() {
    let resolved = loaded(&route("")).resolved;
    assert!(resolved.cache.is_none() && resolved.routes[0].cache.is_none());
    assert!(resolved.forward.cache.is_none());
    let resolved = loaded(&route("cache = false")).resolved;
    assert!(resolved.cache.is_none() && resolved.routes[0].cache.is_none());
    assert_eq!(
        warnings(&format!("{}[cache]\nmemory = \"1GiB\"\n", route(""))),
        [
            "a.toml:8:2: warning: cache: nothing is cached: no route, `[defaults]` or `[forward]` says `cache`"
        ]
    );
}

#[test]
fn the_defaults() {
    let resolved = loaded(&route("cache = true")).resolved;
    let stores = resolved.cache.unwrap();
    assert_eq!((stores.memory, stores.max_object, stores.disk), (64 << 20, 8 << 20, None));
    let policy = resolved.routes[0].cache.clone().unwrap();
    assert!(policy.default_ttl.is_empty() && policy.ttl.is_empty() && policy.heuristic);
    assert_eq!((policy.query, policy.query_sort), (CacheQuery::All, false));
    assert_eq!(policy.tag_fields, ["cache-tag", "surrogate-key"]);
    assert_eq!(policy.targeted_fields, ["cdn-cache-control"]);
    assert_eq!(policy.request_directives, RequestDirectives::Honour);
    assert_eq!(policy.on_disconnect, OnDisconnect::FinishIfShared);
    assert!(policy.collapse && policy.deception_armour && !policy.show_key);
    assert_eq!((policy.min_uses, policy.stale_while_revalidate), (1, None));
}

#[test]
fn every_key_arrives() {
    let folder = Folder::new(&[(
        "a.toml",
        &format!(
            "{}{}",
            route("cache = true"),
            r#"
[cache]
memory = "256MiB"
disk = { path = "stored", size = "10GiB" }
max_object = "1GiB"
default_ttl = { "200" = "1m", "2xx" = "2m", "404" = "10s", "500-504" = "1s" }
ttl = "10m"
heuristic = false
key = { query_deny = ["utm_*"], query_sort = true, fields = ["X-Tenant"] }
tag_field = "X-Tags"
targeted_fields = ["Own-Cache-Control"]
request_directives = "ignore"
on_disconnect = "finish"
collapse = false
min_uses = 2
bypass = { fields = ["X-Debug"], cookies = ["session"], query = ["preview"] }
stale_while_revalidate = "30s"
stale_if_error = "1h"
deception_armour = false
show_key = true
"#
        ),
    )]);
    let mut resolved = folder.load("a.toml").unwrap().resolved;
    let stores = resolved.cache.unwrap();
    assert_eq!((stores.memory, stores.max_object), (256 << 20, 1 << 30));
    let disk = stores.disk.unwrap();
    assert_eq!((disk.path, disk.size), (folder.path("stored"), 10 << 30));
    let second = Duration::from_secs;
    let ttl = |statuses, ttl| CacheTtl { statuses, ttl };
    let policy = resolved.routes.remove(0).cache.unwrap();
    // The narrowest first.
    assert_eq!(
        policy.default_ttl,
        [
            ttl(200..=200, second(60)),
            ttl(404..=404, second(10)),
            ttl(500..=504, second(1)),
            ttl(200..=299, second(120)),
        ]
    );
    assert_eq!(policy.ttl, [ttl(200..=299, second(600))]);
    assert_eq!(policy.query, CacheQuery::Deny(vec!["utm_*".to_owned()]));
    assert!(policy.query_sort && policy.show_key);
    assert!(!policy.heuristic && !policy.collapse && !policy.deception_armour);
    assert_eq!(
        (&policy.key_fields[..], &policy.tag_fields[..]),
        (&["x-tenant".parse().unwrap()][..], &["x-tags".parse().unwrap()][..])
    );
    assert_eq!(policy.targeted_fields, ["own-cache-control"]);
    assert_eq!(policy.request_directives, RequestDirectives::Ignore);
    assert_eq!((policy.on_disconnect, policy.min_uses), (OnDisconnect::Finish, 2));
    assert_eq!(policy.bypass_fields, ["x-debug"]);
    assert_eq!(
        (&policy.bypass_cookies[0][..], &policy.bypass_query[0][..]),
        ("session", "preview")
    );
    assert_eq!(policy.stale_while_revalidate, Some(second(30)));
    assert_eq!(policy.stale_if_error, Some(second(3600)));
}

#[test]
fn the_most_specific_switch_wins_and_its_keys_stand_over_those_of_the_table() {
    let text = gateway(
        r#"
[cache]
ttl = "1m"
min_uses = 3
[defaults]
upstream = "app"
cache = { min_uses = 2 }
[forward]
cache = { heuristic = false }
[listeners.proxy]
address = "127.0.0.1:3128"
role = "forward"
[[routes]]
name = "default"
match = { paths = ["/1"] }
[[routes]]
name = "off"
match = { paths = ["/2"] }
cache = false
[[routes]]
name = "on"
match = { paths = ["/3"] }
cache = true
[[routes]]
name = "own"
match = { paths = ["/4"] }
cache = { ttl = "10m" }
[[routes]]
name = "answers"
respond = {}
"#,
    );
    let resolved = loaded(&text).resolved;
    let of = |policy: &CachePolicy| (policy.ttl[0].ttl.as_secs(), policy.min_uses);
    let found: Vec<_> = resolved.routes.iter().map(|route| route.cache.as_ref().map(of)).collect();
    assert_eq!(found, [Some((60, 2)), None, Some((60, 3)), Some((600, 3)), None]);
    let forward = resolved.forward.cache.unwrap();
    assert_eq!((of(&forward), forward.heuristic), ((60, 3), false));
}

#[test]
fn what_is_wrong_has_its_place() {
    let text = gateway(
        r#"
[cache]
memory = "1KiB"
disk = { path = "no/such", size = "1MiB" }
max_object = "20MiB"
default_ttl = { "200" = "1m", "6xx" = "1s", "500-504" = "1s", "503-599" = "1s" }
ttl = "soon"
key = { query_allow = ["a"], query_deny = ["b"], fields = ["X A"] }
tag_field = "X B"
targeted_fields = ["Cache-Control", "X C"]
request_directives = "honor"
on_disconnect = "wait"
min_uses = 0
bypass = { fields = ["X D"], headers = ["X-E"] }
stale_if_error = "0s"
heuristics = true
[forward]
cache = "yes"
[defaults]
cache = { tag_field = [1], memory = "1GiB" }
[[routes]]
name = "all"
upstream = "app"
cache = { ttl = { "20" = "1s", "200" = "x" }, slice = "1KiB" }
[[routes]]
name = "answers"
match = { paths = ["/"] }
respond = {}
cache = true
"#,
    );
    let found = errors(&text);
    assert_eq!(
        found,
        [
            "a.toml:6:10: error: cache.memory: expected a size from 1MiB, found 1KiB",
            "a.toml:7:17: error: cache.disk.path: there is no folder no for it",
            "a.toml:7:35: error: cache.disk.size: expected a size from 16MiB, found 1MiB",
            "a.toml:8:14: error: cache.max_object: expected a size up to 1MiB, all that is kept",
            "a.toml:9:31: error: cache.default_ttl.6xx: expected a status from 200 to 599, a class such as \"5xx\" or a range such as \"500-504\"",
            "a.toml:9:63: error: cache.default_ttl.503-599: it has statuses in common with 500-504",
            "a.toml:10:7: error: cache.ttl: expected a time such as \"10m\" or a table such as { \"200\" = \"1m\", \"5xx\" = \"1s\" }, found the string \"soon\"",
            "a.toml:11:30: error: cache.key.query_deny: give this or `query_allow`, not both",
            "a.toml:11:60: error: cache.key.fields[0]: expected a field name, found `X A`",
            "a.toml:12:13: error: cache.tag_field: expected a field name, found `X B`",
            "a.toml:13:37: error: cache.targeted_fields[1]: expected a field name, found `X C`",
            "a.toml:14:22: error: cache.request_directives: expected \"honour\" or \"ignore\", found the string \"honor\"; did you mean \"honour\"?",
            "a.toml:15:17: error: cache.on_disconnect: expected \"cancel\", \"finish_if_shared\" or \"finish\", found the string \"wait\"",
            "a.toml:16:12: error: cache.min_uses: expected a whole number from 1 to 1000, found the number 0",
            "a.toml:17:22: error: cache.bypass.fields[0]: expected a field name, found `X D`",
            "a.toml:17:30: error: cache.bypass.headers: unknown key; expected one of `cookies`, `fields`, `query`",
            "a.toml:18:18: error: cache.stale_if_error: expected a time longer than 0s",
            "a.toml:19:1: error: cache.heuristics: unknown key; did you mean `heuristic`?",
            "a.toml:21:9: error: forward.cache: expected true, false or a table of what differs from [cache], found the string \"yes\"",
            "a.toml:23:24: error: defaults.cache.tag_field[0]: expected a string, found the number 1",
            "a.toml:23:28: error: defaults.cache.memory: unknown key; expected one of `bypass`, `collapse`, `deception_armour`, `default_ttl`, `heuristic`, `key`, `min_uses`, `on_disconnect`, `request_directives`, `show_key`, `slice`, `stale_if_error`, `stale_while_revalidate`, `tag_field`, `targeted_fields`, `ttl`",
            "a.toml:27:19: error: routes[0].cache.ttl.20: expected a status from 200 to 599, a class such as \"5xx\" or a range such as \"500-504\"",
            "a.toml:27:40: error: routes[0].cache.ttl.200: expected a time such as \"30s\", \"1500ms\" or \"10m\", found the string \"x\"",
            "a.toml:27:55: error: routes[0].cache.slice: expected a size from 64KiB to 16MiB",
            "a.toml:32:1: error: routes[1].cache: only what an upstream or a program answers is stored, and this route has none",
        ],
        "{found:#?}"
    );
}

#[test]
fn an_upstream_must_not_be_told_of_one_client_what_is_stored_for_all() {
    let text = |fields: &str, cache: &str| {
        route(&format!("cache = {cache}\nrequest_fields = {{ {fields} }}"))
    };
    let refused = |fields: &str, cache: &str| {
        let found = errors(&text(fields, cache));
        assert_eq!(found.len(), 1, "{found:#?}");
        found[0].clone()
    };
    assert_eq!(
        refused("set = { X-Client = \"{client}\" }", "true"),
        "a.toml:8:39: error: routes[0].request_fields.set.X-Client: tells the upstream the client's \
         address, and what it answers would be stored for all clients; add `X-Client` to \
         `key.fields` of the cache, or say `cache = false` for the route"
    );
    let copied = refused("add = { X-Copy = \"a{field.X-Lang}\" }", "true");
    assert!(copied.contains("the request's field `x-lang`"), "{copied}");
    assert!(copied.contains("add `x-lang` or `X-Copy` to `key.fields`"), "{copied}");
    // The key is made after the route has changed the fields.
    let copied = refused(
        "set = { X-Copy = \"{field.X-Lang}\" }, remove = [\"X-Lang\"]",
        "{ key = { fields = [\"X-Lang\"] } }",
    );
    assert!(copied.contains("add `X-Copy` to `key.fields`"), "{copied}");
    for (fields, cache) in [
        ("set = { X-Client = \"{client}\" }", "false"),
        ("set = { X-Client = \"{client}\" }", "{ key = { fields = [\"x-client\"] } }"),
        ("set = { X-Copy = \"{field.X-Lang}\" }", "{ key = { fields = [\"X-Lang\"] } }"),
        ("set = { X-All = \"{host}{path}{query}{scheme}{route}{field.Host}\" }", "true"),
        ("remove = [\"X-Client\"]", "true"),
    ] {
        assert_eq!(warnings(&text(fields, cache)), [""; 0], "{fields} {cache}");
    }
    let told = warnings(&text("set = { X-Id = \"{request_id}\" }", "true"));
    assert!(told[0].contains("tells the upstream a request's id"), "{told:#?}");
}

#[test]
fn a_path_is_part_of_the_key_as_it_is_forwarded() {
    let text = |rewrite: &str| {
        route(&format!(
            "cache = true\nrewrite = {{ {rewrite} }}\nrequest_fields = {{ set = {{ X-Path = \"{{path}}\" }} }}"
        ))
    };
    loaded(&text("strip_prefix = \"/a\""));
    let found = errors(&text("replace_path = { pattern = \"a+\", with = \"a\" }"));
    assert!(found[0].contains("the path before `replace_path`"), "{found:#?}");
}

#[test]
fn what_the_defaults_say_is_said_once() {
    let text = gateway(
        r#"
[defaults]
upstream = "app"
cache = { ttl = { "20x" = "1s" } }
request_fields = { set = { X-Client = "{client}" } }
[[routes]]
name = "a"
match = { paths = ["/a"] }
[[routes]]
name = "b"
"#,
    );
    let found = errors(&text);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].contains("defaults.cache.ttl.20x: "), "{found:#?}");
    assert!(found[1].contains("defaults.request_fields.set.X-Client: "), "{found:#?}");
    // Without a cache nothing is wrong with the field.
    loaded(&text.replace("cache = { ttl = { \"20x\" = \"1s\" } }", "cache = false"));
}

#[test]
fn destinations_that_are_told_who_asked() {
    let text = "[listeners.proxy]\naddress = \"127.0.0.1:3128\"\nrole = \"forward\"\n\
                [forward]\nforwarded = true\ncache = true\n";
    assert_eq!(
        warnings(text),
        [
            "a.toml:6:1: warning: forward.cache: destinations are told who asked, and their answers are stored for all"
        ]
    );
}

#[test]
fn what_is_shown_says_what_holds() {
    let text = route("cache = { key = { fields = [\"X-A\"] }, ttl = { \"404\" = \"1s\" } }");
    let folder = Folder::new(&[("a.toml", &text)]);
    let first = folder.load("a.toml").unwrap();
    let shown = folder.relative(show::effective(&first));
    for line in [
        "[cache]",
        "memory = \"64MiB\"  # default",
        "max_object = \"8MiB\"  # default",
        "heuristic = true  # default",
        "tag_field = [\"Cache-Tag\", \"Surrogate-Key\"]  # default",
        "[routes.cache.key]",
        "404 = \"1s\"  # a.toml:7:55",
    ] {
        assert!(shown.lines().any(|found| found == line), "{line}\n{shown}");
    }
    let second = Folder::new(&[("a.toml", &shown)]).load("a.toml").unwrap();
    assert_eq!(first.raw, second.raw);
    let schema: Value =
        serde_json::from_str(&show::json_schema(&crate::extensions::Extensions::default()))
            .unwrap();
    let cache = &schema["$defs"]["Cache"];
    assert_eq!(cache["additionalProperties"], false, "{cache:#}");
    assert!(cache["properties"]["memory"].is_object() && cache["properties"]["ttl"].is_object());
}
