//! `proxyd forward`: curl through it, tunnels, refusals, and two of them in a row.

use std::net::SocketAddr;
use std::process::Output;

use proxyd_tests::client::{self, Client};
use proxyd_tests::nginx::Nginx;
use proxyd_tests::origin::{Act, MARK, Origin, Script};
use proxyd_tests::proxyd::{self, Proxyd};
use proxyd_tests::waiting::Gate;
use proxyd_tests::{configured, programs, waiting};

/// A forward proxy that may reach everything on this machine at that port.
fn open_to(port: u16) -> Proxyd {
    proxyd::forward().args(&["--allow-private", "--connect-port", &port.to_string()]).start()
}

fn connect_head(to: impl std::fmt::Display) -> String {
    format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n")
}

fn tunnel(proxy: SocketAddr, to: SocketAddr) -> Client {
    let mut client = Client::connect(proxy);
    let answer = client.ask("CONNECT", connect_head(to));
    assert_eq!(answer.status(), 200, "{answer:?}");
    client
}

fn curl(proxy: &Proxyd, nginx: &Nginx, arguments: &[&str]) -> Output {
    let (url, ca) = (proxy.url(), nginx.certificate().display().to_string());
    let mut all = vec!["-x", url.as_str(), "--cacert", ca.as_str()];
    all.extend(arguments);
    programs::curl(&all)
}

#[test]
fn curl_fetches_http_and_https() {
    let nginx = Nginx::serving_files();
    nginx.file("a.txt", "hello");
    let proxy = open_to(nginx.https.port());
    for url in [
        format!("http://{}/a.txt", nginx.http),
        format!("https://{}/a.txt", nginx.https),
        format!("https://localhost:{}/a.txt", nginx.https.port()),
    ] {
        let out = curl(&proxy, &nginx, &["-f", &url]);
        assert_eq!(String::from_utf8_lossy(&out.stdout), "hello", "{url}: {out:?}");
    }
    waiting::until("three lines in the access log", || {
        (proxy.log().lines().count() >= 3).then_some(())
    });
}

#[test]
fn a_hundred_megabytes_up_and_down_with_flat_memory() {
    const SIZE: usize = 100_000_000;
    let nginx = Nginx::start("location /up/ { dav_methods PUT; create_full_put_path on; }");
    nginx.file("big", vec![b'x'; SIZE]);
    nginx.file("small", "x");
    let big = nginx.root().join("big").display().to_string();
    let proxy = open_to(nginx.https.port());
    for base in [format!("http://{}", nginx.http), format!("https://{}", nginx.https)] {
        let small = curl(&proxy, &nginx, &["-f", &format!("{base}/small")]);
        assert!(small.status.success(), "{small:?}");
        let before = proxy.resident_kib();
        let url = format!("{base}/up/copy");
        let up = curl(&proxy, &nginx, &["-f", "-T", &big, &url]);
        assert!(up.status.success(), "{up:?}");
        let down = curl(&proxy, &nginx, &["-f", "-o", "/dev/null", "-w", "%{size_download}", &url]);
        assert_eq!(String::from_utf8_lossy(&down.stdout), SIZE.to_string());
        let grown = proxy.resident_kib().saturating_sub(before);
        assert!(grown < 20_000, "{base}: {grown} KiB more after 200 MB");
    }
}

#[test]
fn a_private_destination_is_403_with_a_reason() {
    let origin = Origin::saying("never");
    let proxy = proxyd::forward().start();
    let address = origin.address();
    let raw = format!("GET http://{address}/ HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let answer = client::exchange(proxy.address(), "GET", raw);
    assert_eq!(answer.status(), 403);
    let why = answer.field("proxy-status").expect("Proxy-Status");
    assert!(why.contains("destination_ip_prohibited"), "{why}");
    let tunnelled = client::exchange(proxy.address(), "CONNECT", connect_head("127.0.0.1:443"));
    assert_eq!(tunnelled.status(), 403);
    assert_eq!(origin.links(), 0);
}

#[test]
fn connect_to_port_25_is_403() {
    let proxy = proxyd::forward().arg("--allow-private").start();
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.ask("CONNECT", connect_head("127.0.0.1:25")).status(), 403);
    client.expect_closed();
}

#[test]
fn origin_form_is_400_with_a_page_that_says_what_this_is() {
    let proxy = proxyd::forward().start();
    let raw = "GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n";
    let answer = client::exchange(proxy.address(), "GET", raw);
    assert_eq!(answer.status(), 400);
    assert!(answer.field("content-type").is_some_and(|kind| kind.starts_with("text/html")));
    assert!(answer.text().to_lowercase().contains("proxy"), "{}", answer.text());
    let raw = "GET / HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\r\n";
    let answer = client::exchange(proxy.address(), "GET", raw);
    assert_eq!(answer.field("content-type"), Some("application/problem+json"));
}

#[test]
fn bytes_sent_early_after_connect_are_kept() {
    let echo = Origin::echoing();
    let proxy = open_to(echo.address().port());
    let mut client = Client::connect(proxy.address());
    client.send(format!("{}early bytes", connect_head(echo.address())));
    assert_eq!(client.expect("CONNECT").status(), 200);
    assert_eq!(client.take(11), b"early bytes");
    client.send(" and late ones");
    assert_eq!(client.take(14), b" and late ones");
}

#[test]
fn after_a_refused_connect_nothing_is_parsed_as_a_request() {
    let origin = Origin::saying("never");
    let proxy = open_to(origin.address().port());
    let address = origin.address();
    let hidden = format!("GET http://{address}/hidden HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let mut client = Client::connect(proxy.address());
    client.send(format!("{}{hidden}", connect_head("127.0.0.1:25")));
    assert_eq!(client.expect("CONNECT").status(), 403);
    client.expect_closed();
    assert_eq!(origin.links(), 0);
}

#[test]
fn connect_is_answered_only_when_the_destination_stands() {
    // Nothing listens there.
    let port = proxyd_tests::ports::free().port();
    let proxy = open_to(port);
    let mut client = Client::connect(proxy.address());
    let answer = client.ask("CONNECT", connect_head(format!("127.0.0.1:{port}")));
    assert_eq!(answer.status(), 502);
    let why = answer.field("proxy-status").expect("Proxy-Status");
    assert!(why.contains("connection_refused"), "{why}");
    client.expect_closed();
}

#[test]
fn a_tunnel_half_closes_in_both_directions() {
    let echo = Origin::echoing();
    let proxy = open_to(echo.address().port());
    let mut client = tunnel(proxy.address(), echo.address());
    client.send("question");
    client.finish();
    // The echo ends its half only after ours ended, and still everything arrives.
    let (rest, closed) = client.rest();
    assert_eq!((rest.as_slice(), closed), (&b"question"[..], true));

    let gate = Gate::new();
    let inside = gate.clone();
    let script = Script::new().raw().on_accept(move |_| {
        vec![Act::send("greeting"), Act::Finish, Act::Until(inside.clone()), Act::AwaitEnd]
    });
    let origin = Origin::start(script);
    let proxy = open_to(origin.address().port());
    let mut client = tunnel(proxy.address(), origin.address());
    assert_eq!(client.take(8), b"greeting");
    // The other side has ended its half; ours goes on.
    client.send("still talking");
    origin.wait_received(0, "still talking");
    gate.open();
}

#[test]
fn a_tunnel_ends_when_either_side_is_gone() {
    let origin = Origin::start(Script::new().raw());
    let proxy = open_to(origin.address().port());
    let client = tunnel(proxy.address(), origin.address());
    client.reset();
    origin.wait_ended(0);

    let origin = Origin::start(Script::new().raw().on_accept(|_| vec![Act::Reset]));
    let proxy = open_to(origin.address().port());
    let mut client = Client::connect(proxy.address());
    client.send(connect_head(origin.address()));
    // The reset may come before or after the 200.
    let _ = client.answer("CONNECT");
    let (_, closed) = client.rest();
    assert!(closed);
}

#[test]
fn the_log_tells_how_a_tunnel_went() {
    let echo = Origin::echoing();
    let proxy = open_to(echo.address().port());
    let mut client = tunnel(proxy.address(), echo.address());
    client.send("hello");
    assert_eq!(client.take(5), b"hello");
    client.finish();
    client.expect_closed();
    waiting::until("a line about the tunnel", || {
        proxy.log().lines().any(|line| line.contains("CONNECT")).then_some(())
    });
}

#[test]
fn two_in_a_row_work() {
    // A client that asks the first for the second, and through that tunnel for the origin.
    let origin = Origin::saying("hello");
    let address = origin.address();
    let far = proxyd::forward().arg("--allow-private").start();
    let near = open_to(far.address().port());
    let mut client = tunnel(near.address(), far.address());
    let raw = format!("GET http://{address}/ HTTP/1.1\r\nHost: {address}\r\n\r\n");
    assert!(client.ask("GET", raw).field(MARK).is_some());

    // A gateway in front of a gateway: each adds its own Via and neither sees a loop.
    let back = proxyd::reverse(&origin.url()).start();
    let front = proxyd::reverse(&back.url()).start();
    assert_eq!(client::get(front.address(), "origin.test", "/").status(), 200);
    let via = origin.last().field("via").expect("Via").to_owned();
    let names: Vec<&str> = via.split(',').map(str::trim).collect();
    assert_eq!(names.len(), 2, "{via}");
    assert_ne!(names[0], names[1], "{via}");
}

#[test]
fn a_loop_is_508() {
    let (one, two) = (proxyd_tests::ports::free(), proxyd_tests::ports::free());
    let first = configured::gateway_at(one, &format!("http://{two}"), "", "").start();
    let _second = configured::gateway_at(two, &format!("http://{one}"), "", "").start();
    let answer = client::get(first.address(), "origin.test", "/");
    assert_eq!(answer.status(), 508);
    let all = answer.head.fields.all("proxy-status").join(", ");
    assert!(all.contains("proxy_loop_detected"), "{all}");
}

#[test]
fn own_listeners_are_unreachable() {
    let rest = "[forward]\nallow_private_destinations = true\nconnect_ports = [\"1-65535\"]\n";
    let proxy = configured::forward("", rest).start();
    for port in [proxy.address().port(), proxy.admin().port()] {
        for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"] {
            let at = format!("{host}:{port}");
            let raw = format!("GET http://{at}/livez HTTP/1.1\r\nHost: {at}\r\n\r\n");
            assert_eq!(client::exchange(proxy.address(), "GET", raw).status(), 403, "GET {at}");
            let answer = client::exchange(proxy.address(), "CONNECT", connect_head(&at));
            assert_eq!(answer.status(), 403, "CONNECT {at}");
        }
    }
}

#[test]
fn own_listeners_are_unreachable_on_every_local_address() {
    let port = proxyd_tests::ports::free().port();
    let at = SocketAddr::from(([127, 0, 0, 1], port));
    let config = format!(
        "[listeners.web]\naddress = \"0.0.0.0:{port}\"\nrole = \"forward\"\n\
         allow_clients = [\"127.0.0.0/8\"]\n[forward]\nallow_private_destinations = true\n"
    );
    let proxy = proxyd::run(at, &config).start();
    for host in ["127.0.0.1", "127.0.0.9", "127.255.255.254"] {
        let to = format!("{host}:{port}");
        let raw = format!("GET http://{to}/ HTTP/1.1\r\nHost: {to}\r\n\r\n");
        assert_eq!(client::exchange(proxy.address(), "GET", raw).status(), 403, "{to}");
    }
}
