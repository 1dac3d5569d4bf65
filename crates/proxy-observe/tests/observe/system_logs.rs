//! Syslog and journal: a datagram for each line.

use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::Duration;

use proxy_observe::access_log::{AccessLogSink, Journal, Syslog, SyslogAddress};

const LINES: &[u8] = b"{\"a\":1}\nsecond line\n";

fn write(sink: &mut impl AccessLogSink, mut lines: &[u8]) {
    while !lines.is_empty() {
        let n = sink.write_lines(lines).unwrap();
        lines = &lines[n..];
    }
}

fn socket_path(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("proxy-{name}-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

fn bind(path: &PathBuf) -> UnixDatagram {
    let socket = UnixDatagram::bind(path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket
}

fn received(receive: impl FnOnce(&mut [u8]) -> std::io::Result<usize>) -> String {
    let mut buffer = vec![0; 65_536];
    let n = receive(&mut buffer).expect("a datagram");
    String::from_utf8(buffer[..n].to_vec()).unwrap()
}

/// Checks the head of RFC 5424 section 6 and gives the message.
fn message(datagram: &str) -> String {
    let parts: Vec<&str> = datagram.splitn(8, ' ').collect();
    let [priority, time, host, name, process, id, data, message] = parts[..] else {
        panic!("{datagram}");
    };
    assert_eq!(priority, "<134>1");
    assert!(time.len() == 24 && time.ends_with('Z') && time.as_bytes()[10] == b'T', "{time}");
    assert!(!host.is_empty() && host.bytes().all(|b| b.is_ascii_graphic()), "{host}");
    assert_eq!((name, id, data), ("proxyd", "access", "-"));
    assert_eq!(process, std::process::id().to_string());
    message.to_owned()
}

#[test]
fn syslog_over_udp() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let address = SyslogAddress::Udp(server.local_addr().unwrap());
    let mut syslog = Syslog::open(address, "proxyd").unwrap();
    write(&mut syslog, LINES);
    assert_eq!(message(&received(|buffer| server.recv(buffer))), "{\"a\":1}");
    assert_eq!(message(&received(|buffer| server.recv(buffer))), "second line");
}

#[test]
fn syslog_over_a_socket_that_is_replaced() {
    let path = socket_path("syslog");
    let server = bind(&path);
    let mut syslog = Syslog::open(SyslogAddress::Unix(path.clone()), "proxyd").unwrap();
    write(&mut syslog, b"before\n");
    assert_eq!(message(&received(|buffer| server.recv(buffer))), "before");
    drop(server);
    std::fs::remove_file(&path).unwrap();
    assert!(syslog.write_lines(b"nobody hears this\n").is_err());
    let server = bind(&path);
    write(&mut syslog, b"after\n");
    assert_eq!(message(&received(|buffer| server.recv(buffer))), "after");
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_journal() {
    let path = socket_path("journal");
    let server = bind(&path);
    let mut journal = Journal::open(&path, "proxyd").unwrap();
    write(&mut journal, LINES);
    let entry = "PRIORITY=6\nSYSLOG_IDENTIFIER=proxyd\nMESSAGE=";
    assert_eq!(received(|buffer| server.recv(buffer)), format!("{entry}{{\"a\":1}}\n"));
    assert_eq!(received(|buffer| server.recv(buffer)), format!("{entry}second line\n"));
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_log_that_is_not_there_is_an_error() {
    let nowhere = socket_path("nowhere");
    assert!(Syslog::open(SyslogAddress::Unix(nowhere.clone()), "proxyd").is_err());
    assert!(Journal::open(nowhere, "proxyd").is_err());
}
