//! What goes on, and what is kept.

use std::fs;
use std::io::Write as _;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use proxyd_tests::client::{self, Client};
use proxyd_tests::load::Load;
use proxyd_tests::operator::{self, RUNTIME};
use proxyd_tests::origin::{Act, Origin, ok};
use proxyd_tests::processes::descendants;
use proxyd_tests::proxyd;
use proxyd_tests::scratch::Scratch;
use proxyd_tests::waiting::{self, Gate};
use proxyd_tests::{configured, ports};

use super::{HOST, gateway, mark, set_mark};

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

#[test]
fn a_program_that_runs_goes_on() {
    let address = ports::free();
    let admin = ports::free();
    let folder = Scratch::new("pipe");
    let fifo = folder.join("fifo");
    let made = Command::new("mkfifo").arg(&fifo).status().expect("mkfifo");
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
