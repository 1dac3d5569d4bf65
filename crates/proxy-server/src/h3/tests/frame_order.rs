//! Frames on request streams (RFC 9114 sections 4.1 and 7): what is out of order ends the
//! connection.

use super::*;

async fn ended_by(bytes: &[u8]) -> Seen {
    let server = Server::start();
    let client = Client::connect(&server).await;
    let seen = client.send(bytes).await;
    if let Seen::Closed(code) = seen {
        assert_eq!(client.closed().await, code);
    }
    client.close().await;
    seen
}

#[tokio::test]
async fn out_of_order() {
    let head = || headers(&request("POST", "/", &[]));
    let unexpected = [
        ("content first", data(b"x")),
        ("empty content first", data(b"")),
        ("content behind trailers", {
            [head(), data(b"x"), headers(&[("a", "b")]), data(b"y")].concat()
        }),
        ("a third section", [head(), headers(&[("a", "b")]), headers(&[("a", "b")])].concat()),
    ];
    for (what, bytes) in unexpected {
        assert_eq!(ended_by(&bytes).await, Seen::Closed(code::FRAME_UNEXPECTED), "{what}");
    }
    // Frames of other streams, and those of HTTP/2: first, and behind the head.
    for kind in [0x2, 0x3, 0x4, 0x5, 0x6, 0x7, 0x8, 0x9, 0xd, 0xf_0700, 0xf_0701] {
        for before in [vec![], head()] {
            let bytes = [before, frame(kind, &[0])].concat();
            let seen = ended_by(&bytes).await;
            assert_eq!(seen, Seen::Closed(code::FRAME_UNEXPECTED), "{kind:#x}");
        }
    }
}

#[tokio::test]
async fn cut_off() {
    let head = headers(&request("POST", "/", &[]));
    let mut cut_data = [head.clone(), data(b"four")].concat();
    cut_data.pop();
    for (what, bytes) in [
        ("a type alone", vec![0x1]),
        ("half a type", vec![0x40]),
        ("half a length", vec![0x1, 0x40]),
        ("a section without its end", head[..head.len() - 1].to_vec()),
        ("content without its end", cut_data),
        ("an unknown frame without its end", [head, vec![0x21, 0x5, 0x0]].concat()),
    ] {
        assert_eq!(ended_by(&bytes).await, Seen::Closed(code::FRAME_ERROR), "{what}");
    }
    let server = Server::start();
    let client = Client::connect(&server).await;
    // No request at all: only the stream is at fault (section 4.1).
    assert_eq!(client.send(b"").await, Seen::Reset(code::REQUEST_INCOMPLETE));
    assert_eq!(client.send(&frame(0x21, b"x")).await, Seen::Reset(code::REQUEST_INCOMPLETE));
}

/// RFC 9204 section 2.2: a section that can not be decoded ends the connection.
#[tokio::test]
async fn unreadable_sections() {
    let head = headers(&request("POST", "/", &[]));
    for (what, block) in [
        ("nothing", &b""[..]),
        ("half a prefix", b"\0"),
        ("an insert that is required", b"\x02\0\x80"),
        ("a dynamic index", b"\0\0\x80"),
        ("a dynamic name", b"\0\0\x40\x01a"),
        ("an index behind the base", b"\0\0\x10"),
        ("beyond the static table", b"\0\0\xff\x24"),
        ("a name that is cut off", b"\0\0\x27"),
        ("a value that is cut off", b"\0\0\x51\x05/"),
        ("padding that is none", b"\0\0\x51\x81\x00"),
    ] {
        let failed = Seen::Closed(code::DECOMPRESSION_FAILED);
        assert_eq!(ended_by(&frame(0x1, block)).await, failed, "{what}");
        if !block.is_empty() {
            let trailers = [head.clone(), data(b"x"), frame(0x1, block)].concat();
            assert_eq!(ended_by(&trailers).await, failed, "{what}, in trailers");
        }
    }
}

/// Section 9: what is not known is passed over, wherever it stands.
#[tokio::test]
async fn unknown_frames() {
    let server = Server::start();
    let client = Client::connect(&server).await;
    let grease = |n: u64| frame(0x1f * n + 0x21, b"anything");
    let mut long = frame(0x4242, &[7; 300_000]);
    let bytes = [
        grease(0),
        grease(1 << 40),
        headers(&request("POST", "/", &[])),
        grease(2),
        data(b"four"),
        long.clone(),
        headers(&[("x-sum", "1")]),
        grease(3),
    ];
    assert_eq!(client.send(&bytes.concat()).await, Seen::Answer(200, "4 bytes x-sum=1".into()));
    // Numbers may be longer than they need to be.
    let block = section(&request("GET", "/", &[]));
    let mut head = vec![0x40, 0x01, 0x80, 0, 0, u8::try_from(block.len()).expect("short")];
    head.extend_from_slice(&block);
    assert_eq!(client.send(&head).await, Seen::Answer(200, "0 bytes".into()));
    // Its length may be made up: nothing is kept for it.
    long = vec![0x21, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    long.extend_from_slice(&[0; 2000]);
    let bytes = [headers(&request("POST", "/", &[])), long].concat();
    assert_eq!(client.send(&bytes).await, Seen::Closed(code::FRAME_ERROR));
}

#[tokio::test]
async fn frames_that_bring_nothing_are_few() {
    let head = headers(&request("POST", "/", &[]));
    for idle in [data(b""), frame(0x21, b"")] {
        let bytes = [head.clone(), idle.repeat(5000)].concat();
        assert_eq!(ended_by(&bytes).await, Seen::Closed(code::EXCESSIVE_LOAD));
    }
}
