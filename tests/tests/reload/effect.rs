//! When another configuration takes effect, and what of it: listeners and who orders it.

use std::fs;

use proxyd_tests::client::{self, Client};
use proxyd_tests::load::Load;
use proxyd_tests::operator::{self, RUNTIME};
use proxyd_tests::origin::Origin;
use proxyd_tests::waiting;
use proxyd_tests::{configured, ports};
use serde_json::{Value, json};

use super::{HOST, gateway, mark, set_mark};

#[test]
fn it_takes_effect_by_signal_and_by_order() {
    let origin = Origin::saying("hello");
    let proxy = gateway(&origin, "", "").start();
    assert_eq!(mark(&proxy), "1");
    set_mark(&proxy, "1", "2");
    assert_eq!(mark(&proxy), "1", "nobody has asked for it");
    proxy.signal("HUP");
    waiting::until("the new configuration", || (mark(&proxy) == "2").then_some(()));
    set_mark(&proxy, "2", "3");
    let done = operator::reload(&proxy);
    assert_eq!((&done["generation"], &done["dry_run"]), (&json!(3), &json!(false)));
    assert_eq!(mark(&proxy), "3");
    assert_eq!(operator::metric(&proxy, "proxy_config_generation"), 3.0);
    let applied = "proxy_config_reloads_total{outcome=\"applied\"}";
    assert_eq!(operator::metric(&proxy, applied), 2.0);
    assert!(proxy.ask_admin("/config").text().starts_with("# generation 3\n"));
}

#[test]
fn a_dry_run_says_what_would_change_and_changes_nothing() {
    let origin = Origin::saying("hello");
    let proxy = gateway(&origin, "", "").start();
    set_mark(&proxy, "1", "2");
    let extra = format!(
        "{}\n[upstreams.more]\nendpoints = [\"http://127.0.0.1:9\"]\n",
        operator::config(&proxy)
    );
    operator::configure(&proxy, &extra);
    for query in ["dry_run", "dry_run=true"] {
        let answer = operator::post(&proxy, &format!("/reload?{query}"), "");
        let said = operator::json(&answer);
        assert_eq!((answer.status(), &said["generation"]), (200, &json!(1)), "{said}");
        let changes = said["changes"].as_array().expect("a list");
        let what =
            |path: &str| changes.iter().find(|own| own["path"] == path).map(|own| &own["what"]);
        assert_eq!(what("upstreams.more"), Some(&json!("added")), "{said}");
        assert_eq!(
            what("routes[0].response_fields.set.x-generation"),
            Some(&json!("changed")),
            "{said}"
        );
    }
    assert_eq!(mark(&proxy), "1");
    let wrong = operator::post(&proxy, "/reload?dry_run=perhaps", "");
    assert_eq!(wrong.status(), 400);
}

#[test]
fn a_broken_one_changes_nothing_and_says_why() {
    let origin = Origin::saying("hello");
    let proxy = gateway(&origin, "", "").start();
    let good = operator::config(&proxy);
    // The line is counted from the top, as `check` does.
    let broken = good.replace("upstream = \"app\"", "upstream = \"ap\"");
    let line =
        1 + broken.lines().position(|line| line.starts_with("upstream =")).expect("it is there");
    operator::configure(&proxy, &broken.replace("x-generation = \"1\"", "x-generation = \"2\""));
    let answer = operator::post(&proxy, "/reload", "");
    let said = operator::json(&answer);
    assert_eq!((answer.status(), &said["generation"]), (422, &json!(1)), "{said}");
    let message = said["errors"][0]["message"].as_str().expect("a message");
    assert!(message.contains(&format!("proxyd.toml:{line}:")), "{message}");
    assert!(message.contains("did you mean `app`?"), "{message}");
    assert_eq!(said["errors"][0]["line"], json!(line));
    assert_eq!(mark(&proxy), "1");
    waiting::until("the reason in the log", || {
        proxy.stderr().contains("did you mean `app`?").then_some(())
    });
    assert_eq!(operator::metric(&proxy, "proxy_config_last_reload_successful"), 0.0);
    assert_eq!(operator::metric(&proxy, "proxy_config_reloads_total{outcome=\"refused\"}"), 1.0);
    let shown = proxy.ask_admin("/config").text();
    assert!(shown.contains("# the last reload was refused:\n"), "{shown}");
    operator::configure(&proxy, &good);
    operator::reload(&proxy);
    assert_eq!(operator::metric(&proxy, "proxy_config_last_reload_successful"), 1.0);
}

#[test]
fn what_needs_a_restart_is_named_and_nothing_else_takes_effect() {
    let origin = Origin::saying("hello");
    let proxy = gateway(&origin, "", "").start();
    set_mark(&proxy, "1", "2");
    let more = format!("{}\n[server]\nworkers = 3\n", operator::config(&proxy));
    operator::configure(&proxy, &more);
    let said = operator::json(&operator::post(&proxy, "/reload", ""));
    let error = &said["errors"][0];
    assert_eq!(error["path"], "server.workers", "{said}");
    assert!(error["message"].as_str().is_some_and(|own| own.contains("restart")), "{said}");
    assert_eq!(mark(&proxy), "1");
}

#[test]
fn whoever_has_no_token_orders_nothing() {
    let origin = Origin::saying("hello");
    let proxy = gateway(&origin, "", "").start();
    for path in ["/reload", "/connections/close"] {
        let raw = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(client::exchange(proxy.admin(), "POST", raw).status(), 401, "{path}");
    }
    assert_eq!(operator::metric(&proxy, "proxy_config_generation"), 1.0);
}

#[test]
fn listeners_come_move_and_go() {
    let origin = Origin::saying("hello");
    let proxy = gateway(&origin, "", "").start();
    let (first, second) = (proxy.address(), ports::free());
    let mut kept = Client::connect(first);
    assert_eq!(kept.ask("GET", format!("GET / HTTP/1.1\r\n{HOST}\r\n")).status(), 200);
    // It moves; who is connected is told to go with the next answer.
    operator::edit(&proxy, &format!("\"{first}\""), &format!("\"{second}\""));
    let done = operator::reload(&proxy);
    assert_eq!(done["listeners"]["opened"], json!([second.to_string()]), "{done}");
    assert_eq!(done["listeners"]["closed"], json!([first.to_string()]), "{done}");
    assert_eq!(client::get(second, "origin.test", "/").status(), 200);
    let answer = kept.ask("GET", format!("GET / HTTP/1.1\r\n{HOST}\r\n"));
    assert_eq!(answer.status(), 200);
    assert!(answer.head.fields.lists("connection", "close"), "{answer:?}");
    kept.expect_closed();
    waiting::until("nobody listens at the old address", || {
        std::net::TcpStream::connect(first).is_err().then_some(())
    });
    // Another name takes the address over, and the first one comes back.
    let config = operator::config(&proxy);
    let other = format!("[listeners.other]\naddress = \"{second}\"\nrole = \"gateway\"\n");
    let config = config.replace(&format!("\"{second}\""), &format!("\"{first}\""));
    operator::configure(&proxy, &format!("{config}\n{other}"));
    operator::reload(&proxy);
    for address in [first, second] {
        assert_eq!(client::get(address, "origin.test", "/").status(), 200, "{address}");
    }
    // An address that somebody else has: nothing changes.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().map(|at| (at, taken)).expect("an address");
    operator::edit(&proxy, &format!("\"{second}\""), &format!("\"{}\"", taken.0));
    set_mark(&proxy, "1", "2");
    let answer = operator::post(&proxy, "/reload", "");
    assert_eq!(answer.status(), 409, "{}", answer.text());
    assert!(answer.text().contains("cannot listen on"), "{}", answer.text());
    assert_eq!(client::get(second, "origin.test", "/").field("x-generation"), Some("1"));
}

/// A listener that changes from one address to all, and back, has the same port throughout.
#[test]
fn an_address_becomes_a_wider_one_and_a_narrower_one() {
    let origin = Origin::saying("hello");
    let proxy = gateway(&origin, "protocols = [\"h1\", \"h2\"]", "").start();
    let narrow = format!("address = \"{}\"\nrole", proxy.address());
    let wide = format!("address = \"0.0.0.0:{}\"\nrole", proxy.address().port());
    let load = Load::start(proxy.address(), 2, 2);
    for turn in 0..6 {
        load.wait_for(20);
        let (from, to) = if turn % 2 == 0 { (&narrow, &wide) } else { (&wide, &narrow) };
        operator::edit(&proxy, from, to);
        let done = operator::reload(&proxy);
        assert_eq!(done["listeners"]["opened"].as_array().map(Vec::len), Some(1), "{done}");
        let (near, far) = (proxy.address(), ([127, 0, 0, 2], proxy.address().port()).into());
        assert_eq!(client::get(near, "origin.test", "/").status(), 200);
        waiting::until("who is at another address of ours", || {
            (std::net::TcpStream::connect::<std::net::SocketAddr>(far).is_ok() == (turn % 2 == 0))
                .then_some(())
        });
    }
    load.wait_for(20);
    let seen = load.stop();
    assert_eq!(seen.failures, [""; 0], "{seen:?}");
}

#[test]
fn who_may_connect_is_another_question_for_the_same_connection() {
    let origin = Origin::saying("hello");
    let proxy = gateway(&origin, "allow_clients = [\"127.0.0.0/8\"]", "").start();
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.ask("GET", format!("GET / HTTP/1.1\r\n{HOST}\r\n")).status(), 200);
    operator::edit(
        &proxy,
        "allow_clients = [\"127.0.0.0/8\"]",
        "allow_clients = [\"192.0.2.0/24\"]",
    );
    operator::reload(&proxy);
    assert_eq!(client.ask("GET", format!("GET / HTTP/1.1\r\n{HOST}\r\n")).status(), 403);
}

#[test]
fn a_configuration_is_in_the_audit_trail() {
    let origin = Origin::saying("hello");
    let audit = "[log.audit]\npath = \"audit.jsonl\"\n";
    let proxy = configured::gateway(&origin.url(), "", &format!("\n{audit}"))
        .env(RUNTIME.0, RUNTIME.1)
        .start();
    operator::reload(&proxy);
    waiting::until("the record of a reload", || {
        let trail = fs::read_to_string(proxy.folder().join("audit.jsonl")).ok()?;
        let mut records = trail.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        records.any(|own| own["reason"] == "reload").then_some(())
    });
}
