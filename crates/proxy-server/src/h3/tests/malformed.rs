//! Messages that are malformed (RFC 9114 sections 4.1.2 to 4.4): the stream is reset with
//! H3_MESSAGE_ERROR, the connection goes on.

use super::client::raw_section;
use super::*;

/// A request's lines with one of them taken out or changed.
fn without(name: &str) -> Vec<(&'static str, &'static str)> {
    let mut lines = request("GET", "/", &[]);
    lines.retain(|line| line.0 != name);
    lines
}

fn with(name: &'static str, value: &'static str) -> Vec<(&'static str, &'static str)> {
    let mut lines = request("GET", "/", &[]);
    match lines.iter_mut().find(|line| line.0 == name) {
        Some(line) => line.1 = value,
        None => lines.push((name, value)),
    }
    lines
}

fn twice(name: &'static str, value: &'static str) -> Vec<(&'static str, &'static str)> {
    let mut lines = vec![(name, value)];
    lines.extend(request("GET", "/", &[]));
    lines
}

#[tokio::test]
async fn heads() {
    let server = Server::start();
    let client = Client::connect(&server).await;
    let connect = |more: Lines<'static>| {
        let mut lines = vec![(":method", "CONNECT"), (":authority", "echo:1")];
        lines.extend_from_slice(more);
        lines
    };
    let cases = [
        // Section 4.3.1: each stands once.
        ("no method", without(":method")),
        ("no scheme", without(":scheme")),
        ("no path", without(":path")),
        ("neither authority nor host", without(":authority")),
        ("two methods", twice(":method", "GET")),
        ("two schemes", twice(":scheme", "https")),
        ("two paths", twice(":path", "/")),
        ("two authorities", twice(":authority", "a.test")),
        ("no field at all", vec![]),
        // Section 4.3: known ones of requests, in front of the fields.
        ("a status", with(":status", "200")),
        ("an unknown pseudo field", with(":unknown", "x")),
        ("an empty pseudo name", with(":", "x")),
        ("protocol, which we do not offer", with(":protocol", "websocket")),
        ("upper case in a pseudo field", twice(":Method", "GET")),
        ("a pseudo field behind a field", {
            let mut lines = vec![("x", "y")];
            lines.extend(request("GET", "/", &[]));
            lines
        }),
        ("the last one behind a field", {
            let mut lines = without(":path");
            lines.extend([("x", "y"), (":path", "/")]);
            lines
        }),
        // Their values.
        ("an empty method", with(":method", "")),
        ("a method with a space", with(":method", "GET /")),
        ("an empty scheme", with(":scheme", "")),
        ("a scheme that is none", with(":scheme", "ht tp")),
        ("an empty path", with(":path", "")),
        ("a path without a slash", with(":path", "x")),
        ("a whole URI as path", with(":path", "https://a.test/")),
        ("an asterisk for GET", with(":path", "*")),
        ("an empty authority", with(":authority", "")),
        ("userinfo", with(":authority", "user@a.test")),
        ("an authority with a space", with(":authority", "a.test b")),
        ("an authority with a path", with(":authority", "a.test/x")),
        // Section 4.3.1: the same in both.
        ("another host", with("host", "b.test")),
        ("an empty host", with("host", "")),
        ("two hosts", {
            let mut lines = without(":authority");
            lines.extend([("host", "a.test"), ("host", "a.test")]);
            lines
        }),
        ("an empty host alone", {
            let mut lines = without(":authority");
            lines.push(("host", ""));
            lines
        }),
        // Section 4.2: fields.
        ("an upper case name", with("X-Upper", "1")),
        ("an empty name", with("", "1")),
        ("a space in a name", with("x y", "1")),
        ("a colon in a name", with("x:y", "1")),
        ("CR in a name", with("x\ry", "1")),
        ("a name that is no text", with("x\u{e9}", "1")),
        ("CR in a value", with("x", "1\rb")),
        ("LF in a value", with("x", "1\nb: c")),
        ("CRLF in a value", with("x", "1\r\nb: c")),
        ("NUL in a value", with("x", "1\0b")),
        ("DEL in a value", with("x", "1\x7fb")),
        ("LF in a path", with(":method", "GET\n")),
        ("connection", with("connection", "close")),
        ("keep-alive", with("keep-alive", "timeout=5")),
        ("proxy-connection", with("proxy-connection", "close")),
        ("transfer-encoding", with("transfer-encoding", "chunked")),
        ("upgrade", with("upgrade", "h2c")),
        ("te with a coding", with("te", "gzip")),
        ("te with a coding and trailers", with("te", "trailers, gzip")),
        // Section 4.1.2: lengths.
        ("a length that is no number", with("content-length", "x")),
        ("a length with a sign", with("content-length", "+0")),
        ("an empty length", with("content-length", "")),
        ("a list of lengths", with("content-length", "0, 0")),
        ("a length beyond all numbers", with("content-length", "99999999999999999999")),
        ("two lengths", {
            request("GET", "/", &[("content-length", "0"), ("content-length", "0")])
        }),
        ("a length without content", with("content-length", "5")),
        // Section 4.4.
        ("CONNECT with a scheme", connect(&[(":scheme", "https")])),
        ("CONNECT with a path", connect(&[(":path", "/")])),
        ("CONNECT without an authority", vec![(":method", "CONNECT")]),
        ("extended CONNECT", {
            connect(&[(":protocol", "websocket"), (":scheme", "https"), (":path", "/")])
        }),
    ];
    for (what, lines) in &cases {
        let seen = client.send(&headers(lines)).await;
        assert_eq!(seen, Seen::Reset(code::MESSAGE_ERROR), "{what}");
    }
    server.has_told("400 pseudo_field").await;
    server.has_told("400 connection_field").await;
    server.has_told("400 content_length").await;
    // The connection goes on, and what looks alike is no fault.
    for (what, lines) in [
        ("a host that agrees", with("host", "a.test")),
        ("in another case", with("host", "A.test")),
        ("te", with("te", "trailers")),
        ("no content, as it says", with("content-length", "0")),
        ("other bytes in a value", with("x", "\u{e9}\tb")),
        ("a host alone", {
            let mut lines = without(":authority");
            lines.push(("host", "a.test"));
            lines
        }),
        ("crumbs", request("GET", "/", &[("cookie", "a=b"), ("cookie", "c=d")])),
    ] {
        let seen = client.send(&headers(&lines)).await;
        assert_eq!(seen, Seen::Answer(200, "0 bytes".into()), "{what}");
    }
}

#[tokio::test]
async fn bytes_that_are_no_text() {
    let server = Server::start();
    let client = Client::connect(&server).await;
    let head = |name: &'static [u8], value: &'static [u8]| {
        let lines = request("GET", "/", &[]);
        let lines = lines.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        frame(0x1, &raw_section(lines.chain([(name, value)])))
    };
    let seen = client.send(&head(b"x", b"\xff")).await;
    assert_eq!(seen, Seen::Answer(200, "0 bytes".into()));
    for name in [&b"\xff"[..], b"x\x80", b"\0", b"\n"] {
        assert_eq!(client.send(&head(name, b"1")).await, Seen::Reset(code::MESSAGE_ERROR));
    }
}

#[tokio::test]
async fn content_and_trailers() {
    let server = Server::start();
    let client = Client::connect(&server).await;
    let post = |length: &str| headers(&request("POST", "/", &[("content-length", length)]));
    let cases: [(&str, Vec<Vec<u8>>); 10] = [
        ("less than announced", vec![post("5"), data(b"four")]),
        ("more than announced", vec![post("3"), data(b"four")]),
        ("more, in another frame", vec![post("4"), data(b"four"), data(b"x")]),
        ("less, before trailers", vec![post("5"), data(b"four"), headers(&[("x-sum", "1")])]),
        (
            "a pseudo field in trailers",
            vec![
                headers(&request("POST", "/", &[])),
                data(b"four"),
                headers(&[("x-sum", "1"), (":path", "/")]),
            ],
        ),
        (
            "a status in trailers",
            vec![headers(&request("POST", "/", &[])), headers(&[(":status", "200")])],
        ),
        (
            "an upper case name in trailers",
            vec![headers(&request("POST", "/", &[])), headers(&[("X-Sum", "1")])],
        ),
        (
            "LF in a trailer",
            vec![headers(&request("POST", "/", &[])), headers(&[("x-sum", "1\nb: c")])],
        ),
        (
            "a connection's field in trailers",
            vec![headers(&request("POST", "/", &[])), headers(&[("transfer-encoding", "chunked")])],
        ),
        ("trailers with a length that has not come", vec![post("4"), headers(&[("x-sum", "1")])]),
    ];
    for (what, frames) in &cases {
        assert_eq!(client.send(&frames.concat()).await, Seen::Reset(code::MESSAGE_ERROR), "{what}");
        // The same, when the service waits for it already.
        let (mut sending, mut receiving) = client.open(&frames[0]).await;
        for frame in &frames[1..] {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            let _ = sending.write_all(frame).await;
        }
        let _ = sending.finish();
        let seen = client::see(&mut receiving).await;
        assert_eq!(seen, Seen::Reset(code::MESSAGE_ERROR), "{what}, later");
    }
    let sound = [post("4"), data(b"fo"), data(b""), data(b"ur"), headers(&[("x-sum", "1")])];
    assert_eq!(client.send(&sound.concat()).await, Seen::Answer(200, "4 bytes x-sum=1".into()));
}

/// What is well formed, and refused as HTTP/1.1 refuses it.
#[tokio::test]
async fn refused_with_a_page() {
    let server = Server::start();
    let client = Client::connect(&server).await;
    let long = format!("/{}", "x".repeat(20_000));
    let many: Vec<(String, String)> = (0..101).map(|n| (format!("x-{n}"), String::new())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(n, v)| (&n[..], &v[..])).collect();
    let large = "x".repeat(70_000);
    let huge = "x".repeat(200_000);
    let (large, huge) = ([("x", &large[..])], [("x", &huge[..])]);
    let cases = [
        (414, "line_too_long", request("GET", &long, &[])),
        (431, "too_many_fields", request("GET", "/", &many)),
        (431, "fields_too_large", request("GET", "/", &large)),
        (431, "fields_too_large", request("GET", "/", &huge)),
        (400, "field_value", request("GET", "/", &[("x", " y")])),
        (400, "target", request("GET", "/\u{e9}", &[])),
        (400, "target", request("GET", "/a b", &[])),
        (400, "connect_with_content", {
            vec![(":method", "CONNECT"), (":authority", "echo:1"), ("content-length", "0")]
        }),
    ];
    for (status, why, lines) in &cases {
        match client.send(&headers(lines)).await {
            Seen::Answer(seen, page) => {
                assert_eq!((seen, page.contains(why)), (*status, true), "{why}: {page}");
            }
            other => panic!("{why}: {other:?}"),
        }
        server.has_told(&format!("{status} {why}")).await;
    }
}
