//! What operators ask a running process: the view of `proxyd top`, the level of its own log, which
//! connections are open.

use proxyd_tests::client::{self, Answer, Client};
use proxyd_tests::origin::{Act, Origin, ok, response};
use proxyd_tests::proxyd::{Proxyd, run_to_end};
use proxyd_tests::waiting::Gate;
use proxyd_tests::{configured, waiting};
use serde_json::Value;

#[test]
fn top_shows_routes_and_upstreams() {
    let origin = Origin::saying("hello");
    let proxy = configured::gateway(&origin.url(), "", "").start();
    for _ in 0..3 {
        assert_eq!(client::get(proxy.address(), "a.test", "/").status(), 200);
    }
    let admin = proxy.admin().to_string();
    let shown =
        run_to_end(proxy.folder(), &["top", "--once", "--interval", "1", "--admin", &admin]);
    assert!(shown.code == Some(0), "{}", shown.stderr);
    let lines: Vec<&str> = shown.stdout.lines().collect();
    assert!(lines[0].starts_with("requests "), "{}", shown.stdout);
    let row = |name: &str| lines.iter().any(|line| line.starts_with(&format!("{name} ")));
    assert!(row("all") && row("app"), "{}", shown.stdout);
    assert!(!shown.stdout.contains('\x1b'), "no terminal, no control characters");
}

#[test]
fn top_says_whom_it_could_not_ask() {
    let folder = proxyd_tests::scratch::Scratch::new("top");
    let nobody = proxyd_tests::ports::free().to_string();
    let shown = run_to_end(folder.path(), &["top", "--once", "--admin", &nobody]);
    assert_eq!(shown.code, Some(1));
    assert!(shown.stderr.contains(&nobody), "{}", shown.stderr);
}

fn put_level(proxy: &Proxyd, token: &str, level: &str) -> Answer {
    let raw = format!(
        "PUT /log-level HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{level}",
        level.len()
    );
    client::exchange(proxy.admin(), "PUT", raw)
}

#[test]
fn the_level_of_the_log_is_changed_while_it_runs() {
    let origin = Origin::saying("hello");
    let proxy = configured::gateway(&origin.url(), "", "").env("RUNTIME_DIRECTORY", ".").start();
    assert_eq!(proxy.ask_admin("/log-level").text(), "{\"level\":\"info\"}");
    assert_eq!(put_level(&proxy, "wrong", "debug").status(), 401);
    let token = proxy.folder().join(format!("admin-{}.token", proxy.admin().port()));
    let token = std::fs::read_to_string(token).expect("the token");
    let token = token.trim();
    assert_eq!(put_level(&proxy, token, "debug").text(), "{\"level\":\"debug\"}");
    assert_eq!(proxy.ask_admin("/log-level").text(), "{\"level\":\"debug\"}");
    let wrong = put_level(&proxy, token, "proxyd=nonsense=x");
    assert_eq!(wrong.status(), 400, "{}", wrong.text());
    assert_eq!(put_level(&proxy, token, "{\"level\":\"warn\"}").status(), 200);
    assert_eq!(proxy.ask_admin("/log-level").text(), "{\"level\":\"warn\"}");
}

/// The open connections, less those of the test's own that are on their way out.
fn connections(proxy: &Proxyd, query: &str) -> Value {
    let answer = proxy.ask_admin(&format!("/connections{query}"));
    serde_json::from_slice(&answer.content).unwrap_or_else(|e| panic!("{e}: {}", answer.text()))
}

/// Waits for a listed connection that is so.
fn connection(proxy: &Proxyd, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    waiting::until(what, || {
        let listed = connections(proxy, "");
        listed["connections"].as_array().expect("a list").iter().find(|own| is(own)).cloned()
    })
}

#[test]
fn open_connections_are_listed_with_what_they_do() {
    let gate = Gate::new();
    let opened = gate.clone();
    let origin = Origin::answering(move |request, _| match request.head.target.as_str() {
        "/slow" => vec![Act::Until(opened.clone()), response("200 OK", &[], "done")],
        _ => ok("hello"),
    });
    let privacy = "[privacy]\nclient_address = \"truncate\"\n";
    let proxy =
        configured::gateway(&origin.url(), "protocols = [\"h1\", \"h2\"]\n", privacy).start();
    let mut idle = Client::connect(proxy.address());
    for _ in 0..2 {
        assert_eq!(idle.ask("GET", "GET / HTTP/1.1\r\nHost: one.test\r\n\r\n").status(), 200);
    }
    let own = connection(&proxy, "the idle one", |own| own["state"] == "idle");
    assert_eq!((&own["requests"], &own["under_way"]), (&2.into(), &0.into()), "{own}");
    assert_eq!((&own["host"], &own["route"]), (&"one.test".into(), &"all".into()), "{own}");
    assert_eq!((&own["listener"], &own["protocol"]), (&"web".into(), &"HTTP/1.1".into()), "{own}");
    assert_eq!(own["client"], "127.0.0.0", "as [privacy] says");
    assert!(own["received_bytes"].as_u64() >= Some(60) && own["sent_bytes"].as_u64() >= Some(60));
    assert!(own["age_ms"].is_u64() && own.get("tunnel").is_none(), "{own}");

    let mut busy = Client::connect(proxy.address());
    busy.send("GET /slow HTTP/1.1\r\nHost: two.test:80\r\n\r\n");
    let due = |own: &Value| own["state"] == "active" && own["host"] == "two.test:80";
    let own = connection(&proxy, "the busy one", due);
    assert_eq!(own["under_way"], 1, "{own}");

    // It has said nothing, and may yet begin HTTP/2.
    let _silent = Client::connect(proxy.address());
    connection(&proxy, "the silent one", |own| own["state"] == "opening");

    // A page at a time, in the order in which they came.
    let (mut ids, mut after) = (Vec::new(), 0);
    while let Some(id) = {
        let page = connections(&proxy, &format!("?limit=1&after={after}"));
        assert_eq!(page["connections"].as_array().map(Vec::len), Some(1), "{page}");
        ids.extend(page["connections"][0]["id"].as_u64());
        page["next"].as_u64()
    } {
        after = id;
    }
    assert!(ids.len() >= 3 && ids.is_sorted(), "{ids:?}");
    gate.open();
    assert_eq!(busy.expect("GET").text(), "done");
    drop((idle, busy));
    waiting::until("those that are gone are not listed", || {
        let hosts = connections(&proxy, "")["connections"].as_array().expect("a list").clone();
        hosts.iter().all(|own| own.get("host").is_none()).then_some(())
    });
}

#[test]
fn tunnels_are_listed_each_for_itself() {
    let origin = Origin::echoing();
    let port = origin.address().port();
    let keys = format!("[forward]\nallow_private_destinations = true\nconnect_ports = [{port}]\n");
    let proxy = configured::forward("protocols = [\"h1\", \"h2\"]\n", &keys).start();
    let target = format!("127.0.0.1:{port}");
    let mut client = Client::connect(proxy.address());
    client.send(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"));
    assert_eq!(client.head().expect("a head").status, 200);
    client.send("hello");
    assert_eq!(client.take(5), b"hello");
    let own = connection(&proxy, "the tunnel", |own| own["tunnel"]["received_bytes"] == 5);
    assert_eq!((&own["state"], &own["host"]), (&"tunnel".into(), &target.as_str().into()), "{own}");
    assert_eq!(own["tunnel"]["sent_bytes"], 5, "{own}");
    assert_eq!(own["tunnel"]["exchange"].as_str().map(str::len), Some(32), "{own}");
    client.finish();
    client.expect_closed();
    waiting::until("its end", || {
        let all = connections(&proxy, "")["connections"].as_array().expect("a list").clone();
        all.iter().all(|own| own["state"] != "tunnel").then_some(())
    });
}
