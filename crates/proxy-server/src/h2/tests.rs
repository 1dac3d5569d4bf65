use std::sync::Mutex;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use proxy_testkit::{ConnectionBuilder, ManualClock};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tower::service_fn;

use tokio::time::Instant;

use super::*;
use crate::tunnel::TunnelSettings;
use proxy_core::Exchanges;

/// Why connections were ended.
#[derive(Default)]
struct Reasons(Mutex<Vec<&'static str>>);

impl proxy_core::ConnectionEvents for Reasons {
    fn on_event(&self, _: &ConnectionInfo, event: ConnectionEvent<'_>) {
        if let ConnectionEvent::TimedOut { reason } = event {
            self.0.lock().expect("reasons").push(reason);
        }
    }
}

impl Reasons {
    fn seen(&self) -> Vec<&'static str> {
        self.0.lock().expect("reasons").clone()
    }
}

/// Serves one connection with a service that reads the content of requests, but for those to
/// `/unread`, and answers with its length.
fn start(room: usize) -> (DuplexStream, Arc<Reasons>, tokio::task::JoinHandle<()>) {
    let (client, server) = duplex(room);
    let reasons = Arc::new(Reasons::default());
    let edge = Edge {
        settings: EdgeSettings { min_rate: 1024 * 1024, ..EdgeSettings::default() },
        tunnels: TunnelSettings::default(),
        exchanges: Exchanges::new(Arc::new(ManualClock::new()), 1),
        events: Arc::clone(&reasons) as _,
        proxy_name: "proxyd".into(),
    };
    let service = service_fn(|request: Request<Body>| async move {
        if request.uri().path() == "/unread" {
            std::future::pending::<()>().await;
        }
        let answer = match request.into_body().collect().await {
            Ok(content) => content.to_bytes().len().to_string(),
            Err(error) => error.to_string(),
        };
        Ok::<_, BoxError>(Response::new(Full::new(Bytes::from(answer))))
    });
    let drain = Drain::default();
    let guard = drain.register_any();
    let info = ConnectionBuilder::new().build(&ManualClock::new());
    let task =
        tokio::spawn(serve(server, BytesMut::new(), info, service, Arc::new(edge), drain, guard));
    (client, reasons, task)
}

async fn text(response: h2::client::ResponseFuture) -> String {
    let mut body = response.await.expect("a response").into_body();
    let mut text = Vec::new();
    while let Some(piece) = body.data().await {
        text.extend_from_slice(&piece.expect("content"));
    }
    String::from_utf8(text).expect("text")
}

fn post(path: &str) -> Request<()> {
    Request::post(format!("http://a.test{path}")).body(()).expect("a request")
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_is_ended_but_not_while_our_window_may_hold_it_back() {
    let (io, _, _task) = start(64 * 1024);
    let (mut requests, connection) = h2::client::handshake(io).await.expect("a handshake");
    tokio::spawn(connection);
    let (response, mut content) = requests.send_request(post("/slow"), false).expect("sent");
    content.send_data(Bytes::from_static(b"x"), false).expect("sent");
    assert_eq!(text(response).await, "http_request_error: content_too_slow");

    let (unread, mut holding) = requests.send_request(post("/unread"), false).expect("sent");
    holding.send_data(Bytes::from_static(b"x"), false).expect("sent");
    let (response, mut content) = requests.send_request(post("/slow"), false).expect("sent");
    content.send_data(Bytes::from_static(b"x"), false).expect("sent");
    tokio::time::sleep(Duration::from_secs(300)).await;
    content.send_data(Bytes::from_static(b"y"), true).expect("sent");
    assert_eq!(text(response).await, "2");
    drop((unread, holding));
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_told_to_go_and_then_ended() {
    let (io, reasons, task) = start(64 * 1024);
    let (requests, connection) = h2::client::handshake::<_>(io).await.expect("a handshake");
    let start = Instant::now();
    let client = tokio::spawn(connection);
    assert!(client.await.expect("the client").is_ok());
    assert_eq!(start.elapsed().as_secs(), 75);
    task.await.expect("the server");
    assert!(reasons.seen().is_empty());
    drop(requests);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_no_ping_is_gone() {
    let (mut io, reasons, task) = start(64 * 1024);
    io.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.expect("room");
    let begun = Instant::now();
    task.await.expect("the server");
    assert_eq!((reasons.seen(), begun.elapsed().as_secs()), (vec!["ping"], 40));
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_hangs_is_ended() {
    // Not even our SETTINGS find room.
    let (mut io, reasons, task) = start(16);
    let writer = tokio::spawn(async move {
        io.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.expect("room");
        io.read_exact(&mut [0; 9]).await.expect("a part of them");
        io
    });
    task.await.expect("the server");
    assert_eq!(reasons.seen(), ["first_byte"]);
    drop(writer);
}

/// CVE-2023-44487: streams that are opened only to be broken off.
#[tokio::test(start_paused = true)]
async fn a_client_that_breaks_off_stream_after_stream_is_told_to_calm_down() {
    let (io, reasons, task) = start(64 * 1024);
    let (requests, connection) = h2::client::handshake(io).await.expect("a handshake");
    let client = tokio::spawn(connection);
    let mut broken_off = 0;
    // Far more than are allowed, or the connection's end.
    while broken_off < 10_000 {
        let Ok(mut ready) = requests.clone().ready().await else { break };
        let Ok((response, mut sending)) = ready.send_request(post("/unread"), false) else { break };
        tokio::task::yield_now().await;
        sending.send_reset(h2::Reason::CANCEL);
        drop(response);
        broken_off += 1;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let error = client.await.expect("the client").expect_err("an end");
    assert_eq!(error.reason(), Some(h2::Reason::ENHANCE_YOUR_CALM));
    assert!((200..250).contains(&broken_off), "{broken_off}");
    task.await.expect("the server");
    assert_eq!(reasons.seen(), ["stream_resets"]);
    drop(requests);
}

#[tokio::test(start_paused = true)]
async fn answered_streams_make_up_for_those_that_are_broken_off() {
    let (io, reasons, _task) = start(64 * 1024);
    let (mut requests, connection) = h2::client::handshake(io).await.expect("a handshake");
    tokio::spawn(connection);
    for _ in 0..600 {
        let (_unread, mut sending) = requests.send_request(post("/unread"), false).expect("sent");
        tokio::time::sleep(Duration::from_millis(1)).await;
        sending.send_reset(h2::Reason::CANCEL);
        let (response, _) = requests.send_request(post("/x"), true).expect("sent");
        assert_eq!(text(response).await, "0");
    }
    assert!(reasons.seen().is_empty());
}
