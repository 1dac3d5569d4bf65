//! What would become another message when it is written as HTTP/1.1: request smuggling by
//! downgrade (RFC 9113 section 10.3).

use proxyd_tests::h2_wire::kind;
use proxyd_tests::hpack;

use crate::case::{Case, Must, WHOLE};

type Field<'a> = (&'a [u8], &'a [u8]);

pub(crate) fn cases() -> Vec<Case> {
    let names: [(&str, &[u8]); 13] = [
        ("a line feed", b"x-a\nb"),
        ("a carriage return", b"x-a\rb"),
        ("a line of its own", b"x-a: b\r\nx-c"),
        ("a request of its own", b"x\r\n\r\nGET /faulty HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("NUL", b"x-a\0"),
        ("a colon", b"x-a:b"),
        ("a leading space", b" x-a"),
        ("a trailing space", b"x-a "),
        ("a tab", b"x\t-a"),
        ("DEL", b"x-a\x7f"),
        ("a byte above ASCII", b"x-\xc3\xa9"),
        ("a capital", b"X-a"),
        ("nothing", b""),
    ];
    let values: [(&str, &[u8]); 8] = [
        ("a line feed", b"b\nc"),
        ("a carriage return", b"b\rc"),
        ("a line of its own", b"b\r\nx-c: d"),
        ("a framing of its own", b"b\r\ntransfer-encoding: chunked"),
        ("a request of its own", b"b\r\n\r\nGET /faulty HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("NUL", b"b\0c"),
        ("a control byte", b"b\x01c"),
        ("DEL", b"b\x7fc"),
    ];
    let line_ends: [(&str, &[u8]); 5] = [
        ("a line feed", b"\n"),
        ("a carriage return", b"\r"),
        ("a request line", b" HTTP/1.1\r\nHost: a\r\n\r\nGET /faulty"),
        ("NUL", b"\0"),
        ("a space", b" "),
    ];
    let mut cases = Vec::new();
    for (what, name) in names {
        cases.push(refused(format!("{what} in a field's name"), &[(name, b"b")]));
    }
    for (what, value) in values {
        cases.push(refused(format!("{what} in a field's value"), &[(b"x-a", value)]));
    }
    for (what, end) in line_ends {
        for pseudo in [":method", ":scheme", ":authority", ":path"] {
            cases.push(within(format!("{what} in {pseudo}"), pseudo, end));
        }
    }
    for value in ["chunked", "identity", "gzip, chunked", "Chunked", " chunked", "xchunked", ""] {
        let field: Field<'_> = (b"transfer-encoding", value.as_bytes());
        cases.push(refused(format!("Transfer-Encoding {value:?}"), &[field]));
    }
    cases
}

/// A request with these fields behind its own.
fn refused(what: String, more: &[Field<'_>]) -> Case {
    let mut fields: Vec<Field<'_>> = vec![
        (b":method", b"GET"),
        (b":scheme", b"http"),
        (b":authority", b"origin.test"),
        (b":path", b"/faulty"),
    ];
    fields.extend(more);
    case(what, &fields)
}

/// A request with something behind the value of one of its pseudo-fields.
fn within(what: String, pseudo: &str, more: &[u8]) -> Case {
    let fields = [
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "origin.test"),
        (":path", "/faulty"),
    ];
    let spoilt: Vec<(Vec<u8>, Vec<u8>)> = fields
        .map(|(name, value)| {
            let more = if name == pseudo { more } else { b"" };
            (name.as_bytes().to_vec(), [value.as_bytes(), more].concat())
        })
        .to_vec();
    case(what, &spoilt)
}

fn case<N: AsRef<[u8]>, V: AsRef<[u8]>>(what: String, fields: &[(N, V)]) -> Case {
    Case::new("10.3", what, Must::EndStream(1, &[1, 9])).frame(
        kind::HEADERS,
        WHOLE,
        1,
        hpack::encode(fields),
    )
}
