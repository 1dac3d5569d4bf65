//! The budget of the hot path: a request through the default stack, access log and metrics on,
//! allocates at most twelve times more than through a bare hyper proxy (DESIGN, "Hot path").

use std::alloc::System;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use clap::Parser;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use proxyd::cli::{Action, Cli, prepare_with};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const BUDGET: f64 = 12.0;
const REQUESTS: usize = 500;
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nServer: test\r\nDate: Sun, 22 Nov 2026 00:00:00 GMT\r\n\
    Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello";

/// An origin that allocates nothing for an answer.
fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("accept");
            thread::spawn(move || {
                let mut space = [0; 4096];
                // One read is one request: the head is small, and the next is sent only later.
                while matches!(stream.read(&mut space), Ok(1..)) {
                    stream.write_all(ANSWER).expect("write");
                }
            });
        }
    });
    address
}

/// hyper on both sides and nothing between them: one kept-alive connection to the origin.
fn bare_proxy(origin: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    listener.set_nonblocking(true).expect("nonblocking");
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    thread::spawn(move || {
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("listener");
            let upstream = tokio::net::TcpStream::connect(origin).await.expect("connect");
            let (sender, connection) = handshake(TokioIo::new(upstream)).await.expect("handshake");
            tokio::spawn(connection);
            let sender: Arc<Mutex<SendRequest<Incoming>>> = Arc::new(Mutex::new(sender));
            while let Ok((stream, _)) = listener.accept().await {
                let sender = Arc::clone(&sender);
                let service = service_fn(move |request: Request<Incoming>| {
                    let response = sender.lock().expect("lock").send_request(request);
                    async move { response.await as Result<Response<Incoming>, hyper::Error> }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
    });
    address
}

fn default_proxy(origin: SocketAddr) -> SocketAddr {
    let free = TcpListener::bind("127.0.0.1:0").expect("bind").local_addr().expect("address");
    let to = format!("http://{origin}");
    let listen = free.to_string();
    let words = ["proxyd", "reverse", "--listen", &listen, "--to", &to, "--admin", "off"];
    let words = words.into_iter().chain(["--access-log", "/dev/null", "--workers", "1"]);
    let loaded = match prepare_with(Cli::parse_from(words), &[]) {
        Ok(Action::Run(loaded)) => loaded,
        other => panic!("{other:?}"),
    };
    thread::spawn(move || {
        let again = (*loaded).clone();
        let load = std::sync::Arc::new(move || Ok(again.clone()));
        proxyd::serve::serve(&loaded, load, None, proxyd::log_level::LogLevel::default())
    });
    free
}

/// Allocations for each request of a kept-alive connection.
fn allocations(proxy: SocketAddr) -> f64 {
    let mut stream = loop {
        match TcpStream::connect(proxy) {
            Ok(stream) => break stream,
            Err(_) => thread::yield_now(),
        }
    };
    let mut ask = |times| {
        let mut space = [0; 4096];
        for _ in 0..times {
            stream.write_all(b"GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n").expect("write");
            let mut len = 0;
            while !space[..len].ends_with(b"hello") {
                let n = stream.read(&mut space[len..]).expect("read");
                assert!(n > 0, "the proxy closed: {:?}", String::from_utf8_lossy(&space[..len]));
                len += n;
            }
        }
    };
    ask(100);
    let region = Region::new(ALLOCATOR);
    ask(REQUESTS);
    let change = region.change();
    (change.allocations + change.reallocations) as f64 / REQUESTS as f64
}

#[test]
fn the_default_stack_stays_within_its_budget() {
    let origin = origin();
    let bare = allocations(bare_proxy(origin));
    let ours = allocations(default_proxy(origin));
    assert!(bare > 1.0, "nothing was counted");
    assert!(
        ours - bare <= BUDGET,
        "{ours:.2} allocations a request, {bare:.2} of them bare hyper's"
    );
}
