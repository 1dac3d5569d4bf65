use std::future::poll_fn;

use bytes::BytesMut;
use hyper::rt::Read as _;
use proxy_testkit::ManualClock;
use tokio::io::{AsyncWriteExt as _, DuplexStream, duplex};

use super::*;
use crate::exchanges::Exchanges;
use crate::settings::EdgeSettings;
use crate::tunnel::TunnelSettings;

fn client_io(io: DuplexStream) -> ClientIo<DuplexStream> {
    let edge = Edge {
        settings: EdgeSettings::default(),
        tunnels: TunnelSettings::default(),
        exchanges: Exchanges::new(Arc::new(ManualClock::new()), 1),
        events: Arc::new(()),
        proxy_name: "proxyd".into(),
    };
    ClientIo::new(io, BytesMut::new(), Arc::new(Link::default()), Arc::new(edge), true)
}

/// What hyper reads when the client's bytes arrive one read at a time.
async fn read_byte_by_byte(bytes: &[u8]) -> Vec<u8> {
    let (mut client, server) = duplex(1024);
    let mut io = client_io(server);
    let mut given = Vec::new();
    for byte in bytes {
        client.write_all(&[*byte]).await.expect("room");
        poll_fn(|cx| {
            let mut space = [0; 1024];
            let mut buf = hyper::rt::ReadBuf::new(&mut space);
            if let Poll::Ready(read) = Pin::new(&mut io).poll_read(cx, buf.unfilled()) {
                read.expect("sound");
                given.extend_from_slice(buf.filled());
            }
            Poll::Ready(())
        })
        .await;
    }
    given
}

#[tokio::test]
async fn empty_lines_may_arrive_in_pieces() {
    let head = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
    for lines in 0..=EMPTY_LINES {
        let sent = [b"\r\n".repeat(lines), head.to_vec()].concat();
        assert_eq!(read_byte_by_byte(&sent).await, head, "behind {lines} empty lines");
    }
}
