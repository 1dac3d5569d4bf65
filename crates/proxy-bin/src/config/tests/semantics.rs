//! The bullets of INTERFACE, "Semantics that code must not invent", that a
//! configuration decides, and what the keys mean.

use std::time::Duration;

use proxy_filter::domains::Listed;

use super::*;

fn forward(address: &str, more: &str) -> String {
    format!("[listeners.proxy]\naddress = \"{address}\"\nrole = \"forward\"\n{more}\n")
}

#[test]
fn no_open_proxy() {
    for (address, more) in [
        ("127.0.0.1:3128", ""),
        ("127.9.9.9:3128", ""),
        ("[::1]:3128", ""),
        ("unix:/tmp/x.sock", ""),
        ("0.0.0.0:3128", "open = true"),
        ("0.0.0.0:3128", "allow_clients = [\"10.0.0.0/8\"]"),
        ("0.0.0.0:3128", "allow_clients = [\"0.0.0.0/0\"]\nopen = true"),
    ] {
        loaded(&forward(address, more));
    }
    for address in ["0.0.0.0:3128", "10.0.0.1:3128", "[::]:3128", "[::ffff:10.0.0.1]:3128"] {
        assert_eq!(
            errors(&forward(address, "")),
            [format!(
                "a.toml:1:12: error: listeners.proxy: a forward listener on {address} would serve \
                 everyone who can reach it; add `allow_clients` (`--allow-client`) or `credentials`, or `open = true` (`--open`) if that is meant"
            )]
        );
    }
    assert_eq!(
        errors(&forward("0.0.0.0:3128", "allow_clients = [\"0.0.0.0/0\"]")),
        [
            "a.toml:4:17: error: listeners.proxy.allow_clients: takes in everyone; say `open = true` if that is meant"
        ]
    );
    // One public address among several is enough.
    assert_eq!(
        errors(
            "[listeners.proxy]\naddresses = [\"127.0.0.1:1\", \"10.0.0.1:1\"]\nrole = \"forward\"\n"
        )
        .len(),
        1
    );
}

#[test]
fn a_proxy_protocol_needs_trusted_proxies() {
    let web =
        "[listeners.web]\naddress = \"127.0.0.1:80\"\nrole = \"gateway\"\nproxy_protocol = true\n";
    assert_eq!(
        errors(web),
        [
            "a.toml:4:18: error: listeners.web.proxy_protocol: needs `trusted_proxies`: from which proxies the header is taken"
        ]
    );
    let listener =
        loaded(&format!("{web}trusted_proxies = [\"10.0.0.1\"]\n")).resolved.listeners.remove(0);
    assert!(listener.proxy_protocol);
    assert_eq!(listener.trusted_proxies[0].to_string(), "10.0.0.1/32");
    assert_eq!(listener.client_address_from, "x-forwarded-for");
}

#[test]
fn the_defaults() {
    let resolved = loaded(&forward("127.0.0.1:3128", "")).resolved;
    let forward = &resolved.forward;
    let in_both = |port| (forward.connect_ports.contains(port), forward.http_ports.contains(port));
    assert_eq!(in_both(443), (true, true));
    assert_eq!(in_both(80), (false, true));
    assert_eq!(in_both(8080), (false, true));
    for refused in [22, 25, 6000, 6667, 10080, 1023, 0] {
        assert_eq!(in_both(refused), (false, false), "{refused}");
    }
    assert!(!forward.allow_private_destinations && !forward.forwarded);
    let listener = &resolved.listeners[0];
    assert!(listener.h1 && !listener.h2 && !listener.half_close);
    let limits = &listener.limits;
    assert_eq!((limits.connections, limits.connections_per_client), (10_000, 4_096));
    assert_eq!((limits.request_line, limits.fields, limits.fields_size), (16_384, 100, 65_536));
    assert_eq!((limits.body, limits.body_min_rate, limits.h2_streams), (None, Some(256), 100));
    assert_eq!((limits.tunnels, limits.tunnels_per_client), (4_096, 256));
    let server = &resolved.server;
    assert_eq!((server.workers, &server.via_name), (None, &None));
    assert_eq!(server.drain_timeout, Duration::from_secs(30));
    let times = &server.timeouts;
    assert_eq!((times.header, times.silent), (Duration::from_secs(10), Duration::from_secs(10)));
    assert_eq!(times.tunnel_idle, Some(Duration::from_secs(600)));
    assert_eq!((times.tunnel_lifetime, times.total), (Some(Duration::from_secs(86_400)), None));
    assert!(resolved.metrics && resolved.admin.is_none() && resolved.access_log.is_none());
}

#[test]
fn the_most_specific_wins() {
    let gateway = GATEWAY.replace(":3000\"]", ":3000\"], timeouts = { connect = \"1s\" }");
    let resolved = loaded(&format!(
        "{gateway}{}",
        r#"
server.limits = { body = "1MiB", fields = 50 }
server.timeouts.total = "1m"
listeners.small = { address = "127.0.0.1:81", role = "gateway", limits = { fields = 10 } }
listeners.large = { address = "127.0.0.1:82", role = "gateway", limits = { body = "none" } }
[defaults]
upstream = "app"
timeouts = { first_byte = "2s" }
limits = { body = "2MiB" }
[[routes]]
name = "own"
match = { paths = ["/"] }
timeouts = { first_byte = "3s", total = "none" }
limits = { body = "none" }
[[routes]]
name = "silent"
"#
    ))
    .resolved;
    let limits: Vec<_> = resolved
        .listeners
        .iter()
        .map(|listener| (&*listener.name, listener.limits.body, listener.limits.fields))
        .collect();
    let mib = Some(1 << 20);
    assert_eq!(limits, [("large", None, 50), ("small", mib, 10), ("web", mib, 50)]);
    let [own, silent] = &resolved.routes[..] else { panic!("two routes") };
    let times = |route: &resolved::Route| {
        let times = route.timeouts.clone().unwrap();
        [times.connect, times.first_byte, times.read_idle].map(|time| time.as_secs())
    };
    assert_eq!((times(own), own.total), ([1, 3, 60], None));
    assert_eq!((times(silent), silent.total), ([1, 2, 60], Some(Duration::from_secs(60))));
    assert_eq!(
        (own.body, silent.body.unwrap().some().unwrap().bytes()),
        (Some(units::Limit::Unlimited), 2 << 20)
    );
    assert_eq!(resolved.table.routes().len(), 2);
}

#[test]
fn waivers_are_names_or_networks() {
    let resolved = loaded(&forward(
        "127.0.0.1:3128",
        "[forward]\nallow_destinations = [\"intranet.test\", \"10.20.0.0/16\", \"192.0.2.1\", \"[::1]\"]\nonly_domains = [\"*.x.test\"]\nhttp_ports = [80, \"8000-8001\"]",
    ))
    .resolved;
    let forward = &resolved.forward;
    let text = |list: &[ipnet::IpNet]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(text(&forward.allow_networks), ["10.20.0.0/16", "192.0.2.1/32", "::1/128"]);
    assert_eq!(forward.allow_names[0].to_string(), "intranet.test");
    let lists = &resolved.filter.forward_lists;
    assert_eq!(lists.judge("a.x.test", true), Listed::Free);
    assert_eq!(lists.judge("x.test", true), Listed::Unlisted);
    assert!(resolved.filter.lists.is_empty(), "a gateway's routes say which names it has");
    assert!(forward.http_ports.contains(8001) && !forward.http_ports.contains(443));
}

#[test]
fn what_has_no_effect_is_a_warning() {
    assert_eq!(
        warnings(
            r#"
[admin]
address = "0.0.0.0:9901"
[forward]
forwarded = true
[listeners.web]
address = "127.0.0.1:80"
role = "gateway"
open = true
client_address_from = "forwarded"
allow_clients = ["10.1.2.3/8"]
[upstreams.app]
endpoints = ["http://127.0.0.1:3000"]
[[routes]]
name = "all"
respond = {}
[[routes]]
name = "never"
respond = {}
"#
        ),
        [
            "a.toml:3:1: warning: admin.address: whoever can connect to it can read the configuration and the metrics",
            "a.toml:4:2: warning: forward: no listener has role = \"forward\", so that it has no effect",
            "a.toml:9:1: warning: listeners.web.open: only a forward listener can be open",
            "a.toml:10:1: warning: listeners.web.client_address_from: has no effect without `trusted_proxies`",
            "a.toml:11:18: warning: listeners.web.allow_clients[0]: `10.1.2.3/8` means 10.0.0.0/8",
            "a.toml:12:12: warning: upstreams.app: no route names it",
            "a.toml:17:1: warning: routes[1]: never reached: `all` matches everything",
        ]
    );
}

#[test]
fn upstreams() {
    let upstream = loaded(
        r#"
[listeners.web]
address = "127.0.0.1:80"
role = "gateway"
protocols = ["h1", "h2"]
[upstreams.app]
endpoints = ["http://127.0.0.1:3000", { url = "http://[::1]:3001" }]
host = "x.test:81"
protocol = "h2"
pool = { max_age = "1h" }
required = true
[[routes]]
name = "all"
upstream = "app"
"#,
    )
    .resolved
    .upstreams
    .remove("app")
    .unwrap();
    let endpoints: Vec<_> = upstream.endpoints.iter().map(|e| (&*e.host, e.port)).collect();
    assert_eq!(endpoints, [("127.0.0.1", 3000), ("::1", 3001)]);
    assert_eq!(upstream.host, resolved::UpstreamHost::Name("x.test:81".parse().unwrap()));
    assert_eq!(upstream.protocol, raw::UpstreamProtocol::H2);
    assert_eq!(upstream.pool.max_age, Some(Duration::from_secs(3600)));
    assert_eq!((upstream.pool.max_idle, upstream.pool.max_requests), (1024, None));
    assert!(upstream.required);
}
