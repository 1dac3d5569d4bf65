//! The examples that are programs with sockets and children of their own, as they are built.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

/// A running example; killed on drop.
struct Program {
    child: Child,
    address: SocketAddr,
}

impl Program {
    /// Starts it, and reads from its first line where it listens.
    fn start(path: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(path)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it can be started");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let rest = line.split("http://").nth(1).unwrap_or_default();
        let address = rest.split('/').next().and_then(|text| text.parse().ok());
        let address = address.unwrap_or_else(|| panic!("no address in {line:?}"));
        Self { child, address }
    }

    /// What it answers, as text.
    fn ask(&self, method: &str, target: &str, content: &str) -> String {
        let mut stream = TcpStream::connect(self.address).expect("it listens");
        let length = content.len();
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Length: {length}\r\n\r\n{content}"
        );
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Only fails when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn programs_are_routes() {
    let own = Program::start(env!("CARGO_BIN_EXE_exec_axum"), &["127.0.0.1:0"]);
    let count = own.ask("GET", "/count?last=2", "");
    assert!(count.starts_with("HTTP/1.1 200") && count.contains("1\n"), "{count}");
    let upper = own.ask("POST", "/upper", "hello");
    assert!(upper.starts_with("HTTP/1.1 200") && upper.contains("HELLO"), "{upper}");
    assert!(own.ask("GET", "/count?last=5000", "").starts_with("HTTP/1.1 400"));
}

#[test]
fn a_gateway_of_parts_reaches_its_origin() {
    let origin = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = origin.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        let (mut stream, _) = origin.accept().expect("a connection");
        let mut piece = [0; 4096];
        // A request without content ends with an empty line, which comes in one piece here.
        let _ = stream.read(&mut piece).expect("a request");
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
        stream.write_all(answer).expect("sent");
    });
    let own = Program::start(env!("CARGO_BIN_EXE_tiny_gateway"), &[&at, "127.0.0.1:0"]);
    let answer = own.ask("GET", "/", "");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"), "{answer}");
    assert!(answer.to_ascii_lowercase().contains("via: 1.1 tiny"), "{answer}");
}

#[test]
fn the_safe_client_reaches_no_metadata() {
    let output = Command::new(env!("CARGO_BIN_EXE_safe_client"))
        .arg("http://169.254.169.254/latest/meta-data/")
        .output()
        .expect("it can be started");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && told.contains("DestinationIpProhibited"), "{told}");
}
