//! Tables for the framer; the sections are those of RFC 9112.

use proptest::prelude::*;

use super::*;

fn scan(head: &str) -> Result<HeadScan<RequestHeadInfo>, Fault> {
    MessageFramer::new(HeadLimits::default()).scan_request(head.as_bytes())
}

fn framing(head: &str) -> Framing {
    match scan(head) {
        Ok(HeadScan::Complete(info)) => info.framing,
        other => panic!("{head:?} gave {other:?}"),
    }
}

#[test]
fn sound_heads_pass() {
    for (head, expected) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Framing::None),
        ("get / HTTP/1.0\r\n\r\n", Framing::None),
        (
            "POST /x?q={a:1}|^ HTTP/1.1\r\nHost: a\r\nContent-Length: 003\r\n\r\n",
            Framing::Length(3),
        ),
        ("POST / HTTP/1.1\r\nTransfer-Encoding:\tChunked \r\nHost: a\r\n\r\n", Framing::Chunked),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", Framing::None),
        ("GET http://a.test:80/x?y HTTP/1.1\r\nHost: a\r\n\r\n", Framing::None),
        ("GET http://[::1]:80/ HTTP/1.1\r\nX: \u{e9}\r\n\r\n", Framing::None),
        ("CONNECT a.test:443 HTTP/1.1\r\nHost: a\r\n\r\n", Framing::None),
        ("PATCH / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", Framing::None),
    ] {
        assert_eq!(framing(head), expected, "{head:?}");
        assert!(
            head.len() > 300
                || http::Uri::try_from(head.split(' ').nth(1).expect("target")).is_ok(),
            "no URI in {head:?}"
        );
    }
}

#[test]
fn faults_are_named() {
    use Fault::*;
    let long = format!("GET /{} HTTP/1.1\r\n", "a".repeat(17 * 1024));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(101));
    let large = format!("GET / HTTP/1.1\r\nA: {}", "b".repeat(65 * 1024));
    for (head, fault) in [
        ("GET / HTTP/1.1\nHost: a\r\n\r\n", BareLf),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n", BareLf),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", BareLf),
        ("\nGET / HTTP/1.1\r\n\r\n", BareLf),
        ("GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", BareCr),
        ("GET /\r HTTP/1.1\r\nHost: a\r\n\r\n", BareCr),
        ("\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n", EmptyLines),
        ("GET  / HTTP/1.1\r\n\r\n", RequestLine),
        ("GET /  HTTP/1.1\r\n\r\n", RequestLine),
        ("GET\t/ HTTP/1.1\r\n\r\n", Method),
        (" GET / HTTP/1.1\r\n\r\n", RequestLine),
        ("GET /\r\n\r\n", RequestLine),
        ("GET / HTTP/1.1 \r\n\r\n", RequestLine),
        ("GET / http/1.1\r\n\r\n", RequestLine),
        ("GET / HTTP/1.10\r\n\r\n", RequestLine),
        ("GET / HTTP/2.0\r\n\r\n", Version),
        ("GET / HTTP/1.2\r\n\r\n", Version),
        ("G@T / HTTP/1.1\r\n\r\n", Method),
        ("GET #x HTTP/1.1\r\n\r\n", Target),
        ("CONNECT a:1#x HTTP/1.1\r\n\r\n", Target),
        ("GET x HTTP/1.1\r\n\r\n", Target),
        ("GET http:///x HTTP/1.1\r\n\r\n", Target),
        ("GET http://a:b:c/x HTTP/1.1\r\n\r\n", Target),
        ("GET /\u{e9} HTTP/1.1\r\n\r\n", Target),
        ("GET /a\0 HTTP/1.1\r\n\r\n", Target),
        ("CONNECT /x HTTP/1.1\r\n\r\n", Target),
        ("CONNECT u@a:1 HTTP/1.1\r\n\r\n", Target),
        ("GET / HTTP/1.1\r\n A: b\r\n\r\n", Folding),
        ("GET / HTTP/1.1\r\nA: b\r\n\tc\r\n\r\n", Folding),
        ("GET / HTTP/1.1\r\nA : b\r\n\r\n", FieldName),
        ("GET / HTTP/1.1\r\n: b\r\n\r\n", FieldName),
        ("GET / HTTP/1.1\r\nA b\r\n\r\n", FieldName),
        ("GET / HTTP/1.1\r\nA\0: b\r\n\r\n", FieldName),
        ("GET / HTTP/1.1\r\nA: b\0\r\n\r\n", FieldValue),
        ("GET / HTTP/1.1\r\nA: \u{7f}\r\n\r\n", FieldValue),
        ("POST / HTTP/1.1\r\nContent-Length: +3\r\n\r\n", ContentLength),
        ("POST / HTTP/1.1\r\nContent-Length: 3, 3\r\n\r\n", ContentLength),
        ("POST / HTTP/1.1\r\nContent-Length: 3 3\r\n\r\n", ContentLength),
        ("POST / HTTP/1.1\r\nContent-Length:\r\n\r\n", ContentLength),
        ("POST / HTTP/1.1\r\nContent-Length: 3\r\ncontent-length: 3\r\n\r\n", ContentLength),
        ("POST / HTTP/1.1\r\nContent-Length: 18446744073709551616\r\n\r\n", ContentLength),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", TransferEncoding),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: ,chunked\r\n\r\n", TransferEncoding),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: \u{b}chunked\r\n\r\n", FieldValue),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            TransferEncoding,
        ),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", TransferEncoding),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", BothLengths),
        ("CONNECT a:1 HTTP/1.1\r\nContent-Length: 0\r\n\r\n", ConnectContent),
        (&long, LineTooLong),
        (&many, TooManyFields),
        (&large, FieldsTooLarge),
    ] {
        assert_eq!(scan(head), Err(fault), "{:?}", &head[..head.len().min(90)]);
    }
}

/// Fragments and raw quotes come from real clients; behind the edge there is one form of them.
#[test]
fn unclean_targets_are_sanitised() {
    assert_eq!(&*sanitise_target(b"/a\"b?c=`d`#e"), b"/a%22b?c=%60d%60");
    assert!(matches!(sanitise_target(b"/a?b"), std::borrow::Cow::Borrowed(_)));
}

/// Section 2.2: a head is the same however its bytes arrive.
#[test]
fn heads_may_come_byte_by_byte() {
    let head = b"\r\nPOST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nrest";
    let mut framer = MessageFramer::new(HeadLimits::default());
    for end in 0..head.len() - 5 {
        assert_eq!(framer.scan_request(&head[..end]), Ok(HeadScan::Partial), "at {end}");
    }
    let Ok(HeadScan::Complete(info)) = framer.scan_request(head) else { panic!("whole") };
    assert_eq!((info.skip, info.len), (2, head.len() - 4 - 2));
    assert_eq!(info.framing, Framing::Length(5));
}

#[test]
fn responses_are_framed_by_status_and_method() {
    let scan = |head: &str, to_head| match MessageFramer::new(HeadLimits::default())
        .scan_response(head.as_bytes(), to_head)
    {
        Ok(HeadScan::Complete(info)) => Ok((info.status, info.framing)),
        Ok(HeadScan::Partial) => Ok((0, Framing::None)),
        Err(fault) => Err(fault),
    };
    let length = "Content-Length: 5\r\n\r\n";
    assert_eq!(scan(&format!("HTTP/1.1 200 OK\r\n{length}"), false), Ok((200, Framing::Length(5))));
    assert_eq!(scan(&format!("HTTP/1.1 200 OK\r\n{length}"), true), Ok((200, Framing::None)));
    assert_eq!(scan(&format!("HTTP/1.1 304 \r\n{length}"), false), Ok((304, Framing::None)));
    assert_eq!(scan("HTTP/1.1 204\r\n\r\n", false), Ok((204, Framing::None)));
    assert_eq!(scan("HTTP/1.0 200 OK\r\n\r\n", false), Ok((200, Framing::UntilClose)));
    assert_eq!(scan("HTTP/1.1 103 Early\r\n\r\n", false), Ok((103, Framing::None)));
    for (head, fault) in [
        ("HTTP/1.1 101 Switch\r\n\r\n", Fault::UnaskedUpgrade),
        ("HTTP/2.0 200 OK\r\n\r\n", Fault::StatusLine),
        ("HTTP/1.1 20 OK\r\n\r\n", Fault::StatusLine),
        ("HTTP/1.1  200 OK\r\n\r\n", Fault::StatusLine),
        ("HTTP/1.1 600 OK\r\n\r\n", Fault::StatusLine),
        ("HTTP/1.1 200 O\0K\r\n\r\n", Fault::StatusLine),
        ("hello", Fault::StatusLine),
        ("\r\nHTTP/1.1 200 OK\r\n\r\n", Fault::StatusLine),
        ("HTTP/1.1 200 OK\nA: b\r\n\r\n", Fault::BareLf),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Fault::TransferEncoding),
        (
            "HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
            Fault::BothLengths,
        ),
    ] {
        assert_eq!(scan(head, false), Err(fault), "{head:?}");
    }
}

fn content(input: &str) -> Result<ContentScan, Fault> {
    ContentFramer::new(Framing::Chunked).scan(input.as_bytes())
}

/// Section 7.1.
#[test]
fn chunks() {
    for (input, left) in [
        ("0\r\n\r\n", 0),
        ("5\r\nhello\r\n0\r\n\r\nGET", 3),
        ("000005;a=b;c=\"d\\\"\" ; e\r\nhello\r\n0\r\nX: y\r\nZ:\r\n\r\n", 0),
        ("A ;x\r\n0123456789\r\n00\r\n\r\n", 0),
    ] {
        assert_eq!(
            content(input),
            Ok(ContentScan { len: input.len() - left, end: true }),
            "{input:?}"
        );
    }
    for (input, fault) in [
        ("\r\n", Fault::ChunkSize),
        ("g\r\n", Fault::ChunkSize),
        ("+5\r\n", Fault::ChunkSize),
        ("0x5\r\n", Fault::ChunkSize),
        (" 5\r\n", Fault::ChunkSize),
        ("5 \r\n", Fault::ChunkExtension),
        ("5,\r\n", Fault::ChunkSize),
        ("10000000000000000\r\n", Fault::ChunkSize),
        ("5\nhello", Fault::BareLf),
        ("5\r5", Fault::BareCr),
        ("5;\r\n", Fault::ChunkExtension),
        ("5;a\0\r\n", Fault::ChunkExtension),
        ("5;a\n", Fault::BareLf),
        ("5;a=\"b\r\n", Fault::ChunkExtension),
        ("5;a b\r\n", Fault::ChunkExtension),
        ("5\r\nhello0\r\n", Fault::ChunkEnd),
        ("5\r\nhello\n0\r\n", Fault::ChunkEnd),
        ("0\r\n X: y\r\n\r\n", Fault::Trailers),
        ("0\r\nX: y\r\n z\r\n\r\n", Fault::Trailers),
        ("0\r\nX : y\r\n\r\n", Fault::Trailers),
        ("0\r\nX: y\n\r\n", Fault::BareLf),
        ("0\r\nX: \0\r\n\r\n", Fault::Trailers),
        ("0\r\n\rx", Fault::BareCr),
    ] {
        assert_eq!(content(input), Err(fault), "{input:?}");
    }
    let long = format!("5;{}", "a".repeat(CHUNK_EXTENSIONS_LIMIT + 1));
    assert_eq!(content(&long), Err(Fault::ChunkExtension));
    let trailers = format!("0\r\n{}", "A: b\r\n".repeat(TRAILERS_LIMIT / 6 + 1));
    assert_eq!(content(&trailers), Err(Fault::Trailers));
}

/// Content, trailer section, and where the message ends.
type Taken = Option<(Vec<u8>, Vec<u8>, usize)>;

/// What `input` holds, read piece by piece, in reads of `step` bytes.
fn pieces(input: &[u8], step: usize) -> Result<Taken, Fault> {
    let mut framer = ContentFramer::new(Framing::Chunked);
    let (mut data, mut trailers, mut at, mut read) = (Vec::new(), Vec::new(), 0, 0);
    loop {
        match framer.next_piece(&input[at..read])? {
            ContentPiece::Framing(0) if read == input.len() => return Ok(None),
            ContentPiece::Framing(0) => read = (read + step).min(input.len()),
            ContentPiece::Framing(n) => at += n,
            ContentPiece::Data(n) => {
                data.extend_from_slice(&input[at..at + n]);
                at += n;
            }
            ContentPiece::Trailers(n) => {
                trailers.extend_from_slice(&input[at..at + n]);
                at += n;
            }
            ContentPiece::End => return Ok(Some((data, trailers, at))),
        }
    }
}

/// Sections 7.1 and 7.1.2.
#[test]
fn content_is_taken_out_of_its_chunks() {
    let input = b"5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nX: y\r\nZ:\r\n\r\nGET";
    for step in 1..input.len() {
        let (data, trailers, end) = pieces(input, step).expect("sound").expect("whole");
        assert_eq!((&*data, &*trailers), (&b"hello!"[..], &b"X: y\r\nZ:\r\n\r\n"[..]));
        assert_eq!(end, input.len() - 3);
    }
    let mut known = ContentFramer::new(Framing::Length(5));
    assert_eq!(known.next_piece(b"abc"), Ok(ContentPiece::Data(3)));
    assert_eq!(known.remaining(), Some(2));
    assert_eq!(known.next_piece(b""), Ok(ContentPiece::Framing(0)));
    assert_eq!(known.next_piece(b"deHTTP"), Ok(ContentPiece::Data(2)));
    assert_eq!(known.next_piece(b"HTTP"), Ok(ContentPiece::End));
}

proptest! {
    /// Whoever takes content out of its chunks finds the same faults and the same end.
    #[test]
    fn pieces_and_scans_agree(input in "[0-3a;= \r\nX:]{0,40}", step in 1usize..9) {
        let whole = content(&input);
        match pieces(input.as_bytes(), step) {
            Err(fault) => prop_assert_eq!(whole, Err(fault)),
            Ok(None) => prop_assert!(!whole.expect("sound").end),
            Ok(Some((_, _, end))) => prop_assert_eq!(whole, Ok(ContentScan { len: end, end: true })),
        }
    }

    /// However the bytes are cut, the verdict and the end are the same.
    #[test]
    fn cuts_do_not_matter(input in "[0-9a-c;= \"\\\\\r\nX:]{0,40}", cut in 0usize..40) {
        let whole = content(&input);
        let cut = cut.min(input.len());
        let mut framer = ContentFramer::new(Framing::Chunked);
        let parts = framer.scan(&input.as_bytes()[..cut]).and_then(|first| {
            if first.end { return Ok(first); }
            let second = framer.scan(&input.as_bytes()[cut..])?;
            Ok(ContentScan { len: first.len + second.len, end: second.end })
        });
        prop_assert_eq!(whole, parts);
    }

    /// No input makes the head scan panic, and what passes has a head that ends with an empty line.
    #[test]
    fn heads_never_panic(input in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(HeadScan::Complete(info)) = MessageFramer::default().scan_request(&input) {
            prop_assert!(input[..info.skip + info.len].ends_with(b"\r\n\r\n"));
        }
        let _ = MessageFramer::default().scan_response(&input, false);
    }
}
