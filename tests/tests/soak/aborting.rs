//! Clients that break off, at every point of an exchange. Nothing that becomes of them counts: they
//! must leave nothing behind, and harm nobody.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use proxyd_tests::h2_client::H2Client;
use proxyd_tests::h2_wire::code;
use socket2::SockRef;

use crate::line;
use crate::site::{LARGE, SIPPED, Site};
use crate::tally::Tally;

const HOST: &str = "Host: localhost\r\n";

/// Starts them.
pub(crate) fn start(site: &Arc<Site>, tally: &Arc<Tally>) -> Vec<JoinHandle<()>> {
    let client = |number: u64| {
        let (site, tally) = (Arc::clone(site), Arc::clone(tally));
        std::thread::spawn(move || {
            tally.paced(8.0, |turn| drop(one(&site, turn + number * 4)));
        })
    };
    (0..2).map(client).collect()
}

/// Sends, reads at least so much, and is gone: with a reset, or in order.
fn leave(mut stream: TcpStream, sent: &[u8], read: usize, reset: bool) -> std::io::Result<()> {
    stream.write_all(sent)?;
    let mut piece = [0; 4_096];
    let mut taken = 0;
    while taken < read {
        match stream.read(&mut piece)? {
            0 => break,
            more => taken += more,
        }
    }
    if reset {
        SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    }
    Ok(())
}

fn one(site: &Site, turn: u64) -> std::io::Result<()> {
    let web =
        || line::socket(site.web).map_err(|fault| std::io::Error::other(format!("{fault:?}")));
    let to = |address| TcpStream::connect(address);
    let get = |path: &str| format!("GET /{path} HTTP/1.1\r\n{HOST}\r\n");
    let half = |path: &str| {
        format!("POST /{path} HTTP/1.1\r\n{HOST}Content-Length: 9000\r\n\r\n{:4500}", "half of it")
    };
    let reset = (turn / 9).is_multiple_of(2);
    match turn % 9 {
        0 => leave(web()?, b"GET /small HTTP/1.1\r\nHo", 0, reset),
        1 => leave(web()?, half("post").as_bytes(), 0, reset),
        2 => leave(web()?, get(LARGE.0).as_bytes(), 50_000, reset),
        3 => leave(web()?, half("echo").as_bytes(), 1_000, reset),
        4 => leave(web()?, get(SIPPED.0).as_bytes(), 10_000, reset),
        5 => {
            let at = site.echo.address();
            let head = format!("CONNECT {at} HTTP/1.1\r\nHost: {at}\r\n\r\n");
            leave(to(site.out)?, head.as_bytes(), if reset { 0 } else { 10 }, reset)
        }
        // The beginning of a handshake.
        6 => leave(to(site.tls)?, &[22, 3, 1, 2, 0, 1, 0], 0, reset),
        7 => {
            let mut client = H2Client::connect(site.web);
            let path = format!("/{}", LARGE.0);
            for _ in 0..3 {
                let stream = client.begin(&H2Client::head("GET", &path, &[]), true);
                if reset {
                    client.link.send_reset(stream, code::CANCEL);
                }
            }
            client.link.close();
            Ok(())
        }
        _ => leave(web()?, get("small").as_bytes(), 0, reset),
    }
}
