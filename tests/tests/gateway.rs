//! `proxyd reverse` in front of a real nginx and of scripted origins: everything that HTTP/1.1
//! promises passes through unharmed.

use std::time::Duration;

use proxyd_tests::client::{self, Client, Ending};
use proxyd_tests::nginx::Nginx;
use proxyd_tests::origin::{Act, MARK, Origin, Script, ok, response};
use proxyd_tests::proxyd::{self, Proxyd};
use proxyd_tests::waiting::{self, Gate};
use proxyd_tests::wire::Framing;
use proxyd_tests::{configured, programs};

const HOST: &str = "Host: origin.test\r\n";

fn before(origin: &Origin) -> Proxyd {
    proxyd::reverse(&origin.url()).start()
}

fn text(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn nginx_files_head_range_and_304_pass() {
    let nginx = Nginx::serving_files();
    nginx.file("a.txt", "0123456789");
    let proxy = proxyd::reverse(&nginx.url()).start();
    let mut client = Client::connect(proxy.address());
    let get = client.ask("GET", format!("GET /a.txt HTTP/1.1\r\n{HOST}\r\n"));
    assert_eq!((get.status(), get.text().as_str()), (200, "0123456789"));
    let etag = get.field("etag").expect("an ETag").to_owned();

    let head = client.ask("HEAD", format!("HEAD /a.txt HTTP/1.1\r\n{HOST}\r\n"));
    assert_eq!((head.status(), head.field("content-length")), (200, Some("10")));

    let range = client.ask("GET", format!("GET /a.txt HTTP/1.1\r\n{HOST}Range: bytes=2-4\r\n\r\n"));
    assert_eq!((range.status(), range.text().as_str()), (206, "234"));
    assert_eq!(range.field("content-range"), Some("bytes 2-4/10"));

    let raw = format!("GET /a.txt HTTP/1.1\r\n{HOST}If-None-Match: {etag}\r\n\r\n");
    let unchanged = client.ask("GET", raw);
    assert_eq!((unchanged.status(), unchanged.field("etag")), (304, Some(etag.as_str())));

    let missing = client.ask("GET", format!("GET /b.txt HTTP/1.1\r\n{HOST}\r\n"));
    assert_eq!(missing.status(), 404);
    // All of it went over one connection, and nginx saw all of it.
    // (nginx logs a request after it has answered.)
    waiting::until("five lines in nginx's log", || {
        (nginx.log().lines().count() >= 5).then_some(())
    });
    assert_eq!(nginx.log().lines().count(), 5, "{}", nginx.log());
}

#[test]
fn a_chunked_upload_reaches_nginx() {
    let nginx = Nginx::start("location /up/ { dav_methods PUT; create_full_put_path on; }");
    let proxy = proxyd::reverse(&nginx.url()).start();
    let mut client = Client::connect(proxy.address());
    client.send(format!("PUT /up/a HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n"));
    for number in 0..100 {
        let line = format!("line {number:04}\n").repeat(100);
        client.send(format!("{:x}\r\n{line}\r\n", line.len()));
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.expect("PUT").status(), 201);
    let stored = std::fs::read_to_string(nginx.root().join("up/a")).expect("the upload");
    assert_eq!(stored.lines().count(), 10_000);
    assert!(stored.ends_with("line 0099\n"));
}

#[test]
fn curl_uploads_downloads_and_speaks_http_10() {
    let nginx = Nginx::start("location /up/ { dav_methods PUT; create_full_put_path on; }");
    let content = "x".repeat(300_000);
    nginx.file("big", &content);
    let proxy = proxyd::reverse(&nginx.url()).start();
    let base = format!("http://{}", proxy.address());
    let big = nginx.root().join("big");
    let up = programs::curl(&["-T", &big.display().to_string(), &format!("{base}/up/b")]);
    assert!(up.status.success(), "{up:?}");
    for version in ["--http1.1", "--http1.0"] {
        let down = programs::curl(&[version, &format!("{base}/up/b")]);
        assert_eq!(text(&down), content, "{version}");
    }
}

#[test]
fn http2_with_prior_knowledge_on_a_clear_text_listener() {
    let nginx = Nginx::serving_files();
    nginx.file("a.txt", "hello");
    let proxy = configured::gateway(&nginx.url(), "protocols = [\"h1\", \"h2\"]", "").start();
    let url = format!("http://{}/a.txt", proxy.address());
    for (option, version) in [("--http2-prior-knowledge", "2"), ("--http1.1", "1.1")] {
        let out = programs::curl(&[option, "-w", " %{http_version}", &url]);
        assert_eq!(text(&out), format!("hello {version}"), "{out:?}");
    }
    let nghttp = programs::run("nghttp", &[&url]);
    assert_eq!(text(&nghttp), "hello", "{nghttp:?}");
}

#[test]
fn trailers_pass_both_ways() {
    let origin = Origin::answering(|_, _| {
        vec![Act::send(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
             3\r\nabc\r\n0\r\nX-Sum: seven\r\n\r\n",
        )]
    });
    let proxy = before(&origin);
    let raw = format!(
        "POST / HTTP/1.1\r\n{HOST}TE: trailers\r\nConnection: TE\r\n\
         Transfer-Encoding: chunked\r\nTrailer: X-Up\r\n\r\n2\r\nhi\r\n0\r\nX-Up: eight\r\n\r\n"
    );
    let answer = client::exchange(proxy.address(), "POST", raw);
    assert_eq!((answer.text().as_str(), answer.trailers.get("x-sum")), ("abc", Some("seven")));
    let seen = origin.last();
    assert_eq!((seen.content.as_slice(), seen.trailers.get("x-up")), (&b"hi"[..], Some("eight")));
}

#[test]
fn interim_responses_reach_an_http_11_client_before_the_final_one() {
    let gate = Gate::new();
    let inside = gate.clone();
    let origin = Origin::answering(move |_, _| {
        let early = "HTTP/1.1 102 Processing\r\n\r\n\
                     HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n";
        let mut acts = vec![Act::send(early), Act::Until(inside.clone())];
        acts.extend(ok("late"));
        acts
    });
    let proxy = before(&origin);
    let mut client = Client::connect(proxy.address());
    client.send(format!("GET / HTTP/1.1\r\n{HOST}\r\n"));
    assert_eq!(client.head().expect("an interim head").status, 102);
    let hints = client.head().expect("an interim head");
    assert_eq!(hints.status, 103);
    assert_eq!(hints.fields.get("link"), Some("</a.css>; rel=preload"));
    // Only now does the origin send the final response: the hints were not held back for it.
    gate.open();
    assert_eq!(client.expect("GET").text(), "late");

    let old = client::exchange(proxy.address(), "GET", format!("GET / HTTP/1.0\r\n{HOST}\r\n"));
    assert_eq!((old.interim.len(), old.text().as_str()), (0, "late"));
}

#[test]
fn a_refused_request_is_refused_before_its_content() {
    let origin = Origin::saying("never");
    let keys = "allow_clients = [\"192.0.2.0/24\"]\n";
    let proxy = configured::gateway(&origin.url(), "", keys).start();
    let mut client = Client::connect(proxy.address());
    client.send(format!(
        "POST / HTTP/1.1\r\n{HOST}Expect: 100-continue\r\nContent-Length: 1000000\r\n\r\n"
    ));
    let answer = client.expect("POST");
    assert_eq!((answer.status(), answer.interim.len()), (403, 0));
    assert!(origin.lines().is_empty());
}

#[test]
fn expect_is_forwarded_and_the_content_waits_for_the_origin() {
    let script = Script::new().on_head(|head, _| {
        if head.target == "/no" {
            return vec![response("413 Too Large", &[], "no"), Act::Close];
        }
        assert!(head.fields.lists("expect", "100-continue"), "{head:?}");
        vec![Act::send("HTTP/1.1 100 Continue\r\n\r\n")]
    });
    let origin = Origin::start(script);
    let proxy = before(&origin);
    let head = |path: &str| {
        format!("POST {path} HTTP/1.1\r\n{HOST}Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    };
    let mut client = Client::connect(proxy.address());
    client.send(head("/yes"));
    assert_eq!(client.head().expect("an interim head").status, 100);
    client.send("hello");
    assert_eq!(client.expect("POST").status(), 200);
    assert_eq!(origin.last().content, b"hello");

    let mut client = Client::connect(proxy.address());
    client.send(head("/no"));
    let refused = client.expect("POST");
    assert_eq!((refused.status(), refused.interim.len(), refused.text().as_str()), (413, 0, "no"));
    assert!(refused.field(MARK).is_some());
}

#[test]
fn pipelined_answers_keep_their_order() {
    let gate = Gate::new();
    let inside = gate.clone();
    let origin = Origin::answering(move |request, _| {
        let mut acts = Vec::new();
        if request.head.target == "/1" {
            acts.push(Act::Until(inside.clone()));
        }
        acts.extend(ok(&request.head.target));
        acts
    });
    let proxy = before(&origin);
    let mut client = Client::connect(proxy.address());
    let raw: String = (1..=4).map(|n| format!("GET /{n} HTTP/1.1\r\n{HOST}\r\n")).collect();
    client.send(raw);
    origin.wait_received(0, "GET /1 ");
    gate.open();
    for n in 1..=4 {
        assert_eq!(client.expect("GET").text(), format!("/{n}"));
    }
}

#[test]
fn an_http_10_client_never_gets_chunks() {
    let origin = Origin::answering(|_, _| {
        vec![Act::send(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        )]
    });
    let proxy = before(&origin);
    for keep in ["", "Connection: keep-alive\r\n"] {
        let mut client = Client::connect(proxy.address());
        client.send(format!("GET / HTTP/1.0\r\n{HOST}{keep}\r\n"));
        let head = client.head().expect("a head");
        assert!(!head.fields.has("transfer-encoding"), "{head:?}");
        let (content, _, ending) = client.content(Framing::UntilClose).expect("content");
        assert_eq!((content.as_slice(), ending), (&b"abc"[..], Ending::ByClose));
    }
}

#[test]
fn content_streams_both_ways_without_waiting_for_its_end() {
    let gate = Gate::new();
    let inside = gate.clone();
    let script = Script::new()
        .on_head(move |_, _| {
            vec![
                Act::send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"),
                Act::Until(inside.clone()),
                Act::send("4\r\nlast\r\n0\r\n\r\n"),
            ]
        })
        .on_request(|_, _| Vec::new());
    let origin = Origin::start(script);
    let proxy = before(&origin);
    let mut client = Client::connect(proxy.address());
    client.send(format!("POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n2\r\nup\r\n"));
    // The beginning of the upload reaches the origin, and the beginning of the answer the client,
    // before either is complete.
    origin.wait_received(0, "up\r\n");
    let head = client.head().expect("a head");
    assert_eq!(head.status, 200);
    assert_eq!(client.take(10), b"5\r\nfirst\r\n");
    client.send("3\r\nend\r\n0\r\n\r\n");
    gate.open();
    assert_eq!(client.take(14), b"4\r\nlast\r\n0\r\n\r\n");
    // The answer was whole first; the rest of the request goes on to where it was meant to go.
    let request = waiting::until("the whole request", || origin.requests().pop());
    assert_eq!(request.content, b"upend");
}

#[test]
fn the_origin_learns_who_asked() {
    let origin = Origin::saying("hello");
    let proxy = before(&origin);
    assert_eq!(client::get(proxy.address(), "origin.test", "/").status(), 200);
    let seen = origin.last();
    assert_eq!(seen.field("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.field("x-forwarded-proto"), Some("http"));
    assert_eq!(seen.field("x-forwarded-host"), Some("origin.test"));
    assert!(seen.field("forwarded").is_some_and(|value| value.contains("for=127.0.0.1")));
    assert!(seen.field("via").is_some_and(|via| via.starts_with("1.1 proxyd-")), "{seen:?}");
    assert!(seen.field("x-request-id").is_some());
}

#[test]
fn max_forwards_counts_down_and_ends_here() {
    let origin = Origin::saying("hello");
    let proxy = before(&origin);
    for method in ["TRACE", "OPTIONS"] {
        let ask = |left: u8| {
            let raw = format!("{method} /a HTTP/1.1\r\n{HOST}Max-Forwards: {left}\r\n\r\n");
            client::exchange(proxy.address(), method, raw)
        };
        let here = ask(0);
        assert!(here.field(MARK).is_none(), "{method}: {here:?}");
        assert_eq!(here.status() / 100, 2, "{method}");
        assert!(ask(5).field(MARK).is_some(), "{method}");
        assert_eq!(origin.last().field("max-forwards"), Some("4"), "{method}");
    }
}

#[test]
fn upstream_connections_are_kept_and_shared() {
    let origin = Origin::saying("hello");
    let proxy = proxyd::reverse(&origin.url()).args(&["--workers", "2"]).start();
    for _ in 0..50 {
        // Each from a connection of its own.
        assert_eq!(client::get(proxy.address(), "origin.test", "/").status(), 200);
    }
    let links = origin.links();
    assert!(links <= 2, "one client at a time needs one upstream connection a worker: {links}");
}

#[test]
fn endpoints_take_turns() {
    let (one, two) = (Origin::saying("one"), Origin::saying("two"));
    let proxy = proxyd::reverse(&one.url()).args(&["--to", &two.url()]).start();
    let answers: Vec<String> =
        (0..6).map(|_| client::get(proxy.address(), "origin.test", "/").text()).collect();
    let ones = answers.iter().filter(|text| *text == "one").count();
    assert_eq!(ones, 3, "{answers:?}");
}

#[test]
fn an_answer_without_date_and_length_is_relayed_as_it_comes() {
    let origin = Origin::answering(|_, _| {
        let cut = Duration::from_millis(1);
        let mut acts = Vec::new();
        for byte in b"HTTP/1.1 200 OK\r\nX-A: b\r\n\r\nabc" {
            acts.push(Act::send([*byte]));
            acts.push(Act::Pause(cut));
        }
        acts.push(Act::Close);
        acts
    });
    let proxy = before(&origin);
    let answer = client::get(proxy.address(), "origin.test", "/");
    assert_eq!((answer.text().as_str(), answer.field("x-a")), ("abc", Some("b")));
    assert!(answer.is_whole());
}
