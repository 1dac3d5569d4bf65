use super::*;

const GET: Asked = Asked {
    head: false,
    connect: false,
    version_10: false,
    keep_alive: true,
    takes_trailers: true,
};
const HEAD: Asked = Asked { head: true, ..GET };
const OLD: Asked = Asked { version_10: true, keep_alive: false, ..GET };

fn write_head(
    status: u16,
    fields: &[(&'static str, &'static str)],
    content: Content,
    asked: Asked,
) -> Result<(String, Written), Unsound> {
    let mut response = http::Response::new(());
    *response.status_mut() = StatusCode::from_u16(status).expect("status");
    for (name, value) in [("date", "d")].iter().chain(fields) {
        response.headers_mut().append(*name, HeaderValue::from_static(value));
    }
    let mut out = BytesMut::from("before ");
    let (head, ()) = response.into_parts();
    let written = write(&mut out, &head, content, asked);
    let text = String::from_utf8(out.to_vec()).expect("text");
    match written {
        Ok(written) => {
            let text = text.strip_prefix("before ").expect("untouched");
            let (line, fields) = text.split_once("\r\ndate: d\r\n").expect("a date");
            let version = if asked.version_10 { "HTTP/1.0" } else { "HTTP/1.1" };
            assert!(line.starts_with(&format!("{version} {status} ")), "{line}");
            Ok((fields.strip_suffix("\r\n").expect("an empty line").to_owned(), written))
        }
        Err(unsound) => {
            assert_eq!(text, "before ");
            Err(unsound)
        }
    }
}

/// RFC 9112 section 6.3 and RFC 9110 section 8.6.
#[test]
fn framing() {
    use Content::{Known, None, Unknown};
    let length = [("content-length", "5")];
    let chunked = || Coding::Chunked(Vec::new());
    for (status, fields, content, asked, lines, coding) in [
        (200, &length[..], Known(5), GET, "content-length: 5\r\n", Coding::Length(5)),
        (200, &length, Unknown, GET, "content-length: 5\r\n", Coding::Length(5)),
        (200, &length, None, GET, "content-length: 0\r\n", Coding::Length(0)),
        (200, &[], None, GET, "content-length: 0\r\n", Coding::Length(0)),
        (200, &[], Known(0), GET, "content-length: 0\r\n", Coding::Length(0)),
        (200, &[], Known(7), GET, "content-length: 7\r\n", Coding::Length(7)),
        (200, &[], Unknown, GET, "transfer-encoding: chunked\r\n", chunked()),
        (
            200,
            &[("transfer-encoding", "gzip")],
            Unknown,
            GET,
            "transfer-encoding: chunked\r\n",
            chunked(),
        ),
        (200, &[], Unknown, OLD, "", Coding::UntilClose),
        (200, &length, Unknown, OLD, "content-length: 5\r\n", Coding::Length(5)),
        (200, &length, None, HEAD, "content-length: 5\r\n", Coding::Length(0)),
        (200, &[], None, HEAD, "", Coding::Length(0)),
        (200, &[], Known(7), HEAD, "content-length: 7\r\n", Coding::Length(0)),
        (200, &[], Unknown, HEAD, "", Coding::Length(0)),
        (204, &length, None, GET, "", Coding::Length(0)),
        (204, &length, Unknown, GET, "", Coding::Length(0)),
        (204, &length, None, HEAD, "", Coding::Length(0)),
        (304, &length, None, GET, "", Coding::Length(0)),
        (304, &length, None, HEAD, "content-length: 5\r\n", Coding::Length(0)),
        (200, &length, Unknown, Asked { connect: true, ..GET }, "", Coding::Length(0)),
        (200, &[], Unknown, Asked { connect: true, ..GET }, "", Coding::Length(0)),
    ] {
        let (written, head) = write_head(status, fields, content, asked).expect("sound");
        assert_eq!(
            (written.as_str(), &head.coding),
            (lines, &coding),
            "{status} {fields:?} {content:?} {asked:?}"
        );
        assert_eq!(head.keep_alive, asked.keep_alive);
    }
}

#[test]
fn two_lengths_are_never_written() {
    for fields in [
        &[("content-length", "5"), ("content-length", "6")][..],
        &[("content-length", "+5")],
        &[("content-length", "")],
        &[("content-length", "99999999999999999999")],
    ] {
        assert!(write_head(200, fields, Content::Unknown, GET).is_err(), "{fields:?}");
    }
    let same = [("content-length", "5"), ("content-length", "5")];
    let (written, _) = write_head(200, &same, Content::Unknown, GET).expect("sound");
    assert_eq!(written, "content-length: 5\r\n");
}

/// RFC 9112 section 9.3.
#[test]
fn connection_in_one_line() {
    let old = Asked { keep_alive: true, ..OLD };
    let last = Asked { keep_alive: false, ..GET };
    for (fields, content, asked, line, keep_alive) in [
        (&[][..], Content::None, GET, "", true),
        (&[], Content::None, last, "connection: close\r\n", false),
        (&[("connection", "close")], Content::None, last, "connection: close\r\n", false),
        (
            &[("connection", "a"), ("connection", "Close")],
            Content::None,
            GET,
            "connection: a, Close\r\n",
            false,
        ),
        (&[], Content::None, old, "connection: keep-alive\r\n", true),
        (&[("connection", "close")], Content::None, old, "connection: close\r\n", false),
        // Its end is the connection's.
        (&[], Content::Unknown, old, "", false),
        (&[], Content::None, OLD, "", false),
    ] {
        let (written, head) = write_head(200, fields, content, asked).expect("sound");
        let connection: String =
            written.split_inclusive("\r\n").filter(|line| line.starts_with("connection")).collect();
        assert_eq!((connection.as_str(), head.keep_alive), (line, keep_alive), "{fields:?}");
    }
}

/// RFC 9110 section 6.5.1: only what was announced, to who wants it.
#[test]
fn announced_trailers() {
    let fields = [("trailer", "X-Sum, Host"), ("trailer", "x-b")];
    let (written, head) = write_head(200, &fields, Content::Unknown, GET).expect("sound");
    assert_eq!(written, "trailer: X-Sum, Host, x-b\r\ntransfer-encoding: chunked\r\n");
    let names = ["x-sum", "x-b"].map(HeaderName::from_static).to_vec();
    assert_eq!(head.coding, Coding::Chunked(names));
    let unwanted = Asked { takes_trailers: false, ..GET };
    let (_, head) = write_head(200, &fields, Content::Unknown, unwanted).expect("sound");
    assert_eq!(head.coding, Coding::Chunked(Vec::new()));
    let (written, _) = write_head(200, &fields, Content::Unknown, OLD).expect("sound");
    assert_eq!(written, "");
}

#[test]
fn a_date_is_added_where_none_is() {
    let (mut head, ()) = http::Response::new(()).into_parts();
    let mut out = BytesMut::new();
    write(&mut out, &head, Content::None, GET).expect("sound");
    let text = String::from_utf8(out.to_vec()).expect("text");
    assert!(text.contains("\r\ndate: ") && text.ends_with(" GMT\r\n\r\n"), "{text}");
    head.extensions.insert(ReasonPhrase("Fine".into()));
    head.headers.insert(DATE, HeaderValue::from_static("d"));
    out.clear();
    write(&mut out, &head, Content::None, GET).expect("sound");
    assert_eq!(out, "HTTP/1.1 200 Fine\r\ndate: d\r\ncontent-length: 0\r\n\r\n");
}
