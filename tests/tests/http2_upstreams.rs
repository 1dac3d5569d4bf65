//! Upstreams that speak HTTP/2: raw frames behind the built binary.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use proxyd_tests::client::{self, Client, Ending};
use proxyd_tests::configured;
use proxyd_tests::h2_client::{H2Client, value};
use proxyd_tests::h2_origin::{Connection, H2Origin};
use proxyd_tests::h2_wire::{Event, code};
use proxyd_tests::operator;
use proxyd_tests::proxyd::Proxyd;
use proxyd_tests::waiting;

const HOST: &str = "Host: origin.test\r\n";
const GET: &str = "GET /a HTTP/1.1\r\nHost: origin.test\r\n\r\n";

fn before(origin: &H2Origin, upstream: &str) -> Proxyd {
    let rest = format!(
        "[[routes]]\nname = \"all\"\nupstream = \"two\"\n\n\
         [upstreams.two]\nendpoints = [\"{}\"]\nprotocol = \"h2\"\n{upstream}\n",
        origin.url()
    );
    configured::gateway_routes("http://127.0.0.1:9", "protocols = [\"h1\", \"h2\"]", &rest).start()
}

fn post(content: &str) -> String {
    format!("POST /up HTTP/1.1\r\n{HOST}Content-Length: {}\r\n\r\n{content}", content.len())
}

/// Answers every request with its content, or `hello`.
fn polite(mut connection: Connection) {
    while let Some(asked) = connection.request() {
        let Some(content) = connection.content(&asked) else { return };
        let said = String::from_utf8(content).expect("text");
        connection.answer(asked.stream, if said.is_empty() { "hello" } else { &said });
    }
}

/// Serves the first connection in one way, and the others politely.
fn first_then_polite(first: impl Fn(Connection) + Send + Sync + 'static) -> H2Origin {
    H2Origin::start(move |connection| match connection.number {
        0 => first(connection),
        _ => polite(connection),
    })
}

#[test]
fn requests_share_a_connection_and_pass_whole() {
    let origin = H2Origin::start(polite);
    let proxy = before(&origin, "");
    let mut client = Client::connect(proxy.address());
    for n in 0..5 {
        assert_eq!(client.ask("GET", GET).text(), "hello");
        let said = n.to_string().repeat(50_000);
        assert!(client.ask("POST", post(&said)).text() == said);
    }
    assert_eq!(origin.links(), 1);
    let asked = &origin.asked()[0].fields;
    assert_eq!(value(asked, ":authority"), Some("origin.test"));
    assert_eq!(value(asked, ":path"), Some("/a"));
    assert_eq!(value(asked, ":scheme"), Some("http"));
    for name in ["host", "connection", "te", "transfer-encoding", "keep-alive"] {
        assert_eq!(value(asked, name), None, "{name}");
    }
}

#[test]
fn a_refused_request_goes_once_more_over_a_fresh_connection() {
    let origin = first_then_polite(|mut connection| {
        while let Some(asked) = connection.request() {
            connection.link.send_reset(asked.stream, code::REFUSED_STREAM);
        }
    });
    let proxy = before(&origin, "");
    // The origin says that it has processed nothing: a POST may go again, with its content.
    let answer = client::exchange(proxy.address(), "POST", post("content"));
    assert_eq!((answer.status(), answer.text().as_str()), (200, "content"));
    assert_eq!(origin.asked().iter().map(|asked| asked.link).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn a_request_is_not_sent_for_ever() {
    let origin = H2Origin::start(|mut connection| {
        while let Some(asked) = connection.request() {
            connection.link.send_reset(asked.stream, code::REFUSED_STREAM);
        }
    });
    let proxy = before(&origin, "");
    let answer = client::exchange(proxy.address(), "GET", GET);
    assert_eq!((answer.status(), origin.asked().len()), (502, 2));
}

#[test]
fn a_request_behind_the_last_stream_of_a_goaway_goes_once_more() {
    let origin = first_then_polite(|mut connection| {
        let Some(asked) = connection.request() else { return };
        connection.answer(asked.stream, "first");
        let Some(_) = connection.request() else { return };
        connection.link.send_goaway(asked.stream, code::NO_ERROR);
        connection.link.close();
    });
    let proxy = before(&origin, "");
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.ask("GET", GET).text(), "first");
    assert_eq!(client.ask("POST", post("content")).text(), "content");
    assert_eq!(origin.links(), 2);
}

#[test]
fn a_request_that_a_goaway_includes_is_not_sent_again() {
    let origin = first_then_polite(|mut connection| {
        let Some(asked) = connection.request() else { return };
        connection.link.send_goaway(asked.stream, code::NO_ERROR);
        connection.link.close();
    });
    let proxy = before(&origin, "");
    let answer = client::exchange(proxy.address(), "POST", post("content"));
    assert_eq!((answer.status(), origin.asked().len()), (502, 1));
    // The next one finds a fresh connection.
    assert_eq!(client::exchange(proxy.address(), "GET", GET).text(), "hello");
}

#[test]
fn a_stream_that_breaks_off_is_not_sent_again() {
    for code in [code::CANCEL, code::PROTOCOL_ERROR, code::NO_ERROR] {
        let origin = H2Origin::start(move |mut connection| {
            while let Some(asked) = connection.request() {
                connection.link.send_reset(asked.stream, code);
            }
        });
        let proxy = before(&origin, "");
        let answer = client::exchange(proxy.address(), "GET", GET);
        assert_eq!((answer.status(), origin.asked().len()), (502, 1), "{code}");
    }
}

#[test]
fn a_kept_connection_that_dies_costs_an_idempotent_request_nothing() {
    let origin = first_then_polite(|mut connection| {
        let Some(asked) = connection.request() else { return };
        connection.answer(asked.stream, "first");
        // It dies when it is asked again.
        connection.request();
        connection.link.close();
    });
    let proxy = before(&origin, "");
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.ask("GET", GET).text(), "first");
    assert_eq!(client.ask("GET", GET).text(), "hello");
    assert_eq!(origin.links(), 2);
}

#[test]
fn the_time_of_an_upload_does_not_count_as_the_upstreams() {
    let origin = H2Origin::start(polite);
    let proxy = before(&origin, "timeouts = { first_byte = \"800ms\" }\n");
    let mut client = Client::connect(proxy.address());
    client.send(format!("POST /up HTTP/1.1\r\n{HOST}Content-Length: 6\r\n\r\n"));
    for _ in 0..6 {
        std::thread::sleep(Duration::from_millis(400));
        client.send("x");
    }
    assert_eq!(client.expect("POST").text(), "xxxxxx");
}

#[test]
fn an_upstream_that_does_not_answer_is_504() {
    let resets = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&resets);
    let origin = H2Origin::start(move |mut connection| {
        connection.request();
        while !matches!(connection.link.event(), Event::Closed | Event::Silence) {
            seen.fetch_add(1, Ordering::SeqCst);
        }
    });
    let proxy = before(&origin, "timeouts = { first_byte = \"500ms\" }\n");
    let answer = client::exchange(proxy.address(), "GET", GET);
    assert_eq!(answer.status(), 504);
    assert!(answer.field("proxy-status").is_some_and(|s| s.contains("http_response_timeout")));
    waiting::until("a reset", || (resets.load(Ordering::SeqCst) > 0).then_some(()));
}

#[test]
fn an_upstream_that_takes_no_content_is_504() {
    let origin = H2Origin::start(|mut connection| {
        connection.request();
        // It opens no window, and answers nothing.
        while !matches!(connection.link.event(), Event::Closed | Event::Silence) {}
    });
    let proxy = before(&origin, "timeouts = { first_byte = \"500ms\" }\n");
    let answer = client::exchange(proxy.address(), "POST", post(&"x".repeat(200_000)));
    assert_eq!(answer.status(), 504);
}

#[test]
fn content_that_stops_is_broken_off() {
    let origin = H2Origin::start(|mut connection| {
        while let Some(asked) = connection.request() {
            connection.link.send_fields(asked.stream, &[(":status", "200")], false);
            connection.link.send_data(asked.stream, b"the first half", false);
        }
    });
    let proxy = before(&origin, "timeouts = { read_idle = \"500ms\" }\n");
    let answer = client::exchange(proxy.address(), "GET", GET);
    assert_eq!((answer.status(), answer.ending), (200, Ending::Truncated));
    waiting::until("a line in the log", || {
        proxy.log().contains("connection_read_timeout").then_some(())
    });
}

#[test]
fn content_that_breaks_off_is_never_completed() {
    for code in [code::NO_ERROR, code::CANCEL] {
        let origin = H2Origin::start(move |mut connection| {
            while let Some(asked) = connection.request() {
                connection.link.send_fields(asked.stream, &[(":status", "200")], false);
                connection.link.send_data(asked.stream, b"the first half", false);
                std::thread::sleep(Duration::from_millis(100));
                connection.link.send_reset(asked.stream, code);
            }
        });
        let proxy = before(&origin, "");
        let answer = client::exchange(proxy.address(), "GET", GET);
        assert_eq!((answer.status(), answer.ending), (200, Ending::Truncated), "{code}");
    }
}

#[test]
fn a_whole_answer_before_the_whole_request_passes() {
    let origin = H2Origin::start(|mut connection| {
        while let Some(asked) = connection.request() {
            connection.link.send_fields(asked.stream, &[(":status", "413")], false);
            connection.link.send_data(asked.stream, b"too much", true);
            connection.link.send_reset(asked.stream, code::NO_ERROR);
        }
    });
    let proxy = before(&origin, "");
    let mut client = Client::connect(proxy.address());
    client.send(format!("POST /up HTTP/1.1\r\n{HOST}Content-Length: 1000\r\n\r\nthe first half"));
    let answer = client.expect("POST");
    assert_eq!((answer.status(), answer.text().as_str()), (413, "too much"));
}

#[test]
fn trailers_pass_without_what_has_no_place_there() {
    let origin = H2Origin::start(|mut connection| {
        while let Some(asked) = connection.request() {
            let Some(_) = connection.content(&asked) else { return };
            let head = [(":status", "200"), ("trailer", "x-sum, content-length, host, set-cookie")];
            connection.link.send_fields(asked.stream, &head, false);
            connection.link.send_data(asked.stream, b"abc", false);
            let trailers =
                [("x-sum", "seven"), ("content-length", "9"), ("host", "b"), ("set-cookie", "a=b")];
            connection.link.send_fields(asked.stream, &trailers, true);
        }
    });
    let proxy = before(&origin, "");
    let head = H2Client::head("GET", "/", &[("te", "trailers")]);
    let answer = H2Client::connect(proxy.address()).ask(&head);
    assert_eq!((answer.text().as_str(), answer.sections.len()), ("abc", 2), "{answer:?}");
    let names: Vec<_> = answer.sections[1].iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["x-sum"]);
    assert_eq!(value(&origin.asked()[0].fields, "te"), Some("trailers"));
}

#[test]
fn request_trailers_pass_without_what_has_no_place_there() {
    let origin = H2Origin::start(|mut connection| {
        let Some(asked) = connection.request() else { return };
        let trailers = loop {
            match connection.link.event() {
                Event::Fields { fields, end: true, .. } => break fields,
                Event::Data { end: false, .. } => {}
                other => panic!("{other:?}"),
            }
        };
        let names: Vec<_> = trailers.iter().map(|(name, _)| name.as_str()).collect();
        connection.answer(asked.stream, &names.join(","));
    });
    let proxy = before(&origin, "");
    let raw = format!(
        "POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\nTrailer: X-Up, Host\r\n\r\n\
         2\r\nhi\r\n0\r\nX-Up: eight\r\nHost: b\r\nCookie: a=b\r\nX-Unannounced: 1\r\n\r\n"
    );
    assert_eq!(client::exchange(proxy.address(), "POST", raw).text(), "x-up");
}

#[test]
fn unsound_responses_are_502() {
    let many: Vec<(String, String)> = (0..101).map(|n| (format!("x-{n}"), String::new())).collect();
    let lines = |lines: &[(&str, &str)]| -> Vec<(String, String)> {
        lines.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    };
    let large = "x".repeat(70_000);
    let cases = [
        (lines(&[("connection", "close")]), "http_protocol_error"),
        (lines(&[("transfer-encoding", "chunked")]), "http_protocol_error"),
        (lines(&[("content-length", "3"), ("content-length", "3")]), "http_protocol_error"),
        (lines(&[("content-length", "")]), "http_protocol_error"),
        (lines(&[("x-a", " b")]), "http_protocol_error"),
        (lines(&[("x-a", &large)]), "http_response_header_section_size"),
        (many, "http_response_header_section_size"),
    ];
    for (fields, error) in cases {
        let shown = format!("{:.60}", format!("{fields:?}"));
        let origin = H2Origin::start(move |mut connection| {
            while let Some(asked) = connection.request() {
                let mut head = vec![(":status".to_owned(), "200".to_owned())];
                head.extend(fields.clone());
                connection.link.send_fields(asked.stream, &head, false);
                connection.link.send_data(asked.stream, b"abc", true);
            }
        });
        let proxy = before(&origin, "");
        let answer = client::exchange(proxy.address(), "GET", GET);
        assert_eq!(answer.status(), 502, "{shown}");
        let status = answer.field("proxy-status").unwrap_or_default();
        assert!(status.contains(error), "{shown}: {status}");
    }
}

#[test]
fn interim_responses_are_relayed() {
    let origin = H2Origin::start(|mut connection| {
        while let Some(asked) = connection.request() {
            let early = [(":status", "103"), ("link", "</a.css>; rel=preload")];
            connection.link.send_fields(asked.stream, &early, false);
            if value(&asked.fields, "expect").is_some() {
                connection.link.send_fields(asked.stream, &[(":status", "100")], false);
            }
            let Some(content) = connection.content(&asked) else { return };
            connection.answer(asked.stream, &String::from_utf8(content).expect("text"));
        }
    });
    let proxy = before(&origin, "");
    let raw =
        format!("POST /up HTTP/1.1\r\n{HOST}Expect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    let mut client = Client::connect(proxy.address());
    client.send(raw);
    let mut statuses: Vec<u16> = (0..2).map(|_| client.head().expect("a head").status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [100, 103]);
    client.send("hello");
    assert_eq!(client.expect("POST").text(), "hello");
}

/// Requests under way at the endpoint, as the proxy counts them.
fn under_way(proxy: &Proxyd) -> u64 {
    let upstreams = operator::json(&proxy.ask_admin("/upstreams"));
    let all = upstreams.as_array().expect("upstreams");
    let two = all.iter().find(|own| own["name"] == "two").expect("two");
    two["endpoints"][0]["in_flight"].as_u64().expect("a number")
}

/// The origin has not had all of the request yet: its place is no other's.
#[test]
fn an_early_answer_gives_no_place_back() {
    let origin = H2Origin::start(|mut connection| {
        while let Some(asked) = connection.request() {
            connection.answer(asked.stream, "early");
        }
    });
    let breaker = "circuit_breaker = { max_requests = 1, pending_timeout = \"60s\" }";
    let proxy = before(&origin, breaker);
    let mut slow = Client::connect(proxy.address());
    assert!(slow.send(format!("POST /up HTTP/1.1\r\n{HOST}Content-Length: 10\r\n\r\nhello")));
    assert_eq!(slow.expect("POST").text(), "early");
    assert_eq!(under_way(&proxy), 1);
    let mut other = Client::connect(proxy.address());
    assert!(other.send(GET));
    let waits = "proxy_upstream_requests_pending{upstream=\"two\"} 1";
    waiting::until(waits, || proxy.ask_admin("/metrics").text().contains(waits).then_some(()));
    assert_eq!(origin.asked().len(), 1);
    assert!(slow.send("there"));
    assert_eq!(other.expect("GET").text(), "early");
    waiting::until("no request is under way", || (under_way(&proxy) == 0).then_some(()));
    // Whoever leaves instead of sending the rest gives it back as well.
    let mut gone = Client::connect(proxy.address());
    assert!(gone.send(format!("POST /up HTTP/1.1\r\n{HOST}Content-Length: 10\r\n\r\nhello")));
    assert_eq!(gone.expect("POST").text(), "early");
    assert_eq!(under_way(&proxy), 1);
    gone.reset();
    waiting::until("its place is free", || (under_way(&proxy) == 0).then_some(()));
}
