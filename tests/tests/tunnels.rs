//! What a tunnel begins with: the server name in it, whether it is TLS at all, and the guard.

use std::net::SocketAddr;

use proxyd_tests::client::Client;
use proxyd_tests::nginx::Nginx;
use proxyd_tests::origin::{Act, Origin, Script};
use proxyd_tests::proxyd::Proxyd;
use proxyd_tests::{client_hello, configured, programs, waiting};
use serde_json::Value;

/// The alert `access_denied`, in a record.
const ALERT: &[u8] = &[21, 3, 3, 0, 2, 2, 49];

/// A forward proxy that lets `localhost` be named, with these keys of `[forward.tunnel]`. Names
/// below `localhost` lead to this machine without DNS.
fn proxy(port: u16, tunnel: &str) -> Proxyd {
    proxy_with(port, "only_domains = [\"localhost\", \"127.0.0.1\"]", tunnel)
}

fn proxy_with(port: u16, forward: &str, tunnel: &str) -> Proxyd {
    let rest = format!(
        "[forward]\nconnect_ports = [{port}]\nallow_private_destinations = true\n{forward}\n\
         [forward.tunnel]\n{tunnel}\n"
    );
    configured::forward("", &rest).start()
}

fn connect_head(to: &str, port: u16) -> String {
    format!("CONNECT {to}:{port} HTTP/1.1\r\nHost: {to}:{port}\r\n\r\n")
}

fn tunnel(proxy: &Proxyd, to: &str, origin: SocketAddr) -> Client {
    let mut client = Client::connect(proxy.address());
    let answer = client.ask("CONNECT", connect_head(to, origin.port()));
    assert_eq!(answer.status(), 200, "{answer:?}");
    client
}

/// The lines of the access log, when there are so many.
fn log_lines(proxy: &Proxyd, count: usize) -> Vec<Value> {
    waiting::until("lines in the access log", || {
        let log = proxy.log();
        let lines: Vec<_> =
            log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        (lines.len() >= count).then_some(lines)
    })
}

const AUDIT: &str = "\n[log.audit]\npath = \"audit.jsonl\"\n";

/// The audit trail has such a record.
fn audited(proxy: &Proxyd, layer: &str, rule: &str, verdict: &str) {
    let path = proxy.folder().join("audit.jsonl");
    waiting::until(&format!("{layer} {verdict} {rule} in the audit trail"), || {
        let trail = std::fs::read_to_string(&path).ok()?;
        let mut records = trail.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        records
            .any(|r| r["layer"] == layer && r["rule"] == rule && r["verdict"] == verdict)
            .then_some(())
    });
}

/// The tunnel was closed for this rule, and not one byte of the client reached the origin.
fn refused(proxy: &Proxyd, origin: &Origin, rule: &str, reason: &str) {
    let line = log_lines(proxy, 1).remove(0);
    for (key, value) in [
        ("tunnel_end", "refused"),
        ("denied_by", "tunnel"),
        ("rule", rule),
        ("reason", reason),
        ("error", "http_request_denied"),
    ] {
        assert_eq!(line[key], value, "{key} in {line}");
    }
    assert_eq!(line["request_bytes"], 0, "{line}");
    assert_eq!(origin.received(), 0, "bytes reached the origin");
}

fn alerted(mut client: Client) {
    let (rest, closed) = client.rest();
    assert!(closed, "it stayed open");
    assert_eq!(rest, ALERT);
}

#[test]
fn a_server_name_that_may_not_be_asked_for_closes_the_tunnel() {
    let origin = Origin::echoing();
    let proxy = proxy(origin.address().port(), AUDIT);
    let mut client = tunnel(&proxy, "localhost", origin.address());
    client.send(client_hello::naming("blocked.test"));
    alerted(client);
    refused(&proxy, &origin, "only_domains", "domain_not_allowed");
    audited(&proxy, "tunnel", "only_domains", "deny");
    let metrics = proxy.ask_admin("/metrics").text();
    assert!(metrics.contains("end=\"refused\"} 1"), "{metrics}");
}

#[test]
fn curl_names_one_host_and_means_another() {
    let nginx = Nginx::serving_files();
    nginx.file("a.txt", "hello");
    let port = nginx.https.port();
    let proxy = proxy(port, "");
    let url = |host: &str| format!("https://{host}:{port}/a.txt");
    let fronted = format!("blocked.test:{port}:localhost:{port}");
    let (through, ca) = (proxy.url(), nginx.certificate().display().to_string());
    let ask = |more: &[&str]| {
        let arguments = [&["-x", through.as_str(), "--cacert", ca.as_str(), "-f"][..], more];
        programs::curl(&arguments.concat())
    };
    let plain = ask(&[&url("localhost")]);
    assert_eq!(String::from_utf8_lossy(&plain.stdout), "hello", "{plain:?}");
    let hidden = ask(&["-k", "--connect-to", &fronted, &url("blocked.test")]);
    assert!(!hidden.status.success() && hidden.stdout.is_empty(), "{hidden:?}");
    let message = String::from_utf8_lossy(&hidden.stderr).to_lowercase();
    assert!(message.contains("alert") || message.contains("denied"), "{message}");
    let lines = log_lines(&proxy, 2);
    assert!(lines.iter().any(|line| line["rule"] == "only_domains"), "{lines:?}");
}

#[test]
fn a_hello_in_pieces_is_one_and_arrives_intact() {
    let origin = Origin::echoing();
    let proxy = proxy(origin.address().port(), "sni = \"match\"");
    for (hello, size) in [
        (client_hello::naming("localhost"), 1),
        (client_hello::naming_in_records("localhost", 3), 50),
        (client_hello::naming_in_records("localhost", 20), 7),
    ] {
        let mut client = tunnel(&proxy, "localhost", origin.address());
        client.send_pieces(&hello, size);
        assert_eq!(client.take(hello.len()), hello);
        client.send("more");
        assert_eq!(client.take(4), b"more");
    }
    let blocked = client_hello::naming_in_records("blocked.test", 3);
    let mut client = tunnel(&proxy, "localhost", origin.address());
    client.send_pieces(&blocked, 2);
    alerted(client);
}

#[test]
fn early_bytes_are_judged_and_kept() {
    let origin = Origin::echoing();
    let port = origin.address().port();
    let proxy = proxy(port, "");
    let early = |hello: Vec<u8>| {
        let mut client = Client::connect(proxy.address());
        client.send([connect_head("localhost", port).into_bytes(), hello].concat());
        assert_eq!(client.expect("CONNECT").status(), 200);
        client
    };
    alerted(early(client_hello::naming("blocked.test")));
    assert_eq!(origin.received(), 0);
    let hello = client_hello::naming("a.localhost");
    let mut client = early(hello.clone());
    assert_eq!(client.take(hello.len()), hello);
    client.send("late");
    assert_eq!(client.take(4), b"late");
}

#[test]
fn the_server_name_may_have_to_be_the_host() {
    let origin = Origin::echoing();
    let port = origin.address().port();
    for (host, hello, rule, reason) in [
        (
            "localhost",
            client_hello::naming("a.localhost"),
            "tunnel:sni-mismatch",
            "server_name_mismatch",
        ),
        (
            "127.0.0.1",
            client_hello::naming("localhost"),
            "tunnel:sni-mismatch",
            "server_name_mismatch",
        ),
        ("localhost", client_hello::naming_nobody(), "tunnel:sni-missing", "server_name_missing"),
        // The name in front of an encrypted hello is not the one that was asked for.
        (
            "a.localhost",
            client_hello::encrypted("localhost"),
            "tunnel:sni-mismatch",
            "server_name_mismatch",
        ),
    ] {
        let proxy = proxy(port, "sni = \"match\"");
        let mut client = tunnel(&proxy, host, origin.address());
        client.send(hello);
        alerted(client);
        refused(&proxy, &origin, rule, reason);
    }
    let proxy = proxy(port, "sni = \"match\"");
    for (host, hello) in [
        ("LocalHost", client_hello::naming("localhost")),
        ("127.0.0.1", client_hello::naming_nobody()),
        ("localhost", client_hello::encrypted("localhost")),
    ] {
        let mut client = tunnel(&proxy, host, origin.address());
        client.send(&hello);
        assert_eq!(client.take(hello.len()), hello, "{host}");
    }
}

#[test]
fn an_encrypted_hello_may_be_refused() {
    let origin = Origin::echoing();
    let proxy = proxy(origin.address().port(), "encrypted_hello = \"refuse\"");
    let mut client = tunnel(&proxy, "localhost", origin.address());
    client.send(client_hello::encrypted("localhost"));
    alerted(client);
    refused(&proxy, &origin, "tunnel:encrypted-hello", "encrypted_hello");
}

#[test]
fn what_is_not_tls_is_refused_where_tls_is_required() {
    let origin = Origin::echoing();
    let port = origin.address().port();
    let required = proxy(port, &format!("require_tls_ports = [{port}]"));
    let mut client = tunnel(&required, "localhost", origin.address());
    client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    // No alert: it would be no answer to this client.
    client.expect_closed();
    refused(&required, &origin, "tunnel:not-tls", "not_tls");
    let hello = client_hello::naming("localhost");
    let mut client = tunnel(&required, "localhost", origin.address());
    client.send(&hello);
    assert_eq!(client.take(hello.len()), hello);
    // Elsewhere anything may be sent.
    let open = proxy(port, "");
    let mut client = tunnel(&open, "localhost", origin.address());
    client.send("EHLO x\r\n");
    assert_eq!(client.take(8), b"EHLO x\r\n");
}

#[test]
fn a_server_that_speaks_first_is_not_kept_waiting() {
    let origin = Origin::start(Script::new().on_accept(|_| vec![Act::send("220 ready\r\n")]).raw());
    let port = origin.address().port();
    // A time that a waiting test would notice.
    let proxy = proxy(port, "hello_timeout = \"10m\"");
    let mut client = tunnel(&proxy, "localhost", origin.address());
    assert_eq!(client.take(11), b"220 ready\r\n");
    client.send("EHLO x\r\n");
    waiting::until("the client's bytes", || (origin.received() == 8).then_some(()));
    let required = proxy_with(port, "", &format!("require_tls_ports = [{port}]"));
    let mut client = tunnel(&required, "localhost", origin.address());
    client.expect_closed();
    assert_eq!(log_lines(&required, 1)[0]["rule"], "tunnel:not-tls");
}

#[test]
fn a_slow_hello_is_refused_and_a_silent_client_only_if_asked() {
    let origin = Origin::echoing();
    let port = origin.address().port();
    let slow = proxy(port, "hello_timeout = \"100ms\"");
    let mut client = tunnel(&slow, "localhost", origin.address());
    client.send(&client_hello::naming("localhost")[..20]);
    alerted(client);
    refused(&slow, &origin, "tunnel:incomplete-hello", "incomplete_hello");
    let silent = proxy(port, "hello_timeout = \"100ms\"\non_silence = \"refuse\"");
    let mut client = tunnel(&silent, "localhost", origin.address());
    client.expect_closed();
    refused(&silent, &origin, "tunnel:silent", "client_silent");
}

#[test]
fn a_report_closes_nothing() {
    let origin = Origin::echoing();
    let port = origin.address().port();
    let proxy = proxy(port, &format!("mode = \"report\"\nsni = \"match\"{AUDIT}"));
    let hello = client_hello::naming("blocked.test");
    let mut client = tunnel(&proxy, "localhost", origin.address());
    client.send(&hello);
    assert_eq!(client.take(hello.len()), hello);
    drop(client);
    let line = log_lines(&proxy, 1).remove(0);
    assert_eq!(
        (&line["tunnel_end"], &line["denied_by"]),
        (&"closed".into(), &Value::Null),
        "{line}"
    );
    audited(&proxy, "tunnel", "tunnel:sni-mismatch", "report");
    audited(&proxy, "tunnel", "only_domains", "report");
}

#[test]
fn without_anything_to_ask_nothing_is_read() {
    let origin = Origin::start(Script::new().raw());
    let proxy = proxy_with(origin.address().port(), "", "sni = \"lists\"");
    let mut client = tunnel(&proxy, "localhost", origin.address());
    client.send(&client_hello::naming("blocked.test")[..20]);
    waiting::until("half a hello", || (origin.received() == 20).then_some(()));
}

#[test]
fn the_guard_names_its_rule_and_may_only_report() {
    let origin = Origin::echoing();
    let port = origin.address().port();
    let keys =
        |guard: &str| format!("[forward]\nconnect_ports = [{port}]\nguard = \"{guard}\"\n{AUDIT}");
    let enforcing = configured::forward("", &keys("enforce")).start();
    let mut client = Client::connect(enforcing.address());
    let answer = client.ask("CONNECT", connect_head("127.0.0.1", port));
    assert_eq!(answer.status(), 403);
    assert!(answer.text().contains("guard:loopback"), "{}", answer.text());
    let line = log_lines(&enforcing, 1).remove(0);
    assert_eq!((&line["denied_by"], &line["rule"]), (&"guard".into(), &"guard:loopback".into()));
    assert_eq!(origin.links(), 0);

    let reporting = configured::forward("", &keys("report")).start();
    let mut client = tunnel(&reporting, "127.0.0.1", origin.address());
    client.send("x");
    assert_eq!(client.take(1), b"x");
    audited(&reporting, "guard", "guard:loopback", "report");
    // Ports, and the proxy itself, are no matter of trying out.
    for (to, port) in [("127.0.0.1", 25), ("127.0.0.1", reporting.address().port())] {
        let mut client = Client::connect(reporting.address());
        assert_eq!(client.ask("CONNECT", connect_head(to, port)).status(), 403, "{port}");
    }
    let own = reporting.admin().to_string();
    let raw = format!("GET http://{own}/metrics HTTP/1.1\r\nHost: {own}\r\n\r\n");
    let mut client = Client::connect(reporting.address());
    let answer = client.ask("GET", raw);
    assert_eq!(answer.status(), 403);
    assert!(answer.text().contains("guard:own-listener"), "{}", answer.text());
}

/// One list and the same rules for the host of CONNECT and for the name inside.
#[test]
fn lists_and_rules_of_hosts_hold_inside_of_tunnels() {
    let origin = Origin::echoing();
    let port = origin.address().port();
    let filter = "[filter]\nblock_domains = [\"blocked.localhost\"]\n\
                  block_exceptions = [\"fine.blocked.localhost\"]\n\
                  [[filter.rules]]\nid = \"try\"\nmatch = { hosts = [\"tried.localhost\"] }\n\
                  action = \"deny\"\nmode = \"report\"\n\
                  [[filter.rules]]\nid = \"no-video\"\nmatch = { hosts = [\"video.localhost\"] }\n\
                  action = \"deny\"\n";
    for (name, rule, reason) in [
        ("a.blocked.localhost", "block_domains", "domain_blocked"),
        ("video.localhost", "no-video", "server_name_denied"),
    ] {
        let proxy = proxy_with(port, "", filter);
        let mut client = Client::connect(proxy.address());
        assert_eq!(client.ask("CONNECT", connect_head(name, port)).status(), 403, "{name}");
        let mut client = tunnel(&proxy, "localhost", origin.address());
        client.send(client_hello::naming(name));
        alerted(client);
        let line = log_lines(&proxy, 2).remove(1);
        assert_eq!((&line["rule"], &line["reason"]), (&rule.into(), &reason.into()), "{line}");
        assert_eq!(origin.received(), 0);
    }
    let proxy = proxy_with(port, "", filter);
    for name in ["fine.blocked.localhost", "tried.localhost", "localhost"] {
        let hello = client_hello::naming(name);
        let mut client = tunnel(&proxy, "localhost", origin.address());
        client.send(&hello);
        assert_eq!(client.take(hello.len()), hello, "{name}");
    }
}
