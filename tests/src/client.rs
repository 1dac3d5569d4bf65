//! A raw client: sends bytes as they are, and reads answers strictly.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::waiting::PATIENCE;
use crate::wire::{self, Fields, Framing, ResponseHead};

/// How an answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As its framing promised.
    Complete,
    /// By the close of the connection, which its framing allows.
    ByClose,
    /// The connection ended before the message did.
    Truncated,
    /// Nothing more came in time.
    Stalled,
}

/// A final response with everything that came with it.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The interim (1xx) heads before it.
    pub interim: Vec<ResponseHead>,
    /// Its status line and fields.
    pub head: ResponseHead,
    /// Its content, without the chunks.
    pub content: Vec<u8>,
    /// Its trailer section.
    pub trailers: Fields,
    /// How it ended.
    pub ending: Ending,
}

impl Answer {
    /// Its status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.head.status
    }

    /// The value of the field, if there is exactly one.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.fields.get(name)
    }

    /// Its content as latin-1 text.
    #[must_use]
    pub fn text(&self) -> String {
        wire::latin1(&self.content)
    }

    /// Whether it ended as its framing promised.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        matches!(self.ending, Ending::Complete | Ending::ByClose)
    }
}

/// Why no answer could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// The connection ended, in order or by a reset, before a byte of an answer.
    Closed,
    /// It ended inside the head.
    InsideHead,
    /// Nothing in time.
    TimedOut,
    /// What came is not HTTP/1.
    Malformed(String),
}

/// What a read gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// More bytes.
    Data,
    /// The end of the stream, or a reset.
    End,
    /// Nothing in time.
    TimedOut,
}

/// A connection to the proxy.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    ended: bool,
    patience: Duration,
}

impl Client {
    /// Connects.
    #[must_use]
    pub fn connect(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to)
            .unwrap_or_else(|error| panic!("cannot connect to {to}: {error}"));
        Self::over(stream)
    }

    /// Connects from the given local address, such as 127.0.0.2.
    #[must_use]
    pub fn connect_from(from: IpAddr, to: SocketAddr) -> Self {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))
            .expect("socket");
        socket.bind(&SocketAddr::new(from, 0).into()).expect("bind");
        socket.connect(&to.into()).expect("connect");
        Self::over(socket.into())
    }

    /// Connects with a small receive window, as a slow reader has.
    #[must_use]
    pub fn connect_narrow(to: SocketAddr, window: usize) -> Self {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))
            .expect("socket");
        socket.set_recv_buffer_size(window).expect("receive buffer");
        socket.connect(&to.into()).expect("connect");
        Self::over(socket.into())
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("nodelay");
        stream.set_write_timeout(Some(PATIENCE)).expect("timeout");
        Self { stream, buffer: Vec::new(), ended: false, patience: PATIENCE }
    }

    /// The deadline of each read from now on.
    #[must_use]
    pub fn patient_for(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// This end's address.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.stream.local_addr().expect("local address")
    }

    /// Sends bytes; `false` when the other end has closed, which many tests provoke.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Sends bytes in pieces of the given size, each in a write of its own.
    pub fn send_pieces(&mut self, bytes: &[u8], size: usize) -> bool {
        bytes.chunks(size).all(|piece| self.send(piece))
    }

    /// Ends the sending half (FIN).
    pub fn finish(&mut self) {
        // Fails only if the connection is already gone, which the next read will tell.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Ends the connection with a reset.
    pub fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("linger");
    }

    /// Waits for more bytes until `deadline`.
    pub fn fill(&mut self, deadline: Instant) -> Fill {
        if self.ended {
            return Fill::End;
        }
        let mut piece = [0; 65_536];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Fill::TimedOut;
            }
            self.stream.set_read_timeout(Some(left)).expect("timeout");
            match self.stream.read(&mut piece) {
                Ok(0) => {
                    self.ended = true;
                    return Fill::End;
                }
                Ok(read) => {
                    self.buffer.extend_from_slice(&piece[..read]);
                    return Fill::Data;
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => return Fill::TimedOut,
                    ErrorKind::Interrupted => {}
                    _ => {
                        self.ended = true;
                        return Fill::End;
                    }
                },
            }
        }
    }

    /// Takes exactly so many bytes off the stream.
    #[must_use]
    pub fn take(&mut self, count: usize) -> Vec<u8> {
        let deadline = Instant::now() + self.patience;
        while self.buffer.len() < count {
            let fill = self.fill(deadline);
            assert!(
                fill == Fill::Data,
                "{fill:?} after {:?}, {count} bytes were due",
                wire::latin1(&self.buffer)
            );
        }
        self.buffer.drain(..count).collect()
    }

    /// Reads one head, interim or final.
    pub fn head(&mut self) -> Result<ResponseHead, NoAnswer> {
        let deadline = Instant::now() + self.patience;
        loop {
            match wire::read_response_head(&self.buffer) {
                Ok(Some((head, used))) => {
                    self.buffer.drain(..used);
                    return Ok(head);
                }
                Ok(None) => {}
                Err(reason) => return Err(NoAnswer::Malformed(reason)),
            }
            match self.fill(deadline) {
                Fill::Data => {}
                Fill::End if self.buffer.is_empty() => return Err(NoAnswer::Closed),
                Fill::End => return Err(NoAnswer::InsideHead),
                Fill::TimedOut => return Err(NoAnswer::TimedOut),
            }
        }
    }

    /// Reads the answer to a request with that method.
    pub fn answer(&mut self, method: &str) -> Result<Answer, NoAnswer> {
        let mut interim = Vec::new();
        let head = loop {
            let head = self.head()?;
            wire::response_framing(method, &head).map_err(NoAnswer::Malformed)?;
            if head.status >= 200 {
                break head;
            }
            interim.push(head);
        };
        let framing = wire::response_framing(method, &head).map_err(NoAnswer::Malformed)?;
        let (content, trailers, ending) = self.content(framing)?;
        Ok(Answer { interim, head, content, trailers, ending })
    }

    /// Reads content that is delimited so.
    pub fn content(&mut self, framing: Framing) -> Result<(Vec<u8>, Fields, Ending), NoAnswer> {
        let deadline = Instant::now() + self.patience;
        loop {
            match framing {
                Framing::None => return Ok((Vec::new(), Fields::default(), Ending::Complete)),
                Framing::Length(length) => {
                    let length = usize::try_from(length).expect("a length that fits");
                    if self.buffer.len() >= length {
                        let content = self.buffer.drain(..length).collect();
                        return Ok((content, Fields::default(), Ending::Complete));
                    }
                }
                Framing::Chunked => match wire::read_chunked(&self.buffer) {
                    Ok(Some(((content, trailers), used))) => {
                        self.buffer.drain(..used);
                        return Ok((content, trailers, Ending::Complete));
                    }
                    Ok(None) => {}
                    Err(reason) => return Err(NoAnswer::Malformed(reason)),
                },
                Framing::UntilClose => {}
            }
            let ending = match (self.fill(deadline), framing) {
                (Fill::Data, _) => continue,
                (Fill::End, Framing::UntilClose) => Ending::ByClose,
                (Fill::End, _) => Ending::Truncated,
                (Fill::TimedOut, _) => Ending::Stalled,
            };
            let raw = std::mem::take(&mut self.buffer);
            let content = if framing == Framing::Chunked { wire::chunks_so_far(&raw) } else { raw };
            return Ok((content, Fields::default(), ending));
        }
    }

    /// The answer, or a panic that says what came instead.
    #[must_use]
    pub fn expect(&mut self, method: &str) -> Answer {
        match self.answer(method) {
            Ok(answer) => answer,
            Err(why) => panic!("{why:?}; unread: {:?}", wire::latin1(&self.buffer)),
        }
    }

    /// Sends a request and reads its answer.
    #[must_use]
    pub fn ask(&mut self, method: &str, raw: impl AsRef<[u8]>) -> Answer {
        self.send(raw);
        self.expect(method)
    }

    /// Reads whatever still comes until the other end closes; the second value says whether it
    /// did in time.
    pub fn rest(&mut self) -> (Vec<u8>, bool) {
        let deadline = Instant::now() + self.patience;
        let closed = loop {
            match self.fill(deadline) {
                Fill::Data => {}
                Fill::End => break true,
                Fill::TimedOut => break false,
            }
        };
        (std::mem::take(&mut self.buffer), closed)
    }

    /// Panics unless the other end closes without another byte.
    pub fn expect_closed(&mut self) {
        let (rest, closed) = self.rest();
        assert!(closed, "the connection stayed open; unread: {:?}", wire::latin1(&rest));
        assert!(rest.is_empty(), "more than was due: {:?}", wire::latin1(&rest));
    }

    /// Bytes that were read and not yet taken.
    #[must_use]
    pub fn unread(&self) -> &[u8] {
        &self.buffer
    }
}

/// One request over a connection of its own, with its answer.
#[must_use]
pub fn exchange(to: SocketAddr, method: &str, raw: impl AsRef<[u8]>) -> Answer {
    Client::connect(to).ask(method, raw)
}

/// A plain `GET` of `path` with the given host, over a connection of its own.
#[must_use]
pub fn get(to: SocketAddr, host: &str, path: &str) -> Answer {
    exchange(to, "GET", format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn served(raw: &'static [u8]) -> Client {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("address");
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("accept");
            stream.write_all(raw).expect("write");
        });
        Client::connect(address)
    }

    #[test]
    fn reads_pipelined_answers_with_interim_ones_and_trailers() {
        let mut client = served(
            b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\
              Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nT: v\r\n\r\n\
              HTTP/1.1 404 No\r\nContent-Length: 1\r\n\r\nx",
        );
        let first = client.expect("GET");
        assert_eq!((first.interim.len(), first.status(), first.text()), (1, 200, "ab".into()));
        assert_eq!(first.trailers.get("t"), Some("v"));
        assert_eq!(client.expect("GET").status(), 404);
        client.expect_closed();
    }

    #[test]
    fn tells_a_cut_message_from_a_whole_one() {
        let cut = served(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab").expect("GET");
        assert_eq!((cut.ending.clone(), cut.is_whole()), (Ending::Truncated, false));
        let cut = served(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
            .expect("GET");
        assert_eq!((cut.ending, cut.content), (Ending::Truncated, b"ab".to_vec()));
        let whole = served(b"HTTP/1.1 200 OK\r\n\r\nab").expect("GET");
        assert_eq!(whole.ending, Ending::ByClose);
        assert_eq!(served(b"").answer("GET").expect_err("nothing"), NoAnswer::Closed);
        assert!(matches!(served(b"rubbish\n").answer("GET"), Err(NoAnswer::Malformed(_))));
    }
}
