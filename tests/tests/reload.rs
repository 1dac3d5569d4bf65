//! Reload: another configuration takes effect while the proxy serves, all of it or nothing.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicUsize, Ordering};

use proxyd_tests::client::{self, Client};
use proxyd_tests::load::Load;
use proxyd_tests::operator::{self, RUNTIME};
use proxyd_tests::origin::{Act, Origin, ok};
use proxyd_tests::processes::descendants;
use proxyd_tests::proxyd::{self, Launch, Proxyd};
use proxyd_tests::silent_file::SilentFile;
use proxyd_tests::waiting::{self, Gate};
use proxyd_tests::{configured, ports};
use serde_json::{Value, json};

const HOST: &str = "Host: origin.test\r\n";

/// A gateway in front of this origin, which tells by which generation it answers.
fn gateway(origin: &Origin, listener: &str, rest: &str) -> Launch {
    let marked = format!("{rest}\n[routes.response_fields]\nset = {{ x-generation = \"1\" }}\n");
    configured::gateway(&origin.url(), listener, &marked).env(RUNTIME.0, RUNTIME.1)
}

/// What the configuration in effect puts into its answers.
fn mark(proxy: &Proxyd) -> String {
    let answer = client::get(proxy.address(), "origin.test", "/");
    assert_eq!(answer.status(), 200, "{answer:?}");
    answer.field("x-generation").expect("a mark").to_owned()
}

fn set_mark(proxy: &Proxyd, from: &str, to: &str) {
    let line = |mark: &str| format!("x-generation = \"{mark}\"");
    operator::edit(proxy, &line(from), &line(to));
}

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
fn no_request_fails_while_it_reloads_again_and_again() {
    let origin = Origin::saying("hello");
    let proxy = gateway(&origin, "protocols = [\"h1\", \"h2\"]", "").start();
    let load = Load::start(proxy.address(), 3, 3);
    let mut was = "1".to_owned();
    for turn in 2..22 {
        load.wait_for(20);
        let now = turn.to_string();
        set_mark(&proxy, &was, &now);
        operator::reload(&proxy);
        was = now;
    }
    load.wait_for(20);
    let seen = load.stop();
    assert_eq!(seen.failures, [""; 0], "{seen:?}");
    assert_eq!(seen.connections, 6, "no connection was closed: {seen:?}");
    assert_eq!(mark(&proxy), "21");
    // What was defined as before was kept: the origin sees the connections it had.
    assert!(origin.links() <= 16, "{} connections upstream", origin.links());
}

#[test]
fn what_is_under_way_goes_on_in_what_it_began_with() {
    let gate = Gate::new();
    let opened = gate.clone();
    let origin = Origin::answering(move |request, _| {
        let mut acts = Vec::new();
        if request.head.target == "/wait" {
            acts.push(Act::Until(opened.clone()));
        }
        acts.extend(ok(&request.head.target));
        acts
    });
    let proxy = gateway(&origin, "", "").start();
    let mut busy = Client::connect(proxy.address());
    busy.send(format!("GET /wait HTTP/1.1\r\n{HOST}\r\n"));
    origin.wait_received(0, "GET /wait");
    set_mark(&proxy, "1", "2");
    operator::reload(&proxy);
    gate.open();
    let answer = busy.expect("GET");
    assert_eq!((answer.status(), answer.field("x-generation")), (200, Some("1")), "{answer:?}");
    // The same connection, the next request.
    let answer = busy.ask("GET", format!("GET /next HTTP/1.1\r\n{HOST}\r\n"));
    assert_eq!(answer.field("x-generation"), Some("2"), "{answer:?}");
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
fn a_token_that_was_made_stays_whatever_else_of_the_listener_changes() {
    let origin = Origin::saying("hello");
    let proxy = gateway(&origin, "", "").start();
    let token =
        |port: u16| fs::read_to_string(proxy.folder().join(format!("admin-{port}.token"))).ok();
    let first = token(proxy.admin().port());
    let moved = ports::free();
    // Nothing that fails has written anything.
    let good = operator::config(&proxy);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().map(|at| (at, taken)).expect("an address");
    let elsewhere = good.replace(&proxy.admin().to_string(), &moved.to_string());
    let bad = elsewhere.replace(&proxy.address().to_string(), &taken.0.to_string());
    operator::configure(&proxy, &bad);
    assert_eq!(operator::post(&proxy, "/reload", "").status(), 409);
    assert_eq!((token(proxy.admin().port()), token(moved.port())), (first.clone(), None));
    let hosts = format!("address = \"{}\"\nhosts = [\"admin.test\"]", proxy.admin());
    operator::configure(&proxy, &good.replace(&format!("address = \"{}\"", proxy.admin()), &hosts));
    operator::reload(&proxy);
    assert_eq!(token(proxy.admin().port()), first);
    assert_eq!(client::get(proxy.admin(), "admin.test", "/livez").status(), 200);
    operator::configure(&proxy, &elsewhere);
    operator::reload(&proxy);
    assert_eq!(token(moved.port()), first);
    assert_eq!(client::get(moved, "localhost", "/livez").status(), 200);
}

/// A pipe in the place of a list, as a folder of a network that is gone.
#[test]
fn files_that_do_not_answer_keep_nobody_waiting() {
    let origin = Origin::saying("hello");
    let mut proxy = gateway(&origin, "", "").start();
    let pipe = SilentFile::make(proxy.folder(), "pipe");
    let more = "\n[filter]\nblock_domains = [\"@pipe\"]\n";
    operator::configure(&proxy, &format!("{}{more}", operator::config(&proxy)));
    proxy.signal("HUP");
    let _asked = pipe.is_read();
    assert_eq!(mark(&proxy), "1");
    proxy.signal("USR1");
    proxy.sigterm();
    assert_eq!(proxy.wait_exit().code(), Some(0));
}

/// Logs may be put away while a reload has opened them already and is not done.
#[test]
fn logs_that_a_reload_has_opened_are_opened_again_with_the_others() {
    let origin = Origin::saying("hello");
    let proxy = gateway(&origin, "", "").start();
    // A pipe is opened once somebody reads it: until then the reload waits, with the first log open.
    let _pipe = SilentFile::make(proxy.folder(), "pipe");
    let logs = "path = \"new.log\"\n\n[log.more.pipe]\npath = \"pipe\"\n";
    operator::edit(&proxy, "path = \"access.log\"\n", logs);
    proxy.signal("HUP");
    let at = |name: &str| proxy.folder().join(name);
    let is_there = |name: &str| at(name).exists().then_some(());
    waiting::until("a log of the reload", || is_there("new.log"));
    for name in ["access.log", "new.log"] {
        fs::rename(at(name), at(&format!("{name}.1"))).expect("renamed");
    }
    proxy.signal("USR1");
    waiting::until("the log in use, once more", || is_there("access.log"));
    let _lines = fs::File::open(at("pipe")).expect("the reload writes there");
    waiting::until("the log of the reload, once more", || is_there("new.log"));
    assert_eq!(mark(&proxy), "1");
    let lines = |name: &str| fs::read_to_string(at(name)).unwrap_or_default();
    waiting::until("the line", || lines("new.log").contains("origin.test").then_some(()));
    assert_eq!(lines("new.log.1"), "");
}

/// The same of one that is watched.
#[test]
fn a_list_that_does_not_answer_any_more_keeps_nobody_from_ending() {
    let origin = Origin::saying("hello");
    let rest = "[filter]\nblock_domains = [\"@list\"]\n";
    let launch = configured::gateway(&origin.url(), "", rest).env(RUNTIME.0, RUNTIME.1);
    let mut proxy = launch.file("list", "a.test\n").start();
    let list = SilentFile::make(proxy.folder(), "pipe").in_place_of("list");
    let _asked = list.is_read();
    assert_eq!(client::get(proxy.address(), "a.test", "/").status(), 403);
    proxy.sigterm();
    assert_eq!(proxy.wait_exit().code(), Some(0));
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
fn stored_responses_and_counts_of_limits_survive() {
    let count = AtomicUsize::new(0);
    let origin = Origin::answering(move |_, _| {
        let content = format!("answer {}", count.fetch_add(1, Ordering::Relaxed));
        [Act::send(format!(
            "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: {}\r\n\r\n{content}",
            content.len()
        ))]
        .into()
    });
    let limits = "cache = true\n[[filter.rate_limits]]\nid = \"few\"\nrate = \"1/h\"\nburst = 3\n";
    let proxy = {
        let rest = format!("response_fields = {{ set = {{ x-generation = \"1\" }} }}\n{limits}");
        configured::gateway(&origin.url(), "", &rest).env(RUNTIME.0, RUNTIME.1).start()
    };
    let get = |path: &str| client::get(proxy.address(), "origin.test", path);
    let first = get("/").text();
    set_mark(&proxy, "1", "2");
    operator::reload(&proxy);
    let second = get("/");
    assert_eq!((second.text(), second.field("x-generation")), (first, Some("2")));
    assert_eq!(origin.requests().len(), 1);
    assert_eq!([get("/").status(), get("/").status()], [200, 429], "three of an hour");
    // A limit that says something else begins anew.
    operator::edit(&proxy, "burst = 3", "burst = 2");
    operator::reload(&proxy);
    assert_eq!([get("/"), get("/"), get("/")].map(|answer| answer.status()), [200, 200, 429]);
}

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

#[test]
fn a_program_that_runs_goes_on() {
    let address = ports::free();
    let admin = ports::free();
    let folder = proxyd_tests::scratch::Scratch::new("pipe");
    let fifo = folder.join("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status().expect("mkfifo");
    assert!(made.success());
    let config = format!(
        "[admin]\naddress = \"{admin}\"\n[listeners.web]\naddress = \"{address}\"\nrole = \"gateway\"\n\
         [[routes]]\nname = \"run\"\n[routes.exec]\nprogram = \"cat\"\nargs = [\"{}\"]\n\
         [routes.response_fields]\nset = {{ x-generation = \"1\" }}\n",
        fifo.display()
    );
    let proxy = proxyd::run(address, &config).admin(admin).env(RUNTIME.0, RUNTIME.1).start();
    let mut client = Client::connect(address);
    client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    waiting::until("the program runs", || {
        descendants(proxy.id()).iter().any(|own| own.name == "cat").then_some(())
    });
    let mut pipe = fs::OpenOptions::new().write(true).open(&fifo).expect("the program reads");
    pipe.write_all(b"before ").expect("written");
    for turn in 1..4 {
        set_mark(&proxy, &turn.to_string(), &(turn + 1).to_string());
        operator::reload(&proxy);
    }
    pipe.write_all(b"and after").expect("written");
    drop(pipe);
    let answer = client.expect("GET");
    assert_eq!((answer.status(), answer.text().as_str()), (200, "before and after"), "{answer:?}");
    assert_eq!(answer.field("x-generation"), Some("1"));
}

#[test]
fn a_list_that_collapses_keeps_its_last_good_version() {
    let origin = Origin::saying("hello");
    let rest = "[filter]\nblock_domains = [\"@list\"]\n";
    let launch = configured::gateway(&origin.url(), "", rest).env(RUNTIME.0, RUNTIME.1);
    let proxy = launch.file("list", "a.test\nb.test\nc.test\nd.test\n").start();
    let blocked = |host: &str| client::get(proxy.address(), host, "/").status() == 403;
    assert!(blocked("a.test"));
    fs::write(proxy.folder().join("list"), "").expect("written");
    let done = operator::reload(&proxy);
    let warnings = done["warnings"].to_string();
    assert!(warnings.contains("the last good one stays"), "{done}");
    assert!(blocked("a.test"));
    fs::write(proxy.folder().join("list"), "b.test\nc.test\nd.test\n").expect("written");
    operator::reload(&proxy);
    assert!(!blocked("a.test") && blocked("b.test"));
}

#[test]
fn the_files_are_watched_where_that_is_asked_for() {
    let origin = Origin::saying("hello");
    let proxy = gateway(&origin, "", "[server]\nwatch = true\n").start();
    assert_eq!(mark(&proxy), "1");
    set_mark(&proxy, "1", "2");
    waiting::until("the change is found", || (mark(&proxy) == "2").then_some(()));
    // And again, by what watches now.
    set_mark(&proxy, "2", "3");
    waiting::until("the change is found", || (mark(&proxy) == "3").then_some(()));
}

#[test]
fn a_link_that_is_swapped_is_a_change() {
    // As Kubernetes mounts a ConfigMap: files are links through a link that is replaced.
    let (address, admin) = (ports::free(), ports::free());
    let config = |mark: &str| {
        format!(
            "[admin]\naddress = \"{admin}\"\n[server]\nwatch = true\n\
             [listeners.web]\naddress = \"{address}\"\nrole = \"gateway\"\n\
             [[routes]]\nname = \"all\"\nrespond = {{ status = 200, body = \"\" }}\n\
             [routes.response_fields]\nset = {{ x-generation = \"{mark}\" }}\n"
        )
    };
    let launch = proxyd::run_file(address, "mount/proxyd.toml").admin(admin);
    let mount = launch.folder().join("mount");
    let version = |name: &str, mark: &str| {
        fs::create_dir_all(mount.join(name)).expect("a folder");
        fs::write(mount.join(name).join("proxyd.toml"), config(mark)).expect("written");
        symlink(name, mount.join("..new")).expect("a link");
        fs::rename(mount.join("..new"), mount.join("..data")).expect("swapped");
    };
    version("..first", "1");
    symlink("..data/proxyd.toml", mount.join("proxyd.toml")).expect("a link");
    let proxy = launch.env(RUNTIME.0, RUNTIME.1).start();
    assert_eq!(mark(&proxy), "1");
    version("..second", "2");
    waiting::until("the change is found", || (mark(&proxy) == "2").then_some(()));
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
