use std::future::poll_fn;

use http::{HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt as _, duplex};

use super::*;

async fn written(writer: &mut ResponseWriter, room: usize) -> Vec<u8> {
    let (mut client, mut server) = duplex(room);
    let reading = tokio::spawn(async move {
        let mut got = Vec::new();
        client.read_to_end(&mut got).await.expect("read");
        got
    });
    let settings = EdgeSettings::default();
    poll_fn(|cx| writer.poll_flush(cx, &mut server, &settings)).await.expect("taken");
    drop(server);
    reading.await.expect("read")
}

#[tokio::test]
async fn content_goes_out_in_its_coding_however_little_is_taken() {
    let large = Bytes::from(vec![b'x'; 3 * COPIED]);
    let sum = HeaderName::from_static("x-sum");
    for room in [1, 7, 1000, 100_000] {
        let mut writer = ResponseWriter::new();
        let mut coding = Coding::Chunked(vec![sum.clone()]);
        writer.tail().put_slice(b"head ");
        for data in [Bytes::from("a"), Bytes::new(), large.clone(), Bytes::from("b")] {
            writer.data(&mut coding, data);
        }
        let mut trailers = HeaderMap::new();
        trailers.append(&sum, HeaderValue::from_static("1"));
        trailers.append(&sum, HeaderValue::from_static("2"));
        trailers.append("x-other", HeaderValue::from_static("3"));
        writer.end(&coding, Some(trailers)).expect("whole");
        let expected = [
            b"head 1\r\na\r\n3000\r\n",
            &large[..],
            b"\r\n1\r\nb\r\n0\r\nx-sum: 1\r\nx-sum: 2\r\n\r\n",
        ]
        .concat();
        assert_eq!(written(&mut writer, room).await, expected, "{room}");
        assert!(writer.is_empty() && writer.held == 0);
    }
}

/// A response that says more, or less, than its length must not be taken for another one.
#[tokio::test]
async fn nothing_goes_out_beyond_an_announced_length() {
    let mut writer = ResponseWriter::new();
    let mut coding = Coding::Length(5);
    writer.data(&mut coding, Bytes::from("abc"));
    assert!(writer.end(&coding, None).is_err());
    writer.data(&mut coding, Bytes::from("defg"));
    assert_eq!(coding, Coding::Length(0));
    assert!(writer.end(&coding, None).is_ok());
    assert_eq!(written(&mut writer, 100).await, b"abcde");
}

#[test]
fn no_more_is_gathered_than_enough() {
    let mut writer = ResponseWriter::new();
    let mut coding = Coding::UntilClose;
    let mut pieces = 0;
    while writer.has_room() {
        writer.data(&mut coding, Bytes::from(vec![0; 8 * 1024]));
        pieces += 1;
    }
    assert!((8..=PARTS).contains(&pieces), "{pieces}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_let_go() {
    let (_client, mut server) = duplex(10);
    let settings = EdgeSettings::default();
    let mut writer = ResponseWriter::new();
    writer.tail().put_slice(&[0; 100]);
    let started = Instant::now();
    let end = poll_fn(|cx| writer.poll_flush(cx, &mut server, &settings)).await;
    assert!(matches!(end, Err(End::TimedOut(WRITE_TIMEOUT))));
    assert_eq!(started.elapsed().as_secs(), settings.timeouts.write.as_secs());
}
