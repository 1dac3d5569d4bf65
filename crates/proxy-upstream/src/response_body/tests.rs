//! Requests that outlive their response.

use std::future::poll_fn;

use http_body_util::Channel;
use proxy_core::{Body, HeadLimits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::connection::{Begun, OutgoingRequest};
use crate::pool::PoolConfig;

const IDLE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_request_that_outlives_its_response_is_finished_and_counted() {
    for completes in [true, false] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("address");
        let stream = TcpStream::connect(address).await.expect("connect");
        let (mut peer, _) = listener.accept().await.expect("accept");
        let mut connection =
            OriginConnection::new(stream, Some(address), HeadLimits::default(), None);
        let (mut sender, body) = Channel::<Bytes, BoxError>::new(8);
        let request = http::Request::post("/").header("content-length", "6").body(Body::new(body));
        let mut request = request.expect("a request");
        let request = OutgoingRequest::new(&mut request, Default::default(), false);
        connection.begin(request.expect("a sound request"));
        let (head, ()) =
            tokio::join!(poll_fn(|cx| connection.poll_response(cx, None, IDLE)), async {
                peer.read_buf(&mut Vec::new()).await.expect("a head");
                let early = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
                peer.write_all(early).await.expect("write");
            });
        assert_eq!(head.expect("early").status(), 200);
        assert!(matches!(connection.begun(), Ok(Begun::Whole(content)) if content == "hi"));
        let pool = Pool::new(PoolConfig::default());
        release(connection, &pool, IDLE);
        tokio::task::yield_now().await;
        assert_eq!((pool.unfinished(), pool.idle()), (1, 0));
        sender.send_data("abc".into()).await.expect("sent");
        if completes {
            sender.send_data("def".into()).await.expect("sent");
        }
        drop(sender);
        while pool.unfinished() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(pool.idle(), usize::from(completes));
        let mut content = [0; 6];
        assert_eq!(peer.read_exact(&mut content).await.is_ok(), completes);
    }
}
