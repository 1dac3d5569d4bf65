//! Requests, responses and tunnels that are as they should be.

use bytes::Bytes;

use super::client::{parse, read};
use super::*;

async fn whole(client: &Client, bytes: &[u8]) -> client::Response {
    let (mut sending, mut receiving) = client.open(bytes).await;
    sending.finish().expect("open");
    read(&mut receiving).await.expect("a response")
}

#[tokio::test]
async fn a_request_is_seen_as_it_was_sent() {
    let server = Server::start();
    let client = Client::connect(&server).await;
    let lines = request("GET", "/seen?a=b", &[("x-one", "1"), ("x-one", "2"), ("te", "trailers")]);
    let seen = client.send(&headers(&lines)).await;
    let due = "GET https://a.test/seen?a=b HTTP/3.0\nx-one: 1\nx-one: 2\nte: trailers";
    assert_eq!(seen, Seen::Answer(200, due.into()));
    // The one form that a URL parser gives it.
    let lines = request("GET", "/seen?\"<>`#fragment", &[]);
    let due = "GET https://a.test/seen?%22%3C%3E%60 HTTP/3.0";
    assert_eq!(client.send(&headers(&lines)).await, Seen::Answer(200, due.into()));
    // From the static table, and in the Huffman code.
    let block = b"\0\0\xd1\xd7\x50\x84\x1d\x10\x72\x7f\xc1";
    let answer = whole(&client, &frame(0x1, block)).await;
    assert_eq!(answer.statuses(), ["200"]);
}

#[tokio::test]
async fn content_both_ways() {
    let server = Server::start();
    let client = Client::connect(&server).await;
    let post = headers(&request("POST", "/", &[]));
    let large = vec![b'x'; 3_000_000];
    let answer = client.send(&[post, data(&large)].concat()).await;
    assert_eq!(answer, Seen::Answer(200, "3000000 bytes".into()));
    let answer = whole(&client, &headers(&request("GET", "/large", &[]))).await;
    assert_eq!(answer.content.len(), 64 * 64 * 1024);
    let answer = whole(&client, &headers(&request("GET", "/trailers", &[]))).await;
    assert_eq!(answer.sections.len(), 2);
    assert_eq!(answer.sections[1], [("x-sum".to_owned(), "42".to_owned())]);
    assert_eq!(answer.content, b"content");
}

#[tokio::test]
async fn heads_of_responses() {
    let server = Server::start();
    let client = Client::connect(&server).await;
    let answer = whole(&client, &headers(&request("GET", "/early", &[]))).await;
    assert_eq!(answer.statuses(), ["103", "200"]);
    assert_eq!(answer.sections[0][1], ("link".to_owned(), "</a>".to_owned()));
    // No fields of a connection, and no content where there is none.
    let answer = whole(&client, &headers(&request("GET", "/fields", &[]))).await;
    let names: Vec<&str> = answer.sections[0].iter().map(|(name, _)| &name[..]).collect();
    assert_eq!(names, [":status", "x-own", "date"]);
    let answer = whole(&client, &headers(&request("HEAD", "/seen", &[]))).await;
    assert!(answer.content.is_empty());
    assert!(answer.sections[0].iter().any(|(name, _)| name == "content-length"));
    // A client that waits is told to go on once somebody wants its content.
    let expects = request("POST", "/", &[("expect", "100-continue")]);
    let (mut sending, mut receiving) = client.open(&headers(&expects)).await;
    let first = receiving.read_chunk(usize::MAX, true).await.expect("open").expect("a head");
    assert_eq!(parse(&first.bytes).statuses(), ["100"]);
    sending.write_all(&data(b"four")).await.expect("open");
    sending.finish().expect("open");
    assert_eq!(client::see(&mut receiving).await, Seen::Answer(200, "4 bytes".into()));
}

/// What is cut short must not look whole.
#[tokio::test]
async fn responses_that_break_off() {
    let server = Server::start();
    let client = Client::connect(&server).await;
    for path in ["/broken", "/short"] {
        let seen = client.send(&headers(&request("GET", path, &[]))).await;
        assert_eq!(seen, Seen::Reset(code::INTERNAL_ERROR), "{path}");
    }
}

#[tokio::test]
async fn an_answer_need_not_wait_for_content() {
    let server = Server::start();
    let client = Client::connect(&server).await;
    let (sending, mut receiving) =
        client.open(&headers(&request("POST", "/seen", &[("content-length", "100000")]))).await;
    assert!(matches!(client::see(&mut receiving).await, Seen::Answer(200, _)));
    // It wants no more of it, which is no error.
    let stopped = sending.stopped().await.expect("open").expect("stopped");
    assert_eq!(stopped.into_inner(), code::NO_ERROR);
}

#[tokio::test]
async fn tunnels() {
    let server = Server::start();
    let client = Client::connect(&server).await;
    let connect = |authority| headers(&[(":method", "CONNECT"), (":authority", authority)]);
    let (mut sending, mut receiving) =
        client.open(&[connect("echo:1"), data(b"one")].concat()).await;
    sending.write_all(&data(&[b'x'; 10_000])).await.expect("open");
    sending.finish().expect("open");
    let answer = read(&mut receiving).await.expect("a tunnel");
    assert_eq!((answer.statuses(), answer.content.len()), (vec!["200"], 10_003));
    // The other side breaks off.
    let (mut sending, mut receiving) = client.open(&connect("reset:1")).await;
    sending.write_all(&data(b"x")).await.expect("open");
    assert_eq!(client::see(&mut receiving).await, Seen::Answer(200, String::new()));
    // What is sent there later finds nobody, as a reset of TCP says.
    let stopped = loop {
        match sending.write_all(&data(b"x")).await {
            Ok(()) => tokio::task::yield_now().await,
            Err(quinn::WriteError::Stopped(code)) => break code.into_inner(),
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(stopped, code::CONNECT_ERROR);
    assert_eq!(client.send(&connect("other:1")).await, Seen::Answer(403, String::new()));
    // Only content may follow (section 4.4).
    let bytes = [connect("echo:1"), headers(&[("a", "b")])].concat();
    assert_eq!(client.send(&bytes).await, Seen::Closed(code::FRAME_UNEXPECTED));
}

/// A client of the h3 crate, which shares no code with the edge.
#[tokio::test]
async fn a_foreign_client() {
    let server = Server::start();
    let bare = Client::bare(&server).await.expect("a connection");
    let quic = h3_quinn::Connection::new(bare.quic.clone());
    let (mut driver, mut requests) = ::h3::client::new(quic).await.expect("a client");
    let driving = tokio::spawn(async move { driver.wait_idle().await });
    for path in ["/", "/large", "/trailers"] {
        let request =
            http::Request::post(format!("https://a.test{path}")).body(()).expect("a request");
        let mut stream = requests.send_request(request).await.expect("sent");
        stream.send_data(Bytes::from_static(b"some")).await.expect("sent");
        stream.finish().await.expect("sent");
        let response = stream.recv_response().await.expect("a response");
        assert_eq!(response.status(), 200);
        let mut length = 0;
        while let Some(mut piece) = stream.recv_data().await.expect("content") {
            use bytes::Buf as _;
            length += piece.remaining();
            piece.advance(piece.remaining());
        }
        let trailers = stream.recv_trailers().await.expect("the end");
        assert_eq!(trailers.is_some(), path == "/trailers");
        assert!(length > 0);
    }
    drop(requests);
    driving.abort();
}
