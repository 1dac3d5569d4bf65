//! A connection's course: what it may take, and how it ends.

use std::time::Duration;

use quinn::ConnectionError;

use super::client::{config, see};
use super::*;
use crate::{EdgeSettings, EdgeTimeouts};

fn get(path: &str) -> Vec<u8> {
    headers(&request("GET", path, &[]))
}

fn hasty() -> EdgeSettings {
    let timeouts = EdgeTimeouts {
        header: Duration::from_millis(100),
        body_grace: Duration::from_millis(100),
        write: Duration::from_millis(200),
        ..EdgeTimeouts::default()
    };
    EdgeSettings { timeouts, min_rate: 1024 * 1024, ..EdgeSettings::default() }
}

/// The numbers that our control stream's GOAWAY frames bring, and what came before them.
async fn goaways(client: &Client) -> Vec<u64> {
    let mut control = client.quic.accept_uni().await.expect("a control stream");
    let mut bytes = Vec::new();
    while let Ok(Some(chunk)) = control.read_chunk(usize::MAX, true).await {
        bytes.extend_from_slice(&chunk.bytes);
    }
    let mut rest = &bytes[..];
    let mut number = || {
        let (number, n) = crate::h3::varint::read(rest)?;
        rest = &rest[n..];
        Some(number)
    };
    // Type, SETTINGS, its length, the limit of field sections.
    assert_eq!([number(), number()], [Some(0x0), Some(0x4)]);
    number();
    assert_eq!([number(), number()], [Some(0x6), Some(16_384 + 65_536 + 3200 + 1024)]);
    let mut goaways = Vec::new();
    while let Some(kind) = number() {
        assert_eq!(kind, 0x7);
        number();
        goaways.extend(number());
    }
    goaways
}

/// RFC 9114 section 5.2: first none is excluded, then those that were not seen.
#[tokio::test]
async fn draining() {
    let server = Server::start();
    let client = Client::connect(&server).await;
    let (mut sending, mut receiving) = client.open(&headers(&request("POST", "/", &[]))).await;
    assert_eq!(client.send(&get("/")).await, Seen::Answer(200, "0 bytes".into()));
    server.drain.drain();
    // New clients are not taken.
    while Client::bare(&server).await.is_ok() {}
    // Once the last call is out, further requests were not processed.
    let rejected = loop {
        match client.send(&get("/")).await {
            Seen::Answer(200, _) => tokio::time::sleep(Duration::from_millis(10)).await,
            other => break other,
        }
    };
    assert_eq!(rejected, Seen::Reset(code::REQUEST_REJECTED));
    // What was under way is answered, and then the connection goes.
    sending.write_all(&data(b"four")).await.expect("open");
    sending.finish().expect("open");
    assert_eq!(see(&mut receiving).await, Seen::Answer(200, "4 bytes".into()));
    let told = goaways(&client).await;
    assert_eq!((told.len(), told[0]), (2, (1 << 62) - 4));
    assert!(told[1] >= 8 && told[1] % 4 == 0, "{told:?}");
    assert_eq!(client.closed().await, code::NO_ERROR);
    server.drain.emptied().await;
}

#[tokio::test]
async fn the_end_of_a_drain_ends_all() {
    let server = Server::start();
    let client = Client::connect(&server).await;
    let (_sending, mut receiving) = client.open(&get("/unread")).await;
    assert_eq!(client.send(&get("/")).await, Seen::Answer(200, "0 bytes".into()));
    server.drain.drain();
    server.drain.end();
    assert_eq!(see(&mut receiving).await, Seen::Closed(code::NO_ERROR));
    server.drain.emptied().await;
}

#[tokio::test]
async fn an_idle_connection_is_told_to_go_and_then_ended() {
    let timeouts =
        EdgeTimeouts { keep_alive: Duration::from_millis(100), ..EdgeTimeouts::default() };
    let settings = EdgeSettings { timeouts, ..EdgeSettings::default() };
    let server = Server::with(settings, |_| {}, 10);
    let client = Client::connect(&server).await;
    assert_eq!(client.closed().await, code::NO_ERROR);
}

#[tokio::test]
async fn slow_clients_lose_their_stream() {
    let server = Server::with(hasty(), |_| {}, 10);
    let client = Client::connect(&server).await;
    // Of a head.
    let (_sending, mut receiving) = client.open(&get("/")[..10]).await;
    assert!(matches!(see(&mut receiving).await, Seen::Answer(408, _)));
    server.has_told("408 header_timeout").await;
    // Of content.
    let head = headers(&request("POST", "/", &[]));
    let (_sending, mut receiving) = client.open(&[head, data(b"x")].concat()).await;
    let slow = "http_request_error: content_too_slow";
    assert_eq!(see(&mut receiving).await, Seen::Answer(200, slow.into()));
}

/// A client that opens no window is noticed.
#[tokio::test]
async fn a_client_that_takes_nothing_loses_its_stream() {
    let server = Server::with(hasty(), |_| {}, 10);
    let mut config = config(&server);
    let mut transport = quinn::TransportConfig::default();
    transport.stream_receive_window(10_000u32.into());
    config.transport_config(std::sync::Arc::new(transport));
    let client = Client::configured(&server, config).await.expect("a connection");
    let (_sending, mut receiving) = client.open(&get("/large")).await;
    server.has_told("write").await;
    let mut space = vec![0; 20_000];
    let broken = loop {
        match receiving.read(&mut space).await {
            Ok(Some(_)) => {}
            other => break other,
        }
    };
    assert!(matches!(broken, Err(quinn::ReadError::Reset(_))), "{broken:?}");
}

/// As CVE-2023-44487 of HTTP/2: streams that are opened only to be broken off.
#[tokio::test]
async fn a_client_that_breaks_off_stream_after_stream_is_ended() {
    let server = Server::start();
    let client = Client::connect(&server).await;
    for _ in 0..10_000 {
        let Ok((mut sending, mut receiving)) = client.quic.open_bi().await else { break };
        let _ = sending.write_all(&get("/unread")).await;
        let _ = sending.reset(0x10cu32.into());
        let _ = receiving.stop(0x10cu32.into());
    }
    assert_eq!(client.closed().await, code::EXCESSIVE_LOAD);
    server.has_told("stream_resets").await;
}

#[tokio::test]
async fn a_client_that_makes_up_stream_types_is_ended() {
    let server = Server::start();
    let client = Client::connect(&server).await;
    for _ in 0..10_000 {
        let Ok(mut stream) = client.quic.open_uni().await else { break };
        let _ = stream.write_all(&[0x21, 0x0]).await;
        let _ = stream.finish();
    }
    assert_eq!(client.closed().await, code::EXCESSIVE_LOAD);
}

#[tokio::test]
async fn streams_beyond_the_limit_wait() {
    let settings = EdgeSettings { h2_streams: 2, ..EdgeSettings::default() };
    let server = Server::with(settings, |_| {}, 10);
    let client = Client::connect(&server).await;
    let (one, two) = (client.open(&get("/unread")).await, client.open(&get("/unread")).await);
    let third = tokio::time::timeout(Duration::from_millis(200), client.quic.open_bi()).await;
    assert!(third.is_err());
    drop(two);
    assert_eq!(client.send(&get("/")).await, Seen::Answer(200, "0 bytes".into()));
    drop(one);
}

/// RFC 9000 section 8.1.2: with a token from Retry a client has shown that its address is its own.
#[tokio::test]
async fn addresses_are_validated_and_counted() {
    let server = Server::with(EdgeSettings::default(), |quic| quic.retry_from = 0, 1);
    let client = Client::connect(&server).await;
    assert_eq!(client.send(&get("/")).await, Seen::Answer(200, "0 bytes".into()));
    // One place there is, and it is taken.
    let refused = Client::bare(&server).await.err();
    assert!(matches!(refused, Some(ConnectionError::ConnectionClosed(_))), "{refused:?}");
    server.has_told("total_limit").await;
    client.close().await;
    while Client::bare(&server).await.is_err() {}
}

/// A client that reads small field sections only is sent none that are larger.
#[tokio::test]
async fn the_clients_limit_of_field_sections_holds() {
    let server = Server::start();
    let client = Client::bare(&server).await.expect("a connection");
    let _control = client.open_uni(&[0x0, 0x4, 0x2, 0x6, 0x10]).await;
    let reset = loop {
        match client.send(&get("/")).await {
            // Settings are on their way.
            Seen::Answer(..) => tokio::task::yield_now().await,
            other => break other,
        }
    };
    assert_eq!(reset, Seen::Reset(code::INTERNAL_ERROR));
}
