//! What does not go on, because somebody says so.

use proxyd_tests::client::Client;
use proxyd_tests::operator::{self, RUNTIME};
use proxyd_tests::origin::{Act, Origin, ok};
use proxyd_tests::waiting::{self, Gate};
use proxyd_tests::{configured, ports};
use serde_json::{Value, json};

use super::HOST;

#[test]
fn a_tunnel_lives_on_until_its_host_is_blocked_and_severed() {
    let echo = Origin::echoing();
    let at = echo.address();
    let rest = format!(
        "[forward]\nconnect_ports = [{}]\nallow_private_destinations = true\n\
         [filter]\nblock_domains = [\"blocked.test\"]\n",
        at.port()
    );
    let proxy = configured::forward("", &rest).env(RUNTIME.0, RUNTIME.1).start();
    let open = |host: &str| {
        let mut client = Client::connect(proxy.address());
        let target = format!("{host}:{}", at.port());
        let head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
        (client.ask("CONNECT", head).status(), client)
    };
    let (status, mut tunnel) = open("localhost");
    assert_eq!(status, 200);
    let (status, mut other) = open("127.0.0.1");
    assert_eq!(status, 200);
    let speaks = |tunnel: &mut Client| {
        tunnel.send("still here");
        assert_eq!(tunnel.take(10), b"still here");
    };
    operator::edit(&proxy, "\"blocked.test\"", "\"blocked.test\", \"localhost\"");
    let done = operator::reload(&proxy);
    assert_eq!(done["severed"], Value::Null);
    speaks(&mut tunnel);
    assert_eq!(open("localhost").0, 403, "new ones are judged by the new rules");
    let answer = operator::post(&proxy, "/reload?sever=true", "");
    assert_eq!(operator::json(&answer)["severed"], json!(1), "{}", answer.text());
    tunnel.expect_closed();
    speaks(&mut other);
    waiting::until("the end in the log", || {
        proxy.log().lines().any(|line| line.contains("severed")).then_some(())
    });
}

/// A tunnel that was asked for before, and opens after.
#[test]
fn a_tunnel_that_is_being_opened_is_severed_too() {
    let gate = Gate::new();
    let opened = gate.clone();
    let parent = Origin::answering(move |_, _| {
        [Act::Until(opened.clone()), Act::send("HTTP/1.1 200 OK\r\n\r\n")].into()
    });
    let rest = format!(
        "[parents.corp]\nurl = \"{}\"\n[forward]\nparent = \"corp\"\n\
         [filter]\nblock_domains = [\"blocked.test\"]\n",
        parent.url()
    );
    let proxy = configured::forward("", &rest).env(RUNTIME.0, RUNTIME.1).start();
    let ask = |host: &str| {
        let mut client = Client::connect(proxy.address());
        client.send(format!("CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n"));
        client
    };
    let mut bad = ask("bad.test");
    parent.wait_received(0, "CONNECT bad.test:443");
    let mut good = ask("good.test");
    parent.wait_received(1, "CONNECT good.test:443");
    operator::edit(&proxy, "\"blocked.test\"", "\"blocked.test\", \"bad.test\"");
    let answer = operator::post(&proxy, "/reload?sever=true", "");
    assert_eq!(operator::json(&answer)["severed"], json!(0), "{}", answer.text());
    gate.open();
    assert_eq!(bad.expect("CONNECT").status(), 403);
    assert_eq!(good.expect("CONNECT").status(), 200);
}

#[test]
fn connections_are_closed_by_client_host_and_route() {
    let gate = Gate::new();
    let opened = gate.clone();
    let origin = Origin::answering(move |_, _| {
        let mut acts = vec![Act::Until(opened.clone())];
        acts.extend(ok("late"));
        acts
    });
    let echo = Origin::echoing();
    let at = echo.address();
    let rest = format!(
        "[upstreams.app]\nendpoints = [\"{}\"]\n[[routes]]\nname = \"slow\"\nupstream = \"app\"\n\
         [listeners.in]\naddress = \"WEB\"\nrole = \"gateway\"\n\
         [forward]\nconnect_ports = [{}]\nallow_private_destinations = true\n",
        origin.url(),
        at.port()
    );
    let web = ports::free();
    let proxy = configured::forward("", &rest.replace("WEB", &web.to_string()))
        .env(RUNTIME.0, RUNTIME.1)
        .start();
    let close = |selector: &str| -> Value {
        let answer = operator::post(&proxy, "/connections/close", selector);
        assert_eq!(answer.status(), 200, "{}", answer.text());
        operator::json(&answer)["closed"].clone()
    };
    let mut busy = Client::connect(web);
    busy.send(format!("GET / HTTP/1.1\r\n{HOST}\r\n"));
    origin.wait_received(0, "GET /");
    assert_eq!(close("{\"route\": \"fast\"}"), json!(0));
    assert_eq!(close("{\"route\": \"slow\"}"), json!(1));
    busy.expect_closed();

    let tunnel = || {
        let mut tunnel = Client::connect(proxy.address());
        let head = format!("CONNECT {at} HTTP/1.1\r\nHost: {at}\r\n\r\n");
        assert_eq!(tunnel.ask("CONNECT", head).status(), 200);
        tunnel
    };
    let mut closed = tunnel();
    assert_eq!(close("{\"host\": \"a.test\"}"), json!(0));
    assert_eq!(close("{\"host\": \"127.0.0.1\"}"), json!(1));
    closed.expect_closed();

    let mut closed = tunnel();
    assert_eq!(close("{\"client\": \"192.0.2.0/24\"}"), json!(0));
    assert!(close("{\"client\": \"127.0.0.1\"}").as_u64() >= Some(1));
    closed.expect_closed();
    let wrong = operator::post(&proxy, "/connections/close", "{\"host\": \"a\", \"route\": \"b\"}");
    assert_eq!(wrong.status(), 400);
    gate.open();
}
