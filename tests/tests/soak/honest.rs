//! Honest clients that are quick: one kind of request each, over connections that are kept alive.

use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use flate2::read::GzDecoder;

use crate::line::{Answer, Line};
use crate::site::{EACH_STORED, LARGE, SMALL, STORED, Site, TEXT, content};
use crate::tally::{Fault, Tally};

/// What one asks for in one turn, over a connection that may have served before.
type Ask = fn(&Site, &mut Line, u64) -> Result<Answer, Fault>;

/// A kind of request.
struct Kind {
    name: &'static str,
    /// Requests a second of each client of it.
    rate: f64,
    clients: usize,
    to: fn(&Site) -> SocketAddr,
    ask: Ask,
    /// Whether it may be sent once more, where a connection that waited has ended.
    idempotent: bool,
}

fn web(site: &Site) -> SocketAddr {
    site.web
}

fn out(site: &Site) -> SocketAddr {
    site.out
}

const KINDS: &[Kind] = &[
    Kind { name: "small", rate: 20.0, clients: 2, to: web, ask: small, idempotent: true },
    Kind { name: "stored", rate: 25.0, clients: 2, to: web, ask: stored, idempotent: true },
    Kind { name: "compressed", rate: 5.0, clients: 1, to: web, ask: compressed, idempotent: true },
    Kind { name: "large", rate: 2.0, clients: 1, to: web, ask: large, idempotent: true },
    Kind { name: "POST", rate: 8.0, clients: 1, to: web, ask: post, idempotent: false },
    Kind { name: "PUT", rate: 8.0, clients: 1, to: web, ask: put, idempotent: true },
    Kind { name: "program", rate: 3.0, clients: 1, to: web, ask: program, idempotent: false },
    Kind { name: "forward", rate: 10.0, clients: 1, to: out, ask: forward, idempotent: true },
];

fn is(answer: Answer, status: u16, due: &[u8]) -> Result<Answer, Fault> {
    let Answer { head, content } = answer;
    let last = head.clone();
    let content = Answer { head, content }.with(status)?;
    if content != due {
        return Err(Fault::Other(format!("{} bytes of other content", content.len())));
    }
    Ok(Answer { head: last, content })
}

fn get(path: &str, more: &str) -> Vec<u8> {
    format!("GET /{path} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n").into_bytes()
}

fn with_content(method: &str, path: &str, framing: &str, content: &[u8]) -> Vec<u8> {
    let head = format!("{method} /{path} HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n");
    [head.as_bytes(), content].concat()
}

fn small(_: &Site, line: &mut Line, _: u64) -> Result<Answer, Fault> {
    let answer = line.ask("GET", &get(SMALL.0, ""))?;
    is(answer, 200, &content(SMALL.0, SMALL.1))
}

fn stored(_: &Site, line: &mut Line, turn: u64) -> Result<Answer, Fault> {
    // Some are asked for often, others seldom.
    let number = if turn.is_multiple_of(2) { turn % 10 } else { turn.wrapping_mul(7919) % STORED };
    let path = format!("cached/{number}");
    let answer = line.ask("GET", &get(&path, ""))?;
    is(answer, 200, &content(&path, EACH_STORED))
}

fn compressed(_: &Site, line: &mut Line, _: u64) -> Result<Answer, Fault> {
    let mut answer = line.ask("GET", &get(TEXT.0, "Accept-Encoding: gzip\r\n"))?;
    if answer.head.status == 200 {
        if answer.head.fields.get("content-encoding") != Some("gzip") {
            return Err(Fault::Other(format!("not compressed: {:?}", answer.head)));
        }
        let mut plain = Vec::new();
        let mut decoder = GzDecoder::new(&answer.content[..]);
        decoder.read_to_end(&mut plain).map_err(|error| Fault::Other(error.to_string()))?;
        answer.content = plain;
    }
    is(answer, 200, &content(TEXT.0, TEXT.1))
}

fn large(_: &Site, line: &mut Line, _: u64) -> Result<Answer, Fault> {
    let answer = line.ask("GET", &get(LARGE.0, ""))?;
    is(answer, 200, &content(LARGE.0, LARGE.1))
}

fn post(_: &Site, line: &mut Line, turn: u64) -> Result<Answer, Fault> {
    let size = 1 + usize::try_from(turn % 40).expect("small") * 500;
    let framing = format!("Content-Length: {size}");
    let answer =
        line.ask("POST", &with_content("POST", "post", &framing, &content("post", size)))?;
    // Where the connection was refused nothing was sent: that is repeated whatever the method.
    let told = answer.head.fields.all("proxy-status").join(", ");
    let may_have_acted = answer.head.status == 502 && !told.contains("connection_refused");
    is(answer, 200, size.to_string().as_bytes()).map_err(|fault| match fault {
        Fault::Other(told) if may_have_acted => Fault::NotRepeatable(told),
        fault => fault,
    })
}

/// Content in chunks, of a size that is unknown at first.
fn put(_: &Site, line: &mut Line, turn: u64) -> Result<Answer, Fault> {
    let mut chunks = Vec::new();
    for piece in content("put", 20_000).chunks(3_000) {
        chunks.extend(format!("{:x}\r\n", piece.len()).bytes());
        chunks.extend(piece);
        chunks.extend(b"\r\n");
    }
    chunks.extend(b"0\r\n\r\n");
    let path = format!("put/{}", turn % 20);
    let raw = with_content("PUT", &path, "Transfer-Encoding: chunked", &chunks);
    let answer = line.ask("PUT", &raw)?;
    // Created or replaced.
    let status = if answer.head.status == 204 { 204 } else { 201 };
    let head = answer.head.clone();
    Ok(Answer { content: answer.with(status)?, head })
}

/// What it is sent comes back through a program.
fn program(_: &Site, line: &mut Line, _: u64) -> Result<Answer, Fault> {
    let sent = content("program", 30_000);
    let framing = format!("Content-Length: {}", sent.len());
    let answer = line.ask("POST", &with_content("POST", "echo", &framing, &sent))?;
    is(answer, 200, &sent)
}

fn forward(site: &Site, line: &mut Line, _: u64) -> Result<Answer, Fault> {
    let at = site.steady.http;
    let raw = format!("GET http://{at}/{} HTTP/1.1\r\nHost: {at}\r\n\r\n", SMALL.0);
    let answer = line.ask("GET", raw.as_bytes())?;
    is(answer, 200, &content(SMALL.0, SMALL.1))
}

/// Asks over a connection that is kept, or a new one. Gives whether it went well.
fn once(site: &Site, kind: &Kind, line: &mut Option<Line>, turn: u64) -> Result<(), Fault> {
    // What can not be repeated is not sent where it may be necessary.
    let kept = line.take().filter(|_| kind.idempotent);
    let fresh = || Line::clear((kind.to)(site));
    let mut own = kept.map_or_else(fresh, Ok)?;
    let answer = match (kind.ask)(site, &mut own, turn) {
        Err(Fault::Stale) => {
            own = fresh()?;
            (kind.ask)(site, &mut own, turn)?
        }
        other => other?,
    };
    if !answer.is_last() {
        *line = Some(own);
    }
    Ok(())
}

/// One request of each kind, which goes well.
pub(crate) fn once_each(site: &Site, tally: &Tally) {
    for kind in KINDS {
        let begun = Instant::now();
        tally.count(kind.name, begun, once(site, kind, &mut None, 0));
    }
    let mut tunnel = site.tunnel();
    tunnel.send("x");
    assert_eq!(tunnel.take(1), b"x");
    tally.judge();
}

/// Starts all of them.
pub(crate) fn start(site: &Arc<Site>, tally: &Arc<Tally>) -> Vec<JoinHandle<()>> {
    let mut clients = Vec::new();
    for kind in KINDS {
        for number in 0..kind.clients {
            let (site, tally) = (Arc::clone(site), Arc::clone(tally));
            clients.push(std::thread::spawn(move || {
                let mut line = None;
                tally.paced(kind.rate, |turn| {
                    let begun = Instant::now();
                    let turn = turn + 1_000_000 * number as u64;
                    let result = once(&site, kind, &mut line, turn);
                    tally.count(kind.name, begun, result);
                });
            }));
        }
    }
    for (name, host, tickets) in [("TLS", "a.test", false), ("TLS, resumed", "b.test", true)] {
        let (site, tally) = (Arc::clone(site), Arc::clone(tally));
        clients.push(std::thread::spawn(move || {
            let config = site.trust(tickets);
            let mut line = None;
            tally.paced(10.0, |turn| {
                let begun = Instant::now();
                // Every fifth request begins with a handshake.
                if turn.is_multiple_of(5) {
                    line = None;
                }
                let result = over_tls(&site, &config, host, &mut line);
                tally.count(name, begun, result);
            });
        }));
    }
    let (site, tally) = (Arc::clone(site), Arc::clone(tally));
    clients.push(std::thread::spawn(move || {
        tally.paced(3.0, |_| {
            let begun = Instant::now();
            tally.count("tunnel", begun, through_a_tunnel(&site));
        });
    }));
    clients
}

fn over_tls(
    site: &Site,
    config: &Arc<rustls::ClientConfig>,
    host: &'static str,
    line: &mut Option<Line>,
) -> Result<(), Fault> {
    let raw = format!("GET /{} HTTP/1.1\r\nHost: {host}\r\n\r\n", SMALL.0);
    let fresh = || Line::tls(site.tls, config, host).map(|(line, _)| line);
    let mut own = line.take().map_or_else(fresh, Ok)?;
    let answer = match own.ask("GET", raw.as_bytes()) {
        Err(Fault::Stale) => {
            own = fresh()?;
            own.ask("GET", raw.as_bytes())?
        }
        other => other?,
    };
    if !is(answer, 200, &content(SMALL.0, SMALL.1))?.is_last() {
        *line = Some(own);
    }
    Ok(())
}

/// A tunnel of its own, and something that comes back through it.
fn through_a_tunnel(site: &Site) -> Result<(), Fault> {
    let mut line = Line::clear(site.out)?;
    let at = site.echo.address();
    let head = format!("CONNECT {at} HTTP/1.1\r\nHost: {at}\r\n\r\n");
    line.ask("CONNECT", head.as_bytes())?.with(200)?;
    let sent = content("tunnel", 2_000);
    line.send(&sent);
    let mut back = Vec::new();
    while back.len() < sent.len() {
        let piece = line.sip(4_096).map_err(|error| Fault::Other(error.to_string()))?;
        if piece.is_empty() {
            return Err(Fault::Other(format!("the tunnel ended after {} bytes", back.len())));
        }
        back.extend(piece);
    }
    if back == sent { Ok(()) } else { Err(Fault::Other("other bytes".into())) }
}
