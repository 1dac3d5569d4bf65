//! HTTP/2 clients that send what they should not, or nothing, or take nothing: raw frames against
//! a clear-text listener.

use std::io::Write as _;
use std::time::Duration;

use proxyd_tests::configured;
use proxyd_tests::h2_client::{Ending, H2Client};
use proxyd_tests::h2_wire::{Event, code, kind};
use proxyd_tests::origin::{Act, MARK, Origin, Script, ok, response};
use proxyd_tests::proxyd::Proxyd;
use proxyd_tests::waiting::{self, Gate};

const PROTOCOLS: &str = "protocols = [\"h1\", \"h2\"]";

fn with(origin: &Origin, rest: &str) -> Proxyd {
    configured::gateway(&origin.url(), PROTOCOLS, rest).start()
}

fn serves(client: &mut H2Client) {
    let answer = client.get("/still");
    assert_eq!((answer.status(), answer.ending), (200, Ending::Whole));
}

/// What a request with these fields is answered with, and by whom; the connection goes on.
fn judged<N: AsRef<[u8]>, V: AsRef<[u8]>>(
    client: &mut H2Client,
    fields: &[(N, V)],
) -> (u16, String) {
    let answer = client.ask(fields);
    assert!(answer.field(MARK).is_none(), "the origin saw it: {answer:?}");
    assert_eq!(answer.ending, Ending::Whole, "{answer:?}");
    let text = answer.text();
    let reason = text.split("\"reason\":\"").nth(1).and_then(|rest| rest.split('"').next());
    (answer.status(), reason.unwrap_or_default().to_owned())
}

#[test]
fn heads_have_the_limits_of_http1() {
    let origin = Origin::saying("hello");
    let rest = "[server.limits]\nrequest_line = \"1KiB\"\nfields = 20\nfields_size = \"4KiB\"\n";
    let proxy = with(&origin, rest);
    let mut client = H2Client::connect(proxy.address());
    let long = format!("/{}", "x".repeat(1024));
    let head = H2Client::head("GET", &long, &[]);
    assert_eq!(judged(&mut client, &head), (414, "line_too_long".into()));
    let head = H2Client::head("GET", "/", &[("x-a", "b"); 20]);
    assert_eq!(judged(&mut client, &head), (431, "too_many_fields".into()));
    let large = "x".repeat(4096);
    let head = H2Client::head("GET", "/", &[("x-a", large.as_str())]);
    assert_eq!(judged(&mut client, &head), (431, "fields_too_large".into()));
    // A cookie in crumbs is one field.
    let crumbs = client.ask(&H2Client::head("GET", "/", &[("cookie", "a=b"); 40]));
    assert_eq!(crumbs.status(), 200);
    assert!(origin.last().field("cookie").is_some_and(|c| c.starts_with("a=b; a=b; ")));
    serves(&mut client);
    let metrics = proxy.ask_admin("/metrics").text();
    for reason in ["line_too_long", "too_many_fields", "fields_too_large"] {
        let line = format!("proxy_server_heads_refused_total{{reason=\"{reason}\"}} 1");
        assert!(metrics.contains(&line), "{reason}: {metrics}");
    }
    waiting::until("a line in the log", || {
        proxy.log().contains("\"ending\":\"head_refused\"").then_some(())
    });
}

#[test]
fn targets_and_fields_are_judged_as_those_of_http1() {
    let origin = Origin::saying("hello");
    let proxy = with(&origin, "");
    let mut client = H2Client::connect(proxy.address());
    let plain = |path: &'static str| H2Client::head("GET", path, &[]);
    let with_authority = |authority: &'static str| {
        vec![(":method", "GET"), (":scheme", "http"), (":authority", authority), (":path", "/")]
    };
    let more =
        |name: &'static str, value: &'static str| H2Client::head("GET", "/", &[(name, value)]);
    let cases = [
        (plain("/\u{e9}"), "target"),
        (plain("/?\u{e9}"), "target"),
        (plain("/%zz"), "path_escape"),
        (with_authority("a.test,b.test"), "target"),
        (with_authority("user@a.test"), "target"),
        (with_authority("a.test:99999"), "target"),
        (more("host", "other.test"), "host_differs"),
        (more("x-a", " b"), "field_value"),
        (more("x-a", "b\t"), "field_value"),
        (more("content-length", ""), "content_length"),
        (vec![(":method", "GET"), (":scheme", "http"), (":path", "/")], "host_missing"),
    ];
    for (fields, reason) in cases {
        assert_eq!(judged(&mut client, &fields), (400, reason.into()), "{fields:?}");
    }
    let hosts = [("host", "origin.test"), ("host", "origin.test")];
    let twice = H2Client::head("GET", "/", &hosts);
    assert_eq!(judged(&mut client, &twice), (400, "host_repeated".into()));
    // What a URL parser would escape is escaped, as for HTTP/1.
    assert_eq!(client.get("/\"a\"#b").status(), 200);
    assert_eq!(origin.last().head.target, "/%22a%22");
    let host = client.ask(&more("host", "ORIGIN.test"));
    assert_eq!(host.status(), 200);
    assert_eq!(origin.last().field("host"), Some("origin.test"));
}

#[test]
fn what_http2_forbids_is_reset_and_reaches_no_origin() {
    let origin = Origin::saying("hello");
    let proxy = with(&origin, "");
    let head =
        |name: &'static str, value: &'static str| H2Client::head("GET", "/", &[(name, value)]);
    let mut malformed = vec![
        head("connection", "close"),
        head("keep-alive", "timeout=5"),
        head("proxy-connection", "keep-alive"),
        head("transfer-encoding", "chunked"),
        head("upgrade", "h2c"),
        head("te", "gzip"),
        head("te", "trailers, gzip"),
        head("content-length", "5"),
        head("content-length", "+5"),
        H2Client::head("GET", "/a b", &[]),
        H2Client::head("GET", "a", &[]),
        H2Client::head("GET", "/", &[(":path", "/twice")]),
        H2Client::head("GET", "/", &[(":status", "200")]),
    ];
    malformed.push(vec![(":scheme", "http"), (":authority", "a.test"), (":path", "/")]);
    malformed.push(vec![(":method", "GET"), (":authority", "a.test"), (":path", "/")]);
    malformed.push(vec![(":method", "GET"), (":scheme", "http"), (":authority", "a.test")]);
    let mut client = H2Client::connect(proxy.address());
    for fields in malformed {
        let answer = client.ask(&fields);
        assert_eq!(answer.ending, Ending::Reset(code::PROTOCOL_ERROR), "{fields:?}");
    }
    serves(&mut client);
    // What is no field at all ends the connection.
    let raw: [(&[u8], &[u8]); 6] = [
        (b"X-Upper", b"a"),
        (b"x-nul", b"a\0b"),
        (b"x-line", b"a\r\nb: c"),
        (b"x space", b"a"),
        (b"", b"a"),
        (b":unknown", b"a"),
    ];
    for (name, value) in raw {
        let mut client = H2Client::connect(proxy.address());
        let mut fields: Vec<(&[u8], &[u8])> = Vec::new();
        for (name, value) in [(":method", "GET"), (":scheme", "http"), (":path", "/")] {
            fields.push((name.as_bytes(), value.as_bytes()));
        }
        fields.push((b":authority", b"origin.test"));
        fields.push((name, value));
        let answer = client.ask(&fields);
        assert!(matches!(answer.ending, Ending::Gone(_)), "{name:?}: {answer:?}");
    }
    assert_eq!(origin.lines(), ["GET /still"]);
}

#[test]
fn content_that_is_not_as_long_as_announced_is_never_completed() {
    let origin = Origin::saying("never");
    let proxy = with(&origin, "");
    for (length, content, end) in [("5", "abc", true), ("2", "abc", false), ("2", "abc", true)] {
        let mut client = H2Client::connect(proxy.address());
        let head = H2Client::head("POST", "/up", &[("content-length", length)]);
        let stream = client.begin(&head, false);
        client.link.send_data(stream, content.as_bytes(), end);
        let answer = client.answer(stream);
        assert_ne!(answer.status(), 200, "{length} {content} {end}: {answer:?}");
        serves(&mut client);
    }
    assert!(origin.lines().iter().all(|line| line == "GET /still"), "{:?}", origin.lines());
}

#[test]
fn content_that_the_client_breaks_off_is_never_completed() {
    let origin = Origin::saying("never");
    let proxy = with(&origin, "");
    for code in [code::NO_ERROR, code::CANCEL, code::PROTOCOL_ERROR] {
        let links = origin.links();
        let mut client = H2Client::connect(proxy.address());
        let stream = client.begin(&H2Client::head("POST", "/up", &[]), false);
        client.link.send_data(stream, b"the first half", false);
        origin.wait_links(links + 1);
        origin.wait_received(links, "the first half");
        client.link.send_reset(stream, code);
        origin.wait_ended(links);
    }
    assert!(origin.lines().is_empty(), "{:?}", origin.lines());
}

#[test]
fn content_that_comes_too_slowly_is_408() {
    let origin = Origin::saying("never");
    let rest = "[server.timeouts]\nbody_grace = \"500ms\"\n\
                [server.limits]\nbody_min_rate = \"10KiB\"\n";
    let proxy = with(&origin, rest);
    let mut client = H2Client::connect(proxy.address());
    let stream = client.begin(&H2Client::head("POST", "/up", &[]), false);
    let event = waiting::until("an answer to dripping content", || {
        client.link.send_data(stream, b"x", false);
        let event = client.link.event_within(Duration::from_millis(50));
        (event != Event::Silence).then_some(event)
    });
    let Event::Fields { fields, .. } = event else { panic!("{event:?}") };
    assert_eq!(fields[0], (":status".into(), "408".into()));
    assert_eq!(origin.lines(), [""; 0]);
    // Others on this connection are not concerned, nor is one that takes its time to begin.
    client.answer(stream);
    let mut client = H2Client::connect(proxy.address());
    let stream = client.begin(&H2Client::head("POST", "/up", &[]), false);
    let answer = client.answer(stream);
    assert_eq!((answer.status(), answer.ending), (408, Ending::Whole));
}

#[test]
fn a_slow_upstream_is_not_held_against_the_client() {
    let gate = Gate::new();
    let inside = gate.clone();
    // The origin takes nothing until the gate opens.
    let script = Script::new().on_accept(move |_| vec![Act::Until(inside.clone())]);
    let origin = Origin::start(script);
    let rest = "[server.timeouts]\nbody_grace = \"300ms\"\n\
                [server.limits]\nbody_min_rate = \"100KiB\"\n";
    let proxy = with(&origin, rest);
    let mut client = H2Client::connect(proxy.address());
    let head = H2Client::head("POST", "/up", &[("content-length", "5")]);
    let stream = client.begin(&head, false);
    client.link.send_data(stream, b"hello", true);
    assert_eq!(client.link.event_within(Duration::from_millis(900)), Event::Silence);
    gate.open();
    assert_eq!(client.answer(stream).status(), 200);
}

fn large() -> Origin {
    let content = "x".repeat(100_000);
    Origin::answering(move |request, _| {
        if request.head.target == "/still" {
            return ok("hello");
        }
        let mut acts = vec![Act::send("HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n")];
        acts.extend((0..50).map(|_| Act::send(&content)));
        acts
    })
}

#[test]
fn a_client_that_opens_no_window_loses_its_stream() {
    let origin = large();
    let proxy = with(&origin, "[server.timeouts]\nwrite = \"1s\"\n");
    // With a window of nothing at all, and with one that takes the beginning.
    for window in [0, 1, 10_000] {
        let links = origin.links();
        let mut client = H2Client::connect_narrow(proxy.address(), window);
        let stream = client.begin(&H2Client::head("GET", "/large", &[]), true);
        let answer = client.answer(stream);
        assert_eq!((answer.status(), answer.ending), (200, Ending::Reset(code::CANCEL)));
        assert_eq!(answer.content.len(), window as usize);
        // The upstream is let go, and the connection, which answers pings, goes on.
        origin.wait_ended(links);
        if window > 5 {
            serves(&mut client);
        }
    }
    let metrics = proxy.ask_admin("/metrics").text();
    let line = "proxy_server_timeouts_total{reason=\"write\"} 3";
    assert!(metrics.contains(line), "{metrics}");
}

#[test]
fn a_small_answer_waits_no_longer_for_its_window() {
    let origin = Origin::saying("hello");
    let proxy = with(&origin, "[server.timeouts]\nwrite = \"1s\"\n");
    let mut client = H2Client::connect_narrow(proxy.address(), 1);
    let answer = client.get("/still");
    assert_eq!((answer.text().as_str(), answer.ending), ("h", Ending::Reset(code::CANCEL)));
}

#[test]
fn a_client_that_opens_its_window_in_time_is_served() {
    let origin = Origin::saying("hello");
    let rest = "[server.timeouts]\nwrite = \"1s\"\n[server.limits]\nbody_min_rate = \"none\"\n";
    let proxy = with(&origin, rest);
    let mut client = H2Client::connect_narrow(proxy.address(), 0);
    let stream = client.begin(&H2Client::head("GET", "/still", &[]), true);
    assert!(matches!(client.link.event(), Event::Fields { .. }));
    for _ in 0..3 {
        assert_eq!(client.link.event_within(Duration::from_millis(600)), Event::Silence);
        client.link.send_window(stream, 1);
        assert!(matches!(client.link.event(), Event::Data { .. }));
    }
    client.link.send_window(stream, 100);
    assert_eq!(client.answer(stream).text(), "lo");
}

#[test]
fn a_client_that_reads_nothing_loses_its_connection() {
    let origin = large();
    let proxy = with(&origin, "[server.timeouts]\nwrite = \"1s\"\n");
    let mut client = H2Client::connect_narrow(proxy.address(), 100_000_000);
    client.link.send_window(0, 1_000_000_000);
    for _ in 0..10 {
        client.begin(&H2Client::head("GET", "/large", &[]), true);
    }
    // Streams may be given up one by one before the connection is.
    let line = "proxy_server_timeouts_total{reason=\"write\"}";
    waiting::until("the connection to be given up", || {
        proxy.ask_admin("/metrics").text().contains(line).then_some(())
    });
    for link in 0..origin.links() {
        origin.wait_ended(link);
    }
}

#[test]
fn a_silent_connection_is_closed_on_a_listener_for_http2_alone() {
    let origin = Origin::saying("never");
    let rest = "[server.timeouts]\nsilent = \"500ms\"\nheader = \"500ms\"\n";
    let proxy = configured::gateway(&origin.url(), "protocols = [\"h2\"]", rest).start();
    let mut client = proxyd_tests::client::Client::connect(proxy.address());
    let (_, closed) = client.rest();
    assert!(closed);
}

#[test]
fn interim_responses_reach_the_client() {
    let script = Script::new()
        .on_head(|head, _| match head.fields.lists("expect", "100-continue") {
            true => vec![Act::send("HTTP/1.1 100 Continue\r\n\r\n")],
            false => Vec::new(),
        })
        .on_request(|_, _| {
            let early = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n";
            vec![Act::send(early), response("200 OK", &[], "late")]
        });
    let origin = Origin::start(script);
    let proxy = with(&origin, "");
    let mut client = H2Client::connect(proxy.address());
    let answer = client.get("/");
    assert_eq!((answer.status(), answer.text().as_str()), (200, "late"));
    assert_eq!(answer.sections[0][0].1, "103", "{answer:?}");
    assert_eq!(answer.field("link"), Some("</a.css>; rel=preload"));

    let head = H2Client::head("POST", "/up", &[("expect", "100-continue")]);
    let stream = client.begin(&head, false);
    let Event::Fields { fields, .. } = client.link.event() else { panic!("no interim head") };
    assert_eq!(fields[0].1, "100");
    client.link.send_data(stream, b"hello", true);
    assert_eq!(client.answer(stream).status(), 200);
    assert_eq!(origin.last().content, b"hello");
}

#[test]
fn an_answer_to_head_has_no_content() {
    let origin = Origin::saying("hello");
    let proxy = with(&origin, "");
    let mut client = H2Client::connect(proxy.address());
    // The origin's own answer, and a page of the proxy's.
    for (path, status) in [("/", 200), ("/%zz", 400)] {
        let answer = client.ask(&H2Client::head("HEAD", path, &[]));
        assert_eq!((answer.status(), answer.ending.clone()), (status, Ending::Whole));
        assert!(answer.content.is_empty(), "{answer:?}");
        assert!(answer.field("content-length").is_some_and(|length| length != "0"), "{answer:?}");
    }
}

#[test]
fn a_tunnel_is_relayed_both_ways() {
    let origin = Origin::echoing();
    let port = origin.address().port();
    let guard = format!("[forward]\nallow_private_destinations = true\nconnect_ports = [{port}]\n");
    let proxy = configured::forward(PROTOCOLS, &guard).start();
    let mut client = H2Client::connect(proxy.address());
    let authority = origin.address().to_string();
    let head = [(":method", "CONNECT"), (":authority", authority.as_str())];
    let stream = client.begin(&head, false);
    let Event::Fields { fields, end: false, .. } = client.link.event() else { panic!("no tunnel") };
    assert_eq!(fields[0].1, "200");
    client.link.send_data(stream, b"there and back", true);
    let answer = client.answer(stream);
    assert_eq!((answer.text().as_str(), answer.ending), ("there and back", Ending::Whole));

    let refused = [(":method", "CONNECT"), (":authority", "a.test"), ("content-length", "0")];
    assert_eq!(judged(&mut client, &refused), (400, "connect_with_content".into()));
}

#[test]
fn what_is_under_way_finishes_when_the_proxy_drains() {
    let gate = Gate::new();
    let inside = gate.clone();
    let origin = Origin::answering(move |_, _| {
        let mut acts = vec![Act::Until(inside.clone())];
        acts.extend(ok("late"));
        acts
    });
    let mut proxy = with(&origin, "");
    let mut client = H2Client::connect(proxy.address());
    let stream = client.begin(&H2Client::head("GET", "/", &[]), true);
    origin.wait_received(0, "GET / ");
    proxy.sigterm();
    let told = client.link.event();
    assert!(matches!(told, Event::GoAway { code: code::NO_ERROR, .. }), "{told:?}");
    gate.open();
    let answer = client.answer(stream);
    assert_eq!((answer.text().as_str(), answer.ending), ("late", Ending::Whole));
    assert!(proxy.wait_exit().success());
}

/// CVE-2023-44487: streams that are opened only to be broken off, each a request to the upstream.
#[test]
fn a_client_that_breaks_off_stream_after_stream_is_sent_away() {
    let origin = Origin::start(Script::new().on_request(|_, _| vec![]));
    let proxy = with(&origin, "[server.limits]\nh2_resets = 10");
    let mut client = H2Client::connect(proxy.address());
    let head = H2Client::head("GET", "/never", &[]);
    for asked in 1..=11 {
        let stream = client.begin(&head, true);
        waiting::until("the request", || (origin.requests().len() >= asked).then_some(()));
        client.link.send_reset(stream, code::CANCEL);
    }
    let gone = loop {
        match client.link.event() {
            Event::GoAway { code, .. } if code != 0 => break Some(code),
            Event::Closed | Event::Silence => break None,
            _ => {}
        }
    };
    assert_eq!(gone, Some(code::ENHANCE_YOUR_CALM));
    let metrics = proxy.ask_admin("/metrics").text();
    assert!(metrics.contains("reason=\"stream_resets\"} 1"), "{metrics}");
}

/// CVE-2024-27316 and its like: a header section that goes on and on in CONTINUATION frames.
#[test]
fn a_head_without_end_is_refused_with_flat_memory() {
    let origin = Origin::saying("x");
    let proxy = with(&origin, "");
    let mut first = H2Client::connect(proxy.address());
    serves(&mut first);
    let before = proxy.resident_kib();
    // Literal fields without indexing, `a: <16,000 bytes>`; and empty frames, which cost least.
    let mut field = vec![0, 1, b'a', 0x7f];
    field.extend([0x81, 0x7c]);
    field.extend(vec![b'x'; 16_000]);
    for piece in [field, Vec::new()] {
        let mut client = H2Client::connect(proxy.address());
        client.link.send(kind::HEADERS, 0, 1, &[]);
        let mut frame = u32::try_from(piece.len()).expect("a length").to_be_bytes()[1..].to_vec();
        frame.extend([kind::CONTINUATION, 0, 0, 0, 0, 1]);
        frame.extend(&piece);
        // Until it has enough of it.
        let mut socket = client.link.socket();
        let _ = (0..50_000).try_for_each(|_| socket.write_all(&frame));
        let gone = loop {
            match client.link.event() {
                Event::GoAway { code, .. } if code != 0 => break true,
                Event::Closed => break true,
                Event::Silence => break false,
                _ => {}
            }
        };
        assert!(gone, "it may go on");
        let grown = proxy.resident_kib().saturating_sub(before);
        assert!(grown < 8_000, "{grown} KiB more");
    }
    serves(&mut first);
}
