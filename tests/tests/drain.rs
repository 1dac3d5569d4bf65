//! SIGTERM: readiness fails first, what is in flight finishes, then the program ends with 0.

use std::net::TcpStream;

use proxyd_tests::client::{self, Client};
use proxyd_tests::configured;
use proxyd_tests::origin::{Act, Origin, ok};
use proxyd_tests::proxyd::{self, Proxyd};
use proxyd_tests::waiting::{self, Gate};

const HOST: &str = "Host: origin.test\r\n";

/// An origin that answers `/wait` when the gate opens, and all else at once.
fn gated(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::answering(move |request, _| {
        let mut acts = Vec::new();
        if request.head.target == "/wait" {
            acts.push(Act::Until(gate.clone()));
        }
        acts.extend(ok(&request.head.target));
        acts
    })
}

fn readiness_fails(proxy: &Proxyd) {
    waiting::until("readiness fails", || {
        let mut client = TcpStream::connect(proxy.admin())
            .ok()
            .map(drop)
            .map(|()| Client::connect(proxy.admin()))?;
        client.send("GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n");
        (client.answer("GET").ok()?.status() == 503).then_some(())
    });
}

#[test]
fn what_is_in_flight_finishes_and_then_it_ends() {
    let gate = Gate::new();
    let origin = gated(&gate);
    let mut proxy = proxyd::reverse(&origin.url()).start();
    assert_eq!(proxy.ask_admin("/readyz").status(), 200);

    let mut idle = Client::connect(proxy.address());
    assert_eq!(idle.ask("GET", format!("GET /a HTTP/1.1\r\n{HOST}\r\n")).status(), 200);
    let mut busy = Client::connect(proxy.address());
    busy.send(format!("GET /wait HTTP/1.1\r\n{HOST}\r\n"));
    origin.wait_received(0, "GET /wait");

    proxy.sigterm();
    readiness_fails(&proxy);
    // Nothing was asked on it: it is closed.
    idle.expect_closed();
    // Whoever comes is refused, and does not wait for nobody.
    waiting::until("nobody listens", || TcpStream::connect(proxy.address()).is_err().then_some(()));
    assert!(proxy.is_running());
    gate.open();
    let answer = busy.expect("GET");
    assert_eq!((answer.status(), answer.text().as_str()), (200, "/wait"));
    assert!(answer.head.fields.lists("connection", "close"), "{answer:?}");
    busy.expect_closed();
    assert_eq!(proxy.wait_exit().code(), Some(0));
}

#[test]
fn new_connections_are_taken_while_it_is_a_lame_duck() {
    let gate = Gate::new();
    let origin = gated(&gate);
    let rest = "[server]\nlame_duck_interval = \"3s\"\n";
    let mut proxy = configured::gateway(&origin.url(), "", rest).start();
    proxy.sigterm();
    readiness_fails(&proxy);
    // Load balancers have not noticed yet; whom they send is served, and told to close.
    let answer = client::get(proxy.address(), "origin.test", "/a");
    assert_eq!(answer.status(), 200);
    assert!(answer.head.fields.lists("connection", "close"), "{answer:?}");
    assert_eq!(proxy.wait_exit().code(), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for second in ["TERM", "INT"] {
        let gate = Gate::new();
        let origin = gated(&gate);
        let mut proxy = proxyd::reverse(&origin.url()).start();
        let mut busy = Client::connect(proxy.address());
        busy.send(format!("GET /wait HTTP/1.1\r\n{HOST}\r\n"));
        origin.wait_received(0, "GET /wait");
        proxy.sigterm();
        readiness_fails(&proxy);
        assert!(proxy.is_running());
        proxy.signal(second);
        proxy.wait_exit();
        let (_, closed) = busy.rest();
        assert!(closed);
    }
}

#[test]
fn draining_has_an_end() {
    let gate = Gate::new();
    let origin = gated(&gate);
    let rest = "[server]\ndrain_timeout = \"500ms\"\n";
    let mut proxy = configured::gateway(&origin.url(), "", rest).start();
    let mut busy = Client::connect(proxy.address());
    busy.send(format!("GET /wait HTTP/1.1\r\n{HOST}\r\n"));
    origin.wait_received(0, "GET /wait");
    proxy.sigterm();
    assert_eq!(proxy.wait_exit().code(), Some(0));
}

#[test]
fn a_tunnel_goes_on_while_it_drains() {
    let echo = Origin::echoing();
    let at = echo.address();
    let mut proxy = proxyd::forward()
        .args(&["--allow-private", "--connect-port", &at.port().to_string()])
        .start();
    let mut client = Client::connect(proxy.address());
    let head = format!("CONNECT {at} HTTP/1.1\r\nHost: {at}\r\n\r\n");
    assert_eq!(client.ask("CONNECT", head).status(), 200);
    proxy.sigterm();
    readiness_fails(&proxy);
    client.send("still here");
    assert_eq!(client.take(10), b"still here");
    client.finish();
    client.expect_closed();
    assert_eq!(proxy.wait_exit().code(), Some(0));
}

#[test]
fn the_admin_listener_can_start_it_too() {
    let origin = Origin::saying("hello");
    let proxy = proxyd::reverse(&origin.url()).start();
    // Whoever asks without the token changes nothing.
    let raw = "POST /drain HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";
    let status = client::exchange(proxy.admin(), "POST", raw).status();
    assert!([401, 403].contains(&status), "{status}");
    assert_eq!(proxy.ask_admin("/readyz").status(), 200);
}
