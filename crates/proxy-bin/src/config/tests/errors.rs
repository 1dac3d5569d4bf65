//! What is wrong, where, and the likely fix.

use super::*;

#[test]
fn everything_is_reported_at_once_with_its_place() {
    let found = errors(
        r#"[listeners.web]
adress = "127.0.0.1:80"
role = "gateway"

[listeners.proxy]
address = "localhost:3128"
role = "forwrad"
allow_clients = ["10.0.0.0/33"]

[admin]
address = "127.0.0.1:9901"
token = { file = "no-such-file" }

[server]
workers = "four"
drain_timeout = 30

[upstreams.app]
endpoints = ["127.0.0.1:3000"]

[[routes]]
name = "a"
upstream = "ap"

[[routes]]
name = "b"
match = { path_regex = "(" }
"#,
    );
    assert_eq!(
        found,
        [
            "a.toml:2:1: error: listeners.web.adress: unknown key; did you mean `address`?",
            "a.toml:6:11: error: listeners.proxy.address: expected `ip:port` or `unix:/path`, found `localhost:3128`; did you mean `127.0.0.1:3128`?",
            "a.toml:7:8: error: listeners.proxy.role: expected \"gateway\" or \"forward\", found the string \"forwrad\"; did you mean \"forward\"?",
            "a.toml:8:18: error: listeners.proxy.allow_clients[0]: expected a network such as `10.0.0.0/8` or an IP address, found `10.0.0.0/33`; `33` is not a prefix length for 10.0.0.0",
            "a.toml:12:18: error: admin.token.file: cannot read no-such-file: No such file or directory",
            "a.toml:15:11: error: server.workers: expected a whole number up to 1024, found the string \"four\"",
            "a.toml:16:17: error: server.drain_timeout: expected a time such as \"30s\", \"1500ms\" or \"10m\", found the number 30",
            "a.toml:19:14: error: upstreams.app.endpoints[0]: expected a URL such as `http://127.0.0.1:3000`, found `127.0.0.1:3000`; did you mean `http://127.0.0.1:3000`?",
            "a.toml:23:12: error: routes[0].upstream: no upstream is named `ap`; did you mean `app`?",
            "a.toml:25:1: error: routes[1]: a route has one of `upstream`, `exec`, `redirect`, `respond`",
        ]
        .map(str::to_owned)
        .into_iter()
        .chain(found.iter().filter(|line| line.contains("path_regex")).cloned())
        .collect::<Vec<_>>()
    );
    assert!(found.last().unwrap().starts_with("a.toml:27:"), "{found:#?}");
}

#[test]
fn a_missing_key_is_reported_at_its_table() {
    assert_eq!(
        errors("[listeners.web]\naddress = \"127.0.0.1:80\"\n[[routes]]\nredirect = {}\n"),
        [
            "a.toml:1:1: error: listeners.web.role: missing key; expected \"gateway\" or \"forward\"",
            "a.toml:3:1: error: routes[0].name: missing key; expected a string",
            "a.toml:4:12: error: routes[0].redirect.to: missing key; expected a string",
        ]
    );
}

#[test]
fn a_number_that_should_be_an_address_is_shown_one() {
    let expected = "expected an address such as \"127.0.0.1:8080\" or \"unix:/run/proxyd/web\"";
    assert_eq!(
        errors(
            "probe.address = 8081\nadmin.address = true\n\
             listeners.a = { role = \"gateway\", address = 8080 }\n\
             listeners.b = { role = \"gateway\", addresses = [8080] }\n"
        ),
        [
            format!("a.toml:1:17: error: probe.address: {expected}, found the number 8081"),
            format!("a.toml:2:17: error: admin.address: {expected}, found true"),
            format!("a.toml:3:45: error: listeners.a.address: {expected}, found the number 8080"),
            format!(
                "a.toml:4:48: error: listeners.b.addresses[0]: {expected}, found the number 8080"
            ),
        ]
    );
}

#[test]
fn syntax_errors_have_places() {
    let found = errors("[listeners.web]\naddress = \"127.0.0.1:80\nrole = \"gateway\"\n");
    assert!(found[0].starts_with("a.toml:2:"), "{found:#?}");
    let folder = Folder::new(&[("a.json", "{\n  \"server\": {\"workers\" 1}\n}\n")]);
    assert_eq!(folder.errors("a.json"), ["a.json:2:24: error: expected `:`"]);
    let folder = Folder::new(&[("a.yaml", "server: {}\n")]);
    assert_eq!(
        folder.errors("a.yaml"),
        ["a.yaml:1:1: error: YAML is not read: write TOML, or JSON in a file that ends in .json"]
    );
    let folder = Folder::new(&[]);
    assert_eq!(folder.errors("a.toml"), ["error: cannot read a.toml: No such file or directory"]);
}

#[test]
fn what_is_not_built_says_so_and_hides_nothing_else() {
    let text = format!(
        "{GATEWAY}{}",
        r#"
[extensions]
share = 7
[[routes]]
name = "clip"
respond = { status = 200 }
[[routes]]
name = "app"
upstream = "apq"
"#
    );
    assert_eq!(
        errors(&text),
        [
            "a.toml:6:1: error: extensions.share: this program has no extensions",
            "a.toml:12:12: error: routes[1].upstream: no upstream is named `apq`; did you mean `app`?",
        ]
    );
}

#[test]
fn a_key_of_a_later_feature_is_only_that_where_it_belongs() {
    assert_eq!(
        errors("[listeners.web]\naddress = \"127.0.0.1:80\"\nrole = \"gateway\"\ncache = true\n")
            [0],
        "a.toml:4:1: error: listeners.web.cache: unknown key; expected one of `address`, `addresses`, `allow_clients`, `client_address_from`, `credentials`, `deny_clients`, `half_close`, `limits`, `open`, `protocols`, `proxy_protocol`, `quic`, `role`, `tls`, `trusted_proxies`"
    );
}

#[test]
fn an_empty_file_is_told_what_it_lacks() {
    assert_eq!(
        errors(""),
        ["a.toml:1:1: error: nothing to listen on; expected a table such as [listeners.web]"]
    );
}

#[test]
fn two_sockets_on_one_address() {
    assert_eq!(
        errors(
            r#"
admin = { address = "127.0.0.1:80" }
probe = { address = "127.0.0.1:81" }
[listeners.a]
address = "0.0.0.0:80"
role = "gateway"
[listeners.b]
addresses = ["127.0.0.1:82", "127.0.0.1:81"]
role = "gateway"
"#
        ),
        [
            "a.toml:5:11: error: listeners.a.address: `0.0.0.0:80` clashes with `127.0.0.1:80` of admin.address; each needs a port, or an address, of its own",
            "a.toml:8:30: error: listeners.b.addresses[1]: `127.0.0.1:81` clashes with `127.0.0.1:81` of probe.address; each needs a port, or an address, of its own",
        ]
    );
}

#[test]
fn an_upstream_that_is_this_proxy_is_warned_of() {
    let folder = Folder::new(&[(
        "a.toml",
        "[listeners.web]\naddresses = [\"0.0.0.0:8080\", \"[::1]:81\"]\nrole = \"gateway\"\n\
         [upstreams.app]\n\
         endpoints = [\"http://127.0.0.1:8081\", \"http://localhost:8080\", \"http://10.0.0.1:8080\"]\n\
         [upstreams.six]\nendpoints = [\"http://[::1]:81\", \"http://[::1]:8080\"]\n\
         [[routes]]\nname = \"a\"\nupstream = \"app\"\n",
    )]);
    let loaded = load(&folder.path("a.toml"), &Overrides::default()).unwrap();
    let found: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
    let told = |place: &str, path: &str, host: &str| {
        format!(
            "a.toml:{place}: warning: upstreams.{path}: `{host}` is the listener `web` of this \
             proxy: requests would come back, and be refused with 508"
        )
    };
    let expected = [
        told("5:39", "app.endpoints[1]", "localhost:8080"),
        told("7:14", "six.endpoints[0]", "[::1]:81"),
    ];
    let found: Vec<_> = found.into_iter().map(|text| folder.relative(text)).collect();
    for line in expected {
        assert!(found.contains(&line), "{line}\n{found:?}");
    }
    assert_eq!(found.iter().filter(|line| line.contains("508")).count(), 2, "{found:?}");
}

#[test]
fn routes_name_what_there_is() {
    let text = format!(
        "{GATEWAY}{}",
        r#"
listeners.proxy = { address = "127.0.0.1:3128", role = "forward" }
defaults = { upstream = "none", request_fields = { set = { "X A" = "1" } } }
[[routes]]
name = "a"
listeners = ["wbe", "proxy"]
[[routes]]
name = "a"
upstream = "app"
match = { hosts = ["x.test:80"] }
"#
    );
    let found = errors(&text);
    assert_eq!(
        found[..4],
        [
            "a.toml:6:25: error: defaults.upstream: no upstream is named `none`; there are `app`",
            "a.toml:6:68: error: defaults.request_fields.set.\"X A\": `X A` is not a field name",
            "a.toml:9:14: error: routes[0].listeners[0]: no listener is named `wbe`; did you mean `web`?",
            "a.toml:9:21: error: routes[0].listeners[1]: `proxy` is a forward listener: it has no routes",
        ],
        "{found:#?}"
    );
    assert!(found[4].starts_with("a.toml:11:8: error: routes[1].name: "), "{found:#?}");
    assert!(found[5].starts_with("a.toml:13:20: error: routes[1].match.hosts[0]: "), "{found:#?}");
}

#[test]
fn values_that_no_schema_can_judge() {
    let found = errors(
        r#"
[listeners.web]
address = "127.0.0.1:80"
role = "gateway"
client_address_from = "x forwarded for"
limits = { request_line = "10B", body_min_rate = "0B" }
[listeners."a b"]
addresses = []
role = "gateway"
protocols = []
[forward]
connect_ports = [0, "9-1"]
allow_destinations = ["10.0.0.0/99", "*"]
only_domains = ["http://x.test/"]
[server]
via_name = "a b"
timeouts = { header = "0s", tunnel_idle = "0s" }
[log.access]
path = "no-such-folder/access.jsonl"
"#,
    );
    let places: Vec<&str> = found.iter().map(|line| line.split(": ").nth(2).unwrap()).collect();
    assert_eq!(
        places,
        [
            "listeners.web.client_address_from",
            "listeners.web.limits.request_line",
            "listeners.web.limits.body_min_rate",
            "listeners.\"a b\"",
            "listeners.\"a b\"",
            "listeners.\"a b\".protocols",
            "forward.connect_ports[0]",
            "forward.connect_ports[1]",
            "forward.allow_destinations[0]",
            "forward.allow_destinations[1]",
            "forward.only_domains[0]",
            "server.via_name",
            "server.timeouts.header",
            "server.timeouts.tunnel_idle",
            "log.access.path",
        ],
        "{found:#?}"
    );
    assert_eq!(
        found.last().unwrap(),
        "a.toml:19:8: error: log.access.path: there is no folder no-such-folder for it"
    );
}

#[test]
fn http3_says_what_it_needs() {
    let found = errors(
        r#"[listeners.a]
address = "unix:/run/a.sock"
role = "gateway"
protocols = ["h1", "h3"]
trusted_proxies = ["10.0.0.1"]
proxy_protocol = true
quic = { retry = "sometimes" }
"#,
    );
    assert!(found.iter().any(|line| line.contains("\"load\" or \"always\"")), "{found:#?}");
    let found = errors(
        r#"[listeners.a]
address = "unix:/run/a.sock"
role = "gateway"
protocols = ["h1", "h3"]
trusted_proxies = ["10.0.0.1"]
proxy_protocol = true
"#,
    );
    assert_eq!(
        found,
        [
            "a.toml:4:20: error: listeners.a.protocols[1]: HTTP/3 needs `tls`",
            "a.toml:4:20: error: listeners.a.protocols[1]: HTTP/3 needs an address of the form `ip:port`",
            "a.toml:6:18: error: listeners.a.proxy_protocol: QUIC has no PROXY protocol: HTTP/3 needs a listener without it",
        ]
    );
}
