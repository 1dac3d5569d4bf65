//! Limits and timeouts, each set short where it is a time; the tests wait for the event, whenever
//! it comes.

use proxyd_tests::client::{self, Client, NoAnswer};
use proxyd_tests::origin::{Act, MARK, Origin, Script, ok};
use proxyd_tests::proxyd::Proxyd;
use proxyd_tests::script::response;
use proxyd_tests::{configured, send_queue, waiting};

const HOST: &str = "Host: origin.test\r\n";

fn with(origin: &Origin, rest: &str) -> Proxyd {
    configured::gateway(&origin.url(), "", rest).start()
}

fn get(proxy: &Proxyd, fields: &str) -> u16 {
    let raw = format!("GET /a HTTP/1.1\r\n{HOST}{fields}\r\n");
    client::exchange(proxy.address(), "GET", raw).status()
}

#[test]
fn a_head_that_takes_too_long_is_408() {
    let origin = Origin::saying("never");
    let proxy = with(&origin, "[server.timeouts]\nheader = \"500ms\"\nsilent = \"60s\"\n");
    for part in ["G", "GET /a HTTP/1.1\r\n", "GET /a HTTP/1.1\r\nHost: origin.te"] {
        let mut client = Client::connect(proxy.address());
        client.send(part);
        assert_eq!(client.expect("GET").status(), 408, "{part:?}");
        client.expect_closed();
    }
    // A byte now and then does not help: the time counts from the first byte.
    let mut client = Client::connect(proxy.address());
    client.send("GET /a HTTP/1.1\r\n");
    let answer = waiting::until("an answer to a dripping head", || {
        client.send("X: y\r\n");
        (client.fill(std::time::Instant::now() + std::time::Duration::from_millis(50))
            != client::Fill::TimedOut)
            .then(|| client.answer("GET"))
    });
    assert_eq!(answer.expect("an answer").status(), 408);
    assert_eq!(origin.links(), 0);
}

#[test]
fn a_silent_connection_is_closed_without_a_word() {
    let origin = Origin::saying("never");
    let proxy = with(&origin, "[server.timeouts]\nsilent = \"500ms\"\n");
    Client::connect(proxy.address()).expect_closed();
}

#[test]
fn a_silent_connection_is_closed_on_a_listener_that_sniffs() {
    let origin = Origin::saying("never");
    let protocols = "protocols = [\"h1\", \"h2\"]";
    let rest = "[server.timeouts]\nsilent = \"500ms\"\nheader = \"500ms\"\n";
    let proxy = configured::gateway(&origin.url(), protocols, rest).start();
    Client::connect(proxy.address()).expect_closed();
    for part in ["P", "PRI * HTTP/2.0\r\n"] {
        let mut client = Client::connect(proxy.address());
        client.send(part);
        let (_, closed) = client.rest();
        assert!(closed, "{part:?}");
    }
}

#[test]
fn an_idle_connection_is_closed_between_requests() {
    let origin = Origin::saying("hello");
    let proxy = with(&origin, "[server.timeouts]\nkeep_alive = \"500ms\"\n");
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.ask("GET", format!("GET / HTTP/1.1\r\n{HOST}\r\n")).status(), 200);
    client.expect_closed();
}

#[test]
fn content_that_comes_too_slowly_is_408() {
    let origin = Origin::saying("never");
    let rest = "[server.timeouts]\nbody_grace = \"500ms\"\n\
                [server.limits]\nbody_min_rate = \"10KiB\"\n";
    let proxy = with(&origin, rest);
    for (framing, piece) in
        [("Content-Length: 100000", "x"), ("Transfer-Encoding: chunked", "1\r\nx\r\n")]
    {
        let mut client = Client::connect(proxy.address());
        client.send(format!("POST / HTTP/1.1\r\n{HOST}{framing}\r\n\r\n"));
        let answer = waiting::until("an answer to dripping content", || {
            client.send(piece);
            (client.fill(std::time::Instant::now() + std::time::Duration::from_millis(50))
                != client::Fill::TimedOut)
                .then(|| client.answer("POST"))
        });
        assert_eq!(answer.expect("an answer").status(), 408, "{framing}");
        client.rest();
    }
    assert!(origin.lines().is_empty(), "{:?}", origin.lines());
}

#[test]
fn a_client_that_reads_nothing_is_let_go() {
    let content = "x".repeat(1_000_000);
    let origin = Origin::answering(move |_, _| {
        let mut acts = vec![Act::send("HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n")];
        acts.extend((0..50).map(|_| Act::send(&content)));
        acts
    });
    let proxy = with(&origin, "[server.timeouts]\nwrite = \"1s\"\n");
    let mut client = Client::connect_narrow(proxy.address(), 4096);
    client.send(format!("GET / HTTP/1.1\r\n{HOST}\r\n"));
    // Never reading, it is cut off, and the upstream connection with it.
    origin.wait_ended(0);
    let (_, closed) = client.rest();
    assert!(closed);
}

/// What nobody takes does not wait in the system, where all of the machine's TCP shares one memory.
#[test]
fn little_waits_in_the_system_for_a_client_that_reads_nothing() {
    let content = "x".repeat(3 << 20);
    let origin = Origin::answering(move |_, _| {
        vec![response("200 OK", &[("Cache-Control", "max-age=3600")], &content)]
    });
    let proxy = with(&origin, "cache = true\n[cache]\nmax_object = \"4MiB\"\n");
    let whole = client::get(proxy.address(), "origin.test", "/");
    assert_eq!((whole.status(), whole.content.len()), (200, 3 << 20));
    // All of it is there to be sent.
    waiting::until("it is stored", || {
        let again = client::get(proxy.address(), "origin.test", "/");
        again.field("cache-status").is_some_and(|own| own.contains("hit")).then_some(())
    });
    let mut client = Client::connect_narrow(proxy.address(), 4096);
    client.send(format!("GET / HTTP/1.1\r\n{HOST}\r\n"));
    let (mut seen, mut stays) = (0, 0);
    waiting::until("the queue is filled", || {
        let waits = send_queue::bytes(proxy.address(), client.local_addr())?;
        stays = if waits == seen && waits > 400_000 { stays + 1 } else { 0 };
        seen = waits;
        (stays == 20).then_some(())
    });
    assert!(seen < 1_000_000, "{seen} bytes wait");
}

#[test]
fn the_request_line_is_limited() {
    let origin = Origin::saying("hello");
    let proxy = with(&origin, "[server.limits]\nrequest_line = \"1KiB\"\n");
    let line = |length: usize| {
        let raw = format!("GET /{} HTTP/1.1\r\n{HOST}\r\n", "a".repeat(length));
        client::exchange(proxy.address(), "GET", raw).status()
    };
    assert_eq!((line(900), line(1100)), (200, 414));
}

#[test]
fn the_fields_are_limited_in_number_and_bytes() {
    let origin = Origin::saying("hello");
    let proxy = with(&origin, "[server.limits]\nfields = 20\nfields_size = \"2KiB\"\n");
    assert_eq!(get(&proxy, &"X: y\r\n".repeat(15)), 200);
    assert_eq!(get(&proxy, &"X: y\r\n".repeat(25)), 431);
    assert_eq!(get(&proxy, &format!("X: {}\r\n", "y".repeat(1500))), 200);
    assert_eq!(get(&proxy, &format!("X: {}\r\n", "y".repeat(2500))), 431);
}

#[test]
fn the_content_is_limited() {
    let origin = Origin::saying("hello");
    let proxy = with(&origin, "limits = { body = \"1KiB\" }\n");
    let post = |fields: &str, content: &str| {
        let raw = format!("POST / HTTP/1.1\r\n{HOST}{fields}\r\n\r\n{content}");
        client::exchange(proxy.address(), "POST", raw)
    };
    assert_eq!(post("Content-Length: 1024", &"x".repeat(1024)).status(), 200);
    let refused = post("Content-Length: 1025", &"x".repeat(1025));
    assert_eq!((refused.status(), refused.field(MARK)), (413, None));
    let expecting = post("Content-Length: 1025\r\nExpect: 100-continue", "");
    assert_eq!((expecting.status(), expecting.interim.len()), (413, 0));
    let chunks = format!("{}0\r\n\r\n", format!("200\r\n{}\r\n", "x".repeat(512)).repeat(3));
    let refused = post("Transfer-Encoding: chunked", &chunks);
    assert_eq!((refused.status(), refused.field(MARK)), (413, None));
    assert_eq!(origin.lines(), ["POST /"], "only the first was ever complete");
}

#[test]
fn connections_are_limited_for_each_client_and_in_all() {
    let origin = Origin::saying("hello");
    let other = std::net::IpAddr::from([127, 0, 0, 2]);
    let ask = |client: &mut Client| {
        client.send(format!("GET / HTTP/1.1\r\n{HOST}\r\n"));
        client.answer("GET").map(|answer| answer.status())
    };
    let refused = |got: Result<u16, NoAnswer>| matches!(got, Err(NoAnswer::Closed) | Ok(429 | 503));
    for (key, others) in [("connections_per_client", true), ("connections", false)] {
        let proxy = with(&origin, &format!("[server.limits]\n{key} = 3\n"));
        let address = proxy.address();
        // What the start of the program was checked with is closed soon, not at once.
        let mut held: Vec<Client> = Vec::new();
        waiting::until("three connections are served", || {
            let mut client = Client::connect(address);
            if ask(&mut client) == Ok(200) {
                held.push(client);
            }
            (held.len() == 3).then_some(())
        });
        assert!(refused(ask(&mut Client::connect(address))), "{key}");
        let served = ask(&mut Client::connect_from(other, address)) == Ok(200);
        assert_eq!(served, others, "{key}");
        // Who leaves makes room.
        held.pop();
        waiting::until("there is room again", || {
            (ask(&mut Client::connect(address)) == Ok(200)).then_some(())
        });
    }
}

#[test]
fn tunnels_are_limited_and_end_when_nothing_moves() {
    let echo = Origin::echoing();
    let port = echo.address().port();
    let rest = format!(
        "[forward]\nallow_private_destinations = true\nconnect_ports = [{port}]\n\
         [server.timeouts]\ntunnel_idle = \"500ms\"\n[server.limits]\ntunnels_per_client = 1\n"
    );
    let proxy = configured::forward("", &rest).start();
    let at = echo.address();
    let head = format!("CONNECT {at} HTTP/1.1\r\nHost: {at}\r\n\r\n");
    let mut first = Client::connect(proxy.address());
    assert_eq!(first.ask("CONNECT", &head).status(), 200);
    let mut second = Client::connect(proxy.address());
    let status = second.ask("CONNECT", &head).status();
    assert!([429, 503].contains(&status), "{status}");
    second.expect_closed();
    first.expect_closed();
    waiting::until("there is room for a tunnel", || {
        let answer = client::exchange(proxy.address(), "CONNECT", &head);
        (answer.status() == 200).then_some(())
    });
}

#[test]
fn a_tunnel_has_a_longest_life() {
    let echo = Origin::echoing();
    let port = echo.address().port();
    let rest = format!(
        "[forward]\nallow_private_destinations = true\nconnect_ports = [{port}]\n\
         [server.timeouts]\ntunnel_lifetime = \"1s\"\n"
    );
    let proxy = configured::forward("", &rest).start();
    let at = echo.address();
    let mut client = Client::connect(proxy.address());
    let head = format!("CONNECT {at} HTTP/1.1\r\nHost: {at}\r\n\r\n");
    assert_eq!(client.ask("CONNECT", head).status(), 200);
    waiting::until("a busy tunnel ends", || {
        client.send("busy");
        let soon = std::time::Instant::now() + std::time::Duration::from_millis(50);
        (client.fill(soon) == client::Fill::End).then_some(())
    });
}

#[test]
fn an_upstream_that_is_too_slow_is_504() {
    let origin = Origin::answering(|_, _| vec![Act::AwaitEnd]);
    let proxy = with(&origin, "timeouts = { first_byte = \"500ms\" }\n");
    let answer = client::get(proxy.address(), "origin.test", "/");
    assert_eq!(answer.status(), 504);
    let why = answer.field("proxy-status").expect("Proxy-Status");
    assert!(why.contains("http_response_timeout"), "{why}");
    origin.wait_ended(0);

    let proxy = with(&origin, "timeouts = { total = \"500ms\" }\n");
    assert_eq!(client::get(proxy.address(), "origin.test", "/").status(), 504);
}

#[test]
fn an_upstream_that_is_silent_after_an_upload_with_trailers_is_504() {
    let origin = Origin::answering(|_, _| vec![Act::AwaitEnd]);
    let proxy = with(&origin, "timeouts = { first_byte = \"500ms\" }\n");
    let raw = "POST / HTTP/1.1\r\nHost: origin.test\r\nTrailer: x-sum\r\n\
               Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n";
    assert_eq!(client::exchange(proxy.address(), "POST", raw).status(), 504);
}

/// Some clients send an empty line behind content (RFC 9112 section 2.2). It begins no head: no
/// clock starts, and nothing is answered that nobody asked.
#[test]
fn an_empty_line_behind_content_is_no_slow_head() {
    let origin = Origin::saying("hello");
    let timeouts = "[server.timeouts]\nheader = \"300ms\"\n";
    let proxy = configured::gateway(&origin.url(), "", timeouts).start();
    let mut client = Client::connect(proxy.address());
    let post = "POST / HTTP/1.1\r\nHost: origin.test\r\nContent-Length: 2\r\n\r\nup\r\n";
    assert_eq!(client.ask("POST", post).status(), 200);
    // Longer than a head may take.
    std::thread::sleep(std::time::Duration::from_millis(700));
    let get = "GET / HTTP/1.1\r\nHost: origin.test\r\n\r\n";
    assert_eq!(client.ask("GET", get).status(), 200);
}

#[test]
fn interim_responses_do_not_put_off_the_first_byte_timeout_for_ever() {
    let origin = Origin::answering(|_, _| {
        let mut acts = Vec::new();
        for _ in 0..200 {
            acts.push(Act::send("HTTP/1.1 102 Processing\r\n\r\n"));
            acts.push(Act::Pause(std::time::Duration::from_millis(50)));
        }
        acts.push(Act::AwaitEnd);
        acts
    });
    let proxy = with(&origin, "timeouts = { first_byte = \"1s\" }\n");
    let answer = client::get(proxy.address(), "origin.test", "/");
    assert!([502, 504].contains(&answer.status()), "{answer:?}");
}

#[test]
fn an_upstream_that_stops_inside_its_answer_is_given_up() {
    let script = Script::new().on_request(|request, _| {
        if request.head.target == "/ok" {
            return ok("ok");
        }
        vec![Act::send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello"), Act::AwaitEnd]
    });
    let origin = Origin::start(script);
    let proxy = with(&origin, "timeouts = { read_idle = \"500ms\" }\n");
    let answer = client::get(proxy.address(), "origin.test", "/");
    assert_eq!((answer.status(), answer.is_whole()), (200, false));
    origin.wait_ended(0);
    assert_eq!(client::get(proxy.address(), "origin.test", "/ok").status(), 200);
}

#[test]
fn pooled_connections_are_let_go_by_requests_and_time() {
    let origin = Origin::saying("hello");
    let proxy = with(&origin, "[upstreams.app.pool]\nmax_requests = 2\n");
    for _ in 0..4 {
        assert_eq!(get(&proxy, ""), 200);
    }
    assert_eq!(origin.links(), 2);

    let origin = Origin::saying("hello");
    let proxy = with(&origin, "[upstreams.app.pool]\nidle_timeout = \"500ms\"\n");
    assert_eq!(get(&proxy, ""), 200);
    origin.wait_ended(0);
}

/// An idle connection is parked as a bare socket: of what it had while it talked nothing stays.
/// Debug builds have larger futures; what is not parked costs three times as much.
#[test]
fn idle_connections_cost_little() {
    const BATCH: usize = 200;
    let origin = Origin::saying("hello");
    let proxy = configured::gateway(&origin.url(), "", "").start();
    let mut idle = Vec::new();
    let before = proxy.resident_kib();
    for _ in 0..5 {
        for _ in 0..BATCH {
            let mut client = Client::connect(proxy.address());
            let get = "GET / HTTP/1.1\r\nHost: origin.test\r\n\r\n";
            assert_eq!(client.ask("GET", get).status(), 200);
            idle.push(client);
        }
        // They are parked after a second.
        std::thread::sleep(std::time::Duration::from_millis(1300));
    }
    let each = proxy.resident_kib().saturating_sub(before) / idle.len() as u64;
    assert!(each <= 24, "{each} KiB each");
    // And they are still there.
    let get = "GET / HTTP/1.1\r\nHost: origin.test\r\n\r\n";
    assert_eq!(idle[0].ask("GET", get).status(), 200);
}
