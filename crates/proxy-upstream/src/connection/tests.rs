//! A connection against a peer that is played by hand, over a real socket.

use std::future::poll_fn;
use std::sync::Mutex;

use http::{HeaderMap, Request, StatusCode};
use http_body_util::{Channel, channel::Sender};
use proxy_core::{Body, BoxError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const PATIENCE: Duration = Duration::from_secs(60);
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

async fn pair() -> (Box<OriginConnection>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    let stream = TcpStream::connect(address).await.expect("connect");
    let (peer, _) = listener.accept().await.expect("accept");
    (OriginConnection::new(stream, Some(address), HeadLimits::default(), None), peer)
}

fn request(request: http::request::Builder, body: Body) -> OutgoingRequest {
    expecting(request, body, false)
}

fn expecting(request: http::request::Builder, body: Body, expects: bool) -> OutgoingRequest {
    let mut request = request.body(body).expect("a request");
    OutgoingRequest::new(&mut request, BytesMut::new(), expects).expect("a sound request")
}

/// Content that a test gives out by hand.
fn upload() -> (Sender<Bytes, BoxError>, Body) {
    let (sender, body) = Channel::new(8);
    (sender, Body::new(body))
}

async fn head(connection: &mut OriginConnection) -> Result<Response<()>, ProxyError> {
    poll_fn(|cx| connection.poll_response(cx, None, PATIENCE)).await
}

async fn read(peer: &mut TcpStream, until: &str) -> String {
    let mut text = Vec::new();
    while !text.ends_with(until.as_bytes()) {
        assert!(peer.read_buf(&mut text).await.expect("read") > 0, "ended");
    }
    String::from_utf8(text).expect("text")
}

/// Asks once and reads the answer to its end.
async fn whole(connection: &mut OriginConnection) -> Bytes {
    head(connection).await.expect("a response");
    match connection.begun().expect("sound") {
        Begun::Whole(content) => content,
        Begun::Open(..) => panic!("not whole"),
    }
}

#[tokio::test]
async fn exchanges_follow_each_other() {
    let (mut connection, mut peer) = pair().await;
    for path in ["/1", "/2"] {
        connection.begin(request(Request::get(path), Body::empty()));
        let (content, ()) = tokio::join!(whole(&mut connection), async {
            read(&mut peer, &format!("GET {path} HTTP/1.1\r\n\r\n")).await;
            peer.write_all(OK).await.expect("write");
        });
        assert_eq!(content, "hi");
        assert!(connection.is_usable(Duration::ZERO) && connection.is_usable(PATIENCE));
    }
    assert_eq!(connection.requests, 2);
}

#[tokio::test]
async fn nothing_may_stand_behind_a_response() {
    for behind in ["\r\n", "HTTP/1.1 200 OK\r\n\r\n"] {
        let (mut connection, mut peer) = pair().await;
        connection.begin(request(Request::get("/"), Body::empty()));
        peer.write_all(b"HTTP/1.1 ").await.expect("write");
        // Something was asked before the rest comes.
        let (content, ()) = tokio::join!(whole(&mut connection), async {
            peer.write_all(&[&OK[9..], behind.as_bytes()].concat()).await.expect("write");
        });
        let _ = content;
        assert!(!connection.is_reusable(), "{behind:?}");
    }
}

/// The look must not depend on what the reactor has noticed.
#[tokio::test]
async fn idle_connections_are_looked_at() {
    for ending in ["close", "bytes"] {
        let (mut connection, mut peer) = pair().await;
        connection.begin(request(Request::get("/"), Body::empty()));
        tokio::join!(whole(&mut connection), async {
            read(&mut peer, "\r\n\r\n").await;
            peer.write_all(OK).await.expect("write");
        });
        // No await from here on: this thread's reactor learns of nothing.
        let peer = peer.into_std().expect("a socket");
        match ending {
            "close" => drop(peer),
            _ => drop(std::io::Write::write(&mut &peer, b"x").map(|_| std::mem::forget(peer))),
        }
        assert!(!connection.is_usable(PATIENCE), "{ending}");
    }
}

#[tokio::test]
async fn a_peer_that_speaks_first_answers_nothing() {
    let (mut connection, mut peer) = pair().await;
    peer.write_all(OK).await.expect("write");
    assert!(connection.speaks_unasked());
    connection.stream.readable().await.expect("readable");
    connection.begin(request(Request::post("/"), Body::full("abc")));
    let error = head(&mut connection).await.expect_err("no answer");
    assert_eq!(error.detail_str(), Some("unsolicited_bytes"));
    assert!(connection.take_request(error.retry_safety()).is_some());
}

#[tokio::test]
async fn what_was_not_sent_is_sent_elsewhere() {
    let (mut connection, peer) = pair().await;
    drop(peer);
    connection.stream.readable().await.expect("readable");
    connection.begin(request(Request::post("/"), Body::full("abc")));
    let error = head(&mut connection).await.expect_err("gone");
    assert_eq!(error.retry_safety(), Retry::NothingSent);
    let again = connection.take_request(error.retry_safety()).expect("all of it is left");
    let (mut connection, mut peer) = pair().await;
    connection.begin(again);
    let (content, ()) = tokio::join!(whole(&mut connection), async {
        assert_eq!(read(&mut peer, "abc").await, "POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc");
        peer.write_all(OK).await.expect("write");
    });
    assert_eq!(content, "hi");
}

/// RFC 9110 section 9.2.2.
#[tokio::test]
async fn what_was_sent_is_repeated_only_if_that_is_safe() {
    for (method, body, safe) in
        [("GET", "", true), ("QUERY", "", true), ("POST", "", false), ("PUT", "abc", false)]
    {
        let (mut connection, mut peer) = pair().await;
        connection.begin(request(Request::builder().method(method).uri("/"), Body::full(body)));
        let (outcome, ()) = tokio::join!(head(&mut connection), async {
            read(&mut peer, &format!("\r\n\r\n{body}")).await;
            drop(peer);
        });
        let error = outcome.expect_err("no answer");
        assert_eq!(error.kind(), ErrorKind::ConnectionTerminated);
        let again = connection.take_request(error.retry_safety());
        assert_eq!(again.is_some(), safe, "{method}");
        let Some(again) = again else { continue };
        let (mut connection, mut peer) = pair().await;
        connection.begin(again);
        tokio::join!(whole(&mut connection), async {
            read(&mut peer, &format!("{method} / HTTP/1.1\r\n\r\n")).await;
            peer.write_all(OK).await.expect("write");
        });
    }
}

#[derive(Default)]
struct Seen(Mutex<Vec<u16>>);

impl InterimSink for Seen {
    fn send(&self, status: StatusCode, _: &HeaderMap) -> bool {
        self.0.lock().expect("lock").push(status.as_u16());
        true
    }
}

/// RFC 9110 sections 10.1.1 and 15.2.
#[tokio::test]
async fn content_waits_for_100_and_other_interim_responses_are_relayed() {
    let (mut connection, mut peer) = pair().await;
    connection.begin(expecting(Request::post("/"), Body::full("abc"), true));
    let seen = Seen::default();
    let (outcome, ()) =
        tokio::join!(poll_fn(|cx| connection.poll_response(cx, Some(&seen), PATIENCE)), async {
            assert!(read(&mut peer, "\r\n\r\n").await.ends_with("content-length: 3\r\n\r\n"));
            peer.write_all(b"HTTP/1.1 103 Early Hints\r\n\r\n").await.expect("write");
            peer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.expect("write");
            assert_eq!(read(&mut peer, "abc").await, "abc");
            peer.write_all(OK).await.expect("write");
        });
    assert_eq!(outcome.expect("a response").status(), 200);
    assert_eq!(*seen.0.lock().expect("lock"), [103]);
}

/// RFC 9112 section 7.1: chunks of our own, and announced trailer fields.
#[tokio::test]
async fn content_of_unknown_length_is_chunked() {
    let (mut connection, mut peer) = pair().await;
    let (mut sender, body) = upload();
    connection.begin(request(Request::post("/").header("trailer", "x-sum"), body));
    let (content, ()) = tokio::join!(whole(&mut connection), async {
        sender.send_data("hello, hello, hello".into()).await.expect("sent");
        read(&mut peer, "\r\n\r\n13\r\nhello, hello, hello\r\n").await;
        let mut trailers = HeaderMap::new();
        for name in ["x-sum", "x-unknown", "content-length"] {
            trailers.insert(name, http::HeaderValue::from_static("1"));
        }
        sender.send_trailers(trailers).await.expect("sent");
        assert_eq!(read(&mut peer, "\r\n\r\n").await, "0\r\nx-sum: 1\r\n\r\n");
        peer.write_all(OK).await.expect("write");
    });
    assert_eq!(content, "hi");
    assert!(connection.is_reusable());
}

/// Neither more nor less than was announced, and never a last chunk behind a failure.
#[tokio::test]
async fn content_that_fails_is_not_completed() {
    for (length, content) in [("3", "four"), ("5", "four"), ("", "four")] {
        let (mut connection, mut peer) = pair().await;
        let (mut sender, body) = upload();
        let mut builder = Request::post("/");
        if !length.is_empty() {
            builder = builder.header("content-length", length);
        }
        connection.begin(request(builder, body));
        sender.send_data(content.into()).await.expect("sent");
        if length.is_empty() {
            sender.abort("the client left".into());
        } else {
            drop(sender);
        }
        let error = head(&mut connection).await.expect_err("content failed");
        assert_eq!(error.kind(), ErrorKind::HttpRequestError);
        assert!(!connection.is_reusable() && !connection.is_sending());
        drop(connection);
        let mut text = String::new();
        peer.read_to_string(&mut text).await.expect("read");
        assert!(!text.contains("0\r\n\r\n") && !text.ends_with("fou"), "{text:?}");
    }
}

/// The clock of a response rests while the client's content moves behind its early head.
#[tokio::test(start_paused = true)]
async fn an_upload_behind_an_early_head_is_not_the_peers_fault() {
    let (mut connection, mut peer) = pair().await;
    let (mut sender, body) = upload();
    connection.begin(request(Request::post("/").header("content-length", "6"), body));
    peer.write_all(b"HT").await.expect("write");
    let (outcome, ()) = tokio::join!(head(&mut connection), async {
        read(&mut peer, "\r\n\r\n").await;
        peer.write_all(b"TP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n").await.expect("write");
    });
    outcome.expect("an early response");
    assert!(matches!(connection.begun(), Ok(Begun::Open(Some(2), None))));
    let mut next = async |wait| {
        tokio::time::timeout(wait, poll_fn(|cx| connection.poll_frame(cx, PATIENCE))).await
    };
    assert!(next(PATIENCE * 3).await.is_err(), "the client is slow, not the peer");
    sender.send_data("abcdef".into()).await.expect("sent");
    assert!(next(PATIENCE / 2).await.is_err(), "too early");
    let Ok(Some(Err(error))) = next(PATIENCE).await else { panic!("no timeout") };
    assert_eq!(error.detail_str(), Some("read_idle"));
}

/// NTLM and Negotiate say who a connection is: it must not serve the next client.
#[tokio::test]
async fn a_connection_that_is_somebodys_is_not_used_again() {
    for (credentials, again) in
        [("Basic YTpi", true), ("NTLM TlRMTVNTUAAB", false), ("negotiate YII", false)]
    {
        let (mut connection, mut peer) = pair().await;
        let get = Request::get("/").header("host", "a").header("authorization", credentials);
        connection.begin(request(get, Body::empty()));
        let answer = tokio::spawn(async move {
            read(&mut peer, "\r\n\r\n").await;
            peer.write_all(OK).await.expect("write");
            peer
        });
        assert_eq!(whole(&mut connection).await, "hi");
        assert_eq!(connection.is_reusable(), again, "{credentials}");
        drop(answer.await);
    }
}
