//! `direct = true`: who goes around parents that are not there, and who does not.

use std::net::SocketAddr;

use proxyd_tests::client::{self, Answer, Client};
use proxyd_tests::origin::Origin;
use proxyd_tests::pki::Pki;
use proxyd_tests::proxyd::Proxyd;
use proxyd_tests::scripted_parent::{parent, server};
use proxyd_tests::{client_hello, configured, ports, system_files, waiting};

/// A forward proxy with this parent. It finds `world.test` on this machine: loopback addresses as such
/// go around parents in any case, names do not.
fn proxy(parent: &str, forward: &str) -> Proxyd {
    let rest = format!(
        "[parents.corp]\n{parent}\n\n\
         [forward]\nparent = \"corp\"\nconnect_ports = [\"1-65535\"]\n{forward}\n"
    );
    let launch = configured::forward("", &rest);
    system_files::replaced(launch, "hosts", "127.0.0.1 localhost world.test\n").start()
}

const OPEN: &str = "allow_private_destinations = true";

/// Whether there can be a `world.test` here.
#[allow(clippy::print_stderr, reason = "whoever reads the output learns what was not tested")]
fn there_is_a_world() -> bool {
    let may = system_files::may_be_replaced();
    if !may {
        eprintln!("skipped: this user may not put names in the place of the system's");
    }
    may
}

fn get(proxy: &Proxyd, port: u16) -> Answer {
    let host = format!("world.test:{port}");
    let raw = format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n");
    client::exchange(proxy.address(), "GET", raw)
}

fn connect(proxy: &Proxyd, port: u16) -> (Client, Answer) {
    let mut client = Client::connect(proxy.address());
    let host = format!("world.test:{port}");
    let answer = client.ask("CONNECT", format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    (client, answer)
}

/// HTTP at these addresses, asked in this order, and `direct`.
fn around(parents: &[SocketAddr]) -> String {
    let urls: Vec<_> = parents.iter().map(|own| format!("\"http://{own}\"")).collect();
    format!("endpoints = [{}]\nbalance = \"first\"\ndirect = true", urls.join(", "))
}

#[test]
fn while_no_parent_is_there_destinations_are_reached_directly() {
    if !there_is_a_world() {
        return;
    }
    let world = Origin::saying("the world");
    let port = world.address().port();
    let gone = ports::free();
    let proxy = proxy(&around(&[gone, ports::free()]), OPEN);
    for _ in 0..3 {
        assert_eq!(get(&proxy, port).text(), "the world");
    }
    assert_eq!(world.last().line(), "GET /", "as an origin server is asked");

    let echoing = Origin::echoing();
    let (mut client, answer) = connect(&proxy, echoing.address().port());
    assert_eq!(answer.status(), 200);
    // What looks like TLS.
    let hello = client_hello::naming("world.test");
    assert!(client.send(&hello));
    assert_eq!(client.take(hello.len()), hello);
    let line =
        waiting::until("the line of the log", || proxy.log().lines().next().map(str::to_owned));
    assert!(line.contains(&format!("127.0.0.1:{port}")), "the way that was gone: {line}");
}

#[test]
fn the_guard_judges_who_goes_directly() {
    if !there_is_a_world() {
        return;
    }
    let world = Origin::saying("the world");
    let port = world.address().port();
    let proxy = proxy(&around(&[ports::free()]), "");
    assert_eq!(get(&proxy, port).status(), 403);
    assert_eq!(connect(&proxy, port).1.status(), 403);
    assert_eq!(world.links(), 0);
}

#[test]
fn a_parent_that_is_there_has_the_last_word() {
    if !there_is_a_world() {
        return;
    }
    let world = Origin::saying("the world");
    let port = world.address().port();
    let (refusing, asked) = parent("HTTP/1.1 403 No\r\n\r\n");
    let refused = proxy(&around(&[refusing]), OPEN);
    assert_eq!(connect(&refused, port).1.status(), 502);
    assert_eq!(asked.lock().expect("heard").len(), 1);

    // Whoever forges a certificate on the way does not choose the way.
    let (mine, other) = (Pki::new(), Pki::new());
    let pair = other.leaf(&["localhost"]);
    let listener = format!("[listeners.web.tls]\ncertificates = [{}]\n", pair.table());
    let forged = configured::forward(&listener, "").start();
    let keys = format!(
        "endpoints = [\"https://localhost:{}\"]\ndirect = true\ntls = {{ ca = \"{}\" }}",
        forged.address().port(),
        mine.ca().display()
    );
    let warned = proxy(&keys, OPEN);
    for answer in [get(&warned, port), connect(&warned, port).1] {
        assert_eq!(answer.status(), 502);
        let told = answer.field("proxy-status").unwrap_or_default();
        assert!(told.contains("error=tls_certificate_error"), "{told}");
    }
    assert_eq!(world.links(), 0);
}

/// What clients ask for may be why a parent says nothing: that opens no way around it.
#[test]
fn one_that_goes_away_or_is_silent_while_it_is_asked_is_there() {
    if !there_is_a_world() {
        return;
    }
    let world = Origin::saying("the world");
    let port = world.address().port();
    let (closing, _) = parent("");
    // Each connection stays open, and is never answered.
    let silent = server(|mut stream| drop(std::io::copy(&mut stream, &mut std::io::sink())));
    let soon = format!("{OPEN}\ntimeouts = {{ connect = \"1s\" }}");
    for (parents, due) in [(vec![closing], 502), (vec![silent], 504), (vec![closing, silent], 504)]
    {
        let proxy = proxy(&around(&parents), &soon);
        assert_eq!(connect(&proxy, port).1.status(), due, "{parents:?}");
        let answer = connect(&proxy, port).1;
        assert_eq!(answer.status(), due, "nor is it left alone afterwards: {answer:?}");
    }
    assert_eq!(world.links(), 0);
}
