//! Parent proxies that do what a test says, and remember what they were told.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::waiting::PATIENCE;
use crate::wire;

/// What a parent was sent first, by connection.
pub type Heard = Arc<Mutex<Vec<String>>>;

/// Serves each connection by a thread of its own.
pub fn server(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let (address, serve) = (listener.local_addr().expect("address"), Arc::new(serve));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
            let serve = Arc::clone(&serve);
            thread::spawn(move || serve(stream));
        }
    });
    address
}

/// Reads up to the end of a head.
pub fn head(stream: &mut impl Read) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
        head.push(byte[0]);
    }
    wire::latin1(&head)
}

/// Sends everything back.
pub fn echo(mut stream: TcpStream) {
    let mut other = stream.try_clone().expect("clone");
    let _ = std::io::copy(&mut stream, &mut other);
}

/// A parent that answers CONNECT with this, and then echoes.
#[must_use]
pub fn parent(answer: &'static str) -> (SocketAddr, Heard) {
    let heard = Heard::default();
    let kept = Arc::clone(&heard);
    let address = server(move |mut stream| {
        let head = head(&mut stream);
        kept.lock().expect("heard").push(head);
        let connects = answer.contains(" 200 ") && answer.contains("\r\n\r\n");
        if stream.write_all(answer.as_bytes()).is_ok() && connects {
            echo(stream);
        }
    });
    (address, heard)
}

/// A parent whose tunnels all lead to this address, whatever it is asked for.
#[must_use]
pub fn leading_to(target: SocketAddr) -> (SocketAddr, Heard) {
    let heard = Heard::default();
    let kept = Arc::clone(&heard);
    let address = server(move |mut stream| {
        let head = head(&mut stream);
        kept.lock().expect("heard").push(head);
        let Ok(mut far) = TcpStream::connect(target) else { return };
        if stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").is_err() {
            return;
        }
        let (mut near_end, mut far_end) =
            (stream.try_clone().expect("clone"), far.try_clone().expect("clone"));
        thread::spawn(move || {
            let _ = std::io::copy(&mut far_end, &mut near_end);
            let _ = near_end.shutdown(Shutdown::Write);
        });
        let _ = std::io::copy(&mut stream, &mut far);
        let _ = far.shutdown(Shutdown::Write);
    });
    (address, heard)
}
