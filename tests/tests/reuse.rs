//! How many connections to an origin it takes to serve many clients: counted, not timed.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use proxyd_tests::configured;
use proxyd_tests::waiting::PATIENCE;

const CLIENTS: usize = 64;
const ROUNDS: usize = 220;

/// Reads one head; `false` where the connection has ended.
fn head(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> bool {
    let mut space = [0; 2048];
    loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            buffer.drain(..end + 4);
            return true;
        }
        match stream.read(&mut space) {
            Ok(count @ 1..) => buffer.extend_from_slice(&space[..count]),
            _ => return false,
        }
    }
}

/// An origin that answers the first requests only when there are as many as there are clients, and
/// counts its connections.
fn origin() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    let (connections, peak) = (Arc::new(AtomicUsize::new(0)), Arc::new(Barrier::new(CLIENTS)));
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            count.fetch_add(1, Ordering::SeqCst);
            stream.set_nodelay(true).expect("nodelay");
            let (asked, peak) = (Arc::clone(&asked), Arc::clone(&peak));
            thread::spawn(move || {
                let mut buffer = Vec::new();
                while head(&mut stream, &mut buffer) {
                    if asked.fetch_add(1, Ordering::SeqCst) < CLIENTS {
                        peak.wait();
                    }
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                    if stream.write_all(answer).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, connections)
}

/// 64 kept-alive clients over 8 workers: 99.5 % of the requests go over a connection that was
/// there, and there are at most 1.1 times as many connections as requests at a time.
#[test]
fn connections_are_used_again_whichever_worker_has_them() {
    let (address, connections) = origin();
    let rest = "[server]\nworkers = 8\n";
    let proxy = configured::gateway(&format!("http://{address}"), "", rest).start();
    let to = proxy.address();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            thread::spawn(move || {
                let mut stream = TcpStream::connect(to).expect("connect");
                stream.set_nodelay(true).expect("nodelay");
                stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
                let mut buffer = Vec::new();
                for _ in 0..ROUNDS {
                    let asked = stream.write_all(b"GET / HTTP/1.1\r\nHost: app.test\r\n\r\n");
                    asked.expect("ask");
                    assert!(head(&mut stream, &mut buffer), "no answer");
                    while buffer.len() < 2 {
                        let mut space = [0; 2];
                        let count = stream.read(&mut space).expect("content");
                        assert!(count > 0, "the answer broke off");
                        buffer.extend_from_slice(&space[..count]);
                    }
                    assert_eq!(buffer, b"ok");
                    buffer.clear();
                }
            })
        })
        .collect();
    for client in clients {
        client.join().expect("a client");
    }
    let (opened, requests) = (connections.load(Ordering::SeqCst), CLIENTS * ROUNDS);
    assert!(opened * 10 <= CLIENTS * 11, "{opened} connections for {CLIENTS} requests at a time");
    assert!(opened * 200 <= requests, "{opened} connections for {requests} requests");
}
