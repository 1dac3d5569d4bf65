//! Faults at every phase: the client leaves, the upstream leaves, and nobody else pays for it.

use std::io::{ErrorKind, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use proxyd_tests::client::{self, Client, Ending, NoAnswer};
use proxyd_tests::configured;
use proxyd_tests::name_server::NameServer;
use proxyd_tests::origin::{Act, MARK, Origin, Script, ok, response};
use proxyd_tests::proxyd::{self, Proxyd};
use proxyd_tests::waiting::{self, Gate};

const HOST: &str = "Host: origin.test\r\n";

fn before(origin: &Origin) -> Proxyd {
    proxyd::reverse(&origin.url()).start()
}

/// An origin that never answers.
fn silent() -> Origin {
    Origin::answering(|_, _| vec![Act::AwaitEnd])
}

fn still_serves(proxy: &Proxyd, path: &str) {
    let answer = client::get(proxy.address(), "origin.test", path);
    assert_eq!((answer.status(), answer.text().as_str()), (200, path));
}

#[test]
fn a_client_that_leaves_cancels_the_upstream_request() {
    for how in ["close", "reset"] {
        let origin = silent();
        let proxy = before(&origin);
        let mut client = Client::connect(proxy.address());
        client.send(format!("GET /wait HTTP/1.1\r\n{HOST}\r\n"));
        origin.wait_received(0, "GET /wait");
        if how == "reset" {
            client.reset();
        } else {
            drop(client);
        }
        origin.wait_ended(0);
    }
}

/// The name is not known yet, and nobody waits for it any more.
#[test]
#[allow(clippy::print_stderr, reason = "whoever reads the output learns what was not tested")]
fn a_client_that_leaves_while_a_name_is_resolved_is_in_the_log() {
    let Some(names) = NameServer::silent() else {
        eprintln!("skipped: this user may not put a name server in the place of the system's");
        return;
    };
    let proxy = names.for_all_of(proxyd::forward()).start();
    for (method, host) in [("GET", "slow.example.net"), ("CONNECT", "other.example.net")] {
        let mut client = Client::connect(proxy.address());
        let target = match method {
            "GET" => format!("http://{host}/"),
            _ => format!("{host}:443"),
        };
        client.send(format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        names.wait_asked(host);
        drop(client);
        let line = waiting::until("the line", || {
            proxy.log().lines().find(|line| line.contains(host)).map(str::to_owned)
        });
        assert!(line.contains("\"termination\":\"CN\""), "{line}");
    }
    // Who asks for something else is served meanwhile.
    let origin = Origin::saying("hello");
    let answer = client::get(proxy.address(), &origin.address().to_string(), &origin.url());
    assert_eq!(answer.status(), 403, "a private address: {answer:?}");
}

#[test]
fn a_client_that_leaves_while_pipelined_bytes_wait_cancels_too() {
    let origin = silent();
    let proxy = before(&origin);
    let mut client = Client::connect(proxy.address());
    let request = format!("GET /wait HTTP/1.1\r\n{HOST}\r\n");
    client.send(request.repeat(50));
    origin.wait_received(0, "GET /wait");
    client.reset();
    origin.wait_ended(0);
    assert_eq!(origin.lines(), ["GET /wait"], "the rest had nobody to answer to");
}

#[test]
fn a_client_that_ends_its_half_while_pipelined_bytes_wait_cancels_too() {
    let origin = silent();
    let proxy = before(&origin);
    let mut client = Client::connect(proxy.address());
    let request = format!("GET /wait HTTP/1.1\r\n{HOST}\r\n");
    client.send(request.repeat(50));
    origin.wait_received(0, "GET /wait");
    client.finish();
    origin.wait_ended(0);
}

/// More than is read ahead: what waits in the socket must not hide the end behind it.
#[test]
fn a_client_that_leaves_behind_more_than_is_read_ahead_cancels_too() {
    for how in ["finish", "reset"] {
        let origin = silent();
        let proxy = before(&origin);
        let mut client = Client::connect(proxy.address());
        let request = format!("GET /wait HTTP/1.1\r\n{HOST}\r\n");
        client.send(&request);
        origin.wait_received(0, "GET /wait");
        client.send(request.repeat(100 * 1024 / request.len()));
        if how == "reset" {
            client.reset();
        } else {
            client.finish();
        }
        origin.wait_ended(0);
        assert_eq!(origin.lines(), ["GET /wait"], "{how}");
    }
}

/// Requests that the proxy is about.
fn active(proxy: &Proxyd) -> usize {
    let metrics = proxy.ask_admin("/metrics").text();
    let name = "http_server_active_requests";
    let counts = metrics.lines().filter(|line| line.starts_with(name));
    counts.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok()).sum()
}

/// An upload is held back while its origin takes nothing.
#[test]
fn a_client_that_leaves_while_its_upload_is_held_back_cancels_too() {
    let deaf = TcpListener::bind("127.0.0.1:0").expect("a port");
    let to = format!("http://{}", deaf.local_addr().expect("its address"));
    let proxy = proxyd::reverse(&to).start();
    let mut client = TcpStream::connect(proxy.address()).expect("connected");
    let head = format!("POST / HTTP/1.1\r\n{HOST}Content-Length: 1000000000\r\n\r\n");
    client.write_all(head.as_bytes()).expect("room");
    let _link = deaf.accept().expect("a connection that nobody reads");
    client.set_nonblocking(true).expect("set");
    let piece = [b'x'; 64 * 1024];
    // Until nothing has gone for a while: every buffer on the way is full.
    let mut full = 0;
    while full < 20 {
        match client.write(&piece) {
            Ok(_) => full = 0,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                full += 1;
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(error) => panic!("{error}"),
        }
    }
    waiting::until("the upload is under way", || (active(&proxy) == 1).then_some(()));
    socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).expect("set");
    drop(client);
    waiting::until("the request is over", || (active(&proxy) == 0).then_some(()));
}

#[test]
fn half_close_on_a_listener_serves_a_client_that_ended_its_half() {
    let gate = Gate::new();
    let inside = gate.clone();
    let origin = Origin::answering(move |request, _| {
        let mut acts = vec![Act::Until(inside.clone())];
        acts.extend(ok(&request.head.target));
        acts
    });
    let proxy = configured::gateway(&origin.url(), "half_close = true", "").start();
    let mut client = Client::connect(proxy.address());
    client.send(format!("GET /wait HTTP/1.1\r\n{HOST}\r\n"));
    origin.wait_received(0, "GET /wait");
    client.finish();
    gate.open();
    assert_eq!(client.expect("GET").text(), "/wait");
    client.expect_closed();
}

#[test]
fn a_client_that_leaves_inside_an_upload_leaves_no_complete_message() {
    for framing in ["Content-Length: 100", "Transfer-Encoding: chunked"] {
        let origin = Origin::saying("never");
        let proxy = before(&origin);
        let mut client = Client::connect(proxy.address());
        client.send(format!("POST / HTTP/1.1\r\n{HOST}{framing}\r\n\r\n5\r\nhello\r\n"));
        origin.wait_received(0, "hello");
        client.reset();
        origin.wait_ended(0);
        assert!(origin.lines().is_empty(), "{framing}: {:?}", origin.lines());
    }
}

#[test]
fn a_client_that_leaves_inside_a_download_ends_the_upstream_connection() {
    let origin = Origin::answering(|_, _| {
        let mut acts = vec![Act::send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")];
        let chunk = format!("{:x}\r\n{}\r\n", 65_536, "x".repeat(65_536));
        acts.extend((0..2000).map(|_| Act::send(&chunk)));
        acts
    });
    let proxy = before(&origin);
    let mut client = Client::connect(proxy.address());
    client.send(format!("GET / HTTP/1.1\r\n{HOST}\r\n"));
    assert_eq!(client.head().expect("a head").status, 200);
    assert_eq!(client.take(100_000).len(), 100_000);
    client.reset();
    origin.wait_ended(0);
}

/// An origin whose first connection answers `/warm` and is then closed or reset under the next
/// request; all others serve.
fn dies_when_reused(end: Act) -> Origin {
    Origin::answering(move |request, turn| {
        if turn.link == 0 && turn.nth > 0 {
            return vec![end.clone()];
        }
        ok(&request.head.target)
    })
}

#[test]
fn a_pooled_connection_that_dies_under_a_get_is_retried_once() {
    for end in [Act::Close, Act::Reset] {
        let origin = dies_when_reused(end);
        let proxy = before(&origin);
        still_serves(&proxy, "/warm");
        still_serves(&proxy, "/again");
        assert_eq!(origin.lines(), ["GET /warm", "GET /again", "GET /again"]);
    }
}

#[test]
fn a_post_that_was_sent_is_never_sent_twice() {
    for end in [Act::Close, Act::Reset] {
        let origin = dies_when_reused(end);
        let proxy = before(&origin);
        still_serves(&proxy, "/warm");
        let raw = format!("POST /once HTTP/1.1\r\n{HOST}Content-Length: 2\r\n\r\nhi");
        assert_eq!(client::exchange(proxy.address(), "POST", raw).status(), 502);
        assert_eq!(origin.lines(), ["GET /warm", "POST /once"]);
        still_serves(&proxy, "/after");
    }
}

#[test]
fn a_get_is_not_retried_on_a_fresh_connection_nor_without_end() {
    let origin = Origin::answering(|_, _| vec![Act::Close]);
    let proxy = before(&origin);
    let answer = client::get(proxy.address(), "origin.test", "/a");
    assert_eq!(answer.status(), 502);
    assert!(answer.field("proxy-status").is_some());
    assert!(origin.lines().len() <= 2, "{:?}", origin.lines());
}

#[test]
fn a_pooled_connection_that_was_closed_while_idle_costs_nothing() {
    let gate = Gate::new();
    let inside = gate.clone();
    let origin = Origin::answering(move |request, turn| {
        let mut acts = ok(&request.head.target);
        if turn.link == 0 {
            acts.extend([Act::Until(inside.clone()), Act::Finish, Act::AwaitEnd]);
        }
        acts
    });
    let proxy = before(&origin);
    still_serves(&proxy, "/warm");
    gate.open();
    // The origin has ended its half; the proxy must notice and close the connection.
    origin.wait_ended(0);
    let raw = format!("POST /b HTTP/1.1\r\n{HOST}Content-Length: 2\r\n\r\nhi");
    assert_eq!(client::exchange(proxy.address(), "POST", raw).text(), "/b");
}

#[test]
fn an_upstream_that_dies_inside_its_answer_never_gives_a_whole_one() {
    let heads = [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ];
    for raw in heads {
        for end in [Act::Close, Act::Reset] {
            let gate = Gate::new();
            let inside = gate.clone();
            let origin = Origin::answering(move |request, _| {
                if request.head.target != "/cut" {
                    return ok(&request.head.target);
                }
                vec![Act::send(raw), Act::Until(inside.clone()), end.clone()]
            });
            let proxy = before(&origin);
            let mut client = Client::connect(proxy.address());
            client.send(format!("GET /cut HTTP/1.1\r\n{HOST}\r\n"));
            let head = client.head().expect("a head");
            assert_eq!(head.status, 200);
            // The client has the head: the fault comes after it.
            gate.open();
            let framing = proxyd_tests::wire::response_framing("GET", &head).expect("a valid head");
            let (content, _, ending) = client.content(framing).expect("content");
            assert_eq!((content.as_slice(), ending), (&b"hello"[..], Ending::Truncated));
            still_serves(&proxy, "/after");
        }
    }
}

#[test]
fn an_upstream_that_dies_inside_an_upload_is_502() {
    let script = Script::new()
        .on_head(|head, _| if head.target == "/die" { vec![Act::Reset] } else { Vec::new() });
    let origin = Origin::start(script);
    let proxy = before(&origin);
    let mut client = Client::connect(proxy.address());
    client.send(format!("POST /die HTTP/1.1\r\n{HOST}Content-Length: 100000000\r\n\r\nhello"));
    let answer = client.expect("POST");
    assert_eq!(answer.status(), 502);
    assert!(answer.field(MARK).is_none());
    client.expect_closed();
}

#[test]
fn an_answer_before_the_end_of_an_upload_is_relayed() {
    let script = Script::new()
        .on_head(|_, _| vec![response("403 Forbidden", &[("Connection", "close")], "early")])
        .on_request(|_, _| Vec::new());
    let origin = Origin::start(script);
    let proxy = before(&origin);
    let mut client = Client::connect(proxy.address());
    client.send(format!("POST / HTTP/1.1\r\n{HOST}Content-Length: 100000\r\n\r\nhello"));
    let answer = client.expect("POST");
    assert_eq!((answer.status(), answer.text().as_str()), (403, "early"));
}

#[test]
fn an_upstream_that_refuses_or_is_gone_is_502() {
    let proxy = proxyd::reverse(&format!("http://{}", proxyd_tests::ports::free())).start();
    let answer = client::get(proxy.address(), "origin.test", "/");
    assert_eq!(answer.status(), 502);
    let why = answer.field("proxy-status").expect("Proxy-Status");
    assert!(why.contains("connection_refused"), "{why}");
}

#[test]
fn an_upstream_that_answers_to_nobody_is_not_trusted_with_the_next_client() {
    // It says something before anybody asked.
    let evil = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nHIDDEN";
    let answered = Gate::new();
    let inside = answered.clone();
    let script = Script::new()
        .on_accept(move |link| if link == 0 { vec![Act::send(evil)] } else { Vec::new() })
        .on_request(move |request, _| {
            let mut acts = ok(&request.head.target);
            acts.push(Act::Open(inside.clone()));
            acts
        });
    let origin = Origin::start(script);
    let proxy = before(&origin);
    let first = client::get(proxy.address(), "origin.test", "/first");
    // An answer that came early may be taken for the first request's own, but then nothing more
    // of that connection may reach anybody.
    assert!([200, 502].contains(&first.status()));
    // While the answer to that request is on its way nobody can know of it.
    assert!(first.status() == 502 || answered.wait());
    for number in 0..5 {
        still_serves(&proxy, &format!("/{number}"));
    }
}

#[test]
fn a_malformed_answer_under_concurrency_harms_only_its_own_client() {
    let origin = Origin::answering(|request, turn| {
        if request.head.target.starts_with("/bad") {
            let mut acts = vec![Act::send("HTTP/1.1 200 OK\r\nX : y\r\n\r\n")];
            if turn.nth % 2 == 0 {
                acts.push(Act::Close);
            }
            return acts;
        }
        ok(&request.head.target)
    });
    let proxy = before(&origin);
    let address = proxy.address();
    let threads: Vec<_> = (0..8)
        .map(|thread| {
            std::thread::spawn(move || {
                for number in 0..50 {
                    let good = format!("/good/{thread}/{number}");
                    assert_eq!(client::get(address, "origin.test", &good).text(), good);
                    let bad = client::get(address, "origin.test", "/bad");
                    assert_eq!(bad.status(), 502);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("a thread of clients");
    }
}

#[test]
fn a_reset_before_the_answer_is_no_answer_for_anyone_else() {
    let origin = silent();
    let proxy = before(&origin);
    let mut gone = Client::connect(proxy.address());
    gone.send(format!("GET /gone HTTP/1.1\r\n{HOST}\r\n"));
    origin.wait_received(0, "GET /gone");
    let mut stays = Client::connect(proxy.address());
    stays.send(format!("GET /stays HTTP/1.1\r\n{HOST}\r\n"));
    origin.wait_received(1, "GET /stays");
    gone.reset();
    origin.wait_ended(0);
    let mut stays = stays.patient_for(Duration::from_millis(200));
    assert_eq!(stays.answer("GET").expect_err("nothing was answered"), NoAnswer::TimedOut);
}
