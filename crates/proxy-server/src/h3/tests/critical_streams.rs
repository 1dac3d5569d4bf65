//! Unidirectional streams (RFC 9114 section 6.2, RFC 9204 section 4.2), and what a control stream
//! may carry (section 7.2).

use super::*;

/// How a connection ends on which one stream brings these bytes.
async fn ended_by(bytes: &[u8]) -> u64 {
    let server = Server::start();
    let client = Client::bare(&server).await.expect("a connection");
    let _stream = client.open_uni(bytes).await;
    client.closed().await
}

/// A control stream that brings frames behind its settings.
fn control(frames: &[u8]) -> Vec<u8> {
    [&[0x0, 0x4, 0x0], frames].concat()
}

#[tokio::test]
async fn control_frames() {
    for (what, bytes, code) in [
        ("content first", [&[0x0][..], &data(b"x")].concat(), code::MISSING_SETTINGS),
        (
            "an unknown frame first",
            [&[0x0][..], &frame(0x21, b"")].concat(),
            code::MISSING_SETTINGS,
        ),
        ("goaway first", [&[0x0][..], &frame(0x7, &[0])].concat(), code::MISSING_SETTINGS),
        ("settings twice", control(&frame(0x4, b"")), code::FRAME_UNEXPECTED),
        ("content", control(&data(b"x")), code::FRAME_UNEXPECTED),
        ("a section", control(&headers(&[("a", "b")])), code::FRAME_UNEXPECTED),
        ("a promise", control(&frame(0x5, &[0, 0, 0])), code::FRAME_UNEXPECTED),
        ("PRIORITY of HTTP/2", control(&frame(0x2, &[0; 5])), code::FRAME_UNEXPECTED),
        ("PING of HTTP/2", control(&frame(0x6, &[0; 8])), code::FRAME_UNEXPECTED),
        ("WINDOW_UPDATE of HTTP/2", control(&frame(0x8, &[0; 4])), code::FRAME_UNEXPECTED),
        ("CONTINUATION of HTTP/2", control(&frame(0x9, b"")), code::FRAME_UNEXPECTED),
        ("a push that was not promised", control(&frame(0x3, &[0])), code::ID_ERROR),
        (
            "a smaller push id",
            control(&[frame(0xd, &[5]), frame(0xd, &[4])].concat()),
            code::ID_ERROR,
        ),
        (
            "a larger goaway",
            control(&[frame(0x7, &[4]), frame(0x7, &[8])].concat()),
            code::ID_ERROR,
        ),
        ("a priority of no request", control(&frame(0xf_0700, &[3, b'u'])), code::ID_ERROR),
        ("a priority of no push", control(&frame(0xf_0701, &[0, b'u'])), code::ID_ERROR),
        ("an empty goaway", control(&frame(0x7, b"")), code::FRAME_ERROR),
        ("a goaway with more behind", control(&frame(0x7, &[0, 0])), code::FRAME_ERROR),
        ("half a push id", control(&frame(0xd, &[0x40])), code::FRAME_ERROR),
        ("an empty push id", control(&frame(0xd, b"")), code::FRAME_ERROR),
        ("an empty cancel", control(&frame(0x3, b"")), code::FRAME_ERROR),
        ("a large goaway", control(&frame(0x7, &[0; 5000])), code::EXCESSIVE_LOAD),
        ("5000 unknown frames", control(&frame(0x21, b"").repeat(5000)), code::EXCESSIVE_LOAD),
    ] {
        assert_eq!(ended_by(&bytes).await, code, "{what}");
    }
}

#[tokio::test]
async fn settings() {
    for (what, payload, code) in [
        ("a number without a value", &[0x6][..], code::FRAME_ERROR),
        ("half a value", &[0x6, 0x40], code::FRAME_ERROR),
        ("one twice", &[0x6, 0x1, 0x6, 0x2], code::SETTINGS_ERROR),
        ("an unknown one twice", &[0x21, 0x1, 0x21, 0x1], code::SETTINGS_ERROR),
        ("ENABLE_PUSH of HTTP/2", &[0x2, 0x0], code::SETTINGS_ERROR),
        ("MAX_CONCURRENT_STREAMS of HTTP/2", &[0x3, 0x1], code::SETTINGS_ERROR),
        ("INITIAL_WINDOW_SIZE of HTTP/2", &[0x4, 0x1], code::SETTINGS_ERROR),
        ("MAX_FRAME_SIZE of HTTP/2", &[0x5, 0x1], code::SETTINGS_ERROR),
        ("a datagram setting of 2", &[0x33, 0x2], code::SETTINGS_ERROR),
    ] {
        let bytes = [&[0x0][..], &frame(0x4, payload)].concat();
        assert_eq!(ended_by(&bytes).await, code, "{what}");
    }
}

#[tokio::test]
async fn streams() {
    for (what, bytes, code) in [
        ("a push", &[0x1, 0x0][..], code::STREAM_CREATION),
        ("a capacity beyond none", &[0x2, 0x3f, 0x1], code::ENCODER_STREAM),
        ("an insert", &[0x2, 0xc1, 0x1, b'x'], code::ENCODER_STREAM),
        ("a duplicate", &[0x2, 0x0], code::ENCODER_STREAM),
        ("an acknowledgement", &[0x3, 0x80], code::DECODER_STREAM),
        ("an increment of 0", &[0x3, 0x0], code::DECODER_STREAM),
        ("an increment", &[0x3, 0x1], code::DECODER_STREAM),
        (
            "a number that never ends",
            &[0x3, 0x7f, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80],
            code::DECODER_STREAM,
        ),
    ] {
        assert_eq!(ended_by(bytes).await, code, "{what}");
    }
    for kind in [0x0, 0x2, 0x3] {
        let bytes = if kind == 0x0 { vec![0x0, 0x4, 0x0] } else { vec![kind] };
        let server = Server::start();
        let client = Client::bare(&server).await.expect("a connection");
        let (_one, _two) = (client.open_uni(&bytes).await, client.open_uni(&bytes).await);
        assert_eq!(client.closed().await, code::STREAM_CREATION, "two of {kind:#x}");
        for reset in [false, true] {
            let client = Client::bare(&server).await.expect("a connection");
            let mut stream = client.open_uni(&bytes).await;
            if reset {
                // What it brings comes first.
                assert_eq!(client.send(&headers(&request("GET", "/", &[]))).await, hello());
                stream.reset(0x100u32.into()).expect("open");
            } else {
                stream.finish().expect("open");
            }
            assert_eq!(client.closed().await, code::CLOSED_CRITICAL_STREAM, "the end of {kind:#x}");
        }
    }
    server_has_told().await;
}

fn hello() -> Seen {
    Seen::Answer(200, "0 bytes".into())
}

async fn server_has_told() {
    let server = Server::start();
    let client = Client::bare(&server).await.expect("a connection");
    let _stream = client.open_uni(&[0x1]).await;
    client.closed().await;
    server.has_told("400 http3").await;
}

#[tokio::test]
async fn what_is_no_fault() {
    let server = Server::start();
    let client = Client::bare(&server).await.expect("a connection");
    // Requests may come before settings.
    assert_eq!(client.send(&headers(&request("GET", "/", &[]))).await, hello());
    let mut settings = vec![0x0];
    settings.extend(frame(0x4, &[0x1, 0x0, 0x7, 0x0, 0x6, 0x50, 0x0, 0x8, 0x1, 0x21, 0x5]));
    settings
        .extend([frame(0xd, &[4]), frame(0xd, &[4]), frame(0x7, &[8]), frame(0x7, &[4])].concat());
    settings.extend(frame(0xf_0700, b"\x00u=1, i"));
    settings.extend(frame(0xf_0701, b"\x04u=1"));
    settings.extend(frame(0x21, &[0; 100_000]));
    let _control = client.open_uni(&settings).await;
    // No capacity, which is all there is; streams that were given up.
    let _encoder = client.open_uni(&[0x2, 0x20, 0x20]).await;
    let _decoder = client.open_uni(&[0x3, 0x40, 0x44, 0x7f, 0x80, 0x01]).await;
    // Streams that nobody knows, and some that end before they say what they are.
    for bytes in [&[0x21, 0x0][..], &[0x54, 0x0], &[], &[0x40]] {
        client.open_uni(bytes).await.finish().expect("open");
    }
    let mut ignored = client.open_uni(&[0x21, 0x0]).await;
    let stopped = loop {
        match ignored.write_all(&[0; 1000]).await {
            Ok(()) => tokio::task::yield_now().await,
            Err(quinn::WriteError::Stopped(code)) => break code.into_inner(),
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(stopped, code::STREAM_CREATION);
    assert_eq!(client.send(&headers(&request("GET", "/", &[]))).await, hello());
}

/// Browsers say anew how urgent their requests are, for as long as they make any.
#[tokio::test]
async fn frames_that_bring_nothing_are_counted_between_requests() {
    let server = Server::start();
    let client = Client::bare(&server).await.expect("a connection");
    let mut control = client.open_uni(&[0x0, 0x4, 0x0]).await;
    let update = frame(0xf_0700, b"\x00u=1");
    for _ in 0..6 {
        // Those of two turns may be seen at once: the streams are not in order.
        control.write_all(&update.repeat(100)).await.expect("open");
        assert_eq!(client.send(&headers(&request("GET", "/", &[]))).await, hello());
    }
    control.write_all(&update.repeat(257)).await.expect("open");
    assert_eq!(client.closed().await, code::EXCESSIVE_LOAD);
    server.has_told("idle_frames").await;
}
