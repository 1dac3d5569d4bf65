//! Whole conversations over memory, with a service in the place of the stack.

use std::convert::Infallible;

use http::HeaderValue;
use http_body_util::BodyExt as _;
use proxy_core::framing::EMPTY_LINES;
use proxy_testkit::ManualClock;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::task::JoinHandle;

use super::*;
use crate::drain::Drain;
use crate::settings::EdgeSettings;
use crate::tunnel::TunnelSettings;
use proxy_core::Exchanges;

type Answer = Result<Response<Body>, Infallible>;

struct Served {
    client: DuplexStream,
    task: JoinHandle<Option<Finished<DuplexStream>>>,
    drain: Drain,
}

struct Ended {
    end: End,
    unread: bool,
}

/// A conversation whose requests are answered by `answer`.
fn serve<F>(answer: fn(Request<Body>) -> F) -> Served
where
    F: Future<Output = Answer> + Send + 'static,
{
    let edge = Arc::new(Edge {
        settings: EdgeSettings::default(),
        tunnels: TunnelSettings::default(),
        exchanges: Exchanges::new(Arc::new(ManualClock::new()), 1),
        events: Arc::new(()),
        proxy_name: "proxyd".into(),
    });
    let info = Arc::new(ConnectionInfo {
        id: 1,
        listener: "web".into(),
        peer: proxy_core::ClientAddr::unknown(),
        peer_trusted: false,
        local: None,
        scheme: "http",
        tls: None,
        parent: None,
        accepted: std::time::Instant::now(),
        activity: Arc::default(),
    });
    let (client, server) = duplex(1024);
    let drain = Drain::default();
    let mut guard = drain.register_any();
    let task = tokio::spawn(async move {
        let mut service = tower::service_fn(answer);
        let conversation =
            Conversation::new(server, BytesMut::new(), true, &info, &edge, &mut guard);
        conversation.run(&mut service).await
    });
    Served { client, task, drain }
}

/// What the service heard, as the content of its answer.
async fn echo(request: Request<Body>) -> Answer {
    let said = format!("{} {} ", request.method(), request.uri());
    let content = match request.into_body().collect().await {
        Ok(content) => content.to_bytes(),
        Err(_) => Bytes::from("broken"),
    };
    let mut response = Response::new(Body::full([said.as_bytes(), &content].concat()));
    response.headers_mut().insert("date", HeaderValue::from_static("d"));
    Ok(response)
}

impl Served {
    /// What else the client receives until the conversation ends, and how that was.
    async fn end(mut self) -> (String, Ended) {
        let mut got = String::new();
        let (ended, read) = tokio::join!(
            async {
                let finished = self.task.await.expect("no panic").expect("a socket");
                // The socket is dropped, and the reader sees the end.
                Ended { end: finished.end, unread: finished.unread }
            },
            self.client.read_to_string(&mut got)
        );
        read.expect("text");
        (got, ended)
    }

    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.client.write_all(bytes.as_ref()).await.expect("room");
    }

    async fn expect(&mut self, text: &str) {
        let mut got = vec![0; text.len()];
        self.client.read_exact(&mut got).await.expect("an answer");
        assert_eq!(String::from_utf8_lossy(&got), text);
    }
}

fn answer(content: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ndate: d\r\ncontent-length: {}\r\n\r\n{content}", content.len())
}

#[tokio::test]
async fn requests_may_come_byte_by_byte_and_all_at_once() {
    let get = "GET /a HTTP/1.1\r\nHost: a.test\r\n\r\n";
    let known = "POST /b HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello";
    let chunked = "PUT /c HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n\
                   3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: u\r\n\r\n";
    let all = [get, known, chunked, get].concat();
    let answers = ["GET /a ", "POST /b hello", "PUT /c abcde", "GET /a "].map(answer).concat();
    for size in [1, 2, 7, 50, 1000] {
        let mut served = serve(echo);
        for piece in all.as_bytes().chunks(size) {
            served.send(piece).await;
            tokio::task::yield_now().await;
        }
        served.expect(&answers).await;
        drop(served.client);
        let finished = served.task.await.expect("no panic").expect("a socket");
        assert!(matches!(finished.end, End::Closed) && !finished.unread);
    }
}

#[tokio::test]
async fn empty_lines_may_arrive_in_pieces() {
    for lines in 0..=EMPTY_LINES {
        let mut served = serve(echo);
        let head = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
        for byte in ["\r\n".repeat(lines).as_str(), head].concat().as_bytes() {
            served.send([*byte]).await;
            tokio::task::yield_now().await;
        }
        served.expect(&answer("GET / ")).await;
    }
    let mut served = serve(echo);
    served.send("\r\n".repeat(EMPTY_LINES + 1)).await;
    let (_, finished) = served.end().await;
    assert!(matches!(finished.end, End::Refused(refused) if refused.reason == "empty_lines"));
}

/// RFC 9110 section 10.1.1: asked for by who reads the content, and only then.
#[tokio::test]
async fn content_that_is_expected_is_asked_for() {
    let head =
        "POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    let mut served = serve(echo);
    served.send(head).await;
    served.expect("HTTP/1.1 100 Continue\r\n\r\n").await;
    served.send("hi").await;
    served.expect(&answer("POST / hi")).await;

    async fn refuse(_: Request<Body>) -> Answer {
        let mut response = Response::new(Body::empty());
        response.headers_mut().insert("date", HeaderValue::from_static("d"));
        Ok(response)
    }
    let mut served = serve(refuse);
    served.send(head).await;
    served.expect(&answer("")).await;
    // Whether the content still comes is the client's to choose: the connection can not go on.
    let (rest, finished) = served.end().await;
    assert!(rest.is_empty() && matches!(finished.end, End::Closed) && finished.unread);
    // Where it is there already, it can.
    let mut served = serve(refuse);
    served.send([head, "hi", head, "hi"].concat()).await;
    served.expect(&answer("").repeat(2)).await;
}

/// Content may be read by another task, behind the answer, and the connection waits for it.
#[tokio::test]
async fn content_may_outlive_the_answer() {
    async fn detached(request: Request<Body>) -> Answer {
        if request.method() == "GET" {
            return echo(request).await;
        }
        tokio::spawn(request.into_body().collect());
        echo(Request::new(Body::empty())).await
    }
    let mut served = serve(detached);
    served.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nab").await;
    served.expect(&answer("GET / ")).await;
    served.send("cdeGET /next HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    served.expect(&answer("GET /next ")).await;
}

#[tokio::test]
async fn content_that_breaks_off_is_an_error_and_the_end() {
    for rest in ["5\r\nhel", "5\r\nhello!\r\n", "x"] {
        let mut served = serve(echo);
        served.send("PUT / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        served.send(rest).await;
        served.client.shutdown().await.expect("shut down");
        served.expect(&answer("PUT / broken")).await;
        let (more, finished) = served.end().await;
        assert!(more.is_empty() && matches!(finished.end, End::Closed), "{rest:?}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_call() {
    async fn never(_: Request<Body>) -> Answer {
        std::future::pending().await
    }
    for more in ["", "GET /next HTTP/1.1\r\n"] {
        let mut served = serve(never);
        served.send(format!("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n{more}")).await;
        tokio::task::yield_now().await;
        assert!(!served.task.is_finished());
        drop(served.client);
        let finished = served.task.await.expect("no panic").expect("a socket");
        assert!(matches!(finished.end, End::Closed));
    }
}

/// Content was asked for once and then no more: what comes must still reach who asks again, and
/// the client's leaving must be seen.
#[tokio::test]
async fn content_that_is_no_longer_asked_for_hides_nothing() {
    async fn asks_once(request: Request<Body>) -> Answer {
        let mut body = request.into_body();
        let mut polls = 0;
        let frame = poll_fn(|cx| {
            polls += 1;
            // The second time it was woken it does not ask.
            if polls == 2 { Poll::Pending } else { Pin::new(&mut body).poll_frame(cx) }
        });
        let data = frame.await.and_then(Result::ok).and_then(|frame| frame.into_data().ok());
        let mut response = Response::new(Body::full(data.unwrap_or_default()));
        response.headers_mut().insert("date", HeaderValue::from_static("d"));
        Ok(response)
    }
    let head = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\n";
    let mut served = serve(asks_once);
    served.send(head).await;
    tokio::task::yield_now().await;
    served.send("hi").await;
    served.expect(&answer("hi")).await;

    let mut served = serve(asks_once);
    served.send(head).await;
    tokio::task::yield_now().await;
    drop(served.client);
    let finished = served.task.await.expect("no panic").expect("a socket");
    assert!(matches!(finished.end, End::Closed));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_no_whole_one() {
    async fn breaks(_: Request<Body>) -> Answer {
        let pieces =
            [Ok(http_body::Frame::data(Bytes::from("abc"))), Err(BoxError::from("broken"))];
        let stream = futures_util::stream::iter(pieces);
        let mut response = Response::new(Body::new(http_body_util::StreamBody::new(stream)));
        response.headers_mut().insert("date", HeaderValue::from_static("d"));
        Ok(response)
    }
    let mut served = serve(breaks);
    served.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    let (got, finished) = served.end().await;
    let head = "HTTP/1.1 200 OK\r\ndate: d\r\ntransfer-encoding: chunked\r\n\r\n";
    assert_eq!(got, format!("{head}3\r\nabc\r\n"));
    assert!(matches!(finished.end, End::Closed));
    let mut served = serve(breaks);
    served.send("GET / HTTP/1.0\r\nHost: a.test\r\n\r\n").await;
    let (got, finished) = served.end().await;
    assert_eq!(got, "HTTP/1.0 200 OK\r\ndate: d\r\n\r\nabc");
    assert!(matches!(finished.end, End::Broken), "only a reset tells");
}

#[tokio::test(start_paused = true)]
async fn clocks_of_heads() {
    let settings = EdgeSettings::default().timeouts;
    let started = tokio::time::Instant::now();
    let (got, finished) = serve(echo).end().await;
    assert!(got.is_empty() && matches!(finished.end, End::TimedOut("first_byte")));
    assert!(started.elapsed() >= settings.first_byte);

    let mut served = serve(echo);
    served.send("GET / HT").await;
    let finished = (&mut served.task).await.expect("no panic").expect("a socket");
    assert!(matches!(finished.end, End::Refused(refused) if refused.status == 408));

    let mut served = serve(echo);
    served.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    served.expect(&answer("GET / ")).await;
    let finished = (&mut served.task).await.expect("no panic").expect("a socket");
    assert!(matches!(finished.end, End::Parked) && finished.buffer.is_empty());
}

#[tokio::test]
async fn draining_lets_a_request_finish_and_begins_none() {
    let mut served = serve(echo);
    served.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhel").await;
    tokio::task::yield_now().await;
    served.drain.drain();
    served.send("loGET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    let (got, finished) = served.end().await;
    assert!(got.contains("\r\nconnection: close\r\n") && got.ends_with("POST / hello"), "{got}");
    assert!(matches!(finished.end, End::Closed) && finished.unread);

    let served = serve(echo);
    tokio::task::yield_now().await;
    served.drain.drain();
    assert!(matches!(served.end().await.1.end, End::Closed));
}
