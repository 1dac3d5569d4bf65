//! Requests as messages: RFC 9113 sections 8.1 to 8.6, RFC 9110.

use proxyd_tests::h2_wire::kind;
use proxyd_tests::hpack;

use crate::case::{Case, END_HEADERS, END_STREAM, Must, PROTOCOL, WHOLE, head};

const METHOD: (&str, &str) = (":method", "GET");
const SCHEME: (&str, &str) = (":scheme", "http");
const AUTHORITY: (&str, &str) = (":authority", "origin.test");
const PATH: (&str, &str) = (":path", "/faulty");

type Fields<'a> = &'a [(&'a str, &'a str)];

pub(crate) fn cases() -> Vec<Case> {
    [sections(), pseudo_fields(), fields(), lengths(), connects(), whole_ones()].concat()
}

/// A request of these fields that must not be taken.
fn malformed(section: &'static str, what: &str, fields: &[(&str, &str)]) -> Case {
    Case::new(section, what, Must::EndStream(1, PROTOCOL)).frame(
        kind::HEADERS,
        WHOLE,
        1,
        hpack::encode(fields),
    )
}

fn sections() -> Vec<Case> {
    let trailers = |fields: &[(&str, &str)]| hpack::encode(fields);
    vec![
        Case::new("8.1", "a second header section that ends nothing", Must::EndStream(1, PROTOCOL))
            .post(1, "/faulty")
            .frame(kind::HEADERS, END_HEADERS, 1, trailers(&[("x-a", "b")])),
        Case::new("8.1", "trailers", Must::Answer(1, 200))
            .post(1, "/")
            .frame(kind::DATA, 0, 1, b"hello")
            .frame(kind::HEADERS, WHOLE, 1, trailers(&[("x-a", "b")])),
        Case::new("8.1", "trailers without content", Must::Answer(1, 200)).post(1, "/").frame(
            kind::HEADERS,
            WHOLE,
            1,
            trailers(&[("x-a", "b")]),
        ),
        Case::new("8.1", "content behind trailers", Must::EndStream(1, &[5, 1]))
            .post(1, "/never")
            .frame(kind::HEADERS, WHOLE, 1, trailers(&[("x-a", "b")]))
            .frame(kind::DATA, END_STREAM, 1, b"x"),
        Case::new("8.3", "a pseudo-field in trailers", Must::EndStream(1, PROTOCOL))
            .post(1, "/faulty")
            .frame(kind::HEADERS, WHOLE, 1, trailers(&[(":path", "/other")])),
        Case::new("8.3", "a response's pseudo-field in trailers", Must::EndStream(1, PROTOCOL))
            .post(1, "/faulty")
            .frame(kind::HEADERS, WHOLE, 1, trailers(&[(":status", "200")])),
        Case::new("8.2.2", "a connection's field in trailers", Must::EndStream(1, PROTOCOL))
            .post(1, "/faulty")
            .frame(kind::HEADERS, WHOLE, 1, trailers(&[("transfer-encoding", "chunked")])),
    ]
}

fn pseudo_fields() -> Vec<Case> {
    let cases: &[(&str, &str, Fields<'_>)] = &[
        ("8.3", "an unknown pseudo-field", &[METHOD, SCHEME, AUTHORITY, PATH, (":test", "x")]),
        (
            "8.3",
            "a response's pseudo-field",
            &[METHOD, SCHEME, AUTHORITY, PATH, (":status", "200")],
        ),
        ("8.3", "a pseudo-field behind a field", &[METHOD, SCHEME, ("x-a", "b"), AUTHORITY, PATH]),
        ("8.3.1", "no :method", &[SCHEME, AUTHORITY, PATH]),
        ("8.3.1", "no :scheme", &[METHOD, AUTHORITY, PATH]),
        ("8.3.1", "no :path", &[METHOD, SCHEME, AUTHORITY]),
        ("8.3.1", "no pseudo-field", &[("host", "origin.test")]),
        ("8.3.1", "an empty :path", &[METHOD, SCHEME, AUTHORITY, (":path", "")]),
        ("8.3.1", "an empty :method", &[(":method", ""), SCHEME, AUTHORITY, PATH]),
        ("8.3.1", "an empty :scheme", &[METHOD, (":scheme", ""), AUTHORITY, PATH]),
        ("8.3.1", "two of :method", &[METHOD, METHOD, SCHEME, AUTHORITY, PATH]),
        ("8.3.1", "two of :scheme", &[METHOD, SCHEME, SCHEME, AUTHORITY, PATH]),
        ("8.3.1", "two of :authority", &[METHOD, SCHEME, AUTHORITY, AUTHORITY, PATH]),
        ("8.3.1", "two of :path", &[METHOD, SCHEME, AUTHORITY, PATH, PATH]),
        ("8.3.1", "a :path without a slash", &[METHOD, SCHEME, AUTHORITY, (":path", "faulty")]),
        ("8.3.1", "an absolute :path", &[METHOD, SCHEME, AUTHORITY, (":path", "http://a/faulty")]),
        ("8.3.1", "* with GET", &[METHOD, SCHEME, AUTHORITY, (":path", "*")]),
        ("8.3.1", "a space in :path", &[METHOD, SCHEME, AUTHORITY, (":path", "/faulty x")]),
        ("8.3.1", "a space in :method", &[(":method", "GET /faulty"), SCHEME, AUTHORITY, PATH]),
        ("8.3.1", "a colon in :method", &[(":method", "GE:T"), SCHEME, AUTHORITY, PATH]),
        ("8.3.1", "an unknown :scheme", &[METHOD, (":scheme", "fa ulty"), AUTHORITY, PATH]),
        ("8.3.1", "userinfo in :authority", &[METHOD, SCHEME, (":authority", "u@a.test"), PATH]),
        ("8.3.1", "a slash in :authority", &[METHOD, SCHEME, (":authority", "a.test/x"), PATH]),
        ("8.3.1", "a list in :authority", &[METHOD, SCHEME, (":authority", "a.test,b"), PATH]),
        ("8.3.1", "a space in :authority", &[METHOD, SCHEME, (":authority", "a.test b"), PATH]),
        ("8.3.1", "a port that is none", &[METHOD, SCHEME, (":authority", "a.test:7x"), PATH]),
        ("8.3.1", "neither :authority nor Host", &[METHOD, SCHEME, PATH]),
        (
            "8.3.1",
            "a Host that differs from :authority",
            &[METHOD, SCHEME, AUTHORITY, PATH, ("host", "other.test")],
        ),
        (
            "8.3.1",
            "two of Host",
            &[METHOD, SCHEME, PATH, ("host", "origin.test"), ("host", "origin.test")],
        ),
    ];
    cases.iter().map(|(section, what, fields)| malformed(section, what, fields)).collect()
}

fn fields() -> Vec<Case> {
    let cases: &[(&str, &str, (&str, &str))] = &[
        ("8.2.2", "Connection", ("connection", "keep-alive")),
        ("8.2.2", "Connection that names a field", ("connection", "x-a")),
        ("8.2.2", "Keep-Alive", ("keep-alive", "timeout=5")),
        ("8.2.2", "Proxy-Connection", ("proxy-connection", "keep-alive")),
        ("8.2.2", "Transfer-Encoding", ("transfer-encoding", "chunked")),
        ("8.2.2", "Upgrade", ("upgrade", "h2c")),
        ("8.2.2", "TE other than trailers", ("te", "gzip")),
        ("8.2.2", "TE with more than trailers", ("te", "trailers, deflate;q=0.5")),
        ("8.2.1", "a value that begins with a space", ("x-a", " b")),
        ("8.2.1", "a value that begins with a tab", ("x-a", "\tb")),
        ("8.2.1", "a value that ends with a space", ("x-a", "b ")),
        ("8.2.1", "a value that ends with a tab", ("x-a", "b\t")),
    ];
    cases
        .iter()
        .map(|(section, what, field)| {
            malformed(section, what, &[METHOD, SCHEME, AUTHORITY, PATH, *field])
        })
        .collect()
}

fn lengths() -> Vec<Case> {
    let post = |what: &str, length: &str, must| {
        let path = if matches!(must, Must::Answer(..)) { "/" } else { "/faulty" };
        let block = head("POST", path, &[("content-length", length)]);
        Case::new("8.1.1", what, must).frame(kind::HEADERS, END_HEADERS, 1, block)
    };
    let wrong = Must::EndStream(1, PROTOCOL);
    let mut cases = vec![
        post("a length that is right", "5", Must::Answer(1, 200)).frame(
            kind::DATA,
            END_STREAM,
            1,
            b"hello",
        ),
        post("a length that is right, in pieces", "5", Must::Answer(1, 200))
            .frame(kind::DATA, 0, 1, b"he")
            .frame(kind::DATA, END_STREAM, 1, b"llo"),
        post("less content than announced", "9", wrong).frame(kind::DATA, END_STREAM, 1, b"hello"),
        post("less content in pieces", "9", wrong).frame(kind::DATA, 0, 1, b"he").frame(
            kind::DATA,
            END_STREAM,
            1,
            b"llo",
        ),
        post("more content than announced", "2", wrong).frame(kind::DATA, END_STREAM, 1, b"hello"),
        post("trailers before the announced end", "9", wrong)
            .frame(kind::DATA, 0, 1, b"hello")
            .frame(kind::HEADERS, WHOLE, 1, hpack::encode(&[("x-a", "b")])),
        Case::new("8.1.1", "a length, and no content", wrong).frame(
            kind::HEADERS,
            WHOLE,
            1,
            head("POST", "/faulty", &[("content-length", "5")]),
        ),
        Case::new("8.1.1", "a length of 0, and no content", Must::Answer(1, 200)).frame(
            kind::HEADERS,
            WHOLE,
            1,
            head("POST", "/", &[("content-length", "0")]),
        ),
        Case::new("8.1.1", "two lengths that differ", wrong)
            .frame(
                kind::HEADERS,
                END_HEADERS,
                1,
                head("POST", "/faulty", &[("content-length", "5"), ("content-length", "6")]),
            )
            .frame(kind::DATA, END_STREAM, 1, b"hello"),
    ];
    for length in ["+5", "-5", "5 ", "0x5", "5,5", "5;5", "5.0", "", "18446744073709551621"] {
        cases.push(post(&format!("the length {length:?}"), length, wrong).frame(
            kind::DATA,
            END_STREAM,
            1,
            b"hello",
        ));
    }
    cases
}

fn connects() -> Vec<Case> {
    let connect = |what: &str, fields: &[(&str, &str)]| malformed("8.5", what, fields);
    let method = (":method", "CONNECT");
    vec![
        connect("CONNECT with :path", &[method, AUTHORITY, PATH]),
        connect("CONNECT with :scheme", &[method, SCHEME, AUTHORITY]),
        connect("CONNECT without :authority", &[method]),
        connect("CONNECT without a port", &[method, (":authority", "faulty.test")]),
        connect(
            "extended CONNECT that was not offered (RFC 8441)",
            &[method, SCHEME, AUTHORITY, PATH, (":protocol", "websocket")],
        ),
        connect(
            ":protocol with GET (RFC 8441)",
            &[METHOD, SCHEME, AUTHORITY, PATH, (":protocol", "x")],
        ),
    ]
}

fn whole_ones() -> Vec<Case> {
    let with = |what: &str, method: &str, path: &str, more: &[(&str, &str)], status: u16| {
        Case::new("8.8", what, Must::Answer(1, status)).frame(
            kind::HEADERS,
            WHOLE,
            1,
            head(method, path, more),
        )
    };
    vec![
        with("GET", "GET", "/", &[], 200),
        with("HEAD", "HEAD", "/", &[], 200),
        with("POST without content", "POST", "/", &[], 200),
        with("a method that nobody knows", "FROBNICATE", "/", &[], 200),
        with("OPTIONS *", "OPTIONS", "*", &[], 200),
        with("TE: trailers", "GET", "/", &[("te", "trailers")], 200),
        with("a Host like :authority", "GET", "/", &[("host", "origin.test")], 200),
        with("an empty value", "GET", "/", &[("x-a", "")], 200),
        with("spaces within a value", "GET", "/", &[("x-a", "b  \t c")], 200),
        with("crumbs of a cookie", "GET", "/", &[("cookie", "a=b"), ("cookie", "c=d")], 200),
        with("a query", "GET", "/?a=b&c=%20d", &[], 200),
        with("priority (RFC 9218)", "GET", "/", &[("priority", "u=1, i")], 200),
        Case::new("8.3.1", "Host instead of :authority", Must::Answer(1, 200)).frame(
            kind::HEADERS,
            WHOLE,
            1,
            hpack::encode(&[METHOD, SCHEME, (":path", "/"), ("host", "origin.test")]),
        ),
    ]
}
